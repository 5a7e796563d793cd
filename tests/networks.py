"""Networks that the tests of convert, revert, fold and recompute_statistics share."""

from contextlib import suppress

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bn.lab.data.datasets import torchvision_datasets


def torchvision_models():
    """torchvision's networks, where it is installed, beside any build of torch."""
    with suppress(ImportError):
        torchvision_datasets()
    return pytest.importorskip("torchvision.models")


class Residual(nn.Module):
    """A block as ResNet's, with a ReLU for each use, and one after the sum that must not be fused."""

    def __init__(self, c=4):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.Conv2d(c, c, 3, padding=1)
        self.bn1, self.bn2 = nn.BatchNorm2d(c), nn.BatchNorm2d(c)
        self.relu1, self.relu2 = nn.ReLU(inplace=True), nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))) + x)


class Branches(nn.Module):
    """An Inception module, small: branches of Sequentials whose outputs are joined."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.a = nn.Sequential(nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2, momentum=None), nn.ReLU())
        self.b = nn.Sequential(nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2, affine=False), nn.Dropout(0.0), nn.ReLU())
        self.c = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))

    def forward(self, x):
        x = self.stem(x)
        return torch.cat([self.a(x), self.b(x), self.c(x)], 1)


def sequential():
    return nn.Sequential(
        nn.Conv2d(4, 6, 3, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 4, 3, groups=2),
        nn.BatchNorm2d(4),
        nn.ConvTranspose2d(4, 6, 2),
        nn.BatchNorm2d(6, affine=False),
        nn.Flatten(),
        nn.LazyLinear(5),
        nn.BatchNorm1d(5, affine=False),
        nn.ReLU(),
        nn.Linear(5, 5, bias=False),
        nn.BatchNorm1d(5),
        nn.Sigmoid(),
        nn.BatchNorm1d(5),
    )


def randomize(net, x=None):
    """Give a network in float64 random parameters and statistics, as if it had been trained."""
    net = net.double()
    if x is not None:
        net.eval()(x)  # the lazy layers take their sizes
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, _BatchNorm):
                layer.running_mean.normal_(), layer.running_var.uniform_(0.5, 2)
                for parameter in layer.parameters():
                    parameter.normal_()
    return net.train()


NETS = {
    "sequential": (sequential, (3, 4, 6, 6)),
    "residual": (Residual, (3, 4, 6, 6)),
    "residual in a row": (lambda: nn.Sequential(Residual(), Residual()), (3, 4, 6, 6)),
    "branches": (Branches, (3, 4, 6, 6)),
    "resnet18": (lambda: torchvision_models().resnet18(weights=None), (3, 3, 32, 32)),
}


class Net(nn.Module):
    """One BatchNorm, one ReLU, and a forward that decides whether they may be fused."""

    def __init__(self, how):
        super().__init__()
        self.bn, self.relu, self.other = nn.BatchNorm1d(3), nn.ReLU(inplace=True), nn.BatchNorm1d(3)
        self.register_buffer("calls", torch.zeros(()))
        self.seen, self.log, self.how = None, [], how

    def forward(self, x, flag=None):
        return self.how(self, x, flag)


def count(net, *classes):
    return sum(type(part) in classes for part in net.modules())
