"""Where numbers come from: which version of this repository made them, on which device, with which libraries."""

import os
import platform
import subprocess
import time
from pathlib import Path

import numpy as np
import torch

import bn
from bn.lab import paths
from bn.lab.store import claims


def source() -> dict:
    """Which version of this repository: its number, its commit, and whether files were changed; None where unknown.

    Where the files travel without git, the environment variable BN_COMMIT names the commit that they are of.
    """
    told = os.environ.get("BN_COMMIT")
    changed = "" if told else _git("status", "--porcelain", "--untracked-files=no")
    return {
        "version": bn.__version__,
        "commit": told or _git("rev-parse", "--short=10", "HEAD"),
        "dirty": None if changed is None else bool(changed),
    }


def meta(checksum: str, code: str, seconds: float, device: str = "cpu", **more: object) -> dict:
    """What is kept of a training beside its numbers: where they come from, and the time in UTC.

    - `checksum` of the data, digest of the `code`, `seconds` of training, `device` ("cpu" or "cuda").
    - `more`: what else a run keeps, by name, also in the place of what stands here.
    """
    return {
        "data_sha256": checksum,
        "code": code,
        "rules": claims.rule_digests(),  # so that a rule changed after the run can be told
        "compiled": False,
        "trained_together": 1,
        "training_seconds": seconds,
        "device": device_name(device),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "finished": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    } | more


def device_name(device: str) -> str:
    """What the maker calls the GPU or the processor; "CPU" where the system does not tell."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return "CPU"


def _git(*arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(paths.ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
