"""Estimates behind the claims of section 4.2, from the records of notebooks 08, 09 and 10.

Every curve is read in the same way: the running median of five evaluations on validation images, so that no lucky
evaluation counts. The target is the largest such median of Inception, mean over its seeds: what the paper calls its
maximum accuracy. A run that never reaches it has infinitely many steps; where that would make a ratio larger than it
is, it counts with its whole length instead.
"""

import math
from collections.abc import Callable, Iterable

import numpy as np

from bn.lab.judge.claims import Estimate, mean_with_interval, ratio_with_interval, running_median, steps_to

LAST = 5  # evaluations in a final accuracy
NEAR = 0.95  # of the target: a second, earlier one
LOST = 1.5  # times chance: a network below that has learned nothing

# Figure 3: millions of steps to 72.2%, and the largest accuracy in percent.
PAPER = {
    "inception": (31.0, 72.2),
    "bn_baseline": (13.3, 72.7),
    "bn_x5": (2.1, 73.0),
    "bn_x30": (2.7, 74.8),
    "bn_x5_sigmoid": (math.inf, 69.8),
}
PEAK = 6.0  # million steps of BN-x30 to its maximum, section 4.2.2
# Figure 4: errors in percent on ImageNet's validation images, top-1 (not every source gives it) and top-5.
FIGURE_4 = {"single": (25.2, 7.82), "multicrop": (21.99, 5.82), "ensemble": (20.1, 4.9)}
PRIOR = {
    "googlenet": (None, 6.67),
    "deep image low": (None, 7.96),
    "deep image high": (24.88, 7.42),
    "deep image ensemble": (None, 5.98),
}
SERVER = {"he": 4.94, "ours": 4.82}  # top-5 errors on the 100,000 test images, section 4.2.3
_TEST_IMAGES, _TRAINING_IMAGES, _BATCH = 100_000, 1_281_167, 32


def final(accuracy: list[float | None]) -> float:
    """Mean of the last five evaluations; NaN for a network that diverged."""
    return float(np.mean(np.array(accuracy[-LAST:], float)))


def peak(accuracy: list[float | None]) -> float:
    """The largest running median that a network came to, before a divergence too; 0 if it diverged before the first."""
    medians = running_median(np.array(accuracy, float))
    return float(np.nanmax(medians)) if np.isfinite(medians).any() else 0.0


def peaks(network: dict) -> list[float]:
    """For each seed, the largest running median on validation images."""
    return [peak(seed) for seed in network["validation"]]


def target(record: dict) -> float:
    """Inception's best validation accuracy, mean over its seeds."""
    return float(np.mean(peaks(record["networks"]["inception"])))


def steps_to_own_peak(network: dict) -> list[float]:
    """For each seed, the first step at which its running median is as large as it ever gets."""
    return [steps_to(network["steps"], seed, peak(seed)) for seed in network["validation"]]


def steps_reaching(network: dict, accuracy: float, whole: bool = False) -> list[float]:
    """For each seed, the steps to an accuracy; a seed that never gets there counts infinity, or the `whole` run."""
    found = [steps_to(network["steps"], seed, accuracy) for seed in network["validation"]]
    return [min(steps, network["steps"][-1]) for steps in found] if whole else found


def speed_up(record: dict, name: str, share: float = 1.0) -> Estimate:
    """How many times fewer steps than Inception a network needs to Inception's best accuracy, or to a share of it.

    NaN where a seed of either never gets there.
    """
    base, network, level = record["networks"]["inception"], record["networks"][name], share * target(record)
    reference = steps_to_own_peak(base) if share == 1 else steps_reaching(base, level, whole=True)
    return _ratio(reference, steps_reaching(network, level))


def _ratio(numerators: list[float], denominators: list[float]) -> Estimate:
    # Of the numerators too: an Inception that diverged at once has no best accuracy to be compared with.
    if not np.isfinite([numerators, denominators]).all() or not any(denominators):
        return Estimate(math.nan, math.nan, math.nan, len(denominators))
    return ratio_with_interval(numerators, denominators)


def _share(values: Iterable[bool]) -> Estimate:
    values = list(values)
    return Estimate(float(np.mean(values)), math.nan, math.nan, len(values))


def _gain(ours: list[float], theirs: list[float]) -> Estimate:
    """Difference in points, seed by seed."""
    return mean_with_interval(_points(ours, theirs))


def _points(ours: list[float], theirs: list[float]) -> list[float]:
    return [100 * (a - b) for a, b in zip(ours, theirs, strict=True)]


def reached(record: dict, network: dict) -> Estimate:
    """The share of the seeds that come to Inception's best accuracy."""
    return _share(np.isfinite(steps_reaching(network, target(record))))


