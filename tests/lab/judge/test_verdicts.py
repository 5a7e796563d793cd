"""From a record to a verdict, for claims of every kind."""

import math
import shutil

import numpy as np
import pytest
from scipy import stats

from bn.lab import paths, registry
from bn.lab.judge import statistics, verdicts
from bn.lab.judge.statistics import Estimate
from bn.lab.store import claims, records
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


@pytest.mark.parametrize(
    ("kind", "holds", "fails"), [("mathematics", "verified", "not"), ("arithmetic", "consistent", "inconsistent")]
)
def test_an_exact_claim_must_hold_for_every_seed(judged, kind, holds, fails):
    assert judged(kind).verdict == holds
    assert judged(kind, scale="smoke").verdict == holds  # arithmetic needs no large scale
    assert judged(kind, error=(1e-7, 1.1e-6)).verdict == fails
    assert judged(kind, effect=(1.9, 300.0)).verdict == fails
    assert judged(kind, error=(math.nan,)).verdict == fails
    assert judged(kind, error=(1e-7, math.nan)).verdict == fails


def test_each_condition_shows_the_worst_seed(judged):
    error, effect = judged(error=(1e-7, 1e-8), effect=(2.5, 3.0)).conditions
    assert (error.line, error.value, error.holds) == (RULE[0], 1e-7, True)
    assert (effect.line, effect.value, effect.holds) == (RULE[1], 2.5, True)
    assert effect.estimate == Estimate(3.0, 2.5, 3.0, 2, "range")


@pytest.fixture
def measured(monkeypatch):
    """A function that judges one measured claim by a rule of one line and the estimate for it."""

    def judge(estimate, own=False, kind="measured", **limit):
        ((relation, value),) = limit.items()
        claim = Claim("algorithm", "made-up", "3", kind, "it is so", "-", "how", (Line("x", "x", relation, value),))
        made_up = registry.Experiment("algorithm", object, None, {"made-up": lambda record: {"x": estimate}})
        monkeypatch.setattr(registry, "experiment", lambda name: made_up)
        monkeypatch.setattr(claims, "ledger", lambda: {"made-up": claim})
        monkeypatch.setattr(claims, "of_chapter", lambda name: [claim])
        return verdicts.judge("made-up", {"scale": "cpu", "papers_own_size": own, "rules": {}})

    return judge


