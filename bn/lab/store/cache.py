"""Computed once: what is kept in sealed files under names that say what it is of, and made where it is not there.

A damaged file is said and made again; it is set aside and not deleted. What the system says instead of a file's
content, such as that it may not be read, is passed on as it is: the file may be in order.
"""

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import TypeVar

from bn.lab.store import files
from bn.lab.store.files import Damaged
from bn.lab.store.workers import lock

K = TypeVar("K", bound=Hashable)


def present(path: Path, read: Callable[[Path], object] = files.read_arrays) -> object | None:
    """What a file holds; None where it is not there, or was damaged and now is set aside."""
    try:
        return read(path)
    except FileNotFoundError:
        return None
    except Damaged:
        with lock(f"{path.name}.damaged"):  # or a second process sets aside what the first has made again
            return _set_aside(path, read)


def _set_aside(path: Path, read: Callable[[Path], object]) -> object | None:
    try:
        return read(path)
    except FileNotFoundError:
        return None
    except Damaged as error:
        aside = path.with_name(f"{path.name}.damaged")
        path.replace(aside)
        print(f"{error} It is made again; the damaged file is kept as {aside.name}.", flush=True)
        return None


def finished(
    wanted: Mapping[K, Path],
    make: Callable[[list[K]], None],
    read: Callable[[Path], object] = files.read_arrays,
) -> dict[K, object]:
    """What the wanted files hold, by their keys; `make` is asked for those that are missing, if there are any."""
    found = {key: present(path, read) for key, path in wanted.items()}
    if missing := [key for key, content in found.items() if content is None]:
        make(missing)
    return {key: read(wanted[key]) if content is None else content for key, content in found.items()}


def once(path: Path, make: Callable[[], object]) -> object:
    """A value that JSON can hold: what `make` returns, computed by whoever comes first and kept."""
    if (value := present(path, files.read_json)) is None:
        with lock(path.stem):
            if (value := present(path, files.read_json)) is None:
                files.clear_parts(path)
                files.write_json(path, make())
                value = files.read_json(path)
    return value
