"""Where numbers come from: which version of this repository made them, on which device, with which libraries."""

import os
import platform
import re
import subprocess
import time
from pathlib import Path

import numpy as np
import torch

import bn
from bn.lab.store import claims

UNKNOWN = "unknown"  # the commit of files that are in no repository, or in another one's
# They name the repository whose hook runs this.
_OF_A_HOOK = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"}


def source() -> dict:
    """Which version of this repository: its number, its commit, and whether files were changed, None where unknown.

    New files count where they may be code or rules. Where the files travel without git, to a machine that is lent, the
    environment variable BN_COMMIT names the commit that they are of, and BN_DIRTY says whether they were changed: 0 or
    1, anything else is unknown.
    """
    unknown = {"version": bn.__version__, "commit": UNKNOWN, "dirty": None}
    folder = Path(bn.__file__).resolve().parents[1]
    if Path(_git(folder, "rev-parse", "--show-toplevel") or os.devnull).resolve() != folder:
        told = os.environ.get("BN_COMMIT", "")
        changed = {"0": False, "1": True}.get(os.environ.get("BN_DIRTY", ""))
        return unknown | {"commit": told, "dirty": changed} if re.fullmatch("[0-9a-f]{7,40}", told) else unknown
    if _git(folder, "ls-files", "--error-unmatch", "--", "bn/__init__.py") is None:
        return unknown  # another repository, into whose folder these files were copied
    commit, changes = _git(folder, "rev-parse", "--short=10", "HEAD"), _git(folder, "status", "--porcelain", "-uno")
    new = _git(folder, "status", "--porcelain", "--", "bn", "book/claims")
    return unknown if None in (commit, changes, new) else unknown | {"commit": commit, "dirty": bool(changes or new)}


def origin() -> dict:
    """What a training begins from, to be kept with it: `source`, and the `rules` that stand before it."""
    return {"source": source(), "rules": claims.rule_digests()}


def meta(origin: dict, checksum: str, code: str, seconds: float, device: str = "cpu", **more: object) -> dict:
    """What is kept of a training beside its numbers: where they come from, and the time in UTC.

    - `origin` at its beginning, `checksum` of the data, digest of the `code`, `seconds` of training, `device` ("cpu" or
      "cuda").
    - `more`: what else a run keeps, by name, also in the place of what stands here.
    """
    return {
        **origin,
        "data_sha256": checksum,
        "code": code,
        "compiled": False,
        "trained_together": 1,
        "training_seconds": round(seconds, 1),
        "device": device_name(device),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "finished": now(),
    } | more


def now() -> str:
    """The time in UTC, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())


def device_name(device: str) -> str:
    """What the maker calls the GPU or the processor; "CPU" where the system does not tell."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return "CPU"


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says of the repository that a folder is in; None where it says nothing."""
    environment = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
    environment["GIT_OPTIONAL_LOCKS"] = "0"  # a question must not be in the way of somebody's commit
    try:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
