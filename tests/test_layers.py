"""The layers against torch's own and against bn.reference."""

import copy
import doctest
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import bn
from bn import layers, reference

PAIRS = {
    "1d": (bn.BatchNorm1d, nn.BatchNorm1d, (6, 3)),
    "1d-length": (bn.BatchNorm1d, nn.BatchNorm1d, (4, 3, 5)),
    "2d": (bn.BatchNorm2d, nn.BatchNorm2d, (4, 3, 5, 2)),
    "3d": (bn.BatchNorm3d, nn.BatchNorm3d, (2, 3, 2, 3, 2)),
}
OPTIONS = [
    {},
    {"eps": 0.1, "momentum": 0.3},
    {"momentum": None},
    {"affine": False},
    {"track_running_stats": False},
    {"dtype": torch.float64},
]
pair = pytest.mark.parametrize(("ours", "theirs", "shape"), PAIRS.values(), ids=PAIRS)


def randomize(layer):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()


def both(ours, theirs, **options):
    """Two layers with the same random parameters; the weights travel through the state_dict."""
    first, second = ours(3, **options), theirs(3, **options)
    randomize(second)
    first.load_state_dict(second.state_dict())
    return first, second


def gradients(layer, x, dy):
    x = x.clone().requires_grad_()
    y = layer(x)
    return [y, *torch.autograd.grad(y, [x, *layer.parameters()], dy)]


@pair
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_same_as_torch_in_training_and_inference(ours, theirs, shape, options):
    torch.manual_seed(0)
    first, second = both(ours, theirs, **options)
    for training in (True, True, False):
        x, dy = torch.randn(2, *shape, dtype=options.get("dtype", torch.float32))
        first.train(training), second.train(training)
        torch.testing.assert_close(gradients(first, x, dy), gradients(second, x, dy), rtol=0, atol=0)
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)


@pair
@pytest.mark.parametrize("activation", [None, "relu"])
def test_same_as_the_reference(ours, theirs, shape, activation):
    torch.manual_seed(1)
    layer = ours(3, activation=activation, dtype=torch.float64, momentum=None)
    randomize(layer)
    batches, dy = torch.randn(5, *shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)
    gamma, beta = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    for x in batches:
        y, *got = gradients(layer, x, dy)
    plain, cache = reference.batch_norm(batches[-1], gamma, beta)
    mask = plain > 0 if activation else np.ones(shape)
    np.testing.assert_allclose(y.detach(), plain * mask, atol=1e-12)
    for value, want in zip(got, reference.batch_norm_backward(dy.numpy() * mask, cache), strict=True):
        np.testing.assert_allclose(value, want, atol=1e-11)

    # momentum=None takes plain averages: the very statistics of Algorithm 2
    mean, var = reference.population_statistics(batches)
    np.testing.assert_allclose(layer.running_mean, mean, atol=1e-12)
    np.testing.assert_allclose(layer.running_var, var, atol=1e-12)
    plain = reference.batch_norm_inference(batches[0], gamma, beta, mean, var)
    expected = np.maximum(plain, 0) if activation else plain
    np.testing.assert_allclose(layer.eval()(batches[0]).detach(), expected, atol=1e-12)


@pair
def test_state_dict_travels_both_ways(ours, theirs, shape):
    layer = ours(3, activation="relu")
    layer(torch.randn(shape))
    other = theirs(3)
    assert list(other.state_dict()) == list(layer.state_dict())
    other.load_state_dict(layer.state_dict())
    again = ours(3, activation="relu")
    again.load_state_dict(other.state_dict())
    torch.testing.assert_close(again.state_dict(), layer.state_dict(), rtol=0, atol=0)


@pair
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_keep_everything(ours, theirs, shape, duplicate):
    layer, x = ours(3, eps=0.01, activation="relu"), torch.randn(shape)
    layer(x)
    twin = duplicate(layer).eval()
    assert twin.activation == "relu"
    torch.testing.assert_close(twin(x), layer.eval()(x), rtol=0, atol=0)


def test_it_is_a_layer_of_torch_for_whoever_asks():
    assert isinstance(bn.BatchNorm2d(3), nn.BatchNorm2d)
    assert repr(bn.BatchNorm2d(3, activation="relu")).endswith("activation='relu')")
    assert bn.BatchNorm2d(3).activation is None


@pytest.mark.parametrize("activation", ["sigmoid", "ReLU", "", False, torch.relu, ["relu"]])
def test_another_activation_is_refused(activation):
    with pytest.raises(ValueError, match="activation must be None or 'relu', but it is"):
        bn.BatchNorm1d(3, activation=activation)


def test_one_value_for_each_channel_is_refused_in_training_only():
    layer = bn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="more than 1 value"):
        layer(torch.randn(1, 3))
    assert (layer.running_mean == 0).all() and (layer.running_var == 1).all()
    assert layer.eval()(torch.randn(1, 3)).shape == (1, 3)


def test_public_names():
    assert set(bn.__all__) == {"BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "__version__", "reference"}
    assert bn.__version__


def test_examples_in_the_docstrings():
    assert doctest.testmod(layers).attempted >= 4
    assert doctest.testmod(layers).failed == 0
