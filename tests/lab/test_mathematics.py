"""Every mathematical claim, by its name: it holds in float64 by the book's rule, and does not once it is broken."""

import importlib
from functools import cache

import mutations
import pytest

from bn.lab import registry
from bn.lab.judge import identities, verdicts
from bn.lab.store import claims

MATHEMATICS = {claim.id: claim for claim in claims.ledger().values() if claim.kind == "mathematics"}
OF_RECORDS = {"ensemble-6-mean-is-probability"}  # of trained networks: tests/lab/chapters/ensemble/test_estimates.py
NAMED = sorted(set(MATHEMATICS) - OF_RECORDS)


@cache
def of_chapter(name):
    return importlib.import_module(f"bn.lab.chapters.{name}.identities"), mutations.of_chapter(name)


def verdict(claim_id, claims_of):
    """The verdict on a claim by the functions of a module, on small cases of two seeds."""
    name = MATHEMATICS[claim_id].experiment
    _, broken = of_chapter(name)
    cases = [broken.draw(seed) for seed in (0, 1)]
    measured = identities.of_cases({claim_id: claims_of[claim_id]}, cases)
    record = {"experiment": name, "scale": "smoke", "rules": {}, "papers_own_size": False, "measured": measured}
    return verdicts.judge(claim_id, record).verdict


@pytest.mark.parametrize("claim_id", NAMED)
def test_it_holds(claim_id):
    module, _ = of_chapter(MATHEMATICS[claim_id].experiment)
    assert verdict(claim_id, module.CLAIMS) == "verified"


@pytest.mark.parametrize("claim_id", NAMED)
def test_broken_on_purpose_it_does_not(claim_id):
    module, broken = of_chapter(MATHEMATICS[claim_id].experiment)
    assert broken.MUTATIONS[claim_id], "nothing breaks it"
    for mutation in broken.MUTATIONS[claim_id]:
        with mutations.broken(mutation) as wrong:
            claims_of = wrong.CLAIMS if mutation.module == module.__name__ else module.CLAIMS
            assert verdict(claim_id, claims_of) == "not", mutation
    assert verdict(claim_id, module.CLAIMS) == "verified"  # all is as it was


def test_each_identity_has_a_claim_and_each_mutation_an_identity():
    names = {claim.experiment for claim in MATHEMATICS.values() if claim.id not in OF_RECORDS}
    for name in names:
        module, broken = of_chapter(name)
        of_this = {claim_id for claim_id in NAMED if MATHEMATICS[claim_id].experiment == name}
        assert set(module.CLAIMS) == set(broken.MUTATIONS) == of_this
    assert names <= set(registry.names())
