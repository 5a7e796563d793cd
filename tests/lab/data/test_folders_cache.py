"""The decoded photographs that are kept: by which name, under which checksum, and what damage and kills do to them."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from photographs import CLASSES, fails, imagenet, parts, tiny_imagenet, write

from bn.lab.data import folders, images
from bn.lab.store import files

FLIPS = 40
KILLED = """
import time
from bn.lab.data import folders, images
folders.BLOCK, decode = 4, folders.decode
def slowly(file, size):
    time.sleep(0.1)
    return decode(file, size)
folders.decode = slowly
images.load("tiny-imagenet", 32)
"""


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "cache").glob("*.npy"))


def pixels(loaded) -> torch.Tensor:
    return torch.cat([part.x for part in parts(loaded)])


def another_process() -> None:
    """What a process remembers of the caches that it has checked is forgotten."""
    folders._check.cache_clear()


# ---- Kept ----------------------------------------------------------------------------------------


def test_the_second_load_decodes_nothing_and_maps_the_file(folder, monkeypatch):
    tiny_imagenet(folder)
    first = images.load("tiny-imagenet")
    before = [(part.x.clone(), part.y.clone()) for part in parts(first)]
    files = {path: path.stat().st_mtime_ns for path in (folder / "cache").glob("*.npy")}
    monkeypatch.setattr(folders, "decode", None)  # a call would fail
    second = images.load("tiny-imagenet")
    for part, (x, y) in zip(parts(second), before, strict=True):
        assert torch.equal(part.x, x) and torch.equal(part.y, y)
    assert len(files) == 1
    assert files == {path: path.stat().st_mtime_ns for path in (folder / "cache").glob("*.npy")}
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(next(iter(files))) in maps.read_text()
    second.train.x[0] = 0  # a caller that writes changes its own tensors only
    assert torch.equal(images.load("tiny-imagenet").train.x, before[0][0])


def test_another_size_another_file_or_another_length_is_another_cache(folder):
    root = tiny_imagenet(folder)
    digests = [images.load("tiny-imagenet").checksum, images.load("tiny-imagenet", 32).checksum]
    write(root / "train" / "n01" / "images" / "n01_0.JPEG", (250, 250, 250), quality=30)
    changed = images.load("tiny-imagenet")
    assert 250 in [round(x.double().mean().item()) for x in [*changed.train.x, *changed.validation.x]]
    write(root / "train" / "n01" / "images" / "n01_20.JPEG", (0, 0, 0))
    digests += [changed.checksum, images.load("tiny-imagenet").checksum]
    annotations = root / "val" / "val_annotations.txt"
    annotations.write_text(annotations.read_text().replace("val_0.JPEG\tn01", "val_0.JPEG\tn02"))
    digests.append(images.load("tiny-imagenet").checksum)
    assert len(set(digests)) == 5 == len(list((folder / "cache").glob("*.npy")))


def test_two_at_once_decode_once(folder, monkeypatch):
    tiny_imagenet(folder, train=4)
    decode, decoded, found = folders.decode, [], []
    monkeypatch.setattr(folders, "decode", lambda file, size: decoded.append(file) or decode(file, size))
    threads = [threading.Thread(target=lambda: found.append(images.load("tiny-imagenet"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(decoded) == len(set(decoded)) == 12 + 9
    assert all(torch.equal(loaded.train.x, found[0].train.x) for loaded in found) and len(found) == 3


def test_more_images_than_a_block_stay_in_order(folder, monkeypatch):
    tiny_imagenet(folder)
    whole = images.load("tiny-imagenet").train.x.clone()
    shutil.rmtree(folder / "cache")
    monkeypatch.setattr(folders, "BLOCK", 34)  # 69 images: two blocks and one more
    assert torch.equal(images.load("tiny-imagenet").train.x, whole)


def test_the_seal_is_checked_once_by_a_process(folder, monkeypatch):
    tiny_imagenet(folder, train=4)
    checked, check = [], files.check_seal
    monkeypatch.setattr(files, "check_seal", lambda path: checked.append(path) or check(path))
    for _ in range(3):
        images.load("tiny-imagenet", 16)
    assert checked == kept(folder)


# ---- The name and the checksum -------------------------------------------------------------------


def equally_long(path: Path, other: Path) -> None:
    """Two JPEG files of one length; what stands behind the end of an image is not decoded."""
    length = max(path.stat().st_size, other.stat().st_size)
    for file in (path, other):
        file.write_bytes(file.read_bytes().ljust(length, b"\0"))


@pytest.mark.parametrize("how", ["replaced, time kept", "written over", "two exchanged"])
def test_a_file_that_another_of_equal_length_replaces_is_decoded_again(folder, how):
    root = tiny_imagenet(folder, train=2)
    path, other = (root / "val" / "images" / f"val_{i}.JPEG" for i in (0, 3))  # both of the first class
    equally_long(path, other)
    first = images.load("tiny-imagenet", 16)
    before, x = path.stat(), first.test.x[:2].clone()
    if how == "written over":
        path.write_bytes(other.read_bytes())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
        expected = x[[1, 1]]
    elif how == "two exchanged":
        for source, target in ((path, root / "away"), (other, path), (root / "away", other)):
            source.rename(target)
        expected = x[[1, 0]]
    else:
        shutil.copy2(other, root / "copy")
        os.utime(root / "copy", ns=(before.st_atime_ns, before.st_mtime_ns))
        (root / "copy").replace(path)
        expected = x[[1, 1]]
    assert path.stat().st_size == before.st_size
    second = images.load("tiny-imagenet", 16)
    assert torch.equal(second.test.x[:2], expected) and not torch.equal(x[0], x[1])
    assert second.checksum != first.checksum


def test_the_checksum_is_that_of_every_pixel_and_label_and_of_the_names_of_the_classes(folder):
    tiny_imagenet(folder, train=4)
    loaded = images.load("tiny-imagenet", 16)
    names = [name.encode().hex() for name in CLASSES]
    head = json.dumps([names, [part.y.tolist() for part in parts(loaded)], 16]).encode()
    assert loaded.checksum == hashlib.sha256(head + pixels(loaded).numpy().tobytes()).hexdigest()
    assert loaded.checksum == images.load("tiny-imagenet", 16).checksum


def test_the_checksum_says_nothing_of_the_machine_and_the_name_of_the_cache_does(folder, monkeypatch):
    root = tiny_imagenet(folder, train=4)
    first = images.load("tiny-imagenet", 16)
    shutil.copytree(root, folder / "elsewhere" / root.name)  # other inodes
    os.utime(path := root / "val" / "images" / "val_0.JPEG", (0, 0))
    with path.open("ab") as file:
        file.write(b"behind the image")
    changed = images.load("tiny-imagenet", 16)
    monkeypatch.setenv("BN_DATA", str(folder / "elsewhere"))
    copied = images.load("tiny-imagenet", 16)
    assert first.checksum == changed.checksum == copied.checksum
    assert len({path.name for path in kept(folder) + kept(folder / "elsewhere")}) == 3


def test_another_name_of_a_class_is_another_data_set(folder):
    """Other names may hold out other images; among some there is one that holds out the same."""
    root, loaded = imagenet(folder), []
    for old, new in (("n02", "n02"), *((f"n02{'x' * i}", f"n02{'x' * (i + 1)}") for i in range(9))):
        for part in ("train", "val"):
            (root / part / old).rename(root / part / new)
        loaded.append(images.load("imagenet", 16))
    alike = [one for one in loaded if torch.equal(pixels(one), pixels(loaded[0]))]
    assert len(alike) > 1 and len({one.checksum for one in alike}) == len(alike)


# ---- Damage and kills ----------------------------------------------------------------------------


def test_no_flipped_bit_is_silent(folder, capsys):
    """In the header, the pixels, the checksum and the seal, with the file's time as before: each in a new process."""
    tiny_imagenet(folder, train=4)
    expected, checksum = pixels(images.load("tiny-imagenet", 8)).clone(), images.load("tiny-imagenet", 8).checksum
    (cache,) = kept(folder)
    whole, rng = cache.read_bytes(), np.random.default_rng(0)
    ends = [0, 100, len(whole) - 1, len(whole) - files.SEAL, len(whole) - files.SEAL - 1]
    for place in [*ends, *rng.integers(len(whole), size=FLIPS - len(ends)).tolist()]:
        content = bytearray(whole)
        content[place] ^= 1 << int(rng.integers(8))
        before = cache.stat()
        cache.write_bytes(content)
        os.utime(cache, ns=(before.st_atime_ns, before.st_mtime_ns))
        another_process()
        capsys.readouterr()
        again = images.load("tiny-imagenet", 8)
        assert torch.equal(pixels(again), expected) and again.checksum == checksum
        told = capsys.readouterr().out
        assert f"{cache} is damaged" in told and f"{cache.name}.damaged" in told, place
        assert cache.with_name(f"{cache.name}.damaged").read_bytes() == content
        assert cache.read_bytes() == whole


