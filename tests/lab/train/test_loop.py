"""The loop of section 4.2 against SGD by hand in float64; what is random, what diverges, and how it goes on."""

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bn.lab.data.splits import Images, Split
from bn.lab.train import loop, recipes
from bn.lab.train.batches import Batches
from bn.lab.train.joined import join
from bn.lab.train.loop import ImageTrainer, TrainingError

SIZE = recipes.ImageSize(steps=10, seeds=1, pixels=8, width=1 / 8, modules=("3c", "5b"))
RECIPE = replace(recipes.inception(SIZE, "digits", learning_rate=0.05), every=4)
STILL = replace(RECIPE, dropout=0.0, lrn=False)
BN = recipes.bn_x5(RECIPE)
MEMBER = recipes.members(RECIPE)["member_6"]  # per-activation BN and Dropout
SEED = 1
pytestmark = pytest.mark.usefixtures("one_thread")


class Stop(Exception):
    """Raised by a test in the middle of a training."""


def made_up(name="made up", channels=1, shade=None) -> Images:
    """Ten classes of 8×8 images: a pattern each, and noise. 160 / 40 / 30 of them."""
    generator = torch.Generator().manual_seed(0)
    patterns = torch.randint(256, (10, channels, 8, 8), generator=generator)

    def split(n: int) -> Split:
        y = torch.arange(n) % 10
        x = (3 * patterns[y] + torch.randint(256, (n, channels, 8, 8), generator=generator)) // 4
        return Split(x.to(torch.uint8), y)

    return Images(name, split(160), split(40), split(30), "made up", tuple("0123456789"))


IMAGES = made_up()


def kinds(net: nn.Module) -> set[str]:
    return {type(layer).__name__ for layer in net.modules()}


def trained(recipe, seed=SEED, images=IMAGES) -> ImageTrainer:
    trainer = ImageTrainer(recipe, seed, images)
    trainer.run()
    return trainer


def assert_same_bytes(first: ImageTrainer, second: ImageTrainer) -> None:
    for name, value in first.net.state_dict().items():
        assert torch.equal(value, second.net.state_dict()[name]), name
    momenta = [t.optimizer.state_dict()["state"] for t in (first, second)]
    assert len(momenta[0]) == len(list(first.net.parameters()))
    for i, state in momenta[0].items():
        assert torch.equal(state["momentum_buffer"], momenta[1][i]["momentum_buffer"])
    assert first.log == second.log
    for name, curve in first.results().items():
        assert curve.tobytes() == second.results()[name].tobytes()


# ---- Steps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_step_is_sgd_with_momentum_and_l2_on_weights_alone(batch_norm):
    """v ← μv + ∂ℓ/∂w + λw, w ← w − αv; biases, γ and β without λ. λ is large here, and biases do not begin at 0."""
    recipe = replace(STILL, batch_norm=batch_norm, l2=0.1, halflife=2.0)
    trainer = ImageTrainer(recipe, SEED, IMAGES)
    for p in trainer.net.parameters():
        if p.dim() == 1:
            p.data += 0.3
    net = join(loop.network(recipe, SEED, 1)).double()
    net.load_state_dict(trainer.net.state_dict())
    mean, std = IMAGES.train.x.numpy().mean(), IMAGES.train.x.numpy().std()
    velocity = [torch.zeros_like(p) for p in net.parameters()]
    for step in range(4):
        x, y = trainer.batches(step)
        loss = cross_entropy(net((x.double() - mean) / std), y)
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        rate = 0.05 * 2 ** (-step / 2)
        with torch.no_grad():
            for p, v, g in zip(net.parameters(), velocity, gradients, strict=True):
                v.mul_(0.9).add_(g + (0.1 * p if p.dim() > 1 else 0))
                p.sub_(rate * v)
        trainer.advance()
    assert trainer.step == 4
    for (name, ours), theirs in zip(trainer.net.named_parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=2e-4, atol=2e-5, msg=name)


def test_the_rate_halves_in_every_half_life():
    trainer = ImageTrainer(replace(STILL, learning_rate=0.08, halflife=2.0), SEED, IMAGES)
    found = []
    for _ in range(7):
        trainer.advance()
        found.extend({float(group["lr"]) for group in trainer.optimizer.param_groups})  # one rate for both groups
    expected = [0.08, 0.08 / 2**0.5, 0.04, 0.04 / 2**0.5, 0.02, 0.02 / 2**0.5, 0.01]
    assert found == pytest.approx(expected)


