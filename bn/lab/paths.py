"""Where things live: the repository, its runs (heavy, ignored) and the data folder."""

import os
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2]
ROOT = _CHECKOUT if (_CHECKOUT / "pyproject.toml").exists() else Path.cwd()
RECORDS = ROOT / "book" / "records"
CLAIMS = ROOT / "book" / "claims"
LOCALE = ROOT / "book" / "locale"


def runs() -> Path:
    """The folder of finished and half-finished runs: `BN_RUNS`, or `runs/` in the repository."""
    return _folder("BN_RUNS", "runs")


def data() -> Path:
    """The data folder: `BN_DATA`, or `data/` in the repository."""
    return _folder("BN_DATA", "data")


def digits() -> str:
    """What `auto` stands for: "mnist" where a file of it is in the data folder, or what may hide one, else "digits"."""
    try:
        there = any(name.endswith("-ubyte") for name in os.listdir(mnist()))
    except FileNotFoundError:
        there = mnist().is_symlink() or mnist().parent.is_symlink()
    except OSError:
        there = True
    return "mnist" if there else "digits"


def mnist() -> Path:
    """The folder of MNIST's files, whether they are there or not."""
    return data() / "MNIST" / "raw"


def _folder(name: str, usual: str) -> Path:
    """A path that is not absolute is one in the repository, wherever the process was started."""
    return ROOT / (os.environ.get(name) or usual)
