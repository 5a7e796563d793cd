"""The small print of a verdict: p-values of each line, of the claim, and corrected for the chapter."""

import math

import pytest
import seen
from scipy import stats

from bn.lab import registry
from bn.lab.judge import statistics, verdicts
from bn.lab.show import fineprint
from bn.lab.store import claims
from bn.lab.store.claims import Claim, Line

GAINS, MORE = [1.0, 2.0, 3.0, 4.0, 5.5], [0.5, 0.9, -0.2, 1.4, 0.7]
RECORD = {"scale": "cpu", "papers_own_size": False, "rules": {}, "measured": {}}


@pytest.fixture
def chapter(monkeypatch):
    """Two measured claims, of gains and of another's gains with a ratio, and the record that both are judged by."""
    rules = {
        "first": (Line("gain", "the gain", "at_least", -0.5),),
        "second": (Line("gain", "the gain", "at_least", 0.0), Line("ratio", "the ratio", "at_most", 1.0)),
    }
    found = {name: Claim("algorithm", name, "3", "measured", "so", "-", "how", rule) for name, rule in rules.items()}
    estimates = {
        "first": lambda record: {"gain": statistics.mean(GAINS)},
        "second": lambda record: {"gain": statistics.mean(MORE), "ratio": statistics.ratio(GAINS, [6.0] * 5)},
    }
    monkeypatch.setattr(claims, "ledger", lambda: found)
    monkeypatch.setattr(claims, "of_chapter", lambda name: list(found.values()))
    monkeypatch.setattr(registry, "experiment", lambda name: registry.Experiment(name, object, None, estimates))
    return found


def small(claim: str) -> dict:
    holm = verdicts.holm(verdicts.judge(c.id, RECORD) for c in claims.of_chapter("algorithm"))
    return fineprint.small_print(verdicts.judge(claim, RECORD), holm, "en")


def shown(p: float) -> str:
    return f"p = {p:.2g}"


def test_p_values_are_those_of_scipy_and_of_holm_by_hand(chapter):
    first = stats.ttest_1samp(GAINS, -0.5).pvalue
    lines = stats.ttest_1samp(MORE, 0).pvalue, stats.ttest_1samp([math.log(g / 6) for g in GAINS], 0).pvalue
    second = max(lines)
    smaller, larger = sorted([first, second])
    corrected = {smaller: 2 * smaller, larger: max(2 * smaller, larger)}
    for name, p in (("first", first), ("second", second)):
        assert seen.bare(small(name)["summary"]) == (
            f"{shown(p)}; corrected for the 2 claims of its chapter, {shown(corrected[p])}"
        )
    assert [shown(p) in seen.bare(line) for p, line in zip(lines, small("second")["lines"], strict=True)] == [True] * 2


def test_gains_are_flipped_about_their_limit_and_ratios_are_not(chapter):
    """Five gains above the limit: of 32 flips two are as extreme."""
    (line,) = small("first")["lines"]
    assert seen.bare(line).startswith("the gain: 3.1 [0.9") and "(≥ −0.5); 5 seeds; " in seen.bare(line)
    assert seen.bare(line).endswith(f"by sign flips {shown(2 / 32)}")
    gain, ratio = small("second")["lines"]
    assert seen.bare(gain).endswith(f"by sign flips {shown(4 / 32)}") and "flips" not in ratio


def test_equivalence_and_more_seeds_than_can_be_flipped_have_no_such_value():
    def flips(values, relation):
        line = Line("gain", "the gain", relation, 0.3)
        return fineprint.sign_flips(verdicts.Condition(line, statistics.mean(values), 0.0, True))

    assert flips(GAINS, "at_least") == pytest.approx(2 / 32)
    assert math.isnan(flips(GAINS, "within")) and math.isnan(flips([1.0], "at_least"))
    assert math.isnan(flips(list(range(statistics.MOST_FLIPPED + 1)), "at_least"))


def test_an_exact_claim_has_its_rule_where_a_sentence_took_its_place(monkeypatch):
    record = {"scale": "cpu", "papers_own_size": False, "rules": {}, "measured": {"made-up": {"error": [1e-9, 2e-9]}}}
    for found, lines in ((None, []), ("It is {error}.", ["an error: 2.0×10⁻⁹ (≤ 1.0×10⁻⁶); 2 seeds"])):
        rule = (Line("error", "an error", "at_most", 1e-6),)
        claim = Claim("algorithm", "made-up", "3", "mathematics", "it is so", "-", "how", rule, found=found)
        monkeypatch.setattr(claims, "ledger", lambda claim=claim: {"made-up": claim})
        small = fineprint.small_print(verdicts.judge("made-up", record), {}, "en")
        assert small["summary"] == "The rule and its numbers" and list(map(seen.bare, small["lines"])) == lines
