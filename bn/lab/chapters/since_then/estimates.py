"""Estimates of what later papers claim, from one record. All are paired by seed."""

import numpy as np

from bn.lab.judge import statistics
from bn.lab.judge.statistics import Estimate

TARGET = 0.9  # accuracy on validation images to which steps are counted
LAST = 5  # evaluations in a final accuracy, or a third of them where there are fewer
EARLY = 0.2  # of the training, in which moving averages may lag


def final(curves: list[list[float]]) -> np.ndarray:
    """The mean of the last evaluations of each seed."""
    curves = np.array(curves, float)
    return curves[:, -min(LAST, curves.shape[1] // 3) :].mean(1)


def of_training(network: dict, name: str) -> np.ndarray:
    """The geometric mean over the evaluations of each seed, of a positive quantity."""
    with np.errstate(all="ignore"):
        return np.exp(np.log(np.array(network[name], float)).mean(1))


def at_first(network: dict, name: str) -> np.ndarray:
    """A quantity at the first weights of each seed."""
    return np.array(network[name], float)[:, 0]


def steps_to_target(network: dict) -> np.ndarray:
    """Of each seed the steps to TARGET, on a straight line between evaluations; the whole run where it never is."""
    steps = np.array(network["steps"], float)
    return np.array([_reached(steps, np.array(curve, float)) for curve in network["validation"]])


def _reached(steps: np.ndarray, curve: np.ndarray) -> float:
    passed = np.flatnonzero(curve >= TARGET)
    if not len(passed):
        return steps[-1]
    k = passed[0]
    if k == 0:
        return steps[0]
    return float(np.interp(TARGET, curve[[k - 1, k]], steps[[k - 1, k]]))


def shift_of_gradients(record: dict) -> dict[str, Estimate]:
    """At one rate, BN over plain: how far a layer's gradient moves when those below are updated, and its cosine.

    Over the training, and at the first weights.
    """
    plain, bn = record["deep"]["plain"], record["deep"]["bn_equal"]
    cosine = {name: np.mean(np.array(net["cosine"], float), axis=1) for name, net in (("plain", plain), ("bn", bn))}
    return {
        "shift_ratio": statistics.ratio(of_training(bn, "shift"), of_training(plain, "shift")),
        "cosine_gain": statistics.mean(cosine["bn"] - cosine["plain"]),
        "cosine_plain": statistics.mean(cosine["plain"]),
        "cosine_bn": statistics.mean(cosine["bn"]),
        "moved_bn": statistics.ratio(of_training(bn, "moved"), of_training(plain, "moved")),
        "first_shift": statistics.ratio(at_first(bn, "shift"), at_first(plain, "shift")),
        "first_cosine": statistics.mean(at_first(bn, "cosine") - at_first(plain, "cosine")),
    }


def noise(record: dict) -> dict[str, Estimate]:
    """Steps to TARGET of BN with noise over those of BN and of the plain network, and how far its inputs move."""
    plain, bn, noisy = (record["deep"][name] for name in ("plain", "bn", "noisy"))
    steps = {name: steps_to_target(record["deep"][name]) for name in ("plain", "bn", "noisy")}
    return {
        "over_bn": statistics.ratio(steps["noisy"], steps["bn"]),
        "over_plain": statistics.ratio(steps["noisy"], steps["plain"]),
        "moved_ratio": statistics.ratio(of_training(noisy, "moved"), of_training(plain, "moved")),
        "moved_over_bn": statistics.ratio(of_training(noisy, "moved"), of_training(bn, "moved")),
    }


def smoothness(record: dict) -> dict[str, Estimate]:
    """Along the gradient at one rate, BN over plain: the range of the loss, and the change of the gradient.

    Over the training, and at the first weights.
    """
    plain, bn = record["deep"]["plain"], record["deep"]["bn_equal"]
    found = {}
    for name in ("range", "turned"):
        found[f"{name}_ratio"] = statistics.ratio(of_training(bn, name), of_training(plain, name))
        found[f"first_{name}"] = statistics.ratio(at_first(bn, name), at_first(plain, name))
    return found


def effective_smoothness(record: dict) -> dict[str, Estimate]:
    """The change of the gradient over the length of the step: BN at the same rate, and at its own, over plain."""
    plain, equal, own = (of_training(record["deep"][name], "smoothness") for name in ("plain", "bn_equal", "bn"))
    return {"smoothness_ratio": statistics.ratio(equal, plain), "smoothness_own": statistics.ratio(own, plain)}


def error(part: dict, network: str, batch: int) -> list[float]:
    """Final test errors in percent, of each seed."""
    return part[network][str(batch)]["error"]


def rise(part: dict, network: str, batch: int = 2) -> Estimate:
    """The error with small mini-batches over that with 32."""
    return statistics.ratio(error(part, network, batch), error(part, network, 32))


def small_batches(record: dict) -> dict[str, Estimate]:
    """The rise of BN's error with mini-batches of 2 and of 4, and with maps."""
    part, maps = record["small"], record["maps"]
    return {
        "rise_2": rise(part, "bn"),
        "rise_4": rise(part, "bn", 4),
        "rise_maps": rise(maps, "bn"),
        "error_2": statistics.mean(error(part, "bn", 2), (0, 100)),
        "error_32": statistics.mean(error(part, "bn", 32), (0, 100)),
        "error_2_maps": statistics.mean(error(maps, "bn", 2), (0, 100)),
        "error_32_maps": statistics.mean(error(maps, "bn", 32), (0, 100)),
    }


def other_normalizers(record: dict) -> dict[str, Estimate]:
    """The rise of each normalizer's error at 2; that of Renorm over BN's; and with maps their errors at 2 over BN's."""
    part, maps = record["small"], record["maps"]
    rises = {name: np.divide(error(part, name, 2), error(part, name, 32)) for name in ("bn", "renorm")}
    return {
        **{f"{name}_rise": rise(part, name) for name in part},
        **{f"{name}_rise_maps": rise(maps, name) for name in maps},
        "renorm_to_bn": statistics.ratio(rises["renorm"], rises["bn"]),
        **{
            f"{name}_to_bn_maps": statistics.ratio(error(maps, name, 2), error(maps, "bn", 2))
            for name in ("group", "instance")
        },
    }


def rates(record: dict) -> dict[str, Estimate]:
    """Points of final test accuracy that BN gains at the plain network's rate, at its own, and what own rates add."""
    plain, equal, own = (100 * final(record["deep"][name]["test"]) for name in ("plain", "bn_equal", "bn"))
    return {
        "gain_equal": statistics.mean(equal - plain),
        "gain_own": statistics.mean(own - plain),
        "by_rate": statistics.mean((own - plain) - 2 * (equal - plain)),
    }


def scaling(record: dict) -> dict[str, Estimate]:
    """The largest relative difference of two trainings that should be one."""
    return {name: statistics.extremes(values) for name, values in record["scaling"].items()}


def products(record: dict) -> dict[str, Estimate]:
    """At the end: effective rate and accuracy of one product of rate and weight decay, and of four times as much."""
    slow, fast, more = (record["products"][name] for name in ("slow", "fast", "more"))
    rate = {name: final(net["effective"]) for name, net in (("slow", slow), ("fast", fast), ("more", more))}
    accuracy = {name: 100 * final(net["test"]) for name, net in (("slow", slow), ("fast", fast), ("more", more))}
    return {
        "effective_ratio": statistics.ratio(rate["fast"], rate["slow"]),
        "accuracy_gap": statistics.mean(accuracy["fast"] - accuracy["slow"]),
        "other_ratio": statistics.ratio(rate["more"], rate["slow"]),
        "other_gap": statistics.mean(accuracy["more"] - accuracy["slow"]),
    }


def separate(record: dict) -> dict[str, Estimate]:
    """Points of test error that statistics of two images each add to those of the whole mini-batch; and with maps."""
    found = {}
    for suffix, part in (("", "small"), ("_maps", "maps")):
        apart, joined = np.array(error(record["separate"], part, 32)), np.array(error(record[part], "bn", 32))
        found[f"separate_cost{suffix}"] = statistics.mean(apart - joined)
        found[f"error_separate{suffix}"] = statistics.mean(apart, (0, 100))
        found[f"error_joined{suffix}"] = statistics.mean(joined, (0, 100))
    return found


def gaps(part: dict, averages: str) -> np.ndarray:
    """Points of test accuracy that recomputed statistics have over moving averages, (seeds, evaluations).

    `averages`: "corrected", without what is left in them of the 0 and the 1 that they began with, or "moving", with it.
    """
    return 100 * (np.array(part["recomputed"], float) - np.array(part[averages], float))


def averages(record: dict) -> dict[str, Estimate]:
    """Those points early in the training and at its end, of the long memory; and of the short one.

    `early_gap` and `late_gap` are of averages without their start, `start_gap` is the early one with it.
    """
    found = {}
    for suffix, memory in (("", "0.01"), ("_short", "0.1")):
        part = record["averages"][memory]
        steps, gap = np.array(part["steps"]), gaps(part, "corrected")
        early = (steps > 0) & (steps <= max(EARLY * steps[-1], steps[1]))
        found[f"early_gap{suffix}"] = statistics.mean(gap[:, early].mean(1))
        found[f"late_gap{suffix}"] = statistics.mean(final(gap))
        found[f"start_gap{suffix}"] = statistics.mean(gaps(part, "moving")[:, early].mean(1))
    return found


def domains(record: dict) -> dict[str, Estimate]:
    """Of images of each kind: points of accuracy lost by the old statistics, and the share that new ones give back."""
    found = {}
    for name, part in record["shifted"].items():
        clean, old, new = (np.array(part[key], float) for key in ("clean", "old", "new"))
        with np.errstate(all="ignore"):
            found[f"{name}_back"] = statistics.mean((new - old) / (clean - old))
        found[f"{name}_lost"] = statistics.mean(100 * (clean - old))
    return found


ESTIMATES = {
    "later-shift-not-reduced": shift_of_gradients,
    "later-noise-as-fast": noise,
    "later-smoother": smoothness,
    "later-effective-smoothness": effective_smoothness,
    "later-small-batches": small_batches,
    "later-other-normalizers": other_normalizers,
    "later-gain-by-rates": rates,
    "later-scaled-trajectory": scaling,
    "later-one-product": products,
    "later-joined-statistics": separate,
    "later-averages-lag": averages,
    "future-domain-adaptation": domains,
}
