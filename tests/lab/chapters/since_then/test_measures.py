"""What chapter 12 measures of a network, against autograd and by hand; nothing of it may change the training."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import bn
from bn.lab.chapters.since_then import landscape, looks, scaling, study
from bn.lab.data.splits import Split
from bn.lab.train import stacks
from bn.lab.train.small import Trainer


@pytest.fixture
def trainer(tiny):
    setting = study.Network(network="bn", dataset="tiny", steps=4, every=2, batch=32, learning_rate=0.1)
    return Trainer(setting, 0, tiny)


def stub(net: nn.Module, rate: float, m: int = 16) -> SimpleNamespace:
    draw = torch.Generator().manual_seed(1)
    batch = torch.randn(m, 6, generator=draw), torch.randint(3, (m,), generator=draw)
    return SimpleNamespace(net=net, batch=lambda step: batch, step=0, setting=SimpleNamespace(learning_rate=rate))


def small_net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return stacks.draw(stacks.mlp((6, 5, 4, 3)), "he")


def test_the_shift_is_that_of_a_gradient_after_the_layers_below_have_moved():
    given, rate = stub(small_net(), 0.7), 0.7
    found, (x, y) = landscape.measure(given), given.batch(0)
    net = small_net()
    before = torch.autograd.grad(cross_entropy(net(x), y), list(net.parameters()))
    names = [name for name, _ in net.named_parameters()]
    for k, layer in enumerate(("linear2", "softmax")):
        moved = small_net()
        with torch.no_grad():
            for name, p, g in zip(names, moved.parameters(), before, strict=True):
                if names.index(name) < names.index(f"{layer}.weight"):
                    p -= rate * g
        after = torch.autograd.grad(cross_entropy(moved(x), y), [moved.get_parameter(f"{layer}.weight")])[0]
        then = before[names.index(f"{layer}.weight")]
        assert found["shift"][k] == pytest.approx(float((then - after).norm() / then.norm()), rel=1e-5)
        cosine = float((then * after).sum() / then.norm() / after.norm())
        assert found["cosine"][k] == pytest.approx(cosine, rel=1e-5)
    assert found["shift"].shape == (2,) and found["shift"].min() > 0.01


def test_along_the_step_the_losses_are_those_of_moved_weights():
    given, rate = stub(small_net(), 0.3), 0.3
    found, (x, y) = landscape.measure(given), given.batch(0)
    losses, slopes = [], []
    net = small_net()
    first = torch.autograd.grad(cross_entropy(net(x), y), list(net.parameters()))
    for size in (0, *landscape.SIZES):
        moved = small_net()
        with torch.no_grad():
            for p, g in zip(moved.parameters(), first, strict=True):
                p -= size * rate * g
        loss = cross_entropy(moved(x), y)
        losses.append(loss.item())
        slopes.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(moved.parameters()))]))
    turned = [float((s - slopes[0]).norm()) for s in slopes[1:]]
    distances = [size * rate * float(slopes[0].norm()) for size in landscape.SIZES]
    assert found["range"] == pytest.approx(max(losses) - min(losses), rel=1e-4)
    assert found["turned"] == pytest.approx(max(turned), rel=1e-4)
    assert found["smoothness"] == pytest.approx(max(t / d for t, d in zip(turned, distances, strict=True)), rel=1e-4)


def test_inputs_move_by_their_means_in_a_step():
    given, rate = stub(small_net(), 0.5), 0.5
    found, (x, y) = landscape.measure(given), given.batch(0)
    net = small_net()
    slopes = torch.autograd.grad(cross_entropy(net(x), y), list(net.parameters()))
    moved = small_net()
    with torch.no_grad():
        for p, g in zip(moved.parameters(), slopes, strict=True):
            p -= rate * g

    def inputs(network):
        first = network.linear1(x)
        return torch.cat([first, network.linear2(first.relu())], 1)

    a, b = inputs(net).detach(), inputs(moved).detach()
    distance = (b.mean(0) - a.mean(0)).abs() / ((a.var(0) + b.var(0)) / 2).sqrt()
    assert found["moved"] == pytest.approx(float(distance.median()), rel=1e-4)


def test_measuring_leaves_the_training_as_it_is(trainer):
    trainer.advance()
    before = {name: tensor.clone() for name, tensor in trainer.net.state_dict().items()}
    landscape.measure(trainer)
    looks.recomputed(trainer)
    looks.corrected(trainer)
    looks.with_statistics(trainer.net, trainer.train.x.float())
    assert all(torch.equal(before[name], tensor) for name, tensor in trainer.net.state_dict().items())


def test_new_statistics_are_those_of_the_new_images(trainer):
    x = 0.5 * trainer.train.x[:120].float()
    adapted = looks.with_statistics(trainer.net, x)
    given = trainer.net.linear1(x).reshape(2, 60, -1)
    torch.testing.assert_close(adapted.norm1.running_mean, given.mean((0, 1)))
    assert not torch.allclose(trainer.net.norm1.running_mean, adapted.norm1.running_mean)


def test_without_their_start_averages_are_only_of_what_they_were_given(trainer, tiny):
    trainer = Trainer(replace(trainer.setting, averages=0.01), 0, tiny)
    assert torch.equal(looks.without_start(trainer.net).norm1.running_var, torch.ones(64))  # before the first step
    given = []
    trainer.net.norm1.register_forward_pre_hook(lambda _layer, x: given.append(x[0].detach()))
    for _ in range(3):
        trainer.advance()
    weights = torch.tensor([0.99**2, 0.99, 1.0])
    weights = (weights / weights.sum())[:, None]
    norm = looks.without_start(trainer.net).norm1
    torch.testing.assert_close(norm.running_mean, (weights * torch.stack([x.mean(0) for x in given])).sum(0))
    variances = (weights * torch.stack([x.var(0) for x in given])).sum(0)
    torch.testing.assert_close(norm.running_var, variances, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(trainer.net.norm1.running_var, variances, rtol=0.1)


def test_other_images():
    x = torch.zeros(1, 28, 28)
    x[0, 10, 10] = 1
    x = x.flatten(1)
    assert looks.pale(x).max() == pytest.approx(looks.CONTRAST) and looks.thick(x).sum() == 9
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flipped = looks.noisy(x.repeat(50, 1))
    assert set(flipped.unique().tolist()) == {0, 1}
    assert (flipped != x).float().mean().item() == pytest.approx(looks.FLIPPED, abs=0.01)


def test_images_of_another_kind_are_asked_at_the_end(trainer):
    assert np.isnan(looks.shifted(trainer)["shifted"]).all()
    trainer.step = trainer.setting.steps
    trainer.validation = Split(trainer.train.x, trainer.train.y)
    found = looks.shifted(trainer)["shifted"]
    assert found.shape == (3, 2) and ((found >= 0) & (found <= 1)).all()


def test_scaled_weights_train_alike_only_with_the_squared_rate():
    assert max(scaling.measure((0, 1))["losses"]) < 1e-12
    draw = torch.Generator().manual_seed(0)
    first = [torch.randn(o, i, generator=draw, dtype=torch.float64) for i, o in ((6, 5), (5, 3))]
    x = torch.randn(8, 16, 6, generator=draw, dtype=torch.float64)
    y = torch.randint(3, (8, 16), generator=draw)
    losses, weights = scaling.train(first, x, y, 0.5, 0.1)
    for rate, decay, alike in ((4 * 0.5, 0.1 / 4, True), (2 * 0.5, 0.1 / 2, False), (4 * 0.5, 0.1, False)):
        others, scaled = scaling.train([2 * w for w in first], x, y, rate, decay)
        same = torch.allclose(losses, others, rtol=1e-10) and torch.allclose(2 * weights[0], scaled[0], rtol=1e-8)
        assert same is alike


def test_every_network_is_what_it_is_called():
    usual = {"dataset": "tiny", "steps": 1, "every": 1, "batch": 4, "learning_rate": 0.1}
    x = torch.rand(4, 784)
    for kind, names in {
        "deep": ("plain", "bn", "noisy"),
        "shallow": ("bn", "separate", "renorm", "layer", "group"),
        "convolutional": ("bn", "group", "instance", "separate"),
        "invariant": ("bn",),
    }.items():
        for name in names:
            net = study.network(study.Network(network=name, kind=kind, group=2, **usual))
            assert net(x).shape == (4, 10)
            depth = sum(isinstance(layer, nn.ReLU) for layer in net)
            assert depth == {"deep": 8, "shallow": 2, "convolutional": 3, "invariant": 2}[kind]
            assert (name == "plain") == (not any(name.startswith("norm") for name, _ in net.named_children()))


def test_every_weight_of_the_invariant_network_is_scale_invariant():
    usual = {"dataset": "tiny", "steps": 1, "every": 1, "batch": 4, "learning_rate": 0.1}
    net = study.network(study.Network(network="bn", kind="invariant", **usual)).double()
    for layer in net.modules():
        if isinstance(layer, bn.BatchNorm1d):
            layer.eps = 1e-30
    x = torch.rand(64, 784).double()
    before = net(x)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter *= 3
    torch.testing.assert_close(net(x), before)
