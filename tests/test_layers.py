"""The layers against torch's own and against bn.reference."""

import copy
import doctest
import inspect
import pickle
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

import bn
from bn import reference, sync

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
if "bias" in inspect.signature(nn.BatchNorm1d).parameters:  # newer than the oldest torch that bn runs on
    OPTIONS.append({"bias": False})
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


def in_steps(layer, modes, shape, dtype, autocast=None):
    """Outputs and gradients of a layer in a row of modes, and its buffers after each."""
    torch.manual_seed(0)
    found = []
    for training in modes:
        x, dy = torch.randn(2, *shape, dtype=dtype)
        layer.train(training)
        with torch.autocast("cpu", autocast) if autocast else nullcontext():
            found += gradients(layer, x, dy)
        found += [buffer.clone() for buffer in layer.buffers()]
    return found


@pair
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_same_as_torch_in_training_and_inference(ours, theirs, shape, options):
    torch.manual_seed(0)
    modes, dtype = (True, True, False, True, False), options.get("dtype", torch.float32)
    first, second = (in_steps(layer, modes, shape, dtype) for layer in both(ours, theirs, **options))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pair
def test_same_as_torch_where_a_layer_changes_what_it_keeps(ours, theirs, shape):
    first, second = both(ours, theirs)
    for layer in first, second:
        layer.track_running_stats = False  # it keeps its buffers, does not touch them in training, uses them after
        layer.momentum, layer.eps = None, 0.5
    modes = (True, False, True)
    found = [in_steps(layer, modes, shape, torch.float32) for layer in (first, second)]
    torch.testing.assert_close(*found, rtol=0, atol=0)
    first(torch.full(shape, torch.inf))
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_same_as_torch_in_half_precision_with_float32_parameters(dtype):
    first, second = both(bn.BatchNorm2d, nn.BatchNorm2d)
    found = [in_steps(layer, (True, False), (4, 3, 5, 2), dtype) for layer in (first, second)]
    torch.testing.assert_close(*found, rtol=0, atol=0)


def test_same_as_torch_under_autocast():
    torch.manual_seed(0)
    nets = [nn.Sequential(nn.Conv2d(2, 3, 3), layer) for layer in both(bn.BatchNorm2d, nn.BatchNorm2d)]
    nets[0][0].load_state_dict(nets[1][0].state_dict())
    x = torch.randn(4, 2, 5, 5)
    with torch.autocast("cpu", torch.bfloat16):
        first, second = [net(x) for net in nets]
    assert first.dtype == torch.bfloat16
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pair
def test_residual_and_activation_are_torchs_steps_in_one(ours, theirs, shape):
    torch.manual_seed(2)
    first, second = both(ours, theirs, dtype=torch.float64)
    first.activation = "relu"
    x, r, dy = torch.randn(3, *shape, dtype=torch.float64)
    for training in (True, False):
        first.train(training), second.train(training)
        leaves = [t.clone().requires_grad_() for t in (x, r, x, r)]
        y, want = first(leaves[0], residual=leaves[1]), torch.relu(second(leaves[2]) + leaves[3])
        got = torch.autograd.grad(y, [*leaves[:2], *first.parameters()], dy)
        expected = torch.autograd.grad(want, [*leaves[2:], *second.parameters()], dy)
        torch.testing.assert_close([y, *got], [want, *expected], rtol=1e-13, atol=1e-13)


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


def test_a_layer_without_a_counter_does_what_torchs_does():
    x = torch.randn(4, 3)
    for layer in (bn.BatchNorm1d(3), nn.BatchNorm1d(3)):
        del layer.num_batches_tracked
        assert layer.eval()(x).shape == (4, 3)
        with pytest.raises(AttributeError, match="num_batches_tracked"):
            layer.train()(x)
        assert not layer.running_mean.any()


def test_it_is_a_layer_of_torch_for_whoever_asks():
    assert isinstance(bn.BatchNorm2d(3), nn.BatchNorm2d)
    assert repr(bn.BatchNorm2d(3, activation="relu")).endswith("activation='relu')")
    assert bn.BatchNorm2d(3).activation is None


@pytest.mark.parametrize("activation", ["sigmoid", "ReLU", "", False, torch.relu, ["relu"]])
def test_another_activation_is_refused(activation):
    with pytest.raises(ValueError, match="activation must be None or 'relu', but it is"):
        bn.BatchNorm1d(3, activation=activation)


