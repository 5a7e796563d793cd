"""A step of SGD against torch's own gradients and optimizer, one network and many at once."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from bn.lab.train import sgd
from bn.lab.train.mlp import SigmoidMLP

SEEDS, STDS, RATES = (3, 4, 5), (0.1, 0.03, 0.3), (0.5, 2.0, 0.1)
both_networks = pytest.mark.parametrize("batch_norm", [False, True], ids=["plain", "bn"])


def draw(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return torch.rand(3, 20, 784, generator=generator) < 0.3, torch.randint(10, (3, 20), generator=generator)


def network(batch_norm: bool) -> SigmoidMLP:
    return SigmoidMLP(batch_norm, SEEDS, STDS).double()


def by_autograd(net: SigmoidMLP, steps: int) -> SigmoidMLP:
    """Each replica's own loss and rate, by torch.optim.SGD at rate 1."""
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    for step in range(steps):
        x, y = draw(step)
        optimizer.zero_grad()
        logits, _ = net(x.double())
        sum(rate * cross_entropy(logits[k], y[k]) for k, rate in enumerate(RATES)).backward()
        optimizer.step()
    return net


def assert_close(net: SigmoidMLP, expected: SigmoidMLP) -> None:
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], value, rtol=1e-10, atol=1e-12, msg=name)


@both_networks
@pytest.mark.parametrize("together", [False, True], ids=["alone", "together"])
def test_a_step_is_torchs(batch_norm, together):
    net, rates = network(batch_norm), torch.tensor(RATES, dtype=torch.float64)
    for step in range(6):
        x, y = draw(step)
        if together:
            sgd.step(net.tensors(), x, y, rates[:, None, None], sgd.descents)
        else:
            for k in range(3):
                sgd.step(net.replica(k), x[k], y[k], rates[k], sgd.descents)
    assert_close(net, by_autograd(network(batch_norm), 6))


def test_the_tensors_of_a_replica_are_the_network_s_own():
    net = network(True)
    net.replica(1).weights[0].zero_()
    net.tensors().norms[2].running_mean.fill_(7)
    assert (net.weights[0][1] == 0).all() and (net.weights[0][0] != 0).any()
    assert (net.norms[2].running_mean == 7).all()
    net.load_state_dict(network(True).state_dict())
    assert (net.replica(1).weights[0] != 0).any()
