"""A record as a GPU might write it."""

import pytest

from bn.lab.chapters.kernels import cases as kernel_cases
from bn.lab.store import claims


def spread(value: float) -> list[float]:
    return [value, 0.95 * value, 1.05 * value]


def candidate(ratio: float, share: float) -> dict:
    timed = {"us": spread(100.0), "ratio": spread(ratio), "of_copy": spread(share)}
    return {"error": {"y": 1e-3, "dx": 2e-3}, "wall_us": spread(9.0), "wall_ratio": spread(ratio)} | dict.fromkeys(
        ("forward", "backward", "both"), timed
    )


def made_up(eager: float = 2.5, compiled: float = 1.5, share: float = 1.2, graph: float = 2.2, step: float = 1.2):
    """A whole record of scale gpu. Made up: no GPU was measured."""
    measured = {"bn": candidate(1.0, share), "eager": candidate(eager, 0.4), "compile": candidate(compiled, 0.7)}
    rest = {"torch_backend": "Native", "copy_us": spread(10.0)}
    cases = [case.as_dict() | rest | {"candidates": dict(measured)} for case in kernel_cases.plan("gpu")]
    provenance = {"devices": ["made up"], "version": "0", "commit": "none", "dirty": False, "versions": {}}
    provenance |= {"code": "0", "threads": 1, "measuring_seconds": 0, "finished": "never", "command": "none"}
    return {
        "experiment": "kernels", "scale": "gpu", "complete": True, "asked": {"quick": False}, "cases": cases,
        "cases_planned": len(cases), "l2_bytes": 50 * 2**20, "graph": {"ratio": spread(graph)},
        "step": {"ratio": spread(step)}, "provenance": provenance,
        "rules": {claim.id: claim.digest for claim in claims.of_chapter("kernels")},
    }  # fmt: skip


@pytest.fixture
def synthetic():
    """`made_up`, to be called with ratios and shares."""
    return made_up
