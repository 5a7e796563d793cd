"""Jobs in two processes: each done once, their steps counted, and all ended by the first failure."""

import multiprocessing
import os
import time

import pytest
import torch

from bn.lab import paths
from bn.lab.store import workers
from bn.lab.store.workers import RunError


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
    with pytest.raises(RunError) as caught:
        workers.in_processes(break_at_two, [0, 1, 2, 3], [10] * 4, "breaking")
    assert str(caught.value) == "ValueError: the third job is broken"
    deadline = time.monotonic() + 30
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not multiprocessing.active_children()
    assert sorted(path.name for path in fresh_runs.iterdir()) == ["0.txt", "1.txt"]
