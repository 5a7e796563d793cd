"""Images as bytes for the networks of section 4.2: digits, MNIST, Tiny ImageNet and ImageNet.

>>> digits = load("digits")
>>> digits.train.x.shape, digits.train.x.dtype
(torch.Size([1257, 1, 8, 8]), torch.uint8)

Settings are chosen on `validation`, results are read on `test`. The labels of the published test images of both
ImageNets were never given out, so there the published validation images are `test`, and `validation` is held out
of the training images. Nothing is downloaded: `paths.data()` is where the folders are looked for.
"""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from filelock import FileLock
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from bn.lab.data import datasets as data
from bn.lab import paths
from bn.lab.train import runs
from bn.lab.data.augment import scaled

SIZES = {"digits": 8, "mnist": 28, "tiny-imagenet": 64, "imagenet": 224}  # pixels, where `load` is not told others
NAMES = tuple(SIZES)
SMALLEST = 8  # pixels: what the Inception of `bn.lab.train.inception` can take
HELD_OUT = 50  # training images of a class, as many as the published validation sets have of each
HELD_OUT_SHARE = 10  # but at most one in ten, for a folder with a part of the images
_SEED = 0  # of the validation images, once and for all
_DECODING = 1  # part of the cache's name: to be raised when `_decode` changes
_BLOCK = 512  # images decoded before they are written: bounds the memory
_FOLDERS = {"tiny-imagenet": "tiny-imagenet-200", "imagenet": "imagenet"}
PHOTOGRAPHS = tuple(_FOLDERS)
_LAYOUTS = {
    "tiny-imagenet": "train/<class>/images/*.JPEG, val/images/*.JPEG and val/val_annotations.txt",
    "imagenet": "train/<class>/*.JPEG and val/<class>/*.JPEG",
}


class ImagesError(data.DataError, ValueError):
    """Images that were asked for are absent or damaged; the message says which, and what is expected."""


class Split(NamedTuple):
    """Images `x`, (n, channels, size, size) uint8 from 0 to 255, and labels `y`, (n,) int64."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Images:
    """One data set in three disjoint parts.

    `classes` are the names of the labels. `sha256` tells where the images came from: of digits and MNIST the digest
    of all pixels and labels; of a folder the digest of the size and of the path, label and length of each file.
    """

    name: str
    size: int
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    sha256: str


class File(NamedTuple):
    """An image in a folder: its path below the data set's folder, its label and its length in bytes."""

    path: str
    label: int
    length: int


def load(name: str, size: int | None = None) -> Images:
    """Load `digits`, `mnist` (one channel), `tiny-imagenet` or `imagenet` (three) at `size`×`size` pixels.

    - digits: 1,257 / 180 / 360 images, MNIST: 55,000 / 5,000 / 10,000, the parts of `bn.lab.data.datasets` in shades of grey.
    - tiny-imagenet, imagenet: the published folders in the data folder. The middle square of a photograph is taken
      and resized. Of each class 50 training images, at most one in ten, are held out for validation: those whose
      names have the smallest digests, the same on each machine. The parts are sorted by class, then by name.

    Folders are decoded once, into `cache/` in the data folder (3 size² bytes an image); the tensors are that file,
    mapped, so that they need not fit in memory. Without `size` it is 8, 28, 64, 224. Raises ImagesError, DataError.
    """
    if name not in NAMES:
        raise ImagesError(f"the data set must be one of {', '.join(NAMES)}, but it is {name!r}")
    if size is None:
        size = SIZES[name]
    if type(size) is not int or size < SMALLEST:
        raise ImagesError(f"size must be a whole number at least {SMALLEST} (pixels), but it is {size!r}")
    if name in _FOLDERS:
        return _folder(name, size)
    splits = [Split(scaled(x, size), y) for x, y in {"digits": _digits, "mnist": _mnist}[name]()]
    digest = hashlib.sha256()
    for array in (array for split in splits for array in split):
        digest.update(array.numpy().tobytes())
    return Images(name, size, tuple("0123456789"), *splits, digest.hexdigest())