INT, HALF, DOUBLE = torch.ones(4, 3).long(), torch.randn(4, 3).half(), torch.randn(4, 3).double()
REFUSED = {
    "dimensions": (bn.BatchNorm1d, {}, torch.randn(4, 3, 2, 2), (True, False)),
    "no batch": (bn.BatchNorm2d, {}, torch.randn(3, 2, 2), (True, False)),
    "channels": (bn.BatchNorm1d, {}, torch.randn(4, 2), (True, False)),
    "one value": (bn.BatchNorm1d, {}, torch.randn(1, 3), (True,)),
    "one pixel": (bn.BatchNorm2d, {}, torch.randn(1, 3, 1, 1), (True,)),
    "one value, no memory": (bn.BatchNorm1d, {"track_running_stats": False}, torch.randn(1, 3), (True, False)),
    "integers": (bn.BatchNorm1d, {}, INT, (True, False)),
    "double for float": (bn.BatchNorm1d, {}, DOUBLE, (True, False)),
    "float for half": (bn.BatchNorm1d, {"dtype": torch.float16}, torch.randn(4, 3), (True, False)),
    "half for bfloat16": (bn.BatchNorm1d, {"dtype": torch.bfloat16}, HALF, (True, False)),
    "eps 0": (bn.BatchNorm1d, {"eps": 0.0}, torch.randn(4, 3), (True,)),
    "eps below 0": (bn.BatchNorm1d, {"eps": -1.0}, torch.randn(4, 3), (True, False)),
    "not a tensor": (bn.BatchNorm1d, {}, [[1.0, 2.0, 3.0]], (True, False)),
}


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize(("ours", "options", "x", "modes"), REFUSED.values(), ids=REFUSED)
def test_what_torch_refuses_is_refused_and_leaves_no_trace(ours, options, x, modes, momentum):
    layer, other = ours(3, momentum=momentum, **options), sync.TORCHS[ours](3, momentum=momentum, **options)
    for training in modes:
        before = copy.deepcopy(layer.state_dict())
        with pytest.raises((ValueError, RuntimeError, AttributeError)) as theirs:
            other.train(training)(x)
        with pytest.raises(theirs.type):
            layer.train(training)(x)
        torch.testing.assert_close(layer.state_dict(), before, rtol=0, atol=0)


def test_a_residual_that_does_not_fit_is_refused():
    layer = bn.BatchNorm1d(3)
    for residual in (torch.randn(4, 1), torch.randn(3), torch.randn(4, 3).double()):
        with pytest.raises(RuntimeError, match="residual must match the input"):
            layer(torch.randn(4, 3), residual)
    assert layer.num_batches_tracked == 0 and (layer.running_mean == 0).all()


def test_one_value_for_each_channel_is_fine_in_inference():
    assert bn.BatchNorm1d(3).eval()(torch.randn(1, 3)).shape == (1, 3)


@pytest.mark.parametrize("training", [True, False])
def test_compiles_in_one_graph(training):
    torch.manual_seed(3)
    layer = bn.BatchNorm2d(3, activation="relu").train(training)
    twin, (x, r, dy) = copy.deepcopy(layer), torch.randn(3, 4, 3, 5, 2)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")  # the frontend and autograd, no C++
    got, want = compiled(x, r), twin(x, r)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(
        torch.autograd.grad(got, layer.weight, dy), torch.autograd.grad(want, twin.weight, dy), rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(layer.state_dict(), twin.state_dict())


def test_exports_with_any_batch():
    layer = bn.BatchNorm1d(3, activation="relu").eval()
    randomize(layer)
    program = torch.export.export(layer, (torch.randn(4, 3),), dynamic_shapes=({0: torch.export.Dim("N")},))
    x = torch.randn(7, 3)
    torch.testing.assert_close(program.module()(x), layer(x), rtol=0, atol=0)


def test_vmap_in_inference_equals_a_loop():
    layer = bn.BatchNorm2d(3, activation="relu").eval()
    randomize(layer)
    layer.running_mean.normal_()
    x = torch.randn(6, 4, 3, 5, 2)
    torch.testing.assert_close(torch.func.vmap(layer)(x), torch.stack([layer(part) for part in x]))


def test_public_names():
    layers_of_ours = {"BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"}
    on_networks = {"convert", "revert", "fold", "fuse", "recompute_statistics"}
    assert set(bn.__all__) == layers_of_ours | on_networks | {"functional", "reference", "__version__"}
    assert bn.__version__


@pytest.mark.parametrize("name", ["layers", "sync", "convert", "fold", "fuse", "statistics"])
def test_examples_in_the_docstrings(name):
    module, given = sys.modules[f"bn.{name}"], {"torch": torch, "nn": nn}  # what the page says that they assume
    found = doctest.testmod(module, extraglobs=given, optionflags=doctest.ELLIPSIS)  # torch adds fields to its names
    assert found.attempted >= 1 and found.failed == 0
