"""What later papers claim of Batch Normalization, each measured on small networks."""

from collections.abc import Iterable, Mapping
from itertools import product

import numpy as np

from bn.lab.chapters.since_then import looks, scaling
from bn.lab.chapters.since_then.estimates import final
from bn.lab.chapters.since_then.spec import (
    FEW,
    FULL,
    MEMORIES,
    NORMALIZERS,
    OF_MAPS,
    PRODUCTS,
    SIZES_OF_BATCHES,
    SinceThen,
)
from bn.lab.chapters.since_then.study import Network
from bn.lab.store import measurements, records
from bn.lab.train import runs

DEEP = "plain", "bn", "noisy"
_CURVES = "validation", "test", "moved", "range", "turned", "smoothness"

Tried = Mapping[object, list[Network]]


def record(spec: SinceThen) -> dict:
    """The parts.

    - `deep`: by network and rate ("plain", "bn", "noisy" at their own best, "bn_equal" at the plain network's).
    - `small` and `maps`: errors by normalizer and mini-batch; `separate`: of both the same with statistics of FEW
      images each.
    - `products`: networks whose rates and weight decays have one product, or not; `scaling`: an identity.
    - `averages`: accuracies by moving averages, the same without their start, and recomputed ones; `shifted`: images of
      another kind.
    """
    tried = _tried(spec)
    of_choice = runs.run(product(_to_compare(tried), spec.choosing), "Rates")
    best = {what: _best(settings, spec.choosing, of_choice) for what, settings in tried.items()}
    asked = _asked(spec, best)
    trained = runs.run(product(asked.values(), spec.seeds), "Later claims")

    def of(*what: object) -> list[dict]:
        return [trained[asked[what], seed] for seed in spec.seeds]

    def by_batch(part: str, network: str, batches: Iterable[int]) -> dict:
        of_each = {batch: (part, network, batch) for batch in batches}
        return {str(b): _errors(asked[what], tried[what], of(*what)) for b, what in of_each.items()}  # JSON has no ints

    kept = measurements.once("scaling", scaling.__name__, [list(spec.seeds)], lambda: scaling.measure(spec.seeds))
    results = {
        "deep": {name: _deep(asked["deep", name], of("deep", name)) for name in (*DEEP, "bn_equal")},
        "ladder": _ladder(spec, tried, of_choice),
        "small": {n: by_batch("small", n, SIZES_OF_BATCHES) for n in NORMALIZERS},
        "maps": {n: by_batch("maps", n, (FEW, FULL)) for n in OF_MAPS},
        "separate": {part: by_batch(part, "separate", (FULL,)) for part in ("small", "maps")},
        "products": {name: _product(asked["product", name], of("product", name)) for name in PRODUCTS},
        "scaling": kept["measured"],
        "averages": {str(memory): _averages(of("averages", memory)) for memory in MEMORIES},
        "shifted": _shifted(of("averages", MEMORIES[0])),
    }
    metas = [run["meta"] for run in (*of_choice.values(), *trained.values())]
    return records.finish("since_then", spec, metas, results, [kept["meta"]])


def _tried(spec: SinceThen) -> dict[tuple, list[Network]]:
    """Of each network the settings among which its rate is chosen."""
    tried = {("deep", name): [spec.deep(name, rate) for rate in spec.size.rates] for name in DEEP}
    for name, batch in product(NORMALIZERS, SIZES_OF_BATCHES):
        tried["small", name, batch] = [spec.small_batches(name, r, batch) for r in spec.rates_for(batch)]
    for name, batch in product(OF_MAPS, (FEW, FULL)):
        tried["maps", name, batch] = [spec.of_maps(name, r, batch) for r in spec.rates_for(batch)]
    for part, of_part in (("small", spec.small_batches), ("maps", spec.of_maps)):
        tried[part, "separate", FULL] = [of_part("separate", r, FULL, FEW) for r in spec.rates_for(FULL)]
    return tried


