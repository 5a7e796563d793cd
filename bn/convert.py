"""Whole networks: torch's layers made ours and back, folded away for inference, or given population statistics.

A layer changes its class in place and stays the same object. Hooks, optimizers, shared layers and lists that hold it
need no repair, and the way back is exact. Which layer feeds which is read off symbolic traces (torch.fx) of the
module's own forward: a trace is read and thrown away, never run in the module's place. What a trace cannot see: code
outside forward that calls the layers one by one, and a branch that forward takes for a Tensor and not for a stand-in.
"""

import copy
import inspect
from collections import Counter
from contextlib import contextmanager
from itertools import chain, pairwise

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights
from torch.optim.swa_utils import update_bn

from bn.layers import TORCHS, BatchNorm1d, BatchNorm2d, BatchNorm3d, SyncBatchNorm, become

OURS = {TORCHS[cls]: cls for cls in (BatchNorm1d, BatchNorm2d, BatchNorm3d)}
SYNC = nn.SyncBatchNorm | SyncBatchNorm
LAYERS = (*TORCHS, *TORCHS.values())
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
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


class FusedReLU(nn.Identity):
    """The place of an nn.ReLU that the BatchNorm layer before it now computes; `inplace` waits for the way back."""

    def extra_repr(self):
        """Show what an nn.ReLU shows."""
        return "inplace=True" if self.inplace else ""


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


def convert(module):
    """Make every torch.nn.BatchNorm1d, 2d and 3d of a module ours, each with the ReLU after it where that is safe.

    >>> convert(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU()))
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): BatchNorm1d(3, ..., activation='relu')
      (2): FusedReLU()
    )

    Works in place and returns `module`. Layers, parameters and buffers stay the same objects, the keys of the
    state_dict stay, and so do hooks and the training flags. Outputs and gradients stay as they are.

    A ReLU is fused where, in training and in inference, it reads the layer's output and nothing else does, each
    of the two is called once, and neither has hooks. Where forward cannot be traced, that is looked for between
    neighbours of an nn.Sequential. Left alone: subclasses of torch's layers, lazy ones among them, SyncBatchNorm,
    F.relu, and a ReLU that is called in several places. `revert` goes back.
    """
    pairs = _pairs(module, modes=(True, False))
    for layer in module.modules():
        if _is_plain(layer, OURS):
            become(layer, OURS[type(layer)], activation=None)
    for layer, relu in pairs:
        if type(layer) in TORCHS and type(relu) is nn.ReLU and layer.activation is None:
            layer.activation = "relu"
            become(relu, FusedReLU, layer=(layer,))  # in a tuple, so that it is no child of the ReLU
    return module


def revert(module):
    """Undo `convert`: every layer of ours becomes torch's again, and every fused ReLU is restored.

    >>> revert(convert(nn.Sequential(nn.BatchNorm1d(3), nn.ReLU(inplace=True))))
    Sequential(
      (0): BatchNorm1d(3, ...)
      (1): ReLU(inplace=True)
    )

    Works in place and returns `module`.
    Errors: ValueError where a layer's activation="relu" has no fused ReLU in the module to go back to, or a fused
    ReLU no layer; nothing is changed then.
    """
    names = {part: name or "the module itself" for name, part in module.named_modules()}
    fused = [part for part in names if type(part) is FusedReLU]
    reverted = {relu.layer[0] for relu in fused}
    for layer, name in names.items():
        if type(layer) in TORCHS and layer.activation == "relu" and layer not in reverted:
            raise ValueError(f"{name} has activation='relu', but no ReLU that convert fused is in the module")
    for relu in fused:
        if type(relu.layer[0]) not in TORCHS or relu.layer[0] not in names:
            raise ValueError(f"{names[relu]} is a fused ReLU, but the layer it was fused into is not in the module")
    for relu in fused:
        _restore(relu)
    for layer in names:
        if type(layer) in TORCHS:
            become(layer, TORCHS[type(layer)])
            del layer.activation
    return module


def _restore(relu):
    relu.layer[0].activation = None
    become(relu, nn.ReLU)
    del relu.layer


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
        if _is_plain(layer, LAYERS) and (layer.running_mean is None or layer.running_var is None):
            raise ValueError(f"{name or 'the module itself'} has no running statistics, so it cannot be folded")
    module = copy.deepcopy(module).eval()
    for relu in [part for part in module.modules() if type(part) is FusedReLU]:
        _restore(relu)
    with torch.no_grad():
        for before, layer in _pairs(module, modes=(False,)):
            if _can_take_in(before, layer):
                _take_in(before, layer)
        for layer in module.modules():
            if _is_plain(layer, LAYERS):
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


