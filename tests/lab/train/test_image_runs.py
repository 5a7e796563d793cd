"""Runs of section 4.2: trained once, gone on with after a kill; predictions; what each file's name depends on."""

from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bn.lab.data import augment, images
from bn.lab.store import claims, files, workers
from bn.lab.train import image_runs, recipes
from bn.lab.train.loop import ImageTrainer, TrainingError
from bn.lab.train.recipes import Recipe

SIZE = recipes.ImageSize(steps=8, seeds=1, pixels=8, width=1 / 32, modules=("3c", "5b"), watched=40)
PLAIN = replace(recipes.inception(SIZE, "digits", learning_rate=0.05), every=4)
BN = replace(recipes.members(PLAIN)["member_1"], steps=8)  # with Dropout
WILD = replace(PLAIN, learning_rate=1e6)
pytestmark = pytest.mark.usefixtures("one_thread")


class Stop(Exception):
    """Raised by a test in the middle of a training."""


@pytest.fixture
def asked(fresh_runs, monkeypatch):
    """The jobs that were asked for, done in this process one after the other, in an empty folder of runs."""
    jobs = []

    def in_this_process(work, wanted, steps, title, unit="step"):
        assert len(wanted) == len(steps)
        jobs.extend(wanted)
        for job in wanted:
            work(job)

    monkeypatch.setattr(workers, "in_processes", in_this_process)
    return jobs


def weights(pair) -> dict:
    return torch.load(image_runs.run_file(*pair).with_suffix(".pt"), weights_only=False)["net"]


def trainer_of(pair) -> ImageTrainer:
    """The trained network of a finished run."""
    trainer = ImageTrainer(*pair, images.load(pair[0].dataset, pair[0].pixels))
    trainer.net.load_state_dict(weights(pair))
    return trainer


def assert_same_run(first: dict, second: dict) -> None:
    assert set(first) == set(second)
    for name in set(first) - {"meta"}:
        assert first[name].dtype == second[name].dtype
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


# ---- Once ----------------------------------------------------------------------------------------


def test_what_is_finished_is_read_and_only_what_is_missing_trains(asked):
    first = image_runs.run([(PLAIN, 1)])
    assert asked == [(PLAIN, 1)]
    more = image_runs.run([(BN, 1), (PLAIN, 1), (BN, 1)])
    assert asked == [(PLAIN, 1), (BN, 1)] and list(more) == [(BN, 1), (PLAIN, 1)]
    again = image_runs.run([(PLAIN, 1), (BN, 1)])
    assert len(asked) == 2
    assert_same_run(first[PLAIN, 1], again[PLAIN, 1])
    assert_same_run(more[BN, 1], again[BN, 1])


def test_a_finished_run_is_not_trained_by_one_who_waited_for_it(asked):
    image_runs.run([(BN, 1)])
    before, steps = image_runs.run_file(BN, 1).stat().st_mtime_ns, []
    image_runs.train_pair((BN, 1), steps.append)
    assert image_runs.run_file(BN, 1).stat().st_mtime_ns == before and steps == []


def test_a_run_holds_what_it_promises(asked, fresh_runs):
    found = image_runs.run([(BN, 3)])[BN, 3]
    assert {name: value.shape for name, value in found.items() if name != "meta"} == {
        "steps": (3,),
        "validation": (3,),
        "test": (3,),
        "diverged": (),
    }
    assert found["steps"].tolist() == [0, 4, 8] and found["diverged"] == -1
    meta = found["meta"]
    assert meta["seed"] == 3
    assert Recipe(**meta["recipe"] | {"modules": tuple(meta["recipe"]["modules"])}) == BN
    assert meta["code"] == image_runs.code_digest() and meta["rules"] == claims.rule_digests()
    assert meta["parameters"] == sum(p.numel() for p in trainer_of((BN, 3)).net.parameters())
    assert not list(fresh_runs.glob("checkpoints/*"))


def test_the_kept_weights_are_those_of_the_last_evaluation(asked):
    found = image_runs.run([(BN, 1)])[BN, 1]
    trainer = trainer_of((BN, 1))
    assert trainer.accuracy(trainer.watched["test"]) == found["test"][-1]
    assert len(image_runs.test_images(BN).y) == 40