@pytest.mark.parametrize("how", ["cut", "longer", "empty", "without its seal", "of another size"])
def test_a_cache_that_is_not_what_was_written_is_said_and_made_again(folder, how, capsys):
    tiny_imagenet(folder, train=4)
    expected = pixels(images.load("tiny-imagenet", 16)).clone()
    (cache,) = kept(folder)
    images.load("tiny-imagenet", 17)
    (other,) = set(kept(folder)) - {cache}
    whole = cache.read_bytes()
    changed = {
        "cut": whole[:-1],
        "longer": whole + b"\0",
        "empty": b"",
        "without its seal": whole[: -files.SEAL],
        "of another size": other.read_bytes(),
    }
    cache.write_bytes(changed[how])
    another_process()
    assert torch.equal(pixels(images.load("tiny-imagenet", 16)), expected)
    assert f"{cache} is damaged" in capsys.readouterr().out


def test_two_that_find_the_damage_at_once_set_one_file_aside_and_decode_once(folder, monkeypatch, capsys):
    tiny_imagenet(folder, train=4)
    expected = pixels(images.load("tiny-imagenet", 16)).clone()
    (cache,) = kept(folder)
    cache.write_bytes(cache.read_bytes()[:-1])
    check, decode, decoded, found = files.check_seal, folders.decode, [], []
    together = threading.Barrier(2)

    def check_together(path):
        try:
            check(path)
        except files.Damaged:
            with suppress(threading.BrokenBarrierError):
                together.wait(2)  # both know; under the lock there is one at a time
            raise

    monkeypatch.setattr(files, "check_seal", check_together)
    monkeypatch.setattr(folders, "decode", lambda file, size: decoded.append(file) or decode(file, size))
    threads = [threading.Thread(target=lambda: found.append(images.load("tiny-imagenet", 16))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2 and all(torch.equal(pixels(loaded), expected) for loaded in found)
    assert len(decoded) == 12 + 9 and capsys.readouterr().out.count("is damaged") == 1


@pytest.mark.parametrize("changed", [False, True])
def test_what_a_killed_decoding_left_is_cleared(folder, changed):
    """SIGKILL in the middle of a file; then the same folder is read, or one that was changed in the meantime."""
    root = tiny_imagenet(folder)
    process = subprocess.Popen([sys.executable, "-c", KILLED], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (left := [part for part in (folder / "cache").glob("*.part") if part.stat().st_size > 10_000]):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert left[0].exists() and not kept(folder)
    if changed:
        write(root / "train" / "n01" / "images" / "n01_99.JPEG", (1, 2, 3))
    loaded = images.load("tiny-imagenet", 32)
    assert not list((folder / "cache").glob("*.part")) and len(pixels(loaded)) == 69 + changed
    shutil.rmtree(folder / "cache")
    assert torch.equal(pixels(images.load("tiny-imagenet", 32)), pixels(loaded))


# ---- No room, no folder, no right ----------------------------------------------------------------


def test_a_cache_for_which_there_is_no_room_or_no_folder(folder, monkeypatch):
    tiny_imagenet(folder)
    usage = shutil.disk_usage(folder)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=800_000))
        fails("tiny-imagenet", str(folder / "cache"), "0.0 GB are free")
    shutil.rmtree(folder / "cache")
    (folder / "cache").touch()
    fails("tiny-imagenet", str(folder / "cache"))


def test_a_data_folder_that_may_only_be_read(common_user):
    """What was decoded is used; what was not cannot be kept, and that is said."""
    tiny_imagenet(common_user, train=4)
    expected = pixels(images.load("tiny-imagenet", 16)).clone()
    (common_user / "cache").chmod(0o555)
    another_process()
    assert torch.equal(pixels(images.load("tiny-imagenet", 16)), expected)
    fails("tiny-imagenet", str(common_user / "cache"), "cannot be kept", "Permission denied", size=17)
    kept(common_user)[0].chmod(0)
    fails("tiny-imagenet", str(kept(common_user)[0]), "Permission denied", size=16)
