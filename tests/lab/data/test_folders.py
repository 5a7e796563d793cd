"""Folders of photographs: parts and labels, the pixels, and what is said when a folder is wrong."""

import io
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from photographs import CLASSES, fails, imagenet, parts, seen, tiny_imagenet, write
from PIL import Image

from bn.lab import paths
from bn.lab.data import folders, images

TINY_IMAGENET = paths.data() / "tiny-imagenet-200"

# ---- Folders -------------------------------------------------------------------------------------


def test_tiny_imagenet_keeps_pixels_and_labels_together(folder):
    tiny_imagenet(folder)
    loaded = images.load("tiny-imagenet")
    assert (loaded.name, loaded.classes) == ("tiny-imagenet", CLASSES)
    for part, count in zip(parts(loaded), (18, 2, 3), strict=True):
        assert part.x.shape == (3 * count, 3, 64, 64) and part.x.dtype == torch.uint8 and part.y.dtype == torch.int64
        assert torch.bincount(part.y).tolist() == [count] * 3  # each class in proportion
        assert [label for label, _ in seen(part)] == part.y.tolist() == sorted(part.y.tolist())
    # Together, the first two are the training folder, each image once.
    together = seen(loaded.train) + seen(loaded.validation)
    assert sorted(together) == [(label, i) for label in range(3) for i in range(20)]
    assert sorted(number for _, number in seen(loaded.test)) == list(range(9))


def test_the_parts_depend_on_the_names_and_not_on_the_machine(folder, monkeypatch, tmp_path):
    tiny_imagenet(folder)
    first = images.load("tiny-imagenet")
    monkeypatch.setenv("BN_DATA", str(tmp_path / "elsewhere"))
    tiny_imagenet(tmp_path / "elsewhere", backwards=True)
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: sorted(listed(folder), reverse=True))
    second = images.load("tiny-imagenet")
    assert first.checksum == second.checksum
    for one, other in zip(parts(first), parts(second), strict=True):
        assert torch.equal(one.x, other.x) and torch.equal(one.y, other.y)
    # `printf '0 train/n02/images/n02_%s.JPEG' $i | sha256sum` is smallest for these two i below 20.
    assert {number for label, number in seen(first.validation) if label == 1} == {3, 19}


def test_no_more_than_fifty_of_a_class_are_held_out():
    files = [folders.File(f"train/{c}/{i}", c, 1) for c, n in enumerate((2, 9, 125, 500, 1300)) for i in range(n)]
    train, validation = folders.held_out(Path("x"), files)
    assert np.bincount([file.label for file in validation]).tolist() == [1, 1, 12, 50, 50]
    assert sorted(train + validation) == sorted(files)


def test_imagenet_is_read_from_its_folders_and_the_middle_square_is_kept(folder):
    root = imagenet(folder)
    loaded = images.load("imagenet", 32)
    assert [part.y.tolist() for part in parts(loaded)] == [[0, 0, 1, 1, 2, 2], [0, 1, 2], [0, 0, 1, 1, 2, 2]]
    assert [[label for label, _ in seen(part)] for part in parts(loaded)] == [p.y.tolist() for p in parts(loaded)]
    assert images.load("imagenet").train.x.shape == (6, 3, 224, 224)
    # Three bands, upright and lying: only the middle one is left.
    bands = np.repeat(np.eye(3, dtype=np.uint8) * 255, 64, axis=0)
    picture = np.broadcast_to(bands, (64, 192, 3))
    for i, array in enumerate((picture, picture.transpose(1, 0, 2))):
        Image.fromarray(np.ascontiguousarray(array)).save(root / "val" / "n01" / f"val_n01_{i}.JPEG", "JPEG")
    x = images.load("imagenet", 32).test.x[:2, :, :, 2:-2][:, :, 2:-2].double()
    assert (x.mean((0, 2, 3)) - torch.tensor([0, 255, 0])).abs().max() < 6


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_images_that_are_not_in_rgb_become_so(folder, mode):
    root = imagenet(folder)
    write(root / "val" / "n03" / "val_n03_1.JPEG", (90, 90, 90), size=(40, 90), mode=mode)
    x = images.load("imagenet", 16).test.x[-1]
    assert x.shape == (3, 16, 16) and (x.int() - 90).abs().max() <= 3


