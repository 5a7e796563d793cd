"""Files and folders of the data folder, asked carefully: what is wrong with one is said in one sentence."""

import os
import stat
from collections.abc import Callable
from pathlib import Path


class DataError(Exception):
    """Data that was asked for is absent or damaged; the message says what to do, on one line.

    File names may be any bytes: what cannot be printed is shown as an escape.
    """

    def __init__(self, message: str) -> None:
        shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
        super().__init__("".join(shown))


def found(path: Path, advice: str, kind: Callable[[int], bool] = stat.S_ISREG) -> os.stat_result:
    """The status of a file, or of a folder for `kind=stat.S_ISDIR`, to be asked before it is read; links are followed.

    A pipe, a socket or a device is no file: reading it could wait for ever. Raises DataError: what is there instead,
    and the advice.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        problem = f"{path} is a link that leads nowhere" if path.is_symlink() else f"there is no {path}"
    except OSError as error:
        problem = f"{path} cannot be read ({error.strerror})"
    else:
        if kind(status.st_mode):
            return status
        problem = f"{path} is no {'folder' if kind is stat.S_ISDIR else 'regular file'}"
    raise DataError(f"{problem}: {advice}")


def contents(path: Path, advice: str) -> bytes:
    """All bytes of a regular file. Raises DataError as `found` does."""
    found(path, advice)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): {advice}") from None
