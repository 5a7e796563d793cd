"""From a record to a verdict, for claims of every kind."""

import math

import pytest

from bn.lab import registry
from bn.lab.judge import verdicts
from bn.lab.judge.statistics import Estimate
from bn.lab.store import claims
from bn.lab.store.claims import Claim, Line

RULE = (Line("error", "an error", "at_most", 1e-6), Line("effect", "an effect", "at_least", 2.0))


@pytest.fixture
def judged(monkeypatch):
    """A ledger of one claim, `made-up`; a function that judges it by a record, to which `more` is added."""

    def judge(kind="mathematics", error=(1e-7, 1e-8), effect=(2.0, 3.0), only=None, rule=RULE, digest="", **more):
        claim = Claim("algorithm", "made-up", "3", kind, "it is so", "-", "how", rule, only)
        monkeypatch.setattr(claims, "ledger", lambda: {"made-up": claim})
        record = {
            "scale": "cpu",
            "papers_own_size": False,
            "rules": {"made-up": claim.digest if digest == "" else digest},
            "measured": {"made-up": {"error": list(error), "effect": list(effect)}},
        }
        return verdicts.judge("made-up", record | more)

    return judge


@pytest.mark.parametrize("kind", ["mathematics", "arithmetic"])
def test_an_exact_claim_must_hold_for_every_seed(judged, kind):
    assert judged(kind).verdict == "verified"
    assert judged(kind, scale="smoke").verdict == "verified"  # arithmetic needs no large scale
    assert judged(kind, error=(1e-7, 1.1e-6)).verdict == "not"
    assert judged(kind, effect=(1.9, 300.0)).verdict == "not"
    assert judged(kind, error=(math.nan,)).verdict == "not"
    assert judged(kind, error=(1e-7, math.nan)).verdict == "not"


def test_each_condition_shows_the_worst_seed(judged):
    error, effect = judged(error=(1e-7, 1e-8), effect=(2.5, 3.0)).conditions
    assert (error.line, error.value, error.holds) == (RULE[0], 1e-7, True)
    assert (effect.line, effect.value, effect.holds) == (RULE[1], 2.5, True)
    assert effect.estimate == Estimate(3.0, 2.5, 3.0, 2, "range")


def test_what_is_measured_is_judged_by_its_estimate_and_named_by_its_size(judged):
    assert judged("measured").verdict == "smaller"
    assert judged("measured", papers_own_size=True).verdict == "reproduced"
    assert judged("measured", effect=(1.0, 3.0)).verdict == "smaller"  # the estimate, 3, not its worst
    assert judged("measured", effect=(1.0, 1.9)).verdict == "not"
    assert judged("measured", error=(1.0,), papers_own_size=True).verdict == "not"


def test_a_smoke_run_proves_nothing_about_training(judged):
    assert judged("measured", scale="smoke").verdict == "notrun"
    assert judged("measured", scale="smoke", error=(1.0,)).verdict == "notrun"


def test_a_target_is_judged_by_both_ends_of_its_interval(judged):
    assert judged("target").verdict == "met"
    assert judged("target", effect=(1.0, 1.9)).verdict == "notmet"
    assert judged("target", effect=(1.9, 3.0)).verdict == "inconclusive"
    assert judged("target", effect=(2.0, 2.0)).verdict == "met"
    assert judged("target", error=(1e-7, 1e-5)).verdict == "inconclusive"
    assert judged("target", error=(1e-5, 2e-5)).verdict == "notmet"
    assert judged("target", error=(1e-5, 2e-5), effect=(1.9, 3.0)).verdict == "notmet"  # one line is enough
    assert judged("target", error=(math.nan,)).verdict == "notmet"
    assert judged("target", error=(1e-7, math.nan)).verdict == "notmet"


def test_a_target_without_an_interval_is_judged_by_its_value(judged, monkeypatch):
    for value, verdict in ((3.0, "met"), (1.0, "notmet"), (math.nan, "notmet")):
        alone = {"error": Estimate(1e-7, math.nan, math.nan, 1), "effect": Estimate(value, math.nan, math.nan, 1)}
        made_up = registry.Experiment("algorithm", object, None, {"made-up": lambda record, alone=alone: alone})
        monkeypatch.setattr(registry, "experiment", lambda name, made_up=made_up: made_up)
        assert judged("target").verdict == verdict


def test_a_part_of_a_benchmark_judges_what_its_estimator_can_estimate(judged):
    assert judged("target", complete=False).verdict == "met"


@pytest.mark.parametrize("kind", ["as stated", "open"])
def test_what_is_not_measured_is_not_run(judged, kind):
    assert (judged(kind, rule=()).verdict, judged(kind, rule=()).conditions) == ("notrun", ())


def test_a_rule_without_an_estimate_is_an_error_of_the_claims_file(judged):
    with pytest.raises(claims.ClaimsError, match="the rule of claim made-up judges other, which nothing estimates"):
        judged(rule=(*RULE, Line("other", "another", "at_most", 0.0)))
    with pytest.raises(claims.ClaimsError, match="nothing estimates claim made-up: neither algorithm nor its record"):
        judged(measured={})


def test_a_value_at_the_limit_holds(judged):
    assert judged(error=(1e-6,), effect=(2.0,)).verdict == "verified"


def test_more_than_a_limit_is_not_the_limit_itself(monkeypatch):
    line = Line("effect", "an effect", "more_than", 2.0)
    for value, verdict in ((2.0, "not"), (2.000001, "verified")):
        claim = Claim("algorithm", "made-up", "3", "arithmetic", "", "", "", (line,))
        monkeypatch.setattr(claims, "ledger", lambda claim=claim: {"made-up": claim})
        record = {"scale": "cpu", "papers_own_size": False, "rules": {}, "measured": {"made-up": {"effect": [value]}}}
        assert verdicts.judge("made-up", record).verdict == verdict


def test_without_a_record_a_claim_is_not_run():
    without = verdicts.judge("fig1a-accuracy", None)
    assert (without.verdict, without.conditions, without.rule_changed) == ("notrun", (), False)


def test_a_record_of_another_scale_than_the_one_that_decides_says_nothing(judged):
    assert judged(only="paper", scale="cpu").verdict == "notrun"
    assert judged(only="paper", scale="paper").verdict == "verified"


def test_where_the_record_cannot_say_the_claim_is_not_run(judged, monkeypatch):
    silent = registry.Experiment("algorithm", object, None, {"made-up": lambda record: {}})
    monkeypatch.setattr(registry, "experiment", lambda name: silent)
    for kind in ("measured", "target", "mathematics"):
        assert (judged(kind).verdict, judged(kind).conditions) == ("notrun", ())


def test_a_rule_that_changed_after_the_run_is_marked(judged):
    assert not judged().rule_changed
    assert judged(digest="earlier").rule_changed
    assert judged(digest=None).rule_changed, "runs under different rules"


@pytest.mark.parametrize("claim", claims.ledger().values(), ids=lambda claim: claim.id)
def test_a_rule_judges_what_the_record_holds(claim, smoke_records):
    estimates = verdicts.estimates(claim, smoke_records[claim.experiment])
    if claim.kind == "target" and not estimates:
        return  # a record of this scale says nothing of a GPU
    assert {line.estimate for line in claim.rule} <= set(estimates)


@pytest.mark.parametrize("name", registry.names())
def test_a_chapter_estimates_for_claims_that_there_are(name):
    entries = {claim.id for claim in claims.of_chapter(name)}
    assert set(registry.experiment(name).estimates) <= entries
