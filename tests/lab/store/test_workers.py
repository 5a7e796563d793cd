"""Jobs in processes of their own: each done once, their steps counted, as many at a time as may be."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import pytest
import torch

from bn.lab import paths
from bn.lab.data.disk import DataError
from bn.lab.store import workers
from bn.lab.store.files import Damaged, RunError
from bn.lab.train.loop import TrainingError

ON_CPU = pytest.mark.skipif(torch.cuda.is_available(), reason="about a machine without CUDA")
OURS = {kind.__name__: kind for kind in (DataError, TrainingError, Damaged, RunError)}


def note(job: int, report) -> None:
    """Leave a file that must not be there yet, with what the job knows of its process."""
    paths.runs().mkdir(parents=True, exist_ok=True)
    with (paths.runs() / f"{job}.txt").open("x") as file:
        file.write(f"{os.getpid()} {torch.get_num_threads()} {paths.data()}")
    for step in (4, 10):
        report(step)
        time.sleep(0.3)  # so that the other worker takes jobs too


def break_at_two(job: int, report) -> None:
    """The third job fails, while the first one still waits for something."""
    if job == 2:
        raise ValueError("the third job is broken")
    note(job, report)
    if job == 0:
        time.sleep(120)
        note(99, report)


def refuse(job: str, report) -> None:
    raise OURS[job](f"a {job} of ours")


class Bar:
    """What a progress bar is told."""

    def __init__(self, total, **options):
        Bar.made, self.total, self.n, self.options = self, total, 0, options

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, more):
        assert more > 0
        self.n += more


class Interrupted(Bar):
    def update(self, more):
        raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setenv("BN_CORES", "2")


def expect_no_child() -> None:
    deadline = time.monotonic() + 30
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not multiprocessing.active_children()


# ---- Each once -----------------------------------------------------------------------------------


def test_five_jobs_in_two_processes_are_done_once_each_and_their_steps_counted(fresh_runs, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "tqdm", Bar)
    monkeypatch.setenv("BN_DATA", str(tmp_path / "data"))
    workers.in_processes(note, [5, 6, 7, 8, 9], [10] * 5, "noting", unit="note")
    assert sorted(path.name for path in fresh_runs.iterdir()) == [f"{job}.txt" for job in (5, 6, 7, 8, 9)]
    ids, threads, folders = zip(*(path.read_text().split() for path in fresh_runs.iterdir()), strict=True)
    assert len(set(ids)) == 2 and str(os.getpid()) not in ids
    assert set(threads) == {"1"} and set(folders) == {str(tmp_path / "data")}
    assert (Bar.made.total, Bar.made.n) == (50, 50) and Bar.made.options["unit"] == "note"


def test_the_first_failure_ends_the_other_job_and_what_was_finished_is_kept(fresh_runs):
    with pytest.raises(ValueError, match=r"^the third job is broken$") as caught:
        workers.in_processes(break_at_two, list(range(20)), [10] * 20, "breaking")
    expect_no_child()
    done = {path.stem for path in fresh_runs.iterdir()}
    assert {"0", "1"} <= done and not done & {"99", *map(str, range(10, 20))}, "a job or two may have begun meanwhile"
    said = "".join(traceback.format_exception(caught.value))
    line = break_at_two.__code__.co_firstlineno + 3
    assert f'{__file__}", line {line}, in break_at_two' in said  # where it happened, in the other process


@pytest.mark.parametrize("name", OURS)
def test_an_error_of_ours_arrives_as_itself_with_its_sentence(fresh_runs, name):
    with pytest.raises(OURS[name]) as caught:
        workers.in_processes(refuse, [name], [1], "refusing")
    assert type(caught.value) is OURS[name] and str(caught.value) == f"a {name} of ours"


def test_an_interruption_ends_the_workers(fresh_runs, monkeypatch):
    monkeypatch.setattr(workers, "tqdm", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        workers.in_processes(break_at_two, [0], [10], "interrupted")
    expect_no_child()


# ---- How many at a time --------------------------------------------------------------------------


def test_a_call_may_say_how_many_itself(fresh_runs):
    workers.in_processes(note, [0, 1, 2], [10] * 3, "noting", at_once=3)
    assert len({path.read_text().split()[0] for path in fresh_runs.iterdir()}) == 3


def test_so_many_share_a_gpu_as_it_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("BN_PER_GPU", raising=False)
    assert workers.processes() == 2 * workers.PER_GPU
    monkeypatch.setenv("BN_PER_GPU", "4")
    assert workers.processes() == 8
    monkeypatch.setenv("BN_PER_GPU", "none")
    with pytest.raises(RunError, match=r"^BN_PER_GPU must be a whole number above 0, but it is 'none'$"):
        workers.processes()


@ON_CPU
@pytest.mark.parametrize("told", [1, 3])
def test_as_many_processes_as_it_is_told(fresh_runs, monkeypatch, told):
    monkeypatch.setenv("BN_CORES", str(told))
    monkeypatch.setattr(workers, "MEMORY", 1)
    workers.in_processes(note, [0, 1, 2], [10] * 3, "noting")
    assert len({path.read_text().split()[0] for path in fresh_runs.iterdir()}) == told


@ON_CPU
def test_as_many_processes_as_the_cores_that_this_one_may_use(monkeypatch):
    monkeypatch.setattr(workers, "MEMORY", 1)
    monkeypatch.delenv("BN_CORES")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 4, 5}, raising=False)
    assert workers.processes() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert workers.processes() == 1


@ON_CPU
@pytest.mark.parametrize("told", ["0", "-1", "two", "1.5", " "])
def test_a_wrong_number_of_cores_is_said_before_anything_starts(fresh_runs, monkeypatch, told):
    monkeypatch.setenv("BN_CORES", told)
    with pytest.raises(RunError, match=rf"^BN_CORES must be a whole number above 0, but it is '{told}'$"):
        workers.in_processes(note, [0], [10], "noting")
    assert not fresh_runs.exists()


@ON_CPU
@pytest.mark.parametrize(
    ("available", "expected"), [("MemAvailable:    7000000 kB\n", 4), ("MemAvailable: 100 kB\n", 1), ("", 8), (None, 8)]
)
def test_as_many_processes_as_the_memory_has_room_for(tmp_path, monkeypatch, available, expected):
    """7.168e9 bytes are room for four of 1.5e9; a system that does not tell has room for all."""
    monkeypatch.setenv("BN_CORES", "8")
    file = tmp_path / "meminfo"
    if available is not None:
        file.write_text(f"MemTotal: 9 kB\n{available}MemFree: 8 kB\n")
    monkeypatch.setattr(workers, "Path", lambda name: file if name == "/proc/meminfo" else Path(name))
    assert workers.processes() == expected


# ---- One at a time -------------------------------------------------------------------------------


def test_who_comes_second_says_so_and_waits(fresh_runs):
    code = "from bn.lab.store import workers\nwith workers.lock('b', 'a', 'b'): print('MINE')"
    with workers.lock("a", "c"):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        second = subprocess.Popen([sys.executable, "-u", "-c", code], **pipes, text=True)
        assert second.stderr.readline() == "Another process is making the same (a.lock); waiting for it.\n"
    assert second.communicate(timeout=60) == ("MINE\n", "")


def ask(name: str) -> None:
    workers.in_processes(note, [f"{name}-{k}" for k in range(3)], [10] * 3, name)


def test_two_threads_of_one_process_take_turns(fresh_runs):
    main = sys.modules["__main__"]
    threads = [threading.Thread(target=ask, args=[name]) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(fresh_runs.glob("*.txt"))) == 6 and sys.modules["__main__"] is main
