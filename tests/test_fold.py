"""Networks folded for inference, against the networks they come from."""

import copy

import pytest
import torch
from networks import NETS, Branches, Net, count, randomize, sequential
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import bn
from bn import reference
from bn.fold import Affine, Folded


def close(got, want):
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


@pytest.fixture(params=NETS.values(), ids=NETS)
def case(request):
    """A network, an input for it, and how many of its ReLUs can be fused."""
    build, shape, fusible = request.param
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64)
    return randomize(build(), x), x, fusible


@pytest.mark.parametrize("first", [lambda net: net, bn.convert], ids=["torch's", "ours"])
def test_fold_gives_what_inference_gives(case, first):
    net, x, _ = case
    net = first(net)
    want, before = copy.deepcopy(net).eval()(x), repr(net)
    folded = bn.fold(net)
    assert not any(isinstance(part, _BatchNorm) or part.training for part in folded.modules())
    close(folded(x), want)
    close(folded(x[:1]), want[:1])  # an example alone
    assert repr(net) == before and net.training


def test_fold_takes_in_what_it_can_and_maps_the_rest():
    torch.manual_seed(0)
    x = torch.randn(3, 4, 6, 6, dtype=torch.float64)
    folded = bn.fold(randomize(sequential(), x))
    kinds = [type(part) for part in folded if type(part) in (Folded, Affine)]
    # taken in by Conv2d; not by a ConvTranspose2d in groups; by one without, and by two Linears; not by a Sigmoid
    assert kinds == [Folded, Affine, Folded, Folded, Folded, Affine]
    assert count(bn.fold(randomize(Branches())), Folded, Affine) == 4


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"eps": 0.3}], ids=str)
def test_fold_keeps_activation_and_residual(activation, options):
    torch.manual_seed(0)
    x, r = torch.randn(2, 5, 3, 4, 4, dtype=torch.float64)
    layer = randomize(bn.BatchNorm2d(3, activation=activation, **options))
    conv = nn.Conv2d(3, 3, 3).double()
    close(bn.fold(layer)(x), layer.eval()(x))
    close(bn.fold(layer)(x, r), layer(x, r))
    net = nn.Sequential(conv, layer).eval()
    close(bn.fold(net)(x), net(x))
    assert bn.fold(layer)(x.contiguous(memory_format=torch.channels_last)).is_contiguous(
        memory_format=torch.channels_last
    )
    assert bn.fold(layer).float()(x.bfloat16()).dtype == torch.bfloat16


def test_affine_is_line_11_of_algorithm_2():
    torch.manual_seed(0)
    layer, x = randomize(bn.BatchNorm1d(3)), torch.randn(5, 3, dtype=torch.float64)
    gamma, beta, mean, var = (
        t.detach().numpy() for t in (layer.weight, layer.bias, layer.running_mean, layer.running_var)
    )
    want = reference.batch_norm_inference(x.numpy(), gamma, beta, mean, var, layer.eps)
    close(bn.fold(layer)(x), torch.from_numpy(want))


def weights_are_read(net, x, flag):
    return net.bn(net.before(x)) + net.before.weight.sum()


def called_twice(net, x, flag):
    return net.bn(net.before(x)) + net.before(-x)


def taken_apart(net, x, flag):
    y = net.before(x)
    return net.bn(y) + y


@pytest.mark.parametrize("how", [weights_are_read, called_twice, taken_apart], ids=lambda how: how.__name__)
def test_fold_leaves_a_layer_that_is_used_elsewhere(how):
    torch.manual_seed(0)
    net, x = Net(how), torch.randn(5, 3, dtype=torch.float64)
    net.before = nn.Linear(3, 3)
    net = randomize(net)
    want = copy.deepcopy(net).eval()(x)
    folded = bn.fold(net)
    assert type(folded.bn) is Affine
    close(folded(x), want)


def test_fold_leaves_alone_what_shares_hooks_or_parametrizes_weights():
    torch.manual_seed(0)
    x = torch.randn(4, 3, dtype=torch.float64)
    tied = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3), nn.BatchNorm1d(3))
    tied[2].weight = tied[0].weight
    normed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)), nn.BatchNorm1d(3))
    hooked = nn.Sequential(nn.utils.spectral_norm(nn.Linear(3, 3)), nn.BatchNorm1d(3))
    for net in (tied, normed, hooked):
        net = randomize(net)
        close(bn.fold(net)(x), net.eval()(x))


def test_a_folded_linear_refuses_the_input_that_folding_cannot_serve():
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).eval()
    assert net(torch.randn(2, 3, 3)).shape == (2, 3, 3)  # its channels are the second axis, Linear's the last
    with pytest.raises(AssertionError, match="a folded network takes a batch"):
        bn.fold(net)(torch.randn(2, 3, 3))


def test_fold_refuses_a_layer_without_running_statistics():
    net = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False)))
    with pytest.raises(ValueError, match=r"^1\.0 has no running statistics"):
        bn.fold(net)


def test_a_folded_network_compiles_and_is_traced():
    torch.manual_seed(0)
    net, x = bn.fold(randomize(Branches())), torch.randn(3, 4, 6, 6, dtype=torch.float64)
    close(torch.compile(net, fullgraph=True, backend="eager")(x), net(x))
    close(torch.fx.symbolic_trace(net)(x), net(x))


@pytest.mark.parametrize("how", [lambda bn, y, x: bn(y, x), lambda bn, y, x: bn(y, residual=y)], ids=["other", "same"])
def test_fold_leaves_a_layer_that_adds_a_residual(how):
    torch.manual_seed(0)
    net, x = Net(lambda net, x, flag: how(net.bn, net.before(x), x)), torch.randn(5, 3, dtype=torch.float64)
    net.bn, net.before = bn.BatchNorm1d(3, activation="relu"), nn.Linear(3, 3)
    net = randomize(net)
    folded = bn.fold(net)
    assert type(folded.bn) is Affine
    close(folded(x), net.eval()(x))
