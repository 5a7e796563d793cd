"""The estimates of section 3.3 from made-up records with known answers, and each verdict each way."""

import math

import numpy as np
import pytest
from scipy import stats

from bn.lab.judge import verdicts
from bn.lab.store import claims

RATES = [0.5, 1.0, 2.0, 4.0]
GOOD, SLOW, LOST = 0.9, 0.4, 0.1


def estimates(claim_id: str, record: dict) -> dict:
    return verdicts.estimates(claims.ledger()[claim_id], record)


def verdict(claim_id: str, record: dict) -> str:
    usual = {"scale": "cpu", "papers_own_size": False, "rules": {}}
    return verdicts.judge(claim_id, usual | record).verdict


def ladder(plain: list, bn: list, lost=()) -> dict:
    """Accuracies (depths, seeds, rates); `lost` are (depth, rate, seed) of plain networks that are no numbers."""

    def network(test: list, lost=()) -> dict:
        test = np.swapaxes(np.array(test, float), 1, 2)
        finite = np.ones(test.shape, bool)
        for at in lost:
            finite[at] = False
        return {"he": {"test": test.tolist(), "finite": finite.tolist()}}

    depths, seeds = [2, 5, 12][: len(plain)], list(range(len(plain[0])))
    networks = {"plain": network(plain, lost), "bn": network(bn)}
    return {"rates": {"firsts": ["he"], "rates": RATES, "depths": depths, "seeds": seeds, **networks}}


def test_a_threshold_needs_a_rate_that_learns_and_ruin_from_a_higher_one_on():
    seen, gap, never = [GOOD, SLOW, LOST, LOST], [LOST, GOOD, LOST, GOOD], [SLOW, SLOW, LOST, LOST]
    record = ladder([[seen, seen], [seen, gap], [seen, never]], [[[GOOD] * 4] * 2] * 3, lost=[(0, 3, 0)])
    found = estimates("high-lr-problems", record)
    assert found["broken"].values == (1, pytest.approx(1 / 3))
    assert found["broken_bn"].value == 0
    assert found["margin"].value == pytest.approx(4)  # ruined from 2.0 on, learned at 0.5
    assert found["exploded"].values == (pytest.approx(1 / 6), 0)


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ([[GOOD, LOST, LOST, LOST]] * 3, "smaller"),
        ([[GOOD, GOOD, GOOD, GOOD]] * 3, "not"),
        ([[GOOD, LOST, LOST, LOST], [GOOD] * 4, [GOOD, LOST, LOST, LOST]], "inconclusive"),
    ],
)
def test_verdicts_on_thresholds(seeds, expected):
    assert verdict("high-lr-problems", ladder([seeds] * 3, [seeds] * 3)) == expected


def test_weights_that_are_no_numbers_are_ruin_whatever_they_answer():
    record = ladder([[[GOOD, SLOW, SLOW, SLOW]] * 2], [[[GOOD] * 4] * 2], lost=[(0, 3, 0), (0, 3, 1)])
    assert estimates("high-lr-problems", record)["broken"].value == 1


def test_the_highest_rate_that_learns_and_half_the_smallest_where_none_does():
    plain = [[[GOOD, SLOW, LOST, LOST], [GOOD, GOOD, LOST, LOST]], [[SLOW] * 4, [SLOW] * 4]]
    bn = [[[GOOD] * 4, [GOOD] * 4], [[GOOD, GOOD, SLOW, LOST], [GOOD, LOST, GOOD, LOST]]]
    found = estimates("higher-rates-by-depth", ladder(plain, bn))
    assert found["shallow"].values == (pytest.approx(8), pytest.approx(4))
    assert found["deep"].values == (pytest.approx(4), pytest.approx(8))
    assert found["deep_plain"].value == pytest.approx(0.25)
    logs = np.log([8, 4])
    low = math.exp(stats.t.interval(0.95, 1, logs.mean(), stats.sem(logs))[0])
    assert found["least"].low == pytest.approx(low)


