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
    return Path(os.environ.get("BN_RUNS", ROOT / "runs"))


def data() -> Path:
    """The data folder: `BN_DATA`, or `data/` in the repository."""
    return Path(os.environ.get("BN_DATA", ROOT / "data"))
