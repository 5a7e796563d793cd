"""Folders of photographs, a folder for each class: Tiny ImageNet and ImageNet as published, decoded once and kept.

    images = read("tiny-imagenet", 64)

The labels of the published test images of both were never given out, so the published validation images are the test
images here, and validation images are held out of the training images.
"""

import hashlib
import shutil
from collections.abc import Iterator
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from filelock import FileLock
from PIL import Image, ImageOps
from tqdm import tqdm

from bn.lab import paths
from bn.lab.data.datasets import DataError, Images, Split
from bn.lab.store.files import whole_or_not

HELD_OUT = 50  # training images of a class, as many as the published validation sets have of each
HELD_OUT_SHARE = 10  # but at most one in ten: of a folder with a part of the images, nine tenths are left to train on
_SEED = 0  # of the validation images: with another, accuracies would be of other images
_DECODING = 1  # part of the cache's name: to be raised when `decode` changes, and then all images are decoded again
BLOCK = 512  # images decoded before they are written: at 224 pixels, 77 MB of memory
_FOLDERS = {"tiny-imagenet": "tiny-imagenet-200", "imagenet": "imagenet"}
NAMES = tuple(_FOLDERS)
_LAYOUTS = {
    "tiny-imagenet": "train/<class>/images/*.JPEG, val/images/*.JPEG and val/val_annotations.txt",
    "imagenet": "train/<class>/*.JPEG and val/<class>/*.JPEG",
}


class File(NamedTuple):
    """An image in a folder: its path below the data set's folder, its label and its length in bytes."""

    path: str
    label: int
    length: int


def read(name: str, size: int) -> Images:
    """Training, validation and test images of `tiny-imagenet` or `imagenet`, (n, 3, size, size) uint8 from 0 to 255.

    The middle square of each photograph, resized. Of each class 50 training images, at most one in ten, are held out
    for validation: those whose names have the smallest digests, the same on each machine. The parts are sorted by
    class, then by name.

    Decoded once, into `cache/` in the data folder (3 size² bytes an image); the tensors are that file, mapped, so that
    they need not fit in memory. Raises DataError.
    """
    root = paths.data() / _FOLDERS[name]
    _expect(name, root / "train")
    classes = sorted(entry.name for entry in (root / "train").iterdir() if entry.is_dir())
    if not classes:
        raise DataError(f"{root / 'train'} has no class folder; expected is {_LAYOUTS[name]}.")
    listed = {"tiny-imagenet": _tiny_imagenet, "imagenet": _imagenet}[name]
    fit, test = listed(root, {wnid: label for label, wnid in enumerate(classes)})
    parts = (*held_out(root, fit), test)
    checksum = _checksum(name, size, parts)
    pixels = _cached(root, [root / file.path for part in parts for file in part], name, size, checksum)
    images = torch.from_numpy(pixels).split([len(part) for part in parts])
    labels = [torch.tensor([file.label for file in part]) for part in parts]
    return Images(name, *map(Split, images, labels), checksum, tuple(classes))