@pytest.mark.parametrize(
    ("bn", "expected"),
    [
        ([GOOD, GOOD, LOST, LOST], "smaller"),
        ([LOST, LOST, LOST, LOST], "not"),
        ([GOOD, LOST, LOST, LOST], "inconclusive"),
    ],
)
def test_verdicts_on_rates_hang_on_the_weakest_depth(bn, expected):
    plain = [[GOOD, LOST, LOST, LOST]] * 3
    assert verdict("higher-rates-by-depth", ladder([plain] * 2, [[[GOOD] * 4] * 3, [bn] * 3])) == expected


def looked(plain: dict, bn: dict) -> dict:
    """What was measured of three seeds at two depths, the smaller of which says something else."""

    def network(values: dict) -> dict:
        moments = {moment: {} for moment in ("first", "last")}
        for name in ("activations", "gradients", "centred"):
            for moment, of in moments.items():
                of[name] = [[99.0] * 3, values.get((name, moment), [1.0, 1.0, 1.0])]
                of |= {
                    kind: {
                        "near": [[0.9] * 3, values.get((kind, moment), [0.2, 0.3, 0.4])],
                        "median": [[9] * 3, [1, 2, 3]],
                    }
                    for kind in ("singular", "linear")
                }
        return moments

    return {"looked": {"plain": network(plain), "bn": network(bn)}}


def test_changes_are_compared_at_the_largest_depth_seed_by_seed():
    record = looked({("activations", "first"): [2.0, 4.0, 8.0]}, {("activations", "first"): [4.0, 4.0, 32.0]})
    found = estimates("bn-stops-amplification", record)
    assert found["activations_first"].values == (pytest.approx(2), pytest.approx(1), pytest.approx(4))
    assert found["activations_first"].value == pytest.approx(2)
    assert found["activations_first_plain"].value == pytest.approx(4)
    assert found["gradients_last"].value == 1


SMALLER = {(name, moment): [0.5, 0.6, 0.7] for name in ("activations", "gradients") for moment in ("first", "last")}


@pytest.mark.parametrize("changed", SMALLER)
def test_bn_must_have_the_smaller_change_in_all_four(changed):
    assert verdict("bn-stops-amplification", looked({}, SMALLER)) == "smaller"
    assert verdict("bn-stops-amplification", looked({}, SMALLER | {changed: [1.5, 1.6, 1.7]})) == "not"
    assert verdict("bn-stops-amplification", looked({}, SMALLER | {changed: [0.5, 1.0, 1.9]})) == "inconclusive"
    assert verdict("bn-stops-amplification", looked({}, SMALLER | {changed: [0.5, None, 0.5]})) == "inconclusive"


def test_singular_values_are_told_and_not_judged():
    record = looked({("linear", "last"): [0.1, 0.1, 0.4]}, {})
    found = estimates("jacobian-singular-values-near-1", record)
    assert found["linear_near_plain_last"].value == pytest.approx(0.2) and found["linear_near_plain_last"].low == 0
    assert found["near_bn_first"].value == pytest.approx(0.3) and found["linear_median_bn_first"].value == 2
    assert verdict("jacobian-singular-values-near-1", record) == "open"
    assert verdicts.judge("jacobian-singular-values-near-1", None).verdict == "open"
    assert not verdicts.of_the_paper_alone(claims.ledger()["jacobian-singular-values-near-1"])


def deepest(factors: list) -> dict:
    """Gradients of four layers that grow by a factor with each, another one for each seed."""
    rows = [[factor**3, factor**2, factor, 1.0] for factor in factors]
    return {"deepest": {"depth": 4, "plain": {"gradient": [[1.0] * 4] * len(rows)}, "bn": {"gradient": rows}}}


@pytest.mark.parametrize(
    ("factors", "expected"),
    [([1.2, 1.21, 1.22], "smaller"), ([1.0, 1.01, 1.02], "not"), ([1.0, 1.1, 1.3], "inconclusive")],
)
def test_the_growth_of_the_gradient_is_by_layer(factors, expected):
    found = estimates("bn-gradients-explode", deepest(factors))
    assert found["layer_bn"].values == pytest.approx(tuple(factors))
    assert found["whole_bn"].value == pytest.approx(stats.gmean(factors) ** 3)
    assert (found["layer_plain"].value, found["whole_plain"].value) == (1, 1)
    assert verdict("bn-gradients-explode", deepest(factors)) == expected
