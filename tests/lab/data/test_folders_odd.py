"""What may lie in a folder of photographs: it is used, or one sentence names it, and nothing waits for ever."""

import codecs
import io
import os
import re
import shutil
import socket
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from photographs import colour, fails, imagenet, parts, tiny_imagenet, write
from PIL import EpsImagePlugin, Image

from bn.lab.data import folders, images
from bn.lab.data.disk import DataError

pytestmark = pytest.mark.usefixtures("clock")
WHERE = pytest.mark.parametrize(
    ("name", "place"),
    [
        ("tiny-imagenet", "train/n02/images/n02_1.JPEG"),
        ("tiny-imagenet", "val/images/val_1.JPEG"),
        ("imagenet", "train/n02/train_n02_1.JPEG"),
        ("imagenet", "val/n02/val_n02_1.JPEG"),
    ],
)


def made(folder: Path, name: str) -> Path:
    return {"tiny-imagenet": tiny_imagenet, "imagenet": imagenet}[name](folder)


def encoded(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


# ---- What is no image ----------------------------------------------------------------------------


def listening(path: Path) -> None:
    """A socket; the name of one is short when it is made."""
    with socket.socket(socket.AF_UNIX) as server:
        before = os.getcwd()
        os.chdir(path.parent)
        server.bind("s")
        os.chdir(before)
    (path.parent / "s").rename(path)


def looking_into_memory(path: Path) -> None:
    """A regular file whose first bytes cannot be read: an input/output error of the system."""
    path.symlink_to("/proc/self/mem")


NO_FILES = {
    "a folder": (Path.mkdir, "is no regular file"),
    "a pipe": (os.mkfifo, "is no regular file"),
    "a socket": (listening, "is no regular file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is no regular file"),
    "a link to a pipe": (lambda path: (os.mkfifo(path.with_name("p")), path.symlink_to("p")), "is no regular file"),
    "a broken link": (lambda path: path.symlink_to("nowhere"), "is a link that leads nowhere"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
    "what cannot be read": (looking_into_memory, "cannot be read (Input/output error)"),
}


@WHERE
@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_named(folder, name, place, kind):
    path = made(folder, name) / place
    path.unlink()
    make, words = NO_FILES[kind]
    make(path)
    fails(name, str(path), words, "an image is expected there")


@pytest.mark.parametrize("place", ["train/n02/images/n02_1.JPEG", "train/n02/images", "train/n02", "val/images"])
def test_what_may_not_be_read_is_named(common_user, place):
    path = tiny_imagenet(common_user) / place
    path.chmod(0)
    try:
        fails("tiny-imagenet", str(path), "Permission denied")
    finally:
        path.chmod(0o755)


def claiming(width: int, height: int, form: str) -> bytes:
    """A small image whose header says that it is large."""
    content = encoded(Image.new("L", (8, 8)), form)
    if form == "PNG":
        head = struct.pack(">II", width, height) + content[24:29]
        return content[:16] + head + struct.pack(">I", zlib.crc32(b"IHDR" + head)) + content[33:]
    start = content.index(b"\xff\xc0") + 5
    return content[:start] + struct.pack(">HH", height, width) + content[start + 4 :]


@WHERE
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("side", [9_440, 12_000, 14_000, 60_000])
def test_a_bomb_is_named_and_nothing_else_is_said(folder, name, place, form, side):
    """Below Pillow's own limits, between its warning and its error, and above both."""
    path = made(folder, name) / place
    path.write_bytes(claiming(side, side, form))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fails(name, str(path), "more than 89,000,000 pixels")
    assert not [one for one in caught if one.category is not ResourceWarning]


def test_a_bomb_that_would_go_off(folder):
    path = tiny_imagenet(folder) / "val" / "images" / "val_1.JPEG"
    path.write_bytes(encoded(Image.new("L", (9_440, 9_440)), "PNG"))
    assert path.stat().st_size < 200_000
    fails("tiny-imagenet", str(path), "more than 89,000,000 pixels")


@WHERE
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_every_cut_is_named(folder, name, place, form):
    path = made(folder, name) / place
    noise = np.random.default_rng(0).integers(256, size=(16, 16, 3), dtype=np.uint8)
    whole = encoded(Image.fromarray(noise), form)
    for length in range(0, len(whole) - 20, 37):
        path.write_bytes(whole[:length])
        fails(name, str(path), "cannot be decoded")


def test_pillow_starts_no_program(folder, monkeypatch):
    """Ghostscript decodes PostScript for it, whatever the file is called."""
    path, started = tiny_imagenet(folder) / "val" / "images" / "val_1.JPEG", []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *arguments, **options: started.append(arguments))
    path.write_bytes(encoded(Image.new("RGB", (64, 64)), "EPS"))
    fails("tiny-imagenet", str(path), "no JPEG or PNG image")
    assert not started


def test_damaged_bytes_are_decoded_or_named(tmp_path):
    """300 images with some bytes changed, through the very function that decodes."""
    rng, path = np.random.default_rng(0), tmp_path / "x.JPEG"
    noise = Image.fromarray(rng.integers(256, size=(24, 24, 3), dtype=np.uint8))
    whole = [encoded(noise, form) for form in ("JPEG", "PNG")]
    named = 0
    for k in range(300):
        content = bytearray(whole[k % 2])
        for place in rng.integers(min(len(content), 300), size=3):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            assert folders.decode(path, 8).shape == (3, 8, 8)
        except DataError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            named += 1
    assert named > 100


# ---- Images of every kind ------------------------------------------------------------------------


@pytest.mark.parametrize("form, mode", [("JPEG", m) for m in ("L", "CMYK")] + [("PNG", m) for m in ("1", "L", "P")])
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (90, 40)])
def test_grey_printed_and_indexed_images_of_any_shape(folder, form, mode, size):
    path = imagenet(folder) / "val" / "n03" / "val_n03_1.JPEG"
    path.write_bytes(encoded(Image.new("RGB", size, (255, 255, 255)).convert(mode), form))
    x = images.load("imagenet", 16).test.x[-1]
    assert x.shape == (3, 16, 16) and x.min() >= 253


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA"])
def test_transparent_images_keep_their_colour(folder, mode):
    path = imagenet(folder) / "val" / "n03" / "val_n03_1.JPEG"
    image = Image.new("RGBA", (20, 20), (90, 90, 90, 128))
    path.write_bytes(encoded(image.convert(mode) if mode != "PA" else image.quantize(), "PNG"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (images.load("imagenet", 16).test.x[-1].int() - 90).abs().max() <= 1


def test_sixteen_bits_become_the_upper_eight(folder):
    """Shades from dark to light: Pillow's own conversion would leave only white."""
    path = imagenet(folder) / "val" / "n03" / "val_n03_1.JPEG"
    shades = np.arange(256, dtype=np.uint16).reshape(16, 16)
    path.write_bytes(encoded(Image.fromarray(shades * 256 + 77), "PNG"))
    assert (images.load("imagenet", 16).test.x[-1] == torch.tensor(shades.astype(np.uint8))).all()


# ---- Names ---------------------------------------------------------------------------------------

ODD_NAMES = [b"n\xff\xe9", "صورة".encode(), b"a\nb", b"a\tb c", b"*?[x]", b"-rf", b"\x1b[31m"]


@pytest.mark.parametrize("odd", ODD_NAMES)
def test_any_bytes_may_be_a_name(folder, odd):
    """Of a class, of an image, and, where it is no line or column of its own, in the list of labels."""
    root, odd = imagenet(folder), os.fsdecode(odd)
    for part in ("train", "val"):
        (root / part / "n03").rename(root / part / f"n03{odd}")
    write(root / "train" / "n01" / f"{odd}.JPEG", colour(0, 9))
    loaded = images.load("imagenet", 16)
    assert loaded.classes == ("n01", "n02", f"n03{odd}") and len(loaded.train.y) + len(loaded.validation.y) == 10
    assert loaded.checksum == images.load("imagenet", 16).checksum
    (path := root / "val" / f"n03{odd}" / f"{odd}.JPEG").write_bytes(b"no image")
    with pytest.raises(DataError) as caught:
        images.load("imagenet", 16)
    shown = str(caught.value)
    assert shown.isprintable() and shown.encode() and shown.startswith(f"{root}/val/n03")
    assert re.sub(r"\\\\|\\[a-z0-9]+|[\W_]", "", shown)  # more than escapes
    path.unlink()


def test_the_list_of_labels_may_name_any_bytes(folder):
    root = tiny_imagenet(folder)
    expected = images.load("tiny-imagenet").test.y.tolist()
    annotations = root / "val" / "val_annotations.txt"
    odd = b"val_\xff\xe9.JPEG"
    (root / "val" / "images" / "val_1.JPEG").rename(root / "val" / "images" / os.fsdecode(odd))
    annotations.write_bytes(annotations.read_bytes().replace(b"val_1.JPEG", odd))
    assert images.load("tiny-imagenet").test.y.tolist() == expected


# ---- The list of labels --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: b"\r\n".join(lines),
        lambda lines: b"\r".join(lines),
        lambda lines: b"\n".join(lines),
        lambda lines: codecs.BOM_UTF8 + b"\r\n".join(lines) + b"\r\n",
        lambda lines: b"\n\n".join(lines) + b"\n\n \n",
        lambda lines: b"\n".join(reversed(lines)),
    ],
)
def test_other_ends_of_lines_give_the_same_labels(folder, change):
    annotations = tiny_imagenet(folder) / "val" / "val_annotations.txt"
    first = images.load("tiny-imagenet")
    annotations.write_bytes(change(annotations.read_bytes().splitlines()))
    assert images.load("tiny-imagenet").checksum == first.checksum


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe\x00\x80\t\x81\n", r"gives \udcff\udcfe\x00\udc80 the class '\udc81'"),
        ("val_0.JPEG\tn01\n".encode("utf-16"), "no folder in train"),
        (bytes(range(128, 256)) * 9_999, "the class ''"),
        (b"val_0.JPEG\tn01\nval_0.JPEG\tn01\n", "names it twice"),
        (b"", "gives no class to val_0.JPEG"),
    ],
)
def test_a_list_of_labels_that_is_none(folder, content, words):
    annotations = tiny_imagenet(folder) / "val" / "val_annotations.txt"
    annotations.write_bytes(content)
    fails("tiny-imagenet", str(annotations), words)
    with pytest.raises(DataError) as caught:
        images.load("tiny-imagenet")
    assert len(str(caught.value)) < 3_000 and str(caught.value).isprintable()