def recompute_statistics(module, batches):
    """Give every BatchNorm layer its population statistics, from training mini-batches (Algorithm 2, lines 7 to 10).

    >>> module = nn.Sequential(nn.BatchNorm1d(1))
    >>> recompute_statistics(module, [torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [5.0]])])
    >>> module[0].running_mean, module[0].running_var
    (tensor([2.]), tensor([5.]))

    `running_mean` becomes the mean over the mini-batches of mu_B, `running_var` that of m/(m-1) sigma2_B, each
    mini-batch normalized by its own statistics on the way. `batches`: inputs of the module, or tuples and lists
    of which the first item is taken; all of one size m, as in the paper (each counts the same).

    Momenta and training flags are afterwards what they were; where a mini-batch raises, the statistics too.
    Errors: ValueError where there is no mini-batch, or no layer that keeps statistics.
    """
    layers = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.running_mean is not None]
    if not layers:
        raise ValueError("module must have a BatchNorm layer with running statistics, but it has none")
    batches = iter(batches)
    first = list(zip(range(1), batches, strict=False))
    if not first:
        raise ValueError("batches must hold at least one mini-batch, but it is empty")
    momenta = {layer: layer.momentum for layer in layers}
    buffers = [(buffer, buffer.clone()) for layer in layers for buffer in layer.buffers()]
    try:
        with torch.no_grad(), _modes_kept(module):
            update_bn(chain([first[0][1]], batches), module)
    except BaseException:
        for buffer, before in buffers:
            buffer.copy_(before)
        raise
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum


def _pairs(module, modes):
    """Return the (before, after) for which the output of `before` goes to `after` and nowhere else, in every mode."""
    try:
        with _modes_kept(module), _untouched(module):
            traces = [_pairs_of_trace(module, *how) for how in _ways_to_call(module, modes)]
    except Exception:  # forward is arbitrary code: whatever it raises means that its dataflow is not known
        return _neighbours(module)
    return [pair for pair in traces[0] if all(pair in trace for trace in traces)]


def _ways_to_call(module, modes):
    """Yield (training, arguments): every optional argument once given, once left at its default."""
    parameters = inspect.signature(module.forward).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    for training in modes:
        yield training, None
        if defaults:
            yield training, defaults


def _pairs_of_trace(module, training, arguments):
    for part in module.modules():
        part.training = training
    tracer = _Tracer()
    graph = tracer.trace(module, concrete_args=arguments)
    parts = dict(module.named_modules(remove_duplicate=False))
    calls = [node for node in graph.nodes if node.op == "call_module"]
    times = Counter(parts[node.target] for node in calls)
    read = {parts[node.target.rpartition(".")[0]] for node in graph.nodes if node.op == "get_attr"}
    hidden = {inner for part in times for inner in part.modules() if inner is not part}
    pairs = []
    for node in calls:
        before = node.args[0] if len(node.args) == 1 and not node.kwargs else None
        if isinstance(before, fx.Node) and before.op == "call_module" and len(before.users) == 1:
            pair = parts[before.target], parts[node.target]
            if all(times[part] == 1 and part not in read | hidden and not _is_hooked(part) for part in pair):
                pairs.append(pair)
    return pairs


class _Tracer(fx.Tracer):
    """Enters no BatchNorm layer, and nothing that is hooked: a hook may read or change what flows through."""

    proxy_buffer_attributes = True  # or a buffer that forward changes would really be changed by tracing it

    def is_leaf_module(self, m, module_qualified_name):
        return isinstance(m, _BatchNorm) or _is_hooked(m) or super().is_leaf_module(m, module_qualified_name)


def _is_plain(module, classes):
    """Tell whether a module is of one of the classes, not of a subclass, and nobody gave it a forward of its own."""
    return type(module) in classes and "forward" not in vars(module)


def _is_hooked(module):
    return any(vars(module)[hooks] for hooks in HOOKS) or "forward" in vars(module)


def _neighbours(module):
    """Return the pairs of neighbours in an nn.Sequential of which each has one place in the module, and no hooks."""
    places = Counter(part for _, part in module.named_modules(remove_duplicate=False))
    return [
        pair
        for parent in module.modules()
        if type(parent).forward is nn.Sequential.forward and places[parent] == 1
        for pair in pairwise(parent)
        if all(places[part] == 1 and not _is_hooked(part) for part in pair)
    ]


@contextmanager
def _modes_kept(module):
    """Give every part its own training flag back: a network may be frozen in places."""
    modes = {part: part.training for part in module.modules()}
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training


@contextmanager
def _untouched(module):
    """Undo what forward writes on its modules while it is traced, and what it takes from the random numbers."""
    held = [item for part in module.modules() for item in (vars(part), *vars(part).values())]
    before = [(item, copy.copy(item)) for item in held if isinstance(item, dict | list)]
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for item, items in before:
            item.clear()
            (item.update if isinstance(item, dict) else item.extend)(items)
