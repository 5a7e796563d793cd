"""The life of a run on a GPU: small networks together, both kinds gone on with, the same findings as on a CPU."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bn.lab.store import files, workers
from bn.lab.train import loop, recipes, runs, sharing
from bn.lab.train.batches import PLANNED, Resident
from bn.lab.train.settings import Setting

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")]
DIGITS = Setting("bn", "digits", steps=60, every=20, batch=60, learning_rate=0.5, weight_std=0.1)
SIZE = recipes.ImageSize(steps=24, seeds=1, pixels=8, width=1 / 32, modules=("3c", "5b"), watched=40)
IMAGES = replace(recipes.bn_baseline(recipes.inception(SIZE, "digits", learning_rate=0.05)), every=8)


class Stop(BaseException):
    """Raised in the middle of a training, where a kill could have been."""


def killed_at(step: int):
    def report(done: int) -> None:
        if done >= step:
            raise Stop

    return report


def test_small_networks_of_one_shape_train_together_and_find_what_a_cpu_finds(fresh_runs, monkeypatch):
    wanted = [(replace(DIGITS, learning_rate=rate), seed) for seed, rate in ((0, 0.5), (1, 0.5), (2, 0.1))]
    found = runs.run(wanted)
    assert {run["meta"]["trained_together"] for run in found.values()} == {3}
    assert {run["meta"]["device"] for run in found.values()} == {torch.cuda.get_device_name()}
    monkeypatch.setattr(workers, "device", lambda: "cpu")
    for pair in wanted:
        runs.train(runs.job(pair))
        on_cpu = files.read_arrays(runs.run_file(*pair))
        np.testing.assert_allclose(found[pair]["mean"], on_cpu["mean"], rtol=1e-2, atol=1e-2)
        np.testing.assert_allclose(found[pair]["test"], on_cpu["test"], atol=0.03)


@pytest.mark.parametrize("setting", [DIGITS, IMAGES], ids=["digits", "images"])
def test_it_goes_on_after_a_kill(setting, fresh_runs, monkeypatch):
    pair, steps = (setting, 1), []
    monkeypatch.setattr(runs, "SAVE_EVERY", 0)
    with pytest.raises(Stop):
        runs.train(runs.job(pair), killed_at(setting.every + 2))
    runs.train(runs.job(pair), steps.append)
    assert steps[0] == setting.every
    first = files.read_arrays(runs.run_file(*pair))
    runs.run_file(*pair).unlink()
    runs.train(runs.job(pair))
    whole = files.read_arrays(runs.run_file(*pair))
    assert first["steps"].tolist() == whole["steps"].tolist()
    np.testing.assert_allclose(first["validation"], whole["validation"], atol=0.1)


def test_a_run_of_a_gpu_is_no_run_of_a_cpu(fresh_runs, monkeypatch):
    on_gpu = runs.run_file(IMAGES, 0)
    monkeypatch.setattr(workers, "device", lambda: "cpu")
    assert runs.run_file(IMAGES, 0) != on_gpu


def losses(steps: int, **options) -> list[float]:
    """Of the first steps, with Dropout."""
    trainer = loop.ImageTrainer(IMAGES, 1, runs.data_of(IMAGES), "cuda", **options)
    assert isinstance(trainer.batches, Resident) and trainer.recipe.dropout
    found = []
    for _ in range(steps):
        trainer.advance()
        found.append(float(trainer.loss))
    return found


def test_a_step_of_a_graph_is_the_step_that_it_was_captured_from():
    """The same images, moved in the same way, and the same values dropped: else losses differ by tenths."""
    with_graph, without = losses(16), losses(16, graph=False)
    assert max(without) - min(without) > 0.05
    np.testing.assert_allclose(with_graph, without, atol=0.02)


def test_no_step_of_a_graph_waits_for_the_device():
    """Nor does it copy from memory that is not pinned: torch raises where it would, here over two tables of steps."""
    trainer = loop.ImageTrainer(IMAGES, 1, runs.data_of(IMAGES), "cuda")
    for _ in range(6):
        trainer.advance()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(2 * PLANNED):
            trainer.advance()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert trainer.finite()


def test_a_gpu_can_be_shared(fresh_runs):
    speeds = sharing.steps_per_second(IMAGES, (1, 2), seconds=0.5)
    assert min(speeds.values()) > 0
