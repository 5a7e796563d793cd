"""Estimates of section 3.4 from one record; networks of one seed have the same mini-batches and are paired.

A final accuracy is the mean of the last three evaluations. The gap of a network is that of its training images less
that of the test images, in percentage points: what it has learned by heart.
"""

import numpy as np

from bn.lab.chapters.regularization.record import LAST
from bn.lab.chapters.regularization.spec import FEW, WHOLE
from bn.lab.judge import statistics
from bn.lab.judge.statistics import Estimate

PENALTY_SIZES = 16, 256  # examples: below, mini-batches are no small disturbance; above, the noise of few draws counts
_SHIFTED = 1  # the layer of BN that comes behind Dropout


def finals(network: dict, of: str = "test") -> np.ndarray:
    """Final accuracy of each seed, in percent."""
    return 100 * np.array(network[of], float)[:, -LAST:].mean(1)


def gaps(network: dict) -> np.ndarray:
    """Of each seed, in percentage points."""
    return finals(network, "train") - finals(network)


def noise_helps(record: dict) -> dict[str, Estimate]:
    """What statistics of FEW examples gain over those of the whole mini-batch at the same rate, in points.

    `test_gain` of test accuracy, `gap_change` of the gap, `loss_ratio` of the test loss; `own_gain`: of test accuracy,
    with each of the two at its own best rate.
    """
    few, whole = (record["groups"][str(size)] for size in (FEW, WHOLE))
    own_few, own_whole = (finals(record["own_groups"][str(size)]) for size in (FEW, WHOLE))
    losses = [np.array(network["test_loss"], float)[:, -LAST:].mean(1) for network in (few, whole)]
    return {
        "test_gain": statistics.mean(finals(few) - finals(whole)),
        "gap_change": statistics.mean(gaps(few) - gaps(whole)),
        "loss_ratio": statistics.ratio(*losses),
        "own_gain": statistics.mean(own_few - own_whole),
    }


def gain_over_whole(record: dict, size: int) -> Estimate:
    """What statistics of so many examples gain in test accuracy over those of the whole mini-batch, in points."""
    few, whole = (finals(record["groups"][str(of)]) for of in (size, WHOLE))
    return statistics.mean(few - whole)


def knows_all(network: dict) -> bool:
    """Whether each seed has all of its training images right at the end."""
    return bool((np.array(network["train"], float)[:, -LAST:] == 1).all())


def penalty(record: dict) -> dict[str, Estimate]:
    """How the noise and the loss that it adds fall with the size of the mini-batch, as powers of it.

    `exponent` of the added loss and `noise_exponent` of the variance of a normalized value of the first layer, between
    the ends of PENALTY_SIZES. NaN where the noise lowers the loss.
    """
    at = [record["noise"]["sizes"].index(size) for size in PENALTY_SIZES]
    added = np.array(record["noise"]["penalty"], float)[:, at]
    variance = np.stack([noise_at(record, size) ** 2 for size in PENALTY_SIZES], 1)
    return {"exponent": _exponent(added), "noise_exponent": _exponent(variance)}


def _exponent(ends: np.ndarray) -> Estimate:
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.diff(np.log(ends), axis=1)[:, 0]
    return statistics.mean(logs / np.log(PENALTY_SIZES[1] / PENALTY_SIZES[0]))


def noise_at(record: dict, size: int) -> np.ndarray:
    """The deviation over mini-batches of so many of a normalized value of the first layer, of each seed."""
    return np.array(record["noise"]["std"], float)[:, record["noise"]["sizes"].index(size), 0]


def dropout(record: dict, part: str = "own_rates") -> dict[str, Estimate]:
    """What Dropout gains in test accuracy, in points, and what it is worth less with BN than without.

    `gain_plain` and `gain_bn`: with Dropout less without. `without`: BN without Dropout less BN with it.
    `interaction`: `gain_plain` less `gain_bn`. `replaced`: BN without Dropout less Dropout without BN.
    """
    final = {name: finals(network) for name, network in record[part].items()}
    gain_plain, gain_bn = final["plain_dropout"] - final["plain"], final["bn_dropout"] - final["bn"]
    return {
        "gain_plain": statistics.mean(gain_plain),
        "gain_bn": statistics.mean(gain_bn),
        "without": statistics.mean(-gain_bn),
        "interaction": statistics.mean(gain_plain - gain_bn),
        "replaced": statistics.mean(final["bn"] - final["plain_dropout"]),
    }


def dropout_removed(record: dict) -> dict[str, Estimate]:
    """`dropout` with each network at its own best rate, and the interaction at one rate for all."""
    return dropout(record) | {"same_interaction": dropout(record, "same_rate")["interaction"]}


def population(record: dict, name: str = "bn") -> dict[str, Estimate]:
    """How far mean and variance of a unit's normalized values lie from 0 and 1: worst and median unit of the layers.

    The median is that of the layer in which it is larger.
    """
    found = record["population"][name]
    off = ("mean_worst", "variance_worst", "mean_median", "variance_median")
    return {key: statistics.mean(np.array(found[key], float).max(1)) for key in off}


def variance_shift(record: dict) -> dict[str, Estimate]:
    """The variance at inference of the median unit of the layer behind Dropout, with Dropout and without."""
    with_it, without = (
        np.array(record["population"][name]["variance"], float)[:, _SHIFTED] for name in ("bn_dropout", "bn")
    )
    ones = np.ones(len(with_it))
    return {"variance": statistics.ratio(with_it, ones), "variance_without": statistics.ratio(without, ones)}


ESTIMATES = {
    "regularizer-effect": noise_helps,
    "regularizer-dropout": dropout_removed,
    "inference-mean0-var1": population,
    "noise-strength": penalty,
    "dropout-variance-shift": variance_shift,
}
