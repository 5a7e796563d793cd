"""Estimates of the seven changes, from the record of notebook 09."""

from collections.abc import Callable
from functools import partial

from bn.lab.judge import statistics
from bn.lab.judge.curves import finals, points, share, steps_reaching, target, times_fewer
from bn.lab.judge.statistics import Estimate


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
    before = cut(record["networks"]["inception"], record, "shuffling")
    return points(finals(record["plain"]["shuffling"]), finals(before))


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
    return times_fewer(without, steps_reaching(record["networks"]["bn_x5"], level))


def accuracy(record: dict, change: str) -> dict[str, Estimate]:
    """What the change gives in final test accuracy, left out of BN-x5."""
    return {"change_gain": statistics.mean(gains(record, "left_out", change))}


def accuracy_and_speed(record: dict, change: str) -> dict[str, Estimate]:
    """The same, and what it gives in steps."""
    return accuracy(record, change) | {"change_speed": speed_of(record, change)}


def shuffling(record: dict) -> dict[str, Estimate]:
    """With BN, seed by seed, and beside what shuffling gives the network without BN."""
    with_bn, without = gains(record, "left_out", "shuffling"), gains_without_bn(record)
    return {
        "change_gain": statistics.mean(with_bn),
        "seeds_ahead": share(value > 0 for value in with_bn),
        "more_than_plain": statistics.mean([a - b for a, b in zip(with_bn, without, strict=True)]),
    }


ESTIMATES: dict[str, Callable[[dict], dict[str, Estimate]]] = {
    "dropout-removed": partial(accuracy_and_speed, change="dropout"),
    "l2-reduced-5x": partial(accuracy, change="l2"),
    "lr-decay-6x": partial(accuracy_and_speed, change="decay"),
    "lrn-removed": partial(accuracy, change="lrn"),
    "shuffle-1pct": shuffling,
    "photometric": partial(accuracy, change="distortion"),
}
