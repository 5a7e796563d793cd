"""Everything that a GPU must say, in so many minutes: tests, tuning, the kernels' record, training.

    python3 -m bn.lab.gpu --minutes 12

Needs a Python with torch for CUDA, Triton and pytest; no environment, no installation, no git. Each stage is a process
with a limit of its own; one that fails or hangs is said in a line, and the next begins. What exists is in the output
folder at any moment, in at most eight files of 16 MiB. To go on another time, put its runs-*.tar into the folder
.gpu, or leave them where they are: what was finished is not done again. Images to train on are taken from the *.tar.gz
in .gpu. Where there is no git, BN_COMMIT names the commit, and BN_DIRTY says whether files were changed (0 or 1).
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch

from bn.lab import paths
from bn.lab.gpu import stages, visit
from bn.lab.gpu.output import ArchiveError

NO_CUDA = "torch finds no CUDA device here, and this measures on one; --dry-run walks through it on a CPU."
ROOM = 8 * 2**30  # bytes: Tiny ImageNet as files and as pixels, and all else that is temporary
LEAST = 1.0  # minutes: of less nothing is left when the last 20 seconds are kept


def main(arguments: list[str] | None = None) -> int:
    """Run the stages and return the exit status: 2 where it is asked wrongly, 1 where a stage failed."""
    begun, parser = time.monotonic(), _parser()
    options = parser.parse_args(arguments)
    if not LEAST <= options.minutes <= 24 * 60:
        parser.error(f"--minutes must be from {LEAST:g} to {24 * 60}, but it is {options.minutes:g}")
    if not options.dry_run and not torch.cuda.is_available():
        parser.exit(2, f"error: {NO_CUDA}\n")
    if options.out.exists() and not options.out.is_dir():
        parser.error(f"--out must be a folder, but {options.out} is a file")
    with tempfile.TemporaryDirectory(prefix="bn-gpu-", dir=_memory(), ignore_cleanup_errors=True) as scratch:
        runs = Path(scratch, "runs") if options.dry_run else Path(os.environ.get("BN_RUNS") or paths.ROOT / "runs/gpu")
        folders = visit.Folders(paths.ROOT, Path(scratch), options.out.resolve(), runs.resolve(), options.carried)
        try:
            chosen = stages.chosen(options.dry_run, options.only, options.skip)
            return visit.run(chosen, folders, begun + 60 * options.minutes, stages.environment(options.dry_run))
        except (stages.UnknownStage, ArchiveError) as error:
            parser.error(str(error))


def _memory() -> Path | None:
    """A folder in memory, if there is one with room: thousands of images are unpacked there six times as fast."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() and shutil.disk_usage(folder).free > ROOM else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m bn.lab.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=12, help="in all, by default 12; it ends 20 seconds before")
    parser.add_argument("--out", type=Path, default=paths.ROOT / "build" / "gpu", help="by default build/gpu")
    parser.add_argument("--carried", type=Path, default=paths.ROOT / ".gpu", help="runs-*.tar and *.tar.gz, .gpu")
    parser.add_argument("--only", nargs="+", default=(), metavar="STAGE", help="these stages")
    parser.add_argument("--skip", nargs="+", default=(), metavar="STAGE", help="all but these")
    parser.add_argument("--dry-run", action="store_true", help="walk through it on a CPU, at tiny sizes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