@pytest.mark.parametrize("kind", NO_FILES)
def test_a_list_of_labels_that_is_no_file(folder, kind):
    annotations = tiny_imagenet(folder) / "val" / "val_annotations.txt"
    annotations.unlink()
    make, words = NO_FILES[kind]
    make(annotations)
    fails("tiny-imagenet", str(annotations), words, "val/val_annotations.txt")


# ---- Folders -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny-imagenet", "imagenet"])
def test_a_folder_of_a_class_may_be_a_link(folder, name):
    root = made(folder, name)
    first = images.load(name)
    for path in (root / "train" / "n02", root / "val"):
        path.rename(folder / f"moved-{path.name}")
        path.symlink_to(folder / f"moved-{path.name}")
    (root / "train" / "notes.txt").write_text("no class")
    os.mkfifo(root / "train" / "pipe")
    second = images.load(name)
    assert second.checksum == first.checksum and second.classes == first.classes


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("target", ["nowhere", "n02"])
def test_a_folder_of_a_class_that_is_a_link_to_nothing_is_not_left_out(folder, part, target):
    path = imagenet(folder) / part / "n02"
    shutil.rmtree(path)
    path.symlink_to(target)
    fails("imagenet", str(path), "the folder of a class, or nothing, is expected there")


@pytest.mark.parametrize("place", ["", "train", "val", "train/n02/images", "val/images"])
@pytest.mark.parametrize("kind", ["a file", "a pipe", "a broken link", "a link to itself"])
def test_a_folder_that_is_none(folder, place, kind):
    root = tiny_imagenet(folder)
    path = root / place
    shutil.rmtree(path)
    {"a file": Path.touch, **{kind: make for kind, (make, _) in NO_FILES.items()}}[kind](path)
    fails("tiny-imagenet", str(path))


@pytest.mark.parametrize("kind", ["a file", "a pipe", "a broken link", "a link to itself"])
@pytest.mark.parametrize("name", ["tiny-imagenet", "imagenet", "mnist"])
def test_a_data_folder_that_is_none(folder, name, kind):
    folder.rmdir()
    {"a file": Path.touch, **{kind: make for kind, (make, _) in NO_FILES.items()}}[kind](folder)
    fails(name, str(folder), "BN_DATA")


def test_a_part_that_is_missing_from_imagenet(folder):
    root = imagenet(folder)
    shutil.rmtree(root / "val")
    fails("imagenet", f"there is no {root / 'val'}", "BN_DATA", "val/<class>/*.JPEG")


def test_photographs_say_that_they_are_some(folder):
    imagenet(folder)
    assert images.load("imagenet", 16).photographs and not images.load("digits").photographs
    assert len(parts(images.load("imagenet", 16))) == 3
