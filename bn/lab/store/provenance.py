"""Where numbers come from: which version of this repository made them, on which device, with which libraries."""

import platform
import subprocess
import time
from pathlib import Path

import numpy as np
import torch

import bn
from bn.lab import paths


def source() -> dict:
    """Which version of this repository: its number, its commit (None without git), and whether files were changed."""
    return {
        "version": bn.__version__,
        "commit": _git("rev-parse", "--short=10", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def surroundings(device: str) -> dict:
    """What a run keeps of where it was made: the device ("cpu" or "cuda") by name, versions, and the time in UTC."""
    return {
        "device": device_name(device),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "finished": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


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
