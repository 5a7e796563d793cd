"""How curves are read, from curves drawn by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import network, rising

from bn.lab.judge import curves

# ---- One curve -----------------------------------------------------------------------------------


def test_the_running_median_looks_back_over_five():
    accuracy = [0.1, 0.9, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert curves.running_median(np.array(accuracy))[4:].tolist() == [0.3, 0.4, 0.4]


@given(st.lists(st.floats(0, 1), min_size=5, max_size=30), st.floats(0, 1))
def test_steps_to_a_target(accuracy, target):
    steps = [10 * k for k in range(len(accuracy))]
    full = [k for k in range(4, len(steps)) if np.median(accuracy[k - 4 : k + 1]) >= target]
    found = curves.steps_to(steps, accuracy, target)
    early = [k for k in (2, 3) if sum(a >= target for a in accuracy[: k + 1]) >= 3]  # three of five are enough
    assert found == (10 * min(full + early) if full + early else math.inf)


def test_one_lucky_evaluation_does_not_count():
    assert curves.steps_to([0, 1, 2, 3, 4, 5], [0, 0, 0.99, 0, 0, 0], 0.95) == math.inf


def test_the_peak_is_the_largest_running_median():
    assert curves.peak([0.1, 0.2, 0.9, 0.3, 0.4, 0.5, 0.2]) == 0.4
    assert curves.peak([0.5, 0.6, 0.7]) == 0.5  # three of five are enough
    assert curves.peak([0.5, 0.6, 0.7, 0.6, 0.5, None, None]) == 0.6  # before a divergence
    assert curves.peak([0.5, None, None, None]) == 0
    assert curves.peaks(network(rising(3), rising(4, 0.7))) == [0.8, 0.7]


# ---- The seeds of a network ----------------------------------------------------------------------


def test_peaks_and_steps_are_read_on_validation_images_and_final_accuracies_on_test_images():
    found = network(rising(3), rising(3), test=[0.6, None])
    assert curves.peaks(found) == [0.8, 0.8] and curves.steps_reaching(found, 0.7) == [50, 50]
    np.testing.assert_equal(curves.finals(found), [0.6, math.nan])
    assert curves.or_chance(found, curves.finals(found)) == curves.or_chance(found, [0.6, None]) == [0.6, 0.1]


def test_the_target_is_the_mean_of_inceptions_peaks():
    networks = {"inception": network(rising(3, 0.8), rising(4, 0.6)), "bn_x5": network(rising(1, 0.9), rising(1, 0.9))}
    assert curves.target({"networks": networks}) == pytest.approx(0.7)


def test_a_seed_at_the_target_is_there_whatever_the_mean_was_rounded_to():
    """The mean of these three peaks is 0.1, and in floating point a little more."""
    peaks = (0.06, 0.1, 0.14)
    assert np.mean(peaks) > 0.1
    inception, other = (network(*(rising(at, high, 0.01) for high in peaks)) for at in (9, 3))
    view = {"networks": {"inception": inception, "other": other}}
    assert curves.reached(view, other).value == pytest.approx(2 / 3)
    # Two seeds are there after 50 steps, the first never; Inception is at its own best after 110.
    assert curves.speed_up(view, "other").value == pytest.approx((110 / 200 * (110 / 50) ** 2) ** (1 / 3))


def test_steps_to_an_accuracy_never_and_the_whole_run():
    found = network(rising(3), rising(99), rising(5, 0.7))
    assert curves.steps_reaching(found, 0.75) == [50, math.inf, math.inf]
    assert curves.steps_reaching(found, 0.75, whole=True) == [50, 200, 200]
    assert curves.steps_reaching(found, 0.7) == [50, math.inf, 70]
    assert curves.steps_to_own_peak(found) == [50, 20, 70]


def test_the_share_of_the_seeds_that_get_there():
    networks = {"inception": network(rising(3, 0.8), rising(4, 0.6))}
    found = curves.reached({"networks": networks}, network(rising(3, 0.75), rising(99), rising(5, 0.7), rising(5, 0.6)))
    assert (found.value, found.n, found.interval) == (0.5, 4, "Clopper-Pearson")


def test_a_network_diverged_whose_loss_was_once_not_finite():
    assert curves.diverged(network(rising(3), rising(3), diverged=[None, 7])) == [False, True]


# ---- Two networks --------------------------------------------------------------------------------


def test_a_gain_is_the_mean_of_the_differences_in_points():
    assert curves.points([0.9, 0.5], [0.8, 0.6]) == pytest.approx([10, -10])
    found = curves.gain([0.9, 0.9], [0.8, 0.6])
    assert found.value == pytest.approx(20) and (found.n, found.interval) == (2, "t")
    with pytest.raises(ValueError, match="argument 2 is longer"):
        curves.points([0.9], [0.8, 0.6])


def test_the_speed_up_by_hand():
    """Inception is at its best at steps 120 and 160, the other network at its mean, 0.7, at 40 and 30."""
    inception = network(rising(10, 0.8), rising(14, 0.6))
    record = {"networks": {"inception": inception, "bn_x5": network(rising(2, 0.75), rising(1, 0.9))}}
    found = curves.speed_up(record, "bn_x5")
    assert found.values == pytest.approx((120 / 40, 160 / 30)) and found.n == 2
    assert found.value == pytest.approx(math.sqrt(3 * 16 / 3)) and found.low < found.value < found.high
    # One that never gets there counts its whole run, 200 steps.
    never = {"networks": {"inception": inception, "bn_x5": network(rising(2, 0.75), rising(1, 0.65))}}
    assert curves.speed_up(never, "bn_x5").values == pytest.approx((120 / 40, 160 / 200))


def test_the_speed_up_to_a_share_of_the_target_is_taken_at_that_accuracy():
    early = [0.2] * 4 + [0.77] * 8 + [0.8] * 9  # 95% of 0.8 at step 60, its best at 140
    record = {"networks": {"inception": network(early), "bn_x5": network(rising(1, 0.77))}}
    assert curves.speed_up(record, "bn_x5", 0.95).value == pytest.approx(60 / 30)
    assert curves.speed_up(record, "bn_x5").value == pytest.approx(140 / 200)


def test_networks_are_compared_at_the_seeds_that_both_have():
    inception = network(rising(10), rising(12), rising(14)) | {"seeds": [7, 8, 9]}
    fast = network(rising(2), rising(3)) | {"seeds": [9, 7]}
    pair = curves.common({"inception": inception, "fast": fast})
    assert [found["seeds"] for found in pair.values()] == [[7, 9], [7, 9]]
    assert pair["fast"]["validation"] == [rising(3), rising(2)]
    assert curves.speed_up({"networks": {"inception": inception, "bn": fast}}, "bn").values == pytest.approx(
        (120 / 50, 160 / 40)
    )


def test_the_interval_of_a_speed_up_has_the_uncertainty_of_the_target():
    """Two networks that climb alike, a step for a point: only where the target lies is a matter of the seeds."""
    climbing = [0.01 * k for k in range(101)]
    slow = [[min(end, a) for a in climbing] for end in (0.5, 0.6, 0.7, 0.8)]
    fast = [[min(1.0, 2 * a) for a in climbing]] * 4
    found = curves.times_fewer({"networks": {"inception": network(*slow)}}, network(*[climbing] * 4), network(*fast))
    assert found.n == 4 and found.high - found.low < 0.2  # a ratio of 2 wherever the target is
    held = curves.times_fewer(
        {"networks": {"inception": network(*slow)}}, network(*[climbing[:1] * 90 + [1.0] * 11] * 4), network(*fast)
    )
    plain = [920 / steps for steps in curves.steps_reaching(network(*fast), 0.65)]
    assert (
        held.values == pytest.approx(plain) and held.high / held.low > 1.2
    )  # 920 steps over those to a target that varies


def test_no_number_of_times_fewer_where_inception_has_no_accuracy():
    broken = network([0.1, *[None] * 20], rising(3), diverged=[3, None])
    found = curves.times_fewer({"networks": {"inception": broken}}, broken, network(rising(3), rising(3)))
    assert math.isnan(found.value) and (found.n, found.interval) == (2, "none")
