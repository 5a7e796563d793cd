"""Estimates of the targets that the kernels were written for, from a record of the benchmark.

None at all, so that the target counts as not run, where the record is not from a GPU or nothing could be measured; a
record that is not complete has estimates and still decides nothing. A case that did not fit into memory, or where a
rival did not work, is left out and not counted; a case where bn itself did not work makes the estimate NaN, which holds
no limit: not met, with nothing found.
"""

import math
from collections.abc import Callable, Sequence
from statistics import median

from bn.lab.judge import statistics
from bn.lab.judge.statistics import Estimate
from bn.lab.judge.verdicts import Verdict

RIVALS = ("eager", "compile")
Values = tuple[list[float], int]  # the numbers, one a case, and in how many cases bn did not work


def judged_by(target: Verdict) -> Estimate:
    """The estimate behind a verdict; NaN of no cases where it was not run."""
    return target.conditions[0].estimate if target.conditions else statistics.without_interval(math.nan, 0)


def _target(
    name: str, of: Callable[[Sequence[float]], float], values: Callable[..., Values], *options
) -> Callable[[dict], dict[str, Estimate]]:
    """The estimate called `name`: `of` the cases the median or the worst, from the smallest of them to the largest."""

    def estimates(record: dict) -> dict[str, Estimate]:
        # What a CPU measures says nothing about a target for a GPU.
        measured, failed = values(record, *options) if record["scale"] == "gpu" else ([], 0)
        if failed:
            return {name: statistics.without_interval(math.nan, len(measured) + failed)}
        if not measured:
            return {}
        return {name: Estimate(of(measured), min(measured), max(measured), len(measured), "range")}

    return estimates


def speed_up(record: dict, operation: str, rival: str) -> Values:
    """How many times as long as bn a rival takes for an operation, forward and backward together."""
    cases = [case["candidates"] for case in _measured(record) if case["operation"] == operation]
    working = [c for c in cases if "both" in c["bn"]]
    ratios = [c[rival]["both"]["ratio"][0] for c in working if "both" in c.get(rival, {})]
    return ratios, len(cases) - len(working)


def never_slower(record: dict, ratio: Callable[[dict], list[float]]) -> Values:
    """The same of the better rival; a case counts as slower only where the whole spread of the ratio is below 1."""
    cases = [case["candidates"] for case in _measured(record)]
    working = [c for c in cases if "both" in c["bn"]]
    rivals = [[ratio(c[rival]) for rival in RIVALS if "both" in c.get(rival, {})] for c in working]
    return [min(upper for _, _, upper in ratios) for ratios in rivals if ratios], len(cases) - len(working)


def bandwidth(record: dict, *layouts: str) -> Values:
    """The bandwidth of bn as a share of a copy's, in its worse direction, for tensors larger than the L2 cache."""
    large = record["l2_bytes"] or math.inf
    cases = [c for c in _measured(record) if c["tensor_bytes"] > large and c["layout"] in layouts]
    ours = [case["candidates"]["bn"] for case in cases]
    shares = [min(o["forward"]["of_copy"][0], o["backward"]["of_copy"][0]) for o in ours if "both" in o]
    return shares, len(ours) - len(shares)


def extra(record: dict, part: str) -> Values:
    """The one ratio of a part that is no case."""
    return ([record[part]["ratio"][0]], 0) if "ratio" in record[part] else ([], 0)


def _measured(record: dict) -> list[dict]:
    """The cases that fitted into memory."""
    return [case for case in record["cases"] if "candidates" in case]


ESTIMATES = {
    "kernel-relu-eager": _target("times_as_long", median, speed_up, "bn_relu", "eager"),
    "kernel-relu-compile": _target("times_as_long", median, speed_up, "bn_relu", "compile"),
    "kernel-add-relu-eager": _target("times_as_long", median, speed_up, "bn_add_relu", "eager"),
    "kernel-add-relu-compile": _target("times_as_long", median, speed_up, "bn_add_relu", "compile"),
    "kernel-never-slower": _target("times_as_long", min, never_slower, lambda rival: rival["both"]["ratio"]),
    "kernel-never-slower-wall": _target("times_as_long", min, never_slower, lambda rival: rival["wall_ratio"]),
    "kernel-bandwidth": _target("of_copy", min, bandwidth, "NCHW", "NHWC", "NC"),
    "kernel-nchw-floor": _target("of_copy", min, bandwidth, "NCHW"),
    "kernel-graph": _target("times_as_long", min, extra, "graph"),
    "kernel-step": _target("times_as_long", min, extra, "step"),
}
