"""From a record to a verdict: estimates, each with its interval, held against the rules of book/claims.yml.

A rule is committed before the run that it judges. Every run keeps the digest of the rules that it ran under; a
verdict whose rule has changed since says so.
"""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import yaml
from scipy import stats

from bn.lab import paths

VERDICTS = ("verified", "reproduced", "smaller", "not", "notrun")
TARGET = 0.95  # validation accuracy of "steps to 95%"


@dataclass(frozen=True)
class Estimate:
    """A measured value with its 95% interval over `n` seeds (for exact claims: the smallest and largest)."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Condition:
    """One line of a rule, the estimate that it judges, the value that counts, and whether it holds."""

    name: str
    relation: str  # "at_most" or "at_least"
    limit: float
    estimate: Estimate
    value: float  # the estimate's; for an exact claim that of the worst seed
    holds: bool


@dataclass(frozen=True)
class Verdict:
    """What became of one claim: the entry of claims.yml, one of VERDICTS, and the conditions behind it."""

    claim: dict
    verdict: str
    conditions: tuple[Condition, ...]
    rule_changed: bool


@cache
def ledger() -> dict[str, dict]:
    """All claims that have a rule, by id, from book/claims.yml."""
    return {claim["id"]: claim for claim in yaml.safe_load(paths.CLAIMS.read_text("utf-8"))}


@cache
def rule_digests() -> dict[str, str]:
    """A digest for each claim of what decides its verdict: how it is measured and the rule."""
    parts = {name: [claim["measure"]["en"], claim["rule"]] for name, claim in ledger().items()}
    return {name: _digest(part) for name, part in parts.items()}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def judge(claim_id: str, record: dict | None) -> Verdict:
    """Hold one claim against a record (None: not run). Exact claims must hold for every seed.

    A claim about numbers of ImageNet names the scale that decides; a record of another says nothing of it.
    """
    claim = ledger()[claim_id]
    if record is None or record["scale"] != claim.get("scale", record["scale"]):
        return Verdict(claim, "notrun", (), False)
    estimates = estimate(claim_id, record)
    conditions = tuple(_condition(line, estimates, claim["kind"]) for line in claim["rule"])
    changed = record["rules"].get(claim_id) != rule_digests()[claim_id]
    return Verdict(claim, _verdict(claim, record, conditions), conditions, changed)


def estimate(claim_id: str, record: dict) -> dict[str, Estimate]:
    """The named estimates of one claim."""
    from bn.lab.judge import image_claims

    measures = _ESTIMATES | image_claims.ESTIMATES
    if claim_id in measures:
        return measures[claim_id](record)
    return {name: _extremes(values) for name, values in record["measured"][claim_id].items()}


def _condition(line: dict, estimates: dict[str, Estimate], kind: str) -> Condition:
    found = estimates[line["estimate"]]
    relation = "at_most" if "at_most" in line else "at_least"
    limit, worst = line[relation], found.high if relation == "at_most" else found.low
    value = worst if kind == "exact" else found.value
    holds = value <= limit if relation == "at_most" else value >= limit
    return Condition(line["estimate"], relation, limit, found, value, bool(holds))


def _verdict(claim: dict, record: dict, conditions: tuple[Condition, ...]) -> str:
    if claim["kind"] == "empirical" and record["scale"] == "smoke":
        return "notrun"  # a smoke run only shows that the code works
    if not all(condition.holds for condition in conditions):
        return "not"
    if claim["kind"] == "exact":
        return "verified"
    return "reproduced" if record["papers_own_size"] else "smaller"


def _extremes(values: list[float]) -> Estimate:
    """The largest value over the seeds, with the smallest and the largest as its interval."""
    return Estimate(max(values), min(values), max(values), len(values))


def mean_with_interval(values: list[float]) -> Estimate:
    """Mean over seeds with its 95% t-interval; a single seed has none (NaN)."""
    values = np.asarray(values, float)
    n = len(values)
    half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n) if n > 1 else math.nan
    return Estimate(float(values.mean()), float(values.mean() - half), float(values.mean() + half), n)


def ratio_with_interval(numerators: list[float], denominators: list[float]) -> Estimate:
    """Ratio of means over paired seeds with a 95% bootstrap interval over the seeds."""
    a, b = np.asarray(numerators, float), np.asarray(denominators, float)
    value, n = float(a.mean() / b.mean()), len(a)
    if n < 2 or not np.isfinite([a, b]).all():
        return Estimate(value, math.nan, math.nan, n)
    rows = np.random.default_rng(0).integers(n, size=(9_999, n))
    low, high = np.quantile(a[rows].mean(1) / b[rows].mean(1), [0.025, 0.975])
    return Estimate(value, float(low), float(high), n)


def running_median(accuracy: np.ndarray) -> np.ndarray:
    """Median of the last five evaluations, so that one lucky evaluation does not count."""
    padded = np.concatenate([np.full(4, -np.inf), np.asarray(accuracy, float)])
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)


def steps_to(steps: list[int], accuracy: list[float], target: float) -> float:
    """First step whose running median reaches the target; infinity if none does."""
    reached = np.flatnonzero(running_median(np.array(accuracy)) >= target)
    return float(steps[reached[0]]) if len(reached) else math.inf


def final(accuracy: list[float]) -> float:
    """Mean of the last ten evaluations."""
    return float(np.mean(accuracy[-10:]))


def steps_to_target(network: dict, target: float = TARGET) -> list[float]:
    """For each seed, the steps to a validation accuracy."""
    return [steps_to(network["steps"], seed, target) for seed in network["validation"]]


def _fig1a_accuracy(record: dict) -> dict[str, Estimate]:
    """BN ahead on test images at 2%, 10%, 20% and the end of training, and sooner at 95% on validation."""
    plain, bn = record["figure1"]["plain"], record["figure1"]["bn"]
    last = plain["steps"][-1]
    at = [int(np.searchsorted(plain["steps"], round(part * last))) for part in (0.02, 0.1, 0.2)]
    pairs = list(zip(plain["test"], bn["test"], strict=True))
    ahead = [all(b[k] > p[k] for k in at) and final(b) > final(p) for p, b in pairs]
    # A plain network that never gets there counts with the whole run: the ratio is then too large, never too small.
    to_plain = [min(steps, last) for steps in steps_to_target(plain)]
    return {
        "seeds_ahead": Estimate(float(np.mean(ahead)), math.nan, math.nan, len(ahead)),
        "steps_ratio": ratio_with_interval(steps_to_target(bn), to_plain),
        "final_gain": mean_with_interval([100 * (final(b) - final(p)) for p, b in pairs]),
    }


def _fig1bc_stability(record: dict) -> dict[str, Estimate]:
    """How far the median of each unit's input travels, in its own interquartile ranges: BN beside plain."""
    drift = {name: np.median(np.array(net["drift"], float), axis=1) for name, net in record["figure1"].items()}
    return {
        "drift_ratio": ratio_with_interval(drift["bn"], drift["plain"]),
        "drift_plain": mean_with_interval(drift["plain"]),
        "drift_bn": mean_with_interval(drift["bn"]),
    }


def _baseline_drift(record: dict) -> dict[str, Estimate]:
    """Between 2% of the training and its end: shift of the mean, and growth of the standard deviation."""
    both = {}
    for suffix, name in (("", "plain"), ("_bn", "bn")):
        network = record["figure1"][name]
        for quantity in ("mean_shift", "std_growth"):
            values = np.array(network[quantity], float)  # what is None, because not finite, becomes NaN
            both[quantity + suffix] = mean_with_interval(np.median(values, axis=1))
    return both


def _moving_averages(record: dict) -> dict[str, Estimate]:
    """Test accuracy in points: moving averages against Algorithm 2's averages, the largest gap of any seed."""
    pairs = zip(record["inference"]["moving"], record["inference"]["population"], strict=True)
    gaps = [100 * abs(a - b) for a, b in pairs]
    return {"gap": Estimate(max(gaps), math.nan, math.nan, len(gaps))}


_ESTIMATES: dict[str, Callable[[dict], dict[str, Estimate]]] = {
    "fig1a-accuracy": _fig1a_accuracy,
    "fig1bc-stability": _fig1bc_stability,
    "baseline-mean-var-drift": _baseline_drift,
    "moving-averages": _moving_averages,
}
