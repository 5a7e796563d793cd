"""Estimates of sections 1 and 2 from one record; all are over seeds, and paired."""

import math
from collections.abc import Sequence

import numpy as np

from bn.lab.judge import statistics
from bn.lab.judge.statistics import Estimate

_OF_CHANGES = (
    ("", "change_of_first", [-1, 0]),
    ("all_", "change", [-1, 0]),
    ("spread_", "spread", [-1, 0]),
    ("gradient_", "gradient", [0, -1]),
)
WITHIN = ("both", "mean")  # what is inside the gradient or outside of it: mean and deviation, or the mean alone


def saturation(record: dict) -> dict[str, Estimate]:
    """What training adds to the share of saturated sigmoids, in percentage points, and the ratio of the gradients of
    the first and the last layer at its end.

    Of both that of the deepest network against the shallowest, and `_step` of a network against the next shallower
    one, where it grows least or falls least. `start` and `start_small`: the ratio at the first weights, deepest over
    shallowest, at those that are trained and at those of Glorot and Bengio.
    """
    depth, found = record["depth"], {}
    for suffix, name in (("", "plain"), ("_bn", "bn")):
        added, ratios = _added(depth[name]), _ratios(depth[name])
        start, end = ratios[..., 0], ratios[..., 1]
        of_cells = {
            "added_shallow": statistics.mean(added[0]),
            "added_deep": statistics.mean(added[-1]),
            "added": statistics.mean(added[-1] - added[0]),
            "added_step": _least(np.diff(added, axis=0)),
            "start": statistics.ratio(start[-1], start[0]),
            "gradient": statistics.ratio(end[-1], end[0]),
            "gradient_step": _largest(end[1:] / end[:-1]),
            "accuracy_shallow": percent(depth[name][0]["test"]),
            "accuracy_deep": percent(depth[name][-1]["test"]),
        }
        found |= {f"{key}{suffix}": estimate for key, estimate in of_cells.items()}
    small = np.array(depth["small"], float)[..., 0]
    return found | {"start_small": statistics.ratio(small[-1], small[0])}


def _added(cells: list[dict]) -> np.ndarray:
    """By depth and seed."""
    start, end = np.moveaxis(100 * np.array([cell["saturated"] for cell in cells], float), -1, 0)
    return end - start


def _ratios(cells: list[dict]) -> np.ndarray:
    """Of the gradients, by depth and seed, at the start and at the end."""
    return np.array([cell["gradient_ratio"] for cell in cells], float)


def _least(rows: np.ndarray) -> Estimate:
    """The mean over seeds of the row that has the smallest."""
    return statistics.mean(rows[np.argmin(rows.mean(1))])


def _largest(rows: np.ndarray) -> Estimate:
    """The geometric mean over seeds of the row that has the largest."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return _geometric(rows[np.argmax(np.log(rows).mean(1))])


def _geometric(values: Sequence[float]) -> Estimate:
    """The geometric mean over seeds, with the t-interval of the logarithms."""
    values = np.array(values, float)
    return statistics.ratio(values, np.ones(len(values)))


def percent(shares: list[float | None]) -> Estimate:
    """A share of each seed as a percentage."""
    return statistics.mean(100 * np.array(shares, float), (0, 100))


def amplification(record: dict) -> dict[str, Estimate]:
    """How many times as far a small change of the first layer's weights moves the input of the last nonlinearity as of
    the first, over the spread of these inputs.

    By activation and network; `all_` where all weights change, `spread_` of the spread itself, `gradient_` of the
    gradient of the loss, first layer over last.
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
        **{f"steps_{name}": _geometric(values) for name, values in steps.items()},
        "correlation": statistics.mean(record["regression"][kind]["largest"]),
    }


def outside(record: dict) -> dict[str, Estimate]:
    """Mean and deviation outside the gradient step: the toy, and the networks at the higher rate.

    `_both` and `_mean`: outside over inside of mean and deviation, and of the mean alone; `worse`: the one over the
    other, of losses; `slower_`: at the lower rate.
    """
    networks, slower, toy = record["outside"]["networks"], record["outside"]["slower"], record["toy"]
    ends = {
        key: {name: np.array(of[key], float)[:, -1] for name, of in networks.items()}
        for key in ("growth", "loss", "inference_loss")
    }
    found = {
        "toy_loss": statistics.mean(toy["loss"]),
        "toy_step": statistics.mean(toy["step"]),
        "toy_growth": _geometric(toy["growth"]),
        **{f"accuracy_{name}": percent(of["accuracy"]) for name, of in networks.items()},
        **{f"inference_accuracy_{name}": percent(of["inference_accuracy"]) for name, of in networks.items()},
        **{f"slower_loss_{name}": _geometric([seed[-1] for seed in of["loss"]]) for name, of in slower.items()},
    }
    for key, of in ends.items():
        found |= {f"{key}_{name}": _geometric(values) for name, values in of.items()}
        found |= {f"{key}_{pair}": statistics.ratio(of[f"{pair}_outside"], of[f"{pair}_inside"]) for pair in WITHIN}
    both, mean = (ends["loss"][f"{pair}_outside"] / ends["loss"][f"{pair}_inside"] for pair in WITHIN)
    return found | {"worse": statistics.ratio(both, mean)}


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
    """How many times as much processor time single examples take as the mini-batch of all of them."""
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
