"""Accuracy over training, read in one way everywhere: the running median of five evaluations.

No lucky evaluation counts. A run that never reaches an accuracy takes infinitely many steps to it; where steps are
compared it counts with its whole length, and how many seeds get there is told beside.

The networks of section 4.2 are compared in a record or a view of one: a dict whose `networks` hold, by name, for each
seed the curves `validation` and `test` (shares, None after a divergence) at `steps`. The target is the largest running
median of Inception, mean over its seeds: what the paper calls its maximum accuracy.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from bn.lab.judge import statistics
from bn.lab.judge.statistics import Estimate

WINDOW = 5  # evaluations in a running median: two lucky ones do not count, three do
LOST = 1.5  # times chance: a network below that has learned nothing
_DIGITS = 9  # of a target: a mean of shares may be a seed's own share but for rounding, and that seed is there
_OF_SEEDS = ("seeds", "validation", "test", "diverged", "infinite", "seconds", "final_test", "final_train")


def running_median(accuracy: np.ndarray) -> np.ndarray:
    """Median of the last five evaluations, so that one lucky evaluation does not count."""
    padded = np.concatenate([np.full(WINDOW - 1, -np.inf), np.asarray(accuracy, float)])
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, WINDOW), axis=1)


def steps_to(steps: list[int], accuracy: list[float], target: float) -> float:
    """First step whose running median reaches the target; infinity if none does."""
    reached = np.flatnonzero(running_median(np.array(accuracy, float)) >= target)
    return float(steps[reached[0]]) if len(reached) else math.inf


def peak(accuracy: list[float | None]) -> float:
    """The largest running median that a network came to, before a divergence too; 0 if it diverged before the first."""
    medians = running_median(np.array(accuracy, float))
    return float(np.nanmax(medians)) if np.isfinite(medians).any() else 0.0


def peaks(network: dict) -> list[float]:
    """For each seed, the largest running median on validation images."""
    return [peak(seed) for seed in network["validation"]]


def finals(network: dict) -> list[float]:
    """Final accuracy of each seed on all test images, a share; NaN where the network diverged."""
    return [math.nan if end is None else end for end in network["final_test"]]


def or_chance(network: dict, accuracies: list[float | None]) -> list[float]:
    """Accuracies of each seed; a network that diverged has none and answers by chance."""
    chance = 1 / network["recipe"]["classes"]
    return [chance if end is None or math.isnan(end) else end for end in accuracies]


def target(view: dict) -> float:
    """Inception's best validation accuracy, mean over its seeds."""
    return _rounded(np.mean(peaks(view["networks"]["inception"])))


def _rounded(accuracy: float) -> float:
    return round(float(accuracy), _DIGITS)


def steps_to_own_peak(network: dict) -> list[float]:
    """For each seed, the first step at which its running median is as large as it ever gets."""
    return [steps_to(network["steps"], seed, peak(seed)) for seed in network["validation"]]


def steps_reaching(network: dict, accuracy: float, whole: bool = False) -> list[float]:
    """For each seed, the steps to an accuracy; a seed that never gets there counts infinity, or the `whole` run."""
    needed = [steps_to(network["steps"], seed, accuracy) for seed in network["validation"]]
    return [min(steps, network["steps"][-1]) for steps in needed] if whole else needed


def speed_up(view: dict, name: str, share: float = 1.0) -> Estimate:
    """How many times fewer steps than Inception a network needs to Inception's best accuracy, or to a share of it."""
    return times_fewer(view, view["networks"]["inception"], view["networks"][name], share)


def times_fewer(view: dict, slow: dict, fast: dict, share: float = 1.0) -> Estimate:
    """How many times fewer steps `fast` needs than `slow` to Inception's best accuracy, or to a share of it.

    Geometric mean over the seeds that all three have. The target is taken anew in each resample of the seeds, so that
    the interval has its uncertainty too. Of Inception the steps to its best are those to its own best, in each seed. No
    interval where Inception has no accuracy at all.
    """
    base, slow, fast = common({"base": view["networks"]["inception"], "slow": slow, "fast": fast}).values()
    own, best = slow["validation"] == base["validation"] and share == 1, np.array(peaks(base))
    if not best.all():
        return statistics.without_interval(math.nan, len(best))
    reference, ours, whole = np.array(steps_to_own_peak(slow)), _climb(fast), _climb(slow)

    def logs(chosen: np.ndarray) -> np.ndarray:
        level = _rounded(share * best[chosen].mean())
        steps = reference if own else whole(level)
        return np.log(steps[chosen]) - np.log(ours(level)[chosen])

    return statistics.ratio_of_common(logs, len(best))


def _climb(network: dict) -> Callable[[float], np.ndarray]:
    """The steps to any accuracy, or the whole run, (seeds,): `steps_reaching` for many accuracies."""
    steps = np.array(network["steps"], float)
    medians = np.array([running_median(np.array(seed, float)) for seed in network["validation"]])
    highest = np.maximum.accumulate(np.nan_to_num(medians, nan=-np.inf), axis=1)

    def to(accuracy: float) -> np.ndarray:
        there = highest >= accuracy
        return np.where(there[:, -1], steps[there.argmax(1)], steps[-1])

    return to


def common(networks: Mapping[str, dict]) -> dict[str, dict]:
    """The same networks at the seeds that all of them have, in the order of the first."""
    seeds = {name: list(net.get("seeds", range(len(net["validation"])))) for name, net in networks.items()}
    first, *others = seeds.values()
    shared = [seed for seed in first if all(seed in known for known in others)]
    return {name: _at(net, [seeds[name].index(seed) for seed in shared]) for name, net in networks.items()}


def _at(network: dict, kept: list[int]) -> dict:
    return network | {key: [network[key][i] for i in kept] for key in _OF_SEEDS if key in network}


def points(ours: list[float], theirs: list[float]) -> list[float]:
    """Differences in percentage points, seed by seed."""
    return [100 * (a - b) for a, b in zip(ours, theirs, strict=True)]


def gain(ours: list[float], theirs: list[float]) -> Estimate:
    """Mean difference in points, with its interval over the seeds."""
    return statistics.mean(points(ours, theirs))


def reached(view: dict, network: dict) -> Estimate:
    """The share of the seeds that come to Inception's best accuracy."""
    return statistics.share(np.isfinite(steps_reaching(network, target(view))))


def diverged(network: dict) -> list[bool]:
    """For each seed, whether its loss was once not finite."""
    return [step is not None for step in network["diverged"]]
