"""Estimates of section 4.1, and of what the paper says of rates, first weights and optimizers, from one record.

All are paired: of a seed both networks have the same first weights, up to their deviation, and the same mini-batches.
"""

import math
from functools import partial
from itertools import pairwise

import numpy as np

from bn.lab import paper, quoted
from bn.lab.judge import curves, statistics
from bn.lab.judge.statistics import Estimate
from bn.lab.train.mlp import CLASSES, FEATURES, HIDDEN

TARGET = 0.95  # of "steps to 95%", on validation images, and of "passes 95%", on test images
LAST = 10  # evaluations in a final accuracy
WARM_UP = 0.2  # of the training, in which moving averages lag behind weights that move fast
SHARE = 0.0, 1.0  # the bounds of one
_OTHER_DRIFTS = ("kolmogorov", "to_final", "later")


def final(accuracy: list[float]) -> float:
    """Mean of the last ten evaluations."""
    return float(np.mean(accuracy[-LAST:]))


def points(ours: list[float], theirs: list[float]) -> Estimate:
    """Mean difference of accuracies, seed by seed, in percentage points."""
    return statistics.mean(100 * (np.array(ours, float) - np.array(theirs, float)))


def steps_to_target(network: dict) -> list[float]:
    """For each seed, the steps to the validation accuracy TARGET."""
    return curves.steps_reaching(network, TARGET)


def speed(record: dict, part: str) -> dict[str, Estimate]:
    """Steps to TARGET, BN over plain, where a seed that never gets there counts its whole run; and the final gain."""
    plain, bn = record[part]["plain"], record[part]["bn"]
    to_plain, to_bn = (curves.steps_reaching(network, TARGET, whole=True) for network in (plain, bn))
    return {
        "steps_ratio": statistics.ratio(to_bn, to_plain),
        "final_gain": points([final(seed) for seed in bn["test"]], [final(seed) for seed in plain["test"]]),
        "reached_plain": statistics.share(np.isfinite(steps_to_target(plain))),
        "reached_bn": statistics.share(np.isfinite(steps_to_target(bn))),
    }


def stability(record: dict, part: str) -> dict[str, Estimate]:
    """How far the inputs' distributions move between two looks, for the median unit: BN over plain, in four ways."""
    plain, bn = record[part]["plain"], record[part]["bn"]
    drift = {name: np.median(np.array(network["drift"], float), axis=1) for name, network in record[part].items()}
    beside = {f"{name}_ratio": _ratio(bn[f"drift_{name}"], plain[f"drift_{name}"]) for name in _OTHER_DRIFTS}
    return {
        "drift_ratio": _ratio(drift["bn"], drift["plain"]),
        "drift_plain": statistics.mean(drift["plain"]),
        "drift_bn": statistics.mean(drift["bn"]),
        **beside,
    }


def _ratio(bn: list[float | None], plain: list[float | None]) -> Estimate:
    return statistics.ratio(np.array(bn, float), np.array(plain, float))


def baseline_drift(record: dict, part: str) -> dict[str, Estimate]:
    """Between 2% of the training and its end, for the median unit: shift of the mean, and growth of the deviation."""
    found = {}
    for suffix, name in (("", "plain"), ("_bn", "bn")):
        shift, growth = (
            np.median(np.array(record[part][name][quantity], float), axis=1)  # what is None becomes NaN
            for quantity in ("mean_shift", "std_growth")
        )
        found[f"mean_shift{suffix}"] = statistics.mean(shift)
        found[f"std_growth{suffix}"] = statistics.ratio(growth, np.ones(len(growth)))
    return found


def moving_averages(record: dict) -> dict[str, Estimate]:
    """Points of test accuracy that moving averages have over population statistics, at the look farthest from 0.

    `gap` after the warm-up, `early_gap` in it; `_slow` is of the second momentum.
    """
    network = record["figure1"]["bn"]
    late = np.array(network["look_steps"]) > WARM_UP * network["steps"][-1]
    found = {}
    for k, name in enumerate(("", "_slow")):
        gaps = look_gaps(network, k)
        found[f"gap{name}"] = _farthest(gaps[:, late])
        found[f"early_gap{name}"] = _farthest(gaps[:, ~late])
    return found


def look_gaps(network: dict, momentum: int) -> np.ndarray:
    """Moving averages of one momentum less population statistics, points of test accuracy, (seeds, looks)."""
    moving = np.array([of_seed[momentum] for of_seed in network["moving"]], float)
    return 100 * (moving - np.array(network["population"], float))


