"""One step of plain SGD for the networks of section 4.1, its gradient by the chain rule.

The same code steps one network, whose tensors have two dimensions, and R replicas at once, whose tensors have a
leading axis. On a CPU each replica is stepped alone: its bits then depend on no other.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from bn.lab.train.mlp import CLASSES, Network, Norm, normalize

Descents = Callable[[Network, Tensor, Tensor, Tensor], list[tuple[Tensor, Tensor]]]


@cache
def compiled() -> Descents:
    """`descents` compiled, for fixed shapes: otherwise the code for one shape depends on those met before."""
    return torch.compile(descents, dynamic=False, options={"size_asserts": False})


@torch.no_grad()
def step(net: Network, x: Tensor, y: Tensor, rate: Tensor, descents: Descents) -> None:
    """One step, in place, on images (…, m, 784) and labels (…, m); `rate` () or (R, 1, 1) is that of each replica."""
    for W, (u, g) in zip(net.weights, descents(net, x, y, rate), strict=True):
        # W += gᵀu, by the product itself: compiled, the product and the sum would be two passes over W.
        (W.addmm_ if W.dim() == 2 else W.baddbmm_)(g.mT, u)


def descents(net: Network, x: Tensor, y: Tensor, rate: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Of each layer the input u and the direction g: W is to move by gᵀu, all other parameters have moved.

    A direction is a gradient times minus the rate: to add it is a step of SGD.
    """
    u, kept = [x.to(net.weights[0].dtype)], []
    for layer, W in enumerate(net.weights[:-1]):
        if net.norms:
            a, *of_norm = normalize(net.norms[layer], u[-1] @ W.mT)
            kept.append(of_norm)
        else:
            a = u[-1] @ W.mT + net.biases[layer]
        u.append(torch.sigmoid(a))
    logits = u[-1] @ net.weights[-1].mT + net.biases[-1]
    directions = [(torch.softmax(logits, -1) - one_hot(y, CLASSES)) * (-rate / y.shape[-1])]  # of the mean loss
    for layer in reversed(range(len(u) - 1)):
        g = (directions[0] @ net.weights[layer + 1]) * u[layer + 1] * (1 - u[layer + 1])
        directions.insert(0, _through_norm(net.norms[layer], g, *kept[layer]) if net.norms else g)
    for b, g in zip(net.biases, directions[-len(net.biases) :], strict=True):
        b.add_(g.sum(-2, keepdim=True))
    return list(zip(u, directions, strict=True))


def _through_norm(norm: Norm, g: Tensor, x_hat: Tensor, scale: Tensor) -> Tensor:
    """The equations of section 3 for ∂ℓ/∂x, ∂ℓ/∂γ and ∂ℓ/∂β, put together; moves γ and β."""
    g_gamma, g_beta = (g * x_hat).sum(-2, keepdim=True), g.sum(-2, keepdim=True)
    g_x = norm.gamma * scale * (g - (g_beta + x_hat * g_gamma) / g.shape[-2])
    norm.gamma.add_(g_gamma)
    norm.beta.add_(g_beta)
    return g_x
