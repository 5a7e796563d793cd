"""Estimates of the seven changes, from the record of notebook 09: all networks of a comparison take as many steps."""

from functools import partial

from bn.lab.judge import curves, statistics
from bn.lab.judge.curves import finals, points, times_fewer
from bn.lab.judge.statistics import Estimate


def gains(record: dict, part: str, change: str) -> list[float]:
    """For each seed, the points of final test accuracy that a change gives.

    Alone it is added to BN-Baseline; left out it is what BN-x5 has over itself without; plain, added to Inception.
    """
    after, before = compared(record, part, change)
    return points(ends(after), ends(before))


def compared(record: dict, part: str, change: str) -> tuple[dict, dict]:
    """The networks with a change and without it."""
    networks, changed = record["networks"], record[part][change]
    if part == "left_out":
        return networks["bn_x5"], changed
    return changed, networks["bn_baseline"] if part == "alone" else record["plain"]["inception"]


def ends(network: dict) -> list[float]:
    """Final test accuracy of each seed; a network that diverged answers by chance."""
    return curves.or_chance(network, finals(network))


def overfitting(network: dict) -> list[float]:
    """For each seed, points by which the accuracy on the training images is above that on test images."""
    return points(curves.or_chance(network, network["final_train"]), ends(network))


def left_out(record: dict, change: str) -> dict[str, Estimate]:
    """What a change gives BN-x5: final test accuracy, times fewer steps to Inception's best, and overfitting."""
    after, before = compared(record, "left_out", change)
    more = [a - b for a, b in zip(overfitting(after), overfitting(before), strict=True)]
    return {
        "change_gain": statistics.mean(gains(record, "left_out", change)),
        "change_speed": times_fewer(record, before, after),
        "more_overfitting": statistics.mean(more),
    }


def shuffling(record: dict) -> dict[str, Estimate]:
    """What it gives BN-x5; and what it gives BN-Baseline less what it gives Inception: its interaction with BN."""
    with_bn, without = gains(record, "alone", "shuffling"), gains(record, "plain", "shuffling")
    return {
        "change_gain": statistics.mean(gains(record, "left_out", "shuffling")),
        "plain_gain": statistics.mean(without),
        "more_than_plain": statistics.mean([a - b for a, b in zip(with_bn, without, strict=True)]),
    }


ESTIMATES = {
    "rate-5x": partial(left_out, change="rate"),
    "dropout-removed": partial(left_out, change="dropout"),
    "l2-reduced-5x": partial(left_out, change="l2"),
    "lr-decay-6x": partial(left_out, change="decay"),
    "lrn-removed": partial(left_out, change="lrn"),
    "shuffle-1pct": shuffling,
    "photometric": partial(left_out, change="distortion"),
}
