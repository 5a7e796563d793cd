"""Files: whole or not there, read back as they were, and named by digests of values."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bn.lab.store import files
from bn.lab.store.files import RunError

# ---- Whole or not there --------------------------------------------------------------------------


def test_what_is_written_in_parts_is_there_when_all_of_it_is(tmp_path):
    path = tmp_path / "new" / "file"
    with files.whole_or_not(path) as file:
        file.write(b"one ")
        assert not path.exists()
        file.write(b"two")
    assert path.read_bytes() == b"one two"
    with pytest.raises(KeyboardInterrupt), files.whole_or_not(path) as file:
        file.write(b"three")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"one two" and [p.name for p in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("full", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_one_sentence_with_the_file_and_leaves_what_was_before(tmp_path, monkeypatch, full):
    path = tmp_path / "file"
    files.write_atomically(path, b"first")

    def fsync(descriptor):
        raise OSError(full, os.strerror(full))

    monkeypatch.setattr(os, "fsync", fsync)
    for write in (files.write_atomically, files.write_sealed):
        with pytest.raises(RunError, match=rf"^The disk is full: {path} could not be written\. Free some space.*\.$"):
            write(path, b"second")
    assert path.read_bytes() == b"first" and [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_disk_without_room_for_another_folder_is_full_too(tmp_path, monkeypatch):
    def mkdir(self, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(RunError, match=r"^The disk is full: .*new/file could not be written"):
        files.write_atomically(tmp_path / "new" / "file", b"content")


def test_a_limit_of_the_system_on_the_size_of_a_file_is_a_full_disk(tmp_path):
    code = f"""
from pathlib import Path
from bn.lab.store import files
try:
    files.write_sealed(Path({str(tmp_path / "file")!r}), bytes(100_000))
except files.RunError as error:
    print(error)
"""
    limit = (50_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert done.stdout.startswith(f"The disk is full: {tmp_path / 'file'} could not be written"), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), PermissionError(13, "no"), MemoryError()])
def test_any_other_failure_is_passed_on_as_it_is(tmp_path, monkeypatch, error):
    def fsync(descriptor):
        raise error

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(type(error)) as caught:
        files.write_atomically(tmp_path / "file", b"content")
    assert caught.value is error and list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_what_is_told(tmp_path):
    (tmp_path / "folder").touch()
    with pytest.raises(FileExistsError):
        files.write_atomically(tmp_path / "folder" / "file", b"content")


def test_parts_of_a_file_are_cleared_and_nothing_else(tmp_path):
    """What kills have left of `run.npz`; not of another name that begins or ends alike, and no finished file."""
    kept = ["run.npz", "run.npz.damaged", "run.npz2.7.part", "a-run.npz.7.part", "run.pt.7.part", "run.npz.lock"]
    for name in (*kept, "run.npz.7.part", "run.npz.81234.part"):
        (tmp_path / name).touch()
    files.clear_parts(tmp_path / "run.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
    files.clear_parts(tmp_path / "not there" / "run.npz")


def test_the_part_of_a_killed_writing_is_one_that_is_cleared(tmp_path):
    path = tmp_path / "run.npz"
    code = "with files.whole_or_not(Path(sys.argv[1])) as file: file.write(b'x'); file.flush(); os._exit(9)"
    head = "import os, sys\nfrom pathlib import Path\nfrom bn.lab.store import files\n"
    subprocess.run([sys.executable, "-c", head + code, path])
    (part,) = tmp_path.iterdir()
    files.clear_parts(path)
    assert part.name.startswith("run.npz.") and list(tmp_path.iterdir()) == []


# ---- Read back -----------------------------------------------------------------------------------


def test_arrays_are_read_back_as_they_were(tmp_path):
    arrays = {"steps": np.arange(3), "test": np.array([0.1, np.nan, 0.3], np.float32), "diverged": np.array(-1)}
    files.write_arrays(tmp_path / "run.npz", arrays, {"seed": 3, "versions": {"torch": "2"}})
    found = files.read_arrays(tmp_path / "run.npz")
    assert found.pop("meta") == {"seed": 3, "versions": {"torch": "2"}}
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_a_state_is_read_back_as_it_was(tmp_path):
    path = tmp_path / "checkpoints" / "run.pt"
    state = {
        "step": 7,
        "compiled": False,
        "net": {"weight": torch.ones(2)},
        "log": [{"steps": 0, "test": float("nan")}],
    }
    files.save(path, state)
    found = files.load(path)
    assert torch.equal(found["net"].pop("weight"), torch.ones(2)) and repr(found) == repr(state | {"net": {}})


def test_json_is_read_back_as_it_was_with_what_is_not_finite(tmp_path):
    value = {"a": [1, 2.5, None, True, "ا"], "b": float("inf")}
    files.write_json(tmp_path / "value.json", value)
    assert files.read_json(tmp_path / "value.json") == value


# ---- Digests of values ---------------------------------------------------------------------------


def test_a_digest_names_a_value_whatever_the_order_of_its_keys():
    assert files.digest({"seed": 0, "steps": 60}) == files.digest({"steps": 60, "seed": 0}) == "db16a7850b678d08"
    others = [{"seed": 1, "steps": 60}, {"seed": 0, "steps": 60, "rate": None}, [0, 60]]
    assert len({files.digest(value) for value in [{"seed": 0, "steps": 60}, *others]}) == 4
