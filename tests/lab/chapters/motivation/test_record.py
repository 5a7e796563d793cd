"""The record of chapter 02: what it keeps of its runs, and how it chooses settings."""

import importlib
from dataclasses import replace

import numpy as np
import pytest

from bn.lab.chapters.motivation.record import moved
from bn.lab.chapters.motivation.spec import CHOOSING, Motivation
from bn.lab.spec import ParameterError
from bn.lab.train import runs

SPEC = Motivation(scale="smoke", dataset="digits")


@pytest.fixture
def kept(smoke_records) -> dict:
    return smoke_records["motivation"]


def run_of(setting, seed: int) -> dict:
    return runs.run([(setting, seed)])[setting, seed]


def test_depths_come_from_their_runs(kept):
    found = run_of(SPEC.stack("plain", 4, 1.0, 4.0, SPEC.steps), 1)
    cell = kept["depth"]["plain"][1]
    assert (kept["depth"]["depths"], cell["learning_rate"], cell["gain"]) == ([2, 4], 1.0, 4.0)
    expected = [found["saturated"][k].mean() for k in (0, -1)]
    np.testing.assert_allclose(cell["saturated"][1], expected, rtol=1e-4)
    ratios = [found["gradient"][k][0] / found["gradient"][k][-1] for k in (0, -1)]
    np.testing.assert_allclose(cell["gradient_ratio"][1], ratios, rtol=1e-4)
    assert cell["test"][1] == pytest.approx(found["test"][-1], rel=1e-4)


def test_the_networks_of_section_2_differ_in_nothing_else_and_run_twice_as_long(kept):
    networks = kept["outside"]["networks"]
    assert list(networks) == ["inside", "centred", "outside"] and kept["outside"]["steps"] == 2 * SPEC.steps
    inside = SPEC.stack("inside", 3, networks["inside"]["learning_rate"], networks["inside"]["gain"], 2 * SPEC.steps)
    for name, network in networks.items():
        found = run_of(replace(inside, network=name), 0)
        np.testing.assert_allclose(network["loss"][0], found["validation_loss"], rtol=1e-4)
        np.testing.assert_allclose(network["growth"][0], found["size"] / found["size"][0], rtol=1e-4)
        assert network["growth"][0][0] == 1


def test_changes_are_of_networks_that_are_not_trained(kept):
    found = run_of(SPEC.untrained("bn", "relu"), 1)
    assert len(found["steps"]) == 1
    np.testing.assert_allclose(kept["change"]["relu"]["bn"]["change"][1], found["change"][0], rtol=1e-4)


def test_the_setting_with_the_lowest_validation_loss_is_chosen_and_one_that_diverged_is_not():
    settings = [SPEC.stack("plain", 2, rate, 1.0, 10) for rate in (1.0, 2.0, 3.0)]
    losses = ([9.0, 0.5], [9.0, 0.4], [9.0, np.nan])
    trained = {(s, CHOOSING): {"validation_loss": np.array(of)} for s, of in zip(settings, losses, strict=True)}
    module = importlib.import_module("bn.lab.chapters.motivation.record")  # the package has a function of that name
    assert module._best(settings, trained) is settings[1]


def test_seeds_that_choose_are_not_reported():
    with pytest.raises(ParameterError, match="seeds must leave out 2900"):
        Motivation(scale="smoke", dataset="digits", seeds=(1, CHOOSING))
    with pytest.raises(ParameterError, match="batch must be a whole number from 2 to 1,257, the number of training"):
        Motivation(scale="smoke", dataset="digits", batch=1)


def test_a_unit_moves_in_its_own_spread_and_the_middle_unit_counts():
    """Three units of spread 2 whose medians move by 0, 1 and 4; then none does."""
    first = np.array([[-1.0, -1.0, -1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    then = first + np.array([0.0, 1.0, 4.0])
    assert moved(np.stack([first, then, then])) == pytest.approx([0.5, 0])
