"""The measured identities: they hold by the book's rules, and a wrong reference does not get past them."""

import inspect

import numpy as np
import pytest

from bn import reference
from bn.lab.chapters.algorithm import case, gradients, identities
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


@pytest.mark.parametrize(
    ("line", "wrong", "noticed_by"),
    [
        ("np.sqrt(sigma2_B + eps)  # line 3", "(np.sqrt(sigma2_B) + eps)", "alg1-transform"),
        ("np.sqrt(sigma2_B + eps)  # line 3", "np.sqrt(sigma2_B + 2 * eps)", "eps-role"),
        ("rows.sum(0) / m  # Algorithm 1, line 1", "np.median(rows, 0)", "zero-sum-unit-square"),
        ("** 2).sum(0) / m  # line 2", "** 2).sum(0) / (m - 1)", "conv-effective-batch"),
        ("gamma * x_hat + beta  # line 4", "gamma * (x_hat + beta)", "identity-recoverable"),
        ("rows - mu_B) / np.sqrt", "rows) / np.sqrt", "bias-redundant"),
        ("np.sqrt(sigma2_B + eps)  # line 3", "np.sqrt(1 + eps)", "scale-invariance"),
        ("x_hat = (rows - mu_B)", "x_hat = (rows - mu_B).round(3)", "bn-couples-examples"),
        ("x_hat = (rows - mu_B)", "x_hat = np.arange(m)[:, None] + (rows - mu_B)", "joint-not-fixed"),
        ("dx_hat = dy * gamma", "dx_hat = dy", "grad-xhat"),
        ("(-3 / 2)", "(-1 / 2)", "grad-var"),
        ("(-dx_hat / np.sqrt", "(dx_hat / np.sqrt", "grad-mean"),
        (" + dsigma2_B * 2 * (x - mu_B) / m", "", "grad-input"),
        (" + dmu_B / m", "", "grad-input-sums-zero"),
        (" + dmu_B / m", "", "grad-compact"),
        ("(dy * x_hat).sum(0)", "(dy * x).sum(0)", "grad-gamma"),
        ("dbeta = dy.sum(0)", "dbeta = dy.mean(0)", "grad-beta"),
        ("m / (m - 1) * sigma2_B", "sigma2_B", "unbiased-variance"),
        ("mean = mu_B.mean(0)", "mean = mu_B[0]", "population-statistics"),
        ("slope * rows + offset", "slope * (rows - rows.mean(0))", "inference-deterministic"),
        ("slope * rows + offset", "abs(slope * rows + offset)", "inference-linear"),
        ("beta - slope * mean", "beta - mean", "fold-into-previous-layer"),
    ],
)
def test_a_wrong_reference_is_noticed(monkeypatch, rules, line, wrong, noticed_by):
    source = inspect.getsource(reference)
    assert source.count(line) == 1
    mutant = type(reference)("mutant")
    exec(source.replace(line, wrong), mutant.__dict__)
    for module in (case, gradients, identities):
        monkeypatch.setattr(module, "reference", mutant)
    drawn = case.draw(seed=0, **SIZE)
    result = {name: [value] for name, value in identities.CLAIMS[noticed_by](drawn).items()}
    assert noticed_by in broken({noticed_by: rules[noticed_by]}, {noticed_by: result})


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