def test_dropout_drops_in_training_and_nothing_in_an_evaluation():
    trainer, seen = ImageTrainer(replace(STILL, dropout=0.4), SEED, IMAGES), []
    trainer.net.dropout.register_forward_hook(lambda layer, inputs, output: seen.append((inputs[0], output)))
    trainer.advance()
    trainer.probabilities(IMAGES.test.x)
    trainer.advance()
    (before, first), evaluated, (_, second) = seen
    assert torch.equal(*evaluated)
    kept = (first != 0)[before != 0]
    assert 0.5 < kept.float().mean() < 0.7
    torch.testing.assert_close(first[first != 0], before[first != 0] / 0.6)
    assert not torch.equal(first == 0, second == 0)


def test_measuring_changes_nothing():
    often, seldom = (trained(replace(RECIPE, every=every)) for every in (1, 10))
    for name, value in often.net.state_dict().items():
        assert torch.equal(value, seldom.net.state_dict()[name]), name
    assert often.net.training


def test_it_learns():
    trainer = trained(replace(BN, steps=60, every=60, halflife=60))
    first, last = trainer.results()["validation"]
    assert first < 0.4 and last > 0.8 and trainer.results()["final_test"] > 0.8


def test_bfloat16_runs_on_a_cpu_and_keeps_its_weights_in_float32():
    half, whole = (ImageTrainer(replace(BN, precision=p), SEED, IMAGES) for p in ("bfloat16", "float32"))
    computed = set()
    half.net.rows.conv1[0].register_forward_hook(lambda layer, inputs, output: computed.add(output.dtype))
    for trainer in (half, whole):
        trainer.advance()
    assert computed == {torch.bfloat16}
    assert {p.dtype for p in half.net.parameters()} == {torch.float32}
    probabilities = [trainer.probabilities(IMAGES.test.x) for trainer in (half, whole)]
    assert probabilities[0].dtype == torch.float32 and not torch.equal(*probabilities)
    torch.testing.assert_close(*probabilities, rtol=0, atol=0.05)


# ---- The network ---------------------------------------------------------------------------------


def test_a_network_is_what_its_recipe_says():
    found = {name: loop.network(recipe, 0, 3) for name, recipe in recipes.networks(RECIPE).items()}
    assert {"ReLU", "LocalResponseNorm"} <= kinds(found["inception"])
    assert not {"BatchNorm2d", "Sigmoid"} & kinds(found["inception"])
    assert {"BatchNorm2d", "LocalResponseNorm"} <= kinds(found["bn_baseline"])
    assert "LocalResponseNorm" not in kinds(found["bn_x5"])
    assert {"Sigmoid", "BatchNorm2d"} <= kinds(found["bn_x5_sigmoid"]) and "ReLU" not in kinds(found["bn_x5_sigmoid"])
    assert "Sigmoid" in kinds(found["sigmoid"]) and "BatchNorm2d" not in kinds(found["sigmoid"])
    assert [found[name].dropout.p for name in ("inception", "bn_baseline", "bn_x5")] == [0.4, 0.4, 0]
    assert [name for name, _ in found["inception"].rows.named_children() if name[0] in "345"] == ["3c", "5b"]
    whole = [name for name, _ in loop.network(replace(RECIPE, modules=()), 0, 1).rows.named_children()]
    assert {"3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b"} < set(whole)  # all of Figure 5
    assert found["inception"].shape == (3, 8, 8) and found["inception"].softmax.out_features == 10


def test_members_of_an_ensemble_have_their_own_first_weights_and_bn():
    usual, larger = (loop.network(recipe, 0, 1) for recipe in (BN, replace(BN, weight_scale=1.5)))
    torch.testing.assert_close(larger.rows.conv1[0].weight, 1.5 * usual.rows.conv1[0].weight)
    assert "BatchNorm1d" in kinds(loop.network(MEMBER, 0, 1)) and "BatchNorm1d" not in kinds(usual)


# ---- Images, their order and what is done to them ------------------------------------------------


def batches(recipe, seed=SEED, images=IMAGES, rank=0, ranks=1) -> Batches:
    return Batches(recipe, seed, images, torch.zeros((), dtype=torch.int64), rank, ranks)


def test_networks_with_the_same_seed_see_the_same_images_moved_in_the_same_way():
    plain, bn = batches(replace(RECIPE, distortion=0.2)), batches(replace(BN, shuffled=False, distortion=0.2))
    for step in (0, 3, 7, 1):  # also backwards, as a resumed trainer starts in the middle
        assert torch.equal(plain.indices(step), bn.indices(step))
        assert torch.equal(plain(step)[0], bn(step)[0])
        assert torch.equal(plain(step)[1], IMAGES.train.y[plain.indices(step)])
    assert not torch.equal(plain.indices(0), batches(RECIPE, seed=2).indices(0))


