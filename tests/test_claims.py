"""Estimates against hand computation and SciPy; verdicts for every kind; the ledger itself."""

import math
import re

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bn.lab.judge import claims
from bn.lab.chapters.algorithm import identities
from bn.lab.judge.claims import Estimate

LEDGER = yaml.safe_load(claims.paths.CLAIMS.read_text("utf-8"))
EXPERIMENTS = {"algorithm", "activations", "inception", "training_speed", "ablations", "ensemble"}
numbers = st.floats(0.1, 100)


# ---- Estimates -----------------------------------------------------------------------------------


@given(st.lists(numbers, min_size=2, max_size=20))
def test_the_mean_has_scipys_interval(values):
    found = claims.mean_with_interval(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.value == pytest.approx(np.mean(values)) and found.n == len(values)
    if np.ptp(values) > 1e-6:
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_one_seed_has_no_interval():
    for found in (claims.mean_with_interval([3.0]), claims.ratio_with_interval([3.0], [2.0])):
        assert found.n == 1 and math.isnan(found.low) and math.isnan(found.high)
    assert claims.ratio_with_interval([3.0], [2.0]).value == 1.5


def test_the_ratio_of_means_has_scipys_paired_bootstrap_interval():
    rng = np.random.default_rng(5)
    a = rng.uniform(1, 2, 12)
    b = 3 * a + rng.uniform(0, 1, 12)  # paired: drawing the two apart would give a wider interval
    found = claims.ratio_with_interval(list(a), list(b))

    def ratio(a, b, axis):
        return a.mean(axis) / b.mean(axis)

    options = {"paired": True, "vectorized": True, "method": "percentile", "n_resamples": 9_999, "rng": 1}
    expected = stats.bootstrap((a, b), ratio, **options).confidence_interval
    assert found.value == pytest.approx(a.mean() / b.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=3e-3)
    assert claims.ratio_with_interval(list(a), list(b)) == found  # the same again, to the last digit


def test_never_makes_the_ratio_infinite():
    found = claims.ratio_with_interval([100.0, math.inf], [200.0, 300.0])
    assert found.value == math.inf and math.isnan(found.low)


def test_the_running_median_looks_back_over_five():
    accuracy = [0.1, 0.9, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert claims.running_median(np.array(accuracy))[4:].tolist() == [0.3, 0.4, 0.4]


@given(st.lists(st.floats(0, 1), min_size=5, max_size=30), st.floats(0, 1))
def test_steps_to_a_target(accuracy, target):
    steps = [10 * k for k in range(len(accuracy))]
    full = [k for k in range(4, len(steps)) if np.median(accuracy[k - 4 : k + 1]) >= target]
    found = claims.steps_to(steps, accuracy, target)
    early = [k for k in (2, 3) if sum(a >= target for a in accuracy[: k + 1]) >= 3]  # three of five are enough
    assert found == (10 * min(full + early) if full + early else math.inf)


def test_one_lucky_evaluation_does_not_count():
    assert claims.steps_to([0, 1, 2, 3, 4, 5], [0, 0, 0.99, 0, 0, 0], 0.95) == math.inf


def test_the_final_accuracy_is_the_mean_of_ten():
    assert claims.final([9.0] * 5 + [1.0] * 9 + [2.0]) == pytest.approx(1.1)
    assert claims.final([0.25, 0.75]) == 0.5


# ---- Figure 1 ------------------------------------------------------------------------------------


def network(test, validation, **more) -> dict:
    return {"steps": [10 * k for k in range(len(test[0]))], "test": test, "validation": validation, **more}


def rising(from_step: int, low=0.2, high=0.97, n=51) -> list[float]:
    return [high if k >= from_step else low for k in range(n)]


def figure1(plain: dict, bn: dict, **more) -> dict:
    usual = {"scale": "cpu", "papers_own_size": False, "rules": claims.rule_digests()}
    return usual | {"figure1": {"plain": plain, "bn": bn}} | more


def test_figure_1a_by_hand():
    """BN is at 97% from evaluation 1 or 2 on, the plain network from 30 on or never."""
    plain = network([rising(30, high=0.9)] * 2, [rising(30), rising(99)])
    bn = network([rising(1), rising(2)], [rising(1), rising(2)])
    found = claims.estimate("fig1a-accuracy", figure1(plain, bn))
    # At 2% of the training, evaluation 1, the second seed of BN is not yet ahead.
    assert found["seeds_ahead"].value == 0.5 and found["seeds_ahead"].n == 2
    # Three evaluations at the target make the median: 1 + 2, 2 + 2 and 30 + 2; never counts as 500 steps.
    assert found["steps_ratio"].value == pytest.approx((30 + 40) / (320 + 500))
    assert found["final_gain"].value == pytest.approx(7)


def test_a_bn_network_that_never_gets_there_does_not_win():
    plain = network([rising(30)], [rising(30)])
    bn = network([rising(1)], [rising(99)])
    assert claims.estimate("fig1a-accuracy", figure1(plain, bn))["steps_ratio"].value == math.inf
    assert claims.judge("fig1a-accuracy", figure1(plain, bn)).verdict == "not"


def test_drift_and_growth_by_hand():
    """The median unit of each seed, then the mean over seeds."""
    plain = {"drift": [[1, 2, 9], [3, 4, 5]], "mean_shift": [[0, 1, 8], [2, 3, 9]], "std_growth": [[1, 2, 3]] * 2}
    bn = {"drift": [[1, 1, 1], [0, 2, 7]], "mean_shift": [[0, 0, 5], [0, 1, 1]], "std_growth": [[1, 1, 1]] * 2}
    record = figure1(plain, bn)
    found = claims.estimate("fig1bc-stability", record)
    assert (found["drift_plain"].value, found["drift_bn"].value) == (3, 1.5)
    assert found["drift_ratio"].value == 0.5
    found = claims.estimate("baseline-mean-var-drift", record)
    assert {name: e.value for name, e in found.items()} == {
        "mean_shift": 2,
        "std_growth": 2,
        "mean_shift_bn": 0.5,
        "std_growth_bn": 1,
    }


def test_a_diverged_network_is_no_success_and_no_crash():
    """What was not finite stands as None in a record."""
    broken = {"drift": [[None, 1, 2]], "mean_shift": [[None, 1, 2]], "std_growth": [[None, 1, 2]]}
    for name in ("fig1bc-stability", "baseline-mean-var-drift"):
        assert claims.judge(name, figure1(broken, broken)).verdict == "not"


def test_the_gap_of_moving_averages_is_the_largest_of_any_seed():
    record = {"inference": {"moving": [0.97, 0.95], "population": [0.971, 0.948]}}
    found = claims.estimate("moving-averages", record)["gap"]
    assert (found.value, found.n) == pytest.approx((0.2, 2))
    assert math.isnan(found.low) and math.isnan(found.high), "the largest of all is no estimate with an interval"


# ---- Verdicts ------------------------------------------------------------------------------------

RULE = [{"estimate": "error", "at_most": 1e-6}, {"estimate": "effect", "at_least": 2.0}]


@pytest.fixture
def judged(monkeypatch):
    """A ledger of one claim, `made-up`; a function that judges it."""

    def judge(kind="exact", error=(1e-7, 1e-8), effect=(2.0, 3.0), scale="cpu", own_size=False, digest="same"):
        entry = {"id": "made-up", "kind": kind, "rule": RULE, "measure": {"en": "how"}}
        monkeypatch.setattr(claims, "ledger", lambda: {"made-up": entry})
        monkeypatch.setattr(claims, "rule_digests", lambda: {"made-up": "same"})
        values = {"error": list(error), "effect": list(effect)}
        record = {"scale": scale, "papers_own_size": own_size, "rules": {"made-up": digest}}
        return claims.judge("made-up", record | {"measured": {"made-up": values}})

    return judge


def test_an_exact_claim_must_hold_for_every_seed(judged):
    assert judged().verdict == "verified"
    assert judged(scale="smoke").verdict == "verified"  # arithmetic needs no large scale
    assert judged(error=(1e-7, 1.1e-6)).verdict == "not"
    assert judged(effect=(1.9, 300.0)).verdict == "not"
    assert judged(error=(math.nan,)).verdict == "not"


def test_each_condition_shows_the_worst_seed(judged):
    error, effect = judged(error=(1e-7, 1e-8), effect=(2.5, 3.0)).conditions
    assert (error.name, error.relation, error.limit, error.value, error.holds) == ("error", "at_most", 1e-6, 1e-7, True)
    assert (effect.name, effect.relation, effect.limit, effect.value) == ("effect", "at_least", 2.0, 2.5)
    assert effect.estimate == Estimate(3.0, 2.5, 3.0, 2)


def test_an_empirical_claim_is_judged_by_its_estimate_and_named_by_its_size(judged):
    assert judged("empirical").verdict == "smaller"
    assert judged("empirical", own_size=True).verdict == "reproduced"
    assert judged("empirical", effect=(1.0, 3.0)).verdict == "smaller"  # the estimate, 3, not its worst
    assert judged("empirical", effect=(1.0, 1.9)).verdict == "not"
    assert judged("empirical", error=(1.0,), own_size=True).verdict == "not"


def test_a_smoke_run_proves_nothing_empirical(judged):
    assert judged("empirical", scale="smoke").verdict == "notrun"
    assert judged("empirical", scale="smoke", error=(1.0,)).verdict == "notrun"


def test_a_value_at_the_limit_holds(judged):
    assert judged(error=(1e-6,), effect=(2.0,)).verdict == "verified"


def test_without_a_record_a_claim_is_not_run():
    found = claims.judge("fig1a-accuracy", None)
    assert (found.verdict, found.conditions, found.rule_changed) == ("notrun", (), False)


def test_a_rule_that_changed_after_the_run_is_marked(judged):
    assert not judged().rule_changed
    assert judged(digest="earlier").rule_changed
    assert judged(digest=None).rule_changed


def test_the_digest_of_a_rule_sees_what_decides_and_nothing_else(tmp_path, monkeypatch):
    text = claims.paths.CLAIMS.read_text("utf-8")

    def digests(text: str) -> dict:
        path = tmp_path / "claims.yml"
        path.write_text(text, "utf-8")
        monkeypatch.setattr(claims.paths, "CLAIMS", path)
        claims.ledger.cache_clear(), claims.rule_digests.cache_clear()
        return claims.rule_digests()

    try:
        usual = digests(text)
        assert digests(text + "\n# a comment\n") == usual
        assert digests(text.replace("a curve, no numbers", "a curve")) == usual
        for line, other in (("estimate: drift_ratio, at_most: 0.5", "estimate: drift_ratio, at_most: 0.6"),
                            ("on 2,000 held-out images", "on 1,000 held-out images")):  # fmt: skip
            assert text.count(line) == 1
            changed = digests(text.replace(line, other))
            assert {name for name in usual if usual[name] != changed[name]} == {"fig1bc-stability"}
    finally:
        claims.ledger.cache_clear(), claims.rule_digests.cache_clear()


# ---- The ledger ----------------------------------------------------------------------------------

each_claim = pytest.mark.parametrize("claim", LEDGER, ids=lambda claim: claim["id"])


def test_every_claim_stands_once():
    assert len({claim["id"] for claim in LEDGER}) == len(LEDGER)
    assert set(claims.ledger()) == {claim["id"] for claim in LEDGER}


@each_claim
def test_a_claim_is_complete_in_both_languages(claim):
    parts = {"id", "section", "kind", "experiment", "claim", "paper", "measure", "rule"}
    assert set(claim) - {"scale"} == parts and claim.get("scale", "paper") == "paper"
    assert claim["kind"] in {"exact", "empirical"} and claim["experiment"] in EXPERIMENTS
    assert re.fullmatch(r"\d(\.\d)*|A", claim["section"])
    for part in ("claim", "paper", "measure"):
        assert set(claim[part]) == {"en", "ar"} and all(text.strip() for text in claim[part].values())
        assert re.search("[\u0621-\u064a]", claim[part]["ar"]) or "<bdi>" in claim[part]["ar"]


@each_claim
def test_a_rule_judges_what_the_record_holds(claim, smoke_records):
    estimates = claims.estimate(claim["id"], smoke_records[claim["experiment"]])
    assert claim["rule"]
    for line in claim["rule"]:
        assert line["estimate"] in estimates
        (relation,) = set(line) - {"estimate"}
        assert relation in {"at_most", "at_least"}
        assert isinstance(line[relation], float) and math.isfinite(line[relation])


def test_the_exact_claims_are_the_measured_identities():
    exact = [claim for claim in LEDGER if claim["kind"] == "exact"]
    assert {claim["id"] for claim in exact if claim["experiment"] == "algorithm"} == set(identities.CLAIMS)


ISOLATED = re.compile(r"<bdi>[^<]*</bdi>")
# Digits and signs change places beside Arabic letters; those of a Latin word such as float64 do not.
LOOSE = re.compile(r"(?<![A-Za-z\d])\d|[%٪×÷=<>≤≥±−+√²ε-ωΑ-Ω]")


@each_claim
@pytest.mark.parametrize("part", ["claim", "paper", "measure"])
def test_numbers_and_formulas_in_arabic_are_isolated(claim, part):
    text = claim[part]["ar"]
    assert text.count("<bdi>") == text.count("</bdi>") == len(ISOLATED.findall(text))
    assert LOOSE.findall(ISOLATED.sub(" ", text)) == []


def test_the_search_for_loose_numbers_finds_them():
    assert LOOSE.findall(ISOLATED.sub(" ", "القيمة <bdi>3</bdi> ثم 4 و٥ وε بدقة float64")) == ["4", "٥", "ε"]
