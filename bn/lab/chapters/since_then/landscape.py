"""What one step does: to the gradients of the layers above, to the distribution of inputs, and to loss and gradient.

Santurkar et al. (2018): the change of a layer's gradient when those below it are updated is their internal covariate
shift (section 2.2); how loss and gradient vary along the step, their smoothness (section 3.1).
"""

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bn.lab.train.small import Trainer

SIZES = 0.25, 0.5, 1.0, 2.0, 4.0  # of the steps along the gradient, in learning rates


def measure(trainer: Trainer) -> dict[str, np.ndarray]:
    """At a moment of the training, with its next mini-batch and its rate; the network itself is left as it is.

    - `shift`, `cosine` (layers,): of the gradients G of a layer's weights before and G′ after the layers below it are
      updated, ‖G − G′‖/‖G‖ and the cosine; of each linear layer but the first.
    - `moved`: how far the mean of a unit's input moves in the step, in its standard deviations, the median of all.
    - `range`: the largest less the smallest loss along the step, from none to four times as far.
    - `turned`: the largest change of the gradient ‖∇(w) − ∇(w + Δw)‖ on the same way, and `smoothness`, over ‖Δw‖.
    """
    net, batch, rate = deepcopy(trainer.net).train(), trainer.batch(trainer.step), trainer.setting.learning_rate
    return {
        **_moved_gradients(deepcopy(net), batch, rate),
        "moved": np.array(_moved_inputs(deepcopy(net), batch, rate)),
        **_along(deepcopy(net), batch, rate),
    }


def gradients(net: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The loss on a mini-batch, and its gradient by each parameter."""
    loss = cross_entropy(net(batch[0]), batch[1])
    return loss.detach(), list(torch.autograd.grad(loss, list(net.parameters())))


def _moved_gradients(net: nn.Module, batch: tuple[Tensor, Tensor], rate: float) -> dict[str, np.ndarray]:
    parameters, (_, before) = list(net.parameters()), gradients(net, batch)
    shifts, cosines, first = [], [], True
    for k, parameter in enumerate(parameters):
        if parameter.dim() > 1 and not first:
            (after,) = torch.autograd.grad(cross_entropy(net(batch[0]), batch[1]), [parameter])
            shifts.append(float((before[k] - after).norm() / before[k].norm()))
            cosines.append(float(torch.cosine_similarity(before[k].flatten(), after.flatten(), dim=0)))
        first = False
        with torch.no_grad():
            parameter -= rate * before[k]  # in the order of the layers: those below the next are then updated
    return {"shift": np.array(shifts), "cosine": np.array(cosines)}


def _moved_inputs(net: nn.Module, batch: tuple[Tensor, Tensor], rate: float) -> float:
    inputs: list[Tensor] = []
    for name, layer in net.named_children():
        if name.startswith("act"):
            layer.register_forward_pre_hook(lambda _layer, given: inputs.append(given[0].detach()))
    _, slopes = gradients(net, batch)
    before, moments = inputs.copy(), inputs.clear()
    with torch.no_grad():
        for parameter, slope in zip(net.parameters(), slopes, strict=True):
            parameter -= rate * slope
        net(batch[0])
    moments = [(b.mean(0), a.mean(0), b.std(0), a.std(0)) for b, a in zip(before, inputs, strict=True)]
    moved = [(m1 - m0).abs() / ((s0**2 + s1**2) / 2).sqrt() for m0, m1, s0, s1 in moments]
    return float(torch.cat(moved).nanmedian())  # of a unit that is never active there is none


def _along(net: nn.Module, batch: tuple[Tensor, Tensor], rate: float) -> dict[str, np.ndarray]:
    start, (loss, slopes) = [p.detach().clone() for p in net.parameters()], gradients(net, batch)
    length = _norm(slopes)
    losses, turned, smoothness = [loss], [], []
    for size in SIZES:
        with torch.no_grad():
            for parameter, origin, slope in zip(net.parameters(), start, slopes, strict=True):
                parameter.copy_(origin - size * rate * slope)
        there, others = gradients(net, batch)
        losses.append(there)
        turned.append(_norm([a - b for a, b in zip(others, slopes, strict=True)]))
        smoothness.append(turned[-1] / (size * rate * length))
    found = {"range": max(losses) - min(losses), "turned": max(turned), "smoothness": max(smoothness)}
    return {name: np.array(float(value)) for name, value in found.items()}


def _norm(tensors: list[Tensor]) -> Tensor:
    return torch.stack([t.norm() for t in tensors]).norm()
