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
    assert math.isnan(estimates("bn-baseline", record)["speed_up"].value)
    assert verdicts.judge("bn-baseline", judged(record)).verdict == "not"


@pytest.mark.parametrize(("claim", "name"), [("bn-baseline", "bn_baseline"), ("bnx5-14x", "bn_x5")])
def test_a_network_beside_inception(claim, name):
    inception = network(rising(10, 0.8), rising(14, 0.6))
    one_never = figure_3(inception=inception, **{name: network(rising(2, 0.75), rising(1, 0.65))})
    found = estimates(claim, one_never)
    assert found["reached"].value == 0.5 and found["reached"].n == 2
    assert math.isnan(found["speed_up"].value)
    assert found["peak_gain"].value == pytest.approx(0)  # 5 points less, and 5 more
    assert verdicts.judge(claim, judged(one_never)).verdict == "not"
    both = figure_3(inception=inception, **{name: network(rising(2, 0.75), rising(1, 0.9))})
    assert values(claim, both) == pytest.approx({"reached": 1, "speed_up": 4, "peak_gain": 12.5})
    assert verdicts.judge(claim, judged(both)).verdict == "smaller"


def test_bn_x30_beside_bn_x5_by_hand():
    x5 = network(rising(1, 0.7, 0.4), rising(1, 0.7, 0.4), rising(1, 0.7, 0.4))
    x30 = network(rising(6, 0.8, 0.3), rising(6, 0.7, 0.3), rising(6, 0.6, 0.3))
    record = figure_3(bn_x5=x5, bn_x30=x30)
    assert values("bnx30", record) == {"seeds_ahead": pytest.approx(2 / 3)}
    # The first quarter of 21 evaluations are the first six: (0.4 + 5 · 0.7) / 6 − 0.3.
    assert values("bnx30-slower-start", record) == {"early_lead": pytest.approx(35)}


def test_networks_without_bn_and_with_sigmoids_by_hand():
    record = figure_3(
        inception=network(rising(3, 0.8), rising(3, 0.8)),
        plain_x5=network(rising(3, 0.8), [0.1, *[None] * 20], diverged=[None, 2]),
        bn_x5_sigmoid=network(rising(3, 0.6), rising(3, 0.68)),
        sigmoid=network(rising(3, 0.1, 0.1), rising(3, 0.12, 0.1)),
    )
    assert values("inception-x5-diverges", record) == {"seeds_lost": 0.5}
    assert values("sigmoid-inception-69.8", record) == {"of_inception": pytest.approx(0.8)}
    assert values("sigmoid-no-bn-chance", record) == {"times_chance": pytest.approx(1.1)}


def test_a_higher_rate_and_bn_alone_by_hand():
    """What never gets there counts its whole run where it is slow, and is no success where it should be fast."""
    record = figure_3(
        inception=network(rising(3, 0.8)), bn_baseline=network(rising(99)), bn_x5=network(rising(3, 0.82))
    ) | {"equal": {"bn_x1": network(rising(8, 0.9)), "bn_x5": network(rising(3, 0.85))}}
    assert values("lr-increase", record) == pytest.approx({"rate_speed_up": 100 / 50, "peak_gain": -5})
    assert values("bn-alone-not-enough", record) == {"over_bn_alone": pytest.approx(200 / 50)}
    record["equal"]["bn_x5"] = record["networks"]["bn_x5"] = network(rising(99))
    assert math.isnan(values("lr-increase", record)["rate_speed_up"])
    assert math.isnan(values("bn-alone-not-enough", record)["over_bn_alone"])


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


# ---- The claims ----------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_each_claim_can_be_judged_on_its_record(claim):
    check(claim)


def test_the_accuracies_on_imagenet_wait_for_imagenet():
    assert [claim.id for claim in CLAIMS if claim.scale] == ["inception-72.2"]
    check_waits_for_imagenet("inception-72.2", "training_speed")
    papers = {"inception": network(rising(3, 0.722)), "bn_x30": network(rising(3, 0.748))}
    less = papers | {"bn_x30": network(rising(3, 0.73))}
    found = [verdicts.judge("inception-72.2", judged({"networks": n}, "paper", True)).verdict for n in (papers, less)]
    assert found == ["reproduced", "not"]


def test_every_estimate_has_a_claim():
    assert {claim.id for claim in CLAIMS} == set(EXPERIMENT.estimates)
    assert {claim.id for claim in CLAIMS if claim.exact} == {"seven-percent-steps", "abstract-14x", "bnx30-6M"}
