"""The ledger and the list of the paper's claims in book/paper.tsv hold the same, either way.

The list was made by reading the paper from abstract to appendix, before the ledger. Where a claim says two things, the
ledger has a claim more, and the list says of which of the paper's it is a part.
"""

import csv
from collections import Counter

import pytest

from bn.lab import paths
from bn.lab.store import claims

LISTED = {
    row["id"]: row for row in csv.DictReader((paths.ROOT / "book" / "paper.tsv").open(encoding="utf-8"), delimiter="\t")
}
LEDGER = {claim.id: claim for claim in claims.ledger().values() if claim.of_the_paper}
OF_THE_PAPER = [name for name, row in LISTED.items() if not row["part_of"]]


def test_no_claim_of_the_paper_is_missing_and_none_is_beside_the_list():
    assert sorted(set(LISTED) - set(LEDGER)) == [] and sorted(set(LEDGER) - set(LISTED)) == []


def test_the_paper_has_134_claims():
    assert len(OF_THE_PAPER) == 134
    kinds = Counter(LISTED[name]["kind"] for name in OF_THE_PAPER)
    assert kinds["mathematics"] == 50 and kinds["open"] >= 4 and set(kinds) <= set(claims.KINDS)


@pytest.mark.parametrize("name", LISTED)
def test_a_claim_stands_where_the_list_has_it_and_is_of_that_kind(name):
    row, claim = LISTED[name], LEDGER[name]
    assert (claim.section, claim.kind) == (row["section"], row["kind"])
    assert not row["part_of"] or row["part_of"] in OF_THE_PAPER


def test_no_verdict_is_typed():
    """A claim has no field for it: what stands in the ledger is judged from a record, or follows from the kind."""
    fields = {field for claim in LEDGER.values() for field in vars(claim)}
    assert not {field for field in fields if "verdict" in field}
    assert all(claim.rule for claim in LEDGER.values() if claim.kind not in claims.WITHOUT_RULE)
