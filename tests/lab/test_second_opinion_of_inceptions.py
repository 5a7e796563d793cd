"""Eight verdicts of section 4.2 once more, by code written from the words of the claims alone.

It knows book/claims/ablations.yml and training_speed.yml (`measure`, `rule` and what stands above them), and the shape
of the records. The book's own statistics, curves and estimators were not read to write it, and are called only at the
end, for the comparison. Where the words leave a choice, the code says which reading it takes.
"""

import numpy as np
import pytest
import second_opinion
from scipy.stats import binomtest, kurtosis
from second_opinion import FOUR_DIGITS, interval_of_mean, verdict

SCALE = "cpu"
CALLED = {"smaller": "reproduced", "inconclusive": "inconclusive", "not": "not"}  # the verdicts at smaller scale
RESAMPLES = 20_000
BOOKS_RESAMPLES = 999  # as the claims say: the ends scatter as with so many
TIE = 1e-9  # shares of a few hundred images: a mean over seeds that is but a rounding above one of them is that one
PER_SEED = ("seeds", "validation", "final_test", "final_train", "infinite")

# ---- The words above the claims as code ----------------------------------------------------------


def common(*networks):
    """The same networks with those seeds only that all of them have, in one order."""
    seeds = sorted(set.intersection(*(set(network["seeds"]) for network in networks)))
    places = [[network["seeds"].index(seed) for seed in seeds] for network in networks]
    return [
        network | {name: [network[name][i] for i in place] for name in PER_SEED}
        for network, place in zip(networks, places, strict=True)
    ]


def chance(network):
    return 1 / network["recipe"]["classes"]


def shares(network, name):
    """Accuracies, where those after a divergence, which the record has not, are chance."""
    # The words have it so of final accuracies. Reading: of the curves too.
    known = np.array(network[name], float)
    return np.where(np.isnan(known), chance(network), known)


def final(network, name="final_test"):
    return 100 * shares(network, name)


def medians(network):
    """The accuracies that are spoken of: running medians of five evaluations, (seeds, evaluations)."""
    # Reading: of an evaluation and the four before it. The first four have no median of five, and are nobody's best.
    curves = shares(network, "validation")
    of_five = np.median(np.lib.stride_tricks.sliding_window_view(curves, 5, axis=1), axis=2)
    return np.pad(of_five, ((0, 0), (4, 0)))


def best(network):
    return medians(network).max(axis=1)


def steps_to(targets, network):
    """At which each seed first is at each target, or its whole run: (seeds, targets)."""
    so_far = np.maximum.accumulate(medians(network), axis=1)
    first = [np.searchsorted(curve, targets - TIE) for curve in so_far]
    return np.append(network["steps"], network["steps"][-1])[first]


def steps_to_own_best(network):
    return np.array(network["steps"])[medians(network).argmax(axis=1), None]


def ratio_of_steps(peaks, logarithms):
    """Geometric mean over seeds and its interval; `logarithms` are the seeds' at each target, (seeds, targets).

    The target is the mean of the peaks, and so uncertain itself: each resample of the seeds has its own. The last of
    the four results is by what share the length of the interval may be another with other resamples.
    """
    n = len(peaks)
    picked = np.random.default_rng(20150211).integers(n, size=(RESAMPLES, n))
    drawn = np.take_along_axis(logarithms(peaks[picked].mean(axis=1)), picked.T, axis=0).mean(axis=0)
    # A mean of n draws from n seeds varies by the deviation with n below, a mean of fresh seeds by that with n - 1.
    error = np.std(drawn) * np.sqrt(n / (n - 1))
    interval = np.exp(interval_of_mean(logarithms(np.array([peaks.mean()]))[:, 0], error))
    # Four standard deviations of a standard deviation of so few: 9% for normal means, more where few resamples differ.
    doubt = 4 * np.sqrt((kurtosis(drawn, fisher=False) - 1) / (4 * BOOKS_RESAMPLES)) if np.ptp(drawn) > TIE else 0
    return *interval, doubt


def fewer_steps(inception, slower, faster):
    """Steps of the slower to Inception's best accuracy over those of the faster, at the seeds that all have."""
    inception, slower, faster = common(inception, slower, faster)
    return ratio_of_steps(
        best(inception), lambda targets: np.log(steps_to(targets, slower)) - np.log(steps_to(targets, faster))
    )


def share(found):
    """Share of the seeds with its interval of Clopper and Pearson."""
    counted = binomtest(int(np.sum(found)), len(found))
    return counted.statistic, *counted.proportion_ci(0.95, "exact")


def difference(of, more, less):
    """Mean over the seeds that both have, with its paired t-interval."""
    more, less = common(more, less)
    return interval_of_mean(of(more) - of(less))


def points(network):
    return 100 * best(network)


# ---- The claims ----------------------------------------------------------------------------------


def without(record, change):
    """Inception, BN-x5 without one of the changes, and BN-x5."""
    return record["networks"]["inception"], record["left_out"][change], record["networks"]["bn_x5"]


def higher_rate(record):
    inception, slow, fast = without(record, "rate")
    return {"change_speed": fewer_steps(inception, slow, fast), "change_gain": difference(final, fast, slow)}


def no_dropout(record):
    inception, dropped, whole = without(record, "dropout")
    return {
        "change_gain": difference(final, whole, dropped),
        "change_speed": fewer_steps(inception, dropped, whole),
        "more_overfitting": difference(lambda network: final(network, "final_train") - final(network), whole, dropped),
    }