def test_pixels_are_those_that_pillow_reads(folder):
    """At the size of the file nothing is resampled; at half of it the pixels are averaged as torch does it."""
    root = imagenet(folder)
    noise = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    path = root / "val" / "n01" / "val_n01_0.JPEG"
    Image.fromarray(noise).save(path, "JPEG", quality=95)
    with Image.open(path) as image:
        expected = torch.tensor(np.asarray(image)).permute(2, 0, 1)
    assert torch.equal(images.load("imagenet", 64).test.x[0], expected)
    half = torch.nn.functional.interpolate(expected[None].float(), size=(32, 32), mode="bilinear", antialias=True)[0]
    assert (images.load("imagenet", 32).test.x[0] - half).abs().max() <= 1.5


# ---- What is wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny-imagenet", "imagenet"])
def test_an_absent_folder_says_where_it_should_be_and_what_is_expected(folder, name):
    root = folder / {"tiny-imagenet": "tiny-imagenet-200"}.get(name, name)
    fails(name, str(root / "train"), "BN_DATA", "train/<class>", "*.JPEG")
    (root / "train").mkdir(parents=True)
    fails(name, str(root / "train"), "no class folder")


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("how", ["empty", "absent"])
def test_a_class_without_images(folder, part, how):
    root = imagenet(folder)
    (gone := root / part / "n02").rename(folder / "away")
    if how == "empty":
        gone.mkdir()
        (gone / "notes.txt").touch()
    if (part, how) == ("train", "absent"):
        return fails("imagenet", str(root / "val" / "n02"), "no folder in train")
    fails("imagenet", str(gone), "absent or empty")


def test_a_class_with_one_image_leaves_nothing_to_hold_out(folder):
    imagenet(folder, train=1)
    fails("imagenet", str(folder / "imagenet" / "train" / "n01"), "one image", "at least two")


