"""Torch's BatchNorm layers made ours, and back.

A layer changes its class in place and stays the same object. Hooks, optimizers, shared layers and lists that hold it
need no repair, and the way back is exact.
"""

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

    Left alone: subclasses of torch's layers, lazy and parametrized ones among them, layers with a forward or an
    `activation` of their own, and SyncBatchNorm (see `bn.SyncBatchNorm.convert_sync_batchnorm`). `revert` goes back;
    `fuse` adds the ReLUs.
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
