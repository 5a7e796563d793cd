"""Estimates of sections 1 and 2 from one record; all are over seeds, and paired."""

import math

import numpy as np

from bn.lab.judge import statistics
from bn.lab.judge.statistics import Estimate

_OF_CHANGES = (("", "change", [-1, 0]), ("first_", "change_of_first", [-1, 0]), ("gradient_", "gradient", [0, -1]))


def saturation(record: dict) -> dict[str, Estimate]:
    """What training adds to the share of saturated sigmoids, percentage points, the deepest less the shallowest; and
    the ratio of the gradients of the first and the last layer at the end, the deepest over the shallowest."""
    depth, found = record["depth"], {}
    for suffix, name in (("", "plain"), ("_bn", "bn")):
        shallow, deep = depth[name][0], depth[name][-1]
        added = {key: _added(of) for key, of in (("shallow", shallow), ("deep", deep))}
        found[f"added{suffix}"] = statistics.mean(added["deep"] - added["shallow"])
        found |= {f"added_{key}{suffix}": statistics.mean(values) for key, values in added.items()}
        ends = {key: np.array(of["gradient_ratio"], float)[:, -1] for key, of in (("shallow", shallow), ("deep", deep))}
        found[f"gradient{suffix}"] = statistics.ratio(ends["deep"], ends["shallow"])
        found |= {f"accuracy_{key}{suffix}": _percent(of) for key, of in (("shallow", shallow), ("deep", deep))}
    return found


def _added(cell: dict) -> np.ndarray:
    start, end = 100 * np.array(cell["saturated"], float).T
    return end - start


def _percent(cell: dict) -> Estimate:
    return statistics.mean(100 * np.array(cell["test"], float), (0, 100))


def amplification(record: dict) -> dict[str, Estimate]:
    """How many times as far a small change of the weights moves the input of the last nonlinearity as of the first.

    By activation and network: of all weights; `first_` of the first layer's alone; `gradient_` of the loss, first layer
    over last.
    """
    found = {}
    for activation, networks in record["change"].items():
        for name, of in networks.items():
            for prefix, key, ends in _OF_CHANGES:
                found[f"{prefix}{activation}_{name}"] = statistics.ratio(*np.array(of[key], float)[:, ends].T)
    return found


def regression(record: dict, kind: str) -> dict[str, Estimate]:
    """How many times fewer steps gradient descent needs with such inputs than with raw ones, each at its best rate."""
    steps = {name: of["steps"] for name, of in record["regression"].items()}
    return {
        "fewer": statistics.ratio(steps["raw"], steps[kind]),
        **{f"steps_{name}": statistics.ratio(values, np.ones(len(values))) for name, values in steps.items()},
        "correlation": statistics.mean(record["regression"][kind]["largest"]),
    }


def outside(record: dict) -> dict[str, Estimate]:
    """Mean and deviation outside the gradient step: the toy, and the networks at the rate that is best inside."""
    networks = record["outside"]["networks"]
    ends = {key: {name: np.array(of[key], float)[:, -1] for name, of in networks.items()} for key in ("growth", "loss")}
    toy = record["toy"]
    return {
        "toy_loss": statistics.mean(toy["loss"]),
        "toy_step": statistics.mean(toy["step"]),
        "toy_growth": statistics.ratio(toy["growth"], np.ones(len(toy["growth"]))),
        "growth": statistics.ratio(ends["growth"]["outside"], ends["growth"]["inside"]),
        "loss": statistics.ratio(ends["loss"]["outside"], ends["loss"]["centred"]),
        **{f"accuracy_{name}": _percent(of) for name, of in networks.items()},
        **{f"growth_{name}": statistics.ratio(v, np.ones(len(v))) for name, v in ends["growth"].items()},
        **{f"loss_{name}": statistics.ratio(v, np.ones(len(v))) for name, v in ends["loss"].items()},
    }


def costs(record: dict) -> dict[str, Estimate]:
    """By which power of the width the cost of whitening grows more than that of BN, timed and counted; the derivative
    of the inverse root by the power of the smallest eigenvalue; and the ratio of times at the largest width."""
    cost, derivative = record["cost"], record["derivative"]
    doublings = math.log(cost["widths"][-1] / cost["widths"][0])
    seconds = {name: np.array(of, float) for name, of in cost["seconds"].items()}
    ratio = seconds["whitening"] / seconds["bn"]
    adds = np.array(cost["adds"]["whitening"]) / np.array(cost["adds"]["bn"])
    sizes = np.array(derivative["size"], float)
    n = len(sizes)
    return {
        "timed": statistics.mean(np.log(ratio[:, -1] / ratio[:, 0]) / doublings),
        "counted": statistics.mean(np.full(n, math.log(adds[-1] / adds[0]) / doublings)),
        "derivative": statistics.mean(slope(derivative["eigenvalues"], sizes)),
        "times": statistics.ratio(seconds["whitening"][:, -1], seconds["bn"][:, -1]),
        "through_eigenvectors": statistics.share(derivative["by_eigenvectors"]),
        "there": statistics.mean(derivative["there"]),
    }


def slope(eigenvalues: list[float], sizes: np.ndarray) -> np.ndarray:
    """The power by which the derivative changes with the eigenvalue, from the first to the last (seeds,)."""
    return np.log(sizes[:, -1] / sizes[:, 0]) / math.log(eigenvalues[-1] / eigenvalues[0])


def batch(record: dict) -> dict[str, Estimate]:
    """How many times as long single examples take as the mini-batch of all of them."""
    return {"slower": statistics.ratio(record["batch"]["alone"], record["batch"]["together"])}


ESTIMATES = {
    "batch-parallel-efficiency": batch,
    "small-changes-amplify": amplification,
    "saturation-grows-with-depth": saturation,
    "whitening-speeds-input": lambda record: regression(record, "whitened"),
    "scale-variant-worse": outside,
    "whitening-expensive": costs,
    "decorrelation-unneeded": lambda record: regression(record, "standardized"),
}
