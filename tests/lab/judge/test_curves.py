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
    found = network(rising(3), test=[rising(0, 0.6)])
    assert curves.peaks(found) == [0.8] and curves.steps_reaching(found, 0.7) == [50]
    assert curves.finals(found) == pytest.approx([0.6])


def test_the_target_is_the_mean_of_inceptions_peaks():
    networks = {"inception": network(rising(3, 0.8), rising(4, 0.6)), "bn_x5": network(rising(1, 0.9), rising(1, 0.9))}
    assert curves.target({"networks": networks}) == pytest.approx(0.7)


def test_steps_to_an_accuracy_never_and_the_whole_run():
    found = network(rising(3), rising(99), rising(5, 0.7))
    assert curves.steps_reaching(found, 0.75) == [50, math.inf, math.inf]
    assert curves.steps_reaching(found, 0.75, whole=True) == [50, 200, 200]
    assert curves.steps_reaching(found, 0.7) == [50, math.inf, 70]
    assert curves.steps_to_own_peak(found) == [50, 20, 70]


def test_the_share_of_the_seeds_that_get_there_has_no_interval():
    networks = {"inception": network(rising(3, 0.8), rising(4, 0.6))}
    found = curves.reached({"networks": networks}, network(rising(3, 0.75), rising(99), rising(5, 0.7), rising(5, 0.6)))
    assert (found.value, found.n, found.interval) == (0.5, 4, "none")


def test_a_network_is_lost_that_diverged_or_never_left_chance():
    """Ten classes: chance is 10%, and 15% is the border."""
    seeds = (rising(3), rising(3, 0.14, 0.1), rising(3, 0.16, 0.1), [0.1, *[None] * 20])
    found = network(*seeds, diverged=[None, None, None, 7])
    assert curves.diverged(found) == [False, False, False, True]
    assert curves.lost(found) == [False, True, False, True]
    assert curves.lost(network(rising(3), diverged=[190])) == [True]
    assert curves.lost(network(rising(3), diverged=[0])) == curves.diverged(network(rising(3), diverged=[0])) == [True]
    assert curves.lost(network(rising(3, 0.02, 0.01), classes=200)) == [False]


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
    assert found.value == pytest.approx(280 / 70) and found.n == 2
    assert found.low <= found.value <= found.high
    never = {"networks": {"inception": inception, "bn_x5": network(rising(2, 0.75), rising(1, 0.65))}}
    assert math.isnan(curves.speed_up(never, "bn_x5").value)


def test_the_speed_up_to_a_share_of_the_target_is_taken_at_that_accuracy():
    early = [0.2] * 4 + [0.77] * 8 + [0.8] * 9  # 95% of 0.8 at step 60, its best at 140
    record = {"networks": {"inception": network(early), "bn_x5": network(rising(1, 0.77))}}
    assert curves.speed_up(record, "bn_x5", 0.95).value == pytest.approx(60 / 30)
    assert math.isnan(curves.speed_up(record, "bn_x5").value)


def test_no_number_of_times_fewer_where_one_side_has_no_steps():
    for steps in ([100.0, math.inf], [0.0, 0.0]):
        found = curves.times_fewer([100.0, 100.0], steps)
        assert math.isnan(found.value) and (found.n, found.interval) == (2, "none")
    assert math.isnan(curves.times_fewer([math.inf, 100.0], [50.0, 50.0]).value)
