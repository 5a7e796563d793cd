"""The estimates of chapter 02 from a record that was made up, and each verdict both ways."""

import math

import numpy as np
import pytest
from scipy import stats

from bn.lab.judge import verdicts
from bn.lab.store import claims

MEASURED = [claim.id for claim in claims.of_chapter("motivation") if claim.measured]


def estimates(claim_id: str, record: dict) -> dict:
    return verdicts.estimates(claims.ledger()[claim_id], record)


def verdict(claim_id: str, record: dict) -> str:
    return verdicts.judge(claim_id, record).verdict


def t_interval(values) -> tuple[float, float]:
    return stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))


@pytest.mark.parametrize("claim_id", MEASURED)
def test_each_claim_holds_where_the_numbers_are_for_it(claim_id, made_up):
    assert verdict(claim_id, made_up) == "smaller"


def put(record: dict, path: str, value: object) -> dict:
    """The record with another value at a path of names and numbers."""
    *names, last = [int(name) if name.isdigit() else name for name in path.split(".")]
    at = record
    for name in names:
        at = at[name]
    at[last] = value
    return record


AGAINST = {  # a value that a line of its rule does not let through
    "batch-parallel-efficiency": [("batch.alone", [0.002, 0.0021, 0.0022])],
    "small-changes-amplify": [
        ("change.sigmoid.plain.change_of_first", [[1.0, 1.5]] * 2 + [[1.0, 1.6]]),
        ("change.relu.plain.change_of_first", [[1.0, 0.5]] * 2 + [[1.0, 0.6]]),
    ],
    "saturation-grows-with-depth": [
        ("depth.plain.1.saturated", [[0.1, 0.11], [0.1, 0.1], [0.1, 0.12]]),  # of the depth between
        ("depth.plain.1.gradient_ratio", [[1, 1.2], [1, 1.3], [1, 1.4]]),
        ("depth.plain.2.gradient_ratio", [[1, 0.19], [1, 0.2], [1, 0.21]]),  # it falls, but does not vanish
    ],
    "whitening-speeds-input": [("regression.raw.steps", [9, 10, 11])],
    "decorrelation-unneeded": [("regression.standardized.steps", [400, 400, 410])],
    "scale-variant-worse": [
        ("toy.loss", [0.1, 0.1, 0.11]),
        ("toy.step", [-0.1, -0.1, -0.11]),
        ("outside.networks.both_inside.loss", [[2.5, 1.2], [2.5, 1.21], [2.5, 1.22]]),
        ("outside.networks.both_outside.growth", [[1, 0.5], [1, 0.51], [1, 0.52]]),
        ("outside.networks.both_outside.loss", [[2.5, 2.0], [2.5, 2.1], [2.5, 2.05]]),
        ("outside.networks.mean_outside.loss", [[2.5, 50.0], [2.5, 51.0], [2.5, 55.0]]),
    ],
    "whitening-expensive": [
        ("cost.adds.whitening", [1_000, 4_100]),
        ("cost.seconds.bn", [[0.001, 0.5], [0.001, 0.51], [0.001, 0.52]]),
        ("derivative.size", [[0.5, 0.6], [0.5, 0.61], [0.5, 0.62]]),
    ],
}


@pytest.mark.parametrize(
    ("claim_id", "path", "value"), [(name, *change) for name, changes in AGAINST.items() for change in changes]
)
def test_each_line_of_each_rule_can_fail(claim_id, path, value, made_up):
    assert verdict(claim_id, put(made_up, path, value)) == "not"


def test_each_line_is_tried():
    assert {name: len(changes) for name, changes in AGAINST.items()} == {
        name: len(claims.ledger()[name].rule) for name in MEASURED
    }


def test_what_is_not_finite_decides_nothing(made_up):
    found = put(made_up, "outside.networks.both_outside.loss", [[2.5, None]] * 3)
    assert verdict("scale-variant-worse", found) == "inconclusive"


def test_saturation_is_what_training_adds_in_points(made_up):
    found = estimates("saturation-grows-with-depth", made_up)
    # 40 points in the deep network and 10 in the shallow one, times 0.9, 1 and 1.1
    assert found["added"].value == pytest.approx(30)
    assert (found["added"].low, found["added"].high) == pytest.approx(t_interval([27, 30, 33]))
    assert found["added_bn"].value == pytest.approx(0)
    assert (found["gradient"].value, found["gradient_bn"].value) == (pytest.approx(0.01), pytest.approx(2))
    assert found["accuracy_deep"].value == pytest.approx(20.03, abs=0.01)


