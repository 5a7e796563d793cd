"""How far a small change of the first weights reaches: into the last hidden layer, and into the gradients."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

CHANGE = 1e-3  # of the first weights, relative to their norm


class Look(NamedTuple):
    """What a network makes of a mini-batch: `last`, the inputs (m, width) of its last nonlinearities, and gradients.

    `weights`: of the loss with respect to all weights, in one vector; `inputs`: of each hidden layer's nonlinearities.
    """

    last: Tensor
    weights: Tensor
    inputs: list[Tensor]


def through(net: nn.Sequential, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """The inputs of the nonlinearities, layer by layer, and the logits."""
    inputs = []
    for name, layer in net.named_children():
        if name.startswith("act"):
            inputs.append(x)
        x = layer(x)
    return inputs, x


def look(net: nn.Sequential, x: Tensor, y: Tensor) -> Look:
    """One forward and one backward pass in training mode."""
    inputs, logits = through(net, x)
    weights = [p for p in net.parameters() if p.dim() > 1]
    found = torch.autograd.grad(cross_entropy(logits, y), [*weights, *inputs])
    vector = torch.cat([gradient.flatten() for gradient in found[: len(weights)]])
    return Look(inputs[-1].detach(), vector, list(found[len(weights) :]))


def measured(net: nn.Sequential, batches: list[tuple[Tensor, Tensor]]) -> dict[str, np.ndarray]:
    """Of each mini-batch one random change of the first weights by CHANGE; geometric means over the mini-batches.

    `activations`: the relative change of the last layer's inputs over CHANGE; `centred`: the same of what is left of
    them without the mean of each unit, by which alone examples differ; `gradients`: the same of the gradient with
    respect to all weights; `backward` (depth,): the norm of the gradient with respect to each layer's inputs.
    """
    rows = [_of_batch(net, x, y) for x, y in batches]
    with np.errstate(all="ignore"):  # of a network that diverged they are no numbers
        return {name: np.exp(np.mean([np.log(row[name]) for row in rows], axis=0)) for name in rows[0]}


def _of_batch(net: nn.Sequential, x: Tensor, y: Tensor) -> dict[str, np.ndarray]:
    before, after = look(net, x, y), _changed(net, x, y)
    centred = [one.last - one.last.mean(0) for one in (before, after)]
    return {
        "activations": _relative(before.last, after.last),
        "centred": _relative(*centred),
        "gradients": _relative(before.weights, after.weights),
        "backward": np.array([gradient.norm().item() for gradient in before.inputs]),
    }


def _changed(net: nn.Sequential, x: Tensor, y: Tensor) -> Look:
    """The look after a random change of the first weights, which is taken back."""
    weight = net.linear1.weight
    change = torch.randn_like(weight)
    with torch.no_grad():
        first = weight.clone()
        weight.add_(change, alpha=CHANGE * (first.norm() / change.norm()).item())
    found = look(net, x, y)
    with torch.no_grad():
        weight.copy_(first)
    return found


def _relative(before: Tensor, after: Tensor) -> np.ndarray:
    return ((after - before).norm() / before.norm() / CHANGE).numpy()
