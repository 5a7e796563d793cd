"""The networks of chapter 12, and what is measured of them while they train."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import nn

import bn
from bn.lab.chapters.since_then import landscape, layers, looks
from bn.lab.train import stacks
from bn.lab.train.small import Small, Trainer

DEEP, SHALLOW = (784, *(64,) * 8, 10), (784, 64, 64, 10)
CHANNELS = (8, 16, 16)
GROUPS = 4  # of units or of channels, in Group Normalization
LOGITS = 4.0  # standard deviation of the logits of the network whose every weight is scale-invariant
MEASURES = {
    "landscape": landscape.measure,
    "recomputed": looks.recomputed,
    "corrected": looks.corrected,
    "shifted": looks.shifted,
}


@dataclass(frozen=True, kw_only=True)
class Network(Small):
    """One network of this chapter, with a seed a run.

    - `kind`: one of KINDS.
    - `averages`: weight of the newest in moving averages.
    - `group`: images that share their statistics, 0 for the mini-batch.
    - `measured`: what is measured of it at each evaluation, of MEASURES.
    """

    study: str = __name__
    kind: str = "deep"
    averages: float = 0.1
    group: int = 0
    measured: tuple[str, ...] = ()


def network(setting: Network) -> nn.Module:
    """Of its kind, with the normalization that it is called after, and first weights by He et al. (2015)."""
    return stacks.draw(KINDS[setting.kind](setting), "he")


def deep(setting: Network) -> nn.Module:
    """Eight hidden layers of 64 ReLUs."""
    return stacks.mlp(DEEP, _norm(setting))


def shallow(setting: Network) -> nn.Module:
    """Two hidden layers of 64 ReLUs."""
    return stacks.mlp(SHALLOW, _norm(setting))


def _norm(setting: Network) -> stacks.Norm | None:
    """The normalization of single numbers."""
    averages = {"momentum": setting.averages}
    return {
        "plain": None,
        "bn": partial(bn.BatchNorm1d, **averages),
        "noisy": partial(layers.NoisyBatchNorm1d, **averages),
        "separate": partial(layers.SeparateBatchNorm1d, group=setting.group, **averages),
        "renorm": partial(layers.BatchRenorm1d, **averages),
        "layer": partial(nn.GroupNorm, 1),
        "group": partial(nn.GroupNorm, GROUPS),
    }[setting.network]


def convolutional(setting: Network) -> nn.Module:
    """Three convolutions of images that were halved to 14×14 pixels, and a layer of classes over all places."""
    norms = {
        "bn": partial(bn.BatchNorm2d, momentum=setting.averages),
        "separate": partial(layers.SeparateBatchNorm2d, group=setting.group, momentum=setting.averages),
        "group": partial(nn.GroupNorm, GROUPS),
        "instance": lambda channels: nn.GroupNorm(channels, channels),
    }
    net = stacks.convnet(CHANNELS, norm=norms[setting.network])
    net.image = nn.Sequential(net.image, nn.AvgPool2d(2))
    net.pool, net.softmax = nn.Identity(), nn.Linear(CHANNELS[-1] * 4 * 4, 10)  # maps of 14, 7 and 4 pixels
    return net


def invariant(_setting: Network) -> nn.Module:
    """Two hidden layers of ReLUs, BN without γ and β before each of them and before the logits."""
    norm = partial(bn.BatchNorm1d, affine=False)
    net = stacks.mlp(SHALLOW, norm)
    net.softmax = nn.Sequential(nn.Linear(64, 10, bias=False), norm(10), layers.Scaled(LOGITS))
    return net


KINDS = {"deep": deep, "shallow": shallow, "convolutional": convolutional, "invariant": invariant}


def measure(trainer: Trainer) -> dict[str, np.ndarray]:
    """What its setting asks, and the norm of all weights."""
    norm = sum(p.detach().double().square().sum() for p in trainer.net.parameters() if p.dim() > 1) ** 0.5
    found = {"weights": np.array(float(norm))}
    for name in trainer.setting.measured:
        found |= MEASURES[name](trainer)
    return found
