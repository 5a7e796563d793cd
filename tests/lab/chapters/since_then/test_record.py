"""The record of chapter 12: what it keeps of its runs, and that rates are chosen on other seeds."""

import numpy as np
import pytest

from bn.lab import paths
from bn.lab.chapters.since_then.record import _best, _tried
from bn.lab.chapters.since_then.spec import CHOOSING, SinceThen
from bn.lab.spec import ParameterError
from bn.lab.store import records
from bn.lab.train import runs

SPEC = SinceThen(scale="smoke", dataset="digits")


@pytest.fixture
def kept(smoke_records):
    return smoke_records["since_then"]


def run_of(setting, seed: int) -> dict:
    return runs.run([(setting, seed)])[setting, seed]


def test_curves_and_errors_come_from_their_runs(kept):
    found = run_of(SPEC.deep("noisy", 0.1, "landscape"), 0)
    network = kept["deep"]["noisy"]
    assert network["steps"] == found["steps"].tolist()
    np.testing.assert_allclose(network["shift"][0], found["shift"].mean(1), rtol=1e-4)
    np.testing.assert_allclose(network["moved"][0], found["moved"], rtol=1e-4)
    layer = run_of(SPEC.small_batches("layer", SPEC.rates_for(4)[0], 4), 0)
    assert kept["small"]["layer"]["4"]["error"][0] == pytest.approx(100 * (1 - layer["test"][-1]), rel=1e-4)
    product = run_of(SPEC.invariant(0.4, 0.0125), 0)
    np.testing.assert_allclose(kept["products"]["fast"]["effective"][0], 0.4 / product["weights"] ** 2, rtol=1e-4)


def test_all_see_as_many_images():
    assert {s.steps * s.batch for s in (SPEC.small_batches("bn", 0.1, m) for m in (2, 4))} == {SPEC.images}
    assert SPEC.of_maps("bn", 0.1, 2).steps * 2 == SPEC.images


def test_rates_are_tried_in_proportion_to_the_mini_batch(kept):
    spec = SinceThen(scale="cpu", dataset="mnist", seeds=1)
    assert spec.rates_for(32) == (0.03, 0.1, 0.3, 1.0)
    assert spec.rates_for(4) == (0.00375, 0.0125, 0.0375, 0.125)
    tried = _tried(spec)
    assert [s.learning_rate for s in tried["small", "separate", 32]] == list(spec.rates_for(32))
    assert [s.learning_rate for s in tried["maps", "group", 2]] == list(spec.rates_for(2))
    assert kept["small"]["layer"]["4"]["tried"] == list(SPEC.rates_for(4))
    assert kept["separate"]["maps"]["32"]["tried"] == list(SPEC.rates_for(32))


def test_a_longer_training_is_evaluated_as_closely():
    usual, longer, shorter = (SinceThen(scale="cpu", dataset="mnist", seeds=1, steps=n) for n in (None, 1_600, 40))
    assert [spec.deep("bn", 0.1).every for spec in (usual, longer, shorter)] == [20, 20, 2]
    assert longer.small_batches("bn", 0.1, 32).every == 25


def test_the_run_that_decides_is_as_long_as_its_claims_say():
    found = records.deciding("since_then")
    assert (found["asked"]["steps"], found["products"]["slow"]["steps"][-1]) == (1_600, 2_400)
    assert found["small"]["bn"]["2"]["steps"] * 2 == found["maps"]["bn"]["2"]["steps"] * 2 == 16_000
    assert found["separate"]["maps"]["32"]["steps"] == 500
    assert {len(by_batch["2"]["tried"]) for by_batch in found["small"].values()} == {4}
    text = (paths.CLAIMS / "since_then.yml").read_text("utf-8")
    assert all(
        words in text for words in ("1,600 steps", "2,400 steps", "16,000 in the run", "500 of them", "best of four")
    )


def test_averages_are_kept_with_their_start_and_without(kept):
    found = run_of(SPEC.deep("bn", 0.1, "recomputed", "corrected", averages=0.01), 0)
    part = kept["averages"]["0.01"]
    for name, curve in (("moving", "test"), ("corrected", "corrected"), ("recomputed", "recomputed")):
        np.testing.assert_allclose(part[name][0], found[curve], rtol=1e-4)
    assert part["corrected"] != part["moving"]


def test_the_rate_is_the_best_of_those_that_were_tried_by_seeds_that_are_not_reported():
    spec = SinceThen(scale="cpu", dataset="digits", steps=8, seeds=1)
    settings = _tried(spec)["small", "layer", 32]
    of_choice = {
        (s, CHOOSING[0]): {"validation": np.array(curve)}
        for s, curve in zip(settings, ([0.1] * 3, [0.9] * 3), strict=True)
    }
    assert len(settings) == 2 and _best(settings, spec.choosing, of_choice) is settings[1]


def test_what_is_chosen_by_a_seed_is_not_reported_of_it():
    with pytest.raises(ParameterError, match="seeds must leave out 2101, by which rates are chosen"):
        SinceThen(scale="smoke", dataset="digits", seeds=[1, 2101])
    with pytest.raises(ParameterError, match="steps must be a whole number from 8 to"):
        SinceThen(scale="smoke", dataset="digits", steps=7)


def test_images_of_another_kind_stand_beside_those_that_the_network_was_trained_for(kept):
    found = run_of(SPEC.deep("bn", 0.1, "recomputed", "corrected", "shifted"), 0)
    part = kept["shifted"]["thick"]
    assert part["clean"][0] == pytest.approx(found["test"][-1], rel=1e-4)
    assert [part["old"][0], part["new"][0]] == pytest.approx(found["shifted"][-1, 1], rel=1e-4)
