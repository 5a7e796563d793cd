"""Estimates of section 3.2 and of two sentences of section 5, from one record.

All are paired: networks of a seed have the same first weights and the same mini-batches, and what is measured of u and
of Wu is measured in one network.
"""

from functools import partial

import numpy as np

from bn.lab.judge import statistics
from bn.lab.judge.statistics import Estimate

LAYER = 0  # the first convolution, whose maps have the most places
_SHARE = 0.0, 1.0


def placement(record: dict) -> dict[str, Estimate]:
    """Points of final test accuracy by which BN before the nonlinearity is ahead of each other place, by activation."""
    return {
        f"{other}_{kind}": gain(record, kind, other)
        for kind in ("relu", "sigmoid")
        for other in ("after", "input", "none")
    }


def gain(record: dict, kind: str, other: str) -> Estimate:
    """Of BN before the nonlinearity over another place, in percentage points, each at its own best rate."""
    networks = record["accuracy"][kind]
    ours, theirs = (100 * np.array(networks[name]["final_test"], float) for name in ("before", other))
    return statistics.mean(ours - theirs)


def gaussian(record: dict, kind: str) -> dict[str, Estimate]:
    """|Skewness| and |excess kurtosis| of the median unit at the end: Wu over u, without BN and with it.

    Without a ratio the two themselves, `_u` and `_wu`.
    """
    found = {}
    for network, name in (("none", "plain"), ("before", "bn")):
        u, wu = (record["shapes"][kind][network][of] for of in ("u", "wu"))
        for moment in ("skewness", "kurtosis"):
            ends = [[seed[-1] for seed in of[moment]] for of in (wu, u)]
            found[f"{moment}_{name}"] = ratio(*ends)
            means = [statistics.mean(np.array(values, float)) for values in ends]
            found |= {f"{moment}_{name}_wu": means[0], f"{moment}_{name}_u": means[1]}
    return found


def ratio(ours: list[float | None], theirs: list[float | None]) -> Estimate:
    """Paired, with None for what was not finite."""
    return statistics.ratio(np.array(ours, float), np.array(theirs, float))


def shape_moves(record: dict) -> dict[str, Estimate]:
    """How far the median unit's distribution moves, mean and deviation aside, and u over Wu, by activation.

    In the plain network both; and u where BN normalizes u, Wu where it normalizes Wu.
    """
    found = {}
    for kind, networks in record["shapes"].items():
        pairs = {"plain": ("none", "none"), "normalized": ("after", "before")}
        for name, (of_u, of_wu) in pairs.items():
            u, wu = networks[of_u]["u"]["moved"], networks[of_wu]["wu"]["moved"]
            found[f"{name}_{kind}_u"] = statistics.mean(np.array(u, float))
            found[f"{name}_{kind}_wu"] = statistics.mean(np.array(wu, float))
            found[f"{name}_{kind}_ratio"] = ratio(u, wu)
    return found


def near_zero(record: dict) -> dict[str, Estimate]:
    """Of inputs of the nonlinearity, those within a thousandth of a deviation of 0, in the layer that has the most.

    Without BN and with it, of the fully-connected networks with ReLU and of the convolutional ones (`_maps`). Beside
    it the share of outputs of the ReLU that are 0.
    """
    found = {}
    for suffix, kind in (("", "relu"), ("_maps", "maps")):
        for network, name in (("none", "plain"), ("before", "bn")):
            of = record["sparsity"][kind][network]
            found[f"{name}{suffix}"] = statistics.mean(of_layers(of["input_near"]).max(1), _SHARE)
            found[f"{name}{suffix}_zeros"] = statistics.mean(of_layers(of["output_zero"]).mean(1), _SHARE)
    return found


def of_layers(shares: list[list[float | None]]) -> np.ndarray:
    """(seeds, layers)."""
    return np.array(shares, float)


def sparse_outputs(record: dict) -> dict[str, Estimate]:
    """Shares of the outputs of the ReLU that are 0, and of what the next layer is given near 0: BN before and after."""
    return {
        f"{what}_{name}": statistics.mean(of_layers(record["sparsity"]["relu"][name][key]).mean(1), _SHARE)
        for what, key in (("zeros", "output_zero"), ("given", "given_near"))
        for name in ("before", "after", "none")
    }


# ---- Counts: the same for every seed -------------------------------------------------------------


def pairs(record: dict) -> dict[str, Estimate]:
    """Of one fully-connected layer: its units and its numbers γ and β."""
    layer = record["counts"]["units"]["layers"][0]
    return _counted(units=layer["maps"], added=layer["added"], each=layer["added"] / layer["maps"])


def per_map(record: dict) -> dict[str, Estimate]:
    """Of Figure 5's network: its maps, γ and β, which share of its parameters they are, and of as many as places."""
    of = record["counts"]["figure5"]
    return _counted(
        **{name: of[name] for name in ("norms", "maps", "added", "activations")},
        share=of["added"] / of["parameters"],
        each=of["added"] / of["maps"],
        per_activation=2 * of["activations"],
    )


def parameters(record: dict) -> dict[str, Estimate]:
    """What BN adds to the network of section 4.1 for each activation, and with the biases that it takes away."""
    of = record["counts"]["units"]
    net = of["added"] - of["removed"]
    return _counted(
        each=of["added"] / of["activations"],
        net_each=net / of["activations"],
        activations=of["activations"],
        share=of["added"] / of["parameters"],
    )


def _counted(**numbers: float) -> dict[str, Estimate]:
    return {name: statistics.extremes([number]) for name, number in numbers.items()}


# ---- Places of a feature map ---------------------------------------------------------------------


def worth(record: dict, statistic: str, state: str = "trained", layer: int = LAYER) -> Estimate:
    """How many independent values a mini-batch's feature map is worth for its `mean` or its `variance`."""
    whole = [seed[0] for seed in record["places"][state][layer][statistic]]
    return statistics.ratio(np.array(whole, float), np.ones(len(whole)))


ESTIMATES = {
    "bn-before-nonlinearity": placement,
    "normalizing-u-insufficient": shape_moves,
    "preact-more-gaussian": partial(gaussian, kind="relu"),
    "preact-more-gaussian-sigmoid": partial(gaussian, kind="sigmoid"),
    "per-dimension-pair": pairs,
    "conv-params-per-map": per_map,
    "two-params-per-activation": parameters,
    "standardization-layer": sparse_outputs,
    "no-sparse-preactivations": near_zero,
}
