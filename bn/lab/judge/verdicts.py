"""From a record to a verdict: the estimates of a claim, each with its interval, held against the lines of its rule."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from bn.lab import registry
from bn.lab.judge import statistics
from bn.lab.judge.parts import Unfinished, finished, sized
from bn.lab.judge.statistics import Estimate
from bn.lab.store import claims, records
from bn.lab.store.claims import Claim, Line

OF_THE_PAPER = (
    "verified",
    "consistent",
    "reproduced",
    "smaller",
    "inconclusive",
    "not",
    "inconsistent",
    "notrun",
    "stated",
    "open",
)
OF_TARGETS = ("met", "notmet", "inconclusive", "notrun")
VERDICTS = tuple(dict.fromkeys(OF_THE_PAPER + OF_TARGETS))
_WITHOUT_RULE = {"as stated": "stated", "open": "open"}
_PAPER = {"scale": "paper", "rules": {}}  # a record of nothing


@dataclass(frozen=True)
class Condition:
    """One line of a rule, the estimate that it judges, the value that counts, and whether it holds."""

    line: Line
    estimate: Estimate
    value: float  # the estimate's; for an exact claim that of the worst seed
    holds: bool


@dataclass(frozen=True)
class Verdict:
    """What became of one claim: one of VERDICTS, the conditions behind it, and whether the rule is a later one.

    `unfinished`: it was not judged, because not all runs that it needs are finished.
    """

    claim: Claim
    verdict: str
    conditions: tuple[Condition, ...]
    rule_changed: bool
    unfinished: bool = False


def judge(claim_id: str, record: dict | None) -> Verdict:
    """Hold one claim against a record (None: not run).

    Exact claims must hold for every seed, whatever is measured and the targets by both ends of their 95% intervals. A
    claim about numbers of ImageNet names the scale that decides; a record of another says nothing of it. Nor does one
    that lacks a run of a network that the claim is about. Raises ClaimsError where a rule judges what the record does
    not hold.
    """
    claim = claims.ledger()[claim_id]
    if not claim.rule:
        return Verdict(claim, _WITHOUT_RULE[claim.kind], (), False)
    if record is None and of_the_paper_alone(claim):
        record = _PAPER
    if record is None or record["scale"] != (claim.scale or record["scale"]):
        return Verdict(claim, "notrun", (), False)
    try:
        estimated = estimates(claim, record)
    except Unfinished:
        return Verdict(claim, "notrun", (), False, unfinished=True)
    if missing := {line.estimate for line in claim.rule} - set(estimated) if estimated else ():
        raise claims.ClaimsError(f"the rule of claim {claim_id} judges {', '.join(missing)}, which nothing estimates")
    conditions = tuple(_condition(line, estimated[line.estimate], claim.exact) for line in claim.rule if estimated)
    # What the paper prints was known before any rule: for its arithmetic none can come too late.
    changed = claim.kind != "arithmetic" and _changed_since(claim, record["rules"].get(claim_id))
    return Verdict(claim, _verdict(claim, record, conditions), conditions, changed)


def of_the_book(claim: Claim) -> Verdict:
    """The verdict on a claim by the record that decides. Each is found once: many parts of the pages ask for it."""
    path = records.deciding_file(claim.experiment)
    return _of_the_book(claim, path, path and path.stat().st_mtime_ns)


@cache
def _of_the_book(claim: Claim, _path: Path | None, _written: int | None) -> Verdict:
    return judge(claim.id, records.deciding(claim.experiment))


def _changed_since(claim: Claim, digest: str | None) -> bool:
    """Whether the rule or its estimator is another, and not one that is known to estimate the same but for rounding."""
    return claim.changed_since(digest and records.later(digest))


def of_the_paper_alone(claim: Claim) -> bool:
    """Whether its estimates are of what the paper prints, which is there without a run."""
    if claim.kind not in ("arithmetic", "open") or claim.id not in registry.experiment(claim.experiment).estimates:
        return False
    try:
        estimates(claim, _PAPER)
    except LookupError:  # a record is asked for what a run found
        return False
    return True


def p_value(verdict: Verdict) -> float:
    """What chance a verdict on something measured leaves to the other side, two-sided; NaN where it has none.

    Of a claim that holds, or is open between, each line must be cleared: the largest p-value of its limits. Of one that
    does not hold a single line is enough: the smallest, times the number of lines (Bonferroni). Below 0.05 just where
    the verdict is not "inconclusive", but for that factor.
    """
    if not verdict.claim.measured or not verdict.conditions:
        return math.nan
    of_lines = [p_of_line(condition) for condition in verdict.conditions]
    if verdict.verdict == "not":
        against = [p for p, c in zip(of_lines, verdict.conditions, strict=True) if not any(_kept(c, "measured"))]
        return min(1.0, len(of_lines) * min(against))
    return float(np.max(of_lines))


def holm(judged: Iterable[Verdict]) -> dict[str, float]:
    """The p-value of each measured claim of a chapter, adjusted for there being several (Holm 1979), by id."""
    raw = {verdict.claim.id: p_value(verdict) for verdict in judged}
    raw = {claim_id: p for claim_id, p in raw.items() if math.isfinite(p)}
    return dict(zip(raw, statistics.holm(raw.values()), strict=True))


def estimates(claim: Claim, record: dict) -> dict[str, Estimate]:
    """The named estimates of one claim: by its chapter's function, or those that the record itself holds for each seed.

    None at all where the record cannot say: then the claim counts as not run. Raises Unfinished where runs that it
    needs are missing.
    """
    measures = registry.experiment(claim.experiment).estimates
    if claim.id in measures:
        return dict(measures[claim.id](finished(record)))
    measured = record.get("measured", {}).get(claim.id)
    if measured is None:
        raise claims.ClaimsError(f"nothing estimates claim {claim.id}: neither {claim.experiment} nor its record")
    return {name: statistics.extremes(values) for name, values in measured.items()}


def _condition(line: Line, estimate: Estimate, exact: bool) -> Condition:
    worst = estimate.high if line.relation == "at_most" else estimate.low
    value = worst if exact else estimate.value
    return Condition(line, estimate, value, _holds(line, value))


def _holds(line: Line, value: float) -> bool:
    held = {
        "at_most": value <= line.limit,
        "at_least": value >= line.limit,
        "more_than": value > line.limit,
        "within": abs(value) <= line.limit,
    }
    return bool(held[line.relation])


def _verdict(claim: Claim, record: dict, conditions: tuple[Condition, ...]) -> str:
    if not conditions or (claim.measured and record["scale"] == "smoke"):
        return "notrun"  # a smoke run only shows that the code works
    if claim.exact:
        holds, fails = {"mathematics": ("verified", "not"), "arithmetic": ("consistent", "inconsistent")}[claim.kind]
        return holds if all(condition.holds for condition in conditions) else fails
    kept = [_kept(condition, claim.kind) for condition in conditions]
    if not all(map(any, kept)):
        return "notmet" if claim.kind == "target" else "not"
    if not all(map(all, kept)):
        return "inconclusive"
    if claim.kind == "target":
        return "met"
    return "reproduced" if sized(record, claim.part)["papers_own_size"] else "smaller"


def _kept(condition: Condition, kind: str) -> tuple[bool, bool]:
    """Whether the lower and the upper end of an interval keep to the limit: both, one or neither.

    Where there is no interval, a target is judged by its value; what is measured stays open, as of one seed.
    """
    line, e = condition.line, condition.estimate
    if e.interval == "none":
        return (_holds(line, e.value),) * 2 if kind == "target" else (True, False)
    if e.low == e.high == line.limit and kind != "target":
        return True, False  # all seeds agree on the limit itself, as where a clock is too coarse: that shows nothing
    ends = _holds(line, e.low), _holds(line, e.high)
    if line.relation == "within" and not any(ends) and e.low < -line.limit and e.high > line.limit:
        return True, False  # wider than the margin, which lies inside
    return ends


def p_of_line(condition: Condition) -> float:
    """The p-value of its limit; where it has two, of the nearer one: that is two one-sided tests (Schuirmann 1987)."""
    line = condition.line
    limits = (-line.limit, line.limit) if line.relation == "within" else (line.limit,)
    return float(np.max([statistics.p_value(condition.estimate, limit) for limit in limits]))
