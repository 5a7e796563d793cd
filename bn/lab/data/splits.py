"""What a data set is: images and labels in three disjoint parts, and the SHA-256 of what is used of it."""

from dataclasses import dataclass
from typing import NamedTuple

import torch


class Split(NamedTuple):
    """Images `x` and labels `y`, (n,) int64."""

    x: torch.Tensor
    y: torch.Tensor

    def spread(self, count: int) -> "Split":
        """So many of the images, all for 0, evenly over a part that may be sorted by class."""
        if not 0 < count < len(self.y):
            return self
        chosen = torch.linspace(0, len(self.y) - 1, count, dtype=torch.float64).round().long()
        return Split(self.x[chosen], self.y[chosen])


@dataclass(frozen=True)
class Data:
    """One data set in three disjoint parts, with the SHA-256 of its pixels and labels, the same on each machine."""

    name: str
    train: Split
    validation: Split
    test: Split
    checksum: str


@dataclass(frozen=True)
class Images(Data):
    """A data set for the networks of section 4.2: x (n, channels, size, size) uint8 from 0 to 255.

    `classes` are the names of the labels. `photographs` may be mirrored; mirrored digits would be none.
    """

    classes: tuple[str, ...]
    photographs: bool = False
