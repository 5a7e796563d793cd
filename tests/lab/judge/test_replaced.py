"""Verdicts by replaced rules: kept before the rule goes, never lost, and shown with the reason."""

import json
import math
import subprocess
import sys

import pytest

from bn.lab import paths
from bn.lab.judge import replaced, verdicts
from bn.lab.store import claims, provenance, records
from bn.lab.store.claims import Claim, ClaimsError, Line

OF_THE_PAPER = [claim for claim in claims.ledger().values() if claim.kind != "target"]
each_claim = pytest.mark.parametrize("claim", OF_THE_PAPER, ids=lambda claim: claim.id)


# ---- Those of the book ---------------------------------------------------------------------------


def test_no_claim_whose_verdict_was_kept_has_gone():
    assert set(claims.replaced()) <= {claim.id for claim in OF_THE_PAPER}
    assert len(claims.replaced()) >= 64  # as many as there were when rules began to be replaced


@each_claim
def test_a_rule_that_differs_from_the_one_that_was_kept_says_why(claim):
    """The reason is new with each rule; what had not been run was decided by none."""
    entries = claims.replaced().get(claim.id)
    if not entries or replaced.same_rule(entries[-1], claim) or entries[-1]["verdict"] == "notrun":
        return
    assert claim.replaced and claim.replaced != entries[-1]["replaced"], "say in `replaced` why the rule is another"


@each_claim
def test_a_reason_has_an_earlier_verdict_of_another_rule_beside_it(claim):
    assert bool(claim.replaced) == bool(replaced.of(claim))
    for earlier in replaced.of(claim):
        assert earlier.verdict.verdict != "notrun" and earlier.verdict.conditions and earlier.why


@each_claim
def test_what_was_kept_is_what_the_same_rule_says_of_the_same_record_today(claim):
    record, last = records.deciding(claim.experiment), (claims.replaced().get(claim.id) or [None])[-1]
    if not (last and record and replaced.same_rule(last, claim) and last["record"]):
        return
    if last["record"]["sha256"] != record["sha256"]:
        return
    today = verdicts.judge(claim.id, record)
    for line, condition in zip(last["lines"], today.conditions, strict=True):
        found = condition.estimate
        for name, number in (("value", found.value), ("low", found.low), ("high", found.high)):
            was = line["estimate"][name]
            assert math.isnan(number) if was is None else number == pytest.approx(was, rel=1e-4)
        assert (line["limit"], line["relation"]) == (condition.line.limit, condition.line.relation)
    if not claim.exact:  # arithmetic has words of its own since
        assert today.verdict == last["verdict"], "say in `replaced` why the verdict is another"


# ---- Of a claim of its own -----------------------------------------------------------------------


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book of one claim, without kept verdicts; a function that gives it another rule."""
    record = {
        **{"experiment": "algorithm", "scale": "cpu", "dataset": "mnist", "papers_own_size": False},
        **{"asked": {"steps": 10, "seeds": [0, 1]}, "rules": {}, "provenance": {"commit": "a", "finished": "today"}},
        **{"measured": {"made-up": {"effect": [2.0, 3.0]}}, "sha256": "b"},
    }
    monkeypatch.setattr(paths, "RECORDS", tmp_path)
    monkeypatch.setattr(records, "deciding", lambda experiment: record)
    monkeypatch.setattr(provenance, "source", lambda: {"commit": "0123456789", "dirty": False})

    def ruled(limit: float, why: str | None = None, measure="how") -> Claim:
        rule = (Line("effect", "an effect", "at_least", limit),)
        claim = Claim("algorithm", "made-up", "3", "mathematics", "it is so", "-", measure, rule, replaced=why)
        monkeypatch.setattr(claims, "ledger", lambda: {"made-up": claim})
        return claim

    return ruled


def kept() -> list[dict]:
    return json.loads((paths.RECORDS / replaced.FILE).read_text("utf-8"))["made-up"]


def test_the_list_of_a_claim_grows_and_keeps_what_was_there(book):
    book(1.0)
    assert replaced.keep([]) == ["made-up"] and replaced.keep([]) == []
    (first,) = kept()
    book(2.5, "It was too easy.")
    assert replaced.keep(["made-up"]) == ["made-up"] and replaced.keep(["made-up"]) == []
    assert kept()[0] == first and [entry["verdict"] for entry in kept()] == ["verified", "not"]


def test_each_rule_is_shown_with_the_reason_that_the_next_one_gives(book):
    for limit, why in ((1.0, None), (2.5, "It was too easy."), (1.5, "It was too hard.")):
        claim = book(limit, why)
        replaced.keep([])
    found = replaced.of(claim)
    assert [earlier.why for earlier in found] == ["It was too easy.", "It was too hard."]
    assert [earlier.verdict.conditions[0].line.limit for earlier in found] == [1.0, 2.5]
    assert [earlier.verdict.verdict for earlier in found] == ["verified", "not"]
    later = replaced.of(book(1.0, "It was wrong.", measure="otherwise"))
    assert [earlier.why for earlier in later] == ["It was too easy.", "It was too hard.", "It was wrong."]


def test_what_is_shown_is_the_claim_the_rule_and_the_estimate_of_that_time(book):
    book(1.0, measure="as it was then")
    replaced.keep([])
    (earlier,) = replaced.of(book(9.0, "It was too easy."))
    (condition,) = earlier.verdict.conditions
    assert (condition.value, condition.estimate.low, condition.estimate.high, condition.estimate.n) == (
        2.0,
        2.0,
        3.0,
        2,
    )
    assert (condition.line.label, condition.line.relation) == ("an effect", "at_least") and condition.holds
    assert earlier.verdict.claim.measure == "as it was then"
    assert earlier.record["asked"] == {"steps": 10, "seeds": [0, 1]} and earlier.record["commit"] == "a"


def test_a_claim_with_the_rule_that_it_always_had_has_no_earlier_verdict(book):
    claim = book(1.0)
    replaced.keep([])
    assert replaced.of(claim) == [] == replaced.of(book(1.0, "A reason without another rule."))


def test_nothing_is_kept_of_files_that_are_not_committed_or_of_a_claim_that_there_is_not(book, monkeypatch):
    book(1.0)
    with pytest.raises(ClaimsError, match="no claim of the paper is called made-down"):
        replaced.keep(["made-down"])
    for dirty in (True, None):
        monkeypatch.setattr(provenance, "source", lambda dirty=dirty: {"commit": "0123456789", "dirty": dirty})
        with pytest.raises(ClaimsError, match="a verdict is kept of files that are committed"):
            replaced.keep([])
    assert not list(paths.RECORDS.iterdir())


def test_a_wrong_name_ends_the_command_with_one_sentence():
    command = [sys.executable, "-m", "bn.lab.judge.replaced", "no-such-claim"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=paths.ROOT)
    assert ended.returncode == 1 and ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1
