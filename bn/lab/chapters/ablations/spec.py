"""The parameters of notebook 09, and how large its trainings are."""

from dataclasses import dataclass
from typing import ClassVar

from bn.lab.train.recipes import SHORT, SIZES, ImageSize
from bn.lab.train.specs import ImageSpec

# So few images that each is seen several times: else shuffling, Dropout, L2 and distortion have nothing to act on. All
# 10,000 test images are looked at once, at the end.
_AGAIN = ImageSize(
    steps=1_200,  # and half as many with the changes: five epochs
    seeds=tuple(range(3000, 3012)),
    pixels=14,
    width=1 / 16,
    modules=SHORT,
    rates=(0.01, 0.03, 0.1, 0.3),
    shards=5,  # of 800 images, 25 mini-batches: none is left over
    examples=4_000,
    watched=1_000,
    evaluations=50,
    crops=10,
)


@dataclass(frozen=True, kw_only=True)
class AblationSpec(ImageSpec):
    """The parameters of section 4.2, on a small set of MNIST."""

    sizes: ClassVar[dict] = SIZES | {("cpu", "mnist"): _AGAIN}
