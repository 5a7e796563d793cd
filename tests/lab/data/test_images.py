"""Images of the networks of section 4.2: digits and MNIST in shades of grey, and what is said when one asks wrongly."""

import numpy as np
import pytest
import torch
from photographs import fails
from sklearn.datasets import load_digits

from bn.lab import paths
from bn.lab.data import datasets, images
from bn.lab.data.disk import DataError

MNIST_IS_HERE = (paths.data() / "MNIST" / "raw" / "train-images-idx3-ubyte").exists()
CHECKSUMS = {
    ("digits", 8): "017d85d68a8af932465d3b816c433b3ebd8c55e8110abc4ca3a59aa0d950a849",
    ("digits", 16): "f622af2fc6d2d1aa0d4a7b0b5287bc1eff70cc8d7958e45078d674f60d7845cf",
    ("mnist", 28): "5a6ae039d56a35161240ab81f0814e923be7b600ad30f01b34b3404ce2b0223a",
    ("mnist", 14): "d3858a2dee27343e1f2ecbd250a285c19ae1bbf9f086c4940ca85f7287f102f6",
    ("mnist", 32): "51cde4b9cdeb312d8e186b322b107a11da5679dd1783ab8f7e24ef09950560d5",
}


def parts(loaded):
    return loaded.train, loaded.validation, loaded.test


def test_digits_are_scikit_learns_in_256_shades_split_as_in_the_data_room():
    loaded, binary = images.load("digits"), datasets.load("digits")
    originals = {}
    for image, label in zip(load_digits().images, load_digits().target, strict=True):
        originals.setdefault(np.rint(image * 255 / 16).astype(np.uint8).tobytes(), set()).add(label)
    for part, same in zip(parts(loaded), parts(binary), strict=True):
        assert part.x.dtype == torch.uint8 and part.x.shape[1:] == (1, 8, 8) and part.y.dtype == torch.int64
        assert part.y.tolist() == same.y.tolist()
        # An enlarged pixel is ink above 0.4, so the two agree where the shade is far from that.
        shades = torch.nn.functional.interpolate(part.x / 255.0, size=(28, 28), mode="bilinear")
        assert ((shades > 0.4).flatten(1) == same.x.bool()).double().mean() > 0.999
        assert all(label in originals[x.numpy().tobytes()] for x, label in zip(part.x, part.y.tolist(), strict=True))
    assert max(part.x.max() for part in parts(loaded)) == 255


@pytest.mark.skipif(not MNIST_IS_HERE, reason="MNIST is not in the data folder; `make data` fetches it")
def test_mnist_has_the_shades_behind_the_binary_images_of_the_data_room():
    loaded, binary = images.load("mnist"), datasets.load("mnist")
    assert [len(part.y) for part in parts(loaded)] == [55_000, 5_000, 10_000]
    assert {part.x.shape[1:] for part in parts(loaded)} == {(1, 28, 28)}
    for part, same in zip(parts(loaded), parts(binary), strict=True):
        assert torch.equal((part.x > 127).flatten(1), same.x.bool()) and torch.equal(part.y, same.y)
        assert len(part.x.unique()) > 200


def test_another_size_keeps_the_order_and_the_light():
    loaded, whole = images.load("digits", 16), images.load("digits")
    assert loaded.train.x.shape == (1_257, 1, 16, 16) and torch.equal(loaded.train.y, whole.train.y)
    light = [part.train.x.double().mean((1, 2, 3)) for part in (loaded, whole)]
    assert np.corrcoef(*light)[0, 1] > 0.98
    assert loaded.checksum != whole.checksum == images.load("digits").checksum


@pytest.mark.parametrize(("name", "size"), CHECKSUMS)
def test_records_name_these_pixels(name, size):
    """Runs and committed records carry the checksum: digits and MNIST are the same as ever, at every size."""
    if name == "mnist" and not MNIST_IS_HERE:
        pytest.skip("MNIST is not in the data folder; `make data` fetches it")
    assert images.load(name, size).checksum == CHECKSUMS[name, size]


# ---- What is wrong -------------------------------------------------------------------------------


def test_an_unknown_name_is_told_the_known_ones():
    fails("cifar", "'cifar'", "digits, mnist, tiny-imagenet, imagenet")


@pytest.mark.parametrize("size", [7, 0, -64, 32.0, "64", True, 257, 10**9, 10**400, float("nan")])
def test_sizes_that_are_none(size):
    fails("digits", "size must be a whole number at least 8 and at most 256 (pixels of digits)", repr(size), size=size)


@pytest.mark.parametrize(("name", "most"), [("mnist", 256), ("tiny-imagenet", 1_024), ("imagenet", 1_024)])
def test_no_image_is_larger_than_its_data_set_allows(name, most, tmp_path, monkeypatch):
    """Said before anything is looked for; what is allowed goes on to the data folder, and there is nothing in it."""
    monkeypatch.setenv("BN_DATA", str(tmp_path))
    fails(name, f"at most {most:,}", f"{most + 1}", size=most + 1)
    fails(name, str(tmp_path), size=most)


def test_absent_mnist_is_told_by_the_data_room(tmp_path, monkeypatch):
    monkeypatch.setenv("BN_DATA", str(tmp_path))
    with pytest.raises(DataError, match="BN_DATA"):
        images.load("mnist")