def shuffling(record):
    """Its gain in BN-x5; and in BN-Baseline less that in Inception, at the seeds that all four have."""
    _, same, shuffled = without(record, "shuffling")
    with_bn, bn = record["alone"]["shuffling"], record["networks"]["bn_baseline"]
    with_plain, plain = record["plain"]["shuffling"], record["plain"]["inception"]
    with_bn, bn, with_plain, plain = map(final, common(with_bn, bn, with_plain, plain))
    return {
        "change_gain": difference(final, shuffled, same),
        "more_than_plain": interval_of_mean((with_bn - bn) - (with_plain - plain)),
    }


def against_inception(record, name):
    inception, network = common(record["networks"]["inception"], record["networks"][name])
    # Reading: "steps of Inception to its own best accuracy" are those of each seed to its own; "that mean" is for the
    # other network. So the numerator does not change with the target.
    own = np.log(steps_to_own_best(inception))
    return {
        "reached": share(best(network) >= best(inception).mean() - TIE),
        "speed_up": ratio_of_steps(best(inception), lambda targets: own - np.log(steps_to(targets, network))),
        "peak_gain": difference(points, network, inception),
    }


def at_chance(network):
    """Seeds with a final accuracy of at most 1.5 times chance, or with infinite parameters."""
    little = shares(network, "final_test") <= 1.5 * chance(network) + TIE
    return {"seeds_at_chance": share(little | np.array(network["infinite"]))}


def times_chance(network):
    return {"times_chance": interval_of_mean(best(network) / chance(network))}


def higher_rate_all_equal(record):
    slow, fast = record["equal"]["bn_x1"], record["equal"]["bn_x5"]
    return {
        "rate_speed_up": fewer_steps(record["networks"]["inception"], slow, fast),
        "peak_gain": difference(points, fast, slow),
    }


SECOND = {
    "ablations": {"rate-5x": higher_rate, "dropout-removed": no_dropout, "shuffle-1pct": shuffling},
    "training_speed": {
        "bn-baseline": lambda record: against_inception(record, "bn_baseline"),
        "bnx5-14x": lambda record: against_inception(record, "bn_x5"),
        "inception-x5-at-chance": lambda record: at_chance(record["networks"]["plain_x5"]),
        "sigmoid-no-bn-chance": lambda record: times_chance(record["networks"]["sigmoid"]),
        "lr-increase": higher_rate_all_equal,
    },
}
CLAIMS = [
    pytest.param(chapter, claim, id=claim["id"])
    for chapter, second in SECOND.items()
    for claim in second_opinion.claims(chapter, second)
]


# ---- The comparison ------------------------------------------------------------------------------


def stretched(found, sign):
    """The same estimates, with the intervals of ratios of steps as long, or short, as other resamples make them."""

    def moved(value, low, high, doubt=0):
        if not doubt:  # nothing was resampled
            return value, low, high
        return value, *(value * (end / value) ** max(0, 1 + sign * doubt) for end in (low, high))

    return {name: moved(*estimate) for name, estimate in found.items()}


@pytest.mark.parametrize(("chapter", "claim"), CLAIMS)
def test_other_code_finds_the_same_numbers_and_verdict(chapter, claim):
    from bn.lab.judge import verdicts  # not before: all above is to be independent of it

    record = second_opinion.record(chapter, SCALE)
    found = SECOND[chapter][claim["id"]](record)
    short, long = stretched(found, -1), stretched(found, 1)
    theirs = verdicts.judge(claim["id"], record)
    for condition in theirs.conditions:
        name, estimate = condition.line.estimate, condition.estimate
        assert estimate.value == pytest.approx(found[name][0], rel=FOUR_DIGITS), name
        for end, one, other in zip((estimate.low, estimate.high), short[name][1:], long[name][1:], strict=True):
            middle, half = (one + other) / 2, abs(one - other) / 2
            assert end == pytest.approx(middle, abs=half + FOUR_DIGITS * abs(middle)), name
    assert [condition.line.estimate for condition in theirs.conditions] == [line["estimate"] for line in claim["rule"]]
    assert CALLED[theirs.verdict] in {verdict(claim["rule"], either) for either in (short, found, long)}


ONE_CHANGE = [  # chapter, a network, the same with one change, what changes in its recipe, and how
    ("ablations", "left_out rate", "networks bn_x5", "learning_rate", lambda old: 5 * old),
    ("ablations", "left_out dropout", "networks bn_x5", "dropout", lambda old: old - 0.4),
    ("ablations", "left_out shuffling", "networks bn_x5", "shuffled", lambda old: not old),
    ("ablations", "networks bn_baseline", "alone shuffling", "shuffled", lambda old: not old),
    ("ablations", "plain inception", "plain shuffling", "shuffled", lambda old: not old),
    ("ablations", "plain inception", "networks bn_baseline", "batch_norm", lambda old: not old),
    ("training_speed", "networks inception", "networks bn_baseline", "batch_norm", lambda old: not old),
    ("training_speed", "networks inception", "networks plain_x5", "learning_rate", lambda old: 5 * old),
    ("training_speed", "networks inception", "networks sigmoid", "activation", lambda old: "sigmoid"),
    ("training_speed", "equal bn_x1", "equal bn_x5", "learning_rate", lambda old: 5 * old),
]


@pytest.mark.parametrize(("chapter", "before", "after", "changed", "how"), ONE_CHANGE)
def test_two_networks_that_are_compared_differ_in_what_the_claim_is_about(chapter, before, after, changed, how):
    record = second_opinion.record(chapter, SCALE)
    old, new = (record[part][name]["recipe"] for part, name in (path.split() for path in (before, after)))
    assert new[changed] == pytest.approx(how(old[changed]))
    assert {name for name in old if old[name] != new[name]} == {changed}


def test_what_is_trained_on_few_images_sees_them_several_times():
    recipe = second_opinion.record("ablations", SCALE)["networks"]["bn_x5"]["recipe"]
    assert recipe["examples"] == 4000
    assert recipe["steps"] * recipe["batch"] > 2 * recipe["examples"]
