"""A record as a GPU might write it, and the precision, which takes the interpreter seconds, measured once."""

import functools

import pytest

from bn.lab.chapters.kernels import plan, precision
from bn.lab.store import claims


def spread(value: float) -> list[float]:
    return [value, 0.95 * value, 1.05 * value]


def candidate(ratio: float, share: float, directions=("forward", "backward", "both")) -> dict:
    timed = {"us": spread(100.0), "ratio": spread(ratio), "of_copy": spread(share)}
    rest = {"error": {"y": 1e-3, "dx": 2e-3}, "late": 0.0, "wall_us": spread(9.0), "wall_ratio": spread(ratio)}
    return rest | dict.fromkeys(directions, timed)


def made_up(eager: float = 2.5, compiled: float = 1.5, share: float = 1.2, graph: float = 2.2, step: float = 1.3):
    """A whole record of scale gpu. Made up: no GPU was measured."""

    def measured(case) -> dict:
        directions = ("forward", "backward", "both") if case.training else ("forward",)
        values = {"bn": (1.0, share), "eager": (eager, 0.4), "compile": (compiled, 0.7)}
        return {name: candidate(*pair, directions) for name, pair in values.items()} | {"triton": {"same_as": "bn"}}

    rest = {"torch_backend": "Native", "copy_us": spread(10.0)}
    cases = [case.as_dict() | rest | {"candidates": measured(case)} for case in plan.plan("gpu")]
    provenance = {"devices": ["made up"], "version": "0", "commit": "none", "dirty": False, "versions": {}}
    provenance |= {"code": "0", "threads": 1, "measuring_seconds": 0, "finished": "never", "command": "none"}
    stepped = {"network": "N", "batch": 2, "width": 8, "type": "bf16", "ratio": spread(step)}
    stepped |= {"step_ms": {"torch": spread(3.0), "bn": spread(2.0)}, "losses": {"torch": [2.0, 1.0], "bn": [2.0, 1.1]}}
    return {
        "experiment": "kernels", "scale": "gpu", "complete": True, "asked": {"quick": False}, "cases": cases,
        "cases_planned": len(cases), "l2_bytes": 50 * 2**20, "graph": {"ratio": spread(graph)},
        "step": stepped, "inception": stepped, "inception_graph": stepped | {"way": "graph"},
        "inception_compiled": {"not_run": "out of memory"}, "precision": {"not_run": "x: lost"},
        "provenance": provenance,
        "rules": {claim.id: claim.digest for claim in claims.of_chapter("kernels")},
    }  # fmt: skip


@pytest.fixture
def synthetic():
    """`made_up`, to be called with ratios and shares."""
    return made_up


@pytest.fixture(scope="session")
def precision_measured():
    """`precision.measured`, which says the same each time."""
    return functools.cache(precision.measured)


@pytest.fixture
def precision_once(monkeypatch, precision_measured):
    """Each record of a test has the precision, which is measured for the first of them."""
    monkeypatch.setattr(precision, "measured", precision_measured)
