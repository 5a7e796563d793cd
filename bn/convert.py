"""Whole networks: torch's layers made ours and back.

A layer changes its class in place and stays the same object. Hooks, optimizers, shared layers and lists that hold it
need no repair, and the way back is exact.
"""

from torch import nn

from bn.layers import BatchNorm1d, BatchNorm2d, BatchNorm3d, FusedReLU, become, is_plain
from bn.sync import TORCHS
from bn.trace import exclusive_pairs

OURS = {TORCHS[cls]: cls for cls in (BatchNorm1d, BatchNorm2d, BatchNorm3d)}


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
    pairs = exclusive_pairs(module, modes=(True, False))
    for layer in module.modules():
        if is_plain(layer, OURS):
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
        relu.restore()
    for layer in names:
        if type(layer) in TORCHS:
            become(layer, TORCHS[type(layer)])
            vars(layer).pop("activation", None)
    return module
