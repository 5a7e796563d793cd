"""Images as bytes for the networks of section 4.2: digits, MNIST, Tiny ImageNet and ImageNet.

>>> digits = load("digits")
>>> digits.train.x.shape, digits.train.x.dtype
(torch.Size([1257, 1, 8, 8]), torch.uint8)

Settings are chosen on `validation`, results are read on `test`. Nothing is downloaded: the data folder is where they
are looked for.
"""

import torch

from bn.lab.architectures import SMALLEST
from bn.lab.data import datasets, folders
from bn.lab.data.augment import scaled
from bn.lab.data.disk import DataError
from bn.lab.data.splits import Images, Split

SIZES = {"digits": 8, "mnist": 28, "tiny-imagenet": 64, "imagenet": 224}  # pixels, where `load` is not told others
PHOTOGRAPHS = folders.NAMES  # these may be mirrored; mirrored digits would be none
LARGEST = {"digits": 256, "mnist": 256, "tiny-imagenet": 1_024, "imagenet": 1_024}  # MNIST then takes 4.6 GB of memory
_AT_ONCE = 1_000  # images in floating point while their size is changed


def load(name: str, size: int | None = None, classes: int | None = None) -> Images:
    """Load `digits`, `mnist` (one channel), `tiny-imagenet` or `imagenet` (three) at `size`×`size` pixels.

    - digits: 1,257 / 180 / 360 images, MNIST: 55,000 / 5,000 / 10,000, the parts of `bn.lab.data.datasets` in shades
      of grey.
    - tiny-imagenet, imagenet: the published folders in the data folder, as `bn.lab.data.folders` reads them: of so
      many `classes`, the first by name, where they have more.

    Without `size` it is 8, 28, 64, 224. Raises DataError.
    """
    if name not in SIZES:
        raise DataError(f"the data set must be one of {', '.join(SIZES)}, but it is {name!r}")
    if size is None:
        size = SIZES[name]
    if type(size) is not int or not SMALLEST <= size <= LARGEST[name]:
        allowed = f"at least {SMALLEST} and at most {LARGEST[name]:,}"
        raise DataError(f"size must be a whole number {allowed} (pixels of {name}), but it is {size!r}")
    if name in PHOTOGRAPHS:
        return folders.read(name, size, classes)
    factor = 255 / 16 if name == "digits" else 1  # scikit-learn's shades end at 16
    shades = [((x[:, None] * factor).round().to(x.dtype), y) for x, y in datasets.shades(name)]
    splits = [Split(torch.cat([scaled(some, size) for some in x.split(_AT_ONCE)]), y) for x, y in shades]
    return Images(name, *splits, datasets.checksum(splits), tuple("0123456789"))
