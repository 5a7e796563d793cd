"""Five verdicts of section 4.1 once more, by code written from the words of book/claims/activations.yml alone.

It knows the claims (`measure` and `rule`) and the shape of the record. The book's own statistics, curves and estimators
were not read to write it, and are called only at the end, for the comparison. Where the words leave a choice, the code
says which reading it takes.
"""

import numpy as np
import pytest
import second_opinion
from second_opinion import FOUR_DIGITS, interval_of_mean, verdict

NETWORKS = ("plain", "bn")
FRESH, CHOOSING = list(range(2000, 2012)), list(range(2100, 2105))  # seeds


@pytest.fixture(scope="module")
def record():
    return second_opinion.record("activations", "paper")


# ---- The words of the claims as code -------------------------------------------------------------


def steps_to_95(steps, curve, ahead=0):
    """The first evaluation at which the median of five is at least 95%, or the whole run."""
    # The claim does not say which five. Reading: this evaluation and the four before it, fewer at the start.
    medians = [np.median(curve[max(0, i + ahead - 4) : i + ahead + 1]) for i in range(len(curve))]
    return next((step for step, median in zip(steps, medians, strict=True) if median >= 0.95), steps[-1])


def interval_of_ratio(bn, plain):
    """Geometric mean of the paired ratios, and both ends of the t-interval of their logarithms."""
    return np.exp(interval_of_mean(np.log(bn) - np.log(plain)))


def figure_1a(part, ahead=0):
    """At one setting of each network: ratio of the steps to 95%, and gain in final test accuracy."""
    steps = [
        [steps_to_95(part[name]["steps"], curve, ahead) for curve in part[name]["validation"]] for name in NETWORKS
    ]
    plain, bn = (100 * np.mean(np.array(part[name]["test"])[:, -10:], axis=1) for name in NETWORKS)
    return {"steps_ratio": interval_of_ratio(*steps[::-1]), "final_gain": interval_of_mean(bn - plain)}


def higher_rates(ladder):
    """Largest rate, of each seed, that ends with at least 95% on test images: BN over plain."""

    def largest(finals):
        return max((rate for rate, final in zip(ladder["rates"], finals, strict=True) if final >= 0.95), default=none)

    none = min(ladder["rates"]) / 2
    plain, bn = ([largest(finals) for finals in zip(*ladder[name]["test"], strict=True)] for name in NETWORKS)
    return {"rate_ratio": interval_of_ratio(bn, plain)}


def first_weights(spread):
    """Range, of each seed, of the final test accuracy over the deviations of the first weights: BN over plain."""
    plain, bn = (np.ptp(spread[name]["test"], axis=0) for name in NETWORKS)
    return {"range_ratio": interval_of_ratio(bn, plain)}


def moving_averages(network):
    """Gap to the averages of Algorithm 2 at the look whose interval has the end farthest from 0."""
    moving = np.array(network["moving"])[:, network["momenta"].index(0.1)]
    gaps = 100 * (moving - np.array(network["population"]))
    # Reading: "after the first fifth" leaves out the look at its end.
    late = [k for k, step in enumerate(network["look_steps"]) if step > network["steps"][-1] / 5]
    return {"gap": max((interval_of_mean(gaps[:, k]) for k in late), key=lambda found: max(np.abs(found[1:])))}


SECOND = {
    "fig1a-accuracy": lambda record: figure_1a(record["figure1"]),
    "own-best-speed": lambda record: figure_1a(record["tuned"]),
    "higher-lr-no-divergence": lambda record: higher_rates(record["ladder"]),
    "less-care-initialization": lambda record: first_weights(record["spread"]),
    "moving-averages": lambda record: moving_averages(record["figure1"]["bn"]),
}


CLAIMS = second_opinion.claims("activations", SECOND)


# ---- The comparison ------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim["id"])
def test_other_code_finds_the_same_numbers_and_verdict(claim, record):
    from bn.lab.judge import verdicts  # not before: all above is to be independent of it

    found = SECOND[claim["id"]](record)
    theirs = verdicts.judge(claim["id"], record)
    for condition in theirs.conditions:
        estimate, mine = condition.estimate, found[condition.line.estimate]
        theirs_of_it = [estimate.value, estimate.low, estimate.high]
        assert mine == pytest.approx(theirs_of_it, rel=FOUR_DIGITS), condition.line.estimate
    assert [condition.line.estimate for condition in theirs.conditions] == [line["estimate"] for line in claim["rule"]]
    assert theirs.verdict == verdict(claim["rule"], found)


@pytest.mark.parametrize(("claim", "part"), [("fig1a-accuracy", "figure1"), ("own-best-speed", "tuned")])
def test_the_verdict_does_not_hang_on_which_five_evaluations_the_median_is_of(claim, part, record):
    (rule,) = (entry["rule"] for entry in CLAIMS if entry["id"] == claim)
    last, centred = (figure_1a(record[part], ahead) for ahead in (0, 2))
    assert verdict(rule, last) == verdict(rule, centred)


def test_the_record_is_the_one_that_the_claims_describe(record):
    assert record["dataset"] == "mnist" and record["asked"]["seeds"] == FRESH
    for name in NETWORKS:
        asked, tuned = record["figure1"][name], record["tuned"][name]
        assert (asked["learning_rate"], asked["weight_std"]) == (0.5, 0.01)
        assert asked["steps"] == tuned["steps"] == list(range(0, 50_001, 500))
        assert len(asked["test"]) == len(asked["validation"]) == len(tuned["test"]) == len(tuned["validation"]) == 12
    ladder, spread = record["ladder"], record["spread"]
    assert (ladder["steps"], ladder["weight_std"], ladder["seeds"]) == (10_000, 0.1, CHOOSING)
    assert ladder["rates"] == [0.5 * 2**k for k in range(12)]
    assert (spread["steps"], spread["seeds"], len(spread["weight_stds"])) == (10_000, FRESH[:5], 9)
    assert (min(spread["weight_stds"]), max(spread["weight_stds"])) == (0.001, 10)


def test_a_tuned_network_has_the_best_setting_of_the_grid(record):
    """By validation images, mean over the seeds; its rate is the one at which the first weights are varied."""
    grid = record["grid"]
    cells = [(rate, std) for rate in grid["rates"] for std in grid["weight_stds"]]
    assert (len(cells), grid["seeds"]) == (24, CHOOSING)
    for name in NETWORKS:
        rate, std = cells[np.argmax(np.mean(grid[name]["validation"], axis=1))]
        assert (record["tuned"][name]["learning_rate"], record["tuned"][name]["weight_std"]) == (rate, std)
        assert record["spread"]["own_rates"][name] == rate
