"""The data sets: how they are split, what they are made of, and what is said when they are not there."""

import hashlib
import os
import re
import socket
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from bn.lab import paths
from bn.lab.data import datasets
from bn.lab.data.disk import DataError

MNIST_IS_HERE = (paths.data() / "MNIST" / "raw" / "train-images-idx3-ubyte").exists()
needs_mnist = pytest.mark.skipif(not MNIST_IS_HERE, reason="MNIST is not in the data folder; `make data` fetches it")
CHECKSUMS = {
    "digits": "6dc6ef2f6ff6ea5687d2fd20e3f18e32c45b833b7bd38307c4897100865f0e2b",
    "mnist": "c2bc68ffaf531e839e5a9241927ccf8c2c77ea3df245100e36d175708a0b47d6",
}
DATASETS = pytest.mark.parametrize("name", ["digits", pytest.param("mnist", marks=needs_mnist)])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty data folder, and no network."""

    def refuse(*arguments):
        raise AssertionError("something tried to reach the network")

    monkeypatch.setenv("BN_DATA", str(tmp_path))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    return tmp_path


def write_idx(path, array: np.ndarray) -> tuple[int, str]:
    """Write bytes in the format of the MNIST files; their number and SHA-256."""
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(head + array.astype(np.uint8).tobytes())
    return path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def small_mnist(folder, monkeypatch):
    """A valid data folder with 5,100 + 100 random images in place of MNIST's; all of it as arrays."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 5_100), ("t10k", 100)):
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(256, size=(n, 28, 28))
        arrays[f"{part}-labels-idx1-ubyte"] = rng.integers(10, size=n)
    raw = folder / "MNIST" / "raw"
    monkeypatch.setattr(datasets, "MNIST_FILES", {name: write_idx(raw / name, a) for name, a in arrays.items()})
    return arrays


# ---- What is there -------------------------------------------------------------------------------


@DATASETS
def test_sizes_types_and_values(name):
    loaded = datasets.load(name)
    parts = loaded.train, loaded.validation, loaded.test
    sizes = {"digits": (1_257, 180, 360), "mnist": (55_000, 5_000, 10_000)}[name]
    assert tuple(len(part.y) for part in parts) == sizes
    assert datasets.TRAINING_IMAGES[name] == sizes[0]
    for part, n in zip(parts, sizes, strict=True):
        assert part.x.shape == (n, 784) and part.x.dtype == torch.uint8
        assert set(part.x.unique().tolist()) == {0, 1}
        assert part.y.dtype == torch.int64 and set(part.y.tolist()) == set(range(10))


@DATASETS
def test_the_checksum_is_the_same_again_and_covers_every_pixel_and_label(name):
    first, again = datasets.load(name), datasets.load(name)
    parts = [array for split in (first.train, first.validation, first.test) for array in split]
    together = b"".join(array.numpy().tobytes() for array in parts)
    assert first.checksum == again.checksum == hashlib.sha256(together).hexdigest()
    assert first.checksum == CHECKSUMS[name]  # runs and committed records carry it


def test_digits_are_those_of_scikit_learn_each_once():
    """Every image of the three parts comes from another original, in both ways of telling: pixels and labels."""
    loaded = datasets.load("digits")
    x = torch.cat([loaded.train.x, loaded.validation.x, loaded.test.x]).view(-1, 28, 28)
    y = torch.cat([loaded.train.y, loaded.validation.y, loaded.test.y])
    original = load_digits()
    assert sorted(y.tolist()) == sorted(original.target.tolist())

    def ink(images, level):
        return sorted(int(v) for v in (images > level).reshape(len(images), -1).sum(1))

    # An enlarged image has ink in its 28×28 pixels about where the small one has it in its 8×8.
    assert np.corrcoef(ink(x.numpy(), 0), ink(original.images, 6.4))[0, 1] > 0.99
    assert len({image.numpy().tobytes() for image in x}) > 1_700  # hardly any two alike, as in the original


def test_the_parts_of_digits_share_no_image():
    loaded = datasets.load("digits")
    parts = [{row.tobytes() for row in part.x.numpy()} for part in (loaded.train, loaded.validation, loaded.test)]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])


def test_digits_keep_the_proportion_of_each_class():
    loaded = datasets.load("digits")
    share = np.bincount(load_digits().target) / 1_797
    for part in (loaded.train, loaded.validation, loaded.test):
        counts = torch.bincount(part.y, minlength=10).numpy()
        assert abs(counts - share * len(part.y)).max() < 1.5


def test_mnist_is_cut_and_made_binary_as_stated(small_mnist):
    loaded = datasets.load("mnist")
    train = small_mnist["train-images-idx3-ubyte"].reshape(-1, 784) > 127
    for part, pixels in ((loaded.train, train[:100]), (loaded.validation, train[100:])):
        np.testing.assert_array_equal(part.x, pixels)
    np.testing.assert_array_equal(loaded.test.x, small_mnist["t10k-images-idx3-ubyte"].reshape(-1, 784) > 127)
    labels = small_mnist["train-labels-idx1-ubyte"]
    np.testing.assert_array_equal(torch.cat([loaded.train.y, loaded.validation.y]), labels)
    np.testing.assert_array_equal(loaded.test.y, small_mnist["t10k-labels-idx1-ubyte"])


