"""Networks folded for inference or given population statistics, against the networks they come from."""

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


@pytest.mark.parametrize("first", [lambda net: net, bn.convert], ids=["torch's", "ours"])
def test_recomputed_statistics_are_those_of_algorithm_2(first):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(4, 3), nn.BatchNorm1d(3, momentum=0.3), nn.ReLU(), nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout(0.0)
    )
    net = first(randomize(net))
    net[4].eval()
    batches = 3 * torch.randn(5, 6, 4, dtype=torch.float64) + 1
    flags = [part.training for part in net.modules()]
    inputs = {layer: [] for layer in (net[1], net[4])}
    hooks = [
        layer.register_forward_pre_hook(lambda layer, args: inputs[layer].append(args[0].numpy())) for layer in inputs
    ]
    assert bn.recompute_statistics(net, [(batch, "label") for batch in batches]) is None
    for hook in hooks:
        hook.remove()
    for layer, seen in inputs.items():
        mean, var = reference.population_statistics(seen)
        close(layer.running_mean, torch.from_numpy(mean))
        close(layer.running_var, torch.from_numpy(var))
    # what the second layer saw was normalized by the mini-batch, not by running statistics
    normalized = nn.functional.batch_norm(net[0](batches[0]), None, None, net[1].weight, net[1].bias, True)
    close(torch.from_numpy(inputs[net[4]][0]), net[3](normalized.relu()).detach())
    assert flags == [part.training for part in net.modules()]
    assert (net[1].momentum, net[4].momentum) == (0.3, 0.1)


def test_recomputing_takes_a_generator_and_refuses_an_empty_one():
    net = nn.Sequential(nn.BatchNorm1d(2))
    bn.recompute_statistics(net, (batch for batch in torch.randn(3, 4, 2)))
    before = copy.deepcopy(net.state_dict())
    assert before["0.num_batches_tracked"] == 3
    for empty in ([], iter(())):
        with pytest.raises(ValueError, match="at least one mini-batch, but it is empty"):
            bn.recompute_statistics(net, empty)
    with pytest.raises(ValueError, match="must have a BatchNorm layer"):
        bn.recompute_statistics(nn.Linear(2, 2), torch.randn(3, 4, 2))
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


def test_a_mini_batch_that_raises_leaves_everything_as_it_was():
    net = nn.Sequential(nn.BatchNorm1d(2, momentum=0.7), nn.BatchNorm1d(2).eval())
    net(torch.randn(4, 2))
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(RuntimeError):
        bn.recompute_statistics(net, [torch.randn(4, 2), torch.randn(4, 5)])
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert (net.training, net[1].training, net[0].momentum) == (True, False, 0.7)


@pytest.mark.parametrize("how", [lambda bn, y, x: bn(y, x), lambda bn, y, x: bn(y, residual=y)], ids=["other", "same"])
def test_fold_leaves_a_layer_that_adds_a_residual(how):
    torch.manual_seed(0)
    net, x = Net(lambda net, x, flag: how(net.bn, net.before(x), x)), torch.randn(5, 3, dtype=torch.float64)
    net.bn, net.before = bn.BatchNorm1d(3, activation="relu"), nn.Linear(3, 3)
    net = randomize(net)
    folded = bn.fold(net)
    assert type(folded.bn) is Affine
    close(folded(x), net.eval()(x))
