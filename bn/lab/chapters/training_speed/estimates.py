"""Estimates of sections 4.2.1 and 4.2.2, from the record of notebook 08."""

from functools import partial

import numpy as np

from bn.lab import paper
from bn.lab.judge import curves, statistics
from bn.lab.judge.curves import finals, gain, peaks, times_fewer
from bn.lab.judge.statistics import Estimate

SHARES = (0.8, 0.9, 0.95)  # of Inception's best accuracy: steps are counted to these too

_STEPS = {name: million for name, (million, _) in paper.FIGURE_3.items()}


def sooner(record: dict, name: str) -> dict[str, Estimate]:
    """A network beside Inception: does it get there, how much sooner, and how far does it go?"""
    pair = curves.common({key: record["networks"][key] for key in ("inception", name)})
    view = {"networks": pair}
    return {
        "reached": _reached(record, name),
        "speed_up": curves.speed_up(view, name),
        "peak_gain": gain(peaks(pair[name]), peaks(pair["inception"])),
    } | {f"speed_up_{round(100 * share)}": curves.speed_up(view, name, share) for share in SHARES}


def bn_x30(record: dict) -> dict[str, Estimate]:
    """How much further it goes than BN-x5."""
    pair = _pair(record, "bn_x30", "bn_x5")
    return {"peak_gain": gain(*map(peaks, pair))}


def slower_start(record: dict) -> dict[str, Estimate]:
    """BN-x5 less BN-x30 over the first quarter of the training, and BN-x30 less BN-x5 at its end."""
    fast, slow = _pair(record, "bn_x30", "bn_x5")
    return {"early_lead": gain(_early(slow), _early(fast)), "final_gain": gain(_ends(fast), _ends(slow))}


def _early(network: dict) -> list[float]:
    """Mean validation accuracy over the first quarter; what a diverged network no longer has counts as chance."""
    chance, quarter = 1 / network["recipe"]["classes"], 1 + len(network["steps"]) // 4
    early = np.array(network["validation"], float)[:, :quarter]
    return np.where(np.isfinite(early), early, chance).mean(1).tolist()


def _ends(network: dict) -> list[float]:
    """Final test accuracy of each seed; a network that diverged answers by chance."""
    return curves.or_chance(network, finals(network))


def infinite(record: dict) -> dict[str, Estimate]:
    """In how many seeds the plain network at five times the rate has parameters or a loss that are not finite."""
    return {"seeds_infinite": statistics.share(record["networks"]["plain_x5"]["infinite"])}


def at_chance(record: dict) -> dict[str, Estimate]:
    """In how many of them it ends at chance, which a network with infinite parameters does too."""
    network = record["networks"]["plain_x5"]
    limit = curves.LOST / network["recipe"]["classes"]
    return {"seeds_at_chance": statistics.share(end <= limit for end in _ends(network))}


def sigmoid_trains(record: dict) -> dict[str, Estimate]:
    """Best accuracy with sigmoids and BN over Inception's."""
    pair = _pair(record, "bn_x5_sigmoid", "inception")
    return {"of_inception": statistics.ratio(*map(peaks, pair))}


def sigmoid_without_bn(record: dict) -> dict[str, Estimate]:
    """Best accuracy with sigmoids and without BN, over chance."""
    network = record["networks"]["sigmoid"]
    return {"times_chance": statistics.mean([best * network["recipe"]["classes"] for best in peaks(network)])}


def higher_rate(record: dict) -> dict[str, Estimate]:
    """BN at five times the rate beside BN at the rate, all else equal."""
    slow, fast = record["equal"]["bn_x1"], record["equal"]["bn_x5"]
    both = curves.common({"slow": slow, "fast": fast})
    return {
        "rate_speed_up": times_fewer(record, slow, fast),
        "peak_gain": gain(peaks(both["fast"]), peaks(both["slow"])),
    }


def bn_alone(record: dict) -> dict[str, Estimate]:
    """BN with all changes beside BN alone."""
    networks = record["networks"]
    return {"over_bn_alone": times_fewer(record, networks["bn_baseline"], networks["bn_x5"])}


def _reached(record: dict, name: str) -> Estimate:
    """In how many of the seeds that a network shares with Inception it comes to Inception's best accuracy."""
    pair = curves.common({key: record["networks"][key] for key in ("inception", name)})
    return curves.reached({"networks": pair}, pair[name])


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


def fraction(_record: dict) -> dict[str, Estimate]:
    """Steps of BN-x5 over Inception's by Figure 3; and top-5 points to the best earlier single network by Figure 4."""
    share = quotient({}, above=_STEPS["bn_x5"], below=_STEPS["inception"])
    single = min(paper.PRIOR[name][1] for name in ("deep image low", "deep image high"))
    leads = {name: single - paper.FIGURE_4[name][1] for name in ("single", "multicrop")}
    least = leads["multicrop"] - 0.01  # two errors, each printed to a hundredth
    values = {"lead": round(least, 6), "one_crop": round(-leads["single"], 6)}
    found = {name: statistics.extremes([value]) for name, value in values.items()}
    return {"quotient": share["quotient"], "fraction": share["largest"]} | found


def _pair(record: dict, *names: str) -> list[dict]:
    """Two networks at the seeds that both have."""
    return list(curves.common({name: record["networks"][name] for name in names}).values())


ESTIMATES = {
    "bn-baseline": partial(sooner, name="bn_baseline"),
    "bnx5-14x": partial(sooner, name="bn_x5"),
    "bnx30": bn_x30,
    "bnx30-slower-start": slower_start,
    "inception-x5-diverges": infinite,
    "inception-x5-at-chance": at_chance,
    "sigmoid-inception-69.8": sigmoid_trains,
    "sigmoid-no-bn-chance": sigmoid_without_bn,
    "lr-increase": higher_rate,
    "bn-alone-not-enough": bn_alone,
    "inception-72.2": figure_3,
    "seven-percent-steps": partial(quotient, above=_STEPS["bn_x5"], below=_STEPS["inception"]),
    "abstract-14x": partial(quotient, above=_STEPS["inception"], below=_STEPS["bn_x5"]),
    "bnx30-6M": partial(quotient, above=_STEPS["inception"], below=paper.PEAK, half=0.5),
    "fraction-of-steps": fraction,
}
