"""The networks of chapter 04, with BN at one of four places, and what is measured of them beside their accuracy."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bn.lab.chapters.convolution import places, shapes
from bn.lab.train.small import Small, Trainer
from bn.lab.train.stacks import convnet, draw, mlp
from bn.layers import BatchNorm1d, BatchNorm2d

WIDTHS = (784, 100, 100, 100, 10)  # of section 4.1
CHANNELS = (8, 16, 16)  # of a small convolutional network: 28×28, 14×14 and 7×7 places
NETWORKS = ("none", "before", "after", "input")  # where BN is: of the nonlinearity, and on the inputs u of each layer
_WEIGHTS = {"relu": "he", "sigmoid": "glorot"}


@dataclass(frozen=True, kw_only=True)
class Placed(Small):
    """A network with BN at a place, one of NETWORKS.

    - `channels`: of a convolutional network; none of the fully-connected one.
    - `images`: of how many test images distributions are measured; 0 measures accuracies alone.
    """

    study: str = "bn.lab.chapters.convolution.study"
    activation: str = "relu"
    channels: tuple[int, ...] = ()
    images: int = 0


def network(setting: Placed) -> nn.Sequential:
    """Images (m, 784) to logits (m, 10); networks of a seed have the same first weights, wherever BN is."""
    place = "after" if setting.network == "after" else "before"
    kind = BatchNorm2d if setting.channels else BatchNorm1d
    norm = kind if setting.network in ("before", "after") else None
    if setting.channels:
        net = convnet(setting.channels, norm=norm, activation=setting.activation, place=place)
    else:
        net = mlp(WIDTHS, norm, setting.activation, place)
    torch.manual_seed(torch.initial_seed())  # one with biases has drawn more numbers until here
    draw(net, _WEIGHTS[setting.activation])
    return normalize_inputs(net) if setting.network == "input" else net


def normalize_inputs(net: nn.Sequential) -> nn.Sequential:
    """The same layers with BN before each W of a hidden layer: on u, which section 3.2 considers and does not do."""
    layers = nn.Sequential()
    for name, layer in net.named_children():
        if name.startswith("linear"):
            layers.add_module(name.replace("linear", "norm"), BatchNorm1d(layer.in_features))
        layers.add_module(name, layer)
    return layers


def measure(trainer: Trainer) -> dict:
    """Where it is asked: how sparse each layer is, the shape of its distributions, what its places count for."""
    setting = trainer.setting
    if not setting.images:
        return {}
    found = seen(trainer.net, trainer.test.spread(setting.images).x.float())
    if setting.channels:
        return shapes.sparsity(found, "conv") | places.of_layers(found, setting.batch)
    return shapes.sparsity(found, "linear") | shapes.of_layers(found)


@torch.no_grad()
def seen(net: nn.Sequential, images: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """What each layer is given and what it gives, by its name, with all images as one mini-batch in training."""
    net, found = copy.deepcopy(net).train(), {}  # whose moving averages are of no account
    for name, layer in net.named_children():
        layer.register_forward_hook(lambda _layer, given, gives, name=name: found.update({name: (given[0], gives)}))
    net(images)
    return found
