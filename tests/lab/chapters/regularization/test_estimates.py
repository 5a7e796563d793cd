"""The estimates of section 3.4 from a record made by hand, intervals by scipy, and verdicts each way."""

import numpy as np
import pytest
from made_up import estimates, values
from scipy import stats

from bn.lab.chapters.regularization import EXPERIMENT
from bn.lab.judge import verdicts
from bn.lab.store import claims

CLAIMS = {claim.id: claim for claim in claims.of_chapter("regularization")}


def verdict(claim_id: str, record: dict) -> str:
    return verdicts.judge(claim_id, record).verdict


def shifted(record: dict, part: str, name: str, points: float) -> None:
    """So many points more of test accuracy in each evaluation of each seed."""
    record[part][name]["test"] = [[a + points / 100 for a in seed] for seed in record[part][name]["test"]]


def test_every_measured_claim_has_an_estimate_for_each_line(made):
    measured = {claim_id for claim_id, claim in CLAIMS.items() if claim.measured}
    assert measured == set(EXPERIMENT.estimates)
    for claim_id in measured:
        found = estimates(claim_id, made)
        assert all(np.isfinite(found[line.estimate].value) for line in CLAIMS[claim_id].rule)


def test_what_the_noise_gains_by_hand(made):
    found = estimates("regularizer-effect", made)
    gain = found["test_gain"]
    assert gain.value == pytest.approx(1.0)
    assert (gain.low, gain.high) == pytest.approx(stats.t.interval(0.95, 2, 1.0, stats.sem([1.0, 1.1, 0.9])))
    assert found["gap_change"].value == pytest.approx(-1.0)  # both know all training images
    assert found["own_gain"].value == pytest.approx(0.0, abs=1e-9)
    assert found["loss_ratio"].value == pytest.approx(0.8)


@pytest.mark.parametrize(("points", "expected"), [(0, "smaller"), (-1, "inconclusive"), (-2, "not")])
def test_the_noise_helps_or_not(made, points, expected):
    shifted(made, "groups", "16", points)
    assert verdict("regularizer-effect", made) == expected


def test_a_higher_accuracy_with_a_larger_gap_is_not_enough(made):
    made["groups"]["240"]["train"] = [[a - 0.05 for a in seed] for seed in made["groups"]["240"]["train"]]
    assert verdict("regularizer-effect", made) == "not"


def test_dropout_by_hand(made):
    found = values("regularizer-dropout", made)
    assert found == pytest.approx(
        {
            "gain_plain": 1.0,
            "gain_bn": -0.5,
            "without": 0.5,
            "interaction": 1.5,
            "replaced": 2.0,
            "same_interaction": 1.5,
        }
    )


@pytest.mark.parametrize(
    ("name", "points", "expected"),
    [
        ("bn", 0, "smaller"),
        ("bn", -0.5, "smaller"),  # no change: its interval is within the margin
        ("bn", -0.8, "inconclusive"),  # one of 0.3 is the margin
        ("bn", -1.4, "not"),
        ("plain_dropout", -1.0, "inconclusive"),  # Dropout gains nothing without BN either
        ("plain_dropout", -2.0, "not"),
    ],
)
def test_dropout_can_be_removed_or_not(made, name, points, expected):
    shifted(made, "own_rates", name, points)
    assert verdict("regularizer-dropout", made) == expected


def test_dropout_that_helps_both_alike_is_not_made_needless(made):
    """It gains 0.2 points in both: within the margin, but not by BN."""
    shifted(made, "own_rates", "plain_dropout", -0.8)
    shifted(made, "own_rates", "bn_dropout", 0.7)
    assert verdict("regularizer-dropout", made) == "inconclusive"


def test_the_worst_unit_of_both_layers_counts(made):
    found = values("inference-mean0-var1", made)
    assert found == pytest.approx(
        {"mean_worst": 0.031, "variance_worst": 0.031, "mean_median": 0.0031, "variance_median": 0.0031}
    )
    assert verdict("inference-mean0-var1", made) == "smaller"
    made["population"]["bn"] |= {"mean_worst": [[0.06, 0.0]] * 2 + [[0.061, 0.0]]}
    assert verdict("inference-mean0-var1", made) == "not"


def test_a_variance_that_is_off_is_enough_against_it(made):
    made["population"]["bn"]["variance_worst"] = [[0.0, 0.2 + k / 100] for k in range(3)]
    assert verdict("inference-mean0-var1", made) == "not"


def test_the_powers_by_hand(made):
    """Between 16 and 256 examples by 1 / m, but for a factor of 1, 1.1 and 1.2 at 16."""
    found = values("noise-strength", made)
    assert found["exponent"] == pytest.approx(-1 - np.log([1, 1.1, 1.2]).mean() / np.log(16))
    assert found["noise_exponent"] == pytest.approx(-1)
    assert verdict("noise-strength", made) == "smaller"


@pytest.mark.parametrize(("at_256", "expected"), [([0.06, 0.07, 0.08], "not"), ([1e-3, -1e-6, 1e-3], "inconclusive")])
def test_a_penalty_that_does_not_fall_or_is_no_penalty(made, at_256, expected):
    for seed, added in zip(made["noise"]["penalty"], at_256, strict=True):
        seed[4] = added
    assert verdict("noise-strength", made) == expected


@pytest.mark.parametrize(("variance", "expected"), [(0.7, "smaller"), (0.9, "inconclusive"), (0.99, "not")])
def test_the_shift_is_that_of_the_layer_behind_dropout(made, variance, expected):
    made["population"]["bn_dropout"]["variance"] = [[0.5, variance + k / 1000] for k in (-1, 0, 1)]
    assert estimates("dropout-variance-shift", made)["variance"].value == pytest.approx(variance, rel=1e-3)
    assert verdict("dropout-variance-shift", made) == expected
