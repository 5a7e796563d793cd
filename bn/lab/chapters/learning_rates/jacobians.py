"""Singular values of the maps between the normalized vectors of consecutive layers (section 3.3)."""

import numpy as np
import torch
from torch import Tensor, nn

from bn.lab.chapters.learning_rates.sensitivity import through

EXAMPLES = 8  # of a mini-batch, each with a Jacobian of its own


@torch.no_grad()
def measured(net: nn.Sequential, x: Tensor) -> dict[str, np.ndarray]:
    """From each hidden layer to the next, between their vectors normalized over the mini-batch x (m, …).

    `singular` (depth - 1, EXAMPLES, width): of some examples, the statistics of the mini-batch taken as constants;
    `linear` (depth - 1, width): of the mean of the Jacobians of all examples, the linear map that the paper speaks of.
    The normalized vectors are those of BN before γ and β; of a plain network, which has none, they are made here.
    """
    inputs, _ = through(net, x)
    layers = [layer for name, layer in net.named_children() if name.startswith("linear")][1:]
    singular, linear = [], []
    for before, layer in zip(inputs[:-1], layers, strict=True):
        on = (before > 0).to(before.dtype)
        spread = layer(before.relu()).std(0, correction=0)
        scaled = torch.where(spread > 0, 1 / spread, 0)[:, None] * layer.weight * before.std(0, correction=0)
        singular.append(_values(scaled * on[:EXAMPLES, None, :]))
        linear.append(_values(scaled * on.mean(0)))
    return {"singular": np.stack(singular), "linear": np.stack(linear)}


def _values(matrices: Tensor) -> np.ndarray:
    """Singular values, NaN where a matrix is not finite."""
    finite = matrices.isfinite().all(-1).all(-1)[..., None]
    found = torch.linalg.svdvals(torch.where(finite[..., None], matrices, torch.zeros_like(matrices)))
    return torch.where(finite, found, torch.nan).float().numpy()
