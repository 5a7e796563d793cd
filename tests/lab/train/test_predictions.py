"""Predictions: class probabilities averaged over crops, kept, and of damaged networks none."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bn.lab.data import augment
from bn.lab.store import provenance, workers
from bn.lab.store.files import RunError
from bn.lab.train import predictions, recipes, runs

SIZE = recipes.ImageSize(steps=8, seeds=1, pixels=8, width=1 / 32, modules=("3c", "5b"), watched=40)
MEMBER = replace(recipes.members(recipes.inception(SIZE, "digits", learning_rate=0.05))["member_1"], steps=8)
WILD = replace(MEMBER, batch_norm=False, learning_rate=1e6)
pytestmark = pytest.mark.usefixtures("one_thread")
PAIR = (MEMBER, 1)


@pytest.fixture
def asked(fresh_runs, monkeypatch):
    """The jobs that were asked for, done in this process, in an empty folder of runs."""
    jobs = []

    def in_this_process(work, wanted, steps, title, unit="step"):
        jobs.extend(wanted)
        for job in wanted:
            work(job)

    monkeypatch.setattr(workers, "in_processes", in_this_process)
    return jobs


def test_predictions_are_class_probabilities_averaged_over_crops_and_kept(asked):
    run = runs.run([PAIR])[PAIR]
    one, ten = (predictions.predictions([PAIR, PAIR], crops)[PAIR]["probabilities"] for crops in (1, 10))
    trainer, x = runs.trainer_of([PAIR]), predictions.test_images(MEMBER).x
    trainer.load_weights(run)
    np.testing.assert_array_equal(one, trainer.probabilities(x))
    crops = list(augment.crops(x, 10))
    assert torch.equal(crops[1], crops[0].flip(-1))  # mirrored, as digits never were in training: left out
    views = [trainer.probabilities(crop).double() for crop in crops[::2]]
    np.testing.assert_allclose(ten, sum(views) / 5, rtol=1e-5, atol=1e-7)
    assert not np.array_equal(one, ten)
    for found in (one, ten):
        assert found.shape == (40, 10) and found.dtype == np.float32 and (found >= 0).all()
        np.testing.assert_allclose(found.sum(1), 1, rtol=0, atol=1e-6)
    assert [(job.pair, job.crops) for job in asked[1:]] == [(PAIR, 1), (PAIR, 10)]
    again = predictions.predictions([PAIR], 10)[PAIR]
    np.testing.assert_array_equal(again["probabilities"], ten)
    assert again["meta"]["code"] == predictions.code_digest() and again["meta"]["crops"] == 10
    assert len(asked) == 3


def test_a_diverged_network_predicts_nothing(asked):
    runs.run([(WILD, 1), PAIR])
    predicted = {pair: kept["probabilities"] for pair, kept in predictions.predictions([(WILD, 1), PAIR], 1).items()}
    assert np.isnan(predicted[WILD, 1]).all() and np.isfinite(predicted[PAIR]).all()


def test_damaged_predictions_and_damaged_weights_are_made_again(asked, fresh_runs, capsys):
    runs.run([PAIR])
    first = predictions.predictions([PAIR], 1)[PAIR]["probabilities"]
    (kept,) = fresh_runs.glob("digits/*crops*.npz")
    for path in (kept, runs.run_file(*PAIR)):
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 16
        path.write_bytes(content)
    np.testing.assert_array_equal(predictions.predictions([PAIR], 1)[PAIR]["probabilities"], first)
    said = capsys.readouterr().out
    assert f"{kept} is damaged" in said and f"{runs.run_file(*PAIR)} is damaged" in said


def test_predictions_tell_how_many_views_of_images_they_have_done(fresh_runs, monkeypatch):
    runs.train(runs.job(PAIR))
    monkeypatch.setattr(predictions, "CHUNK", 15)
    done = []
    path = predictions._file(PAIR, 10)
    predictions.predict(predictions.Job(PAIR, 10, path, provenance.origin()), done.append)
    assert done == [75, 150, 200]
    with pytest.raises(RunError, match=r"The code or the data was changed .* restart the kernel"):
        predictions.predict(predictions.Job(PAIR, 10, path.with_name("of another code.npz"), provenance.origin()))
    assert [predictions.views_of("digits", crops) for crops in (1, 10, 144)] == [1, 5, 72]
    assert [predictions.views_of("tiny-imagenet", crops) for crops in (1, 10, 144)] == [1, 10, 144]
