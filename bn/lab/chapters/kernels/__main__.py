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
from bn.lab.chapters.kernels.record import Work, run, write
from bn.lab.judge import verdicts
from bn.lab.judge.verdicts import Verdict
from bn.lab.spec import ParameterError
from bn.lab.store import claims
from bn.lab.store.files import RunError


def main() -> None:
    """Measure the kernels, print a line a case and the targets, and write the record."""
    parser = _parser()
    options = parser.parse_args()
    if options.minutes is not None and not options.minutes > 0:
        parser.error(f"--minutes must be more than 0, but it is {options.minutes:g}")
    try:
        claims.ledger()  # a file that is not in order: better said now than after the measuring
        record = run(Work(options.scale, options.quick), options.minutes, lambda line: print(line, flush=True))
    except ParameterError as error:
        parser.exit(2, f"error: {error}\n")
    except (RunError, claims.ClaimsError) as error:
        parser.exit(1, f"error: {error}\n")
    for claim in claims.of_chapter("kernels"):
        print(sentence(verdicts.judge(claim.id, record)))
    out = write(record, options.out or _decides(record))
    print(f"{len(record['cases'])} of {record['cases_planned']} cases are in {out}")


def _decides(record: dict) -> Path | None:
    """Where a GPU's record becomes part of the book; a part of one never takes the place of a whole."""
    path = paths.RECORDS / "kernels" / "gpu.json"
    return path if record["scale"] == "gpu" and (record["complete"] or not path.exists()) else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=main.__doc__, prog="python -m bn.lab.chapters.kernels")
    usual = "gpu" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--scale", choices=("smoke", "cpu", "gpu"), default=usual, help=f"here by default {usual}")
    parser.add_argument("--quick", action="store_true", help="on a GPU: bfloat16 and the seven large shapes only")
    parser.add_argument("--minutes", type=float, help="stop between two cases after so long")
    parser.add_argument("--out", type=Path, help="where the record goes; at scale gpu book/records/kernels/gpu.json")
    return parser


def sentence(judged: Verdict) -> str:
    """A target in a line: verdict, what was found, limit, number of cases, and what is measured."""
    verdict = {"met": "met", "notmet": "NOT MET", "notrun": "not run"}[judged.verdict]
    estimate, (line,) = judged_by(judged), judged.claim.rule
    value = "-" if math.isnan(estimate.value) else f"{estimate.value:.3g}"
    return f"{verdict:8} {value:>6} (limit {line.limit:g}, {estimate.n} cases)  {judged.claim.measure}"


if __name__ == "__main__":
    main()