def _t(low, high, n=12):
    """A mean with just this 95% interval: two groups of seeds, as far apart as that takes."""
    half = (high - low) / 2 / stats.t.ppf(0.975, n - 1) * math.sqrt(n - 1)
    return statistics.mean([(low + high) / 2 + side * half for side in (-1, 1) for _ in range(n // 2)])


def test_the_made_up_interval_is_what_it_says():
    np.testing.assert_allclose([_t(1, 3).low, _t(1, 3).high], [1, 3])


@pytest.mark.parametrize(
    ("limit", "low", "high", "verdict"),
    [
        ({"at_least": 2}, 2.1, 3, "smaller"),
        ({"at_least": 2}, 1.9, 3, "inconclusive"),
        ({"at_least": 2}, 1, 1.9, "not"),
        ({"at_most": 2}, 1, 1.9, "smaller"),
        ({"at_most": 2}, 1, 2.1, "inconclusive"),
        ({"at_most": 2}, 2.1, 3, "not"),
        ({"more_than": 0}, 0.1, 3, "smaller"),
        ({"within": 0.3}, -0.2, 0.2, "smaller"),
        ({"within": 0.3}, -0.2, 0.4, "inconclusive"),
        ({"within": 0.3}, -0.4, 0.2, "inconclusive"),
        ({"within": 0.3}, -0.4, 0.4, "inconclusive"),  # wider than the margin on both sides
        ({"within": 0.3}, 0.31, 0.4, "not"),
        ({"within": 0.3}, -0.5, -0.31, "not"),
    ],
)
def test_what_is_measured_is_judged_by_both_ends_of_its_interval(measured, limit, low, high, verdict):
    found = measured(_t(low, high), **limit)
    assert found.verdict == verdict
    assert measured(_t(low, high), own=True, **limit).verdict == verdict.replace("smaller", "reproduced")
    assert (verdicts.p_value(found) < 0.05) == (verdict != "inconclusive")


def test_a_claim_of_a_later_paper_is_judged_as_one_of_this_paper_would_be(measured):
    for low, high in ((2.1, 3), (1.9, 3), (1, 1.9)):
        later, own = (measured(_t(low, high), kind=kind, at_least=2) for kind in ("later", "measured"))
        assert (later.verdict, verdicts.p_value(later)) == (own.verdict, verdicts.p_value(own))
    assert not later.claim.of_the_paper and own.claim.of_the_paper


def test_where_all_seeds_agree_on_the_limit_itself_nothing_is_decided(measured):
    for relation in ("at_most", "at_least", "more_than"):
        found = measured(statistics.ratio([3.0] * 12, [3.0] * 12), **{relation: 1.0})
        assert found.verdict == "inconclusive" and verdicts.p_value(found) == 1
    assert measured(statistics.ratio([2.9] * 12, [3.0] * 12), at_most=1.0).verdict == "smaller"


def test_one_seed_shows_nothing_either_way(measured):
    for value in (1.0, 3.0, math.nan):
        found = measured(statistics.without_interval(value, 1), at_least=2)
        assert found.verdict == "inconclusive" and math.isnan(verdicts.p_value(found))


def test_a_claim_of_several_lines_holds_where_all_hold_and_fails_where_one_fails(judged, monkeypatch):
    def verdict(error, effect):
        estimates = {"error": error, "effect": effect}
        made_up = registry.Experiment("algorithm", object, None, {"made-up": lambda record: estimates})
        monkeypatch.setattr(registry, "experiment", lambda name: made_up)
        return judged("measured")

    assert verdict(_t(-1, 0), _t(2.1, 3)).verdict == "smaller"
    assert verdict(_t(-1, 0), _t(1.9, 3)).verdict == "inconclusive"
    assert verdict(_t(-1, 1), _t(1, 1.9)).verdict == "not"
    one, other = (statistics.p_value(e, line.limit) for e, line in zip((_t(-1, 1), _t(1, 1.8)), RULE, strict=True))
    assert verdicts.p_value(verdict(_t(-1, 1), _t(1, 1.8))) == pytest.approx(2 * other) and other < one
    assert verdicts.p_value(verdict(_t(-1, -0.5), _t(1.9, 3))) == pytest.approx(statistics.p_value(_t(1.9, 3), 2))


def test_a_margin_is_two_one_sided_tests(measured):
    """Of equivalence, at 2.5% each: the larger p-value of both counts (Schuirmann 1987)."""
    estimate = _t(-0.25, 0.1)
    sides = [
        stats.ttest_1samp(estimate.values, limit, alternative=side).pvalue
        for limit, side in ((-0.3, "greater"), (0.3, "less"))
    ]
    assert verdicts.p_value(measured(estimate, within=0.3)) == pytest.approx(2 * max(sides))


@pytest.mark.parametrize(("kind", "verdict"), [("as stated", "stated"), ("open", "open")])
def test_what_has_no_rule_has_no_judgement(judged, kind, verdict):
    assert judged(kind, rule=()).verdict == verdict


def test_p_values_of_a_chapter_are_adjusted_together(monkeypatch):
    ids = [f"made-up-{i}" for i in range(3)]
    ledger = {
        i: Claim("algorithm", i, "3", "measured", "so", "-", "how", (Line("x", "x", "at_least", 0.0),)) for i in ids
    }
    estimates = {i: _t(low, 1) for i, low in zip(ids, (0.01, 0.3, -0.1), strict=True)}
    made_up = {i: lambda record, i=i: {"x": estimates[i]} for i in ids}
    monkeypatch.setattr(registry, "experiment", lambda name: registry.Experiment("algorithm", object, None, made_up))
    monkeypatch.setattr(claims, "ledger", lambda: ledger)
    record = {"scale": "cpu", "papers_own_size": False, "rules": {}}
    found = verdicts.holm(verdicts.judge(i, record) for i in ids)
    raw = [statistics.p_value(estimates[i], 0) for i in ids]
    assert found == pytest.approx({ids[0]: 2 * raw[0], ids[1]: 3 * raw[1], ids[2]: raw[2]})


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


def test_a_rule_without_an_estimate_is_an_error_of_the_claims_file(judged):
    with pytest.raises(claims.ClaimsError, match="the rule of claim made-up judges other, which nothing estimates"):
        judged(rule=(*RULE, Line("other", "another", "at_most", 0.0)))
    with pytest.raises(claims.ClaimsError, match="nothing estimates claim made-up: neither algorithm nor its record"):
        judged(measured={})


def test_a_value_at_the_limit_holds(judged):
    assert judged(error=(1e-6,), effect=(2.0,)).verdict == "verified"


def test_more_than_a_limit_is_not_the_limit_itself(monkeypatch):
    line = Line("effect", "an effect", "more_than", 2.0)
    for value, verdict in ((2.0, "inconsistent"), (2.000001, "consistent")):
        claim = Claim("algorithm", "made-up", "3", "arithmetic", "", "", "", (line,))
        monkeypatch.setattr(claims, "ledger", lambda claim=claim: {"made-up": claim})
        record = {"scale": "cpu", "papers_own_size": False, "rules": {}, "measured": {"made-up": {"effect": [value]}}}
        assert verdicts.judge("made-up", record).verdict == verdict


def test_what_the_paper_prints_needs_no_record():
    assert verdicts.judge("abstract-14x", None).verdict == "consistent"
    assert verdicts.judge("inception-params", None).verdict == "notrun"  # of a network that has to be built


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
    if not claim.rule and not claim.found:
        return  # nothing is measured beside it
    estimates = verdicts.estimates(claim, smoke_records[claim.experiment])
    if claim.kind == "target" and not estimates:
        return  # a record of this scale says nothing of a GPU
    assert {line.estimate for line in claim.rule} <= set(estimates)


@pytest.mark.parametrize("name", registry.names())
def test_a_chapter_estimates_for_claims_that_there_are(name):
    entries = {claim.id for claim in claims.of_chapter(name)}
    assert set(registry.experiment(name).estimates) <= entries


def test_a_verdict_of_the_book_is_that_of_the_record_as_it_stands(tmp_path, monkeypatch):
    """Each is found once; but not for a record that has taken the place of the one that it was found by."""
    claim, record = claims.ledger()["fig1a-accuracy"], records.deciding("activations")
    shutil.copy(paths.RECORDS / "carried.yml", tmp_path)
    monkeypatch.setattr(paths, "RECORDS", tmp_path)
    assert verdicts.of_the_book(claim).verdict == "notrun"
    place = tmp_path / "activations" / f"{record['scale']}.json"
    records.write(record, place)
    found = verdicts.of_the_book(claim)
    assert found == verdicts.judge(claim.id, record) and not found.rule_changed
    del record["sha256"]
    records.write(records.sealed(record | {"rules": {}}), place)
    assert verdicts.of_the_book(claim).rule_changed