# ---- Killed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "constant", "goes_on"),
    [(PLAIN, "SAVE_EVERY", 4), (BN, "SAVE_EVERY", 4), (BN, "SAVE_BETWEEN", 5), (WILD, "SAVE_BETWEEN", 2)],
    ids=["plain", "member", "between evaluations", "diverged"],
)
def test_a_killed_training_goes_on_from_its_checkpoint_and_ends_with_the_same_bytes(
    recipe, constant, goes_on, tmp_path, monkeypatch, fresh_runs
):
    """Killed in the sixth step, or, after a divergence in the third, in the fourth."""
    pair, steps = (recipe, 1), []
    monkeypatch.setenv("BN_RUNS", str(tmp_path / "undisturbed"))
    image_runs.train_pair(pair)
    undisturbed, expected = files.read_arrays(image_runs.run_file(*pair)), weights(pair)
    assert undisturbed["diverged"] == (2 if recipe is WILD else -1)

    def kill(step):
        if step == (4 if recipe is WILD else 6):
            raise Stop

    monkeypatch.setenv("BN_RUNS", str(fresh_runs))
    monkeypatch.setattr(image_runs, constant, 0)
    with pytest.raises(Stop):
        image_runs.train_pair(pair, kill)
    assert not image_runs.run_file(*pair).exists() and len(list(fresh_runs.glob("checkpoints/*.pt"))) == 1
    image_runs.train_pair(pair, steps.append)
    assert steps[0] == goes_on and steps[-1] == 8
    assert_same_run(files.read_arrays(image_runs.run_file(*pair)), undisturbed)
    found = weights(pair)
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0, equal_nan=True, msg=name)
    assert not list(fresh_runs.glob("checkpoints/*.pt"))


def test_a_checkpoint_between_evaluations_counts_the_time_so_far(fresh_runs, monkeypatch):
    seconds, save = [], files.save
    monkeypatch.setattr(image_runs, "SAVE_BETWEEN", 0)
    monkeypatch.setattr(files, "save", lambda state, path: seconds.append(state.get("seconds")) or save(state, path))
    image_runs.train_pair((PLAIN, 1))
    *steps, weights = seconds
    assert len(steps) == 8 and weights is None
    assert all(later > earlier for earlier, later in pairwise(steps))