def test_of_all_depths_the_one_counts_that_is_least_for_the_claim(made_up):
    found = estimates("saturation-grows-with-depth", made_up)
    assert (found["added_step"].low, found["added_step"].high) == pytest.approx(t_interval([4.5, 5, 5.5]))
    assert found["gradient_step"].value == pytest.approx(0.5)  # from 1 to 0.5, and then to 0.01
    made_up["depth"]["plain"][2]["gradient_ratio"] = [[1, 2], [1, 8], [1, 4]]
    found = estimates("saturation-grows-with-depth", made_up)
    ends = np.log([2 / 0.45, 8 / 0.5, 4 / 0.55])
    assert np.log(found["gradient_step"].value) == pytest.approx(ends.mean())
    assert np.log([found["gradient_step"].low, found["gradient_step"].high]) == pytest.approx(t_interval(ends))


def test_a_gradient_at_the_first_weights_is_of_those_that_are_trained_and_of_smaller_ones(made_up):
    made_up["depth"]["plain"][2]["gradient_ratio"] = [[0.5, 0.01]] * 3
    found = estimates("saturation-grows-with-depth", made_up)
    assert found["start"].value == pytest.approx(np.exp(np.log(0.5 / np.array([0.9, 1, 1.1])).mean()))
    assert found["start_small"].value == pytest.approx(1e-4)


def test_a_change_is_the_last_layer_over_the_first_and_a_gradient_the_other_way(made_up):
    made_up["change"]["relu"]["plain"]["change_of_first"] = [[0.1, 9, 0.2], [0.1, 9, 0.8], [0.1, 9, 0.4]]
    found = estimates("small-changes-amplify", made_up)
    logs = np.log([2, 8, 4])
    assert found["relu_plain"].value == pytest.approx(4)
    assert np.log([found["relu_plain"].low, found["relu_plain"].high]) == pytest.approx(t_interval(logs))
    assert found["all_relu_plain"].value == pytest.approx(30)
    assert found["spread_relu_plain"].value == pytest.approx(0.5)
    assert found["gradient_relu_plain"].value == pytest.approx(0.5)


def test_what_gets_worse_is_outside_over_inside_of_each_pair(made_up):
    found = estimates("scale-variant-worse", made_up)
    assert (found["loss_both"].value, found["loss_mean"].value) == (pytest.approx(20), pytest.approx(8))
    assert found["worse"].value == pytest.approx(2.5)
    made_up["outside"]["networks"]["mean_inside"]["loss"] = [[2.5, 0.1]] * 3
    assert estimates("scale-variant-worse", made_up)["worse"].value < 1
    assert found["growth_both"].value == pytest.approx(9 / 1.1)
    assert found["inference_loss_both_outside"].value == pytest.approx(2 * found["loss_both_outside"].value)
    assert found["inference_accuracy_mean_inside"].value == pytest.approx(42.5)
    assert found["slower_loss_both_outside"].value == pytest.approx(0.7, rel=0.01)


def test_steps_are_paired(made_up):
    made_up["regression"]["raw"]["steps"] = [100, 800, 400]
    made_up["regression"]["standardized"]["steps"] = [10, 20, 20]
    found = estimates("decorrelation-unneeded", made_up)
    assert found["fewer"].value == pytest.approx(math.exp(np.log([10, 40, 20]).mean()))
    assert found["correlation"].value == pytest.approx(0.6)
    assert estimates("whitening-speeds-input", made_up)["fewer"].value == pytest.approx(32e6 ** (1 / 3))


def test_a_cost_that_grows_by_one_power_more(made_up):
    """From 64 to 256 features: the ratio of times from 10 to 80, in each seed."""
    found = estimates("whitening-expensive", made_up)
    assert found["timed"].value == pytest.approx(math.log(8) / math.log(4))
    assert found["counted"].value == pytest.approx(math.log(5) / math.log(4))
    assert found["times"].value == pytest.approx(80, rel=0.01)
    assert found["derivative"].value == pytest.approx(-1.5)
    assert found["through_eigenvectors"].value == pytest.approx(1 / 3)
