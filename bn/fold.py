"""Whole networks for inference without BatchNorm: folded into the layer before, or left as one affine map.

With its statistics fixed, Batch Normalization is affine (Algorithm 2, line 11), and an affine layer before it can take
it in. Done on a copy, in which a layer changes its class and keeps its name.
"""

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from bn.layers import FusedReLU, become, is_plain
from bn.sync import LAYERS, SyncBatchNorm
from bn.trace import exclusive_pairs

SYNC = nn.SyncBatchNorm | SyncBatchNorm
# The dimensions of the output of a layer that can take a BatchNorm in, and the axis of its weight that is the channel.
FOLDABLE = {
    nn.Linear: (2, 0),
    nn.Conv1d: (3, 0),
    nn.Conv2d: (4, 0),
    nn.Conv3d: (5, 0),
    nn.ConvTranspose1d: (3, 1),
    nn.ConvTranspose2d: (4, 1),
    nn.ConvTranspose3d: (5, 1),
}


class Folded(nn.Identity):
    """The place of a BatchNorm layer that the layer before it has taken in; its activation is left."""

    def forward(self, x):
        """Return g(x); `x` (N, C) or (N, C, *), of the shape that the layer before gives."""
        torch._assert(x.dim() == self.dims, "a folded network takes a batch, one example along the first dimension")
        return torch.relu(x) if self.activation == "relu" else x


class Affine(nn.Module):
    """A BatchNorm layer with fixed statistics: `slope` x + `offset`, a pair for each channel (Algorithm 2, line 11)."""

    def forward(self, x, residual=None):
        """Return g(slope x + offset + residual); `x` and `residual` (N, C) or (N, C, *)."""
        torch._assert(x.shape[1] == len(self.slope), "the input's second dimension must be the channels of the layer")
        y = (x.movedim(1, -1) * self.slope + self.offset).movedim(-1, 1).to(x.dtype)
        y = y if residual is None else y + residual
        return torch.relu(y) if self.activation == "relu" else y

    def extra_repr(self):
        """Show C and the activation."""
        return f"{len(self.slope)}, activation={self.activation!r}"


def fold(module):
    """Return a copy of a module for inference, without BatchNorm: the layer before takes it in, or an affine map.

    >>> fold(nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.ReLU()))
    Sequential(
      (0): Affine(1, activation=None)
      (1): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))
      (2): Folded()
      (3): ReLU()
    )

    The copy is in inference mode and gives what `module.eval()` gives, to rounding. A layer is taken in by the
    convolution, transposed convolution or Linear that alone feeds it and feeds nothing else, where neither is
    shared nor hooked; the input must then have a batch dimension (N, C) or (N, C, *). Any other layer becomes
    `Affine`. Torch's layers and ours, SyncBatchNorm among them, are folded; subclasses of others are left as they are.

    Errors: ValueError where a layer has no running statistics (track_running_stats=False): it needs its mini-batch.
    Source: Ioffe and Szegedy (2015), section 3.1 and Algorithm 2, lines 8 to 12.
    """
    for name, layer in module.named_modules():
        if is_plain(layer, LAYERS) and (layer.running_mean is None or layer.running_var is None):
            raise ValueError(f"{name or 'the module itself'} has no running statistics, so it cannot be folded")
    module = copy.deepcopy(module).eval()
    for relu in [part for part in module.modules() if type(part) is FusedReLU]:
        relu.restore()
    with torch.no_grad():
        for before, layer in exclusive_pairs(module, modes=(False,)):
            if _can_take_in(before, layer):
                _take_in(before, layer)
        for layer in module.modules():
            if is_plain(layer, LAYERS):
                _become_affine(layer)
    return module


def _can_take_in(before, layer):
    if type(before) not in FOLDABLE or type(layer) not in LAYERS:
        return False
    if type(before) is nn.Linear:  # its channels are the last axis, a BatchNorm's the second: the same in (N, C) only
        return before.out_features == layer.num_features and isinstance(layer, nn.BatchNorm1d | SYNC)
    # A transposed convolution in groups keeps the channels of all groups along one axis: there is no scale for each.
    return before.out_channels == layer.num_features and not (before.transposed and before.groups > 1)


def _take_in(before, layer):
    dims, axis = FOLDABLE[type(before)]
    mean, var, eps = layer.running_mean, layer.running_var, layer.eps
    if type(before) is nn.Linear:
        fused = fuse_linear_bn_weights(before.weight, before.bias, mean, var, eps, *_gamma_beta(layer))
    else:
        fused = fuse_conv_bn_weights(
            before.weight, before.bias, mean, var, eps, *_gamma_beta(layer), transpose=axis == 1
        )
    before.weight, before.bias = fused
    _strip(layer, Folded, dims=dims)


def _become_affine(layer):
    gamma, beta = _gamma_beta(layer)
    slope = gamma * torch.rsqrt(layer.running_var + layer.eps)
    offset = beta - slope * layer.running_mean
    _strip(layer, Affine)
    layer.register_buffer("slope", slope)
    layer.register_buffer("offset", offset)


def _gamma_beta(layer):
    gamma = torch.ones_like(layer.running_mean) if layer.weight is None else layer.weight
    return gamma, torch.zeros_like(layer.running_mean) if layer.bias is None else layer.bias


def _strip(layer, cls, **attributes):
    layer._parameters.clear()
    layer._buffers.clear()
    become(layer, cls, activation=getattr(layer, "activation", None), **attributes)
