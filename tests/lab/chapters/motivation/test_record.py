"""The record of chapter 02: what it keeps of its runs, and how it chooses settings."""

import importlib
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from bn.lab.chapters.motivation.record import moved
from bn.lab.chapters.motivation.spec import CHOOSING, EVALUATIONS, Motivation
from bn.lab.spec import ParameterError
from bn.lab.train import runs

SPEC = Motivation(scale="smoke", dataset="digits")


@pytest.fixture
def kept(smoke_records) -> dict:
    return smoke_records["motivation"]


def run_of(setting, seed: int) -> dict:
    return runs.run([(setting, seed)])[setting, seed]


def test_depths_come_from_their_runs(kept):
    found = run_of(SPEC.stack("plain", 4, 1.0, EVALUATIONS), 1)
    cell = kept["depth"]["plain"][1]
    assert (kept["depth"]["depths"], kept["depth"]["rates"], cell["learning_rate"]) == ([2, 4], [1.0], 1.0)
    expected = [found["saturated"][k].mean() for k in (0, -1)]
    np.testing.assert_allclose(cell["saturated"][1], expected, rtol=1e-4)
    ratios = [found["gradient"][k][0] / found["gradient"][k][-1] for k in (0, -1)]
    np.testing.assert_allclose(cell["gradient_ratio"][1], ratios, rtol=1e-4)
    assert cell["test"][1] == pytest.approx(found["test"][-1], rel=1e-4)


def test_all_sigmoid_networks_have_the_first_weights_that_the_record_names(kept):
    stacks = [SPEC.stack("plain", depth, 1.0) for depth in SPEC.size.depths]
    assert {s.gain for s in (*stacks, SPEC.followed("bn", "sigmoid"))} == {kept["depth"]["gain"]} == {4.0}
    assert {kept["outside"]["gain"]} == {4.0} and SPEC.small(4).gain == 1.0


def test_gradients_at_smaller_first_weights_are_of_networks_that_are_not_trained(kept):
    found = run_of(SPEC.small(4), 1)
    assert len(found["steps"]) == 1
    expected = found["gradient"][0][0] / found["gradient"][0][-1]
    np.testing.assert_allclose(kept["depth"]["small"][1][1], [expected, expected], rtol=1e-4)


def test_the_networks_of_section_2_differ_in_nothing_else(kept):
    networks, slower = kept["outside"]["networks"], kept["outside"]["slower"]
    assert list(networks) == ["both_inside", "both_outside", "mean_inside", "mean_outside"]
    assert list(slower) == list(networks)
    inside = SPEC.stack("both_inside", 3, 1.0, EVALUATIONS)
    lower = replace(inside, learning_rate=0.3, every=SPEC.steps)
    for of, setting in ((networks, inside), (slower, lower)):
        for name, network in of.items():
            found = run_of(replace(setting, network=name), 0)
            np.testing.assert_allclose(network["loss"][0], found["own_loss"], rtol=1e-4)
            np.testing.assert_allclose(network["inference_loss"][0], found["validation_loss"], rtol=1e-4)
            np.testing.assert_allclose(network["growth"][0], found["size"] / found["size"][0], rtol=1e-4)
            assert network["growth"][0][0] == 1 and network["learning_rate"] == setting.learning_rate
            assert network["accuracy"][0] == pytest.approx(found["own_accuracy"][-1], rel=1e-4)
            assert network["inference_accuracy"][0] == pytest.approx(found["validation"][-1], rel=1e-4)


def test_changes_are_of_networks_that_are_not_trained(kept):
    found = run_of(SPEC.followed("bn", "relu"), 1)
    assert len(found["steps"]) == 1
    for key in ("change", "change_of_first", "spread"):
        np.testing.assert_allclose(kept["change"]["relu"]["bn"][key][1], found[key][0], rtol=1e-4)


def test_the_rate_with_the_lowest_mean_of_the_validation_losses_is_chosen_and_one_that_diverged_is_not():
    settings = [SPEC.stack("plain", 2, rate) for rate in (1.0, 2.0, 3.0)]
    losses = {(1.0, 2900): 0.2, (1.0, 2901): 0.9, (2.0, 2900): 0.5, (2.0, 2901): 0.5}
    losses |= {(3.0, 2900): 0.1, (3.0, 2901): np.nan}
    trained = {
        (setting, seed): {"validation_loss": np.array([9.0, losses[setting.learning_rate, seed]])}
        for setting, seed in product(settings, CHOOSING)
    }
    module = importlib.import_module("bn.lab.chapters.motivation.record")  # the package has a function of that name
    assert module._best(settings, trained) is settings[1]


def test_seeds_that_choose_are_not_reported():
    with pytest.raises(ParameterError, match="seeds must leave out 2900 and 2901, by which rates are chosen"):
        Motivation(scale="smoke", dataset="digits", seeds=(1, CHOOSING[1]))
    with pytest.raises(ParameterError, match="batch must be a whole number from 2 to 1,257, the number of training"):
        Motivation(scale="smoke", dataset="digits", batch=1)


def test_a_unit_moves_in_its_own_spread_and_the_middle_unit_counts():
    """Three units of spread 2 whose medians move by 0, 1 and 4; then none does."""
    first = np.array([[-1.0, -1.0, -1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    then = first + np.array([0.0, 1.0, 4.0])
    assert moved(np.stack([first, then, then])) == pytest.approx([0.5, 0])
