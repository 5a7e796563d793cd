"""Files that are whole or not there, that carry a digest of what they hold, and that are named by digests of values.

What is read again is sealed: the last bytes of a file are the SHA-256 of its name and of all before them, which is
checked at each reading. A flipped bit, a cut, an exchange of two files: each is a `Damaged` file, named.

>>> digest({"seed": 0, "steps": 60})
'db16a7850b678d08'
"""

import errno
import hashlib
import io
import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

_DIGITS = 16  # of a digest, 64 bits: among a million files two have the same name with a chance of 3e-8
_MARK = b"\nsha256:"  # before the digest at the end of a file
SEAL = len(_MARK) + hashlib.sha256().digest_size  # bytes
_PIECE = 2**20  # bytes read at once
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # also a quota, or a limit on the size of a file


class RunError(Exception):
    """A run could not be finished; the message says why and what to do. What was finished is kept."""


class Damaged(RunError):
    """A file does not hold what was written into it; the message names it."""


# ---- Whole or not there --------------------------------------------------------------------------


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a kill or a full disk leaves what was before. Raises OSError, RunError."""
    with whole_or_not(path) as file:
        file.write(content)


@contextmanager
def whole_or_not(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name when all of it is written: `write_atomically`, for what is written in parts."""
    draft = path.with_name(f"{path.name}.{platform.node()}-{os.getpid()}.part")  # two machines may share a folder
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException as error:
        with suppress(OSError):  # what went wrong first is what is told
            draft.unlink()
        if isinstance(error, OSError) and error.errno in _DISK_FULL:
            raise RunError(
                f"The disk is full: {path} could not be written. Free some space and run the same command again: "
                "it goes on from the last checkpoint."
            ) from error
        raise


def expect_folder(folder: Path) -> None:
    """Make a folder for what is kept, if it is not there. Raises RunError where it is none that can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        problem = "" if os.access(folder, os.W_OK | os.X_OK) else "it may not be written"
    except OSError as error:
        problem = error.strerror
    if problem:
        raise RunError(f"{folder} cannot hold what is kept ({problem}): point BN_RUNS at a folder that can be written.")


def clear_parts(path: Path) -> None:
    """Take away what kills have left of a file that was being written; the caller holds its lock."""
    for part in path.parent.glob(f"{path.name}.*.part"):
        part.unlink(missing_ok=True)


# ---- Sealed --------------------------------------------------------------------------------------


@contextmanager
def sealed(path: Path) -> Iterator["Sealing"]:
    """`whole_or_not` with a seal at the end: what is written in parts into a file that is read again."""
    with whole_or_not(path) as file:
        sealing = Sealing(path, file)
        yield sealing
        file.write(_MARK + sealing.sha256.digest())


class Sealing:
    """A file that is being written, and the SHA-256 of its name and of what is written so far."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.file, self.sha256 = file, hashlib.sha256(os.fsencode(path.name))

    def write(self, content: bytes) -> None:
        """Write the next bytes."""
        self.sha256.update(content)
        self.file.write(content)


def write_sealed(path: Path, content: bytes) -> None:
    """Write a file and its seal, whole or not at all. Raises OSError, RunError."""
    with sealed(path) as file:
        file.write(content)


def read_sealed(path: Path) -> bytes:
    """What was written into a sealed file. Raises Damaged, FileNotFoundError and what else the system says."""
    content, seal = _split(path.read_bytes())
    if seal != _MARK + hashlib.sha256(os.fsencode(path.name) + content).digest():
        raise Damaged(_damage(path))
    return content


def check_seal(path: Path) -> None:
    """`read_sealed` for a file that need not fit in memory: it is read through and not kept."""
    sha256, left = hashlib.sha256(os.fsencode(path.name)), path.stat().st_size - SEAL
    with path.open("rb") as file:
        while left > 0 and (piece := file.read(min(_PIECE, left))):
            sha256.update(piece)
            left -= len(piece)
        if left or file.read() != _MARK + sha256.digest():
            raise Damaged(_damage(path))


def _split(content: bytes) -> tuple[bytes, bytes]:
    return content[:-SEAL], content[-SEAL:]


def _damage(path: Path) -> str:
    return f"{path} is damaged: it does not hold what was written into it."


# ---- What is kept in them ------------------------------------------------------------------------


def write_json(path: Path, value: object) -> None:
    """Seal what JSON can hold, numbers that are not finite included. Raises OSError, RunError."""
    write_sealed(path, json.dumps(value).encode())


def read_json(path: Path) -> object:
    """What `write_json` wrote. Raises Damaged."""
    content = read_sealed(path)
    with _as_expected(path):
        return json.loads(content)


def save(path: Path, state: dict) -> None:
    """Seal tensors, numbers and words in dicts and lists. Raises OSError, RunError."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_sealed(path, buffer.getvalue())


def load(path: Path, device: torch.device | str = "cpu") -> dict:
    """What `save` wrote, on a device. A file that holds anything else runs no code. Raises Damaged."""
    content = read_sealed(path)
    with _as_expected(path):
        return torch.load(io.BytesIO(content), map_location=device, weights_only=True)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], meta: dict) -> None:
    """Seal arrays by name, of any shapes, and in `meta` where they came from. Raises OSError, RunError."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, meta=np.array(json.dumps(meta)), **arrays)
    write_sealed(path, buffer.getvalue())


def read_arrays(path: Path) -> dict:
    """What `write_arrays` wrote: arrays by name, and `meta`, a dict. Raises Damaged."""
    content = read_sealed(path)
    with _as_expected(path), np.load(io.BytesIO(content)) as file:
        arrays = {name: file[name] for name in file.files}
        return arrays | {"meta": json.loads(str(arrays["meta"]))}


@contextmanager
def _as_expected(path: Path) -> Iterator[None]:
    """A file that is whole and holds something else is no more use than a damaged one."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise Damaged(f"{path} does not hold what is expected ({type(error).__name__}).") from None


def digest(value: object) -> str:
    """A short name for any value that JSON can hold: 16 hexadecimal digits, the same in every process."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_DIGITS]
