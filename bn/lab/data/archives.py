"""The pieces in which a data set travels, unpacked into the folder that `bn.lab.data.folders` reads.

    unpacked(["train-0-of-4.tar.gz", "val.tar.gz"], paths.data())

Each piece is a tar archive of the published folder tree, or of a part of it. Thousands of small files are written: in
memory, below /dev/shm, that took a sixth of the time.
"""

import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bn.lab.data.disk import DataError, found

_CONTENTS = "unpacked.txt"  # in the folder: of which archives it is, by name and size


def unpacked(archives: Iterable[Path | str], folder: Path | str) -> Path:
    """Unpack archives of one tree, which has one folder at its top, and return that folder below `folder`.

    Whole or not at all: a part would be trained on as if it were a smaller data set. Nothing is done where the folder
    is there and of the same archives. Raises DataError.
    """
    archives, folder = sorted(Path(archive) for archive in archives), Path(folder)
    if not archives:
        raise DataError("there is no archive to unpack: at least one is needed")
    tops = {_top(archive) for archive in archives}
    if len(tops) > 1:
        raise DataError(f"the archives must be of one folder, but they are of {', '.join(sorted(tops))}")
    target, contents = folder / tops.pop(), "".join(f"{file.name} {file.stat().st_size}\n" for file in archives)
    if target.exists():
        with suppress(OSError):
            if (target / _CONTENTS).read_text() == contents:
                return target
        raise DataError(f"{target} is there, and not of these archives: delete it, or point BN_DATA elsewhere")
    draft = folder / f"{target.name}.part"
    shutil.rmtree(draft, ignore_errors=True)  # what a kill has left
    draft.mkdir(parents=True)
    for archive in archives:
        _unpack(archive, draft)
    (draft / target.name / _CONTENTS).write_text(contents)
    (draft / target.name).rename(target)
    shutil.rmtree(draft)
    return target


def _top(archive: Path) -> str:
    """The one folder that an archive begins with."""
    with _opened(archive) as tar:
        return tar.next().name.removeprefix("./").partition("/")[0]


def _unpack(archive: Path, folder: Path) -> None:
    """The files of an archive, without what only tar knows of them, which takes longer to keep than the files."""
    made = set()
    with _opened(archive) as tar:
        for member in filter(tarfile.TarInfo.isfile, tar):
            path = Path(member.name)
            if path.is_absolute() or ".." in path.parts:
                raise DataError(f"{archive} has a file outside of its folder, {member.name}: it is not unpacked.")
            if path.parent not in made:
                (folder / path.parent).mkdir(parents=True, exist_ok=True)
                made.add(path.parent)
            (folder / path).write_bytes(tar.extractfile(member).read())


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    found(archive, "an archive of a data set is expected there.")
    try:
        with tarfile.open(archive) as tar:
            yield tar
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"{archive} is no tar archive, or is cut short ({error}).") from None
