"""Torch's BatchNorm layers made ours, and back.

A layer changes its class in place and stays the same object. Hooks, optimizers, shared layers and lists that hold it
need no repair, and the way back is exact.
"""

from contextlib import contextmanager
from itertools import chain

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from bn.fuse import Fused
from bn.layers import BatchNorm1d, BatchNorm2d, BatchNorm3d, become, expect_module, is_plain
from bn.sync import TORCHS

OURS = {TORCHS[cls]: cls for cls in (BatchNorm1d, BatchNorm2d, BatchNorm3d)}


def convert(module):
    """Make every torch.nn.BatchNorm1d, 2d and 3d of a module ours: another class, and nothing else.

    >>> convert(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU()))
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): BatchNorm1d(3, ..., activation=None)
      (2): ReLU()
    )

    Works in place and returns `module`. Nothing is called or traced: layers, parameters, buffers, hooks, training
    flags, the state_dict and every other object of the program stay as they are. Outputs, gradients and running
    statistics are the same, on a CPU to the last bit (but for values far from 0 in channels_last, where ours are
    nearer to the truth: `bn.functional.batch_norm_act`), on CUDA to rounding.

    Left alone: subclasses of torch's layers, lazy and parametrized ones among them, layers with a forward of their
    own, and SyncBatchNorm (`bn.SyncBatchNorm.convert_sync_batchnorm`). `revert` goes back; `fuse` adds the ReLUs.
    """
    expect_module(module)
    for layer in module.modules():
        if is_plain(layer, OURS):
            become(layer, OURS[type(layer)])
    return module


def revert(module):
    """Undo `convert` and `fuse`: every layer of ours becomes torch's again, and every call is the module's own.

    >>> revert(convert(nn.Sequential(nn.BatchNorm1d(3), nn.ReLU())))
    Sequential(
      (0): BatchNorm1d(3, ...)
      (1): ReLU()
    )

    Works in place and returns `module`.
    Errors: ValueError where a layer has an activation, which torch's cannot have; nothing is changed then.
    """
    expect_module(module)
    layers = {layer: name or "the module itself" for name, layer in module.named_modules() if type(layer) in TORCHS}
    for layer, name in layers.items():
        if layer.activation is not None:
            raise ValueError(f"{name} has activation={layer.activation!r}, and torch's layer has none")
    for layer in layers:
        become(layer, TORCHS[type(layer)])
        vars(layer).pop("activation", None)
    for part in module.modules():
        if isinstance(part._compiled_call_impl, Fused):
            part._compiled_call_impl = None
    return module


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
        with torch.no_grad(), modes_kept(module):
            update_bn(chain([first[0][1]], batches), module)
    except BaseException:
        for buffer, before in buffers:
            buffer.copy_(before)
        raise
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum


@contextmanager
def modes_kept(module):
    """Give every part its own training flag back: a network may be frozen in places."""
    modes = {part: part.training for part in module.modules()}
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
