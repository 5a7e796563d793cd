"""The networks of section 3.4, and what of them is measured: the noise of mini-batches, and the normalized values.

All are alike but for what their statistics are of, how much Dropout they have, and their rate: 784 binary pixels, two
hidden layers of `WIDTH` rectified units, ten classes.
"""

import copy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bn.lab.train import stacks
from bn.lab.train.small import Small, Trainer

WIDTH = 256
CLASSES = 10
SIZES = 2, 4, 16, 64, 256, 1024  # of mini-batches, by which the noise is measured
PROBES, DRAWS = 8, 4  # test images, and mini-batches of each size for each of them
COMPANIES = 100  # mini-batches in which one test image is followed


@dataclass(frozen=True, kw_only=True)
class Network(Small):
    """One network.

    - `norm`: of how many examples the statistics of BN are; 0 for a network without BN.
    - `dropout`: the share of hidden units that is left out.
    - `probed`: whether the noise and the normalized values are measured at the end; it needs BN.
    """

    norm: int = 0
    dropout: float = 0.0
    probed: bool = False


class GroupNorm(nn.BatchNorm1d):
    """Batch Normalization by the statistics of groups of `size` examples of a mini-batch, in their order.

    With a group for each mini-batch it is Algorithm 1. The moving averages are of the means and of the unbiased
    variances of the groups; where `momentum` is None they are plain averages, as Algorithm 2 has them. ValueError where
    the groups do not make up the mini-batch.
    """

    def __init__(self, features: int, size: int) -> None:
        super().__init__(features)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """(m, features) to the same."""
        if not self.training:
            return super().forward(x)
        self.num_batches_tracked += 1
        weight = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        groups = self._groups(x)
        mean, var = self.running_mean.repeat(groups), self.running_var.repeat(groups)
        y = self._normalize(x, mean, var, self.weight.repeat(groups), self.bias.repeat(groups), weight)
        self.running_mean.copy_(mean.unflatten(0, (groups, -1)).mean(0))
        self.running_var.copy_(var.unflatten(0, (groups, -1)).mean(0))
        return y

    def normalized(self, x: Tensor) -> Tensor:
        """x̂ of Algorithm 1 in training, of Algorithm 2 at inference, (m, features)."""
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, eps=self.eps)
        return self._normalize(x)

    def _groups(self, x: Tensor) -> int:
        if len(x) % self.size:
            raise ValueError(f"{len(x)} examples are no whole number of groups of {self.size}")
        return len(x) // self.size

    def _normalize(self, x: Tensor, *of_features: Tensor | float) -> Tensor:
        """By torch's own kernel, for which each feature of each group is a feature of its own."""
        groups = self._groups(x)
        wide = x.unflatten(0, (groups, self.size)).transpose(0, 1).flatten(1)
        mean, var, gamma, beta, weight = of_features or (None, None, None, None, 0.0)
        y = F.batch_norm(wide, mean, var, gamma, beta, True, weight, self.eps)
        return y.unflatten(1, (groups, -1)).transpose(0, 1).flatten(0, 1)


def network(setting: Network) -> nn.Sequential:
    """The network of a setting, its first weights by He et al. (2015)."""
    widths = (stacks.PIXELS**2, WIDTH, WIDTH, CLASSES)
    norm = partial(GroupNorm, size=setting.norm) if setting.norm else None
    return stacks.draw(stacks.mlp(widths, norm, dropout=setting.dropout), "he")


def measure(trainer: Trainer) -> dict[str, np.ndarray]:
    """At each evaluation `train` and `train_loss`, those of the images that it learns from; and at the end `probe`."""
    accuracy, loss = trainer.accuracy(trainer.train)
    found = {"train": accuracy, "train_loss": loss}
    if trainer.setting.probed and trainer.step == trainer.setting.steps:
        found |= probe(trainer)
    return found


@torch.no_grad()
def probe(trainer: Trainer) -> dict[str, np.ndarray]:
    """With the statistics of Algorithm 2, and Dropout only where these are taken:

    - `mean`, `var` (layers, units): of the normalized values at inference over all images that it learned from.
    - `noise` (sizes, layers + 1): by `noise`; `penalty` (sizes,): by `penalty`; both of networks without Dropout.
    - `margins` (COMPANIES,) and `margin` (): by `company`.
    """
    net = copy.deepcopy(trainer.net)
    x, size = trainer.train.x.float(), trainer.setting.batch
    take_population(net, x, size)
    x_hats, _ = seen(net, x)
    found = {
        "mean": torch.stack([x_hat.mean(0) for x_hat in x_hats]).cpu().numpy(),
        "var": torch.stack([x_hat.var(0, correction=0) for x_hat in x_hats]).cpu().numpy(),
    }
    if trainer.setting.dropout:
        return found
    noisy = {"noise": noise(net, trainer.test.x[:PROBES].float(), x), "penalty": penalty(net, x, trainer.train.y)}
    return found | noisy | company(net, trainer, size)


