"""Estimates of section 3.3 from one record.

All are paired: of a seed both networks have the same mini-batches, and first weights that are drawn by the same rule.
"""

import math

import numpy as np

from bn.lab.judge import statistics
from bn.lab.judge.statistics import Estimate

LEARNED = 0.5  # test accuracy of a network that learns: each second image, where chance has each tenth
CHANCE = 0.2  # one that is as low is at chance, or was ruined: twice the share that guessing finds
SHARE = 0.0, 1.0  # the bounds of one
MOMENTS = ("first", "last")


def too_high(record: dict) -> dict[str, Estimate]:
    """Where a ladder of rates ends in ruin: shares of the depths, mean over seeds, of the first kind of first weights.

    `broken`: of the plain network, where it learns at some rate and from a higher one on is ruined at every rate;
    `broken_bn`: the same with BN. `exploded`: of the plain ones ruined at those rates, how many are no numbers any
    more. `margin`: by how much the first such rate is above the highest at which it learns.
    """
    first = record["rates"]["firsts"][0]
    ends = {name: _ends(record["rates"], name, first) for name in ("plain", "bn")}
    lost = [_lost(record["rates"], first, seed) for seed in range(len(record["rates"]["seeds"]))]
    return {
        "broken": statistics.mean(np.isfinite(ends["plain"]).mean(0), SHARE),
        "broken_bn": statistics.mean(np.isfinite(ends["bn"]).mean(0), SHARE),
        "exploded": statistics.mean(lost, SHARE),
        "margin": _geometric(np.ma.masked_invalid(np.log(ends["plain"])).mean(0).filled(np.nan)),
    }


def _ends(ladder: dict, network: str, first: str) -> np.ndarray:
    """The first rate of ruin over the highest that learns (depths, seeds); NaN where there is none of either."""
    table, rates = ladder[network][first], np.array(ladder["rates"])
    learned, ruined = np.array(table["test"], float) >= LEARNED, _ruined(table)
    found = np.full((learned.shape[0], learned.shape[2]), np.nan)
    for depth, seed in np.ndindex(found.shape):
        learns, held = np.flatnonzero(learned[depth, :, seed]), np.flatnonzero(~ruined[depth, :, seed])
        if len(learns) and held[-1] < len(rates) - 1:
            found[depth, seed] = rates[held[-1] + 1] / rates[learns[-1]]
    return found


def _ruined(table: dict) -> np.ndarray:
    """Where a network ended at chance or as no number (depths, rates, seeds)."""
    return (np.array(table["test"], float) <= CHANCE) | ~np.array(table["finite"])


def _lost(ladder: dict, first: str, seed: int) -> float:
    """Of a seed's ruined plain networks, the share whose weights are no numbers."""
    table = ladder["plain"][first]
    ruined = _ruined(table)[..., seed]
    return float((~np.array(table["finite"])[..., seed])[ruined].mean()) if ruined.any() else math.nan


def highest_rates(ladder: dict, network: str, first: str) -> np.ndarray:
    """The highest rate at which it learns (depths, seeds); half the smallest where there is none."""
    learned, rates = np.array(ladder[network][first]["test"], float) >= LEARNED, np.array(ladder["rates"])
    return np.where(learned, rates[:, None], rates[0] / 2).max(1)


def reach(ladder: dict, first: str) -> list[Estimate]:
    """By depth, the highest rate at which the network learns, BN over plain."""
    rates = {name: highest_rates(ladder, name, first) for name in ("plain", "bn")}
    return [statistics.ratio(bn, plain) for bn, plain in zip(rates["bn"], rates["plain"], strict=True)]


def higher_rates(record: dict) -> dict[str, Estimate]:
    """Of the first kind of first weights the ratio of `reach` at the depth where its lower end is lowest: `least`.

    `shallow` and `deep`: at the smallest and at the largest depth; the rates themselves with `_plain` and `_bn`.
    """
    ladder = record["rates"]
    first = ladder["firsts"][0]
    ratios = reach(ladder, first)
    found = {"least": min(ratios, key=lambda e: e.value if math.isnan(e.low) else e.low)}
    for name, at in (("shallow", 0), ("deep", -1)):
        found[name] = ratios[at]
        found |= {f"{name}_{n}": _geometric(np.log(highest_rates(ladder, n, first)[at])) for n in ("plain", "bn")}
    return found


def amplification(record: dict) -> dict[str, Estimate]:
    """At the largest depth how far a small change of the first weights reaches, BN over plain, and of each alone.

    `activations` and `gradients`, before the training and after it; `centred` is of activations less their means.
    """
    found = {}
    for moment in MOMENTS:
        for name in ("activations", "gradients", "centred"):
            values = {network: looked(record, network, moment, name)[-1] for network in ("plain", "bn")}
            found[f"{name}_{moment}"] = statistics.ratio(values["bn"], values["plain"])
            found |= {f"{name}_{moment}_{network}": _geometric(np.log(of)) for network, of in values.items()}
    return found


def looked(record: dict, network: str, moment: str, name: str) -> np.ndarray:
    """What was measured of the networks that were looked into, (depths, seeds); NaN where it is no number."""
    return np.array(record["looked"][network][moment][name], float)


def singular_values(record: dict) -> dict[str, Estimate]:
    """At the largest depth the share of singular values near 1 and their median, of each network at each moment.

    `near` and `median` are of the Jacobians of single examples, `linear` and `linear_median` of their mean.
    """
    found = {}
    for network in ("plain", "bn"):
        for moment in MOMENTS:
            table = record["looked"][network][moment]
            for prefix, name in (("", "singular"), ("linear_", "linear")):
                near, median = (np.array(table[name][key][-1], float) for key in ("near", "median"))
                found[f"{prefix}near_{network}_{moment}"] = statistics.mean(near, SHARE)
                found[f"{prefix}median_{network}_{moment}"] = statistics.mean(median)
    return found


def explosion(record: dict) -> dict[str, Estimate]:
    """How much the gradient grows with each layer on its way back, and over all layers, before the training."""
    deepest = record["deepest"]
    found = {}
    for network in ("plain", "bn"):
        gradient = np.array(deepest[network]["gradient"], float)
        logs = np.log(gradient[:, 0] / gradient[:, -1])
        found[f"layer_{network}"] = _geometric(logs / (deepest["depth"] - 1))
        found[f"whole_{network}"] = _geometric(logs)
    return found


def apart(growth: dict, network: str) -> dict[str, Estimate]:
    """The largest norm of the hidden weights over the smallest, by the scale of the first ones: `first` and `last`."""
    norms = [np.array(growth[network][str(scale)]["norm"], float) for scale in growth["scales"]]
    return {name: statistics.ratio(norms[-1][:, k], norms[0][:, k]) for name, k in (("first", 0), ("last", -1))}


def _geometric(logs: np.ndarray) -> Estimate:
    """Geometric mean of what has these logarithms."""
    values = np.exp(logs)
    return statistics.ratio(values, np.ones(len(values)))


ESTIMATES = {
    "high-lr-problems": too_high,
    "higher-rates-by-depth": higher_rates,
    "bn-stops-amplification": amplification,
    "jacobian-singular-values-near-1": singular_values,
    "bn-gradients-explode": explosion,
}
