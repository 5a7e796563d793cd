"""A data set that travels in pieces: unpacked whole or not at all, and read as the smaller data set that it is."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from photographs import parts, tiny_imagenet

from bn.lab.data import archives, images
from bn.lab.data.archives import unpacked
from bn.lab.data.disk import DataError


@pytest.fixture
def pieces(tmp_path) -> list[Path]:
    """Tiny ImageNet of three classes: every second training image, the other half, and the validation images."""
    root = tiny_imagenet(tmp_path / "packed")
    files = sorted(root.glob("train/*/images/*"))
    named = {"train-0": files[::2], "train-1": files[1::2], "val": [root / "val"]}
    made = []
    for name, members in named.items():
        made.append(tmp_path / f"{name}.tar.gz")
        with tarfile.open(made[-1], "w:gz") as tar:
            for member in members:
                tar.add(member, member.relative_to(root.parent))
    return made


def test_a_balanced_part_is_a_smaller_data_set(pieces, folder):
    first, second, val = pieces
    target = unpacked([first, str(val)], folder)
    assert target == folder / "tiny-imagenet-200" and not list(folder.glob("*.part"))
    loaded = images.load("tiny-imagenet", 16)
    assert [np.bincount(part.y).tolist() for part in parts(loaded)] == [[9] * 3, [1] * 3, [3] * 3]
    before = (target / "unpacked.txt").stat().st_mtime_ns
    assert unpacked([val, first], folder) == target and (target / "unpacked.txt").stat().st_mtime_ns == before
    with pytest.raises(DataError, match=r"tiny-imagenet-200 is there, and not of these archives: delete it"):
        unpacked([first, second, val], folder)


def test_all_pieces_are_the_whole(pieces, folder):
    unpacked(pieces, folder)
    assert [len(part.y) for part in parts(images.load("tiny-imagenet", 16))] == [54, 6, 9]


def test_a_kill_leaves_nothing_that_could_be_trained_on(pieces, folder, monkeypatch):
    write, written = Path.write_bytes, []

    def killed(path, content):
        written.append(path)
        if len(written) == 20:
            raise KeyboardInterrupt
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        unpacked(pieces, folder)
    assert not (folder / "tiny-imagenet-200").exists()
    monkeypatch.undo()
    unpacked(pieces, folder)
    assert len(list((folder / "tiny-imagenet-200").glob("train/*/images/*"))) == 60


def test_what_is_no_such_archive_is_said_in_a_sentence(pieces, tmp_path):
    target, short, other = tmp_path / "data", tmp_path / "short.tar.gz", tmp_path / "other.tar"
    content = pieces[0].read_bytes()
    short.write_bytes(content[: len(content) // 2])
    with tarfile.open(other, "w") as tar:
        tar.addfile(tarfile.TarInfo("elsewhere/1.JPEG"), io.BytesIO())
    for wrong, words in {
        (): "no archive to unpack",
        (tmp_path / "none.tar.gz",): "there is no .*none.tar.gz: an archive of a data set is expected there",
        (short,): "short.tar.gz is no tar archive, or is cut short",
        (pieces[0], other): "must be of one folder, but they are of elsewhere, tiny-imagenet-200",
    }.items():
        with pytest.raises(DataError, match=words) as caught:
            unpacked(wrong, target)
        assert "\n" not in str(caught.value) and not (target / "tiny-imagenet-200").exists()


@pytest.mark.parametrize("name", ["top/../../astray", "/top/astray"])
def test_no_file_is_written_outside_of_the_folder(name, tmp_path):
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        for member in ("top/1", name):
            tar.addfile(tarfile.TarInfo(member), io.BytesIO())
    with pytest.raises(DataError, match="a file outside of its folder"):
        archives.unpacked([tmp_path / "bad.tar"], tmp_path / "data")
    assert not list(tmp_path.rglob("astray"))
