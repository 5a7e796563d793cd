"""Estimates of the seven changes from curves drawn by hand."""

import math

import made_up
import pytest
from made_up import OF_SECTION_4_2, check, network, rising, values

from bn.lab.chapters.ablations import EXPERIMENT, estimates
from bn.lab.train import recipes

CLAIMS = [claim for claim in OF_SECTION_4_2 if claim.experiment == "ablations"]


def ablated(change: str) -> dict:
    """BN-x5 ends at 90% and 86% of the test images; without the change at 85% and 84%, and later, or not at all.

    On the training images at 95% and 96%; without the change at 87% and 88%.
    """
    return {
        "networks": {
            "inception": network(rising(3, 0.8), rising(3, 0.8)),
            "bn_x5": network(rising(2), rising(3), test=[0.9, 0.86], train=[0.95, 0.96]),
        },
        "left_out": {change: network(rising(8), rising(99), test=[0.85, 0.84], train=[0.87, 0.88])},
    }


@pytest.mark.parametrize(
    ("claim", "change"),
    [
        ("rate-5x", "rate"),
        ("dropout-removed", "dropout"),
        ("l2-reduced-5x", "l2"),
        ("lr-decay-6x", "decay"),
        ("lrn-removed", "lrn"),
        ("photometric", "distortion"),
    ],
)
def test_what_a_change_gives_bn_x5_by_hand(claim, change):
    expected = {
        "change_gain": (5 + 2) / 2,
        "change_speed": math.sqrt(100 / 40 * 200 / 50),
        "more_overfitting": ((5 - 2) + (10 - 4)) / 2,
    }
    assert values(claim, ablated(change)) == pytest.approx(expected)


def test_a_network_that_diverged_answers_by_chance():
    record = ablated("lrn")
    record["left_out"]["lrn"] |= {"final_test": [0.85, None], "final_train": [0.87, None]}
    found = values("lrn-removed", record)
    assert found["change_gain"] == pytest.approx((5 + 76) / 2)
    assert found["more_overfitting"] == pytest.approx(((5 - 2) + (10 - 0)) / 2)


def test_shuffling_is_also_held_against_what_it_gives_without_bn():
    """BN-x5 gains 5 points and 2, BN-Baseline 4 and 6, Inception 2 and −1."""
    record = ablated("shuffling")
    record["networks"]["bn_baseline"] = network(rising(3), rising(3), test=[0.60, 0.60])
    record["alone"] = {"shuffling": network(rising(3), rising(3), test=[0.64, 0.66])}
    plain = {"inception": [0.50, 0.50], "shuffling": [0.52, 0.49]}
    record["plain"] = {name: network(rising(3), rising(3), test=ends) for name, ends in plain.items()}
    expected = {"change_gain": 3.5, "plain_gain": 0.5, "more_than_plain": ((4 - 2) + (6 + 1)) / 2}
    assert values("shuffle-1pct", record) == pytest.approx(expected)


def test_a_change_alone_is_held_against_bn_baseline():
    record = {"networks": {"bn_baseline": network(rising(3), test=[0.5])}}
    record["alone"] = {"rate": network(rising(3), test=[0.6])}
    assert estimates.gains(record, "alone", "rate") == pytest.approx([10])


def test_all_networks_of_a_comparison_take_as_many_steps():
    record = made_up.record("ablations")
    for part in ("alone", "left_out", "plain"):
        for change in record[part]:
            before, after = (net["recipe"]["steps"] for net in estimates.compared(record, part, change))
            assert before == after


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
