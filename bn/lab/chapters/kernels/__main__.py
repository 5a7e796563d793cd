"""Measure the kernels without a notebook: a line a case, then the targets.

    python -m bn.lab.chapters.kernels --scale gpu

At scale `gpu`, the default where there is CUDA, it writes book/records/kernels/gpu.json, the record that decides. It
goes on where an earlier call ended.
"""

import argparse
import math
from pathlib import Path

import torch

from bn.lab import paths
from bn.lab.chapters.kernels.estimates import judged_by
from bn.lab.chapters.kernels.measure import BrokenDevice
from bn.lab.chapters.kernels.record import Work, as_json, file_in_runs, run
from bn.lab.judge import verdicts
from bn.lab.judge.verdicts import Verdict
from bn.lab.spec import ParameterError
from bn.lab.store import claims, files

SCALES = ("smoke", "cpu", "gpu")


def main() -> None:
    """Measure the kernels, print a line a case and the targets, and write the record."""
    options = _options()
    work = Work(options.scale, options.quick)
    try:
        record = run(work, options.minutes, lambda line: print(line, flush=True))
    except (ParameterError, BrokenDevice) as error:
        raise SystemExit(f"error: {error}") from None
    for claim in claims.of_chapter("kernels"):
        print(sentence(verdicts.judge(claim.id, record)))
    decides = paths.RECORDS / "kernels" / "gpu.json"
    out = options.out or (decides if work.scale == "gpu" else file_in_runs(work.scale))
    files.write_atomically(out, as_json(record))
    print(f"{len(record['cases'])} of {record['cases_planned']} cases are in {out}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=main.__doc__, prog="python -m bn.lab.chapters.kernels")
    usual = "gpu" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--scale", choices=SCALES, default=usual, help=f"here by default {usual}")
    parser.add_argument("--quick", action="store_true", help="on a GPU: bfloat16 and the seven large shapes only")
    parser.add_argument("--minutes", type=float, help="stop between two cases after so long")
    parser.add_argument("--out", type=Path, help="where the record goes; at scale gpu book/records/kernels/gpu.json")
    options = parser.parse_args()
    if options.minutes is not None and not options.minutes > 0:
        parser.error(f"--minutes must be more than 0, but it is {options.minutes:g}")
    return options


def sentence(judged: Verdict) -> str:
    """A target in a line: verdict, what was found, limit, number of cases, and what is measured."""
    verdict = {"met": "met", "notmet": "NOT MET", "notrun": "not run"}[judged.verdict]
    estimate, (line,) = judged_by(judged), judged.claim.rule
    value = "-" if math.isnan(estimate.value) else f"{estimate.value:.3g}"
    return f"{verdict:8} {value:>6} (limit {line.limit:g}, {estimate.n} cases)  {judged.claim.measure}"


if __name__ == "__main__":
    main()
