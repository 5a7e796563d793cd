"""The copy of the tree that a visit runs in, so that tuned constants may be written into it."""

import difflib
import hashlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

FOLDERS = ("bn", "book", "notebooks", "tests")  # with the files beside them, all that a stage may need
LAUNCH = Path("bn", "launch.py")


def copy(root: Path, to: Path) -> Path:
    """A copy of what is code, tests and rules in a checkout; no data, no runs, no environment."""
    to.mkdir(parents=True)
    for name in FOLDERS:
        if (root / name).is_dir():
            shutil.copytree(root / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in filter(Path.is_file, root.iterdir()):
        shutil.copy(file, to)
    return to


def digest(tree: Path) -> str:
    """Of all code and tests in a copy, 16 hexadecimal digits."""
    sha256 = hashlib.sha256()
    for file in sorted(file for folder in ("bn", "tests") for file in (tree / folder).rglob("*.py")):
        sha256.update(f"{file.relative_to(tree)}\n".encode() + file.read_bytes())
    return sha256.hexdigest()[:16]


def edited(source: str, constants: Mapping[str, int | str]) -> str:
    """A module with other values for constants that stand on a line each; comments stay. Raises ValueError.

    >>> edited("WINDOW = 20 * 2**20  # bytes", {"WINDOW": 8 * 2**20})
    'WINDOW = 8 * 2**20  # bytes'
    """
    for name, value in constants.items():
        pattern = re.compile(rf"^{name} = .*?(?P<comment>  #.*)?$", re.MULTILINE)
        if len(pattern.findall(source)) != 1:
            raise ValueError(f"{LAUNCH} must have one line that begins with `{name} = `")
        line = f"{name} = {written(value)}"
        source = pattern.sub(lambda found, line=line: line + (found["comment"] or ""), source)
    return source


def written(value: int | str) -> str:
    """A value as one would write it: sizes of memory in MiB."""
    if isinstance(value, int) and value >= 2**20 and value % 2**20 == 0:
        return f"{value // 2**20} * 2**20"
    return f'"{value}"' if isinstance(value, str) else str(value)


def patch(root: Path, tree: Path) -> str:
    """What a copy's launch code has otherwise than the checkout's, for `git apply` or `patch -p1`; "" if nothing."""
    before, after = ((folder / LAUNCH).read_text("utf-8").splitlines(keepends=True) for folder in (root, tree))
    return "".join(difflib.unified_diff(before, after, f"a/{LAUNCH.as_posix()}", f"b/{LAUNCH.as_posix()}"))
