"""Tests of a visit: what failed is known at once, and in the finding."""

import json
import os
import subprocess
import sys

from test_architecture import ROOT

TESTS = """
import pytest

def test_good(): pass

def test_bad(): assert [1, 2] == [1, 3]

@pytest.mark.skip
def test_left_out(): pass

@pytest.fixture
def broken(): raise OSError("no such thing")

def test_never_begun(broken): pass

def test_last(): import os; print(open(os.environ["BN_FINDING"]).read(), file=open("seen", "w"))
"""


def test_failures_are_told_before_the_end_and_in_the_finding(tmp_path):
    (tmp_path / "test_some.py").write_text(TESTS)
    command = [sys.executable, "-m", "bn.lab.gpu.suite", "--finding", "found", "test_some.py"]
    places = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=places, capture_output=True, text=True)
    assert done.returncode == 1
    found, before = (json.loads((tmp_path / name).read_text()) for name in ("found", "seen"))
    failures = ["test_some.py::test_bad", "test_some.py::test_never_begun"]
    assert found["failures"] == before["failures"] == failures
    assert found["counts"] == {"passed": 2, "failed": 2, "skipped": 1}
    assert found["finding"] == f"2 passed, 2 failed, 1 skipped: {', '.join(failures)}"
    assert before["finding"] == f"1 passed, 2 failed, 1 skipped so far: {', '.join(failures)}"
    first = done.stdout.index("FAILED test_some.py::test_bad")
    assert "At index 1 diff: 2 != 3" in done.stdout[first : done.stdout.index("= FAILURES =")]


def test_a_race_that_hangs_ends_with_a_traceback(tmp_path):
    """The watchdog of the races: from a kernel that never ends nothing else gets out."""
    code = (
        "import time, pytest, test_races\nfrom test_races import watchdog\ntest_races.LONGEST = 1\n"
        "@pytest.mark.usefixtures('watchdog')\ndef test_hangs(): time.sleep(60)\n"
    )
    (tmp_path / "test_hangs.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_hangs.py"]
    places = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests")))}
    done = subprocess.run(command, cwd=tmp_path, env=places, capture_output=True, text=True, timeout=50)
    assert done.returncode == 1
    assert "Timeout" in done.stderr and "in test_hangs" in done.stderr