def norms(net: nn.Module) -> list[GroupNorm]:
    """Its layers of BN."""
    return [layer for layer in net.modules() if isinstance(layer, GroupNorm)]


def take_population(net: nn.Module, x: Tensor, size: int) -> None:
    """Algorithm 2: averages over the whole mini-batches of `size` of an epoch in training mode; then inference."""
    for norm in norms(net):
        norm.reset_running_stats()
        norm.momentum = None
    net.train()
    order = torch.randperm(len(x)).to(x.device)
    for k in range(0, len(x) - size + 1, size):
        net(x[order[k : k + size]])
    net.eval()


def seen(net: nn.Module, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """The normalized values of each layer (m, units) and the logits (m, classes), in the mode that the net is in."""
    inputs: dict[nn.Module, Tensor] = {}
    hooks = [norm.register_forward_pre_hook(lambda norm, args: inputs.update({norm: args[0]})) for norm in norms(net)]
    logits = net(x)
    for hook in hooks:
        hook.remove()
    return [norm.normalized(inputs[norm]) for norm in norms(net)], logits


def noise(net: nn.Module, probes: Tensor, pool: Tensor) -> np.ndarray:
    """Standard deviations of what one test image becomes, each time with other images of a pool, (sizes, layers + 1).

    Of the normalized values of each layer, and of the logits in their deviation over the test images at inference;
    root mean square over units and images.
    """
    spread = seen(net.eval(), probes)[1].std(0)
    found = []
    for m in SIZES:
        x_hats, logits = _in_company(net, probes.repeat(DRAWS, 1), pool, m)
        of_probes = [values.unflatten(0, (DRAWS, -1)).var(0) for values in (*x_hats, logits / spread)]
        found.append([values.mean().sqrt().item() for values in of_probes])
    return np.array(found)


def penalty(net: nn.Module, x: Tensor, y: Tensor) -> np.ndarray:
    """By how much statistics of random mini-batches of each size raise the mean loss, in nats, (sizes,)."""
    rest, found = F.cross_entropy(seen(net.eval(), x)[1], y), []
    for m in SIZES:
        whole = len(x) // m * m
        orders = [torch.randperm(len(x))[:whole].to(x.device) for _ in range(DRAWS)]
        losses = [F.cross_entropy(_in_training(net, x[order], m)[1], y[order]) for order in orders]
        found.append((torch.stack(losses).mean() - rest).item())
    return np.array(found)


def company(net: nn.Module, trainer: Trainer, size: int) -> dict[str, np.ndarray]:
    """The logit of the right class less the largest other: in many mini-batches, and at inference.

    Of the test image, among the first COMPANIES, whose margin at inference is nearest to 0.
    """
    x, y = trainer.test.x[:COMPANIES].float(), trainer.test.y[:COMPANIES]
    margins = _margins(seen(net.eval(), x)[1], y)
    k = margins.abs().argmin()
    _, logits = _in_company(net, x[k].repeat(COMPANIES, 1), trainer.train.x.float(), size)
    return {
        "margins": _margins(logits, y[k].repeat(COMPANIES)).cpu().numpy(),
        "margin": margins[k].cpu().numpy(),
        "image": k.cpu().numpy(),
    }


def _in_company(net: nn.Module, first: Tensor, pool: Tensor, m: int) -> tuple[list[Tensor], Tensor]:
    """What `seen` has of the first images of mini-batches of m, whose others are drawn from a pool; without Dropout."""
    others = torch.randint(len(pool), (len(first), m - 1)).to(pool.device)
    batches = torch.cat([first[:, None], pool[others]], 1)
    x_hats, logits = _in_training(net, batches.flatten(0, 1), m)
    return [x_hat[::m] for x_hat in x_hats], logits[::m]


def _in_training(net: nn.Module, x: Tensor, m: int) -> tuple[list[Tensor], Tensor]:
    """What `seen` has of consecutive mini-batches of m by their own statistics; the population's stay as they are."""
    for norm in norms(net.eval()):
        norm.train()
        norm.size, norm.momentum = m, 0.0
    found = seen(net, x)
    net.eval()
    return found


def _margins(logits: Tensor, y: Tensor) -> Tensor:
    right = logits.gather(1, y[:, None])[:, 0]
    others = logits.scatter(1, y[:, None], -torch.inf)
    return right - others.max(1).values
