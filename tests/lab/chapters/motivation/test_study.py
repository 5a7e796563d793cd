"""The stacks of chapter 02 and what is measured of them, against torch and by hand."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm, cross_entropy

from bn.lab.chapters.motivation import study
from bn.lab.chapters.motivation.study import NORMS, Normalized, Stack
from bn.lab.train.small import Trainer


def stack(network="plain", **more) -> Stack:
    usual = {"dataset": "digits", "steps": 4, "every": 2, "batch": 20, "learning_rate": 0.1, "depth": 4}
    return Stack(network=network, **usual | more)


def inputs(m=12, features=5) -> torch.Tensor:
    return torch.randn(m, features, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize("network", NORMS)
def test_its_first_weights_have_the_size_that_is_asked_for(network):
    torch.manual_seed(0)
    net = study.network(stack(network, gain=4.0))
    assert net.linear2.weight.std().item() == pytest.approx(4 * (2 / 200) ** 0.5, rel=0.03)
    assert len([layer for layer in net if isinstance(layer, nn.Sigmoid)]) == 4
    assert net.softmax.weight.std().item() == pytest.approx((2 / 110) ** 0.5, rel=0.1)


@pytest.mark.parametrize("inside", [True, False])
def test_it_is_normalized_as_torch_does_it_and_the_gradient_sees_it_only_inside(inside):
    u = inputs().requires_grad_()
    layer = Normalized(5, inside).double()
    with torch.no_grad():
        layer.b.fill_(3.0)
    out = layer(u)
    torch.testing.assert_close(out, batch_norm(u, None, None, training=True))
    out[:, 0].square().sum().backward()  # which x_hat cannot change, but for eps
    size = u.grad.abs().max().item()
    assert size < 1e-3 if inside else size > 1


def test_the_mean_alone_may_be_outside():
    layer = NORMS["mean_outside"](5).double()
    u = inputs().requires_grad_()
    out = layer(u)
    torch.testing.assert_close(out, u - u.mean(0))
    out.sum().backward()
    assert (layer.b.grad == 12).all()  # the gradient of a sum that is always zero
    assert (NORMS["both_inside"](5)(inputs().float()).sum(0).abs() < 1e-4).all()


def test_the_mean_alone_inside_has_the_same_output_and_the_true_gradient():
    inside, outside = (NORMS[name](5).double() for name in ("mean_inside", "mean_outside"))
    u, dy = inputs().requires_grad_(), torch.linspace(-1, 2, 60).double().reshape(12, 5)
    torch.testing.assert_close(inside(u), outside(u))
    inside(u).backward(dy)
    torch.testing.assert_close(u.grad, dy - dy.mean(0))
    assert inside.b.grad.abs().max() < 1e-12


def test_at_inference_it_goes_by_its_averages():
    layer = NORMS["both_outside"](5).double()
    for _ in range(300):
        layer(inputs() + 7)
    x = inputs() + 7
    expected = (x - x.mean(0)) / torch.sqrt(x.var(0) + layer.averages.eps)
    torch.testing.assert_close(layer.eval()(x), expected, rtol=1e-4, atol=1e-4)


@pytest.fixture
def trainer(tiny) -> Trainer:
    return Trainer(stack(gain=4.0, dataset="tiny"), 0, tiny)


def by_hand(net: nn.Sequential, u: torch.Tensor) -> list[torch.Tensor]:
    """The input of each sigmoid."""
    found, layers = [], list(net.children())[1:]
    for linear, act in zip(layers[:-1:2], layers[1:-1:2], strict=True):
        found.append(linear(u))
        u = act(found[-1])
    return [*found, layers[-1](u)]


def test_saturation_and_gradients_are_those_of_the_layers(trainer):
    found = study.measure(trainer)
    net, u = trainer.net.double(), trainer.validation.x.double()
    *xs, logits = by_hand(net, u)
    np.testing.assert_allclose(found["saturated"], [(abs(x) > 4).double().mean().item() for x in xs])
    gradients = torch.autograd.grad(cross_entropy(logits, trainer.validation.y), xs)
    np.testing.assert_allclose(found["gradient"], [g.norm().item() for g in gradients])
    outputs = torch.sigmoid(xs[1]).detach().numpy()
    np.testing.assert_allclose(found["percentiles"][1], np.median(outputs, axis=0), rtol=1e-6)
    weights = torch.cat([net.get_submodule(f"linear{k}").weight.flatten() for k in range(1, 5)])
    assert found["size"] == pytest.approx(weights.detach().numpy().std(), rel=1e-3)
    spreads = [x.detach().numpy().std(0) for x in xs]
    np.testing.assert_allclose(found["spread"], [np.sqrt((spread**2).mean()) for spread in spreads])


def test_loss_and_accuracy_by_their_own_statistics_are_those_of_training_mode(tiny):
    trainer = Trainer(stack("both_outside", gain=4.0, dataset="tiny"), 0, tiny)
    trainer.run()
    found, net = study.measure(trainer), trainer.net.double().train()
    logits, y = net(trainer.validation.x.double()), trainer.validation.y
    assert found["own_loss"] == pytest.approx(cross_entropy(logits, y).item())
    assert found["own_accuracy"] == pytest.approx((logits.argmax(1) == y).double().mean().item())
    assert abs(found["own_loss"] - trainer.log["validation_loss"][-1]) > 0.01  # which is by moving averages


def test_a_change_of_one_layer_is_followed_upwards_and_then_taken_back(trainer):
    before = [p.clone() for p in trainer.net.parameters()]
    found = study.measure(trainer)
    assert all((a == b).all() for a, b in zip(before, trainer.net.parameters(), strict=True))
    assert found["change"].shape == found["change_of_first"].shape == (4,)
    assert found["change"][-1] > 2 * found["change_of_first"][-1]  # all weights do more than the first layer's
    # A random change of a thousandth of the weights moves the first input by a thousandth of its size, not centred.
    x = by_hand(trainer.net.double(), trainer.validation.x.double())[0]
    expected = study.MOVED * x.norm() / (x - x.mean(0)).norm()
    assert found["change"][0] == pytest.approx(expected.item(), rel=0.3)


def test_what_is_watched_leaves_the_running_averages_alone(tiny):
    trainer = Trainer(stack("bn", dataset="tiny"), 0, tiny)
    kept = {name: value.clone() for name, value in trainer.net.state_dict().items()}
    study.measure(trainer)
    assert all((kept[name] == value).all() for name, value in trainer.net.state_dict().items())
