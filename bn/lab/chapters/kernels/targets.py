"""The targets that the kernels were written for, judged by a record of scale `gpu`: met, not met or not run."""

from collections.abc import Callable
from statistics import median

# At least so much, but "nchw_floor": more than so much.
LIMITS = {
    "relu_eager": 2.0,
    "relu_compile": 1.2,
    "add_relu_eager": 2.0,
    "add_relu_compile": 1.2,
    "never_slower": 1.0,
    "never_slower_wall": 1.0,
    "bandwidth": 0.85,
    "nchw_floor": 1.0,
    "graph": 2.0,
    "step": 1.15,
}
NAMES = {
    "relu_eager": "BN+ReLU, forward and backward, torch eager / bn, median of the cases",
    "relu_compile": "BN+ReLU, forward and backward, torch.compile / bn, median of the cases",
    "add_relu_eager": "BN+add+ReLU, forward and backward, torch eager / bn, median of the cases",
    "add_relu_compile": "BN+add+ReLU, forward and backward, torch.compile / bn, median of the cases",
    "never_slower": "the better of torch eager and torch.compile / bn, worst case, upper end of its spread",
    "never_slower_wall": "the same by the wall clock, Python included",
    "bandwidth": "share of a copy's bandwidth on two-pass bytes, tensors larger than L2, worst case and direction",
    "nchw_floor": "the same, NCHW only: more than 1 beats the two-pass floor",
    "graph": "60x100, BN+ReLU, forward and backward in a CUDA graph, torch eager / Triton",
    "step": "training step of GoogLeNet, torch's layers / bn.convert",
}


def judge(record: dict) -> list[dict]:
    """Each target with its limit, what was found, from how many cases, and the verdict.

    "notrun" stands where the record is not from a GPU, a case of the plan is missing, or nothing could be measured.
    A case that did not fit into memory, or where a rival did not work, is left out and not counted; a case where bn
    itself did not work counts as not met, with nothing found.
    """
    return [_judged(name, record) for name in LIMITS]


def _judged(name: str, record: dict) -> dict:
    # What a CPU measures says nothing about a target for a GPU, so it does not stand beside one.
    values, failed = _FOUND[name](record) if record["scale"] == "gpu" else ([], 0)
    value = None
    if values and not failed:
        value = (median if name in _MEDIANS else min)(values)
    whole = record["complete"] and not record["asked"]["quick"]
    if not whole or not (values or failed):
        verdict = "notrun"
    else:
        reached = value is not None and (value > LIMITS[name] if name == "nchw_floor" else value >= LIMITS[name])
        verdict = "met" if reached else "notmet"
    return {"name": name, "limit": LIMITS[name], "found": value, "cases": len(values) + failed, "verdict": verdict}


_MEDIANS = ("relu_eager", "relu_compile", "add_relu_eager", "add_relu_compile")
Values = tuple[list[float], int]  # the numbers, and in how many cases bn did not work


def _speedup(operation: str, rival: str) -> Callable[[dict], Values]:
    def found(record: dict) -> Values:
        cases = [case for case in _measured(record) if case["operation"] == operation]
        working = [case["candidates"] for case in cases if "both" in case["candidates"]["bn"]]
        values = [c[rival]["both"]["ratio"][0] for c in working if "both" in c.get(rival, {})]
        return values, len(cases) - len(working)

    return found


def _never_slower(key: Callable[[dict], list[float] | None]) -> Callable[[dict], Values]:
    """A case counts as slower only where the whole spread of the ratio is below 1."""

    def found(record: dict) -> Values:
        cases = [case["candidates"] for case in _measured(record)]
        working = [c for c in cases if "both" in c["bn"]]
        rivals = [[key(c[rival]) for rival in ("eager", "compile") if "both" in c.get(rival, {})] for c in working]
        return [min(ratio[2] for ratio in ratios) for ratios in rivals if ratios], len(cases) - len(working)

    return found


def _bandwidth(layouts: tuple[str, ...]) -> Callable[[dict], Values]:
    def found(record: dict) -> Values:
        large = record["l2_bytes"] or float("inf")
        cases = [c for c in _measured(record) if c["tensor_bytes"] > large and c["layout"] in layouts]
        ours = [case["candidates"]["bn"] for case in cases]
        shares = [min(o["forward"]["of_copy"][0], o["backward"]["of_copy"][0]) for o in ours if "both" in o]
        return shares, len(ours) - len(shares)

    return found


def _one(part: str) -> Callable[[dict], Values]:
    return lambda record: ([record[part]["ratio"][0]], 0) if "ratio" in record[part] else ([], 0)


def _measured(record: dict) -> list[dict]:
    """The cases that fitted into memory."""
    return [case for case in record["cases"] if "candidates" in case]


_FOUND = {
    "relu_eager": _speedup("bn_relu", "eager"),
    "relu_compile": _speedup("bn_relu", "compile"),
    "add_relu_eager": _speedup("bn_add_relu", "eager"),
    "add_relu_compile": _speedup("bn_add_relu", "compile"),
    "never_slower": _never_slower(lambda rival: rival["both"]["ratio"]),
    "never_slower_wall": _never_slower(lambda rival: rival["wall_ratio"]),
    "bandwidth": _bandwidth(("NCHW", "NHWC", "NC")),
    "nchw_floor": _bandwidth(("NCHW",)),
    "graph": _one("graph"),
    "step": _one("step"),
}


def sentence(target: dict) -> str:
    """A target in a line, for a terminal."""
    verdict = {"met": "met", "notmet": "NOT MET", "notrun": "not run"}[target["verdict"]]
    found = "-" if target["found"] is None else f"{target['found']:.3g}"
    return f"{verdict:8} {found:>6} (limit {target['limit']:g}, {target['cases']} cases)  {NAMES[target['name']]}"
