"""Errors of an ensemble by hand, what is estimated from them, and the paper's own numbers."""

import numpy as np
import pytest
from made_up import OF_SECTION_4_2, check, check_waits_for_imagenet, values

from bn.lab import paper, quoted
from bn.lab.chapters.ensemble import EXPERIMENT
from bn.lab.chapters.ensemble.estimates import standard_errors
from bn.lab.chapters.ensemble.record import averaged, errors
from bn.lab.judge import verdicts

NAN = np.nan
CLAIMS = [claim for claim in OF_SECTION_4_2 if claim.experiment == "ensemble"]


# ---- Errors --------------------------------------------------------------------------------------


def test_errors_are_of_the_first_choice_and_of_the_first_five():
    ranked = np.array([0.3, 0.25, 0.2, 0.1, 0.08, 0.05, 0.02])  # class 0 first, class 6 last
    assert errors(np.stack([ranked] * 4), np.array([0, 1, 4, 5])) == [75, 25]
    assert errors(ranked[None, ::-1], np.array([6])) == [0, 0]


def test_a_network_that_predicts_nothing_errs_always():
    probabilities = np.array([[0.9, 0.1], [NAN, NAN]])
    assert errors(probabilities, np.array([0, 0])) == [50, 50]


def test_errors_of_probabilities_by_hand():
    """Right; right only in a tie that the other class wins; last of six alike; and no number at all."""
    probabilities = np.array([[0.9, 0.1, 0, 0, 0, 0], [0.5, 0.5, 0, 0, 0, 0], [1 / 6] * 6, [NAN] * 6])
    assert errors(probabilities, np.array([0, 1, 5, 0])) == [75.0, 50.0]
    assert errors(probabilities[:2], np.array([0, 1])) == [50.0, 0.0]
    assert errors(probabilities[3:], np.array([0])) == [100.0, 100.0]


def test_the_gains_of_six_networks_and_of_many_crops_by_hand():
    one = [{"members": [[30.0, 9.0], [20.0, 5.0]], "ensemble": [18.0, 4.0]}] * 2
    many = [
        {"members": [[28.0, 8.0], [19.0, 5.0]], "ensemble": [16.0, 3.0]},
        {"members": [[18.0, 8.0], [21.0, 7.0]], "ensemble": [17.0, 5.0]},
    ]
    record = {"crops": [1, 10], "errors": {"1": one, "10": many}}
    assert values("ensemble-6-mean", record) == {"ensemble_gain": pytest.approx((3 + 1) / 2)}
    assert values("multicrop", record) == {"crops_gain": pytest.approx((1.5 + 5.5) / 2)}
    assert values("ensemble-result", record) == {"ensemble_top5": pytest.approx(4)}


# ---- The paper's own numbers ---------------------------------------------------------------------


def test_figure_4_is_typed_as_it_is_printed():
    assert paper.FIGURE_4 == {"single": (25.2, 7.82), "multicrop": (21.99, 5.82), "ensemble": (20.1, 4.9)}


def test_what_the_paper_says_of_its_figure_4():
    assert values("ensemble-steps", {}) == {"steps_apart": 0, "epochs": pytest.approx(149.86, abs=0.01)}
    assert values("single-crop", {}) == {"disagreement": 0}
    assert values("healthy-margin", {}) == pytest.approx({"z": 1.2454, "correlation": 0.5963}, abs=1e-4)


def test_what_the_abstract_says_of_the_ensemble(monkeypatch):
    assert values("abstract-ensemble", {}) == pytest.approx({"validation_apart": 0, "test_apart": 0.02})
    assert verdicts.judge("abstract-ensemble", None).verdict == "consistent"
    monkeypatch.setitem(quoted.ABSTRACT, "test", 4.7)
    assert verdicts.judge("abstract-ensemble", None).verdict == "inconsistent"


def test_the_lead_over_an_expert_by_drawing_mistakes():
    """Both errors drawn many times on as many images: the spread of their difference, beside the difference."""
    rng = np.random.default_rng(0)
    drawn = rng.binomial(1_500, 0.051, 200_000) / 1_500 - rng.binomial(100_000, 0.0482, 200_000) / 100_000
    found = values("exceeds-human", {})
    assert found["human_lead"] == pytest.approx(0.28)
    assert found["human_z"] == pytest.approx(0.0028 / drawn.std(), rel=0.01)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.5963])
def test_the_margin_in_standard_errors_is_that_of_two_systems_that_miss_the_same_images_so_often(correlation):
    """By enumeration: the four outcomes of an image, and the variance of their difference over 100,000 images."""
    p, q = 0.0482, 0.0494
    both = p * q + correlation * np.sqrt(p * (1 - p) * q * (1 - q))
    outcomes = {0: 1 - p - q + 2 * both, 1: q - both, -1: p - both}  # he wrong less ours wrong
    mean = sum(value * share for value, share in outcomes.items())
    variance = sum(share * (value - mean) ** 2 for value, share in outcomes.items())
    expected = mean / np.sqrt(variance / 100_000)
    assert standard_errors(correlation) == pytest.approx(expected, rel=1e-9)
    if correlation > 0.59:
        assert expected == pytest.approx(1.96, abs=1e-3)


def test_a_mean_of_probabilities_sums_to_one_and_of_other_numbers_does_not():
    parts = [np.array([[0.75, 0.25], [0.5, 0.5]], np.float32), np.array([[0.25, 0.75], [1, 0]], np.float32)]
    assert averaged(iter(parts))["ensemble-6-mean-is-probability"]["sum_error"] == [0]
    parts[0][0, 0] = 0.77  # the mean of the two then sums to 1.01
    assert averaged(parts)["ensemble-6-mean-is-probability"]["sum_error"] == pytest.approx([0.01], abs=1e-6)


# ---- The claims ----------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_each_claim_can_be_judged_on_its_record(claim):
    check(claim)


def test_the_error_on_imagenet_waits_for_imagenet():
    assert [claim.id for claim in CLAIMS if claim.scale] == ["ensemble-result"]
    check_waits_for_imagenet("ensemble-result", "ensemble")


def test_every_estimate_has_a_claim():
    with_numbers = {claim.id for claim in CLAIMS if claim.rule or claim.found}
    assert with_numbers == set(EXPERIMENT.estimates) | set(averaged([np.ones((1, 1))]))
    kinds = {claim.id: claim.kind for claim in CLAIMS if claim.kind != "measured"}
    expected = dict.fromkeys(("ensemble-steps", "single-crop", "abstract-ensemble"), "arithmetic")
    expected |= dict.fromkeys(("prior-best", "ensemble-variation"), "as stated")
    expected |= dict.fromkeys(("healthy-margin", "exceeds-human"), "open")
    assert kinds == expected | {"ensemble-6-mean-is-probability": "mathematics"}
