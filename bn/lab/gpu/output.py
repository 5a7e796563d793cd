"""What a visit leaves: at most eight files of 16 MiB, two folders deep, up to date at any moment.

`log.txt`, `summary.json`, `launch.patch`, `records/<chapter>.json`, and `runs-<k>.tar`, which another visit goes on
from.
"""

import io
import json
import tarfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from bn.lab.store import files
from bn.lab.store.files import Damaged
from bn.lab.train import runs

LARGEST = 16 * 2**20  # bytes of a file
PARTS = 2  # of the archive of runs; with a file that is just being written there are eight
RECORDS = ("kernels", "training_speed")
HEAVY = 256 * 2**10  # bytes of a finished run, from which on it goes home without its weights, nearly all of it
LOG_BYTES = 8 * 2**20  # after which the log says no more
_APART = ("locks", "records")  # a record is written from runs
_ROOM = 2 * tarfile.BLOCKSIZE  # a file's header in an archive, and what fills its last block


class ArchiveError(ValueError):
    """An archive of runs is not in order; the message names it."""


class Log(io.TextIOBase):
    """A text file that takes no more than LOG_BYTES."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("w", encoding="utf-8", errors="replace")

    def write(self, text: str) -> int:
        """Write what there is room for."""
        if self.file.tell() + len(text.encode(errors="replace")) < LOG_BYTES:
            self.file.write(text)
        return len(text)

    def flush(self) -> None:
        """To the disk, in case that nothing else gets there."""
        if not self.file.closed:
            self.file.flush()


class Output:
    """The output folder and the folder of runs that it is filled from."""

    def __init__(self, folder: Path, of_runs: Path) -> None:
        self.folder, self.runs, self.seen, self.left_out, self.light = folder, of_runs, None, [], {}
        for old in (*folder.glob("runs-*.tar"), *folder.glob("records/*.json"), folder / "launch.patch"):
            old.unlink(missing_ok=True)
        self.log = Log(folder / "log.txt")

    def write(self, name: str, content: str) -> None:
        """A small file."""
        files.write_atomically(self.folder / name, content.encode())

    def summarize(self, summary: dict) -> None:
        """`summary.json`."""
        self.write("summary.json", json.dumps(summary | {"left_out": self.left_out}, ensure_ascii=False, indent=1))

    def collect(self) -> None:
        """Bring records and archive up to date, if a run was written since the last time."""
        kept = _kept(self.runs)
        if kept == self.seen:
            return
        for name in RECORDS:
            if found := sorted((self.runs / "records").glob(f"{name}-*.json"), key=lambda path: path.stat().st_mtime):
                self.write(f"records/{name}.json", found[-1].read_text("utf-8"))
        wanted = [(name, size) for name, size, _ in kept if name.parts[0] not in _APART]
        fit = [name for name, size in wanted if size <= LARGEST]
        parts, left_out = packed(fit, self._read)
        self.left_out = left_out + [str(name) for name, size in wanted if size > LARGEST]
        for k, part in enumerate(parts):
            files.write_atomically(self.folder / f"runs-{k}.tar", part)
        self.seen = kept

    def _read(self, name: Path) -> bytes | None:
        """A file's bytes, of a heavy run those without its weights; None where it was taken away meanwhile."""
        path = self.runs / name
        try:
            status = path.stat()
            if path.suffix != ".npz" or status.st_size < HEAVY:
                return path.read_bytes()
            key = name, status.st_mtime_ns
            if key not in self.light:
                self.light[key] = runs.light(path)
            return self.light[key]
        except (FileNotFoundError, Damaged):
            return None


def _kept(runs: Path) -> list[tuple[Path, int, int]]:
    """Files of a folder of runs, each with size and time: what is finished before checkpoints, small ones first."""
    found = []
    for path in runs.rglob("*"):
        name = path.relative_to(runs)
        if path.is_file() and path.suffix not in (".part", ".damaged") and name.parts[0] != "locks":
            with suppress(FileNotFoundError):
                status = path.stat()
                found.append((name, status.st_size, status.st_mtime_ns))
    return sorted(found, key=lambda file: (file[0].parts[0] == "checkpoints", file[1], file[0]))


def packed(
    names: Iterable[Path], read: Callable[[Path], bytes | None], parts: int = PARTS, largest: int = LARGEST
) -> tuple[list[bytes], list[str]]:
    """Archives that hold the named files as long as there is room, and the names of those that are left out.

    `read` gives a file's bytes, None for one that is there no more.
    """
    room, chosen, left_out = [largest - tarfile.RECORDSIZE] * parts, [[] for _ in range(parts)], []
    for name in names:
        if (content := read(name)) is None:
            continue
        k = next((k for k in range(parts) if len(content) + _ROOM <= room[k]), None)
        if k is None:
            left_out.append(str(name))
            continue
        room[k] -= len(content) + _ROOM
        chosen[k].append((name, content))
    return [_tar(files) for files in chosen if files], left_out


def _tar(members: list[tuple[Path, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name.as_posix())
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def unpack(archive: Path, to: Path) -> int:
    """Files of an archive that are not there yet, and how many; what is there is newer. Raises ArchiveError."""
    to.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as opened:
            new = [member for member in opened if member.isfile() and not (to / member.name).exists()]
            opened.extractall(to, members=new, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArchiveError(f"{archive} cannot be unpacked ({type(error).__name__}: {error})") from None
    return len(new)
