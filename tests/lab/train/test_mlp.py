"""The replicated network against ordinary layers of torch, one seed at a time."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import bn
from bn import reference
from bn.lab.train.mlp import MOMENTA, ReplicatedBatchNorm, SigmoidMLP

SEEDS, STDS = (3, 4, 5), (0.1, 0.03, 0.3)
both_networks = pytest.mark.parametrize("batch_norm", [False, True], ids=["plain", "bn"])


def ordinary(net: SigmoidMLP, replica: int) -> nn.Sequential:
    """The same network as one replica, from layers that this project did not write (or only inherits)."""
    batch_norm, layers = len(net.norms) > 0, []
    biases = list(net.biases)
    for weight in net.weights:
        linear = nn.Linear(weight.shape[2], weight.shape[1], dtype=torch.float64)
        linear.weight.data = weight[replica].detach().clone()
        last = weight is net.weights[-1]
        if batch_norm and not last:
            linear.bias = None
            layers += [linear, bn.BatchNorm1d(weight.shape[1], dtype=torch.float64), nn.Sigmoid()]
        else:
            linear.bias.data = biases.pop(0)[replica, 0].detach().clone()
            layers += [linear] if last else [linear, nn.Sigmoid()]
    return nn.Sequential(*layers)


def draw(seed: int, replicas: int = len(SEEDS)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(replicas, 20, 784, generator=generator) < 0.3).double()
    return x, torch.randint(10, (replicas, 20), generator=generator)


def by_layer(net: SigmoidMLP, replica: int) -> list[torch.Tensor]:
    """Gradients of one replica in the order and the shapes of `ordinary(...).parameters()`."""
    weights = [w.grad[replica] for w in net.weights]
    biases = [b.grad[replica, 0] for b in net.biases]
    norms = [(n.gamma.grad[replica, 0], n.beta.grad[replica, 0]) for n in net.norms]
    if norms:
        return [g for w, pair in zip(weights, norms, strict=False) for g in (w, *pair)] + [weights[-1], *biases]
    return [g for pair in zip(weights, biases, strict=True) for g in pair]


def close(got, expected) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)


@both_networks
def test_a_replica_is_an_ordinary_network(batch_norm):
    """Logits, gradients and running statistics over several steps of SGD, then evaluation mode."""
    net = SigmoidMLP(batch_norm, SEEDS, STDS).double()
    for norm in net.norms:
        norm.momenta.copy_(torch.tensor(MOMENTA, dtype=torch.float64)[:, None])  # not as float32 has them
    singles = [ordinary(net, r) for r in range(len(SEEDS))]
    slow = [ordinary(net, r) for r in range(len(SEEDS))]  # the same, with the second momentum
    for layer in (layer for single in slow for layer in single if isinstance(layer, nn.BatchNorm1d)):
        layer.momentum = MOMENTA[1]
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.5) for m in [net, *singles]]
    for step in range(5):
        x, y = draw(step)
        for optimizer in optimizers:
            optimizer.zero_grad()
        logits, _ = net(x)
        sum(cross_entropy(logits[r], y[r]) for r in range(len(SEEDS))).backward()
        for r, single in enumerate(singles):
            expected = single(x[r])
            cross_entropy(expected, y[r]).backward()
            close(logits[r], expected)
            close(by_layer(net, r), [p.grad for p in single.parameters()])
            with torch.no_grad():
                slow[r](x[r])
                for ours, theirs in zip(slow[r].parameters(), single.parameters(), strict=True):
                    ours.copy_(theirs - 0.5 * theirs.grad)
        for optimizer in optimizers:
            optimizer.step()

    x, _ = draw(99)
    net.eval()
    for average, ordinaries in enumerate((singles, slow)):
        for norm in net.norms:
            norm.average = average
        for r, single in enumerate(ordinaries):
            layers = [layer for layer in single if isinstance(layer, nn.BatchNorm1d)]
            for norm, layer in zip(net.norms, layers, strict=True):
                close(norm.running_mean[r, average], layer.running_mean)
                close(norm.running_var[r, average], layer.running_var)
            logits, last_input = net(x)
            close(logits[r], single.eval()(x[r]))
            close(last_input[r], single[:-2](x[r]))


def test_the_normalization_is_algorithm_1():
    torch.manual_seed(0)
    norm, x = ReplicatedBatchNorm(2, 3, eps=0.01).double(), torch.randn(2, 7, 3, dtype=torch.float64)
    with torch.no_grad():
        norm.gamma.normal_(), norm.beta.normal_()
        y = norm(x)
        for r in range(2):
            gamma, beta = norm.gamma[r, 0].numpy(), norm.beta[r, 0].numpy()
            np.testing.assert_allclose(y[r], reference.batch_norm(x[r], gamma, beta, 0.01)[0], atol=1e-13)


@both_networks
def test_a_bad_replica_leaves_the_others_alone(batch_norm):
    x, y = draw(0)
    gradients = []
    for spoil in (False, True):
        net = SigmoidMLP(batch_norm, SEEDS, STDS).double()
        if spoil:
            net.weights[0].data[1] = torch.nan
        logits, _ = net(x)
        cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum").backward()
        assert logits[1].isnan().all() == spoil
        gradients.append([p.grad[[0, 2]] for p in net.parameters()] + [b[[0, 2]] for b in net.buffers()])
    close(gradients[1], gradients[0])


def test_a_seed_draws_the_same_weights_with_and_without_bn_and_in_any_company():
    plain, normalized = SigmoidMLP(False, SEEDS, STDS), SigmoidMLP(True, SEEDS, STDS)
    alone = SigmoidMLP(True, SEEDS[2:], STDS[2:])
    for p, n, a in zip(plain.weights, normalized.weights, alone.weights, strict=True):
        assert torch.equal(p, n) and torch.equal(a[0], n[2])
        assert not torch.equal(p[0], p[1])


def test_the_weights_are_gaussian_with_the_asked_deviation():
    net = SigmoidMLP(False, SEEDS, STDS)
    for replica, std in enumerate(STDS):
        first = net.weights[0][replica].detach().flatten()
        assert first.std().item() == pytest.approx(std, rel=0.02)
        assert abs(first.mean().item()) < 0.02 * std
        inside = (abs(first) < std).float().mean().item()
        assert inside == pytest.approx(0.6827, abs=0.01)  # a uniform distribution would have 0.577
    assert all((b == 0).all() for b in net.biases)


def test_the_same_draw_is_only_stretched_by_the_deviation():
    small, large = (SigmoidMLP(False, (7,), (std,)) for std in (0.01, 0.1))
    for s, large_ in zip(small.weights, large.weights, strict=True):
        torch.testing.assert_close(10 * s, large_)


@both_networks
def test_widths_of_section_4_1(batch_norm):
    net = SigmoidMLP(batch_norm, (0,), (0.1,))
    assert [tuple(w.shape) for w in net.weights] == [(1, 100, 784), (1, 100, 100), (1, 100, 100), (1, 10, 100)]
    expected = 784 * 100 + 2 * 100 * 100 + 100 * 10 + 10
    expected += 3 * 2 * 100 if batch_norm else 3 * 100  # gamma and beta, or a bias
    assert sum(p.numel() for p in net.parameters()) == expected
