"""Images as bytes for the networks of section 4.2: digits, MNIST, Tiny ImageNet and ImageNet.

>>> digits = load("digits")
>>> digits.train.x.shape, digits.train.x.dtype
(torch.Size([1257, 1, 8, 8]), torch.uint8)

Settings are chosen on `validation`, results are read on `test`. Nothing is downloaded: the data folder is where they
are looked for.
"""

from bn.lab.data import datasets, folders
from bn.lab.data.augment import scaled
from bn.lab.data.datasets import DataError, Images, Split

SIZES = {"digits": 8, "mnist": 28, "tiny-imagenet": 64, "imagenet": 224}  # pixels, where `load` is not told others
PHOTOGRAPHS = folders.NAMES  # these may be mirrored; mirrored digits would be none
SMALLEST = 8  # pixels: the modules of Figure 5 halve an image twice, and the last of them then still sees 2×2


def load(name: str, size: int | None = None) -> Images:
    """Load `digits`, `mnist` (one channel), `tiny-imagenet` or `imagenet` (three) at `size`×`size` pixels.

    - digits: 1,257 / 180 / 360 images, MNIST: 55,000 / 5,000 / 10,000, the parts of `bn.lab.data.datasets` in shades
      of grey.
    - tiny-imagenet, imagenet: the published folders in the data folder, as `bn.lab.data.folders` reads them.

    Without `size` it is 8, 28, 64, 224. Raises DataError.
    """
    if name not in SIZES:
        raise DataError(f"the data set must be one of {', '.join(SIZES)}, but it is {name!r}")
    if size is None:
        size = SIZES[name]
    if type(size) is not int or size < SMALLEST:
        raise DataError(f"size must be a whole number at least {SMALLEST} (pixels), but it is {size!r}")
    if name in PHOTOGRAPHS:
        return folders.read(name, size)
    factor = 255 / 16 if name == "digits" else 1  # scikit-learn's shades end at 16
    shades = [((x[:, None] * factor).round().to(x.dtype), y) for x, y in datasets.shades(name)]
    splits = [Split(scaled(x, size), y) for x, y in shades]
    return Images(name, *splits, datasets.checksum(splits), tuple("0123456789"))
