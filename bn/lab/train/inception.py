"""The Inception network of the paper's Figure 5 as data, and the network built from it, at any width and input size.

>>> net = Inception(classes=10, width=1 / 16, size=32)
>>> net(torch.randn(2, 3, 32, 32)).shape
torch.Size([2, 10])

A table is a tuple of `Row`s with the numbers as printed; what is built follows the widths of the branches and the
strides, never the printed sizes, so that the two can be held against each other (`bn.lab.chapters.inception.counts`).
"""

import math
from collections import OrderedDict
from itertools import takewhile
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bn.lab.architectures import DEPTH_MULTIPLIER, FIGURE_5, SMALLEST, Row
from bn.lab.spec import positive, whole
from bn.layers import BatchNorm1d, BatchNorm2d

_NONLINEARITIES = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}


class Inception(nn.Module):
    """Images (m, channels, size, size) to logits (m, classes), by the rows of a table (Figure 5).

    - `width` multiplies the channels of every row.
    - `size`: the modules always halve the image where the table does, in 3c and 4e. Of the three halvings before
      the first module, a smaller image gets only as many as leave it the table's 28×28 there: 224 px has three,
      112 two, 56 one, 28 and less none. Those that fall away are the earliest, so that the layers next to the
      modules see the table's grids; the first convolution then has stride 1, and a pool is left out. So 8×8 digits
      enter as they are and leave the modules as 2×2. The last pool averages whatever grid is left.
    - `batch_norm`: on the input of every nonlinearity, and then no bias before it (section 3.2).
    - `separable`: the first layer as the appendix has it, 7×7 on each colour with multiplier 8, then 1×1.
    - `lrn` and `dropout` (a probability) where GoogLeNet has them: local response normalization after the first
      pool and after the second convolution, dropout before the last layer (there 0.4).
    - `five_by_five`: one 5×5 in the place of the two 3×3, as in GoogLeNet. For counting.
    - `weight_scale` multiplies the standard deviation of the first weights of every convolution, not of the last
      layer. With BN the first outputs in training stay what they were, but for eps.
    - `per_activation`: in the last module of the table, BN normalizes each of the C·h·w activations over the m images
      alone, as in a fully connected layer, and not each feature map over all its positions as well (section 3.2). In
      training m must then be at least 2.

    With the last two and a `dropout` of 0.05 or 0.1, the members of an ensemble are made to differ (section 4.2.3,
    which has larger first weights and no number for how much).

    Choices where the paper is silent. First weights: Gaussian, variance 2/fan-in (He et al., 2015) before ReLU and
    2/(fan-in + fan-out) (Glorot and Bengio, 2010) before sigmoids and in the last layer; biases zero; a `seed` draws
    the same weights with and without BN. Borders are padded with zeros to keep the grid, and average pools leave
    them out. A stride sits in the last convolution of its branch. LRN has torch's default constants. GoogLeNet's
    auxiliary classifiers are not built: section 4.2 has no fully connected layer but the last. What section 4.2.3
    calls the last hidden layers is read as all layers of module 5b.

    Built on the CPU; move it with `.to()`. Raises ValueError for a wrong argument or an input of another shape.
    """

    def __init__(
        self,
        classes: int = 1000,
        width: float = 1.0,
        size: int = 224,
        channels: int = 3,
        batch_norm: bool = True,
        activation: str = "relu",
        separable: bool = False,
        lrn: bool = False,
        dropout: float = 0.0,
        five_by_five: bool = False,
        table: tuple[Row, ...] = FIGURE_5,
        seed: int = 0,
        weight_scale: float = 1.0,
        per_activation: bool = False,
    ) -> None:
        super().__init__()
        whole("classes", classes, 2)
        whole("size", size, SMALLEST)
        whole("channels", channels, 1)
        positive("width", width)
        positive("weight_scale", weight_scale)
        if activation not in _NONLINEARITIES:
            raise ValueError(f"activation must be 'relu' or 'sigmoid', but it is {activation!r}")
        if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
            raise ValueError(f"dropout must be a number from 0 to below 1, but it is {dropout!r}")
        if per_activation and not batch_norm:
            raise ValueError(f"per_activation must be False where batch_norm is, but it is {per_activation!r}")
        self.shape = (channels, size, size)
        style = Style(batch_norm, activation, five_by_five, separable, lrn, per_activation)
        rows, outputs = _rows(table, width, self.shape, style)
        self.rows = nn.Sequential(rows)
        self.dropout = nn.Dropout(dropout)
        self.softmax = nn.Linear(outputs, classes)  # a narrow module's branches, rounded, need not add up to the row's
        self._draw_weights(activation, weight_scale, torch.Generator().manual_seed(seed))

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits: the softmax itself belongs to the loss."""
        if x.dim() != 4 or x.shape[1:] != self.shape:
            wanted = ", ".join(map(str, self.shape))
            raise ValueError(f"the images must have the shape (m, {wanted}), but it is {tuple(x.shape)}")
        return self.softmax(self.dropout(self.rows(x).flatten(1)))

    @torch.no_grad()
    def _draw_weights(self, activation: str, scale: float, generator: torch.Generator) -> None:
        for layer in self.modules():
            if not isinstance(layer, nn.Conv2d | nn.Linear):
                continue
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            if activation == "relu" and layer is not self.softmax:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            else:
                nn.init.xavier_normal_(layer.weight, generator=generator)
            if layer is not self.softmax:
                layer.weight.mul_(scale)


class InceptionModule(nn.Module):
    """Branches side by side, joined along the channels: 1×1, 3×3, double 3×3 and a pool (m, C, h, w)."""

    def __init__(self, inputs: int, row: Row, style: "Style") -> None:
        super().__init__()
        stride = row.stride
        if style.five_by_five:
            deep = [_convolution(row.double_reduce, row.double, 5, style, stride)]
        else:
            deep = [_convolution(row.double_reduce, row.double, 3, style)]
            deep += [_convolution(row.double, row.double, 3, style, stride)]
        self.branches = nn.ModuleList()
        if row.one:
            self.branches.append(_convolution(inputs, row.one, 1, style, stride))
        reduce = _convolution(inputs, row.three_reduce, 1, style)
        self.branches.append(nn.Sequential(reduce, _convolution(row.three_reduce, row.three, 3, style, stride)))
        self.branches.append(nn.Sequential(_convolution(inputs, row.double_reduce, 1, style), *deep))
        pool = nn.Sequential(_pool(row.pool, stride))
        if row.proj:
            pool.append(_convolution(inputs, row.proj, 1, style._replace(grid=_strided(style.grid, stride))))
        self.branches.append(pool)
        self.outputs = row.one + row.three + row.double + (row.proj or inputs)

    def forward(self, x: Tensor) -> Tensor:
        """The branches' outputs, one after the other along the channels."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class Style(NamedTuple):
    """What all rows of a network have in common, by the names that `Inception` has for it."""

    batch_norm: bool
    activation: str
    five_by_five: bool
    separable: bool = False
    lrn: bool = False
    per_activation: bool = False
    grid: int = 0  # of the input, height and width, where BN takes each activation by itself; 0: feature maps


