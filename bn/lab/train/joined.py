"""The network of Figure 5 with its small layers side by side as one and slow ones as convolutions, to train faster.

>>> net = join(Inception(classes=10, width=1 / 16, size=8))
>>> net(torch.randn(2, 3, 8, 8)).shape
torch.Size([2, 10])

The mathematics stays what it was, and so does the number of parameters; sums are rounded otherwise. Where parameters
of several layers were joined, they lie one after the other along the channels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bn.lab.train.inception import Inception, InceptionModule
from bn.layers import BatchNorm2d, become


def join(net: Inception) -> Inception:
    """Replace the network's modules and its slow layers, in place; a module with BN of each activation stays.

    The same network on each device, so that their runs can be held against each other. Raises ValueError for a layer
    with options that `Inception` does not use.
    """
    for name, row in net.rows.named_children():
        if isinstance(row, InceptionModule) and not any(isinstance(layer, nn.BatchNorm1d) for layer in row.modules()):
            setattr(net.rows, name, _JoinedModule(row))
    for layer in net.modules():
        if type(layer) in _FASTER:
            faster, options = _FASTER[type(layer)]
            if any(getattr(layer, name) != value for name, value in options.items()):
                raise ValueError(f"{layer} cannot be joined: its options must be {options}")
            become(layer, faster)
    return net


class _JoinedModule(nn.Module):
    """The branches of an `InceptionModule` with a third of its nonlinearities and one 1×1 convolution of the input.

    An average pool and the 1×1 convolution behind it change places, as both are linear: less is left to be pooled.
    """

    def __init__(self, module: InceptionModule) -> None:
        super().__init__()
        *one, (three_reduce, three), (double_reduce, *double), (pool, *proj) = module.branches
        before = proj if isinstance(pool, nn.AvgPool2d) else []
        reduces = [three_reduce, double_reduce]
        self.widths = [sum(layer[0].out_channels for layer in layers) for layers in (one, reduces, before)]
        self.reduced = [layer[0].out_channels for layer in reduces]
        self.first = _side_by_side([layer[0] for layer in (*one, *reduces, *before)])
        self.inner = _nonlinearity(reduces)
        self.three, self.middle, self.deep = three[0], nn.Sequential(*double[:-1]), double[-1][0]
        self.pool, self.swapped = pool, bool(before)
        self.proj = proj[0][0] if proj and not before else None
        self.outer = _nonlinearity([*one, three, double[-1], *proj])

    def forward(self, x: Tensor) -> Tensor:
        """The branches' outputs, in the order of an `InceptionModule`."""
        one, reduced, proj = self.first(x).split(self.widths, 1)
        three, deep = self.inner(reduced).split(self.reduced, 1)
        parts = [self.three(three), self.deep(self.middle(deep))]
        if self.widths[0]:
            parts.insert(0, one)
        pooled = self.pool(proj if self.swapped else x)
        if self.swapped or self.proj is not None:
            return self.outer(torch.cat([*parts, pooled if self.proj is None else self.proj(pooled)], 1))
        return torch.cat([self.outer(torch.cat(parts, 1)), pooled], 1)


def _side_by_side(layers: list[nn.Conv2d]) -> nn.Conv2d:
    """1×1 convolutions of the same input as one."""
    width, bias = sum(layer.out_channels for layer in layers), layers[0].bias is not None
    return _filled(nn.Conv2d(layers[0].in_channels, width, 1, bias=bias), layers)


def _nonlinearity(layers: list[nn.Sequential]) -> nn.Sequential:
    """What follows the convolutions of several layers, for their outputs side by side."""
    norms = [part for layer in layers for part in layer if isinstance(part, BatchNorm2d)]
    others = [part for part in layers[0][1:] if not isinstance(part, BatchNorm2d)]
    if norms:
        joined = BatchNorm2d(sum(norm.num_features for norm in norms), activation=norms[0].activation)
        others.insert(0, _filled(joined, norms))
    return nn.Sequential(*others)


def _filled(joined: nn.Module, layers: list[nn.Module]) -> nn.Module:
    """With the parameters and moving averages of some layers, one after the other."""
    for name, tensor in (*joined.named_parameters(), *joined.named_buffers()):
        if tensor.dim():
            tensor.data = torch.cat([getattr(layer, name).data for layer in layers])
    return joined


class _ResponseNorm(nn.LocalResponseNorm):
    """A sum over neighbouring channels as a product with a band; torch's pools cost as much as all convolutions."""

    def forward(self, x: Tensor) -> Tensor:
        i = torch.arange(x.shape[1], device=x.device)
        band = ((i - i[:, None]).abs() <= self.size // 2).to(x.dtype) * (self.alpha / self.size)
        with torch.autocast(x.device.type, enabled=False):  # near 1 a sum has few digits in bfloat16
            root = (F.conv2d(x.square(), band[:, :, None, None]) + self.k).rsqrt()
            return x * (root * root.sqrt())  # to the power -3/4, which takes longer


class _AveragePool(nn.AvgPool2d):
    """The mean over those pixels of a patch that lie in the image: their sum, and a division by their number."""

    def forward(self, x: Tensor) -> Tensor:
        ones = x.new_ones(x.shape[1], 1, self.kernel_size, self.kernel_size)
        where = {"stride": self.stride, "padding": self.padding}
        number = F.conv2d(x.new_ones(1, 1, *x.shape[2:]), ones[:1], **where)
        return F.conv2d(x, ones, groups=x.shape[1], **where) / number


_FASTER = {  # torch's layers to ours, and the options that these have
    nn.LocalResponseNorm: (_ResponseNorm, {"beta": 0.75}),
    nn.AvgPool2d: (_AveragePool, {"count_include_pad": False, "ceil_mode": False, "divisor_override": None}),
}
