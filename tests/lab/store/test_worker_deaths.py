"""Processes that end before their work: how they ended is said, and none outlives the one who asked."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bn.lab import paths
from bn.lab.store import workers
from bn.lab.store.files import RunError

pytestmark = pytest.mark.slow

ENDS = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "told to end": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "crashed": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "left": lambda: os._exit(3),
    "left in peace": lambda: os._exit(0),
}


def end(job: str, report) -> None:
    """End in the way of the job, or wait for that."""
    if job == "wait":
        time.sleep(120)
    time.sleep(0.5)  # so that the other one waits
    ENDS[job]()


class Unreadable(Exception):
    """Unpickled, it wants more than is there."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def raise_unreadable(job: int, report) -> None:
    raise Unreadable("this", "that")


WORDS = {
    "killed": "was killed by SIGKILL, perhaps for want of memory",
    "told to end": "was killed by SIGTERM",
    "crashed": "was killed by SIGSEGV",
    "left": "ended without a word (exit status 3)",
    "left in peace": "ended without a word (exit status 0)",
}


# Each way in one place among others, and the first in every place: a place knows nothing of the way.
@pytest.mark.parametrize(
    ("job", "before", "after"),
    [*((job, 1, 1) for job in WORDS), *(("killed", *place) for place in [(0, 0), (0, 1), (1, 0), (2, 0)])],
)
def test_how_a_process_ended_is_said_at_once_whatever_the_others_are_at(fresh_runs, monkeypatch, job, before, after):
    monkeypatch.setenv("BN_CORES", str(before + 1 + after))
    monkeypatch.setattr(workers, "MEMORY", 1)
    jobs, begun = [*["wait"] * before, job, *["wait"] * after], time.monotonic()
    with pytest.raises(RunError) as caught:
        workers.in_processes(end, jobs, [1] * len(jobs), "ending")
    assert time.monotonic() - begun < 60, "it was noticed only when another had done its work"
    expected = f"A training process {WORDS[job]}. Run the same command again: it goes on from the last checkpoint."
    assert str(caught.value) == expected
    assert not multiprocessing.active_children()


def test_an_error_that_does_not_travel_is_told_as_the_cause(fresh_runs):
    with pytest.raises(RunError) as caught:
        workers.in_processes(raise_unreadable, [0], [1], "raising")
    assert "missing 1 required positional argument: 'two'" in str(caught.value.__cause__)


# ---- Orphans -------------------------------------------------------------------------------------


def sleep(job: int, report) -> None:
    say_who()
    time.sleep(600)


def count(job: int, report) -> None:
    say_who()
    while True:
        pass


def say_who() -> None:
    (paths.runs() / f"{os.getpid()}.id").touch()


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
@pytest.mark.parametrize("work", [sleep, count])
def test_workers_end_within_seconds_of_who_asked_whatever_they_are_at(fresh_runs, monkeypatch, work):
    """Neither reports anything, as within a long step; their parent is killed and says nothing either."""
    fresh_runs.mkdir()
    monkeypatch.setenv("BN_CORES", "2")
    code = f"""
from bn.lab.store import workers
from {__name__} import {work.__name__}
workers.MEMORY = 1
workers.in_processes({work.__name__}, [0, 1], [1, 1], "asking")
"""
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=paths.ROOT, stderr=subprocess.DEVNULL)
    assert wait_for(lambda: len(list(fresh_runs.glob("*.id"))) == 2, 90)
    ids = [int(path.stem) for path in fresh_runs.glob("*.id")]
    assert all(map(alive, ids))
    parent.kill()
    parent.wait()
    assert wait_for(lambda: not any(map(alive, ids)), 5), "an orphan works on"


# ---- Scripts -------------------------------------------------------------------------------------

SCRIPT = """
from bn.lab.chapters.activations import EXPERIMENT
print("BEGUN")
few = {"rates": (0.5,), "weight_stds": (0.1,), "steps": 2, "seeds": (0,)}
record = EXPERIMENT.record(EXPERIMENT.spec(scale="smoke", dataset="digits", **few))
print("MADE", record["experiment"])
"""


@pytest.mark.parametrize("way", ["file", "standard input"])
def test_a_script_without_a_guard_makes_a_record(fresh_runs, tmp_path, monkeypatch, way):
    """Workers do not run the script again."""
    monkeypatch.setenv("PYTHONPATH", str(paths.ROOT))
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = {"file": [sys.executable, script], "standard input": [sys.executable, "-"]}[way]
    done = subprocess.run(command, input=SCRIPT, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["BEGUN", "MADE activations"]
