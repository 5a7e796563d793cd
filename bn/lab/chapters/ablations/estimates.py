"""Estimates of the seven changes, from the record of notebook 09."""

from functools import partial

from bn.lab.judge import statistics
from bn.lab.judge.curves import finals, points, steps_reaching, target, times_fewer
from bn.lab.judge.statistics import Estimate, plain_share


def gains(record: dict, part: str, change: str) -> list[float]:
    """For each seed, the points of final test accuracy that a change gives; NaN where a network diverged.

    Alone it is added to BN-Baseline, read after as many steps; left out it is what BN-x5 has over itself without.
    """
    networks, changed = record["networks"], record[part][change]
    if part == "alone":
        return points(finals(changed), finals(cut(networks["bn_baseline"], record, change)))
    return points(finals(networks["bn_x5"]), finals(changed))


def gains_without_bn(record: dict) -> list[float]:
    """The same of shuffling in the network without BN, after as many steps."""
    before = record["plain"].get("inception") or cut(record["networks"]["inception"], record, "shuffling")
    return points(finals(record["plain"]["shuffling"]), finals(before))


def cut(network: dict, record: dict, change: str) -> dict:
    """A network's evaluations up to the last step of the run with a change alone."""
    last = record["alone"][change]["steps"][-1]
    kept = sum(step <= last for step in network["steps"])
    both = {name: [seed[:kept] for seed in network[name]] for name in ("validation", "test") if name in network}
    return network | both | {"steps": network["steps"][:kept]}


def left_out(record: dict, change: str) -> dict[str, Estimate]:
    """What a change gives BN-x5 in final test accuracy, and how many times fewer steps to Inception's best accuracy."""
    level = target(record)
    without = steps_reaching(record["left_out"][change], level, whole=True)
    return {
        "change_gain": statistics.mean(gains(record, "left_out", change)),
        "change_speed": times_fewer(without, steps_reaching(record["networks"]["bn_x5"], level)),
    }


def shuffling(record: dict) -> dict[str, Estimate]:
    """With BN, seed by seed, and beside what shuffling gives the network without BN."""
    with_bn, without = gains(record, "left_out", "shuffling"), gains_without_bn(record)
    return {
        "change_gain": statistics.mean(with_bn),
        "seeds_ahead": plain_share(value > 0 for value in with_bn),
        "more_than_plain": statistics.mean([a - b for a, b in zip(with_bn, without, strict=True)]),
    }


ESTIMATES = {
    "dropout-removed": partial(left_out, change="dropout"),
    "l2-reduced-5x": partial(left_out, change="l2"),
    "lr-decay-6x": partial(left_out, change="decay"),
    "lrn-removed": partial(left_out, change="lrn"),
    "shuffle-1pct": shuffling,
    "photometric": partial(left_out, change="distortion"),
}