def test_images_meet_again_only_without_shuffling():
    def meetings(shuffled: bool) -> list[set]:
        found = batches(replace(RECIPE, shards=2, batch=20, shuffled=shuffled))
        assert found.per_epoch == 8
        return [{frozenset(found.indices(8 * epoch + k).tolist()) for k in range(8)} for epoch in range(3)]

    first, second, third = meetings(shuffled=False)
    assert first == second == third
    first, second, third = meetings(shuffled=True)
    assert not first & second and not second & third
    for epoch in (first, second, third):
        assert sorted(itertools.chain(*epoch)) == list(range(160))


def test_an_epoch_counts_whole_mini_batches_of_unequal_shards():
    """160 images in 3 shards are 54, 53 and 53: at 27 a mini-batch, two, one and one."""
    found = batches(replace(RECIPE, shards=3, batch=27))
    assert found.per_epoch == 4
    assert len(torch.cat([found.indices(k) for k in range(4)]).unique()) == 108


@pytest.mark.parametrize("ranks", [2, 4])
def test_processes_share_a_mini_batch_out_among_them(ranks):
    for step in (0, 5):
        whole = batches(RECIPE).indices(step).tolist()
        parts = [batches(RECIPE, rank=rank, ranks=ranks).indices(step).tolist() for rank in range(ranks)]
        assert {len(part) for part in parts} == {32 // ranks}
        assert sorted(itertools.chain(*parts)) == sorted(whole)


def halves(name: str) -> Images:
    """Images that are bright on the left and dark on the right, so that a mirror image can be told."""
    images = made_up(name)
    x = torch.full((160, 1, 8, 8), 50, dtype=torch.uint8)
    x[..., :4] = 200
    return replace(images, train=Split(x, images.train.y), photographs=name != "digits")


@pytest.mark.parametrize(("name", "mirrored"), [("tiny-imagenet", True), ("imagenet", True), ("digits", False)])
def test_photographs_are_mirrored_and_digits_never(name, mirrored):
    found = batches(replace(RECIPE, distortion=0), images=halves(name))
    x = torch.cat([found(step)[0] for step in range(10)]).float()
    assert x.unique().tolist() == [0, 50, 200]  # and nothing else is done to them
    turned = (x[..., :4].mean((1, 2, 3)) < x[..., 4:].mean((1, 2, 3))).float().mean()
    assert 0.4 < turned < 0.6 if mirrored else turned == 0


def test_images_are_moved_by_an_eighth_and_distorted_by_the_recipes_strength():
    shades = {}
    for strength in (0, 0.1, 0.5):
        found = batches(replace(RECIPE, distortion=strength), images=halves("digits"))
        shades[strength] = torch.cat([found(step)[0] for step in range(10)])
    assert set(shades[0].unique().tolist()) == {0, 50, 200}  # 0 from beyond the border
    edges = (shades[0][:, 0, 1:-1, [0, -1]] == 0).all(1)  # left and right: moved by one pixel, or not
    assert edges.any(0).all() and not edges.all(1).any()
    assert not (shades[0][..., 1:-1, 1:-1] == 0).any()
    spread = [shades[strength][:, 0, 4, 2].float().std() for strength in (0, 0.1, 0.5)]
    assert spread[0] == 0 and 0 < spread[1] < spread[2] / 2


def test_the_normalization_is_of_training_images_alone():
    """Each colour by itself: training images come to the network with mean 0 and standard deviation 1."""
    images = made_up("tiny-imagenet", channels=3)
    x = images.train.x // torch.tensor([1, 2, 4], dtype=torch.uint8)[:, None, None]
    images = replace(images, train=Split(x, images.train.y))
    dark = replace(images, validation=Split(images.validation.x // 9, images.validation.y))
    trainers, seen = [ImageTrainer(RECIPE, SEED, each) for each in (images, dark)], []
    for trainer in trainers:
        trainer.net.register_forward_pre_hook(lambda net, inputs: seen.append(inputs[0].double()))
        trainer.probabilities(x)
    assert torch.equal(*seen)
    torch.testing.assert_close(seen[0].mean((0, 2, 3)), torch.zeros(3).double(), rtol=0, atol=1e-5)
    torch.testing.assert_close(seen[0].std((0, 2, 3), correction=0), torch.ones(3).double(), rtol=1e-5, atol=0)


# ---- Evaluations ---------------------------------------------------------------------------------


def test_an_accuracy_is_the_share_of_right_first_choices():
    trainer = trained(BN)
    x, y = IMAGES.validation
    pixels = IMAGES.train.x.double()
    logits = trainer.net.eval()(((x - pixels.mean()) / pixels.std(correction=0)).float()).detach()
    assert trainer.log[-1]["validation"] == (logits.argmax(1) == y).double().mean()
    expected = np.exp(logits.double().numpy())
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(trainer.probabilities(x), expected, rtol=1e-4, atol=1e-6)


def test_the_watched_images_are_spread_evenly():
    split = Split(torch.arange(7)[:, None], torch.arange(7))
    assert [split.spread(n).y.tolist() for n in (3, 7, 9)] == [[0, 3, 6], [*range(7)], [*range(7)]]
    assert split.spread(0) is split
    trainer = ImageTrainer(replace(RECIPE, watched=10), SEED, IMAGES)
    assert len(trainer.watched.y) == 10


def test_it_trains_on_so_many_examples_and_on_no_other():
    """The others may be anything: their pixels are not in the colours' mean, nor in a step, nor in a look."""
    few = replace(BN, examples=100, steps=9, every=9)
    chosen = torch.linspace(0, 159, 100).round().long()
    x = torch.full_like(IMAGES.train.x, 7)
    x[chosen] = IMAGES.train.x[chosen]
    trainer = trained(few)
    assert_same_bytes(trainer, trained(few, images=replace(IMAGES, train=Split(x, IMAGES.train.y))))
    assert trainer.batches.per_epoch == 3 and len(trainer.last_looks["train"].y) == 100
    with pytest.raises(TrainingError, match="90 training images, fewer than 3 shards"):
        ImageTrainer(replace(RECIPE, examples=90), SEED, IMAGES)


def test_at_the_end_it_looks_at_all_test_images_and_at_training_images_as_they_are(monkeypatch):
    monkeypatch.setattr(loop, "TRAIN_LOOKED_AT", 50)
    trainer = trained(replace(BN, watched=10, steps=30, every=30))
    chosen = torch.linspace(0, 159, 50).round().long()
    for name, (x, y) in {"test": IMAGES.test, "train": (IMAGES.train.x[chosen], IMAGES.train.y[chosen])}.items():
        right = trainer.probabilities(x).argmax(1) == y
        assert trainer.results()[f"final_{name}"] == right.double().mean()


def test_a_parameter_that_is_infinite_at_the_end_is_told_though_no_loss_was():
    trainer = trained(RECIPE)
    assert not trainer.results()["infinite"]
    with torch.no_grad():
        trainer.net.softmax.bias[3] = torch.inf
    assert trainer.diverged == -1 and trainer.results()["infinite"]


# ---- Divergence ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "every", "look"), [(1e6, 4, 99), (1e6, 100, 99), (1e3, 4, 99), (20.0, 100, 3)])
def test_a_divergence_is_recorded_at_its_exact_step_and_ends_the_training(rate, every, look, monkeypatch):
    """It is noticed at the next evaluation, or the next look at the losses before that."""
    monkeypatch.setattr(loop, "LOOK", look)
    wild = replace(RECIPE, learning_rate=rate, steps=12, every=every)
    by_hand, logits = ImageTrainer(wild, SEED, IMAGES), []
    by_hand.net.register_forward_hook(lambda net, inputs, output: logits.append(output.detach()))
    for step in range(12):
        by_hand.advance()
        if not cross_entropy(logits[-1], by_hand.batches(step)[1]).isfinite():
            break
    assert 0 < step < 11
    trainer, noticed = trained(wild), min(every, look)
    ended = min(12, (step // noticed + 1) * noticed)
    assert trainer.diverged == step and trainer.step == ended
    curves = trainer.results()
    assert curves["steps"].tolist() == [*range(0, ended, every), ended]
    assert np.isnan(curves["validation"][-1]) and np.isfinite(curves["validation"][:-1]).all()
    assert np.isnan(curves["final_test"]) and np.isnan(curves["final_train"]) and curves["infinite"]
    assert trainer.probabilities(IMAGES.test.x).isnan().all()


def test_what_does_not_diverge_is_evaluated_to_its_end_however_often_it_is_looked_at(monkeypatch):
    trainer = trained(RECIPE)
    assert trainer.diverged == -1 and np.isfinite(trainer.results()["validation"]).all()
    assert trainer.results()["steps"].tolist() == [0, 4, 8, 10]
    monkeypatch.setattr(loop, "LOOK", 3)
    assert_same_bytes(trained(RECIPE), trainer)


# ---- Stopping and going on -----------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [RECIPE, MEMBER], ids=["plain", "member"])
def test_a_resumed_training_ends_with_the_same_bytes(recipe):
    """With Dropout, shuffling and distortion, from the middle of an epoch of five steps."""
    recipe = replace(recipe, steps=14, every=4)
    undisturbed, saved = trained(recipe), io.BytesIO()
    first = ImageTrainer(recipe, SEED, IMAGES)

    def stop_at_step_8():
        if first.step == 8:
            torch.save(first.state(), saved)
            raise Stop

    with pytest.raises(Stop):
        first.run(stop_at_step_8)
    torch.rand(3)  # another process has drawn other numbers
    second, steps = ImageTrainer(recipe, SEED, IMAGES), []
    second.restore([torch.load(io.BytesIO(saved.getvalue()), weights_only=True)])
    assert second.seconds > 0
    second.run(lambda: steps.append(second.step))
    assert steps == [12, 14]
    assert_same_bytes(second, undisturbed)


def test_a_training_that_diverged_is_not_gone_on_with():
    wild = replace(RECIPE, learning_rate=1e6)
    diverged, again = trained(wild), ImageTrainer(wild, SEED, IMAGES)
    again.restore([diverged.state()])
    again.run()
    assert (again.diverged, again.step, len(again.log)) == (diverged.diverged, 4, 2)


# ---- What must not happen ------------------------------------------------------------------------


def out_of_memory():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def out_of_memory_on_the_cpu():
    torch.empty(1 << 60, dtype=torch.uint8)


@pytest.mark.parametrize("step", [out_of_memory, out_of_memory_on_the_cpu])
def test_too_little_memory_is_told_in_one_sentence_with_what_to_lower(step, monkeypatch):
    trainer = ImageTrainer(RECIPE, SEED, IMAGES)
    monkeypatch.setattr(trainer, "advance", step)
    with pytest.raises(TrainingError) as caught:
        trainer.run()
    message = str(caught.value)
    assert "batch 32, width 0.125 and 8 pixels" in message and "lower batch, or else width or pixels" in message
    assert "\n" not in message and caught.value.__suppress_context__


def test_another_error_is_left_as_it_is(monkeypatch):
    trainer, error = ImageTrainer(RECIPE, SEED, IMAGES), RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    def fail():
        raise error

    monkeypatch.setattr(trainer, "advance", fail)
    with pytest.raises(RuntimeError) as caught:
        trainer.run()
    assert caught.value is error


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (replace(RECIPE, classes=200), "has 10 classes here, but the network has 200: complete the folder"),
        (replace(RECIPE, batch=54), "160 training images, fewer than 3 shards of .* of 54: lower batch to 53 or less"),
        (replace(RECIPE, batch=1_000, shards=200), "lower batch to 1 or less"),
    ],
)
def test_images_and_recipe_must_fit_together(recipe, words):
    ImageTrainer(replace(RECIPE, batch=53), SEED, IMAGES)  # as large as a shard: allowed
    with pytest.raises(TrainingError, match=words) as caught:
        ImageTrainer(recipe, SEED, IMAGES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("resumed_at", [1, 2])
def test_a_resumed_training_that_diverges_ends_where_it_would_have_undisturbed(resumed_at, monkeypatch):
    """The looks at the losses stand at steps of the training, not of the process."""
    monkeypatch.setattr(loop, "LOOK", 3)
    wild = replace(RECIPE, learning_rate=20.0, steps=12, every=100)
    undisturbed, first = trained(wild), ImageTrainer(wild, SEED, IMAGES)

    def stop():
        if first.step == resumed_at:
            raise Stop

    with pytest.raises(Stop):
        first.run(after_step=stop)
    assert first.finite() and not undisturbed.finite()
    again, steps = ImageTrainer(wild, SEED, IMAGES), []
    again.restore([first.state()])
    again.run(after_step=lambda: steps.append(again.step))
    assert steps[0] == resumed_at + 1
    assert resumed_at < undisturbed.diverged < undisturbed.step < 12
    assert (again.diverged, again.step) == (undisturbed.diverged, undisturbed.step)
    for name, curve in again.results().items():
        np.testing.assert_array_equal(curve, undisturbed.results()[name])
