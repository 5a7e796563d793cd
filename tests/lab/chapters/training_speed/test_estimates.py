"""Estimates of sections 4.2.1 and 4.2.2 from curves drawn by hand, and of the paper's own numbers."""

import math

import numpy as np
import pytest
from made_up import (
    OF_SECTION_4_2,
    check,
    check_waits_for_imagenet,
    estimates,
    judged,
    network,
    rising,
    values,
)

from bn.lab import paper
from bn.lab.chapters.training_speed import EXPERIMENT
from bn.lab.judge import verdicts

CLAIMS = [claim for claim in OF_SECTION_4_2 if claim.experiment == "training_speed"]


def figure_3(**networks) -> dict:
    return {"networks": networks}


# ---- The five networks and the controls ----------------------------------------------------------


def test_an_inception_that_diverged_at_once_is_no_measure_of_speed():
    """It has no best accuracy, so nothing is infinitely faster than it."""
    broken = network(rising(10), [0.1, *[None] * 20], diverged=[None, 3])
    record = figure_3(inception=broken, bn_baseline=network(rising(2), rising(1)))
    found = estimates("bn-baseline", record)["speed_up"]
    assert math.isnan(found.value) and found.interval == "none"
    assert verdicts.judge("bn-baseline", judged(record)).verdict == "inconclusive"


@pytest.mark.parametrize(("claim", "name"), [("bn-baseline", "bn_baseline"), ("bnx5-14x", "bn_x5")])
def test_a_network_beside_inception(claim, name):
    """Twelve seeds: Inception is at 80% and 78% at steps 120 and 160, the other above that at 40 and 30, or never."""
    inception = network(*[rising(10, 0.8), rising(14, 0.78)] * 6)
    found = values(claim, figure_3(inception=inception, **{name: network(*[rising(2, 0.9), rising(1, 0.91)] * 6)}))
    assert found["reached"] == 1 and found["peak_gain"] == pytest.approx((10 + 13) / 2)
    assert found["speed_up"] == pytest.approx(math.sqrt(120 / 40 * 160 / 30))
    for share in (80, 90, 95):  # all four curves jump over these at once
        assert found[f"speed_up_{share}"] == pytest.approx(found["speed_up"])
    soon, never = rising(2, 0.9), rising(99)
    for seeds, verdict in (([soon] * 12, "smaller"), ([soon] * 9 + [never] * 3, "inconclusive"), ([never] * 12, "not")):
        record = figure_3(inception=inception, **{name: network(*seeds)})
        assert verdicts.judge(claim, judged(record)).verdict == verdict


def test_networks_are_compared_at_the_seeds_that_both_have():
    inception = network(rising(10, 0.8), rising(14, 0.6)) | {"seeds": [4000, 4001]}
    baseline = network(rising(1, 0.9)) | {"seeds": [4001]}
    found = estimates("bn-baseline", figure_3(inception=inception, bn_baseline=baseline))
    assert found["peak_gain"].value == pytest.approx(30) and found["speed_up"].value == pytest.approx(160 / 30)


def test_bn_x30_beside_bn_x5_by_hand():
    x5 = network(*[rising(1, 0.7, 0.4)] * 3, test=[0.6, 0.7, None])
    x30 = network(rising(6, 0.8, 0.3), rising(6, 0.7, 0.3), rising(6, 0.6, 0.3), test=[0.7, 0.7, 0.2])
    record = figure_3(bn_x5=x5, bn_x30=x30)
    assert values("bnx30", record) == {"peak_gain": pytest.approx(0, abs=1e-9)}
    # The first quarter of 21 evaluations are the first six: (0.4 + 5 · 0.7) / 6 − 0.3. One that diverged is at chance.
    expected = {"early_lead": 35, "final_gain": (10 + 0 + 10) / 3}
    assert values("bnx30-slower-start", record) == pytest.approx(expected)


def test_a_network_that_diverges_in_the_first_quarter_is_at_chance_from_there_on():
    x30 = network([0.1, 0.3, *[None] * 19], diverged=[2], test=[None])
    record = figure_3(bn_x5=network(rising(0, 0.7)), bn_x30=x30)
    assert values("bnx30-slower-start", record)["early_lead"] == pytest.approx(100 * (0.7 - (0.1 * 5 + 0.3) / 6))


def test_infinite_parameters_are_one_thing_and_an_accuracy_at_chance_another():
    x5 = network(*[rising(3)] * 4, test=[0.8, 0.149, 0.16, None], diverged=[None, None, None, 2])
    found = estimates("inception-x5-diverges", figure_3(plain_x5=x5))["seeds_infinite"]
    assert (found.value, found.n, found.interval) == (0.25, 4, "Clopper-Pearson")
    found = estimates("inception-x5-at-chance", figure_3(plain_x5=x5))["seeds_at_chance"]
    assert (found.value, found.n, found.interval) == (0.5, 4, "Clopper-Pearson")


