"""The record of notebook 05: identities, the ladder of rates, networks looked into, growing weights, a deep start."""

from collections.abc import Callable, Sequence

import numpy as np

from bn.lab.chapters.learning_rates import identities
from bn.lab.chapters.learning_rates.spec import CHOOSING, DEEPEST, GROWING, LearningRates
from bn.lab.chapters.learning_rates.study import Net
from bn.lab.store import measurements, records
from bn.lab.train import runs

NETWORKS = ("plain", "bn")
NEAR = 2.0  # a singular value is near 1 from a half to two
SHARES = np.linspace(0, 1, 41)  # of the singular values that lie below
_CASE = {"m": 24, "inputs": 6, "outputs": 4}  # of the identities


def record(spec: LearningRates) -> dict:
    """`measured`: every identity for each seed; `rates`, `looked`, `growth` and `deepest`: of trained networks."""
    question = [list(spec.seeds), *_CASE.values()]
    kept = measurements.once(
        "identities", identities.__name__, question, lambda: identities.measure(spec.seeds, **_CASE)
    )
    ladder = {(n, f, d): _rungs(spec, n, f, d) for n in NETWORKS for f in spec.lists.firsts for d in spec.depths}
    first = spec.lists.firsts[0]
    growing = {(n, scale): spec.growing(n, scale) for n in NETWORKS for scale in spec.lists.scales}
    deepest = {n: spec.deepest(n) for n in NETWORKS}
    wanted = [(net, seed) for nets in ladder.values() for net in nets for seed in spec.seeds]
    wanted += [(net, seed) for (_, f, _), nets in ladder.items() if f == first for net in nets for seed in CHOOSING]
    wanted += [(net, seed) for net in (*growing.values(), *deepest.values()) for seed in spec.seeds]
    trained = runs.run(wanted, "learning rates")
    chosen = {(n, d): _best(ladder[n, first, d], trained) for n in NETWORKS for d in spec.depths}
    looked = {(n, d): spec.net(n, d, rate, first, looked=True) for (n, d), rate in chosen.items()}
    trained |= runs.run([(net, seed) for net in looked.values() for seed in spec.seeds], "looking into them")
    results = {
        "measured": kept["measured"],
        "rates": _ladder(spec, ladder, trained),
        "looked": _looked(spec, chosen, looked, trained),
        "growth": _growth(spec, growing, trained),
        "deepest": _deepest(spec, deepest, trained),
    }
    metas = [run["meta"] for run in trained.values()]
    return records.finish("learning_rates", spec, metas, results, [kept["meta"]])


def _rungs(spec: LearningRates, network: str, first: float | str, depth: int) -> list[Net]:
    return [spec.net(network, depth, rate, first) for rate in spec.rates]


def _best(rungs: Sequence[Net], trained: dict) -> float:
    """The rate with the best mean validation accuracy of the seeds that choose; the smaller of two alike."""
    accuracy = [np.mean([trained[net, seed]["validation"][-1] for seed in CHOOSING]) for net in rungs]
    return rungs[int(np.argmax(accuracy))].learning_rate


def _ladder(spec: LearningRates, ladder: dict, trained: dict) -> dict:
    """Of each network and kind of first weights `test` and `finite` at the end, (depths, rates, seeds)."""

    def end(network: str, first: float | str, name: str) -> list:
        nets = (ladder[network, first, depth] for depth in spec.depths)
        return [[[trained[net, seed][name][-1].item() for seed in spec.seeds] for net in of_depth] for of_depth in nets]

    tables = {
        network: {
            str(first): {name: end(network, first, name) for name in ("test", "finite")} for first in spec.lists.firsts
        }
        for network in NETWORKS
    }
    return {
        "steps": spec.steps,
        "seeds": list(spec.seeds),
        "depths": list(spec.depths),
        "rates": list(spec.rates),
        "firsts": [str(first) for first in spec.lists.firsts],
        **tables,
    }


def _looked(spec: LearningRates, chosen: dict, looked: dict, trained: dict) -> dict:
    """Of each network `rates` by depth, and at `first` and `last` what was measured, (depths, seeds)."""

    def at(network: str, k: int) -> dict:
        found = [[trained[looked[network, d], seed] for seed in spec.seeds] for d in spec.depths]
        names = ("activations", "centred", "gradients", "test")
        numbers = {name: _each(found, lambda run, name=name: run[name][k]) for name in names}
        return numbers | {name: _spectra(found, name, k) for name in ("singular", "linear")}

    return {
        "steps": spec.steps,
        "seeds": list(spec.seeds),
        "depths": list(spec.depths),
        "chosen_by": list(CHOOSING),
        "shares": records.numbers(SHARES),
        **{
            network: {
                "rates": [chosen[network, d] for d in spec.depths],
                "first": at(network, 0),
                "last": at(network, -1),
            }
            for network in NETWORKS
        },
    }


def _each(found: list[list[dict]], measure: Callable[[dict], float]) -> list[list[float | None]]:
    return [records.numbers([measure(run) for run in of_depth]) for of_depth in found]


def _spectra(found: list[list[dict]], name: str, k: int) -> dict:
    """Of all layers' singular values together the `median` and the share `near` 1, (depths, seeds), and `below`.

    `below` (depths, SHARES): what such a share of them lies below, mean over seeds; None where one is no number.
    """
    return {
        "median": _each(found, lambda run: np.median(run[name][k])),
        "near": _each(found, lambda run: _near(run[name][k])),
        "below": [_below([run[name][k] for run in of_depth]) for of_depth in found],
    }


def _near(values: np.ndarray) -> float:
    if not np.isfinite(values).all():
        return np.nan
    return float(np.mean((values >= 1 / NEAR) & (values <= NEAR)))


def _below(values: list[np.ndarray]) -> list[float | None]:
    return records.numbers(np.mean([np.quantile(of_seed, SHARES) for of_seed in values], axis=0))


def _growth(spec: LearningRates, growing: dict, trained: dict) -> dict:
    """Of each network and scale the `norm` of all hidden weights over the training and `test`, (seeds, looks)."""
    depth, rate = GROWING

    def of(network: str, scale: float) -> dict:
        found = [trained[growing[network, scale], seed] for seed in spec.seeds]
        norms = [np.sqrt((run["norms"].astype(float) ** 2).sum(1)) for run in found]
        return {"norm": [records.numbers(n) for n in norms], "test": [records.numbers(run["test"]) for run in found]}

    any_run = next(iter(growing.values()))
    return {
        "steps": any_run.steps,
        "seeds": list(spec.seeds),
        "depth": depth,
        "rate": rate,
        "scales": list(spec.lists.scales),
        "at": trained[any_run, spec.seeds[0]]["steps"].tolist(),
        **{network: {str(scale): of(network, scale) for scale in spec.lists.scales} for network in NETWORKS},
    }


def _deepest(spec: LearningRates, deepest: dict, trained: dict) -> dict:
    """Of each network the norm of the `gradient` with respect to each layer's inputs, (seeds, layers)."""
    found = {name: [trained[net, seed]["backward"][0] for seed in spec.seeds] for name, net in deepest.items()}
    gradients = {name: {"gradient": [records.numbers(of_seed) for of_seed in rows]} for name, rows in found.items()}
    return {"steps": 0, "seeds": list(spec.seeds), "depth": DEEPEST, **gradients}
