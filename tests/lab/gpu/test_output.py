"""What a visit leaves: few files, none too large, what is finished before checkpoints; and back again."""

import io
import tarfile

import numpy as np
import pytest

from bn.lab.gpu import output, tree
from bn.lab.gpu.output import ArchiveError, Output, packed, unpack
from bn.lab.store import files


def members(part: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(part)) as archive:
        return archive.getnames()


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    for name, size in (("checkpoints/a.pt", 40_000), ("kernels/x.json", 10), ("digits/b.npz", 30_000)):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"x" * size)
    for name in ("locks/a.lock", "digits/c.npz.host-1.part", "digits/d.npz.damaged"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return folder


def test_all_that_is_kept_comes_back(runs, tmp_path):
    out = Output(tmp_path / "out", runs)
    out.collect()
    assert unpack(tmp_path / "out" / "runs-0.tar", tmp_path / "again") == 3
    for name in ("checkpoints/a.pt", "kernels/x.json", "digits/b.npz"):
        assert (tmp_path / "again" / name).read_bytes() == (runs / name).read_bytes()
    assert not (tmp_path / "again" / "locks").exists()
    (tmp_path / "again" / "kernels" / "x.json").write_text("newer")
    assert unpack(tmp_path / "out" / "runs-0.tar", tmp_path / "again") == 0
    assert (tmp_path / "again" / "kernels" / "x.json").read_text() == "newer"


def test_where_room_is_short_checkpoints_are_left_out_and_said(runs, monkeypatch, tmp_path):
    monkeypatch.setattr(packed, "__defaults__", (2, 44_000))
    monkeypatch.setattr(output, "LARGEST", 44_000)
    out = Output(tmp_path / "out", runs)
    out.collect()
    assert out.left_out == ["checkpoints/a.pt"]
    (runs / "digits" / "b.npz").unlink()
    out.collect()
    assert out.left_out == ["checkpoints/a.pt"]  # larger than a part


def test_no_part_is_larger_than_it_may_be(tmp_path):
    """Headers and what fills up the last blocks included, for files of awkward sizes."""
    names = []
    for k, size in enumerate((1, 511, 512, 513, 4_000, 9_999, 10_000, 10_001, 12_000) * 3):
        names.append(tmp_path / f"{k}.npz")
        names[-1].write_bytes(b"x" * size)
    parts, left_out = packed(
        [name.relative_to(tmp_path) for name in names], lambda name: (tmp_path / name).read_bytes(), 2, 61_440
    )
    assert len(parts) == 2 and all(len(part) <= 61_440 for part in parts)
    assert left_out and sorted(left_out + [name for part in parts for name in members(part)]) == sorted(
        name.name for name in names
    )


def test_a_heavy_run_goes_home_without_its_weights(runs, tmp_path):
    curves = {"steps": np.arange(3), "net/weight": np.random.default_rng(0).random(2**16)}
    files.write_arrays(runs / "digits" / "heavy.npz", curves, {"seed": 1})
    out = Output(tmp_path / "out", runs)
    out.collect()
    (runs / "kernels" / "y.json").touch()
    out.collect()
    assert len(out.light) == 1  # it was not made light twice
    unpack(tmp_path / "out" / "runs-0.tar", tmp_path / "again")
    found = files.read_arrays(tmp_path / "again" / "digits" / "heavy.npz")
    assert set(found) == {"steps", "meta"} and found["meta"] == {"seed": 1}
    assert (tmp_path / "out" / "runs-0.tar").stat().st_size < output.HEAVY


def test_the_newest_record_of_a_chapter_is_there(runs, tmp_path):
    out = Output(tmp_path / "out", runs)
    (runs / "records").mkdir()
    for text in ("first", "second"):
        (runs / "records" / f"kernels-{text}.json").write_text(text)
        out.collect()
        assert (tmp_path / "out" / "records" / "kernels.json").read_text() == text


def test_a_log_has_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(output, "LOG_BYTES", 100)
    log = output.Log(tmp_path / "log.txt")
    for _ in range(100):
        print("ten bytes", file=log, flush=True)
    assert (tmp_path / "log.txt").stat().st_size <= 100


def test_an_archive_writes_nowhere_else(tmp_path):
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        member = tarfile.TarInfo("../evil")
        archive.addfile(member, io.BytesIO(b""))
    with pytest.raises(ArchiveError, match=r"bad\.tar cannot be unpacked"):
        unpack(tmp_path / "bad.tar", tmp_path / "runs")
    assert not (tmp_path / "evil").exists()


# ---- The copy of the tree ------------------------------------------------------------------------------------------


def test_constants_are_edited_where_they_stand():
    source = "import x\n\nWINDOW = 20 * 2**20  # bytes\nEVICT = 'evict_first'\nA_WINDOW = 1\n"
    edited = tree.edited(source, {"WINDOW": 4 * 2**20, "EVICT": ""})
    assert edited == source.replace("20 * 2**20", "4 * 2**20").replace("'evict_first'", '""')
    assert tree.edited(source, {}) == source
    for name in ("TASK", "x"):
        with pytest.raises(ValueError, match=f"must have one line that begins with `{name} = `"):
            tree.edited(source, {name: 1})
