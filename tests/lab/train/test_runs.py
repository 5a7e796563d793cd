"""Runs: trained once, kept whole, gone on with after a kill; what goes wrong is said in one sentence."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from filelock import FileLock

from bn.lab.store import claims, files, workers
from bn.lab.store.workers import RunError
from bn.lab.train import runs
from bn.lab.train.replicas import Setting

QUICK = Setting("bn", "digits", steps=20, every=10, batch=60, learning_rate=0.5, weight_std=0.1)
LONG = Setting("plain", "digits", steps=1_500, every=30, batch=60, learning_rate=0.5, weight_std=0.1)
HEAD = f"""
import resource, sys
from bn.lab import paths
from bn.lab.store.workers import RunError
from bn.lab.train import runs
from bn.lab.train.replicas import Setting
QUICK, LONG = {QUICK!r}, {LONG!r}
"""


def start(code: str) -> subprocess.Popen:
    """Another process that asks for runs, in the same folder as this test."""
    command = [sys.executable, "-c", f"{HEAD}{code}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(condition, seconds: float = 90):
    """Whatever true value the condition gives first; a test that waits longer fails."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("waited too long")


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock")


def checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoints/*.pt"))


def assert_same_arrays(first: dict, second: dict) -> None:
    assert set(first) == set(second)
    for name in set(first) - {"meta"}:
        assert first[name].dtype == second[name].dtype
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The long training, trained without a stop, in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BN_RUNS", str(tmp_path_factory.mktemp("undisturbed")))
        return runs.run([(LONG, 0)])[LONG, 0]


# ---- Once ----------------------------------------------------------------------------------------


def test_what_is_finished_is_read_and_only_what_is_missing_trains(fresh_runs, monkeypatch):
    first = runs.run([(QUICK, 0), (QUICK, 1)])
    asked, train = [], workers.in_processes

    def noted(function, groups, *others, **options):
        asked.extend(groups)
        train(function, groups, *others, **options)

    monkeypatch.setattr(workers, "in_processes", noted)
    again = runs.run([(QUICK, 1), (QUICK, 0), (QUICK, 1)])
    assert asked == []
    assert list(again) == [(QUICK, 1), (QUICK, 0)]
    more = runs.run([(QUICK, seed) for seed in (0, 1, 2)])
    assert asked == [[(QUICK, 2)]]
    for seed in (0, 1):
        assert_same_arrays(first[QUICK, seed], again[QUICK, seed])
        assert_same_arrays(first[QUICK, seed], more[QUICK, seed])
    assert not checkpoints(fresh_runs)


def test_a_run_holds_what_it_promises(fresh_runs):
    found = runs.run([(QUICK, 3)])[QUICK, 3]
    shapes = {name: value.shape for name, value in found.items() if name != "meta"}
    assert shapes == {
        "steps": (3,),
        "validation": (3,),
        "test": (3,),
        "percentiles": (3, 5, 100),
        "pooled": (3, 5),
        "mean": (3, 100),
        "std": (3, 100),
        "finite": (3,),
        "population": (),
    }
    assert found["steps"].tolist() == [0, 10, 20]
    meta = found["meta"]
    assert Setting(**meta["setting"]) == QUICK and meta["seed"] == 3
    assert meta["code"] == runs.code_digest() and meta["rules"] == claims.rule_digests()


def test_each_setting_and_each_folder_has_runs_of_its_own(tmp_path, monkeypatch):
    """The workers' fork server outlives a change of BN_RUNS: they must be told the folder of the day."""
    for name in ("first", "second"):
        monkeypatch.setenv("BN_RUNS", str(tmp_path / name))
        runs.run([(QUICK, 0)])
        assert [f for f in names(tmp_path / name) if f.startswith("bn-seed0-")]


def test_only_trainings_of_one_shape_share_a_trainer():
    slow, other = Setting(**{**vars(QUICK), "learning_rate": 0.1}), Setting(**{**vars(QUICK), "network": "plain"})
    groups = list(runs.groups([(QUICK, 0), (other, 0), (slow, 4), (QUICK, 1)]))
    assert groups == [[(QUICK, 0), (slow, 4), (QUICK, 1)], [(other, 0)]]


def test_two_at_once_train_once(fresh_runs):
    """Both find nothing and both wait for a third, this test, that holds the lock; then one trains."""
    code = """
found = runs.run([(QUICK, 0)])[QUICK, 0]
file, = paths.runs().glob("digits/*.npz")
print("RESULT", file.stat().st_mtime_ns, found["test"].tolist())
"""
    with workers.lock(files.digest({**vars(QUICK), "learning_rate": None, "weight_std": None})):
        both = [start(code), start(code)]
        heads = [wait_for_line(process, "waiting for it") for process in both]
        assert names(fresh_runs) == []
    results = [process.communicate(timeout=120)[0] for process in both]
    assert all(heads) and [process.returncode for process in both] == [0, 0]
    first, second = (re.search("RESULT.*", result)[0] for result in results)
    assert first == second  # the same numbers, from a file that was written once


def wait_for_line(process: subprocess.Popen, words: str) -> bool:
    return any(words in line for line in process.stdout)


# ---- Killed --------------------------------------------------------------------------------------


def test_after_a_kill_it_goes_on_from_the_checkpoint(fresh_runs, undisturbed, one_thread):
    process = start("runs.run([(LONG, 0)])")
    (checkpoint,) = wait_for(lambda: checkpoints(fresh_runs))
    process.send_signal(signal.SIGKILL)
    process.wait()
    (lock,) = fresh_runs.glob("locks/*.lock")
    FileLock(lock).acquire(timeout=60).lock.release()  # its worker notices at the next evaluation, and stops
    stopped_at = torch.load(checkpoint, weights_only=False)["step"]
    assert 0 < stopped_at < LONG.steps, "the kill came too late"

    steps = []
    runs.train_group([(LONG, 0)], steps.append)
    assert steps[0] == stopped_at
    assert_same_arrays(runs.run([(LONG, 0)])[LONG, 0], undisturbed)
    assert not checkpoints(fresh_runs)


def test_a_killed_worker_is_told_in_one_sentence(fresh_runs, undisturbed):
    def kill():
        wait_for(lambda: checkpoints(fresh_runs))
        for worker in multiprocessing.active_children():
            os.kill(worker.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(RunError, match=r"was killed .*Run the same command again: it goes on from the last checkpoint"):
        runs.run([(LONG, 0)])
    killer.join()
    assert_same_arrays(runs.run([(LONG, 0)])[LONG, 0], undisturbed)


def test_an_interrupted_parent_leaves_no_worker_behind(fresh_runs, monkeypatch):
    def interrupt_while_it_trains(seconds):
        if checkpoints(fresh_runs):
            raise KeyboardInterrupt
        threading.Event().wait(seconds)

    monkeypatch.setattr(workers, "time", SimpleNamespace(sleep=interrupt_while_it_trains))
    with pytest.raises(KeyboardInterrupt):
        runs.run([(LONG, 0)])
    wait_for(lambda: not multiprocessing.active_children(), 30)
    assert not list(fresh_runs.glob("digits/*.npz")), "the worker was left to finish"


# ---- A full disk, a damaged file -----------------------------------------------------------------


def test_a_full_disk_is_told_in_one_sentence_and_leaves_nothing_half_written(fresh_runs):
    """No file may grow beyond 20 kB: the checkpoint does not fit, as on a disk without space."""
    code = """
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    runs.run([(QUICK, 0)])
except RunError as error:
    print("RunError:", error)
"""
    output, _ = start(code).communicate(timeout=120)
    assert re.search(r"RunError: The disk is full: .*Free some space and run the same command again", output), output
    assert "Traceback" not in output
    assert names(fresh_runs) == []
    assert runs.run([(QUICK, 0)])[QUICK, 0]["steps"][-1] == QUICK.steps


def test_a_failure_of_another_kind_says_which(fresh_runs):
    fresh_runs.mkdir()
    (fresh_runs / "checkpoints").write_text("in the way of the folder")
    with pytest.raises(RunError, match=r"FileExistsError: .*checkpoints"):
        runs.run([(QUICK, 0)])


def test_a_damaged_run_is_named(fresh_runs):
    runs.run([(QUICK, 0)])
    (path,) = fresh_runs.glob("digits/*.npz")
    for damaged in (path.read_bytes()[:-100], b"", b"not a run"):
        path.write_bytes(damaged)
        with pytest.raises(RunError, match=re.escape(str(path)) + " cannot be read .*Delete that file"):
            runs.run([(QUICK, 0)])
    path.unlink()
    assert runs.run([(QUICK, 0)])[QUICK, 0]["steps"][-1] == QUICK.steps


# ---- The code that trains ------------------------------------------------------------------------


def test_the_digest_covers_data_network_and_loop():
    assert {Path(module.__file__).name for module in runs.CODE} == {"datasets.py", "mlp.py", "replicas.py"}