def _sooner(name: str) -> Callable[[dict], dict[str, Estimate]]:
    """A network beside Inception: does it get there, how much sooner, and how far does it go?"""

    def estimates(record: dict) -> dict[str, Estimate]:
        networks = record["networks"]
        return {
            "reached": reached(record, networks[name]),
            "speed_up": speed_up(record, name),
            "peak_gain": _gain(peaks(networks[name]), peaks(networks["inception"])),
        }

    return estimates


def _bn_x30(record: dict) -> dict[str, Estimate]:
    pairs = zip(peaks(record["networks"]["bn_x30"]), peaks(record["networks"]["bn_x5"]), strict=True)
    return {"seeds_ahead": _share(high >= low for high, low in pairs)}


def _slower_start(record: dict) -> dict[str, Estimate]:
    """Mean validation accuracy over the first quarter of the training."""
    early = {
        name: [np.mean(seed[: 1 + len(seed) // 4]) for seed in np.array(record["networks"][name]["validation"], float)]
        for name in ("bn_x5", "bn_x30")
    }
    return {"early_lead": _gain(early["bn_x5"], early["bn_x30"])}


def lost(network: dict) -> list[bool]:
    """For each seed, whether it diverged or never came above 1.5 times chance."""
    chance, ends = 1 / network["recipe"]["classes"], zip(network["diverged"], peaks(network), strict=True)
    return [diverged is not None or best < LOST * chance for diverged, best in ends]


def _sigmoid_trains(record: dict) -> dict[str, Estimate]:
    networks = record["networks"]
    return {"of_inception": ratio_with_interval(peaks(networks["bn_x5_sigmoid"]), peaks(networks["inception"]))}


def _sigmoid_without_bn(record: dict) -> dict[str, Estimate]:
    network = record["networks"]["sigmoid"]
    return {"times_chance": mean_with_interval([best * network["recipe"]["classes"] for best in peaks(network)])}


def _higher_rate(record: dict) -> dict[str, Estimate]:
    """BN at five times the rate beside BN at the rate, all else equal."""
    slow, fast, level = record["equal"]["bn_x1"], record["equal"]["bn_x5"], target(record)
    return {
        "rate_speed_up": _ratio(steps_reaching(slow, level, whole=True), steps_reaching(fast, level)),
        "peak_gain": _gain(peaks(fast), peaks(slow)),
    }


def _bn_alone(record: dict) -> dict[str, Estimate]:
    networks, level = record["networks"], target(record)
    alone = steps_reaching(networks["bn_baseline"], level, whole=True)
    return {"over_bn_alone": _ratio(alone, steps_reaching(networks["bn_x5"], level))}


def finals(network: dict) -> list[float]:
    """Final test accuracy of each seed, a share."""
    return [final(seed) for seed in network["test"]]


def gains(record: dict, part: str, change: str) -> list[float]:
    """For each seed, the points of final test accuracy that a change gives; NaN where a network diverged.

    Alone it is added to BN-Baseline, read after as many steps; left out it is what BN-x5 has over itself without.
    """
    networks, changed = record["networks"], record[part][change]
    if part == "alone":
        return _points(finals(changed), finals(cut(networks["bn_baseline"], record, change)))
    return _points(finals(networks["bn_x5"]), finals(changed))


def gains_without_bn(record: dict) -> list[float]:
    """The same of shuffling in the network without BN, after as many steps."""
    before = cut(record["networks"]["inception"], record, "shuffling")
    return _points(finals(record["plain"]["shuffling"]), finals(before))


def cut(network: dict, record: dict, change: str) -> dict:
    """A network's evaluations up to the last step of the run with a change alone."""
    last = record["alone"][change]["steps"][-1]
    kept = sum(step <= last for step in network["steps"])
    both = {name: [seed[:kept] for seed in network[name]] for name in ("validation", "test")}
    return network | both | {"steps": network["steps"][:kept]}


def speed_of(record: dict, change: str) -> Estimate:
    """Steps of BN-x5 without the change over steps of BN-x5, to Inception's best accuracy."""
    level = target(record)
    without = steps_reaching(record["left_out"][change], level, whole=True)
    return _ratio(without, steps_reaching(record["networks"]["bn_x5"], level))


def _change(name: str, speed: bool = False) -> Callable[[dict], dict[str, Estimate]]:
    def estimates(record: dict) -> dict[str, Estimate]:
        gain = mean_with_interval(gains(record, "left_out", name))
        return {"change_gain": gain} | ({"change_speed": speed_of(record, name)} if speed else {})

    return estimates


def _shuffling(record: dict) -> dict[str, Estimate]:
    """With BN, seed by seed, and beside what shuffling gives the network without BN."""
    with_bn, without = gains(record, "left_out", "shuffling"), gains_without_bn(record)
    return {
        "change_gain": mean_with_interval(with_bn),
        "seeds_ahead": _share(value > 0 for value in with_bn),
        "more_than_plain": mean_with_interval([a - b for a, b in zip(with_bn, without, strict=True)]),
    }


def errors(probabilities: np.ndarray, y: np.ndarray) -> list[float]:
    """Top-1 and top-5 error in percent of class probabilities (n, classes); NaN is an error."""
    known = np.isfinite(probabilities).all(1)
    order = np.argsort(-np.where(known[:, None], probabilities, 0), axis=1, kind="stable")
    hits = (order == y[:, None]) & known[:, None]
    return [float(100 * (1 - hits[:, :k].any(1).mean())) for k in (1, 5)]


def _ensemble(record: dict) -> dict[str, Estimate]:
    """Top-1 points by which six networks err less than their best member, for each seed's six, on many crops."""
    many = record["errors"][str(record["crops"][-1])]
    gains = [min(top1 for top1, _ in seed["members"]) - seed["ensemble"][0] for seed in many]
    return {"ensemble_gain": mean_with_interval(gains)}


def _multicrop(record: dict) -> dict[str, Estimate]:
    one, many = (record["errors"][str(count)] for count in record["crops"])
    means = [[np.mean([top1 for top1, _ in seed["members"]]) for seed in part] for part in (one, many)]
    return {"crops_gain": mean_with_interval([a - b for a, b in zip(*means, strict=True)])}


def _figure_3(record: dict) -> dict[str, Estimate]:
    """Largest accuracies in percent: Inception's, and BN-x30's."""
    networks = record["networks"]
    best = {name: mean_with_interval([100 * p for p in peaks(networks[name])]) for name in ("inception", "bn_x30")}
    return {"peak_inception": best["inception"], "peak_x30": best["bn_x30"]}


def _figure_4(record: dict) -> dict[str, Estimate]:
    many = record["errors"][str(record["crops"][-1])]
    return {"ensemble_top5": mean_with_interval([seed["ensemble"][1] for seed in many])}


def arithmetic() -> dict[str, dict[str, list[float]]]:
    """What the paper says of its own Figure 3, computed from it."""
    steps = {name: million for name, (million, _) in PAPER.items()}
    return {
        "seven-percent-steps": {"share_of_steps": [100 * steps["bn_x5"] / steps["inception"]]},
        "abstract-14x": {"times_fewer": [steps["inception"] / steps["bn_x5"]]},
        "bnx30-6M": {"times_fewer": [steps["inception"] / PEAK]},
    }


def ensemble_arithmetic(probabilities: Iterable[np.ndarray]) -> dict[str, dict[str, list[float]]]:
    """The same of Figure 4 and section 4.2.3, and what averaging does to class probabilities."""
    joined = np.mean(list(probabilities), axis=0)
    shares = [SERVER[name] / 100 for name in ("ours", "he")]
    error = 100 * math.sqrt(sum(p * (1 - p) for p in shares) / _TEST_IMAGES)  # of a difference, in points
    return {
        "ensemble-6-mean-is-probability": {"sum_error": [float(abs(joined.sum(1) - 1).max())]},
        "ensemble-steps": {"epochs": [PEAK * 1e6 * _BATCH / _TRAINING_IMAGES]},
        "single-crop": {"disagreement": [abs(FIGURE_4["single"][0] - (100 - PAPER["bn_x30"][1]))]},
        "healthy-margin": {"z": [(SERVER["he"] - SERVER["ours"]) / error]},
    }


ESTIMATES: dict[str, Callable[[dict], dict[str, Estimate]]] = {
    "bn-baseline": _sooner("bn_baseline"),
    "bnx5-14x": _sooner("bn_x5"),
    "bnx30": _bn_x30,
    "bnx30-slower-start": _slower_start,
    "inception-x5-diverges": lambda record: {"seeds_lost": _share(lost(record["networks"]["plain_x5"]))},
    "sigmoid-inception-69.8": _sigmoid_trains,
    "sigmoid-no-bn-chance": _sigmoid_without_bn,
    "lr-increase": _higher_rate,
    "bn-alone-not-enough": _bn_alone,
    "inception-72.2": _figure_3,
    "dropout-removed": _change("dropout", speed=True),
    "l2-reduced-5x": _change("l2"),
    "lr-decay-6x": _change("decay", speed=True),
    "lrn-removed": _change("lrn"),
    "shuffle-1pct": _shuffling,
    "photometric": _change("distortion"),
    "ensemble-6-mean": _ensemble,
    "multicrop": _multicrop,
    "ensemble-result": _figure_4,
}