def test_what_is_used_is_what_was_verified(small_mnist, folder):
    """torchvision would prefer other pixels, in MNIST/processed; none of it is read."""
    processed = folder / "MNIST" / "processed"
    processed.mkdir()
    for name, n in (("training.pt", 5_100), ("test.pt", 100)):
        torch.save((torch.zeros(n, 28, 28, dtype=torch.uint8), torch.zeros(n, dtype=torch.int64)), processed / name)
    test_mnist_is_cut_and_made_binary_as_stated(small_mnist)


def test_auto_is_mnist_where_it_is_and_digits_elsewhere(folder):
    assert datasets.resolve("auto") == "digits"
    (folder / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").touch()  # any of its files: what is missing, `load` says
    assert datasets.resolve("auto") == "mnist"
    assert [datasets.resolve(name) for name in datasets.TRAINING_IMAGES] == ["digits", "mnist"]


@pytest.mark.parametrize("place", ["MNIST", "MNIST/raw", "MNIST/raw/train-images-idx3-ubyte"])
@pytest.mark.parametrize("target", ["unmounted", "itself"])
def test_auto_takes_no_digits_where_mnist_is_a_link_that_leads_nowhere(folder, place, target):
    for path in (folder / "MNIST" / "raw", folder / "MNIST"):
        if path == folder / place or path.is_relative_to(folder / place):
            path.rmdir()
    (folder / place).symlink_to(folder / place if target == "itself" else folder / target)
    assert datasets.resolve("auto") == "mnist"
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.*`make data`"):
        datasets.load("mnist")


def test_auto_without_any_data_folder_is_digits(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.delenv("BN_DATA", raising=False)
    assert datasets.resolve("auto") == "digits"
    monkeypatch.setenv("BN_DATA", str(paths.data()))  # as the processes are told that train
    assert datasets.resolve("auto") == "digits"


# ---- What is not ---------------------------------------------------------------------------------


def test_absent_mnist_says_where_it_should_be_and_what_to_do(folder):
    with pytest.raises(DataError) as caught:
        datasets.load("mnist")
    path = folder / "MNIST" / "raw" / "train-images-idx3-ubyte"
    assert all(word in str(caught.value) for word in (str(path), "BN_DATA", "`make data`", "dataset=digits"))


@pytest.mark.parametrize("kind", ["nothing", "a file", "a link to nothing", "a link to itself", "a home"])
def test_a_mistyped_data_folder_is_named_by_auto(tmp_path, monkeypatch, kind):
    path = tmp_path / "dta"
    if kind == "a file":
        path.touch()
    elif kind.startswith("a link"):
        path.symlink_to(path if kind == "a link to itself" else tmp_path / "nowhere")
    elif kind == "a home":
        path = Path("~/dta")  # no shell has seen it
    monkeypatch.setenv("BN_DATA", str(path))
    with pytest.raises(DataError) as caught:
        datasets.resolve("auto")
    assert str(path) in str(caught.value) and "the data folder that BN_DATA names" in str(caught.value)
    assert datasets.resolve("digits") == "digits"


def test_a_data_folder_that_may_not_be_read_is_named(common_user):
    (common_user / "data" / "MNIST" / "raw").mkdir(parents=True)
    for place in ("data/MNIST/raw", "data/MNIST", "data"):
        (path := common_user / place).chmod(0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BN_DATA", str(common_user / "data"))
            with pytest.raises(DataError, match=f"{common_user}/data.*Permission denied"):
                datasets.load(datasets.resolve("auto"))
        path.chmod(0o777)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("name", datasets.MNIST_FILES)
@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a device", "a link to itself", "all zeros", "far too long"])
def test_what_is_no_file_of_mnist_is_named(small_mnist, folder, name, kind):
    path = folder / "MNIST" / "raw" / name
    length = path.stat().st_size
    path.unlink()
    if kind == "far too long":
        path.touch()
        os.truncate(path, 2**40)
    elif kind == "all zeros":
        path.touch()
        os.truncate(path, length)
    else:
        links = {"a device": "/dev/zero", "a link to itself": path}
        {"a pipe": os.mkfifo, "a folder": Path.mkdir}.get(kind, lambda p: p.symlink_to(links[kind]))(path)
    with pytest.raises(DataError, match=re.escape(str(path)) + r".*`make data`"):
        datasets.load("mnist")


@pytest.mark.parametrize("part", ["images-idx3", "labels-idx1"])
def test_exchanged_files_are_named(small_mnist, folder, part):
    first, second = (folder / "MNIST" / "raw" / f"{part_of}-{part}-ubyte" for part_of in ("train", "t10k"))
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])
    with pytest.raises(DataError, match=re.escape(str(first)) + r" has .* bytes where .* are expected"):
        datasets.load("mnist")


def test_a_file_cut_short_is_named(small_mnist, folder):
    path = folder / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=re.escape(str(path)) + r" has 107 bytes where 108 .*`make data`"):
        datasets.load("mnist")


def test_one_altered_byte_is_noticed(small_mnist, folder):
    path = folder / "MNIST" / "raw" / "train-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(path)) + r" is damaged.*`make data`"):
        datasets.load("mnist")


def test_the_expected_files_are_mnists_own():
    """Sizes follow from the format: 16 bytes and the pixels, 8 bytes and the labels."""
    sizes = {name: size for name, (size, _) in datasets.MNIST_FILES.items()}
    for part, n in (("train", 60_000), ("t10k", 10_000)):
        assert sizes[f"{part}-images-idx3-ubyte"] == 16 + n * 28 * 28
        assert sizes[f"{part}-labels-idx1-ubyte"] == 8 + n