def _asked(spec: SinceThen, best: dict[tuple, Network]) -> dict[tuple, Network]:
    """The networks that are reported, each at the rate that was chosen for it."""
    rates = {name: best["deep", name].learning_rate for name in DEEP}
    asked = {("deep", name): spec.deep(name, rates[name], "landscape") for name in DEEP}
    asked["deep", "bn_equal"] = spec.deep("bn", rates["plain"], "landscape")
    asked |= {what: setting for what, setting in best.items() if what[0] in ("small", "maps")}
    asked |= {("product", name): spec.invariant(*pair) for name, pair in PRODUCTS.items()}
    for memory, measured in zip(MEMORIES, (("shifted",), ()), strict=True):
        asked["averages", memory] = spec.deep("bn", rates["bn"], "recomputed", "corrected", *measured, averages=memory)
    return asked


def _to_compare(tried: Tried) -> list[Network]:
    """All settings where there is a choice, and those of the deep networks, whose accuracies by rate are shown."""
    return [setting for what, of_one in tried.items() for setting in of_one if len(of_one) > 1 or what[0] == "deep"]


def _best(settings: list[Network], seeds: Iterable[int], trained: dict) -> Network:
    """The one with the best final accuracy on validation images, mean over the seeds."""
    if len(settings) == 1:
        return settings[0]
    return settings[np.argmax([final([trained[s, seed]["validation"] for seed in seeds]).mean() for s in settings])]


def _ladder(spec: SinceThen, tried: Tried, trained: dict) -> dict:
    """Final test accuracies at each rate that was tried, (rates, seeds)."""
    by_name = {
        name: [
            records.numbers(final([trained[s, seed]["test"] for seed in spec.choosing])) for s in tried["deep", name]
        ]
        for name in DEEP
    }
    return {"rates": list(spec.size.rates), "seeds": list(spec.choosing)} | by_name


def _deep(setting: Network, trained: list[dict]) -> dict:
    """Curves of each seed; of the gradients' shift and cosine the means over the layers."""
    layers = {name: [records.numbers(run[name].mean(1)) for run in trained] for name in ("shift", "cosine")}
    curves = {name: [records.numbers(run[name]) for run in trained] for name in _CURVES}
    return {"rate": setting.learning_rate, "steps": trained[0]["steps"].tolist()} | layers | curves


def _errors(setting: Network, tried: list[Network], trained: list[dict]) -> dict:
    """The rate, those among which it was chosen, and the final test error of each seed, percent."""
    return {
        "rate": setting.learning_rate,
        "tried": [other.learning_rate for other in tried],
        "steps": setting.steps,
        "error": records.numbers(100 * (1 - final([run["test"] for run in trained]))),
    }


def _product(setting: Network, trained: list[dict]) -> dict:
    """Curves of the effective rate η/‖w‖² and of the test accuracy, for each seed."""
    return {
        "rate": setting.learning_rate,
        "weight_decay": setting.weight_decay,
        "steps": trained[0]["steps"].tolist(),
        "effective": [records.numbers(setting.learning_rate / run["weights"] ** 2) for run in trained],
        "test": [records.numbers(run["test"]) for run in trained],
    }


def _averages(trained: list[dict]) -> dict:
    """Test accuracies of each seed by the moving averages, by the same without their start, and by recomputed ones."""
    curves = {"moving": "test", "corrected": "corrected", "recomputed": "recomputed"}
    found = {name: [records.numbers(run[curve]) for run in trained] for name, curve in curves.items()}
    return {"steps": trained[0]["steps"].tolist()} | found


def _shifted(trained: list[dict]) -> dict:
    """Of each kind of images the test accuracies of each seed: as trained for, by old statistics, by new ones."""
    clean = records.numbers([run["test"][-1] for run in trained])
    by_kind = np.array([run["shifted"][-1] for run in trained])
    return {
        name: {"clean": clean, "old": records.numbers(by_kind[:, k, 0]), "new": records.numbers(by_kind[:, k, 1])}
        for k, name in enumerate(looks.SHIFTS)
    }
