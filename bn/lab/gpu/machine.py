"""The machine: card, driver, versions, and how fast it copies, by size."""

import argparse
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import torch

from bn.lab.gpu.finding import tell
from bn.lab.store import provenance

SIZES = (1, 4, 16, 32, 64, 128, 256, 512, 1024, 2048)  # MiB: from within the L2 cache to far beyond it
ROUNDS = 20


def copied(mebibytes: int) -> float:
    """TB/s of a copy, bytes read and written: the median of ROUNDS, by CUDA events or by the clock."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    source = torch.randint(256, (mebibytes * 2**20,), dtype=torch.uint8, device=device)
    target, times = torch.empty_like(source), []
    for _ in range(ROUNDS):
        times.append(_seconds(lambda: target.copy_(source)))
    return 2 * source.numel() / median(times[2:]) / 1e12


def _seconds(work) -> float:
    if not torch.cuda.is_available():
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def about() -> dict[str, str]:
    """The names and numbers that a measurement depends on."""
    cuda = torch.cuda.is_available()
    found = {"card": provenance.device_name("cuda" if cuda else "cpu"), "python": platform.python_version()}
    for package in ("torch", "triton", "numpy", "jax", "flax"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found | (_of_cuda() if cuda else {})


def _of_cuda() -> dict[str, str]:
    properties = torch.cuda.get_device_properties(0)
    asked = ["nvidia-smi", "--query-gpu=driver_version,clocks.sm,clocks.mem,temperature.gpu", "--format=csv,noheader"]
    try:
        driver = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=5).stdout.splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        driver = "unknown"
    return {
        "driver, clocks, temperature": driver,
        "L2": f"{properties.L2_cache_size / 2**20:.0f} MiB",
        "multiprocessors": str(properties.multi_processor_count),
    }


def main() -> None:
    """Say what this machine is, and measure the copy."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--finding", type=Path)
    parser.add_argument("--largest", type=int, default=max(SIZES), help="MiB of the largest copy")
    options = parser.parse_args()
    facts = about()
    for name, value in facts.items():
        print(f"{name}: {value}", flush=True)
    speeds = {size: round(copied(size), 4) for size in SIZES if size <= options.largest}
    listed = ", ".join(f"{size} MiB {speed:.2f}" for size, speed in speeds.items())
    tell(options.finding, f"{facts['card']}, copy in TB/s: {listed}", about=facts, copy_tb_per_s=speeds)


if __name__ == "__main__":
    main()
