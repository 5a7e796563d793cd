"""Estimates of the seven changes from curves drawn by hand."""

import made_up
import numpy as np
import pytest
from made_up import OF_SECTION_4_2, check, network, rising, values

from bn.lab.chapters.ablations import EXPERIMENT, estimates
from bn.lab.train import recipes

CLAIMS = [claim for claim in OF_SECTION_4_2 if claim.experiment == "ablations"]


def ablated(change: str) -> dict:
    """BN-x5 ends at 90% and 86% of the test images; without the change at 85% and 84%, and later, or not at all."""
    return {
        "networks": {
            "inception": network(rising(3, 0.8), rising(3, 0.8)),
            "bn_x5": network(rising(2), rising(3), test=[rising(0, 0.9), rising(0, 0.86)]),
        },
        "left_out": {change: network(rising(8), rising(99), test=[rising(0, 0.85), rising(0, 0.84)])},
    }


@pytest.mark.parametrize(
    ("claim", "change"),
    [
        ("dropout-removed", "dropout"),
        ("l2-reduced-5x", "l2"),
        ("lr-decay-6x", "decay"),
        ("lrn-removed", "lrn"),
        ("photometric", "distortion"),
    ],
)
def test_what_a_change_gives_bn_x5_by_hand(claim, change):
    expected = {"change_gain": 3.5, "change_speed": (100 + 200) / (40 + 50)}
    assert values(claim, ablated(change)) == pytest.approx(expected)


def test_shuffling_is_also_held_against_what_it_gives_without_bn():
    """Without BN 2 points and −1, read at half of Inception's steps; with it 5 and 2."""
    record = ablated("shuffling")
    halfway = [0.5] * 11
    record["networks"]["inception"]["test"] = [[*halfway, *[0.9] * 10], [*halfway, *[0.9] * 10]]
    record["alone"] = {"shuffling": network(halfway, halfway)}
    record["plain"] = {"shuffling": network([0.52] * 11, [0.49] * 11)}
    expected = {"change_gain": 3.5, "seeds_ahead": 1, "more_than_plain": (5 - 2 + 2 + 1) / 2}
    assert values("shuffle-1pct", record) == pytest.approx(expected)
    record["left_out"]["shuffling"]["test"][1] = rising(0, 0.86)
    assert values("shuffle-1pct", record)["seeds_ahead"] == 0.5  # no better is not better


def test_a_change_alone_is_held_against_as_many_steps_of_bn_baseline():
    """BN-Baseline is at 50% for half of its training, and then at 90%."""
    baseline = network(rising(11, 0.9, 0.5))
    record = {"networks": {"bn_baseline": baseline}, "alone": {"rate": network([0.6] * 11)}}
    assert np.mean(estimates.gains(record, "alone", "rate")) == pytest.approx(10)
    cut = estimates.cut(baseline, record, "rate")
    assert cut["steps"][-1] == 100 and len(cut["validation"][0]) == len(cut["test"][0]) == 11
    assert len(baseline["test"][0]) == 21


def test_where_half_the_steps_are_between_two_evaluations_bn_baseline_gets_no_step_more():
    """With 41 steps asked for, the change alone ends at step 20, and BN-Baseline is read at 0, 6, 12 and 18."""
    baseline = network([0.5] * 8, every=6)
    alone = network([0.6] * 5) | {"steps": [0, 6, 12, 18, 20]}
    cut = estimates.cut(baseline, {"alone": {"rate": alone}}, "rate")
    assert cut["steps"] == [0, 6, 12, 18] and [len(seed) for seed in cut["test"]] == [4]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_each_claim_can_be_judged_on_its_record(claim):
    assert claim.scale is None and not claim.exact
    check(claim)


def test_every_estimate_has_a_claim():
    assert {claim.id for claim in CLAIMS} == set(EXPERIMENT.estimates)


def test_a_record_has_each_change_alone_and_left_out():
    record = made_up.record("ablations")
    for part in ("alone", "left_out"):
        assert list(record[part]) == list(recipes.CHANGES)
