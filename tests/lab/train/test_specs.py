"""The parameters of the chapters on section 4.2: refused in one sentence, or they reach the recipe."""

import math
from dataclasses import replace

import pytest

from bn.lab.data import augment, images
from bn.lab.spec import ParameterError
from bn.lab.train import recipes
from bn.lab.train.specs import ImageSpec

NOT_WHOLE = [True, "5", 5.0, [5], -1, 0, 10**12]
NOT_A_NUMBER = [0, -0.5, 0.0, 1e-30, 1e30, math.nan, math.inf, "0.5", True, [0.5], 10**12]

LARGEST = {"digits": 419, "mnist": 5_500, "tiny-imagenet": 4_500, "imagenet": 1_231}
OF_PARTS = {("cpu", "tiny-imagenet"): 1_800}  # 20 classes of 450 images in five shards

BAD = [
    *[("batch", value, "from 2 to 419, the training images of a shard") for value in (*NOT_WHOLE, 1, 420, None)],
    *[("pixels", value, "from 8 to 64 for digits") for value in (*NOT_WHOLE, 7, 65)],
    *[("learning_rate", value, "from 1e-09 to 1,000,000") for value in (*NOT_A_NUMBER, 1_000_001)],
    *[("width", value, "from 0.001 to 4") for value in (*NOT_A_NUMBER, 4.1)],
    ("dataset", "cifar", "'auto', 'digits', 'mnist', 'tiny-imagenet', 'imagenet'"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), BAD, ids=repr)
def test_a_wrong_value_for_section_4_2_is_refused(name, value, allowed):
    with pytest.raises(ParameterError) as caught:
        ImageSpec(**{name: value})
    message = str(caught.value)
    assert message.startswith(name) and allowed in message and repr(value) in message and "\n" not in message


@pytest.mark.parametrize(("scale", "dataset"), recipes.SIZES)
def test_the_largest_mini_batch_is_a_shard(scale, dataset):
    """Of as many images as there are to train on, where they can be counted here."""
    largest = OF_PARTS.get((scale, dataset), LARGEST[dataset])
    for batch in (2, largest):
        recipe = ImageSpec(scale=scale, dataset=dataset, batch=batch).base(0.1)
        assert recipe.batch == batch
    with pytest.raises(ParameterError, match=f"from 2 to {largest:,}, the training images of a shard"):
        ImageSpec(scale=scale, dataset=dataset, batch=largest + 1)
    if dataset == "digits":
        assert len(augment.shards(len(images.load("digits").train.y), batch, recipe.shards, 0)) == recipe.shards


@pytest.mark.parametrize(
    ("scale", "dataset", "pixels", "seeds"),
    [
        ("smoke", "digits", 8, 2),
        ("cpu", "digits", 8, 3),
        ("gpu", "tiny-imagenet", 64, 3),
        ("paper", "imagenet", 224, 1),
    ],
)
def test_each_scale_has_its_own_images(scale, dataset, pixels, seeds):
    spec = ImageSpec(scale=scale)
    assert (spec.dataset, spec.pixels, spec.seeds) == (dataset, pixels, tuple(range(seeds)))
    assert ImageSpec(scale=scale, dataset=dataset, language="ar").as_dict() == spec.as_dict()
    assert spec.papers_own_size == (scale == "paper")


@pytest.mark.parametrize(
    ("scale", "dataset", "allowed"),
    [
        ("smoke", "mnist", "digits"),
        ("cpu", "imagenet", "digits, mnist, tiny-imagenet"),
        ("paper", "digits", "imagenet"),
    ],
)
def test_images_that_do_not_go_with_a_scale_are_refused(scale, dataset, allowed):
    words = f"^at scale '{scale}' the data set must be one of {allowed}, but it is {dataset}$"
    with pytest.raises(ParameterError, match=words):
        ImageSpec(scale=scale, dataset=dataset)


def test_the_rate_is_the_papers_at_its_own_size_and_else_that_of_a_sweep():
    assert ImageSpec(scale="paper").learning_rate == 0.0015
    assert ImageSpec(scale="paper", learning_rate=0.01).learning_rate == 0.01
    assert ImageSpec(scale="cpu").learning_rate is None
    base = ImageSpec(scale="paper").base(0.0015)
    assert (base.steps, base.batch, base.learning_rate) == (31_000_000, 32, 0.0015)


def test_what_is_asked_of_section_4_2_reaches_the_recipe():
    """Four times the mini-batch: a quarter of the steps, and four times the rate."""
    spec = ImageSpec(scale="cpu", dataset="digits", width=0.5, pixels=12, batch=128, steps=200, learning_rate=0.02)
    base = spec.base(spec.learning_rate)
    assert (base.dataset, base.width, base.pixels, base.batch, base.steps) == ("digits", 0.5, 12, 128, 50)
    assert base.learning_rate == pytest.approx(0.08) and spec.steps == 200


def test_what_a_rate_is_chosen_by_is_not_reported():
    words = r"^seeds must not contain 90, by which the learning rate is chosen: take others, or give learning_rate$"
    with pytest.raises(ParameterError, match=words):
        ImageSpec(seeds=(3, 90))
    with pytest.raises(ParameterError, match="contain 90, 92, by which"):
        ImageSpec(scale="gpu", seeds=(92, 1, 90))
    assert ImageSpec(seeds=(3, 90), learning_rate=0.1).seeds == (3, 90)
    assert ImageSpec(scale="paper", seeds=(90,)).seeds == (90,)  # the rate is the paper's


def test_a_size_has_seeds_of_its_own_and_some_networks_a_few_of_them():
    spec = ImageSpec(scale="cpu", dataset="tiny-imagenet")
    assert spec.seeds == spec.seeds_of("plain_x5") == tuple(range(4000, 4020))
    assert spec.seeds_of("inception") == spec.seeds_of("bn_x1") == tuple(range(4000, 4012))
    assert spec.seeds_of("plain_x30") == spec.seeds_of("bn") == tuple(range(4000, 4005))
    assert ImageSpec().seeds_of("bn_x5") == (0, 1, 2)
    assert ImageSpec(scale="cpu", dataset="tiny-imagenet", seeds=(1, 2)).seeds_of("bn_x5") == (1, 2)


def test_every_network_that_is_counted_out_is_one():
    spec = ImageSpec(scale="cpu", dataset="tiny-imagenet")
    assert set(spec.size.counts) < {*recipes.networks(spec.base(0.1)), *recipes.equal(spec.base(0.1)), "plain", "bn"}


def test_a_part_of_the_data_reaches_the_recipe():
    base = ImageSpec(scale="cpu", dataset="tiny-imagenet").base(0.1)
    assert (base.classes, base.examples, base.shards, base.steps // base.every) == (20, 0, 5, 100)
    size = replace(recipes.SIZES["cpu", "mnist"], examples=4_000, shards=5, halvings=3, evaluations=50)
    base = recipes.inception(size, "mnist", 0.1, 600)
    assert (base.classes, base.examples, base.shards, base.every, base.halflife) == (10, 4_000, 5, 12, 200)


@pytest.mark.parametrize("less", [{"steps": 1_000}, {"width": 0.25}, {"pixels": 64}])
def test_a_smaller_network_or_training_is_not_the_papers_own_size(less):
    assert not ImageSpec(scale="paper", **less).papers_own_size
    assert ImageSpec(scale="paper", batch=256).papers_own_size  # as many images