def _farthest(gaps: np.ndarray) -> Estimate:
    """The estimate of the look (seeds, looks) with the end that lies farthest from 0, or of one seed the value."""
    looks = [statistics.mean(of_look) for of_look in gaps.T]
    return max(looks, key=lambda e: abs(e.value) if math.isnan(e.low) else max(abs(e.low), abs(e.high)))


def ahead(record: dict) -> dict[str, Estimate]:
    """Shares of the settings of the grid: where BN has the larger area, and where each network passes TARGET."""
    area, test = (
        {name: np.array(record["grid"][name][key], float) for name in ("plain", "bn")} for key in ("area", "test")
    )
    return {
        "cells_ahead": statistics.mean((area["bn"] > area["plain"]).mean(0), SHARE),
        "passed_bn": statistics.mean((test["bn"] >= TARGET).mean(0), SHARE),
        "passed_plain": statistics.mean((test["plain"] >= TARGET).mean(0), SHARE),
    }


def highest_rate(record: dict) -> dict[str, Estimate]:
    """The largest rate of the ladder whose final test accuracy is at least TARGET: BN over plain."""
    highest = {name: highest_rates(record["ladder"], name) for name in ("plain", "bn")}
    return {
        "rate_ratio": statistics.ratio(highest["bn"], highest["plain"]),
        "highest_plain": statistics.ratio(highest["plain"], np.ones(len(highest["plain"]))),
        "highest_bn": statistics.ratio(highest["bn"], np.ones(len(highest["bn"]))),
    }


def highest_rates(ladder: dict, name: str) -> list[float]:
    """For each seed; half the smallest rate where none passes."""
    passed = np.array(ladder[name]["test"], float) >= TARGET
    rates = np.array(ladder["rates"])
    return [float(rates[of_seed].max(initial=rates[0] / 2)) for of_seed in passed.T]


def first_weights(record: dict) -> dict[str, Estimate]:
    """The range of the final test accuracy over the deviations of the first weights: BN over plain, and of each."""
    accuracy = {name: 100 * np.array(record["spread"][name]["test"], float) for name in ("plain", "bn")}
    span = {name: of_network.max(0) - of_network.min(0) for name, of_network in accuracy.items()}
    return {
        "range_ratio": statistics.ratio(span["bn"], span["plain"]),
        "range_plain": statistics.mean(span["plain"]),
        "range_bn": statistics.mean(span["bn"]),
    }


def optimizers(record: dict) -> dict[str, Estimate]:
    """Final test accuracy with BN by the optimizer that has the lowest lower end, and the gain of BN for each."""
    by_name = record["optimizers"]["by_name"]
    ends = [statistics.mean(100 * np.array(of["bn"]["test"], float), (0, 100)) for of in by_name.values()]
    gains = {f"gain_{name}": points(of["bn"]["test"], of["plain"]["test"]) for name, of in by_name.items()}
    return {"lowest": min(ends, key=lambda e: e.value if math.isnan(e.low) else e.low), **gains}


def setup(_record: dict) -> dict[str, Estimate]:
    """Weights and biases of the network of section 4.1, and how often all images pass through it."""
    widths = (FEATURES, *HIDDEN, CLASSES)
    counts = {
        "parameters": sum((inputs + 1) * outputs for inputs, outputs in pairwise(widths)),
        "epochs": paper.MNIST_STEPS * paper.MNIST_BATCH / quoted.MNIST_IMAGES,
        "images": quoted.MNIST_IMAGES,
    }
    return {name: statistics.extremes([count]) for name, count in counts.items()}


ESTIMATES = {
    "fig1a-accuracy": partial(speed, part="figure1"),
    "own-best-speed": partial(speed, part="tuned"),
    "fig1bc-stability": partial(stability, part="figure1"),
    "fig1bc-stability-tuned": partial(stability, part="tuned"),
    "baseline-mean-var-drift": partial(baseline_drift, part="figure1"),
    "baseline-mean-var-drift-tuned": partial(baseline_drift, part="tuned"),
    "moving-averages": moving_averages,
    "ahead-at-most-settings": ahead,
    "higher-lr-no-divergence": highest_rate,
    "less-care-initialization": first_weights,
    "any-optimizer": optimizers,
    "mnist-setup": setup,
}
