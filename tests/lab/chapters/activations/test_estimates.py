"""The estimates of section 4.1 by hand."""

import math

import pytest

from bn.lab.chapters.activations.estimates import final
from bn.lab.judge import verdicts
from bn.lab.store import claims


def estimates(claim_id: str, record: dict) -> dict:
    return verdicts.estimates(claims.ledger()[claim_id], record)


def test_the_final_accuracy_is_the_mean_of_ten():
    assert final([9.0] * 5 + [1.0] * 9 + [2.0]) == pytest.approx(1.1)
    assert final([0.25, 0.75]) == 0.5


def network(test, validation, **more) -> dict:
    return {"steps": [10 * k for k in range(len(test[0]))], "test": test, "validation": validation, **more}


def rising(from_step: int, low=0.2, high=0.97, n=51) -> list[float]:
    return [high if k >= from_step else low for k in range(n)]


def figure1(plain: dict, bn: dict, **more) -> dict:
    usual = {"scale": "cpu", "papers_own_size": False, "rules": claims.rule_digests()}
    return usual | {"figure1": {"plain": plain, "bn": bn}} | more


def test_figure_1a_by_hand():
    """BN is at 97% from evaluation 1 or 2 on, the plain network from 30 on or never."""
    plain = network([rising(30, high=0.9)] * 2, [rising(30), rising(99)])
    bn = network([rising(1), rising(2)], [rising(1), rising(2)])
    found = estimates("fig1a-accuracy", figure1(plain, bn))
    # At 2% of the training, evaluation 1, the second seed of BN is not yet ahead.
    assert found["seeds_ahead"].value == 0.5 and found["seeds_ahead"].n == 2
    # Three evaluations at the target make the median: 1 + 2, 2 + 2 and 30 + 2; never counts as 500 steps.
    assert found["steps_ratio"].value == pytest.approx((30 + 40) / (320 + 500))
    assert found["final_gain"].value == pytest.approx(7)


def test_a_bn_network_that_never_gets_there_does_not_win():
    plain = network([rising(30)], [rising(30)])
    bn = network([rising(1)], [rising(99)])
    assert estimates("fig1a-accuracy", figure1(plain, bn))["steps_ratio"].value == math.inf
    assert verdicts.judge("fig1a-accuracy", figure1(plain, bn)).verdict == "not"


def test_drift_and_growth_by_hand():
    """The median unit of each seed, then the mean over seeds."""
    plain = {"drift": [[1, 2, 9], [3, 4, 5]], "mean_shift": [[0, 1, 8], [2, 3, 9]], "std_growth": [[1, 2, 3]] * 2}
    bn = {"drift": [[1, 1, 1], [0, 2, 7]], "mean_shift": [[0, 0, 5], [0, 1, 1]], "std_growth": [[1, 1, 1]] * 2}
    record = figure1(plain, bn)
    found = estimates("fig1bc-stability", record)
    assert (found["drift_plain"].value, found["drift_bn"].value) == (3, 1.5)
    assert found["drift_ratio"].value == 0.5
    found = estimates("baseline-mean-var-drift", record)
    assert {name: e.value for name, e in found.items()} == {
        "mean_shift": 2,
        "std_growth": 2,
        "mean_shift_bn": 0.5,
        "std_growth_bn": 1,
    }


def test_a_diverged_network_is_no_success_and_no_crash():
    """What was not finite stands as None in a record."""
    broken = {"drift": [[None, 1, 2]], "mean_shift": [[None, 1, 2]], "std_growth": [[None, 1, 2]]}
    for name in ("fig1bc-stability", "baseline-mean-var-drift"):
        assert verdicts.judge(name, figure1(broken, broken)).verdict == "not"
