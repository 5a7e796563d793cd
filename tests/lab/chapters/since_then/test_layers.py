"""The normalizations of chapter 12 against torch, by hand, and in their limits."""

import pytest
import torch

import bn
from bn.lab.chapters.since_then import layers


def inputs(m: int = 12, features: int = 3) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    return 2 * torch.randn(m, features, generator=draw, dtype=torch.float64) + 3


def test_noise_changes_at_every_step_within_its_limits():
    layer = layers.NoisyBatchNorm1d(3).double()
    x = inputs(20_000)
    for _ in range(5):
        y = layer(x)
        assert all(y.mean(0).abs() <= layers.MEAN + 0.02)
        assert all((y.std(0) > 0.98) & (y.std(0) < layers.SCALE + 0.05))
    first, second = layer(x).mean(0), layer(x).mean(0)
    assert (first - second).abs().max() > 0.1  # another mean for each unit
    assert (first - first.mean()).abs().max() > 0.05


def test_without_training_there_is_no_noise_but_its_mean_scale():
    x, layer, plain = inputs(), layers.NoisyBatchNorm1d(3).double().eval(), bn.BatchNorm1d(3).double().eval()
    torch.testing.assert_close(layer(x), 1.125 * plain(x))
    assert torch.equal(layer(x), layer(x))


def test_batch_renormalization_begins_as_batch_normalization():
    layer, plain = layers.BatchRenorm1d(3).double(), bn.BatchNorm1d(3).double()
    x, same = inputs().requires_grad_(), inputs().requires_grad_()
    weights = torch.arange(36.0).reshape(12, 3).double().sin()
    y, expected = layer(x), plain(same)
    torch.testing.assert_close(y, expected)
    (y * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(x.grad, same.grad)
    torch.testing.assert_close(layer.mean, 0.1 * x.detach().mean(0))


def test_after_its_warm_up_it_normalizes_by_the_averages_where_the_limits_allow():
    layer, x = layers.BatchRenorm1d(3).double(), inputs()
    layer.steps.fill_(1_000)
    layer.mean.copy_(x.mean(0) + 0.5)
    layer.std.copy_(x.std(0) * 1.2)
    at_inference = layer.eval()(x)
    torch.testing.assert_close(layer.train()(x), at_inference)
    layer.mean.fill_(1_000.0)  # beyond what d may correct
    assert (layer.train()(x) + layers.D_MAX).abs().max() < 5


def test_two_numbers_become_plus_and_minus_one_whatever_they_are():
    y = bn.BatchNorm1d(3).double()(inputs(2))
    torch.testing.assert_close(y.abs(), torch.ones(2, 3).double(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("group", [2, 12])
def test_separate_statistics_of_maps_are_those_of_each_group(group):
    layer, x = layers.SeparateBatchNorm2d(3, group).double(), inputs(12, 3 * 20).reshape(12, 3, 4, 5)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
        layer.bias.copy_(torch.tensor([0.5, 0.0, -0.5]))
    whole = bn.BatchNorm2d(3).double()
    whole.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(x), torch.cat([whole(part) for part in x.split(group)]))
    if group == 12:
        torch.testing.assert_close(layer.running_mean, whole.running_mean)
        torch.testing.assert_close(layer.running_var, whole.running_var)


@pytest.mark.parametrize("group", [2, 12])
def test_separate_statistics_are_those_of_each_group(group):
    layer, x = layers.SeparateBatchNorm1d(3, group).double(), inputs()
    expected = torch.cat([bn.BatchNorm1d(3).double()(part) for part in x.split(group)])
    torch.testing.assert_close(layer(x), expected)
    if group == 12:
        whole = bn.BatchNorm1d(3).double()
        whole(x)
        torch.testing.assert_close(layer.running_mean, whole.running_mean)
        torch.testing.assert_close(layer.running_var, whole.running_var)
