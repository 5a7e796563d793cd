"""Images for the experiments: scikit-learn's digits (always there) and MNIST (`make data`).

Every data set is split once and for all: settings are chosen on `validation`, results are read on `test`.
"""

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from bn.lab import paths

TRAINING_IMAGES = {"digits": 1_257, "mnist": 55_000}
NAMES = tuple(TRAINING_IMAGES)
_MNIST_VALIDATION = 5_000  # the last training images, kept aside for choices
_MNIST_FILES = {  # uncompressed bytes, SHA-256
    "train-images-idx3-ubyte": (
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": (60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": (7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": (10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}


class DataError(Exception):
    """Data that was asked for is absent or damaged; the message says what to do."""


class Split(NamedTuple):
    """Binary images `x`, (n, 784) uint8 in {0, 1}, and labels `y`, (n,) int64."""

    x: torch.Tensor
    y: torch.Tensor


@dataclass(frozen=True)
class Data:
    """One data set in three disjoint parts, with the SHA-256 of its pixels and labels."""

    name: str
    train: Split
    validation: Split
    test: Split
    checksum: str


def resolve(name: str) -> str:
    """The data set that `name` stands for: `auto` is MNIST where it is in the data folder, else digits."""
    if name != "auto":
        return name
    return "mnist" if _raw("train-images-idx3-ubyte").exists() else "digits"


def load(name: str) -> Data:
    """Load `digits` or `mnist` as binary 28×28 images; a `DataError` says what is missing and what to do."""
    splits = {"digits": _digits, "mnist": _mnist}[name]()
    digest = hashlib.sha256()
    for split in splits:
        digest.update(split.x.numpy().tobytes())
        digest.update(split.y.numpy().tobytes())
    return Data(name, *splits, digest.hexdigest())


def _digits() -> tuple[Split, Split, Split]:
    """1,797 scikit-learn digits, 8×8 enlarged to 28×28, split 1,257 / 180 / 360, each class in proportion."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = torch.tensor(digits.images / 16.0, dtype=torch.float32)[:, None]
    images = torch.nn.functional.interpolate(images, size=(28, 28), mode="bilinear", align_corners=False)
    x, y = (images > 0.4).flatten(1).to(torch.uint8), torch.tensor(digits.target)
    rest, test = train_test_split(np.arange(len(y)), test_size=360, stratify=y, random_state=0)
    train, validation = train_test_split(rest, test_size=180, stratify=y[rest], random_state=0)
    return tuple(Split(x[part], y[part].long()) for part in (train, validation, test))


def _mnist() -> tuple[Split, Split, Split]:
    """70,000 MNIST images, a pixel is 1 above 127, split 55,000 / 5,000 / 10,000."""
    for name in _MNIST_FILES:
        _check_mnist_file(name)
    datasets = _torchvision_datasets()
    parts = [datasets.MNIST(paths.data(), train=train) for train in (True, False)]
    fit, test = (Split((p.data.flatten(1) > 127).to(torch.uint8), p.targets.long()) for p in parts)
    cut = len(fit.y) - _MNIST_VALIDATION
    return Split(fit.x[:cut], fit.y[:cut]), Split(fit.x[cut:], fit.y[cut:]), test


def _raw(name: str) -> Path:
    return paths.data() / "MNIST" / "raw" / name


def _check_mnist_file(name: str) -> None:
    """Raise one clear sentence if a file is absent, cut short or altered."""
    path, (size, digest) = _raw(name), _MNIST_FILES[name]
    if not path.exists():
        raise DataError(
            f"MNIST is not in the data folder: there is no {path}. "
            "Run `make data`, or point BN_DATA at the folder that holds MNIST/raw, or use dataset=digits."
        )
    content = path.read_bytes()
    if len(content) != size:
        raise DataError(
            f"{path} has {len(content):,} bytes where {size:,} are expected: "
            "it was cut short or replaced. Delete it and run `make data`."
        )
    if hashlib.sha256(content).hexdigest() != digest:
        raise DataError(f"{path} is damaged: its SHA-256 is not the published file's. Delete it and run `make data`.")


def _torchvision_datasets():
    """torchvision's data sets, also beside a CPU build of torch.

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


def download() -> Path:
    """Fetch MNIST into the data folder with checksums and return that folder; what is there stays."""
    folder = paths.data()
    datasets = _torchvision_datasets()
    for train in (True, False):
        datasets.MNIST(folder, train=train, download=True)
    for name in _MNIST_FILES:
        _check_mnist_file(name)
    return folder


def main() -> None:
    """`python -m bn.lab.data.datasets`: fetch MNIST (about 11 MB) and check it."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    try:
        print(f"MNIST is complete in {download()}")
    except (DataError, RuntimeError, OSError) as error:
        raise SystemExit(f"MNIST could not be fetched: {error}") from None


if __name__ == "__main__":
    main()
