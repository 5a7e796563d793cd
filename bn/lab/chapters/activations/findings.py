"""What chapter 03 found, in three sentences for the first page of the book and for README."""

from bn.lab.chapters.activations import estimates
from bn.lab.judge.statistics import Estimate
from bn.lab.show import numbers, speech
from bn.lab.show.numbers import number, percent
from bn.lab.show.words import words


def findings(record: dict, language: str) -> list[str]:
    """At the setting of the paper's picture, with each network at its own best, and over all settings."""
    return [_at_the_picture(record, language), _at_its_best(record, language), _tolerance(record, language)]


def _at_the_picture(record: dict, language: str) -> str:
    _, found = words(language), estimates.speed(record, "figure1")
    sentence = _(
        "Where the paper's picture appears, at a learning rate of {rate} and small first weights, BN needs {share} of "
        "the training steps of the plain network to {target}."
    )
    rate = number(record["figure1"]["plain"]["learning_rate"])
    return sentence.format(rate=rate, share=_percent(found["steps_ratio"]), target=percent(estimates.TARGET, 0))


def _at_its_best(record: dict, language: str) -> str:
    """What is left of the difference is said by the interval."""
    _, found = words(language), estimates.speed(record, "tuned")
    ratio, gain = found["steps_ratio"], found["final_gain"]
    if ratio.high < 1:
        sentence = _(
            "With each network at its own best setting it is still faster, with {share} of the steps, and ends {gain} "
            "percentage points higher."
        )
    elif ratio.low > 1:
        sentence = _(
            "With each network at its own best setting it is the slower one, with {share} of the steps; its final "
            "accuracy differs by {gain} percentage points."
        )
    elif ratio.low == ratio.high:  # to the same look in every seed
        sentence = _(
            "With each network at its own best setting, evaluations {every} apart show no difference in the steps to "
            "{target}, though at the first of them BN is ahead by {lead} percentage points; its final accuracy differs "
            "by {gain}."
        )
    else:
        sentence = _(
            "With each network at its own best setting there is no clear difference: BN needs {share} of the steps, "
            "and its final accuracy differs by {gain} percentage points."
        )
    steps = record["tuned"]["bn"]["steps"]
    first = [[seed[1] for seed in record["tuned"][name]["validation"]] for name in ("bn", "plain")]
    return sentence.format(
        share=_percent(ratio),
        gain=_points(gain),
        lead=_points(estimates.points(*first)),
        every=speech.steps(steps[1] - steps[0], language),
        target=percent(estimates.TARGET, 0),
    )


def _tolerance(record: dict, language: str) -> str:
    _, cells = words(language), estimates.ahead(record)
    rates, weights = estimates.highest_rate(record), estimates.first_weights(record)
    sentence = _(
        "What BN gives at most settings is tolerance: of {n} pairs of rates and first weights {bn} reach {target} with "
        "it and {plain} without, its learning rate can be {times} times as high, and with first weights from {least} "
        "to {most} its final accuracy varies by {bn_range} percentage points, that of the plain network by "
        "{plain_range}."
    )
    grid, spread = record["grid"], record["spread"]["weight_stds"]
    n = len(grid["rates"]) * len(grid["weight_stds"])
    return sentence.format(
        n=number(n),
        bn=_of(cells["passed_bn"], n),
        plain=_of(cells["passed_plain"], n),
        target=percent(estimates.TARGET, 0),
        times=number(rates["rate_ratio"].value),
        least=number(spread[0]),
        most=number(spread[-1]),
        bn_range=number(weights["range_bn"].value),
        plain_range=number(weights["range_plain"].value),
    )


def _points(gain: Estimate) -> str:
    return numbers.signed(gain.value) + numbers.interval(gain, 2)


def _percent(estimate: Estimate) -> str:
    return percent(estimate.value) + numbers.interval(estimate, 1, scale=100, unit="%")


def _of(share: Estimate, n: int) -> str:
    """So many of n, mean over seeds."""
    return number(float(f"{share.value * n:.1f}"))