# ---- Digits and MNIST ----------------------------------------------------------------------------


def _digits() -> tuple[Split, Split, Split]:
    """scikit-learn's digits; 16 shades become 256. The two cuts are those of `bn.lab.data.datasets`."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    x = torch.tensor(np.rint(digits.images * 255 / 16), dtype=torch.uint8)[:, None]
    y = torch.tensor(digits.target, dtype=torch.int64)
    rest, test = train_test_split(np.arange(len(y)), test_size=360, stratify=y, random_state=0)
    train, validation = train_test_split(rest, test_size=180, stratify=y[rest], random_state=0)
    return tuple(Split(x[part], y[part]) for part in (train, validation, test))


def _mnist() -> tuple[Split, Split, Split]:
    """MNIST's shades of grey; the last training images are the validation images, as in `bn.lab.data.datasets`."""
    for file in data._MNIST_FILES:
        data._check_mnist_file(file)
    mnist = data._torchvision_datasets().MNIST
    parts = [mnist(paths.data(), train=train) for train in (True, False)]
    fit, test = (Split(part.data[:, None], part.targets.long()) for part in parts)
    cut = len(fit.y) - data._MNIST_VALIDATION
    return Split(fit.x[:cut], fit.y[:cut]), Split(fit.x[cut:], fit.y[cut:]), test


# ---- Folders of photographs ----------------------------------------------------------------------


def _folder(name: str, size: int) -> Images:
    root = paths.data() / _FOLDERS[name]
    _expect(name, root / "train")
    classes = sorted(entry.name for entry in (root / "train").iterdir() if entry.is_dir())
    if not classes:
        raise ImagesError(f"{root / 'train'} has no class folder; expected is {_LAYOUTS[name]}.")
    read = {"tiny-imagenet": _tiny_imagenet, "imagenet": _imagenet}[name]
    fit, test = read(root, {wnid: label for label, wnid in enumerate(classes)})
    parts = (*_held_out(root, fit), test)
    digest = hashlib.sha256(f"{name} {size}\n".encode())
    for i, part in enumerate(parts):
        for file in part:
            digest.update(f"{i}\t{file.path}\t{file.label}\t{file.length}\n".encode())
    sha256 = digest.hexdigest()
    pixels = _cached(root, [root / file.path for part in parts for file in part], name, size, sha256)
    splits, start = [], 0
    for part in parts:
        x = torch.from_numpy(pixels[start : start + len(part)])
        splits.append(Split(x, torch.tensor([file.label for file in part])))
        start += len(part)
    return Images(name, size, tuple(classes), *splits, sha256)


def _tiny_imagenet(root: Path, labels: dict[str, int]) -> tuple[list[File], list[File]]:
    """The published folder: training images by class, validation images in one folder beside a list of labels."""
    fit = [file for wnid in labels for file in _files(root, f"train/{wnid}/images", labels[wnid])]
    annotations = root / "val" / "val_annotations.txt"
    _expect("tiny-imagenet", annotations)
    present = {Path(file.path).name: file for file in _files(root, "val/images", -1)}
    test = []
    for line in annotations.read_text("utf-8").splitlines():
        image, wnid = [*line.split("\t"), ""][:2]
        if wnid not in labels:
            raise ImagesError(f"{annotations} gives {image} the class {wnid!r}, for which there is no folder in train.")
        if image not in present:
            raise ImagesError(f"{annotations} names {image}, which is not in val/images, or names it twice.")
        test.append(present.pop(image)._replace(label=labels[wnid]))
    if present:
        raise ImagesError(f"{annotations} gives no class to {min(present)}, which is in val/images.")
    return fit, sorted(test, key=lambda file: (file.label, file.path))


def _imagenet(root: Path, labels: dict[str, int]) -> tuple[list[File], list[File]]:
    """A folder of images for each class, in `train` and again in `val`."""
    _expect("imagenet", root / "val")
    for entry in sorted((root / "val").iterdir()):
        if entry.is_dir() and entry.name not in labels:
            raise ImagesError(f"{entry} is the folder of a class for which there is no folder in train.")
    fit, test = ([f for wnid in labels for f in _files(root, f"{p}/{wnid}", labels[wnid])] for p in ("train", "val"))
    return fit, test


