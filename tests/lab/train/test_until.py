"""Trainings that end when their time is over: what is finished is there, what was begun goes on to the same bytes."""

import time
from dataclasses import replace

import pytest

from bn.lab.store import files, workers
from bn.lab.train import recipes, runs
from bn.lab.train.loop import TrainingError
from bn.lab.train.settings import Setting

DIGITS = Setting("bn", "digits", steps=20, every=5, batch=60, learning_rate=0.5, weight_std=0.1)
SIZE = recipes.ImageSize(steps=12, seeds=1, pixels=8, width=1 / 32, modules=("3c", "5b"), watched=40)
IMAGES = replace(recipes.inception(SIZE, "digits", learning_rate=0.05), every=4)
WILD = replace(IMAGES, learning_rate=1e6)
pytestmark = pytest.mark.usefixtures("one_thread")


class Clock:
    """time.time() in the hands of a test: it is 100, and 200 from so many looks on."""

    def __init__(self, monkeypatch) -> None:
        self.looks, self.ends = 0, 10**9
        monkeypatch.setattr(runs.time, "time", self)

    def __call__(self) -> float:
        self.looks += 1
        return 100.0 if self.looks <= self.ends else 200.0


@pytest.fixture
def clock(monkeypatch, fresh_runs):
    """Trainings in this process, one after the other, and their clock."""

    def in_this_process(work, jobs, steps, title):
        for job in jobs:
            work(job)

    monkeypatch.setattr(workers, "in_processes", in_this_process)
    return Clock(monkeypatch)


@pytest.mark.parametrize("setting", [DIGITS, IMAGES, replace(IMAGES, every=1), WILD])
def test_what_was_begun_goes_on_and_ends_with_the_same_bytes(setting, clock, tmp_path, monkeypatch):
    first, second = (setting, 1), (setting, 2)
    clock.ends = 7  # after some steps of the first
    found = runs.run([first, second], until=150)
    stopped = setting is not WILD  # which is lost after three steps, and then has nothing to go on with
    assert set(found) == (set() if stopped else {first})
    assert runs._checkpoint_file(runs.run_file(*first)).exists() == stopped
    assert not runs.run_file(*second).exists() and not runs._checkpoint_file(runs.run_file(*second)).exists()
    clock.looks = clock.ends = 0
    assert set(runs.run([first, second], until=150)) == set(found)  # its time is over before it begins
    clock.ends = 10**9
    found, steps = runs.run([first, second], until=150), []
    assert list(found) == [first, second]
    monkeypatch.setenv("BN_RUNS", str(tmp_path / "undisturbed"))
    runs.train(runs.job(first), steps.append)
    undisturbed = files.read_arrays(runs.run_file(*first))
    for name in set(undisturbed) - {"meta"}:
        assert found[first][name].tobytes() == undisturbed[name].tobytes(), name


def test_the_last_step_is_the_end_whatever_the_time(clock):
    """A training that has nothing left to do is kept as finished."""
    setting = replace(IMAGES, every=12)
    clock.ends = 2 + 1 + 11  # of `run` and the job's begin; the first evaluation; the steps but the last
    assert set(runs.run([(setting, 1)], until=150)) == {(setting, 1)}


def test_a_process_of_its_own_stops_too(fresh_runs, monkeypatch):
    """A training that would take hours stops by itself, with a checkpoint as soon as there was time for a step."""
    monkeypatch.setenv("BN_CORES", "1")
    long = replace(IMAGES, steps=1_000_000, every=1_000_000)
    for seconds in (2, 8, 32, 128):  # a busy machine takes long to start a process
        assert runs.run([(long, 1), (long, 2)], until=time.time() + seconds) == {}
        kept = list(fresh_runs.glob("checkpoints/*.pt"))
        if kept and files.load(kept[0])["step"]:
            break
    (path,) = kept
    assert path == runs._checkpoint_file(runs.run_file(long, 1)) and 0 < files.load(path)["step"] < 1_000_000


def test_a_run_goes_home_without_its_weights_and_is_a_finished_run_there(clock):
    """Its curves and where it comes from are the same; who asks for the weights is told in a sentence."""
    pair = (IMAGES, 1)
    whole = runs.run([pair])[pair]
    path = runs.run_file(*pair)
    content, before = runs.light(path), path.stat().st_size
    assert len(content) < before / 3
    path.write_bytes(content)
    found = runs.run([pair], until=0)[pair]
    assert found["meta"] == whole["meta"]
    assert set(whole) - set(found) == {name for name in whole if name.startswith("net/")}
    for name in set(found) - {"meta"}:
        assert found[name].tobytes() == whole[name].tobytes()
    with pytest.raises(TrainingError, match="without its weights: delete it"):
        runs.trainer_of([pair]).load_weights(found)
