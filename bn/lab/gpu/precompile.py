"""Compile the kernels that the next stages launch, in many processes at once, into Triton's cache."""

import argparse
import multiprocessing
import os
import time
from pathlib import Path

import torch

from bn.lab.gpu.finding import tell


def main() -> None:
    """Compile, and say how many kernels in how many seconds."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--finding", type=Path)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--processes", type=int, required=True)
    options = parser.parse_args()
    os.environ.pop("TRITON_INTERPRET", None)  # of a dry run; to be said before anything imports Triton
    from bn.lab.gpu import compiling

    start, number, failed, wanted = time.monotonic(), 0, [], compiling.jobs(options.tiny)
    with multiprocessing.get_context("spawn").Pool(options.processes, torch.set_num_threads, (1,)) as pool:
        for k, (compiled, why) in enumerate(pool.imap_unordered(compiling.compile_case, wanted), 1):
            number += compiled
            failed += [why] * bool(why)
            said = f"{number} kernels of {k} of {len(wanted)} cases in {time.monotonic() - start:.0f} s"
            tell(options.finding, said + (f"; {len(failed)} failed, {failed[0]}" if failed else ""), failed=failed)
    raise SystemExit(int(bool(failed)))


if __name__ == "__main__":
    main()
