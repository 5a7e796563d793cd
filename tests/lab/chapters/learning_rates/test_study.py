"""The networks of chapter 05, and what is measured of them, against other ways to the same."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from bn.lab.chapters.learning_rates import jacobians, sensitivity, study
from bn.lab.chapters.learning_rates.study import Net
from bn.lab.data import datasets
from bn.lab.train.small import Trainer

ASKED = {"dataset": "digits", "steps": 0, "every": 1, "batch": 20, "learning_rate": 0.1, "depth": 3, "width": 12}


def build(network: str, seed: int = 0, **fields) -> nn.Sequential:
    torch.manual_seed(seed)
    return study.network(Net(network=network, **ASKED | fields)).double()


def batch(seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return (torch.rand(20, 784) < 0.2).double(), torch.randint(10, (20,))


def test_bn_stands_before_each_relu_and_the_scale_multiplies_the_hidden_weights():
    plain, bn, larger = build("plain"), build("bn"), build("bn", scale=10.0)
    assert [type(layer).__name__ for layer in bn][1:4] == ["Linear", "BatchNorm1d", "ReLU"]
    assert [type(layer).__name__ for layer in plain][1:3] == ["Linear", "ReLU"] and len(study.hidden(plain)) == 3
    for a, b in zip(study.hidden(bn), study.hidden(larger), strict=True):
        torch.testing.assert_close(10 * a.weight, b.weight)
    assert torch.equal(bn.softmax.weight, larger.softmax.weight)


@pytest.mark.parametrize("network", ["plain", "bn"])
def test_first_weights_are_by_the_same_rule(network):
    for first, std in (("he", (2 / 784) ** 0.5), (0.01, 0.01)):
        assert build(network, first=first).linear1.weight.std().item() == pytest.approx(std, rel=0.05)


@pytest.mark.parametrize("network", ["plain", "bn"])
def test_looking_changes_nothing_and_is_done_where_it_is_asked(network):
    data = datasets.load("digits")
    for looked in (False, True):
        trainer = Trainer(Net(network=network, looked=looked, **ASKED), 0, data)
        before = copy.deepcopy(trainer.net.state_dict())
        trainer.run()
        assert all(torch.equal(value, before[name]) for name, value in trainer.net.state_dict().items())
        found = trainer.results()
        expected = [[layer.weight.norm().item() for layer in study.hidden(trainer.net)]]
        np.testing.assert_allclose(found["norms"], expected)
        assert ("singular" in found, "gradients" in found) == (looked, looked)
    assert found["singular"].shape == (1, 2, 8, 12) and found["linear"].shape == (1, 2, 12)
    assert found["backward"].shape == (1, 3) and found["activations"].shape == (1,)


# ---- Small changes -------------------------------------------------------------------------------


def by_hand(net: nn.Sequential, x: torch.Tensor) -> np.ndarray:
    """The inputs of the last nonlinearities of a plain network, by numpy."""
    values = x.numpy()
    for layer in study.hidden(net)[:-1]:
        values = np.maximum(values @ layer.weight.detach().numpy().T, 0)
    return values @ study.hidden(net)[-1].weight.detach().numpy().T


def test_a_change_of_the_first_weights_is_relative_on_both_sides():
    net, (x, y) = build("plain"), batch()
    torch.manual_seed(5)
    found = sensitivity.measured(net, [(x, y)])
    torch.manual_seed(5)
    change = torch.randn_like(net.linear1.weight)
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.linear1.weight += 1e-3 * net.linear1.weight.norm() / change.norm() * change
    before, after = by_hand(net, x), by_hand(other, x)
    expected = np.linalg.norm(after - before) / np.linalg.norm(before) / 1e-3
    assert found["activations"] == pytest.approx(expected)
    before, after = before - before.mean(0), after - after.mean(0)
    assert found["centred"] == pytest.approx(np.linalg.norm(after - before) / np.linalg.norm(before) / 1e-3)


def test_the_gradient_is_of_all_weights_and_of_each_layers_inputs():
    net, (x, y) = build("bn"), batch()
    look, seen = sensitivity.look(net, x, y), {}
    for k in (1, 2, 3):
        net.get_submodule(f"act{k}").register_forward_pre_hook(lambda _module, args, k=k: seen.update({k: args[0]}))
    inputs = net(x)
    [seen[k].retain_grad() for k in (1, 2, 3)]
    nn.functional.cross_entropy(inputs, y).backward()
    vector = torch.cat([p.grad.flatten() for p in net.parameters() if p.dim() > 1])
    torch.testing.assert_close(look.weights, vector)
    for k in (1, 2, 3):
        torch.testing.assert_close(look.inputs[k - 1], seen[k].grad)
    torch.testing.assert_close(look.last, seen[3].detach())
    norms = [seen[k].grad.norm().item() for k in (1, 2, 3)]
    np.testing.assert_allclose(sensitivity.measured(net, [(x, y)])["backward"], norms)


def test_several_mini_batches_have_a_geometric_mean():
    net, batches = build("plain"), [batch(1), batch(2)]
    alone = [sensitivity.measured(net, [one])["backward"] for one in batches]
    together = sensitivity.measured(net, batches)["backward"]
    np.testing.assert_allclose(together, np.sqrt(alone[0] * alone[1]))


# ---- Singular values -----------------------------------------------------------------------------


def by_autograd(net: nn.Sequential, x: torch.Tensor, k: int, example: int) -> torch.Tensor:
    """The Jacobian from the normalized vector of hidden layer k to that of the next, of one example, by torch."""
    inputs, _ = sensitivity.through(net, x)
    a, layer = inputs[k - 1], study.hidden(net)[k]
    z = layer(a.relu())
    mean, std, z_std = a.mean(0), a.std(0, correction=0), z.std(0, correction=0)

    def forward(x_hat: torch.Tensor) -> torch.Tensor:
        return (layer((std * x_hat + mean).relu()) - z.mean(0)) / z_std

    return torch.autograd.functional.jacobian(forward, (a[example] - mean) / std)


@pytest.mark.parametrize("network", ["plain", "bn"])
def test_jacobians_are_those_of_torch_with_the_statistics_held(network):
    net, (x, _) = build(network), batch()
    for name, p in net.named_parameters():
        if name.startswith("norm"):
            p.data.uniform_(0.5, 2)
    found = jacobians.measured(net, x)
    each = torch.stack([by_autograd(net, x, 2, example) for example in range(len(x))])
    np.testing.assert_allclose(found["singular"][1], torch.linalg.svdvals(each[:8]), atol=1e-6)
    np.testing.assert_allclose(found["linear"][1], torch.linalg.svdvals(each.mean(0)), atol=1e-6)


def test_a_unit_that_does_not_vary_passes_nothing_and_a_network_that_diverged_has_no_numbers():
    net, (x, _) = build("plain"), batch()
    net.linear2.weight.data[0] = 0
    assert (jacobians.measured(net, x)["linear"][0] < 1e-12).sum() == 1
    net.linear2.weight.data[0] = np.nan
    assert np.isnan(jacobians.measured(net, x)["singular"]).all()
