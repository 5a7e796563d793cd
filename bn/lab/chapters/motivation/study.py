"""Deep stacks of one hundred units a layer, and what is measured of them while they learn."""

import copy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bn.lab.train import small, stacks
from bn.layers import BatchNorm1d

WIDTH = 100  # units of a hidden layer, as in section 4.1
SATURATED = 4.0  # |x| from which on a sigmoid's slope is below 0.018, a fourteenth of its largest
MOVED = 1e-3  # size of a small change, of the size of the weights
PERCENTILES = 15, 50, 85
_PROBE = 600  # validation images on which activations are measured


@dataclass(frozen=True, kw_only=True)
class Stack(small.Small):
    """A network of `depth` hidden layers; its first weights are those of Glorot and Bengio (2010) times `gain`."""

    study: str = __name__
    depth: int
    activation: str = "sigmoid"
    gain: float = 1.0


class Normalized(nn.Module):
    """Section 2: x = u + b less its mean over the mini-batch, and with `scale` over its standard deviation.

    With `inside` the gradient goes through these statistics; without, they are computed outside the gradient step and
    count as constants.
    """

    def __init__(self, features: int, inside: bool, scale: bool = True) -> None:
        super().__init__()
        self.inside, self.scale = inside, scale
        self.b = nn.Parameter(torch.zeros(features))
        self.averages = BatchNorm1d(features, affine=False)  # for inference

    def forward(self, u: Tensor) -> Tensor:
        """x_hat (m, features) of u (m, features)."""
        x = u + self.b
        mean, var = self._statistics(x) if self.training else (self.averages.running_mean, self.averages.running_var)
        centred = x - mean
        return centred / torch.sqrt(var + self.averages.eps) if self.scale else centred

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.averages(x.detach())
        var, mean = torch.var_mean(x, 0, correction=0)
        return (mean, var) if self.inside else (mean.detach(), var.detach())


NORMS = {
    "plain": None,
    "bn": BatchNorm1d,
    "both_inside": partial(Normalized, inside=True),
    "both_outside": partial(Normalized, inside=False),
    "mean_inside": partial(Normalized, inside=True, scale=False),
    "mean_outside": partial(Normalized, inside=False, scale=False),
}


def network(setting: Stack) -> nn.Sequential:
    """Images (m, 784) to logits (m, 10)."""
    widths = (stacks.PIXELS**2, *[WIDTH] * setting.depth, 10)
    net = stacks.mlp(widths, NORMS[setting.network], setting.activation)
    stacks.draw(net, "glorot")
    with torch.no_grad():
        for layer in _hidden(net):
            layer.weight *= setting.gain
    return net


def measure(trainer: small.Trainer) -> dict[str, np.ndarray]:
    """Of the network in training mode on fixed validation images, in float64.

    By hidden layer, (depth,): `saturated`, the share of inputs x of the nonlinearity with |x| > SATURATED;
    `gradient`, the norm of the gradient with respect to x; `spread` of x over the images, root mean square; `change`,
    how far x moves where all weights do by MOVED of their size, and `change_of_first` where only the first layer's do,
    both over that spread. `percentiles` (3, WIDTH): of each output of the lower half of the layers. `size`: of the
    weights of the hidden layers, root mean square. `own_loss` and `own_accuracy`: where the images are normalized by
    their own statistics.
    """
    net = copy.deepcopy(trainer.net).double().train()
    u, y = trainer.validation.x[:_PROBE].double(), trainer.validation.y[:_PROBE]
    inputs, logits = _inputs(net, u)
    loss = cross_entropy(logits, y)
    gradients = torch.autograd.grad(loss, inputs)
    half = trainer.setting.depth // 2
    outputs = getattr(net, f"act{half}")(inputs[half - 1]).detach()
    hidden = _hidden(net)
    return {
        "saturated": _numbers([(x.abs() > SATURATED).double().mean() for x in inputs]),
        "gradient": _numbers([gradient.norm() for gradient in gradients]),
        "spread": _numbers([_spread(x) / x.numel() ** 0.5 for x in inputs]),
        "change": _changes(net, u, inputs, hidden),
        "change_of_first": _changes(net, u, inputs, hidden[:1]),
        "percentiles": np.percentile(outputs.cpu().numpy(), PERCENTILES, axis=0).astype(np.float32),
        "size": _numbers([torch.cat([layer.weight.flatten() for layer in hidden]).square().mean().sqrt()])[0],
        "own_loss": loss.item(),
        "own_accuracy": (logits.argmax(1) == y).double().mean().item(),
    }


def _spread(x: Tensor) -> Tensor:
    """The norm of x (m, features) less its mean over the images."""
    return (x - x.mean(0)).norm()


def _numbers(values: list[Tensor]) -> np.ndarray:
    return np.array([value.item() for value in values])


def _hidden(net: nn.Sequential) -> list[nn.Linear]:
    return [layer for name, layer in net.named_children() if name.startswith("linear")]


def _inputs(net: nn.Sequential, u: Tensor) -> tuple[list[Tensor], Tensor]:
    """The input of each layer's nonlinearity (m, WIDTH), and the logits."""
    inputs = []
    for name, layer in net.named_children():
        if name.startswith("act"):
            inputs.append(u)
        u = layer(u)
    return inputs, u


@torch.no_grad()
def _changes(net: nn.Sequential, u: Tensor, before: list[Tensor], layers: list[nn.Linear]) -> np.ndarray:
    """By layer, what a random change of the weights of some layers does to its input, over its spread (depth,)."""
    kept = [layer.weight.clone() for layer in layers]
    for layer in layers:
        step = torch.randn_like(layer.weight)
        layer.weight += MOVED * layer.weight.norm() / step.norm() * step
    after, _ = _inputs(net, u)
    for layer, weight in zip(layers, kept, strict=True):
        layer.weight.copy_(weight)
    return _numbers([(b - a).norm() / _spread(a) for a, b in zip(before, after, strict=True)])
