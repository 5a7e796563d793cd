"""Seals: whatever happens to a file that is read again, it is noticed, and the file is named."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from bn.lab.store import files
from bn.lab.store.files import Damaged


class Kind(NamedTuple):
    """One way to keep something, and to read it again."""

    write: Callable[[Path], None]
    read: Callable[[Path], object]


def in_pieces(path: Path) -> None:
    with files.sealed(path) as file:
        for piece in (b"the first piece, ", b"the second"):
            file.write(piece)


KINDS = {
    "json": Kind(lambda path: files.write_json(path, {"a": [1, 2.5]}), files.read_json),
    "state": Kind(lambda path: files.save(path, {"step": 3, "w": torch.arange(3.0)}), files.load),
    "arrays": Kind(lambda path: files.write_arrays(path, {"x": np.arange(4)}, {"seed": 1}), files.read_arrays),
    "pieces": Kind(in_pieces, files.read_sealed),
    "too large for memory": Kind(in_pieces, files.check_seal),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def check_damaged(kind: Kind, path: Path) -> None:
    """The file is named, in one sentence that advises nothing that destroys."""
    with pytest.raises(Damaged) as caught:
        kind.read(path)
    assert str(caught.value) == f"{path} is damaged: it does not hold what was written into it."


def check_all_damaged(kind: Kind, path: Path, contents) -> None:
    for content in contents:
        path.write_bytes(content)
        check_damaged(kind, path)


def places(content: bytes) -> list[int]:
    """Every third byte, and each of the first, of the last, and of the seal."""
    return sorted({*range(0, len(content), 3), *range(9), *range(len(content) - files.SEAL - 9, len(content))})


@pytest.fixture
def whole(kind, tmp_path) -> tuple[Path, bytes]:
    """A file of a kind, and its bytes."""
    path = tmp_path / "file"
    kind.write(path)
    kind.read(path)
    return path, path.read_bytes()


@every_kind
def test_a_flipped_bit_is_noticed_wherever_it_is(kind, whole):
    path, content = whole
    flipped = (bytes([*content[:k], content[k] ^ 1 << k % 8, *content[k + 1 :]]) for k in places(content))
    check_all_damaged(kind, path, flipped)


@every_kind
def test_a_cut_of_any_length_is_noticed_down_to_an_empty_file(kind, whole):
    path, content = whole
    check_all_damaged(kind, path, (content[:n] for n in places(content)))
    check_all_damaged(kind, path, (content[n:] for n in places(content) if n))


@every_kind
def test_bytes_that_were_added_are_noticed(kind, whole):
    path, content = whole
    seal = content[-files.SEAL :]
    check_all_damaged(kind, path, (content + more for more in (b"\0", b"x" * 100, seal, content)))
    check_all_damaged(kind, path, (b"\0" + content, content[: -files.SEAL] + b"\0" + seal))


@every_kind
def test_two_files_of_one_kind_that_changed_places_are_noticed(kind, tmp_path):
    first, second, between = (tmp_path / name for name in ("seed0.npz", "seed1.npz", "between"))
    for path in (first, second):
        kind.write(path)
    first.rename(between)
    second.rename(first)
    between.rename(second)
    for path in (first, second):
        check_damaged(kind, path)
    first.rename(tmp_path / "elsewhere")
    (tmp_path / "folder").mkdir()
    second.rename(tmp_path / "folder" / "seed0.npz")  # with its own name in another folder it is in order
    kind.read(tmp_path / "folder" / "seed0.npz")


@every_kind
def test_a_file_of_the_time_before_seals_is_damaged(kind, whole):
    path, content = whole
    check_all_damaged(kind, path, (content[: -files.SEAL],))


def test_files_longer_than_a_piece_are_read_through(tmp_path):
    path = tmp_path / "large"
    files.write_sealed(path, bytes(2**20 * 2 + 17))
    files.check_seal(path)
    with path.open("r+b") as file:
        file.seek(2**20 + 5)
        file.write(b"\1")
    with pytest.raises(Damaged):
        files.check_seal(path)


def test_what_is_sealed_is_the_content_as_it_was(tmp_path):
    """A tool that knows nothing of seals finds what was written, and then the seal."""
    files.write_json(tmp_path / "value.json", [1, 2])
    content = (tmp_path / "value.json").read_bytes()
    assert json.loads(content[: -files.SEAL]) == [1, 2] and files.read_sealed(tmp_path / "value.json") == b"[1, 2]"


# ---- What the system says ------------------------------------------------------------------------


@every_kind
def test_a_file_that_is_not_there_is_not_damaged(kind, tmp_path):
    with pytest.raises(FileNotFoundError):
        kind.read(tmp_path / "file")


@every_kind
@pytest.mark.parametrize(
    "error", [PermissionError(errno.EACCES, "no"), OSError(errno.EIO, "no"), MemoryError("no")], ids=repr
)
def test_what_the_system_says_is_passed_on_as_it_is(kind, whole, monkeypatch, error):
    def fail(self, *options):
        raise error

    for name in ("read_bytes", "open"):
        monkeypatch.setattr(Path, name, fail)
    with pytest.raises(type(error)) as caught:
        kind.read(whole[0])
    assert caught.value is error and str(error).endswith("no")
    monkeypatch.undo()
    kind.read(whole[0])


# ---- No code -------------------------------------------------------------------------------------


class Command:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_no_code_runs_from_a_checkpoint(tmp_path):
    path, written = tmp_path / "run.pt", tmp_path / "written"
    files.save(path, {"step": 3, "net": Command(written)})
    with pytest.raises(files.Damaged, match=r"run\.pt does not hold what is expected \(UnpicklingError\)"):
        files.load(path)
    assert not written.exists()
    torch.load(path, weights_only=False)
    assert written.exists(), "this pickle would have run"


def test_no_code_runs_from_a_run(tmp_path):
    path, written = tmp_path / "run.npz", tmp_path / "written"
    files.write_arrays(path, {"x": np.array([Command(written)], object)}, {})
    with pytest.raises(files.Damaged, match=r"run\.npz does not hold what is expected \(ValueError\)"):
        files.read_arrays(path)
    assert not written.exists()
    np.load(path, allow_pickle=True)["x"]
    assert written.exists(), "this pickle would have run"
