"""A plugin of pytest for a visit: each failure is said at once, as the end may never come.

It works in the process that collects and, with pytest-xdist, in those that test. The file for the finding is named by
the environment variable BN_FINDING.
"""

import os
from collections import Counter
from pathlib import Path

import pytest
import torch

from bn.lab.gpu.finding import tell

LINES = 12  # of a traceback, the last ones
NAMED = 5  # failures in the finding
OFTEN = 20  # tests between two findings
TESTER = "PYTEST_XDIST_WORKER"  # an environment variable of the processes that test
_counts, _failures = Counter(), []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count an outcome and say a failure, in the process that collects."""
    if TESTER in os.environ:
        return
    if report.failed:
        _failures.append(report.nodeid)
        traceback = "\n".join(report.longreprtext.splitlines()[-LINES:])
        print(f"\nFAILED {report.nodeid}\n{traceback}", flush=True)
    if report.when == "call" or not report.passed:
        _counts[report.outcome] += 1
        if _counts.total() % OFTEN == 0 or report.failed:
            _tell(" so far")


def pytest_runtest_logfinish() -> None:
    """End a tester that lost its GPU, or all that it tests later would fail; another takes its place."""
    if TESTER in os.environ and _lost():
        os._exit(1)


def pytest_sessionfinish() -> None:
    """The last counts."""
    if TESTER not in os.environ:
        _tell("")


def _lost() -> bool:
    """CUDA gives an error that ends a context in answer to all that is asked after it."""
    try:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
    except Exception:  # RuntimeError or torch.AcceleratorError, by the version of torch
        return True
    return False


def _tell(until: str) -> None:
    said = ", ".join(f"{_counts[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped") if _counts[outcome])
    named = f": {', '.join(_failures[:NAMED])}" if _failures else ""
    path = os.environ.get("BN_FINDING")
    tell(Path(path) if path else None, f"{said or 'no test'}{until}{named}", failures=_failures, counts=_counts)
