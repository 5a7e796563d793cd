"""Folders of photographs that a test writes, in Tiny ImageNet's layout and in ImageNet's; colours tell what is what."""

from pathlib import Path

import pytest
from PIL import Image

from bn.lab.data import images
from bn.lab.data.disk import DataError

CLASSES = ("n01", "n02", "n03")


def colour(label: int, number: int) -> tuple[int, int, int]:
    """A colour for each image: red tells its class, green its number, blue the set."""
    return 60 * label + 20, 8 * number + 4, 128


def write(path: Path, value, size=(64, 64), mode="RGB", quality=95) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, value).convert(mode).save(path, "JPEG", quality=quality, subsampling=0)


def tiny_imagenet(folder: Path, train=20, test=3, backwards=False) -> Path:
    """The published layout with 3 classes, written in either order."""
    root = folder / "tiny-imagenet-200"
    every = [(label, wnid, i) for label, wnid in enumerate(CLASSES) for i in range(train)]
    for label, wnid, i in reversed(every) if backwards else every:
        write(root / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", colour(label, i))
    lines = []
    for number in range(3 * test):
        label = number * 7 % 3  # the classes take turns
        write(root / "val" / "images" / f"val_{number}.JPEG", colour(label, number))
        lines.append(f"val_{number}.JPEG\t{CLASSES[label]}\t0\t0\t63\t63\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    return root


def imagenet(folder: Path, train=3, test=2) -> Path:
    root = folder / "imagenet"
    for label, wnid in enumerate(CLASSES):
        for part, count in (("train", train), ("val", test)):
            for i in range(count):
                write(root / part / wnid / f"{part}_{wnid}_{i}.JPEG", colour(label, i), size=(80, 64))
    return root


def parts(loaded):
    return loaded.train, loaded.validation, loaded.test


def seen(split):
    """(class, number) as the colours of the pixels tell."""
    middle = split.x[:, :, split.x.shape[2] // 2, split.x.shape[3] // 2].double()
    return [(round((red - 20) / 60), round((green - 4) / 8)) for red, green, _ in middle.tolist()]


def fails(name, *words, size=None):
    """One clear sentence with these words."""
    with pytest.raises(DataError) as caught:
        images.load(name, size)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
