"""The forest plot: a bar leaves the line out just where the rule is decided, in whatever unit."""

import math
from dataclasses import replace

import numpy as np
import pytest
import seen
from bs4 import BeautifulSoup

from bn.lab import registry
from bn.lab.judge import replaced, statistics, verdicts
from bn.lab.judge.statistics import Estimate
from bn.lab.judge.verdicts import Condition
from bn.lab.show.forest import REACH, _figure, positions
from bn.lab.store import claims
from bn.lab.store.claims import Claim, Line

RECORD = {"scale": "cpu", "papers_own_size": False, "rules": {}}
RELATIONS = ("at_most", "at_least", "more_than", "within")


@pytest.fixture
def judged(monkeypatch):
    """A function that judges a made-up claim whose rule has these lines, each with its estimate."""

    def judge(*lines: tuple[str, float, Estimate], **more):
        rule = tuple(Line(f"x{k}", f"number {k}", relation, limit) for k, (relation, limit, _) in enumerate(lines))
        claim = Claim("algorithm", "made-up", "3", "measured", "It <is> so.", "-", "how", rule, **more)
        found = {f"x{k}": estimate for k, (_, _, estimate) in enumerate(lines)}
        experiment = registry.Experiment("algorithm", object, None, {"made-up": lambda record: found})
        monkeypatch.setattr(claims, "ledger", lambda: {"made-up": claim})
        monkeypatch.setattr(registry, "experiment", lambda name: experiment)
        return verdicts.judge("made-up", RECORD)

    return judge


def drawn(seed: int) -> tuple[str, float, Estimate]:
    """A line at random, of any relation and any kind of interval, whose estimate lies near its limit."""
    rng = np.random.default_rng(seed)
    relation, kind = RELATIONS[seed % 4], seed // 4 % 3
    if kind == 0:
        limit = 0.3 if relation == "within" else rng.choice([-0.5, 0.0, 95.0])
        centre = rng.choice([-1, 1]) * 0.3 if relation == "within" else limit
        return relation, float(limit), statistics.mean(rng.normal(centre + rng.normal(0, 0.2), 0.3, 6))
    relation = "at_least" if relation == "within" else relation
    if kind == 1:
        limit = rng.choice([1 / 3, 1.0, 3.0])
        return (
            relation,
            float(limit),
            statistics.ratio(limit * np.exp(rng.normal(rng.normal(0, 0.3), 0.3, 6)), [1.0] * 6),
        )
    return relation, 0.5, statistics.share(rng.random(12) < rng.random())


@pytest.mark.parametrize("seed", range(120))
def test_a_bar_leaves_the_line_out_just_where_the_rule_is_decided(judged, seed):
    verdict = judged(drawn(seed))
    low, value, high = positions(verdict.conditions[0])
    assert low <= value <= high and high - low == pytest.approx(2)
    expected = "smaller" if low > 0 else "not" if high < 0 else "inconclusive"
    assert verdict.verdict == expected


def test_an_estimate_at_the_end_of_its_interval_is_one_half_interval_from_it_on_its_own_scale():
    line = Line("x", "x", "at_most", 0.5)
    assert positions(Condition(line, Estimate(0.5, 0.3, 0.7, 5, "t"), 0.5, True)) == pytest.approx((-1, 0, 1))
    ratio = Estimate(0.25, 0.125, 0.5, 5, "log-ratio t")  # a factor of two to either side
    assert positions(Condition(line, ratio, 0.25, True)) == pytest.approx((0, 1, 2))
    assert positions(Condition(line, replace(ratio, interval="bootstrap"), 0.25, True)) == pytest.approx((0, 1, 2))


def test_what_has_no_width_is_on_the_line_or_far_from_it_and_what_has_no_interval_is_not_drawn():
    line = Line("x", "x", "at_least", 2.0)
    for value, place in ((2.0, 0.0), (2.1, math.inf), (1.9, -math.inf)):
        assert positions(Condition(line, Estimate(value, value, value, 3, "t"), value, True)) == (place,) * 3
    for estimate in (statistics.without_interval(3.0, 5), statistics.extremes([1.0, 3.0])):
        assert positions(Condition(line, estimate, 3.0, True)) is None


def soup(verdict, language="en") -> BeautifulSoup:
    return BeautifulSoup(_figure([verdict], language).data, "html.parser")


LINES = (
    ("at_least", 0.0, Estimate(1.0, 0.5, 1.5, 5, "t")),
    ("at_least", 0.0, Estimate(9.0, 8.5, 9.5, 5, "t")),
    ("at_most", 0.0, Estimate(9.0, 8.5, 9.5, 5, "t")),
    ("at_least", 0.0, statistics.without_interval(1.0, 5)),
)


def test_a_row_has_its_words_its_numbers_and_its_bar(judged):
    shown = soup(judged(*LINES))
    rows = [row for row in shown.select(".bn-forest-row") if row.svg]
    assert [seen.bare(row.span.get_text()) for row in rows] == ["number 0", "number 1", "number 2"]
    assert seen.bare(rows[0].select("span")[-1].get_text()) == "1 [0.5, 1.5] (≥ 0)"
    assert float(rows[0].circle["cx"]) == pytest.approx(160 + 308 * 2 / (2 * REACH))
    ends = [float(rows[0].select_one(".bn-interval")[end]) for end in ("x1", "x2")]
    assert ends == pytest.approx([160 + 308 * place / (2 * REACH) for place in (1, 3)])
    tips = [float(row.path["d"].split("L")[1].split()[0]) for row in rows[1:]]
    assert tips[0] > 310 and tips[1] < 10 and not any(row.circle for row in rows[1:])
    assert "It <is> so." in shown.get_text() and not shown.find("is")
    assert shown.select_one("section")["class"] == ["bn-not"] and shown.select_one(".bn-verdict.bn-not")


def test_an_estimate_by_a_replaced_rule_stands_above_in_grey(judged, monkeypatch):
    verdict = judged(LINES[0], replaced="It was wrong.")
    old = replace(
        verdict, verdict="not", conditions=(replace(verdict.conditions[0], line=Line("", "once", "at_most", 1)),)
    )
    monkeypatch.setattr(replaced, "of", lambda claim: [replaced.Earlier(old, {}, "It was wrong.")])
    rows = [row for row in soup(verdict).select(".bn-forest-row") if row.svg]
    assert ["bn-old" in row["class"] for row in rows] == [True, False]
    assert seen.bare(rows[0].span.get_text()).split() == ["before:", "once"]


def test_the_title_counts_verdicts_and_what_was_not_run_is_left_out(judged):
    verdict = judged(LINES[0])
    assert seen.bare(soup(verdict).strong.get_text()) == "1 measured claim: 1 reproduced at smaller scale."
    without = [replace(verdict, verdict="notrun"), judged(LINES[3])]
    for one in without:
        assert not soup(one).select("svg") and "has an interval yet" in soup(one).get_text()


@pytest.mark.parametrize(("language", "direction"), [("en", "ltr"), ("ar", "rtl")])
def test_it_has_the_direction_of_its_language_and_its_axis_goes_to_the_right_in_both(judged, language, direction):
    shown = soup(judged(LINES[0]), language)
    assert shown.div["dir"] == direction
    assert float(shown.circle["cx"]) > 160