def test_a_checkpoint_is_not_written_at_every_evaluation(fresh_runs, monkeypatch):
    written, save = [], files.save
    monkeypatch.setattr(files, "save", lambda state, path: written.append(path.parent.name) or save(state, path))
    image_runs.train_pair((PLAIN, 1))
    assert written == ["digits"]  # the weights, and no checkpoint in a training of two seconds


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ((replace(PLAIN, learning_rate=0.1), 1), r"another network: its learning_rate is 0.1, and 0.05 is asked for"),
        ((replace(PLAIN, dropout=0.0), 1), r"its dropout is 0.0, and 0.4 is asked for"),
        ((PLAIN, 2), r"is of seed 2, not 1: .*delete that file"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(other, words, fresh_runs, monkeypatch):
    def kill(step):
        if step == 4:
            raise Stop

    monkeypatch.setattr(image_runs, "SAVE_EVERY", 0)
    with pytest.raises(Stop):
        image_runs.train_pair(other, kill)
    (checkpoint,) = fresh_runs.glob("checkpoints/*.pt")
    checkpoint.rename(checkpoint.with_name(f"{image_runs.run_file(PLAIN, 1).stem}.pt"))
    with pytest.raises(TrainingError, match=words) as caught:
        image_runs.train_pair((PLAIN, 1))
    assert str(fresh_runs) in str(caught.value) and "\n" not in str(caught.value)


# ---- Divergence ----------------------------------------------------------------------------------


def test_a_diverged_run_is_kept_and_the_others_finish(asked):
    found = image_runs.run([(WILD, 1), (BN, 1)])
    wild = found[WILD, 1]
    assert 0 < wild["diverged"] < 4 and wild["steps"].tolist() == [0, 4]
    assert np.isfinite(wild["test"][0]) and np.isnan(wild["test"][1]) and np.isnan(wild["validation"][1])
    assert found[BN, 1]["diverged"] == -1 and np.isfinite(found[BN, 1]["test"]).all()
    assert_same_run(image_runs.run([(WILD, 1)])[WILD, 1], wild)
    assert asked == [(WILD, 1), (BN, 1)]
    predicted = image_runs.predictions([(WILD, 1), (BN, 1)], 1)
    assert np.isnan(predicted[WILD, 1]).all() and np.isfinite(predicted[BN, 1]).all()


# ---- Predictions ---------------------------------------------------------------------------------


def test_predictions_are_class_probabilities_averaged_over_crops_and_kept(asked):
    pair = (BN, 1)
    image_runs.run([pair])
    one, ten = (image_runs.predictions([pair, pair], crops)[pair] for crops in (1, 10))
    trainer, x = trainer_of(pair), image_runs.test_images(BN).x
    np.testing.assert_array_equal(one, trainer.probabilities(x))
    crops = list(augment.crops(x, 10))
    assert torch.equal(crops[1], crops[0].flip(-1))  # mirrored, as digits never were in training: left out
    views = [trainer.probabilities(crop).double() for crop in crops[::2]]
    np.testing.assert_allclose(ten, sum(views) / 5, rtol=1e-5, atol=1e-7)
    assert not np.array_equal(one, ten)
    for found in (one, ten):
        assert found.shape == (40, 10) and found.dtype == np.float32 and (found >= 0).all()
        np.testing.assert_allclose(found.sum(1), 1, rtol=0, atol=1e-6)
    assert asked == [pair, (pair, 1), (pair, 10)]
    again = image_runs.predictions([pair], 10)
    np.testing.assert_array_equal(again[pair], ten)
    assert len(asked) == 3


def test_predictions_tell_how_many_views_of_images_they_have_done(fresh_runs, monkeypatch):
    image_runs.train_pair((BN, 1))
    monkeypatch.setattr(image_runs, "CHUNK", 15)
    done = []
    image_runs.predict(((BN, 1), 10), done.append)
    assert done == [75, 150, 200]
    assert image_runs.predictions([(BN, 1)], 10)[BN, 1].shape == (40, 10)
    assert [image_runs.views_of("digits", crops) for crops in (1, 10, 144)] == [1, 5, 72]
    assert [image_runs.views_of("tiny-imagenet", crops) for crops in (1, 10, 144)] == [1, 10, 144]


# ---- What a file's name depends on ---------------------------------------------------------------


@pytest.fixture
def any_images(monkeypatch):
    """Data sets that need not be there: the name of a run's file wants their digest alone."""
    monkeypatch.setattr(image_runs, "images_of", lambda recipe: SimpleNamespace(checksum="made up"))


def other(value):
    """A different value of the same type."""
    if isinstance(value, bool):
        return not value
    return {str: lambda v: v + "-2", tuple: lambda v: (*v, "4a")}.get(type(value), lambda v: v + 1)(value)


@pytest.mark.parametrize("name", [field.name for field in fields(Recipe)])
def test_each_field_of_a_recipe_changes_the_name_of_its_file(name, any_images):
    changed = replace(PLAIN, **{name: other(getattr(PLAIN, name))})
    assert image_runs.run_file(changed, 0).stem[-16:] != image_runs.run_file(PLAIN, 0).stem[-16:]
    assert image_runs.run_file(replace(PLAIN), 0) == image_runs.run_file(PLAIN, 0)


def test_so_do_the_seed_the_images_and_the_code(any_images, monkeypatch):
    usual, seeded = image_runs.run_file(PLAIN, 0), image_runs.run_file(PLAIN, 1)
    monkeypatch.setattr(image_runs, "code_digest", lambda: "another")
    recoded = image_runs.run_file(PLAIN, 0)
    monkeypatch.undo()
    monkeypatch.setattr(image_runs, "images_of", lambda recipe: SimpleNamespace(checksum="others"))
    assert len({path.stem[-16:] for path in (usual, seeded, recoded, image_runs.run_file(PLAIN, 0))}) == 4


def test_the_digest_covers_the_code_that_trains_and_no_other(monkeypatch):
    """Recipes are in the digest as values; what only asks and shows must not retrain anything."""
    covered = []
    monkeypatch.setattr(files, "logic_digest", lambda code: covered.extend(Path(file).name for file in code))
    image_runs.code_digest.__wrapped__()
    assert sorted(covered) == ["augment.py", "folders.py", "images.py", "inception.py", "loop.py", "paper.py"]
