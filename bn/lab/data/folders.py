"""Folders of photographs, a folder for each class: Tiny ImageNet and ImageNet as published, decoded once and kept.

    images = read("tiny-imagenet", 64)
    images = read("tiny-imagenet", 16, classes=20)  # the first 20 by name

The labels of the published test images of both were never given out, so the published validation images are the test
images here, and validation images are held out of the training images.
"""

import codecs
import hashlib
import json
import os
import shutil
import stat
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache, partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from filelock import FileLock
from PIL import Image, ImageOps
from tqdm import tqdm

from bn.lab import paths
from bn.lab.data.disk import DataError, contents, found
from bn.lab.data.splits import Images, Split
from bn.lab.store import cache, files

HELD_OUT = 50  # training images of a class, as many as the published validation sets have of each
HELD_OUT_SHARE = 10  # but at most one in ten: of a folder with a part of the images, nine tenths are left to train on
_SEED = 0  # of the validation images: with another, accuracies would be of other images
_DECODING = 2  # part of the cache's name: to be raised when `decode` changes, and then all images are decoded again
BLOCK = 512  # images decoded before they are written: at 224 pixels, 77 MB of memory
_FORMATS = ("JPEG", "PNG")  # among ImageNet's *.JPEG one is a PNG; Pillow would also start programs, for PostScript
_MOST_PIXELS = 89_000_000  # of a photograph, 0.3 GB in memory; a bomb is a small file that says it has more
_CHECKSUM = hashlib.sha256().digest_size  # bytes, between the pixels and the seal
_NAME = 255  # bytes at most in the name of a file: what is longer in a list of names is none
_FOLDERS = {"tiny-imagenet": "tiny-imagenet-200", "imagenet": "imagenet"}
NAMES = tuple(_FOLDERS)
_LAYOUTS = {
    "tiny-imagenet": "train/<class>/images/*.JPEG, val/images/*.JPEG and val/val_annotations.txt",
    "imagenet": "train/<class>/*.JPEG and val/<class>/*.JPEG",
}


class File(NamedTuple):
    """An image in a folder: its path below the data set's folder, its label, and what tells whether it was changed."""

    path: str
    label: int
    state: tuple[int, int, int]  # length in bytes, time of the last change in ns, inode


def read(name: str, size: int, classes: int | None = None) -> Images:
    """Training, validation and test images of `tiny-imagenet` or `imagenet`, (n, 3, size, size) uint8 from 0 to 255.

    Of so many `classes`, the first by name, where there are more: nothing is read of the others' images.

    The middle square of each photograph, resized. Of each class 50 training images, at most one in ten, are held out
    for validation: those whose names have the smallest digests, the same on each machine. The parts are sorted by
    class, then by name. The checksum is that of the pixels, the labels and the names of the classes.

    Decoded once, into `cache/` in the data folder (3 size² bytes an image), and again where a file was changed or
    replaced; the tensors are that cache, mapped, so that they need not fit in memory. Raises DataError, and RunError
    where the disk is full.
    """
    root = paths.data() / _FOLDERS[name]
    there = _classes(root / "train", _absent(name))
    if not there:
        raise DataError(f"{root / 'train'} has no class folder; expected is {_LAYOUTS[name]}.")
    used = there[:classes]
    listed = {"tiny-imagenet": _tiny_imagenet, "imagenet": _imagenet}[name]
    fit, test = listed(root, {wnid: label for label, wnid in enumerate(used)}, set(there))
    parts = (*held_out(root, fit), test)
    labels = [[file.label for file in part] for part in parts]
    names = [os.fsencode(wnid).hex() for wnid in used]  # a name is bytes, and not always UTF-8
    digest = hashlib.sha256(json.dumps([names, labels, size]).encode())  # and, as they are decoded, all pixels
    title = f"{name}-{size}" if len(used) == len(there) else f"{name}-{len(used)}classes-{size}"
    pixels, checksum = _cached(root, parts, title, size, digest)
    images = torch.from_numpy(pixels).split([len(part) for part in parts])
    return Images(name, *map(Split, images, map(torch.tensor, labels)), checksum, tuple(used), photographs=True)


# ---- Which files, and what they show -------------------------------------------------------------