def test_networks_with_sigmoids_by_hand():
    record = figure_3(
        inception=network(rising(3, 0.8), rising(3, 0.8)),
        bn_x5_sigmoid=network(rising(3, 0.6), rising(3, 0.68)),
        sigmoid=network(rising(3, 0.1, 0.1), rising(3, 0.12, 0.1)),
    )
    assert values("sigmoid-inception-69.8", record) == {"of_inception": pytest.approx(math.sqrt(0.75 * 0.85))}
    assert values("sigmoid-no-bn-chance", record) == {"times_chance": pytest.approx(1.1)}


def test_a_higher_rate_and_bn_alone_by_hand():
    """What never gets there counts its whole run."""
    record = figure_3(
        inception=network(rising(3, 0.8)), bn_baseline=network(rising(99)), bn_x5=network(rising(3, 0.82))
    ) | {"equal": {"bn_x1": network(rising(8, 0.9)), "bn_x5": network(rising(3, 0.85))}}
    assert values("lr-increase", record) == pytest.approx({"rate_speed_up": 100 / 50, "peak_gain": -5})
    assert values("bn-alone-not-enough", record) == {"over_bn_alone": pytest.approx(200 / 50)}
    record["equal"]["bn_x5"] = network(rising(99))
    assert values("lr-increase", record)["rate_speed_up"] == pytest.approx(100 / 200)


# ---- The paper's own numbers ---------------------------------------------------------------------


def test_figure_3_is_typed_as_it_is_printed():
    accuracies = {name: accuracy for name, (_, accuracy) in paper.FIGURE_3.items()}
    assert list(accuracies.values()) == [72.2, 72.7, 73.0, 74.8, 69.8]
    fewer = [31 / steps for steps, _ in paper.FIGURE_3.values()]
    assert fewer == pytest.approx([1, 2.331, 14.762, 11.481, 0], abs=1e-3)  # the last never gets there


@pytest.mark.parametrize(
    ("claim", "above", "below", "decimals"),
    [("seven-percent-steps", "2.1", "31.0", 2), ("abstract-14x", "31.0", "2.1", 0), ("bnx30-6M", "31.0", "6", 0)],
)
def test_what_the_paper_says_of_its_figure_3(claim, above, below, decimals):
    """By trying numbers that round to the printed ones: some of their quotients round to what the paper says of it."""
    tried = [
        [float(n) + d for d in np.linspace(-h, h, 41)]
        for n, h in ((above, 0.05), (below, 0.5 if below == "6" else 0.05))
    ]
    quotients = [a / b for a in tried[0] for b in tried[1]]
    said = {"seven-percent-steps": 0.07, "abstract-14x": 14, "bnx30-6M": 5}[claim]
    assert said in {round(quotient, decimals) for quotient in quotients}
    expected = {"quotient": float(above) / float(below), "least": min(quotients), "largest": max(quotients)}
    assert values(claim, {}) == pytest.approx(expected)
    assert verdicts.judge(claim, judged({})).verdict == "consistent"


def test_a_fraction_of_the_steps_and_a_single_network_ahead(monkeypatch):
    """By trying numbers that round to the printed ones; and with a printed number that would refute it."""
    shares = [(2.1 + a) / (31.0 + b) for a in (-0.05, 0.05) for b in (-0.05, 0.05)]
    leads = [7.42 + a - (5.82 + b) for a in (-0.005, 0.005) for b in (-0.005, 0.005)]
    expected = {"quotient": 2.1 / 31.0, "fraction": max(shares), "lead": min(leads), "one_crop": 7.82 - 7.42}
    assert values("fraction-of-steps", {}) == pytest.approx(expected)
    assert verdicts.judge("fraction-of-steps", None).verdict == "consistent"
    monkeypatch.setitem(paper.FIGURE_4, "multicrop", (21.99, 7.42))
    assert verdicts.judge("fraction-of-steps", None).verdict == "inconsistent"


# ---- The claims ----------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_each_claim_can_be_judged_on_its_record(claim):
    check(claim)


def test_the_accuracies_on_imagenet_wait_for_imagenet():
    assert [claim.id for claim in CLAIMS if claim.scale] == ["inception-72.2"]
    check_waits_for_imagenet("inception-72.2", "training_speed")
    papers = {"inception": network(rising(3, 0.722)), "bn_x30": network(rising(3, 0.748))}
    less = papers | {"bn_x30": network(rising(3, 0.73))}
    for networks, verdict in ((papers, "reproduced"), (less, "not")):
        twice = {name: found | {"validation": found["validation"] * 2} for name, found in networks.items()}
        assert verdicts.judge("inception-72.2", judged({"networks": twice}, "paper", True)).verdict == verdict


def test_every_estimate_has_a_claim():
    assert {claim.id for claim in CLAIMS if claim.rule} == set(EXPERIMENT.estimates)
    exact = {"seven-percent-steps", "abstract-14x", "bnx30-6M", "fraction-of-steps"}
    assert {claim.id for claim in CLAIMS if claim.exact} == exact
    assert {claim.id for claim in CLAIMS if claim.kind == "as stated"} == {"imagenet-training-setup", "accuracy-at-1"}
