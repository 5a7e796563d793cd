"""Measure the kernels without a notebook: a line a case, then the targets.

    python -m bn.lab.chapters.kernels --scale gpu

At scale `gpu`, the default where there is CUDA, it writes book/records/kernels/gpu.json, the record that decides. It
goes on where an earlier call ended. With `--out` the record is written there, after every case too.
"""

import argparse
import math
from pathlib import Path

import torch

from bn.lab import paths
from bn.lab.chapters.kernels.estimates import ESTIMATES, judged_by
from bn.lab.chapters.kernels.record import Work, run, write
from bn.lab.judge import verdicts
from bn.lab.judge.verdicts import Verdict
from bn.lab.spec import ParameterError
from bn.lab.store import claims, records
from bn.lab.store.files import RunError


def main() -> None:
    """Measure the kernels, print a line a case and the targets, and write the record."""
    parser = _parser()
    options = parser.parse_args()
    if options.minutes is not None and not options.minutes > 0:
        parser.error(f"--minutes must be more than 0, but it is {options.minutes:g}")
    try:
        claims.ledger()  # a file that is not in order: better said now than after the measuring
        work, keep = Work(options.scale, options.quick), lambda record: options.out and write(record, options.out)
        record = run(work, options.minutes, lambda line: print(line, flush=True), keep)
    except ParameterError as error:
        parser.exit(2, f"error: {error}\n")
    except (RunError, claims.ClaimsError) as error:
        parser.exit(1, f"error: {error}\n")
    for claim in claims.of_chapter("kernels"):
        print(sentence(verdicts.judge(claim.id, record), ESTIMATES[claim.id].missing(record)))
    out = write(record, options.out or _decides(record))
    print(f"{len(record['cases'])} of {record['cases_planned']} cases are in {out}")


def _decides(record: dict) -> Path | None:
    """Where a GPU's record becomes part of the book: it takes the place of none that is whole, or judges more."""
    path = paths.RECORDS / "kernels" / "gpu.json"
    if record["scale"] != "gpu":
        return None
    standing = records.read(path) if path.exists() else None
    return path if standing is None or _weight(record) >= _weight(standing) else None


def _weight(record: dict) -> tuple[bool, int]:
    """Whether a record is whole, and how many targets it judges."""
    return record["complete"], sum(not target.missing(record) for target in ESTIMATES.values())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=main.__doc__, prog="python -m bn.lab.chapters.kernels")
    usual = "gpu" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--scale", choices=("smoke", "cpu", "gpu"), default=usual, help=f"here by default {usual}")
    parser.add_argument("--quick", action="store_true", help="on a GPU: only the cases that decide the targets")
    parser.add_argument("--minutes", type=float, help="begin no part that would end later than this")
    parser.add_argument("--out", type=Path, help="where the record goes; at scale gpu book/records/kernels/gpu.json")
    return parser


def sentence(judged: Verdict, missing: int) -> str:
    """A target in a line: verdict, what was found, limit, cases, of which some may be `missing`, and what it is."""
    verdict = {"met": "met", "notmet": "NOT MET", "inconclusive": "inconclusive", "notrun": "not run"}[judged.verdict]
    estimate, (line,) = judged_by(judged), judged.claim.rule
    value = "-" if math.isnan(estimate.value) else f"{estimate.value:.3g}"
    cases = len(ESTIMATES[judged.claim.id].needs)
    lack = f", {missing} missing" if missing else ""
    return f"{verdict:12} {value:>6} (limit {line.limit:g}, cases {cases}{lack})  {judged.claim.claim}"


if __name__ == "__main__":
    main()
