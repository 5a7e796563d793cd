"""Estimates of sections 4.2.1 and 4.2.2, from the record of notebook 08."""

from functools import partial

import numpy as np

from bn.lab import paper
from bn.lab.judge import curves, statistics
from bn.lab.judge.curves import gain, lost, peaks, steps_reaching, target, times_fewer
from bn.lab.judge.statistics import Estimate, plain_share

_STEPS = {name: million for name, (million, _) in paper.FIGURE_3.items()}


def sooner(record: dict, name: str) -> dict[str, Estimate]:
    """A network beside Inception: does it get there, how much sooner, and how far does it go?"""
    networks = record["networks"]
    return {
        "reached": curves.reached(record, networks[name]),
        "speed_up": curves.speed_up(record, name),
        "peak_gain": gain(peaks(networks[name]), peaks(networks["inception"])),
    }


def bn_x30(record: dict) -> dict[str, Estimate]:
    """In how many seeds it goes at least as far as BN-x5."""
    pairs = zip(peaks(record["networks"]["bn_x30"]), peaks(record["networks"]["bn_x5"]), strict=True)
    return {"seeds_ahead": plain_share(high >= low for high, low in pairs)}


def slower_start(record: dict) -> dict[str, Estimate]:
    """Mean validation accuracy over the first quarter of the training."""
    early = {
        name: [np.mean(seed[: 1 + len(seed) // 4]) for seed in np.array(record["networks"][name]["validation"], float)]
        for name in ("bn_x5", "bn_x30")
    }
    return {"early_lead": gain(early["bn_x5"], early["bn_x30"])}


def inception_x5_diverges(record: dict) -> dict[str, Estimate]:
    """In how many seeds the plain network at five times the rate is lost."""
    return {"seeds_lost": plain_share(lost(record["networks"]["plain_x5"]))}


def sigmoid_trains(record: dict) -> dict[str, Estimate]:
    """Best accuracy with sigmoids and BN over Inception's."""
    networks = record["networks"]
    return {"of_inception": statistics.ratio_bootstrap(peaks(networks["bn_x5_sigmoid"]), peaks(networks["inception"]))}


def sigmoid_without_bn(record: dict) -> dict[str, Estimate]:
    """Best accuracy with sigmoids and without BN, over chance."""
    network = record["networks"]["sigmoid"]
    return {"times_chance": statistics.mean([best * network["recipe"]["classes"] for best in peaks(network)])}


def higher_rate(record: dict) -> dict[str, Estimate]:
    """BN at five times the rate beside BN at the rate, all else equal."""
    slow, fast, level = record["equal"]["bn_x1"], record["equal"]["bn_x5"], target(record)
    return {
        "rate_speed_up": times_fewer(steps_reaching(slow, level, whole=True), steps_reaching(fast, level)),
        "peak_gain": gain(peaks(fast), peaks(slow)),
    }


def bn_alone(record: dict) -> dict[str, Estimate]:
    """BN with all changes beside BN alone."""
    networks, level = record["networks"], target(record)
    alone = steps_reaching(networks["bn_baseline"], level, whole=True)
    return {"over_bn_alone": times_fewer(alone, steps_reaching(networks["bn_x5"], level))}


def figure_3(record: dict) -> dict[str, Estimate]:
    """Largest accuracies in percent: Inception's, and BN-x30's."""
    networks = record["networks"]
    best = {name: statistics.mean([100 * p for p in peaks(networks[name])]) for name in ("inception", "bn_x30")}
    return {"peak_inception": best["inception"], "peak_x30": best["bn_x30"]}


def quotient(_record: dict, above: float, below: float, half: float = 0.05) -> dict[str, Estimate]:
    """Of two numbers that the paper prints, and the least and the largest that it may have been before rounding.

    `above` is printed to a tenth, `below` to twice `half`.
    """
    least, largest = (above - 0.05) / (below + half), (above + 0.05) / (below - half)
    values = {"quotient": above / below, "least": least, "largest": largest}
    return {name: statistics.extremes([value]) for name, value in values.items()}


ESTIMATES = {
    "bn-baseline": partial(sooner, name="bn_baseline"),
    "bnx5-14x": partial(sooner, name="bn_x5"),
    "bnx30": bn_x30,
    "bnx30-slower-start": slower_start,
    "inception-x5-diverges": inception_x5_diverges,
    "sigmoid-inception-69.8": sigmoid_trains,
    "sigmoid-no-bn-chance": sigmoid_without_bn,
    "lr-increase": higher_rate,
    "bn-alone-not-enough": bn_alone,
    "inception-72.2": figure_3,
    "seven-percent-steps": partial(quotient, above=_STEPS["bn_x5"], below=_STEPS["inception"]),
    "abstract-14x": partial(quotient, above=_STEPS["inception"], below=_STEPS["bn_x5"]),
    "bnx30-6M": partial(quotient, above=_STEPS["inception"], below=paper.PEAK, half=0.5),
}