def _rows(table: tuple[Row, ...], width: float, shape: tuple[int, ...], style: Style) -> tuple[OrderedDict, int]:
    """The layers of each row by name, and the last one's channels: they flow from row to row as they really are."""
    layers, channels, grid = OrderedDict(), *shape[:2]
    stem = list(takewhile(lambda row: row.kind != "inception", table))
    strided = [row.name for row in stem if row.stride > 1]
    kept = max(0, (grid // stem[-1].grid).bit_length() - 1)  # log2: halvings that leave the table's grid
    dropped = set(strided[: max(0, len(strided) - kept)])
    alone = [row.name for row in table if row.kind == "inception"][-1:] if style.per_activation else []
    for row in (row.scaled(width) for row in table):
        stride = 1 if row.name in dropped else row.stride
        if row.kind == "inception":
            layer = InceptionModule(channels, row, style._replace(grid=grid) if row.name in alone else style)
            channels = layer.outputs
        elif row.kind == "avg pool":
            layer = nn.AdaptiveAvgPool2d(1)
        elif row.kind == "max pool":
            layer = nn.Sequential() if row.name in dropped else nn.Sequential(_pool("max", stride))
        elif row.three:
            reduce = _convolution(channels, row.three_reduce, 1, style)
            layer = nn.Sequential(reduce, _convolution(row.three_reduce, row.three, row.patch, style, stride))
            channels = row.three
        else:
            layer = _convolution(channels, row.channels, row.patch, style, stride, style.separable)
            channels = row.channels
        if style.lrn and row.name in ("pool1", "conv2"):
            layer.append(nn.LocalResponseNorm(5))
        layers[row.name] = layer
        grid = _strided(grid, stride)
    return layers, channels


def _convolution(
    inputs: int, outputs: int, patch: int, style: Style, stride: int = 1, separable: bool = False
) -> nn.Sequential:
    """A convolution and its nonlinearity, with BN between the two and then without a bias."""
    layers, groups, bias = [], 1, not style.batch_norm
    spacing = {"stride": stride, "padding": patch // 2}
    if separable:
        groups, patch_outputs = inputs, DEPTH_MULTIPLIER * inputs
        layers.append(nn.Conv2d(inputs, patch_outputs, patch, **spacing, groups=groups, bias=False))
        inputs, patch, spacing = patch_outputs, 1, {}
    layers.append(nn.Conv2d(inputs, outputs, patch, **spacing, bias=bias))
    fused = "relu" if style.batch_norm and style.activation == "relu" else None
    if style.grid:
        maps = (outputs, *[_strided(style.grid, stride)] * 2)
        layers += [nn.Flatten(), BatchNorm1d(math.prod(maps), activation=fused), nn.Unflatten(1, maps)]
    elif style.batch_norm:
        layers.append(BatchNorm2d(outputs, activation=fused))
    if not fused:
        layers.append(_NONLINEARITIES[style.activation]())
    return nn.Sequential(*layers)


def _pool(kind: str, stride: int) -> nn.Module:
    if kind == "max":
        return nn.MaxPool2d(3, stride, padding=1)
    return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)


def _strided(grid: int, stride: int) -> int:
    """Height and width behind any layer of a stride: padding by half the patch leaves every stride-th position."""
    return math.ceil(grid / stride)
