"""Digits for the experiments: scikit-learn's (always there) and MNIST (`make data`).

>>> digits = load("digits")
>>> digits.train.x.shape, digits.train.x.dtype
(torch.Size([1257, 784]), torch.uint8)

Every data set is split once and for all: settings are chosen on `validation`, results are read on `test`.
"""

import hashlib
import stat

import numpy as np
import torch

from bn.lab import paths
from bn.lab.data.disk import DataError, contents, found
from bn.lab.data.splits import Data, Split

TRAINING_IMAGES = {"digits": 1_257, "mnist": 55_000}  # no mini-batch can be larger
_INK = 0.4  # of an enlarged digit's full shade: the binary image has about as much ink as the 8×8 one
_HALF = 127  # of MNIST's 255 shades: what is darker is ink
_HELD_OUT = 180, 360  # validation and test images of digits, a tenth and a fifth: an accuracy in steps of 0.3 points
_MNIST_VALIDATION = 5_000  # the last training images: an accuracy of 98% is known to 0.2 points, one standard error
MNIST_FILES = {  # uncompressed bytes, SHA-256
    "train-images-idx3-ubyte": (47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte": (60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": (7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": (10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}


def resolve(name: str) -> str:
    """The data set that `name` stands for: `auto` is MNIST where it is in the data folder, else digits.

    Raises DataError where BN_DATA names no folder: whoever set it does not want digits.
    """
    if name != "auto":
        return name
    if paths.data() != paths.ROOT / "data":
        advice = "it is the data folder that BN_DATA names. Correct the setting, or run `make data`."
        found(paths.data(), advice, stat.S_ISDIR)
    return paths.digits()


def load(name: str) -> Data:
    """Load `digits` or `mnist` as binary 28×28 images; a `DataError` says what is missing and what to do.

    Digits are enlarged from 8×8. The parts have 1,257 / 180 / 360 images, those of MNIST 55,000 / 5,000 / 10,000.
    """
    binary = {"digits": _enlarged, "mnist": lambda x: x > _HALF}[name]
    splits = [Split(binary(split.x).flatten(1).to(torch.uint8), split.y) for split in shades(name)]
    return Data(name, *splits, checksum(splits))


def shades(name: str) -> tuple[Split, Split, Split]:
    """Training, validation and test images of `digits` or `mnist` as published, (n, h, w) uint8. Raises DataError.

    Digits are 8×8 in shades from 0 to 16, each class in proportion in the three parts; MNIST is 28×28 in shades from
    0 to 255, and the last training images are the validation images.
    """
    return {"digits": _digits, "mnist": _mnist}[name]()


def checksum(splits: list[Split]) -> str:
    """The SHA-256 of all pixels and labels of some parts."""
    digest = hashlib.sha256()
    for array in (array for split in splits for array in split):
        digest.update(array.numpy().tobytes())
    return digest.hexdigest()


def check_mnist() -> None:
    """Raise DataError with one sentence if a file of MNIST is absent, cut short or altered."""
    for name in MNIST_FILES:
        _verified(name)


def torchvision_datasets():
    """torchvision's data sets, also beside a CPU build of torch; torchvision can then be imported as a whole.

    The registry's torchvision is built for CUDA; beside a CPU build of torch its import stops at two operators
    that nothing here calls. Declaring them is enough.
    """
    try:
        from torchvision import datasets
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        from torchvision import datasets
    return datasets


def _digits() -> tuple[Split, Split, Split]:
    """1,797 scikit-learn digits, split 1,257 / 180 / 360."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    x, y = torch.tensor(digits.images, dtype=torch.uint8), torch.tensor(digits.target, dtype=torch.int64)
    validation, test = _HELD_OUT
    rest, test = train_test_split(np.arange(len(y)), test_size=test, stratify=y, random_state=0)
    train, validation = train_test_split(rest, test_size=validation, stratify=y[rest], random_state=0)
    return tuple(Split(x[part], y[part]) for part in (train, validation, test))


def _mnist() -> tuple[Split, Split, Split]:
    """70,000 MNIST images, split 55,000 / 5,000 / 10,000."""
    x, y, test_x, test_y = (_array(name) for name in MNIST_FILES)
    cut = len(y) - _MNIST_VALIDATION
    return Split(x[:cut], y[:cut].long()), Split(x[cut:], y[cut:].long()), Split(test_x, test_y.long())


def _array(name: str) -> torch.Tensor:
    """Images (n, 28, 28) or labels (n,), uint8, out of the very bytes that were verified."""
    content = np.frombuffer(_verified(name), np.uint8)
    return torch.tensor(content[16:].reshape(-1, 28, 28) if "images" in name else content[8:])  # behind the sizes


def _verified(name: str) -> bytes:
    """A file of MNIST that is the published one."""
    path, (size, digest) = paths.mnist() / name, MNIST_FILES[name]
    advice = (
        "a file of MNIST is expected there. "
        "Run `make data`, or point BN_DATA at the folder that holds MNIST/raw, or use dataset=digits."
    )
    length = found(path, advice).st_size
    if length != size:
        raise DataError(
            f"{path} has {length:,} bytes where {size:,} are expected: "
            "it was cut short or replaced. Delete it and run `make data`."
        )
    content = contents(path, advice)
    if hashlib.sha256(content).hexdigest() != digest:
        raise DataError(f"{path} is damaged: its SHA-256 is not the published file's. Delete it and run `make data`.")
    return content


def _enlarged(x: torch.Tensor) -> torch.Tensor:
    """Digits (n, 8, 8) in shades from 0 to 16 as 28×28 images, (n, 28, 28) bool."""
    images = (x / 16.0)[:, None]
    images = torch.nn.functional.interpolate(images, size=(28, 28), mode="bilinear", align_corners=False)
    return images[:, 0] > _INK
