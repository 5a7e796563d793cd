"""Parameters of BN counted: of the network of section 4.1, of a small convolutional one, and of Figure 5's."""

import torch
from torch import nn

from bn.lab.chapters.convolution.study import CHANNELS, WIDTHS, seen
from bn.lab.train.inception import Inception
from bn.lab.train.stacks import PIXELS, convnet, mlp
from bn.layers import BatchNorm1d, BatchNorm2d


def counts() -> dict[str, dict]:
    """`units`, `figure5` and `maps`, each with what `of_network` says; of the first and the last layer by layer too."""
    with torch.device("meta"):
        units = [mlp(WIDTHS, norm) for norm in (None, BatchNorm1d)]
        maps = [convnet(CHANNELS, norm=norm) for norm in (None, BatchNorm2d)]
        figure5 = [Inception(batch_norm=flag).eval() for flag in (False, True)]
    image = torch.empty(2, PIXELS**2, device="meta")
    return {
        "units": of_network(*units, image) | {"layers": layers(units[1], image)},
        "maps": of_network(*maps, image) | {"layers": layers(maps[1], image)},
        "figure5": of_network(*figure5, torch.empty(2, *figure5[1].shape, device="meta")),
    }


def of_network(plain: nn.Module, normalized: nn.Module, image: torch.Tensor) -> dict[str, int]:
    """How many layers have BN, their `maps` or units, `activations` over all places, and numbers of parameters.

    `added`: γ and β; `removed`: biases; `plain` and `parameters`: of the network without BN and with it.
    """
    norms, activations = norms_of(normalized), []
    for norm in norms:
        norm.register_forward_hook(lambda _norm, _given, gives: activations.append(gives[0].numel()))
    with torch.no_grad():
        normalized(image)
    return {
        "norms": len(norms),
        "maps": sum(norm.num_features for norm in norms),
        "activations": sum(activations),
        "added": sum(p.numel() for norm in norms for p in norm.parameters()),
        "removed": biases(plain) - biases(normalized),
        "plain": sum(p.numel() for p in plain.parameters()),
        "parameters": sum(p.numel() for p in normalized.parameters()),
    }


def layers(net: nn.Sequential, image: torch.Tensor) -> list[dict[str, int]]:
    """Of each layer with BN its `maps` or units, the `places` of one, and its numbers γ and β."""
    found = seen(net, image)
    norms = {name: layer for name, layer in net.named_children() if name.startswith("norm")}
    return [
        {
            "maps": norm.num_features,
            "places": found[name][1][0, 0].numel(),
            "added": sum(p.numel() for p in norm.parameters()),
        }
        for name, norm in norms.items()
    ]


def norms_of(net: nn.Module) -> list[nn.Module]:
    """Its layers that normalize mini-batches."""
    return [layer for layer in net.modules() if isinstance(layer, BatchNorm1d | BatchNorm2d)]


def biases(net: nn.Module) -> int:
    """How many numbers its layers with weights have as biases."""
    weighted = [layer for layer in net.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    return sum(layer.bias.numel() for layer in weighted if layer.bias is not None)
