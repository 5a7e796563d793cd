"""Where the paper's explanation stands by the measurements of this chapter, in a few plain sentences."""

from bn.lab.chapters.since_then import estimates
from bn.lab.judge import statistics, verdicts
from bn.lab.judge.statistics import Estimate
from bn.lab.show import numbers
from bn.lab.show.words import N_, words

_SHIFT = {
    "smaller": N_("By the measure of Santurkar et al. BN does not reduce covariate shift here, as they found."),
    "not": N_(
        "By the measure of Santurkar et al. BN does reduce covariate shift here, in the size of the change or in its "
        "direction, and they found that it does not."
    ),
    "inconclusive": N_("Whether BN reduces covariate shift by the measure of Santurkar et al. is inconclusive here."),
    "notrun": N_("Whether BN reduces covariate shift by the measure of Santurkar et al. was not judged here."),
}


def standing(record: dict, language: str) -> str:
    """On shift, on noise and on smoothness, with their intervals."""
    _ = words(language)
    return " ".join([_(_SHIFT[verdicts.judge("later-shift-not-reduced", record).verdict]), *_numbers(record, language)])


def _numbers(record: dict, language: str) -> list[str]:
    _, shift, noise = words(language), estimates.shift_of_gradients(record), estimates.noise(record)
    smooth, gain = estimates.smoothness(record), estimates.rates(record)
    sentences = {
        _(
            "At one rate, over the training, the gradients change {ratio} times as much with BN as without, and their "
            "cosine differs by {cosine}; with each at its own rate they change {own} times as much."
        ): {"ratio": shift["shift_ratio"], "cosine": shift["cosine_gain"], "own": _own_rates(record)},
        _(
            "A network whose inputs are made to move {moved} times as far as the plain network's reaches {target} in "
            "{plain} times its steps and in {bn} times those of BN."
        ): {"moved": noise["moved_ratio"], "plain": noise["over_plain"], "bn": noise["over_bn"]},
        _(
            "Over the training, the loss along the step varies {loss} times as much with BN, and the gradient "
            "{gradient} times."
        ): {
            "loss": smooth["range_ratio"],
            "gradient": smooth["turned_ratio"],
        },
        _(
            "At the first weights, before any step, and at the plain network's rate, the loss varies {loss_first} "
            "times as much with BN, the gradient {gradient_first} times, the gradients of the layers change "
            "{ratio_first} times as much, and their cosine differs by {cosine_first}."
        ): {
            "loss_first": smooth["first_range"],
            "gradient_first": smooth["first_turned"],
            "ratio_first": shift["first_shift"],
            "cosine_first": shift["first_cosine"],
        },
        _("Of the {own} points that BN gains at its own rate, {equal} are there at the rate of the plain network."): {
            "own": gain["gain_own"],
            "equal": gain["gain_equal"],
        },
    }
    target = numbers.percent(estimates.TARGET, 0)
    return [
        sentence.format(target=target, **{name: numbers.with_interval(e, 2) for name, e in found.items()})
        for sentence, found in sentences.items()
    ]


def _own_rates(record: dict) -> Estimate:
    """The change of the gradients with BN at its own rate over that of the plain network at its own."""
    return statistics.ratio(*(estimates.of_training(record["deep"][name], "shift") for name in ("bn", "plain")))
