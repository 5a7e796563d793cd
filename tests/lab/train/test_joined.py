"""The joined network against the one that it was made of, in float64; its layers against torch's."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bn.lab.architectures import FIGURE_5
from bn.lab.train.inception import Inception
from bn.lab.train.joined import _FASTER, join
from bn.layers import become

SHORT = tuple(row for row in FIGURE_5 if row.kind != "inception" or row.name in ("3b", "3c", "4e", "5b"))
NETWORKS = {
    "plain": {"batch_norm": False, "lrn": True},
    "bn": {"batch_norm": True},
    "bn and lrn": {"batch_norm": True, "lrn": True},
    "sigmoid": {"batch_norm": True, "activation": "sigmoid"},
    "plain sigmoid": {"batch_norm": False, "activation": "sigmoid"},
    "per activation": {"batch_norm": True, "per_activation": True},
    "whole table": {"batch_norm": True, "table": FIGURE_5, "size": 16},
}
each_network = pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)


def network(options: dict, seed: int = 1) -> Inception:
    """In float64, its statistics, γ and β moved from where they begin."""
    net = Inception(
        **{"classes": 10, "width": 1 / 16, "size": 16, "channels": 1, "table": SHORT, "seed": seed} | options
    )
    generator = torch.Generator().manual_seed(seed)
    for tensor in (*net.parameters(), *(b for b in net.buffers() if b.is_floating_point())):
        if tensor.dim() == 1:
            tensor.data += 0.2 * torch.rand(tensor.shape, generator=generator)
    return net.double()


def draw(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(12, 1, 16, 16, generator=generator, dtype=torch.float64)
    return x, torch.randint(10, (12,), generator=generator)


def size(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@each_network
def test_it_computes_the_same(options):
    x, _ = draw(0)
    with torch.no_grad():
        for training in (True, False):
            net = network(options).train(training)
            expected = net(x)
            joined = join(network(options)).train(training)
            torch.testing.assert_close(joined(x), expected, rtol=1e-9, atol=1e-10)
            assert size(joined) == size(net)


@each_network
def test_it_learns_the_same(options):
    """Losses of a few steps: the gradients of all parameters are in them."""
    losses = []
    for net in (network(options), join(network(options))):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-3)
        losses.append([])
        for step in range(6):
            x, y = draw(step)
            optimizer.zero_grad()
            loss = cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-8)
    assert losses[0][0] != pytest.approx(losses[0][-1], rel=1e-3)


def test_fewer_layers_are_left():
    net = network({"batch_norm": True})
    before = sum(isinstance(layer, nn.Conv2d) for layer in net.modules())
    assert sum(isinstance(layer, nn.Conv2d) for layer in join(net).modules()) < 0.8 * before


@pytest.mark.parametrize(
    "layer",
    [
        nn.LocalResponseNorm(5),
        nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    ],
    ids=str,
)
def test_a_faster_layer_is_torchs(layer):
    x = (3 * torch.randn(2, 7, 9, 8, dtype=torch.float64)).requires_grad_()
    dy = torch.randn_like(layer(x))
    expected = layer(x), *torch.autograd.grad(layer(x), x, dy)
    become(layer, _FASTER[type(layer)][0])
    found = layer(x), *torch.autograd.grad(layer(x), x, dy)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


def test_sums_of_the_response_norm_are_not_of_bfloat16():
    x = torch.randn(2, 8, 4, 4)
    layer = nn.LocalResponseNorm(5)
    expected = layer(x)
    become(layer, _FASTER[nn.LocalResponseNorm][0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(layer(x), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("layer", [nn.LocalResponseNorm(5, beta=0.5), nn.AvgPool2d(3, 1, 1)], ids=str)
def test_a_layer_with_other_options_is_refused(layer):
    net = network({"batch_norm": False})
    net.rows.conv1.append(layer)
    with pytest.raises(ValueError, match="cannot be joined"):
        join(net)
