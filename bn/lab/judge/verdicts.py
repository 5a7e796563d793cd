"""From a record to a verdict: the estimates of a claim, each with its interval, held against the lines of its rule."""

from dataclasses import dataclass

from bn.lab import registry
from bn.lab.judge import statistics
from bn.lab.judge.parts import Unfinished, finished
from bn.lab.judge.statistics import Estimate
from bn.lab.store import claims
from bn.lab.store.claims import Claim, Line

OF_THE_PAPER = ("verified", "reproduced", "smaller", "not", "notrun")
OF_TARGETS = ("met", "notmet", "inconclusive", "notrun")
VERDICTS = tuple(dict.fromkeys(OF_THE_PAPER + OF_TARGETS))


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

    Exact claims must hold for every seed; a target is judged by both ends of its interval, others by the estimate. A
    claim about numbers of ImageNet names the scale that decides; a record of another says nothing of it. Nor does one
    that lacks a run of a network that the claim is about. Raises ClaimsError where a rule judges what the record does
    not hold.
    """
    claim = claims.ledger()[claim_id]
    if record is None or not claim.rule or record["scale"] != (claim.scale or record["scale"]):
        return Verdict(claim, "notrun", (), False)
    try:
        estimated = estimates(claim, record)
    except Unfinished:
        return Verdict(claim, "notrun", (), False, unfinished=True)
    if missing := {line.estimate for line in claim.rule} - set(estimated) if estimated else ():
        raise claims.ClaimsError(f"the rule of claim {claim_id} judges {', '.join(missing)}, which nothing estimates")
    conditions = tuple(_condition(line, estimated[line.estimate], claim.exact) for line in claim.rule if estimated)
    changed = claim.changed_since(record["rules"].get(claim_id))
    return Verdict(claim, _verdict(claim, record, conditions), conditions, changed)


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
    held = {"at_most": value <= line.limit, "at_least": value >= line.limit, "more_than": value > line.limit}
    return bool(held[line.relation])


def _verdict(claim: Claim, record: dict, conditions: tuple[Condition, ...]) -> str:
    if not conditions or (claim.kind == "measured" and record["scale"] == "smoke"):
        return "notrun"  # a smoke run only shows that the code works
    if claim.kind == "target":
        return _of_target(conditions)
    if not all(condition.holds for condition in conditions):
        return "not"
    if claim.exact:
        return "verified"
    return "reproduced" if record["papers_own_size"] else "smaller"


def _of_target(conditions: tuple[Condition, ...]) -> str:
    """From the interval: met where both ends of each keep to the limit, not met where neither end of one does."""
    kept = [[_holds(condition.line, end) for end in _ends(condition.estimate)] for condition in conditions]
    if all(map(all, kept)):
        return "met"
    return "inconclusive" if all(map(any, kept)) else "notmet"


def _ends(estimate: Estimate) -> tuple[float, ...]:
    """What a target is judged by; where there is no interval, the value itself."""
    return (estimate.value,) if estimate.interval == "none" else (estimate.low, estimate.high)
