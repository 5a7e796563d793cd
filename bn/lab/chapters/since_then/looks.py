"""Other statistics for a trained network: without their start, recomputed where it stands, or of other images."""

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

import bn
from bn.lab.data.splits import Split
from bn.lab.train.small import Trainer

BATCH, IMAGES = 60, 3_000  # mini-batches for recomputed statistics, and of at most so many images
CONTRAST = 0.4  # of ink, where it was 1
FLIPPED = 0.15  # of the pixels


def recomputed(trainer: Trainer) -> dict[str, np.ndarray]:
    """`recomputed`: accuracy on test images by the averages of the statistics over training images, as Algorithm 2."""
    x = trainer.train.spread(IMAGES).x.float()
    return {"recomputed": np.array(accuracy(with_statistics(trainer.net, x), trainer.test))}


def corrected(trainer: Trainer) -> dict[str, np.ndarray]:
    """`corrected`: accuracy on test images by the moving averages without what is left in them of their start."""
    return {"corrected": np.array(accuracy(without_start(trainer.net), trainer.test))}


def without_start(net: nn.Module) -> nn.Module:
    """A copy of a network whose moving averages are only of what they were given.

    After t steps they still hold the share (1 − α)^t of the 0 and the 1 that they began with (Kingma and Ba, 2015).
    Before the first step they hold nothing else and stay as they are.
    """
    net = deepcopy(net)
    for layer in net.modules():
        if isinstance(layer, bn.BatchNorm1d) and layer.num_batches_tracked:
            held = (1 - layer.momentum) ** int(layer.num_batches_tracked)
            layer.running_mean /= 1 - held
            layer.running_var.sub_(held).clamp_(min=0).div_(1 - held)  # rounding may leave less than none
    return net


def shifted(trainer: Trainer) -> dict[str, np.ndarray]:
    """`shifted` (kinds, 2): accuracy on test images of another kind, by the old statistics and by those of such images.

    The statistics are of validation images of that kind, without their labels. Measured at the end of the training.
    """
    found = np.full((len(SHIFTS), 2), np.nan)
    if trainer.step == trainer.setting.steps:
        for k, change in enumerate(SHIFTS.values()):
            seen, test = change(trainer.validation.x.float()), Split(change(trainer.test.x.float()), trainer.test.y)
            adapted = with_statistics(trainer.net, seen)
            found[k] = accuracy(trainer.net, test), accuracy(adapted, test)
    return {"shifted": found}


def with_statistics(net: nn.Module, x: Tensor) -> nn.Module:
    """A copy of a network with the population statistics (Algorithm 2) of some images, (n, 784), n at least BATCH."""
    net = deepcopy(net)
    bn.recompute_statistics(net, x[: len(x) // BATCH * BATCH].unflatten(0, (-1, BATCH)))
    return net


@torch.no_grad()
def accuracy(net: nn.Module, split: Split) -> float:
    """Share of the images that a network gets right at inference."""
    return float((net.eval()(split.x.float()).argmax(1) == split.y).float().mean())


def pale(x: Tensor) -> Tensor:
    """Ink of a lower contrast."""
    return CONTRAST * x


def thick(x: Tensor) -> Tensor:
    """Strokes that are a pixel wider to each side."""
    return nn.functional.max_pool2d(x.unflatten(1, (1, 28, 28)), 3, stride=1, padding=1).flatten(1)


def noisy(x: Tensor) -> Tensor:
    """Pixels turned from ink to paper and back, by chance."""
    return (x - (torch.rand(x.shape) < FLIPPED).float()).abs()


SHIFTS = {"pale": pale, "thick": thick, "noisy": noisy}
