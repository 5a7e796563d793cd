"""The networks of chapter 05, and what is measured of them while they train."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from bn import BatchNorm1d
from bn.lab.chapters.learning_rates import jacobians, sensitivity
from bn.lab.train import stacks
from bn.lab.train.small import Small, Trainer

LOOKS = 3  # mini-batches of held-out images in a measurement


@dataclass(frozen=True, kw_only=True)
class Net(Small):
    """A fully-connected network of `depth` hidden layers of `width` ReLUs, "plain" or "bn"; with a seed it is a run.

    - `first`: of its first weights, as `bn.lab.train.stacks.draw` has it.
    - `scale`: what the first weights of the hidden layers are multiplied by.
    - `looked`: whether `sensitivity` and `jacobians` are measured at each evaluation.
    """

    study: str = __name__
    depth: int
    width: int
    first: float | str = "he"
    scale: float = 1.0
    looked: bool = False


@torch.no_grad()
def network(setting: Net) -> nn.Sequential:
    """ReLUs, with BN before each of them where the network is called so."""
    widths = (stacks.PIXELS**2, *[setting.width] * setting.depth, 10)
    net = stacks.draw(stacks.mlp(widths, BatchNorm1d if setting.network == "bn" else None), setting.first)
    for layer in hidden(net):
        layer.weight.mul_(setting.scale)
    return net


def hidden(net: nn.Sequential) -> list[nn.Linear]:
    """Its hidden layers' linear maps, the first of them first."""
    return [layer for name, layer in net.named_children() if name.startswith("linear")]


def measure(trainer: Trainer) -> dict[str, np.ndarray]:
    """`norms` (depth,) of the hidden layers' weights; where it is asked, all that `sensitivity` and `jacobians` say."""
    found = {"norms": np.array([layer.weight.detach().norm().item() for layer in hidden(trainer.net)])}
    if not trainer.setting.looked:
        return found
    net, m = deepcopy(trainer.net).double().train(), trainer.setting.batch
    x, y = (part[: LOOKS * m] for part in trainer.validation)
    batches = list(zip(x.double().split(m), y.split(m), strict=True))
    return found | sensitivity.measured(net, batches) | jacobians.measured(net, batches[0][0])
