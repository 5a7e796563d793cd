"""Small networks in plain torch, a layer after the other: what chapters take small experiments' networks from."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import nn

PIXELS = 28  # height and width of the images of `bn.lab.data.datasets`
ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "identity": nn.Identity}
PLACES = ("before", "after")  # the nonlinearity: section 3.2 has it before

Norm = Callable[[int], nn.Module]  # from the number of features or of channels to the layer


def mlp(
    widths: Sequence[int],
    norm: Norm | None = None,
    activation: str = "relu",
    place: str = "before",
    dropout: float = 0.0,
) -> nn.Sequential:
    """Fully-connected layers of these widths, the input's first and the classes' last: (m, …) to (m, classes).

    Each hidden layer is Linear, `norm` (bn.BatchNorm1d, say; then Linear has no bias where the norm comes before the
    nonlinearity), the nonlinearity, dropout; the children are called `linear1`, `norm1`, `act1`, … and `softmax`, which
    gives logits. The weights are torch's own until `draw` draws them.
    """
    layers: dict[str, nn.Module] = {"flat": nn.Flatten()}
    for k, (fan_in, fan_out) in enumerate(pairwise(widths[:-1]), 1):
        layers[f"linear{k}"] = nn.Linear(fan_in, fan_out, bias=norm is None or place == "after")
        _hidden(layers, k, norm and norm(fan_out), activation, place)
        if dropout:
            layers[f"dropout{k}"] = nn.Dropout(dropout)
    return _named(layers | {"softmax": nn.Linear(widths[-2], widths[-1])})


def convnet(
    channels: Sequence[int],
    classes: int = 10,
    norm: Norm | None = None,
    activation: str = "relu",
    place: str = "before",
) -> nn.Sequential:
    """3×3 convolutions of so many channels, each but the first with stride 2: images (m, 784) to (m, classes).

    The children are `image`, `conv1`, `norm1`, `act1`, …, then the mean over the places of each map and `softmax`.
    """
    layers: dict[str, nn.Module] = {"image": nn.Unflatten(1, (1, PIXELS, PIXELS))}
    for k, (fan_in, fan_out) in enumerate(pairwise((1, *channels)), 1):
        bias = norm is None or place == "after"
        layers[f"conv{k}"] = nn.Conv2d(fan_in, fan_out, 3, stride=1 if k == 1 else 2, padding=1, bias=bias)
        _hidden(layers, k, norm and norm(fan_out), activation, place)
    pooled = {"pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten()}
    return _named(layers | pooled | {"softmax": nn.Linear(channels[-1], classes)})


def _hidden(layers: dict, k: int, norm: nn.Module | None, activation: str, place: str) -> None:
    act = {f"act{k}": ACTIVATIONS[activation]()}
    normed = {} if norm is None else {f"norm{k}": norm}
    layers.update(normed | act if place == "before" else act | normed)


def _named(layers: dict[str, nn.Module]) -> nn.Sequential:
    net = nn.Sequential()
    for name, layer in layers.items():
        net.add_module(name, layer)
    return net


@torch.no_grad()
def draw(net: nn.Module, std: float | str) -> nn.Module:
    """Draw the weights anew by torch's generator, with biases 0; the network itself.

    `std`: a standard deviation for all of them, or a rule by each one's number of inputs and outputs: "he" (2015),
    "glorot" (2010) or "orthogonal" (Saxe et al., 2013).
    """
    rules = {
        "he": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
        "glorot": nn.init.xavier_normal_,
        "orthogonal": nn.init.orthogonal_,
    }
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            (rules[std] if isinstance(std, str) else lambda w: w.normal_(0, std))(layer.weight)
            if layer.bias is not None:
                layer.bias.zero_()
    return net