@pytest.mark.parametrize("content", ["cut short", "no image", "empty"])
def test_an_image_that_cannot_be_decoded_is_named_and_nothing_is_kept(folder, content):
    root = tiny_imagenet(folder)
    path = root / "train" / "n03" / "images" / "n03_7.JPEG"
    noise = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, "JPEG")
    whole = path.read_bytes()
    path.write_bytes({"cut short": whole[: len(whole) // 2], "no image": b"hello" * 99, "empty": b""}[content])
    fails("tiny-imagenet", str(path), "cannot be decoded")
    assert {file.suffix for file in (folder / "cache").iterdir()} <= {".lock"}
    path.write_bytes(whole)
    assert len(images.load("tiny-imagenet").train.y) == 54


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("val_1.JPEG\tn99\t0\t0\t1\t1\n", ("val_1.JPEG", "'n99'", "no folder in train")),
        ("val_1.JPEG\n", ("val_1.JPEG", "''", "no folder in train")),
        ("val_77.JPEG\tn01\t0\t0\t1\t1\n", ("val_77.JPEG", "not in val/images")),
        ("val_2.JPEG\tn01\t0\t0\t1\t1\n", ("val_2.JPEG", "twice")),
        ("", ("gives no class to val_1.JPEG",)),
    ],
)
def test_a_list_of_labels_that_disagrees_with_the_images(folder, line, words):
    annotations = tiny_imagenet(folder) / "val" / "val_annotations.txt"
    text, count = re.subn(r"val_1\.JPEG.*\n", line, annotations.read_text())
    assert count == 1
    annotations.write_text(text)
    fails("tiny-imagenet", str(annotations), *words)


def test_an_absent_list_of_labels(folder):
    (path := tiny_imagenet(folder) / "val" / "val_annotations.txt").unlink()
    fails("tiny-imagenet", str(path), "BN_DATA")


def test_the_first_classes_by_name_are_read_as_if_there_were_no_others(folder, tmp_path, monkeypatch):
    """The same pixels, labels and checksum as of a folder that has those alone; the others may even be damaged."""
    for name, write_folder in (("tiny-imagenet", tiny_imagenet), ("imagenet", imagenet)):
        monkeypatch.setenv("BN_DATA", str(folder))
        root = write_folder(folder)
        for path in (root / "train" / "n03").rglob("*.JPEG"):
            path.write_bytes(b"no image")
        first = images.load(name, 16, 2)
        monkeypatch.setenv("BN_DATA", str(tmp_path / "alone"))
        alone = write_folder(tmp_path / "alone")
        shutil.rmtree(alone / "train" / "n03")
        shutil.rmtree(alone / "val" / "n03", ignore_errors=True)
        if (annotations := alone / "val" / "val_annotations.txt").exists():
            of_n03 = [line for line in annotations.read_text().splitlines(True) if "n03" in line]
            annotations.write_text("".join(set(annotations.read_text().splitlines(True)) - set(of_n03)))
            for line in of_n03:
                (alone / "val" / "images" / line.split("\t")[0]).unlink()
        second = images.load(name, 16)
        assert first.classes == second.classes == CLASSES[:2] and first.checksum == second.checksum
        for one, other in zip(parts(first), parts(second), strict=True):
            assert torch.equal(one.x, other.x) and torch.equal(one.y, other.y) and set(one.y.tolist()) == {0, 1}


def test_more_classes_than_there_are_is_all_of_them(folder):
    tiny_imagenet(folder)
    whole, asked = images.load("tiny-imagenet", 16), images.load("tiny-imagenet", 16, 3)
    assert images.load("tiny-imagenet", 16, 200).checksum == asked.checksum == whole.checksum
    assert len(list((folder / "cache").glob("*.npy"))) == 1
    assert images.load("tiny-imagenet", 16, 2).checksum != whole.checksum


# ---- The real thing ------------------------------------------------------------------------------


def real_images(part: str):
    """The first members (name, bytes) of the published folder, or of archives of it that lie in its place."""
    archive = TINY_IMAGENET / {"train": "train-0-of-4.tar.gz", "val": "val.tar.gz"}[part]
    if (TINY_IMAGENET / part).is_dir():
        for path in sorted((TINY_IMAGENET / part).rglob("*.*")):
            yield path.relative_to(TINY_IMAGENET).as_posix(), path.read_bytes()
    elif archive.exists():
        with tarfile.open(archive) as members:
            for member in members:
                if member.isfile():
                    yield member.name.removeprefix("tiny-imagenet-200/"), members.extractfile(member).read()


def test_a_few_real_images_of_tiny_imagenet(folder):
    """Ten images of each of the first classes and the validation images of those classes, in the published layout."""
    root, taken = folder / "tiny-imagenet-200", {}
    for name, content in real_images("train"):
        wnid = name.split("/")[1]
        taken.setdefault(wnid, [])
        if len(taken) > 3:
            break
        if name.endswith(".JPEG") and len(taken[wnid]) < 10:
            taken[wnid].append(name)
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
    if not taken:
        pytest.skip("Tiny ImageNet is not in the data folder")
    published = dict(real_images("val"))
    lines = published["val/val_annotations.txt"].decode().splitlines(keepends=True)
    assert len(lines) == 10_000
    classes = sorted(wnid for wnid, names in taken.items() if names)
    kept = [line for line in lines if line.split("\t")[1] in classes]
    (root / "val" / "images").mkdir(parents=True)
    (root / "val" / "val_annotations.txt").write_text("".join(kept))
    label_of = {}
    for image, wnid, *_ in (line.split("\t") for line in kept):
        content = published[f"val/images/{image}"]
        (root / "val" / "images" / image).write_bytes(content)
        label_of[np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).tobytes()] = classes.index(wnid)
    loaded = images.load("tiny-imagenet")
    assert loaded.classes == tuple(classes) and len(classes) == 3
    assert [torch.bincount(part.y).tolist() for part in parts(loaded)] == [[9] * 3, [1] * 3, [50] * 3]
    for x, y in zip(loaded.test.x, loaded.test.y.tolist(), strict=True):
        assert label_of[x.permute(1, 2, 0).numpy().tobytes()] == y
    assert 50 < loaded.train.x.double().mean() < 200  # photographs: neither dark nor bright on average