def held_out(root: Path, fit: list[File]) -> tuple[list[File], list[File]]:
    """Training and validation files, each class in proportion, chosen by name and by nothing else.

    Raises DataError for a class with one image.
    """
    classes: dict[int, list[File]] = {}
    for file in fit:
        classes.setdefault(file.label, []).append(file)
    chosen = set()
    for members in classes.values():
        if len(members) < 2:
            folder = (root / members[0].path).parent
            raise DataError(f"{folder} has one image; at least two are needed: one to train, one to hold out.")
        count = min(HELD_OUT, max(1, len(members) // HELD_OUT_SHARE))
        chosen.update(sorted(members, key=_draw)[:count])
    return [file for file in fit if file not in chosen], [file for file in fit if file in chosen]


def _draw(file: File) -> bytes:
    return hashlib.sha256(f"{_SEED} ".encode() + os.fsencode(file.path)).digest()


def _tiny_imagenet(root: Path, labels: dict[str, int], there: set[str]) -> tuple[list[File], list[File]]:
    """The published folder: training images by class, validation images in one folder beside a list of labels.

    Of the classes that have labels; of all that are `there` the list must be in order.
    """
    fit = [file for wnid in labels for file in _files(root, f"train/{wnid}/images", labels[wnid])]
    annotations = root / "val" / "val_annotations.txt"
    listed = contents(annotations, _absent("tiny-imagenet"))
    present = {Path(file.path).name: file for file in _files(root, "val/images", -1)}
    test = []
    for line in listed.removeprefix(codecs.BOM_UTF8).splitlines():
        if not line.strip():
            continue
        # Bytes that are not UTF-8 become what they become in the names of files.
        image, wnid = [os.fsdecode(field[: _NAME + 1]) for field in [*line.split(b"\t"), b""][:2]]
        if wnid not in there:
            raise DataError(f"{annotations} gives {image} the class {wnid!r}, for which there is no folder in train.")
        if image not in present:
            raise DataError(f"{annotations} names {image}, which is not in val/images, or names it twice.")
        file = present.pop(image)
        if wnid in labels:
            test.append(file._replace(label=labels[wnid]))
    if present:
        raise DataError(f"{annotations} gives no class to {min(present)}, which is in val/images.")
    return fit, sorted(test, key=lambda file: (file.label, file.path))


def _imagenet(root: Path, labels: dict[str, int], there: set[str]) -> tuple[list[File], list[File]]:
    """A folder of images for each class, in `train` and again in `val`; of those that have labels."""
    for wnid in _classes(root / "val", _absent("imagenet")):
        if wnid not in there:
            raise DataError(f"{root / 'val' / wnid} is the folder of a class for which there is no folder in train.")
    fit, test = ([f for wnid in labels for f in _files(root, f"{p}/{wnid}", labels[wnid])] for p in ("train", "val"))
    return fit, test


def _absent(name: str) -> str:
    return (
        f"{name} is not in the data folder, or not all of it. Point BN_DATA at the folder that "
        f"holds {_FOLDERS[name]}, the unpacked archive as published: {_LAYOUTS[name]}."
    )


def _classes(folder: Path, advice: str) -> list[str]:
    """The names of the folders in a folder, links to folders included; files beside them are left alone."""
    found(folder, advice, stat.S_ISDIR)
    astray = "the folder of a class, or nothing, is expected there."
    return [entry.name for entry in _entries(folder) if stat.S_ISDIR(found(entry, astray, bool).st_mode)]


def _files(root: Path, folder: str, label: int) -> list[File]:
    """The images in one folder, by name."""
    images = [entry for entry in _entries(root / folder) if entry.name.endswith(".JPEG")]
    if not images:
        raise DataError(f"{root / folder} is absent or empty: at least one image, *.JPEG, is expected there.")
    states = (found(path, "an image is expected there.") for path in images)
    return [File(f"{folder}/{path.name}", label, _state(status)) for path, status in zip(images, states, strict=True)]


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing where there is no folder."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}): a folder is expected there.") from None


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


# ---- Decoded once --------------------------------------------------------------------------------


def _cached(root: Path, parts: tuple[list[File], ...], title: str, size: int, used) -> tuple[np.ndarray, str]:
    """The pixels of all files, (n, 3, size, size) uint8, mapped from the cache, and the checksum of what is used.

    The cache is named by the files that it was made of, and made where it is not there or damaged. `used` is the
    SHA-256 of what is used beside the pixels.
    """
    kept = paths.data() / "cache" / f"{title}-{_DECODING}-{_digest(parts)}.npy"
    try:
        with suppress(FileNotFoundError, files.Damaged):
            return _mapped(kept)
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Beside the cache, for all who use this data folder. A second process waits, and then finds the images there.
        with FileLock(kept.with_name(f"{title}.lock")):
            if (whole := cache.present(kept, _mapped)) is None:
                files.clear_parts(kept.with_name(f"{title}-*"))  # also those of the folder as it was before
                _write(kept, [root / file.path for part in parts for file in part], title, size, used)
                whole = _mapped(kept)
            return whole
    except OSError as error:
        raise DataError(f"The decoded images of {root} cannot be kept in {kept.parent}: {error}.") from None


def _digest(parts: tuple[list[File], ...]) -> str:
    """Of each file's part, path, label and state: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for i, part in enumerate(parts):
        for file in part:
            digest.update(os.fsencode(file.path) + f"\0{i} {file.label} {file.state}\0".encode())
    return digest.hexdigest()[:16]


def _mapped(kept: Path) -> tuple[np.ndarray, str]:
    """Pixels and checksum as a cache holds them. Raises Damaged, OSError."""
    _check(kept, _state(kept.stat()))
    with kept.open("rb") as file:
        file.seek(-files.SEAL - _CHECKSUM, os.SEEK_END)
        checksum = file.read(_CHECKSUM).hex()
    return np.load(kept, mmap_mode="c"), checksum  # copy on write: what a caller does to the tensors stays in memory


@lru_cache
def _check(kept: Path, state: tuple[int, int, int]) -> None:
    """Check the seal of a cache, about 1 GB a second: once in a process for each state of the file."""
    files.check_seal(kept)


def _write(kept: Path, images: list[Path], title: str, size: int, used) -> None:
    """Write an .npy file image by image and behind it the SHA-256 of what is used; the caller holds the lock."""
    shape = (len(images), 3, size, size)
    needed, free = int(np.prod(shape)), shutil.disk_usage(kept.parent).free
    if needed > free:
        raise OSError(f"{needed / 1e9:.1f} GB are needed there, and {free / 1e9:.1f} GB are free")
    with files.sealed(kept) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for image in _decoded(images, size, f"decoding {title}"):
            pixels = image.tobytes()
            used.update(pixels)
            file.write(pixels)
        file.write(used.digest())


def _decoded(images: list[Path], size: int, title: str) -> Iterator[np.ndarray]:
    """The images in order; threads are enough, for Pillow decodes and resizes outside Python's lock."""
    bar = tqdm(total=len(images), desc=title, unit="image", mininterval=1)
    with ThreadPool() as pool, bar, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")  # what is too odd for Pillow, or too large, `decode` names
        for start in range(0, len(images), BLOCK):
            block = pool.map(partial(decode, size=size), images[start : start + BLOCK])
            yield from block
            bar.update(len(block))


def decode(file: Path, size: int) -> np.ndarray:
    """The middle square of one image in colour, (3, size, size) uint8. Raises DataError that names the file."""
    try:
        with Image.open(file, formats=_FORMATS) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise Image.DecompressionBombError
            square = ImageOps.fit(_in_colour(image), (size, size), Image.Resampling.BILINEAR)
    except Image.DecompressionBombError:
        raise DataError(f"{file} claims more than {_MOST_PIXELS:,} pixels: a photograph is expected there.") from None
    except (OSError, SyntaxError, ValueError) as error:
        if getattr(error, "errno", None):  # the system's word, not Pillow's: the image may be in order
            raise DataError(f"{file} cannot be read ({error.strerror}): an image is expected there.") from None
        raise DataError(f"{file} cannot be decoded: it is cut short, or no JPEG or PNG image ({error}).") from None
    return np.asarray(square).transpose(2, 0, 1)


def _in_colour(image: Image.Image) -> Image.Image:
    """Red, green and blue of 8 bits each; of 16 bits the upper 8, where Pillow would make all above 255 white."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")
