"""Four places of BN at their best rates, the shapes of what the layers hand on, and what a feature map's places count.

Each network is trained at the rate that did best for it on validation images, of seeds that are not reported.
"""

from collections.abc import Callable, Iterable
from itertools import chain, product

import numpy as np

from bn.lab.chapters.convolution import counts, identities, places, shapes
from bn.lab.chapters.convolution.spec import Convolution
from bn.lab.chapters.convolution.study import CHANNELS, NETWORKS, Placed
from bn.lab.judge.identities import of_cases
from bn.lab.store import measurements, records
from bn.lab.train import runs

ACTIVATIONS = ("relu", "sigmoid")
OF_MAPS = ("none", "before")  # the convolutional networks
LAST = 3  # evaluations in a final accuracy
EARLY = 1  # the evaluation after a tenth of the training


def record(spec: Convolution) -> dict:
    """`accuracy`, `shapes` and `sparsity` by activation and place of BN; `places` of feature maps; `counts`.

    And `measured`, what the identities give.
    """
    tried = {
        (kind, network): [_setting(spec, kind, network, rate) for rate in rates]
        for kind, rates in spec.size.rates.items()
        for network in (OF_MAPS if kind == "maps" else NETWORKS)
    }
    trained = runs.run([*product(chain(*tried.values()), spec.size.choosing)], "Learning rates")
    chosen = {pair: _best(settings, spec, trained) for pair, settings in tried.items()}
    asked = {pair: _setting(spec, *pair, setting.learning_rate, True) for pair, setting in chosen.items()}
    trained |= runs.run([*product(asked.values(), spec.seeds)], "Four places of BN, and feature maps")

    found = {pair: [trained[setting, seed] for seed in spec.seeds] for pair, setting in asked.items()}
    exact, counted = _exact(spec), measurements.once("counts", counts.__name__, [], counts.counts)
    results = {
        "accuracy": _by_kind(lambda pair: _accuracy(tried[pair], asked[pair], found[pair], spec, trained)),
        "shapes": {kind: {name: _shapes(found[kind, name]) for name in NETWORKS} for kind in ACTIVATIONS},
        "sparsity": _by_kind(lambda pair: _sparsity(found[pair])),
        "places": _places(found["maps", "before"]),
        "counts": counted["measured"],
        "measured": exact["measured"],
        "chosen_by": list(spec.size.choosing),
        "map_steps": spec.map_steps,
        "images": {"units": spec.size.images, "maps": spec.size.map_images},
        "draws": places.DRAWS,
    }
    metas = [run["meta"] for run in trained.values()]
    return records.finish("convolution", spec, metas, results, [exact["meta"], counted["meta"]])


def _setting(spec: Convolution, kind: str, network: str, rate: float, measured: bool = False) -> Placed:
    if kind == "maps":
        return spec.maps(network, rate, measured)
    return spec.units(network, kind, rate, measured)


def _by_kind(of_pair: Callable[[tuple[str, str]], dict]) -> dict:
    networks = dict.fromkeys(ACTIVATIONS, NETWORKS) | {"maps": OF_MAPS}
    return {kind: {name: of_pair((kind, name)) for name in names} for kind, names in networks.items()}


def _exact(spec: Convolution) -> dict:
    """The identities of each seed."""
    return measurements.once(
        "identities",
        identities.__name__,
        list(spec.seeds),
        lambda: of_cases(identities.CLAIMS, [identities.draw(seed) for seed in spec.seeds]),
    )


# ---- Accuracy ------------------------------------------------------------------------------------


def _best(settings: list[Placed], spec: Convolution, trained: dict) -> Placed:
    """The one with the best final accuracy on validation images, mean over the seeds that choose."""
    return settings[int(np.argmax([_chosen_by(setting, spec, trained) for setting in settings]))]


def _chosen_by(setting: Placed, spec: Convolution, trained: dict) -> float:
    return float(np.mean([final(trained[setting, seed]["validation"]) for seed in spec.size.choosing]))


def final(accuracy: Iterable[float]) -> float:
    """Mean of the last evaluations; of two, which are before and after the training, the last."""
    accuracy = np.asarray(accuracy, float)
    return float(accuracy[-1] if len(accuracy) <= LAST else accuracy[-LAST:].mean())


