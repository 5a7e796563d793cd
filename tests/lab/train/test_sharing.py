"""Several trainings at once, their steps counted: here by processes of a CPU."""

import sys

import pytest

from bn.lab.store import files, workers
from bn.lab.store.files import RunError
from bn.lab.train import recipes, sharing

SIZE = recipes.ImageSize(steps=8, seeds=1, pixels=8, width=1 / 32, modules=("3c", "5b"))
RECIPE = recipes.inception(SIZE, "digits", learning_rate=0.05)


def test_two_at_once_are_measured_in_two_processes(fresh_runs, monkeypatch):
    monkeypatch.setenv("BN_CORES", "1")  # which does not matter here
    monkeypatch.setattr(sharing, "COUNTS", (2,))
    speeds = sharing.steps_per_second(RECIPE, (2,), seconds=0.3)
    assert list(speeds) == [2] and speeds[2] > 0


def test_the_speeds_of_all_are_added(fresh_runs, monkeypatch):
    def in_processes(work, jobs, steps, title, unit, at_once):
        assert at_once == len(jobs) == len(steps)
        for job in jobs:
            files.write_json(job.folder / f"speed-{job.k}", 10.0 + job.k)

    monkeypatch.setattr(workers, "in_processes", in_processes)
    assert sharing.steps_per_second(RECIPE) == {1: 10, 2: 21, 4: 46, 8: 108}


def test_those_that_do_not_come_are_not_waited_for_for_ever(fresh_runs, tmp_path, monkeypatch):
    monkeypatch.setattr(sharing, "PATIENCE", 0.1)
    job = sharing.Job(RECIPE, 0, 2, 0.1, tmp_path)
    with pytest.raises(RunError, match=r"2 trainings at once did not all begin within 0\.1 seconds"):
        sharing._measure(job, lambda done: None)


def test_more_processes_must_be_worth_it():
    assert sharing.best({1: 300, 2: 305, 4: 308, 8: 250}) == 1
    assert sharing.best({1: 300, 2: 420, 4: 500, 8: 505}) == 4


def test_the_command_tries_more_while_more_gets_done(fresh_runs, monkeypatch, capsys):
    """It prints the number alone, for a variable of the environment."""
    tried, speeds = [], {1: 300.0, 2: 450.0, 4: 455.0, 8: 900.0}

    def measure(recipe, counts):
        assert (recipe.batch, recipe.batch_norm, recipe.dataset) == (64, True, "tiny-imagenet")
        tried.extend(counts)
        return {count: speeds[count] for count in counts}

    monkeypatch.setattr(sharing, "steps_per_second", measure)
    monkeypatch.setattr(sys, "argv", ["sharing", "--batch", "64"])
    sharing.main()
    assert tried == [1, 2, 4]
    printed = capsys.readouterr()
    assert printed.out == "2\n" and "2 at once: 450 steps a second" in printed.err