def held_out(root: Path, fit: list[File]) -> tuple[list[File], list[File]]:
    """Training and validation files, each class in proportion, chosen by name and by nothing else.

    Raises DataError for a class with one image.
    """
    classes: dict[int, list[File]] = {}
    for file in fit:
        classes.setdefault(file.label, []).append(file)
    chosen = set()
    for files in classes.values():
        if len(files) < 2:
            folder = (root / files[0].path).parent
            raise DataError(f"{folder} has one image; at least two are needed: one to train, one to hold out.")
        count = min(HELD_OUT, max(1, len(files) // HELD_OUT_SHARE))
        chosen.update(sorted(files, key=lambda file: hashlib.sha256(f"{_SEED} {file.path}".encode()).digest())[:count])
    return [file for file in fit if file not in chosen], [file for file in fit if file in chosen]


def _checksum(name: str, size: int, parts: tuple[list[File], ...]) -> str:
    digest = hashlib.sha256(f"{name} {size}\n".encode())
    for i, part in enumerate(parts):
        for file in part:
            digest.update(f"{i}\t{file.path}\t{file.label}\t{file.length}\n".encode())
    return digest.hexdigest()


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
            raise DataError(f"{annotations} gives {image} the class {wnid!r}, for which there is no folder in train.")
        if image not in present:
            raise DataError(f"{annotations} names {image}, which is not in val/images, or names it twice.")
        test.append(present.pop(image)._replace(label=labels[wnid]))
    if present:
        raise DataError(f"{annotations} gives no class to {min(present)}, which is in val/images.")
    return fit, sorted(test, key=lambda file: (file.label, file.path))


def _imagenet(root: Path, labels: dict[str, int]) -> tuple[list[File], list[File]]:
    """A folder of images for each class, in `train` and again in `val`."""
    _expect("imagenet", root / "val")
    for entry in sorted((root / "val").iterdir()):
        if entry.is_dir() and entry.name not in labels:
            raise DataError(f"{entry} is the folder of a class for which there is no folder in train.")
    fit, test = ([f for wnid in labels for f in _files(root, f"{p}/{wnid}", labels[wnid])] for p in ("train", "val"))
    return fit, test


def _expect(name: str, path: Path) -> None:
    if not path.exists():
        folder = _FOLDERS[name]
        raise DataError(
            f"{name} is not in the data folder, or not all of it: there is no {path}. Point BN_DATA at the folder that "
            f"holds {folder}, the unpacked archive as published: {_LAYOUTS[name]}."
        )


def _files(root: Path, folder: str, label: int) -> list[File]:
    """The images in one folder, by name."""
    images = sorted((root / folder).glob("*.JPEG"))
    if not images:
        raise DataError(f"{root / folder} is absent or empty: at least one image, *.JPEG, is expected there.")
    return [File(f"{folder}/{path.name}", label, path.stat().st_size) for path in images]


def _cached(root: Path, files: list[Path], name: str, size: int, checksum: str) -> np.ndarray:
    """The pixels of all files, (n, 3, size, size) uint8, mapped from the cache, which is written the first time."""
    cache = paths.data() / "cache" / f"{name}-{size}-{_DECODING}-{checksum[:16]}.npy"
    shape = (len(files), 3, size, size)
    try:
        if not cache.exists():
            cache.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(cache.with_suffix(".lock")):  # a second process waits, and then finds the images there
                if not cache.exists():
                    _write(cache, _decoded(files, size, f"decoding {name}"), shape)
    except OSError as error:
        raise DataError(f"The images of {root} could not be kept in {cache.parent}: {error}.") from None
    try:
        return np.load(cache, mmap_mode="c")  # copy on write: what a caller does to the tensors stays in memory
    except (OSError, ValueError) as error:
        raise DataError(f"{cache} is damaged ({error}). Delete it; the images will be decoded again.") from None


def _write(cache: Path, images: Iterator[np.ndarray], shape: tuple[int, ...]) -> None:
    """Write an .npy file image by image, whole or not at all; the caller holds its lock."""
    needed, free = int(np.prod(shape)), shutil.disk_usage(cache.parent).free
    if needed > free:
        raise OSError(f"{needed / 1e9:.1f} GB are needed there, and {free / 1e9:.1f} GB are free")
    with whole_or_not(cache) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for image in images:
            file.write(image.tobytes())


def _decoded(files: list[Path], size: int, title: str) -> Iterator[np.ndarray]:
    """The images in order; threads are enough, for Pillow decodes and resizes outside Python's lock."""
    with ThreadPool() as pool, tqdm(total=len(files), desc=title, unit="image", mininterval=1) as bar:
        for start in range(0, len(files), BLOCK):
            block = pool.map(partial(decode, size=size), files[start : start + BLOCK])
            yield from block
            bar.update(len(block))


def decode(file: Path, size: int) -> np.ndarray:
    """The middle square of one image in colour, (3, size, size) uint8. Raises DataError that names the file."""
    try:
        with Image.open(file) as image:
            square = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{file} cannot be decoded: it is cut short, or no image ({error}).") from None
    return np.asarray(square).transpose(2, 0, 1)
