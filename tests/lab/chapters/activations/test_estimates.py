"""The estimates of section 4.1 from made-up records with known answers; intervals by scipy."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from torch import nn

from bn.lab.chapters.activations.estimates import final, look_gaps
from bn.lab.judge import verdicts
from bn.lab.store import claims


def estimates(claim_id: str, record: dict) -> dict:
    return verdicts.estimates(claims.ledger()[claim_id], record)


def verdict(claim_id: str, record: dict) -> str:
    usual = {"scale": "cpu", "papers_own_size": False, "rules": claims.rule_digests()}
    return verdicts.judge(claim_id, usual | record).verdict


def test_the_final_accuracy_is_the_mean_of_ten():
    assert final([9.0] * 5 + [1.0] * 9 + [2.0]) == pytest.approx(1.1)
    assert final([0.25, 0.75]) == 0.5


def rising(from_step: int, low=0.2, high=0.97, n=51) -> list[float]:
    return [high if k >= from_step else low for k in range(n)]


def network(test: list, validation: list) -> dict:
    return {"steps": [10 * k for k in range(len(test[0]))], "test": test, "validation": validation}


def t_interval(values: list[float]) -> tuple[float, float]:
    return stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))


@pytest.mark.parametrize(("claim_id", "part"), [("fig1a-accuracy", "figure1"), ("own-best-speed", "tuned")])
def test_speed_by_hand(claim_id, part):
    """BN is at 97% from evaluation 1 or 2 on, the plain network from 30 on or never."""
    plain = network([rising(30, high=0.9)] * 2, [rising(30), rising(99)])
    bn = network([rising(1), rising(2, high=0.96)], [rising(1), rising(2)])
    found = estimates(claim_id, {part: {"plain": plain, "bn": bn}})
    # Three evaluations at the target make the median: 1 + 2, 2 + 2 and 30 + 2; never counts as 500 steps.
    logs = np.log([30 / 320, 40 / 500])
    assert found["steps_ratio"].value == pytest.approx(math.exp(logs.mean()))
    assert np.log([found["steps_ratio"].low, found["steps_ratio"].high]) == pytest.approx(t_interval(logs))
    assert found["final_gain"].value == pytest.approx(6.5)
    assert (found["final_gain"].low, found["final_gain"].high) == pytest.approx(t_interval([7, 6]))
    assert (found["reached_plain"].value, found["reached_bn"].value) == (0.5, 1)


def test_a_bn_network_that_never_gets_there_counts_its_whole_run_and_does_not_win():
    plain = network([rising(30)] * 3, [rising(30 + k) for k in range(3)])
    bn = network([rising(1)] * 3, [rising(99)] * 3)
    record = {"figure1": {"plain": plain, "bn": bn}}
    expected = np.exp(np.mean(np.log([500 / 320, 500 / 330, 500 / 340])))
    assert estimates("fig1a-accuracy", record)["steps_ratio"].value == pytest.approx(expected)
    assert verdict("fig1a-accuracy", record) == "not"


def drifting(drift: list, **more) -> dict:
    usual = {f"drift_{name}": [1.0] * len(drift) for name in ("kolmogorov", "to_final", "later")}
    return usual | {"drift": drift} | more


@pytest.mark.parametrize(("claim_id", "part"), [("fig1bc-stability", "figure1"), ("fig1bc-stability-tuned", "tuned")])
def test_stability_is_of_the_median_unit_paired_by_seed(claim_id, part):
    plain = drifting([[1, 2, 9], [3, 4, 5], [8, 8, 8]], drift_kolmogorov=[0.5, 0.5, 0.5])
    bn = drifting([[1, 1, 1], [0, 1, 7], [0, 2, 2]], drift_kolmogorov=[0.2, 0.2, 0.2])
    found = estimates(claim_id, {part: {"plain": plain, "bn": bn}})
    logs = np.log([1 / 2, 1 / 4, 2 / 8])
    assert found["drift_ratio"].value == pytest.approx(np.exp(logs.mean()))
    assert np.log([found["drift_ratio"].low, found["drift_ratio"].high]) == pytest.approx(t_interval(logs))
    assert (found["drift_plain"].value, found["drift_bn"].value) == (pytest.approx(14 / 3), pytest.approx(4 / 3))
    assert found["kolmogorov_ratio"].value == pytest.approx(0.4)
    assert found["later_ratio"].value == found["to_final_ratio"].value == 1


@pytest.mark.parametrize(
    ("claim_id", "part"), [("baseline-mean-var-drift", "figure1"), ("baseline-mean-var-drift-tuned", "tuned")]
)
def test_shift_and_growth_by_hand(claim_id, part):
    """The median unit of each seed, then the mean over seeds, of growth the geometric one."""
    plain = {"mean_shift": [[0, 1, 8], [2, 3, 9]], "std_growth": [[1, 2, 3], [1, 8, 9]]}
    bn = {"mean_shift": [[0, 0, 5], [0, 1, 1]], "std_growth": [[1, 1, 1]] * 2}
    found = estimates(claim_id, {part: {"plain": plain, "bn": bn}})
    values = {name: pytest.approx(e.value) for name, e in found.items()}
    assert values == {"mean_shift": 2, "std_growth": 4, "mean_shift_bn": 0.5, "std_growth_bn": 1}
    assert np.log([found["std_growth"].low, found["std_growth"].high]) == pytest.approx(t_interval(np.log([2, 8])))


def test_a_diverged_network_is_no_success_and_no_crash():
    """What was not finite stands as None in a record: nothing is known of it."""
    broken = drifting([[None, 1, 2]] * 2, mean_shift=[[None, 1, 2]] * 2, std_growth=[[None, 1, 2]] * 2)
    for name in ("fig1bc-stability", "baseline-mean-var-drift"):
        assert verdict(name, {"figure1": {"plain": broken, "bn": broken}}) == "inconclusive"


def followed(gaps: list, slow: list) -> dict:
    """BN whose moving averages are so many points (seeds, looks) above population statistics of 90%."""
    above = [[[0.9 + g / 100 for g in of_looks] for of_looks in pair] for pair in zip(gaps, slow, strict=True)]
    looks = [2, 20, 60, 100]
    network = {"look_steps": looks, "steps": [0, 100], "population": [[0.9] * 4] * len(gaps), "moving": above}
    return {"figure1": {"bn": network}}


def test_moving_averages_are_judged_by_the_worst_look_after_the_warm_up():
    gaps = [[5.0, 5.0, -0.1, 0.05], [6.0, 7.0, -0.2, 0.05], [4.0, 6.0, -0.15, 0.05]]
    slow = [[9.0, 1.0, 2.0, 1.0]] * 3
    found = estimates("moving-averages", followed(gaps, slow))
    assert found["gap"].value == pytest.approx(-0.15)
    assert (found["gap"].low, found["gap"].high) == pytest.approx(t_interval([-0.1, -0.2, -0.15]))
    assert found["early_gap"].value == pytest.approx(6)  # the looks at 2% and at 20%
    assert (found["gap_slow"].value, found["early_gap_slow"].value) == (pytest.approx(2), pytest.approx(9))
    assert verdict("moving-averages", followed(gaps, slow)) == "smaller"
    np.testing.assert_allclose(look_gaps(followed(gaps, slow)["figure1"]["bn"], 1), slow)


@pytest.mark.parametrize(
    ("worst", "expected"), [([0.5, 0.4, 0.45], "not"), ([0.1, 0.5, 0.2], "inconclusive"), ([0.1, 0.1, 0.2], "smaller")]
)
def test_a_gap_must_lie_within_its_limit_with_both_ends(worst, expected):
    gaps = [[0.0, 0.0, 0.0, gap] for gap in worst]
    assert verdict("moving-averages", followed(gaps, gaps)) == expected


def test_settings_ahead_and_passed():
    """Of four settings BN is ahead in all four with one seed, and in three with the other: ties do not count."""
    plain = {"area": [[0.5, 0.5]] * 4, "test": [[0.94, 0.96], [0.9, 0.9], [0.97, 0.97], [0.1, 0.1]]}
    bn = {"area": [[0.6, 0.6]] * 3 + [[0.6, 0.5]], "test": [[0.95, 0.96]] * 3 + [[0.9, 0.94]]}
    found = estimates("ahead-at-most-settings", {"grid": {"plain": plain, "bn": bn}})
    assert found["cells_ahead"].value == pytest.approx(0.875) and found["cells_ahead"].n == 2
    assert found["cells_ahead"].high == 1  # cut where no share can be
    assert (found["passed_bn"].value, found["passed_plain"].value) == (0.75, pytest.approx((0.25 + 0.5) / 2))


def test_the_highest_rate_is_the_last_that_passes():
    """With a gap in the ladder; and half the smallest rate where none passes."""
    rates = [0.5, 1.0, 2.0, 4.0]
    bn = {"test": [[0.96, 0.96], [0.9, 0.96], [0.95, 0.96], [0.2, 0.96]]}
    plain = {"test": [[0.96, 0.9], [0.9, 0.9], [0.9, 0.9], [0.1, 0.1]]}
    found = estimates("higher-lr-no-divergence", {"ladder": {"rates": rates, "plain": plain, "bn": bn}})
    logs = np.log([2 / 0.5, 4 / 0.25])
    assert found["rate_ratio"].value == pytest.approx(np.exp(logs.mean()))
    assert np.log([found["rate_ratio"].low, found["rate_ratio"].high]) == pytest.approx(t_interval(logs))
    assert found["highest_bn"].value == pytest.approx(np.sqrt(2 * 4))


def test_the_range_over_first_weights():
    bn = {"test": [[0.97, 0.96], [0.95, 0.96], [0.96, 0.92]]}
    plain = {"test": [[0.97, 0.97], [0.10, 0.57], [0.90, 0.90]]}
    found = estimates("less-care-initialization", {"spread": {"plain": plain, "bn": bn}})
    assert found["range_ratio"].value == pytest.approx(math.sqrt(0.02 / 0.87 * 0.04 / 0.40))
    assert (found["range_bn"].value, found["range_plain"].value) == (pytest.approx(3), pytest.approx(63.5))


def test_the_weakest_optimizer_decides():
    """That with the lowest lower end, though another has the lower mean."""
    by_name = {
        "sgd": {"bn": {"test": [0.960, 0.961, 0.960]}, "plain": {"test": [0.95, 0.95, 0.95]}},
        "momentum": {"bn": {"test": [0.97, 0.97, 0.97]}, "plain": {"test": [0.98, 0.98, 0.98]}},
        "adagrad": {"bn": {"test": [0.99, 0.93, 0.98]}, "plain": {"test": [0.9, 0.9, 0.9]}},
        "adam": {"bn": {"test": [0.97, 0.97, 0.97]}, "plain": {"test": [0.97, 0.97, 0.97]}},
    }
    found = estimates("any-optimizer", {"optimizers": {"by_name": by_name}})
    assert found["lowest"].value == pytest.approx(96.67, abs=0.01)
    assert (found["lowest"].low, found["lowest"].high) == (pytest.approx(t_interval([99, 93, 98])[0]), 100)
    assert found["gain_momentum"].value == pytest.approx(-1) and found["gain_adam"].value == 0


def test_the_network_of_section_4_1_is_counted():
    """Beside the layers of torch, and the epochs of 60,000 images."""
    widths = [784, 100, 100, 100, 10]
    layers = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(widths)))
    found = estimates("mnist-setup", {})
    assert found["parameters"].value == sum(p.numel() for p in layers.parameters())
    assert (found["epochs"].value, found["images"].value) == (50, 60_000)
