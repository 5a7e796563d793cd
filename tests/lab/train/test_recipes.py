"""The recipes of section 4.2 against the paper's numbers, typed by hand; the scales against the data sets."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bn.lab import paper
from bn.lab.data import augment
from bn.lab.train import recipes
from bn.lab.train.recipes import DATASETS, SIZES, Recipe

BASE = recipes.inception(SIZES["cpu", "digits"], "digits", learning_rate=0.03, steps=400)
NETWORKS = recipes.networks(BASE)
CHANGED_FIELDS = {
    "rate": "learning_rate",
    "dropout": "dropout",
    "l2": "l2",
    "decay": "halflife",
    "lrn": "lrn",
    "shuffling": "shuffled",
    "distortion": "distortion",
}
TRAINING_IMAGES = {"digits": 1_257, "mnist": 55_000, "tiny-imagenet": 90_000, "imagenet": 1_231_167}
CLASSES = {"digits": 10, "mnist": 10, "tiny-imagenet": 200, "imagenet": 1_000}
each_size = pytest.mark.parametrize(("scale", "dataset"), SIZES)


def differences(first: Recipe, second: Recipe) -> set[str]:
    return {field.name for field in fields(Recipe) if getattr(first, field.name) != getattr(second, field.name)}


def rate_after(recipe: Recipe, steps: int) -> float:
    return recipe.learning_rate * 2 ** (-steps / recipe.halflife)


def families(base: Recipe) -> list[Recipe]:
    made = (recipes.networks, recipes.equal, recipes.alone, recipes.left_out, recipes.members)
    return [recipe for make in made for recipe in make(base).values()]


# ---- The networks of section 4.2.2 ---------------------------------------------------------------


def test_inception_is_trained_without_anything_of_section_4_2_1():
    assert (BASE.batch_norm, BASE.activation, BASE.lrn, BASE.dropout) == (False, "relu", True, 0.4)
    assert (BASE.batch, BASE.shuffled, BASE.distortion, BASE.learning_rate) == (32, False, 0.5, 0.03)
    assert (BASE.weight_scale, BASE.per_activation) == (1, False)


def test_the_five_networks_and_five_controls():
    assert list(NETWORKS)[:5] == ["inception", "bn_baseline", "bn_x5", "bn_x30", "bn_x5_sigmoid"]
    assert list(NETWORKS)[5:] == ["plain_x5", "plain_x30", "sigmoid", "bn_x5_slow", "bn_x30_slow"]


def test_bn_x5_has_all_seven_changes_by_the_papers_factors():
    x5 = NETWORKS["bn_x5"]
    assert x5.batch_norm and x5.activation == "relu"
    assert x5.learning_rate == pytest.approx(0.15)
    assert (x5.dropout, x5.lrn, x5.shuffled) == (0, False, True)
    assert x5.l2 == pytest.approx(BASE.l2 / 5)
    assert 0 < x5.distortion < BASE.distortion
    assert x5.batch == 32


def test_with_the_changes_the_rate_decays_six_times_faster():
    """Inception's halves twice in its 400 steps; BN-x5's six times in half as many."""
    x5 = NETWORKS["bn_x5"]
    assert (BASE.steps, x5.steps) == (400, 200)
    assert [rate_after(BASE, t) for t in (200, 400)] == pytest.approx([0.015, 0.0075])
    assert [rate_after(x5, t) for t in (0, 100, 200)] == pytest.approx([0.15, 0.15 / 8, 0.15 / 64])
    assert rate_after(x5, 50) / 0.15 == pytest.approx(rate_after(BASE, 300) / 0.03)


def test_slow_decay_is_that_of_inception():
    for name in ("bn_x5", "bn_x30"):
        slow, fast = NETWORKS[f"{name}_slow"], NETWORKS[name]
        assert slow.steps == BASE.steps
        assert rate_after(slow, 200) / fast.learning_rate == pytest.approx(rate_after(BASE, 200) / BASE.learning_rate)


def test_at_the_papers_size_the_rates_are_the_papers():
    base = recipes.inception(SIZES["paper", "imagenet"], "imagenet", paper.RATE)
    found = recipes.networks(base)
    rates = {name: recipe.learning_rate for name, recipe in found.items()}
    assert rates["inception"] == rates["bn_baseline"] == 0.0015
    assert rates["bn_x5"] == rates["bn_x5_sigmoid"] == rates["plain_x5"] == pytest.approx(0.0075)
    assert rates["bn_x30"] == rates["plain_x30"] == pytest.approx(0.045)
    assert (base.steps, base.batch, base.pixels, base.width, base.classes) == (31_000_000, 32, 224, 1, 1_000)
    assert base.modules == ()  # all of Figure 5


@pytest.mark.parametrize(
    ("name", "beside", "expected"),
    [
        ("bn_baseline", "inception", {"batch_norm"}),
        ("bn_x5", "bn_baseline", {*CHANGED_FIELDS.values(), "steps"}),
        ("bn_x30", "bn_x5", {"learning_rate"}),
        ("bn_x5_sigmoid", "bn_x5", {"activation"}),
        ("plain_x5", "inception", {"learning_rate"}),
        ("plain_x30", "inception", {"learning_rate"}),
        ("sigmoid", "inception", {"activation"}),
        ("bn_x5_slow", "bn_x5", {"halflife", "steps"}),
        ("bn_x30_slow", "bn_x30", {"halflife", "steps"}),
    ],
)
def test_two_networks_differ_in_what_is_compared_and_nothing_else(name, beside, expected):
    assert differences(NETWORKS[name], NETWORKS[beside]) == expected


# ---- Tables that take it apart -------------------------------------------------------------------


def test_in_the_equal_set_only_bn_and_the_rate_differ():
    equal = recipes.equal(BASE)
    assert set(equal) == {f"{name}_x{factor}" for name in ("plain", "bn") for factor in (1, 5, 30)}
    assert equal["bn_x5"] == NETWORKS["bn_x5"]
    for name, recipe in equal.items():
        assert differences(recipe, equal["bn_x5"]) <= {"batch_norm", "learning_rate"}
        assert recipe.batch_norm == name.startswith("bn")
        assert recipe.learning_rate == pytest.approx(0.03 * int(name.split("_x")[1]))


@pytest.mark.parametrize(("change", "field"), CHANGED_FIELDS.items())
def test_each_change_stands_alone_and_is_left_out_alone(change, field):
    alone, left_out = recipes.alone(BASE), recipes.left_out(BASE)
    assert set(alone) == set(left_out) == set(CHANGED_FIELDS)
    baseline, x5 = NETWORKS["bn_baseline"], NETWORKS["bn_x5"]
    assert differences(alone[change], baseline) == {field, "steps"}
    assert differences(left_out[change], x5) == {field}
    assert getattr(alone[change], field) == pytest.approx(getattr(x5, field))
    assert getattr(left_out[change], field) == getattr(baseline, field)
    assert alone[change].steps == left_out[change].steps == 200


def test_the_six_members_are_bn_x30_with_what_section_4_2_3_names():
    members, x30 = recipes.members(BASE), NETWORKS["bn_x30"]
    assert len(members) == len(set(members.values())) == 6
    for recipe in members.values():
        changed = differences(recipe, x30)
        assert changed and changed <= {"weight_scale", "dropout", "per_activation"}
        assert recipe.dropout in (0, 0.05, 0.1) and recipe.weight_scale >= 1
    assert {recipe.dropout for recipe in members.values()} == {0, 0.05, 0.1}
    assert any(recipe.weight_scale > 1 for recipe in members.values())
    assert any(recipe.per_activation for recipe in members.values())


# ---- Other mini-batches --------------------------------------------------------------------------


def test_twice_the_mini_batch_by_hand():
    found = recipes.resized(BASE, 64)
    assert differences(found, BASE) == {"batch", "steps", "every", "halflife", "learning_rate"}
    assert (found.batch, found.steps, found.every, found.halflife) == (64, 200, 5, 100)
    assert found.learning_rate == pytest.approx(0.06)
    assert recipes.resized(BASE, 32) == BASE


@given(st.integers(2, 5_000))
def test_other_mini_batches_see_as_many_images_and_decay_alike(batch):
    found = recipes.resized(BASE, batch)
    assert found.steps >= 1 and found.every >= 1
    assert abs(found.steps * batch - 400 * 32) <= batch / 2 or found.steps == 1
    assert found.learning_rate / batch == pytest.approx(0.03 / 32)
    in_6400_images = 2 ** (-6_400 / batch / found.halflife)
    assert in_6400_images == pytest.approx(0.5)  # 200 steps of 32 images


# ---- Scales --------------------------------------------------------------------------------------


@each_size
def test_every_recipe_of_a_scale_fits_its_images(scale, dataset):
    size = SIZES[scale, dataset]
    base = recipes.inception(size, dataset, 0.01)
    for recipe in families(base):
        assert recipe.shards * recipe.batch <= TRAINING_IMAGES[dataset]
        assert 1 <= recipe.every <= recipe.steps
        assert recipe.classes == (size.classes or CLASSES[dataset]) and recipe.pixels >= 8
        assert recipe.precision in ("float32", "bfloat16")
    assert size.crops in augment.COUNTS
    if scale == "paper":
        assert size.rates == ()  # the paper's rate is known
    else:
        assert len(size.rates) >= 2 and size.choosing


@each_size
def test_half_the_steps_end_at_an_evaluation_of_the_whole(scale, dataset):
    """A change alone, for half the steps, is held against the first half of BN-Baseline."""
    base = recipes.inception(SIZES[scale, dataset], dataset, 0.01)
    for recipe in recipes.alone(base).values():
        assert recipe.every == base.every and recipe.steps % recipe.every == 0


def test_each_scale_has_a_data_set_and_the_asked_steps_count():
    assert {(scale, dataset) for scale, dataset in DATASETS.items()} <= set(SIZES)
    assert DATASETS == {"smoke": "digits", "cpu": "digits", "gpu": "tiny-imagenet", "paper": "imagenet"}
    assert recipes.inception(SIZES["cpu", "digits"], "digits", 0.03, steps=7).steps == 7
    assert all(recipe.steps >= 1 for recipe in families(recipes.inception(SIZES["cpu", "digits"], "digits", 0.03, 1)))
