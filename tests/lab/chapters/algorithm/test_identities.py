"""The measured identities hold by the book's rules; that a wrong line does not: tests/lab/test_mathematics.py."""

import numpy as np
import pytest

from bn.lab.chapters.algorithm import identities
from bn.lab.store import claims

SIZE = {"m": 12, "features": 3, "eps": 1e-5}


@pytest.fixture(scope="module")
def rules():
    return {claim.id: claim.rule for claim in claims.of_chapter("algorithm") if claim.kind == "mathematics"}


def holds(line, values):
    values = np.array(values)
    if line.relation == "at_most":
        return (values <= line.limit).all()
    assert line.relation == "at_least"
    return (values >= line.limit).all()


def broken(rules, measured):
    """Ids of the claims of which a condition does not hold for every seed."""
    return {
        claim for claim, rule in rules.items() if not all(holds(line, measured[claim][line.estimate]) for line in rule)
    }


@pytest.mark.parametrize("size", [SIZE, {"m": 60, "features": 8, "eps": 1e-5}, {"m": 3, "features": 1, "eps": 0.1}])
def test_every_claim_has_a_rule_and_it_holds(rules, size):
    measured = identities.measure(seeds=[0, 1, 2], **size)
    assert set(rules) == set(identities.CLAIMS) == set(measured)
    beside = {claim: set(measured[claim]) - {line.estimate for line in rules[claim]} for claim in rules}
    assert {claim: names for claim, names in beside.items() if names} == {"sigmoid-linear-regime": {"r2_wide"}}
    assert all(len(values) == 3 for named in measured.values() for values in named.values())
    assert broken(rules, measured) == set()


def test_the_line_through_the_sigmoid_agrees_with_plain_sampling():
    measured = identities.measure(seeds=[0], **SIZE)["sigmoid-linear-regime"]
    z = np.random.default_rng(0).normal(size=400_000)
    for name, std in (("r2_unit", 1), ("r2_wide", 5)):
        sampled = np.corrcoef(std * z, 1 / (1 + np.exp(-std * z)))[0, 1] ** 2
        assert measured[name][0] == pytest.approx(sampled, abs=3e-3)
    spread = [identities._r2(std, identities._adaptive) for std in (0.01, 1000.0)]  # nearly a line, nearly a step
    assert spread == pytest.approx([1, 2 / np.pi], abs=2e-3)


def test_the_limit_of_the_sigmoid_is_half_way_between_a_step_and_a_straight_line(rules):
    z = np.random.default_rng(1).normal(size=400_000)
    step = np.corrcoef(z, z > 0)[0, 1] ** 2
    limit = rules["sigmoid-linear-regime"][0].limit
    assert limit == pytest.approx((1 + step) / 2, abs=2e-3) and limit == pytest.approx((1 + 2 / np.pi) / 2, abs=1e-15)


def test_a_seed_gives_the_same_numbers_again():
    first, second = (identities.measure(seeds, **SIZE) for seeds in ([4, 5], [5]))
    for claim, named in first.items():
        assert {name: values[1:] for name, values in named.items()} == second[claim]
