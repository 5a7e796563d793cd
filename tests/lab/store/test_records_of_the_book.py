"""The committed records: whole, from clean files, by code that is here or computes the same, and judged."""

import re

import pytest
import yaml
from todays_code import today

from bn.lab import paths
from bn.lab.judge import curves, verdicts
from bn.lab.store import claims, records

COMMITTED = sorted(paths.RECORDS.glob("*/*.json"))
each_record = pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parent.name}/{path.stem}")


def codes(record: dict) -> list[str]:
    return record["provenance"]["code"].split(", ")


@each_record
def test_a_record_of_the_book_is_in_order(path):
    record = records.read(path)
    p = record["provenance"]
    assert (record["experiment"], record["scale"]) == (path.parent.name, path.stem)
    assert p["dirty"] is False, "made from files that were not committed"
    assert re.fullmatch(r"[0-9a-f]{10}(, [0-9a-f]{10})*", p["commit"])
    assert "NaN" not in path.read_text("utf-8") and "Infinity" not in path.read_text("utf-8")


@each_record
def test_a_record_of_the_book_is_by_the_code_of_today_or_by_code_that_computes_the_same(path):
    record = records.read(path)
    now = {(records.carried(name) or {"now": name})["now"] for name in codes(record)}
    assert now <= today(record["experiment"]), "made by other code than is here: make it again"


def test_what_is_carried_over_is_of_a_record_and_says_why():
    entries = yaml.safe_load((paths.RECORDS / "carried.yml").read_text("utf-8")) or {}
    made = [records.read(path) for path in COMMITTED]
    ruled = {digest for record in made for digest in record["rules"].values()}
    assert set(entries) <= {name for record in made for name in codes(record)} | ruled
    for name, entry in entries.items():
        assert set(entry) == {"now", "commit", "bytes", "why"} and entry["why"]
        assert entry["bytes"] in (True, False, None)
        assert re.fullmatch(r"[0-9a-f]{10}", entry["commit"]) and name != entry["now"]
        assert all(entry["now"] in today(record["experiment"]) for record in made if name in codes(record))
        assert name not in ruled or entry["now"] in {claim.digest for claim in claims.ledger().values()}


@each_record
def test_what_a_target_is_rounded_to_moves_no_estimate_that_anybody_sees(path, monkeypatch):
    """By this the rules of these records are carried over: without the rounding all is the same to three digits.

    The rule of bnx5-14x is not: an end of its interval moves in the third digit, so the card has its mark.
    """
    record = records.read(path)
    of_targets = [claim for claim in claims.of_chapter(record["experiment"]) if claim.kind == "measured" and claim.rule]
    if record["scale"] == "compiled" or not of_targets:
        return
    rounded = {claim.id: verdicts.judge(claim.id, record) for claim in of_targets}
    monkeypatch.setattr(curves, "_DIGITS", 17)
    for claim in (claim for claim in of_targets if not rounded[claim.id].rule_changed):
        exact = verdicts.judge(claim.id, record)
        assert exact.verdict == rounded[claim.id].verdict
        for one, other in zip(exact.conditions, rounded[claim.id].conditions, strict=True):
            ends = [(c.estimate.value, c.estimate.low, c.estimate.high) for c in (one, other)]
            assert ends[0] == pytest.approx(ends[1], rel=1e-3, nan_ok=True)


@each_record
def test_a_record_of_the_book_can_be_judged_and_tells_of_changed_rules(path):
    record = records.read(path)
    if not record["rules"]:  # what a compiler says decides nothing
        assert record["scale"] == "compiled"
        return
    for claim in claims.of_chapter(record["experiment"]):
        verdict, then = verdicts.judge(claim.id, record), record["rules"].get(claim.id)
        assert verdict.verdict in verdicts.VERDICTS
        rule, estimator = claim.digest.split("-")
        same = then and records.carried(then)
        then = same["now"] if same else then
        known = then in (f"{rule}-{estimator}", rule)  # early ones are of the rule alone
        assert verdict.rule_changed == (bool(claim.rule) and claim.kind != "arithmetic" and not known)
