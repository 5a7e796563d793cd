"""What is not decided yet: the whole list, and how many seeds would decide."""

import math

import numpy as np
import pytest
from bs4 import BeautifulSoup

from bn.lab.judge import statistics, verdicts
from bn.lab.judge.verdicts import Condition, Verdict
from bn.lab.show import pages, undecided
from bn.lab.store import claims
from bn.lab.store.claims import Claim, Line


def condition(values: list[float], limit: float = 0.0, relation: str = "at_least") -> Condition:
    estimate = statistics.mean(values)
    return Condition(Line("x", "x", relation, limit), estimate, estimate.value, True)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_list_is_of_all_inconclusive_and_not_run_claims_of_the_paper(language):
    links = BeautifulSoup(pages.part(language, "undecided"), "html.parser").select("tbody td:first-child a")
    judged = {c.id: verdicts.of_the_book(c).verdict for c in claims.ledger().values() if c.of_the_paper}
    expected = [name for name, verdict in judged.items() if verdict in ("inconclusive", "notrun")]
    assert [a["href"] for a in links] == [f"claims.html#claim-{name}" for name in expected]
    assert expected


def test_so_many_seeds_decide():
    """Repeated until there are so many, the same values leave the limit out; a tenth fewer do not."""
    values = [-1.0, 0.0, 0.5, 2.0, -0.5, 1.0]
    needed = undecided.seeds_to_decide(condition(values))
    assert len(values) < needed < math.inf
    deviation = np.std(values, ddof=1)
    half = statistics.mean(values).high - np.mean(values)
    assert needed == pytest.approx(len(values) * (half / np.mean(values)) ** 2)
    for count, decided in ((math.ceil(1.02 * needed), True), (math.floor(0.5 * needed), False)):
        assert (1.96 * deviation / math.sqrt(count) < np.mean(values)) >= decided


def test_what_is_decided_needs_no_seeds_and_what_is_at_the_limit_never_has_enough():
    assert undecided.seeds_to_decide(condition([1.0, 1.1, 0.9])) == 0
    assert undecided.seeds_to_decide(condition([-1.0, -1.1, -0.9])) == 0
    assert undecided.seeds_to_decide(condition([-1.0, 1.0])) == math.inf


def wanted(*conditions: Condition, verdict: str = "inconclusive", scale: str | None = None) -> str:
    claim = Claim("algorithm", "x", "3", "measured", "so", "-", "how", (), scale)
    return undecided.wanted(Verdict(claim, verdict, conditions, False), "en").translate({0x2066: None, 0x2069: None})


def test_what_would_decide_is_said():
    one, far, sure = condition([-1.0, 0.0, 0.5, 2.0, -0.5, 1.0]), condition([-1.0, 1.0]), condition([1.0, 1.1, 0.9])
    n = undecided.seeds_to_decide(one)
    rounded = math.ceil(n) if n < 100 else 10 * math.ceil(n / 10)
    assert wanted(one, sure) == f"about {rounded} seeds, if the estimate stays where it is"
    assert wanted(one, far) == "more than 1,000 seeds: the estimate is too close to the limit"
    assert wanted(verdict="notrun", scale="paper") == "ImageNet, at the paper's own size"
    assert wanted(verdict="notrun") == "a run"


def test_an_inconclusive_claim_of_the_book_has_a_line_that_is_open():
    for verdict in undecided.open_verdicts():
        if verdict.verdict == "inconclusive":
            assert any(undecided.seeds_to_decide(condition) > condition.estimate.n for condition in verdict.conditions)
        assert verdict.verdict in verdicts.OF_THE_PAPER
