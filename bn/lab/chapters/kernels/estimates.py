"""Estimates of the targets that the kernels were written for, from a record of the benchmark.

Each target names the cases that it is judged by (`bn.lab.chapters.kernels.plan`), and needs all of them: of a record
that lacks one, or of one that is not from a GPU, there is no estimate, so that the target counts as not run, and
`Target.missing` says what lacks. A case where bn itself did not work, or broke the device, makes the estimate NaN
whatever else is missing; NaN holds no limit: not met, with nothing found.

Over the rounds of a run every case has a median, a 10th and a 90th percentile. A target is about the median or the
worst of its cases, and so is the estimate: the median or the worst of their medians, from that of their 10th
percentiles to that of their 90th. By these ends it is judged: met where the lower one is within the limit, not met
where the upper one is not, else inconclusive.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bn.lab.chapters.kernels import plan
from bn.lab.chapters.kernels.cases import MODES, Case
from bn.lab.judge import statistics
from bn.lab.judge.statistics import Estimate
from bn.lab.judge.verdicts import Verdict

RIVALS = {"eager": ("eager",), "compile": tuple(MODES)}  # by which candidates; of several, the fastest
FAILED = [math.nan] * 3


def judged_by(target: Verdict) -> Estimate:
    """The estimate behind a verdict; NaN of no cases where it was not run."""
    return target.conditions[0].estimate if target.conditions else statistics.without_interval(math.nan, 0)


@dataclass(frozen=True)
class Target:
    """The estimate called `name`: `of` the cases (or the one other part) called `needs`, the median or the worst (min).

    `read`: from what a record holds of a case to [median, 10th, 90th percentile]; None where it does not hold that.
    """

    name: str
    of: Callable[[Sequence[float]], float]
    needs: tuple[str, ...]
    read: Callable[[dict], list[float] | None]

    def __call__(self, record: dict) -> dict[str, Estimate]:
        """The estimate by its name; none at all where it cannot be judged."""
        found = self._found(record)
        if any(math.isnan(value) for value, *_ in found):
            return {self.name: statistics.without_interval(math.nan, len(found))}
        if len(found) < len(self.needs):
            return {}
        value, low, high = map(self.of, zip(*found, strict=True))
        return {self.name: Estimate(value, low, high, len(found), "range")}

    def missing(self, record: dict) -> int:
        """How many of its cases a record does not hold."""
        return len(self.needs) - len(self._found(record))

    def _found(self, record: dict) -> list[list[float]]:
        if record["scale"] != "gpu":
            return []  # what a CPU measures says nothing about a target for a GPU
        held = record | {case["name"]: case for case in record["cases"]}
        values = [FAILED if _failed(held[name]) else self.read(held[name]) for name in self.needs if name in held]
        return [value for value in values if value is not None]


def _failed(case: dict) -> bool:
    """Whether bn itself did not work, or broke the device."""
    ours = case.get("candidates", {}).get("bn", {})
    return "not_run" in ours or case.get("broken_by") in ("bn", "triton")


def _names(*cases: Case) -> tuple[str, ...]:
    return tuple(case.name for case in cases)


def times_as_long(case: dict, rival: str, clock: str = "both") -> list[float] | None:
    """How many times as long as bn a rival takes: [median, 10th, 90th percentile], None where it was not measured.

    `clock`: "both", the GPU's, forward and backward; "forward" alone; or "wall". Of several candidates the fastest
    counts, the one with the smallest median.
    """
    candidates = [case.get("candidates", {}).get(name, {}) for name in RIVALS[rival]]
    ratios = [c.get("wall_ratio") if clock == "wall" else c.get(clock, {}).get("ratio") for c in candidates]
    return min((ratio for ratio in ratios if ratio), default=None)


def _speed_up(operation: tuple[Case, ...], rival: str) -> Target:
    return Target("times_as_long", median, _names(*operation), lambda case: times_as_long(case, rival))


def _never_slower(clock: str) -> Target:
    """The same of the better rival; a case counts as slower only where the whole spread of the ratio is below 1."""

    def read(case: dict) -> list[float] | None:
        ratios = [times_as_long(case, rival, clock) for rival in RIVALS]
        return None if None in ratios else [min(upper for _, _, upper in ratios)] * 3

    return Target("times_as_long", min, _names(*plan.RELU, *plan.ADD_RELU, *plan.SMALL_ONES, *plan.HALF), read)


def _bandwidth(cases: Iterable[Case], *directions: str) -> Target:
    """The bandwidth of bn as a share of a copy's, in its worst direction."""

    def read(case: dict) -> list[float] | None:
        ours = case.get("candidates", {}).get("bn", {})
        shares = [ours[direction]["of_copy"] for direction in directions if direction in ours]
        return [min(column) for column in zip(*shares, strict=True)] if len(shares) == len(directions) else None

    return Target("of_copy", min, _names(*cases), read)


def _part(name: str) -> Target:
    """The one ratio of a part that is no case."""
    return Target("times_as_long", min, (name,), lambda part: part.get("ratio"))


def _beyond_l2(*layouts: str) -> list[Case]:
    """The cases in training whose tensors are larger than the L2 cache."""
    cases = [case for case in (*plan.RELU, *plan.ADD_RELU) if case.shape in plan.BEYOND_L2]
    return [case for case in cases if case.layout in layouts]


ESTIMATES = {
    "kernel-relu-eager": _speed_up(plan.RELU, "eager"),
    "kernel-relu-compile": _speed_up(plan.RELU, "compile"),
    "kernel-add-relu-eager": _speed_up(plan.ADD_RELU, "eager"),
    "kernel-add-relu-compile": _speed_up(plan.ADD_RELU, "compile"),
    "kernel-never-slower": _never_slower("both"),
    "kernel-never-slower-wall": _never_slower("wall"),
    "kernel-bandwidth": _bandwidth(_beyond_l2("NCHW", "NHWC"), "forward", "backward"),
    "kernel-nchw-floor": _bandwidth(_beyond_l2("NCHW"), "forward", "backward"),
    "kernel-nchw-forward": _bandwidth((c for c in _beyond_l2("NCHW") if c in plan.RELU), "forward"),
    "kernel-inference": _bandwidth(plan.INFERENCES, "forward"),
    "kernel-graph": _part("graph"),
    "kernel-step": _part("step"),
    "kernel-inception-step": _part("inception"),
}