def _expect(name: str, path: Path) -> None:
    if not path.exists():
        folder = _FOLDERS[name]
        raise ImagesError(
            f"{name} is not in the data folder, or not all of it: there is no {path}. Point BN_DATA at the folder that "
            f"holds {folder}, the unpacked archive as published: {_LAYOUTS[name]}."
        )


def _files(root: Path, folder: str, label: int) -> list[File]:
    """The images in one folder, by name."""
    found = sorted((root / folder).glob("*.JPEG"))
    if not found:
        raise ImagesError(f"{root / folder} is absent or empty: at least one image, *.JPEG, is expected there.")
    return [File(f"{folder}/{path.name}", label, path.stat().st_size) for path in found]


def _held_out(root: Path, fit: list[File]) -> tuple[list[File], list[File]]:
    """Training and validation files, each class in proportion, chosen by name and by nothing else."""
    classes: dict[int, list[File]] = {}
    for file in fit:
        classes.setdefault(file.label, []).append(file)
    chosen = set()
    for files in classes.values():
        if len(files) < 2:
            folder = (root / files[0].path).parent
            raise ImagesError(f"{folder} has one image; at least two are needed: one to train, one to hold out.")
        count = min(HELD_OUT, max(1, len(files) // HELD_OUT_SHARE))
        chosen.update(sorted(files, key=lambda file: hashlib.sha256(f"{_SEED} {file.path}".encode()).digest())[:count])
    return [file for file in fit if file not in chosen], [file for file in fit if file in chosen]


# ---- The cache -----------------------------------------------------------------------------------


def _cached(root: Path, files: list[Path], name: str, size: int, sha256: str) -> np.ndarray:
    """The pixels of all files, (n, 3, size, size) uint8, mapped from the cache, which is written the first time."""
    cache = paths.data() / "cache" / f"{name}-{size}-{_DECODING}-{sha256[:16]}.npy"
    shape = (len(files), 3, size, size)
    try:
        if not cache.exists():
            cache.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(cache.with_suffix(".lock")):  # a second process waits, and then finds the images there
                if not cache.exists():
                    _write(cache, _decoded(files, size, f"decoding {name}"), shape)
    except OSError as error:
        raise ImagesError(f"The images of {root} could not be kept in {cache.parent}: {error}.") from None
    try:
        return np.load(cache, mmap_mode="c")  # copy on write: what a caller does to the tensors stays in memory
    except (OSError, ValueError) as error:
        raise ImagesError(f"{cache} is damaged ({error}). Delete it; the images will be decoded again.") from None


def _write(cache: Path, images: Iterator[np.ndarray], shape: tuple[int, ...]) -> None:
    """Write an .npy file image by image, whole or not at all; the caller holds its lock."""
    needed, free = int(np.prod(shape)), shutil.disk_usage(cache.parent).free
    if needed > free:
        raise OSError(f"{needed / 1e9:.1f} GB are needed there, and {free / 1e9:.1f} GB are free")
    with runs.whole_or_not(cache) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for image in images:
            file.write(image.tobytes())


def _decoded(files: list[Path], size: int, title: str) -> Iterator[np.ndarray]:
    """The images in order; threads are enough, for Pillow decodes and resizes outside Python's lock."""
    with ThreadPool() as pool, tqdm(total=len(files), desc=title, unit="image", mininterval=1) as bar:
        for start in range(0, len(files), _BLOCK):
            block = pool.map(partial(_decode, size=size), files[start : start + _BLOCK])
            yield from block
            bar.update(len(block))


def _decode(file: Path, size: int) -> np.ndarray:
    """The middle square of one image in colour, (3, size, size) uint8."""
    try:
        with Image.open(file) as image:
            square = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError) as error:
        raise ImagesError(f"{file} cannot be decoded: it is cut short, or no image ({error}).") from None
    return np.asarray(square).transpose(2, 0, 1)
