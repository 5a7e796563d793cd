"""Scale invariance as van Laarhoven (2017) uses it: weights times a, the rate times a², weight decay over a².

The two trainings are then one: every weight is a times the other's, and the losses are equal. In float64, with ε = 0,
since a variance of a² times the size would make ε another one; BN is written here for that.
"""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

FACTOR = 3.0  # a
RATE, DECAY, STEPS = 0.1, 0.01, 50
M, WIDTHS = 32, (20, 16, 16, 5)


def measure(seeds: tuple[int, ...]) -> dict[str, list[float]]:
    """For each seed the largest relative difference of the losses, and of the weights once a is divided out."""
    pairs = [_apart(seed) for seed in seeds]
    return {name: [pair[name] for pair in pairs] for name in ("losses", "weights")}


def _apart(seed: int) -> dict[str, float]:
    draw = torch.Generator().manual_seed(seed)
    options = {"generator": draw, "dtype": torch.float64}
    x = torch.randn(STEPS, M, WIDTHS[0], **options)
    y = torch.randint(WIDTHS[-1], (STEPS, M), generator=draw)
    first = [torch.randn(o, i, **options) / i**0.5 for i, o in pairwise(WIDTHS)]
    losses, weights = train(first, x, y, RATE, DECAY)
    others, scaled = train([FACTOR * w for w in first], x, y, FACTOR**2 * RATE, DECAY / FACTOR**2)
    apart = [((a * FACTOR - b).abs().max() / b.abs().max()).item() for a, b in zip(weights, scaled, strict=True)]
    return {"losses": ((losses - others).abs() / losses).max().item(), "weights": max(apart)}


def train(weights: list[Tensor], x: Tensor, y: Tensor, rate: float, weight_decay: float) -> tuple[Tensor, list[Tensor]]:
    """The losses of SGD, a step for each mini-batch, x (steps, m, features) and y (steps, m), and the last weights."""
    losses = []
    for inputs, labels in zip(x, y, strict=True):
        weights = [w.detach().requires_grad_() for w in weights]
        loss = cross_entropy(network(weights, inputs), labels)
        slopes = torch.autograd.grad(loss, weights)
        weights = [w - rate * (g + weight_decay * w) for w, g in zip(weights, slopes, strict=True)]
        losses.append(loss.detach())
    return torch.stack(losses), [w.detach() for w in weights]


def network(weights: list[Tensor], x: Tensor) -> Tensor:
    """Layers without biases, each followed by BN, and between them ReLUs."""
    for k, w in enumerate(weights):
        u = (x if k == 0 else x.relu()) @ w.T
        x = (u - u.mean(0)) / u.var(0, correction=0).sqrt()
    return x