def _accuracy(tried: list[Placed], setting: Placed, found: list[dict], spec: Convolution, trained: dict) -> dict:
    """The rate, those it was chosen among, and the curves of each seed."""
    return {
        "rate": setting.learning_rate,
        "tried": {
            "rates": [other.learning_rate for other in tried],
            "validation": records.numbers([_chosen_by(other, spec, trained) for other in tried]),
        },
        "steps": found[0]["steps"].tolist(),
        "validation": [records.numbers(run["validation"]) for run in found],
        "test": [records.numbers(run["test"]) for run in found],
        "final_test": records.numbers([final(run["test"]) for run in found]),
    }


# ---- Distributions -------------------------------------------------------------------------------


def _shapes(found: list[dict]) -> dict:
    """Of u and of Wu, for each seed: the median unit's |skewness| and |excess kurtosis| at each evaluation.

    `moved`: how far the distribution of the median unit, its mean and deviation aside, moves from a tenth of the
    training to its end, in deviations. `dead`: the share of units that never change at the end. `unit`: of the first
    seed, how often the values of a typical unit of the third hidden layer occur at the end.
    """
    return {"steps": found[0]["steps"].tolist()} | {kind: _of_kind(kind, found) for kind in ("u", "wu")}


def _of_kind(kind: str, found: list[dict]) -> dict:
    with np.errstate(all="ignore"):
        return {
            "skewness": [records.numbers(median(abs(run[f"{kind}_skewness"]))) for run in found],
            "kurtosis": [records.numbers(median(abs(run[f"{kind}_kurtosis"]))) for run in found],
            "moved": records.numbers([_moved(run[f"{kind}_percentiles"]) for run in found]),
            "dead": records.numbers([np.isnan(run[f"{kind}_skewness"][-1]).mean() for run in found]),
            "unit": _typical(found[0], kind),
        }


def median(of_units: np.ndarray) -> np.ndarray:
    """Over the units of both layers (evaluations, layers, units) that change at all."""
    return np.nanmedian(of_units, axis=(1, 2))


def _moved(percentiles: np.ndarray) -> float:
    """Of percentiles (evaluations, layers, ranks, units)."""
    first, last = (np.moveaxis(percentiles[k].astype(float), 1, 0) for k in (EARLY, -1))
    return float(np.nanmedian(shapes.distance(first, last)))


def _typical(run: dict, kind: str) -> dict:
    """Of the third hidden layer at the end."""
    unit = int(run[f"{kind}_typical"][-1, -1])
    return {
        "index": unit,
        "skewness": records.numbers(run[f"{kind}_skewness"][-1, -1, [unit]])[0],
        "kurtosis": records.numbers(run[f"{kind}_kurtosis"][-1, -1, [unit]])[0],
        "density": records.numbers(run[f"{kind}_density"][-1, -1]),
    }


def _sparsity(found: list[dict]) -> dict:
    """The shares that `shapes.sparsity` names, for each seed at the end, of the hidden layers (seeds, layers)."""
    names = ("input_near", "output_zero", "given_near")
    return {name: [records.numbers(run[name][-1]) for run in found] for name in names}


# ---- Places of feature maps ----------------------------------------------------------------------


def _places(found: list[dict]) -> dict:
    """Of each convolution of the network with BN, `first` before its training and `trained` after it.

    `counted`: how many places a part of the grid has; for each seed, how many independent values a mini-batch of them
    is worth for the `mean` and for the `variance` (seeds, parts), and the correlation of `neighbours` (seeds,).
    """

    def of_layer(k: int, at: int) -> dict:
        return {
            "counted": found[0][f"places_{k}"][at].astype(int).tolist(),
            "mean": [records.numbers(run[f"mean_{k}"][at]) for run in found],
            "variance": [records.numbers(run[f"variance_{k}"][at]) for run in found],
            "neighbours": records.numbers([run[f"neighbours_{k}"][at] for run in found]),
        }

    layers = range(1, len(CHANNELS) + 1)
    return {name: [of_layer(k, at) for k in layers] for name, at in (("first", 0), ("trained", -1))}
