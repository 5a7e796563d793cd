"""Dropout and Batch Normalization, each with and without the other; and the same network with more or less noise."""

from collections.abc import Iterable
from itertools import product

import numpy as np

from bn.lab.chapters.regularization import identities
from bn.lab.chapters.regularization.spec import BATCH, CHOOSING, FEW, GROUPS, NETWORKS, WHOLE, Regularization
from bn.lab.chapters.regularization.study import SIZES, Network
from bn.lab.data import datasets
from bn.lab.judge.identities import of_cases
from bn.lab.store import measurements, records
from bn.lab.train import runs

_CURVES = ("test", "train", "validation", "test_loss", "train_loss")
LAST = 3  # evaluations in a final accuracy


def record(spec: Regularization) -> dict:
    """The parts of the record.

    - `own_rates`: NETWORKS, each at its own best rate; `same_rate`: all at that of the plain network.
    - `groups`: statistics of GROUPS of a mini-batch of WHOLE, all at the best rate for those of FEW and WHOLE together;
      `own_groups`: these two, each at its own best rate.
    - `tried`: of each rate the validation accuracy by which these were chosen.
    - `noise`, `company`, `population`: what `study.probe` measures.
    - `measured`: the identity, for each seed.
    """
    candidates = {name: [spec.network(name, rate) for rate in spec.size.rates] for name in NETWORKS}
    candidates |= {str(size): [spec.grouped(size, rate) for rate in spec.size.rates] for size in (FEW, WHOLE)}
    choosing = CHOOSING[: spec.size.choosing]
    trained = runs.run(_each(candidates.values(), choosing), "Rates")
    tried = {name: [_validation(s, choosing, trained) for s in settings] for name, settings in candidates.items()}
    rates = {name: spec.size.rates[int(np.argmax(values))] for name, values in tried.items()}

    own = {name: spec.network(name, rates[name], probed=name.startswith("bn")) for name in NETWORKS}
    same = {name: spec.network(name, rates["plain"]) for name in NETWORKS}
    both = np.add(tried[str(FEW)], tried[str(WHOLE)])
    groups = {str(size): spec.grouped(size, spec.size.rates[int(np.argmax(both))]) for size in GROUPS}
    own_groups = {str(size): spec.grouped(size, rates[str(size)]) for size in (FEW, WHOLE)}
    asked = [part.values() for part in (own, same, groups, own_groups)]
    trained |= runs.run(_each(asked, spec.seeds), "Dropout, and statistics of groups")

    known = measurements.once("identities", identities.__name__, list(spec.seeds), lambda: _identities(spec.seeds))
    results = {
        "training_images": {"used": spec.examples, "whole": datasets.TRAINING_IMAGES[spec.dataset]},
        "batch": {"dropout": BATCH, "groups": WHOLE},
        "own_rates": {name: _curves(setting, spec, trained) for name, setting in own.items()},
        "same_rate": {name: _curves(setting, spec, trained) for name, setting in same.items()},
        "groups": {size: _curves(setting, spec, trained) for size, setting in groups.items()},
        "own_groups": {size: _curves(setting, spec, trained) for size, setting in own_groups.items()},
        "tried": {"rates": list(spec.size.rates), "seeds": list(choosing)} | tried,
        "noise": {"sizes": list(SIZES)} | _noise(_of(own["bn"], spec, trained)),
        "company": _company(_of(own["bn"], spec, trained)[0], spec.seeds[0]),
        "population": {name: _population(_of(own[name], spec, trained)) for name in ("bn", "bn_dropout")},
        "measured": known["measured"],
    }
    metas = [run["meta"] for run in trained.values()]
    return records.finish("regularization", spec, metas, results, computed=[known["meta"]])


def _each(settings: Iterable[Iterable[Network]], seeds: Iterable[int]) -> list[tuple[Network, int]]:
    return list(product((setting for of_one in settings for setting in of_one), seeds))


def _validation(setting: Network, seeds: Iterable[int], trained: dict) -> float:
    """Its final accuracy on validation images, mean over seeds."""
    return float(np.mean([trained[setting, seed]["validation"][-LAST:] for seed in seeds]))


def _identities(seeds: Iterable[int]) -> dict:
    return of_cases(identities.CLAIMS, [identities.draw(seed) for seed in seeds])


def _of(setting: Network, spec: Regularization, trained: dict) -> list[dict]:
    return [trained[setting, seed] for seed in spec.seeds]


def _curves(setting: Network, spec: Regularization, trained: dict) -> dict:
    """Its rate, and its curves in shares and in nats, a list for each seed."""
    found = _of(setting, spec, trained)
    curves = {name: [records.numbers(run[name]) for run in found] for name in _CURVES}
    return {"rate": setting.learning_rate, "steps": found[0]["steps"].tolist(), **curves}


def _company(run: dict, seed: int) -> dict:
    """One test image in many mini-batches."""
    found = {name: run[name][-1] for name in ("margins", "margin", "image")}
    return {"seed": seed, "image": int(found["image"])} | {
        "margins": records.numbers(found["margins"]),
        "margin": float(found["margin"]),
    }


def _population(found: list[dict]) -> dict:
    """Of each layer's worst and median unit the distance of mean and variance from 0 and 1; the median variance."""
    off = {"mean": [abs(run["mean"][-1]) for run in found], "variance": [abs(run["var"][-1] - 1) for run in found]}
    worst = {f"{name}_worst": [records.numbers(units.max(1)) for units in of] for name, of in off.items()}
    median = {f"{name}_median": [records.numbers(np.median(units, 1)) for units in of] for name, of in off.items()}
    return worst | median | {"variance": [records.numbers(np.median(run["var"][-1], 1)) for run in found]}


def _noise(found: list[dict]) -> dict:
    """For each seed and size: the deviations `std`, (seeds, sizes, layers + 1), and the `penalty`, (seeds, sizes)."""
    return {
        "std": [[records.numbers(of_size) for of_size in run["noise"][-1]] for run in found],
        "penalty": [records.numbers(run["penalty"][-1]) for run in found],
    }
