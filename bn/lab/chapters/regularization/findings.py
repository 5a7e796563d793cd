"""What chapter 06 found, in a few sentences for the first page of the book."""

from bn.lab.chapters.regularization import estimates
from bn.lab.chapters.regularization.spec import FEW, WHOLE
from bn.lab.judge.statistics import Estimate
from bn.lab.show import numbers
from bn.lab.show.numbers import number
from bn.lab.show.words import words


def findings(record: dict, language: str) -> list[str]:
    """What Dropout is worth with and without BN, and what the noise of mini-batches does by itself."""
    return [_dropout(record, language), _noise(record, language)]


def _dropout(record: dict, language: str) -> str:
    _, found = words(language), estimates.dropout(record)
    sentence = _(
        "On a small part of the images, with each network at its own best rate, Dropout changes the test accuracy by "
        "{plain} percentage points without Batch Normalization and by {bn} with it."
    )
    return sentence.format(plain=points(found["gain_plain"]), bn=points(found["gain_bn"]))


def _noise(record: dict, language: str) -> str:
    """The comparison that a rule judges, and those beside it that nothing had asked for."""
    _, gain = words(language), estimates.noise_helps(record)["test_gain"]
    if gain.low > 0:
        sentence = _(
            "More noise of the mini-batch, by statistics of {few} examples in the place of {whole} with all else the "
            "same, raises the test accuracy: {gain} percentage points."
        )
    elif gain.high < 0:
        sentence = _(
            "More noise of the mini-batch, by statistics of {few} examples in the place of {whole} with all else the "
            "same, lowers the test accuracy: {gain} percentage points."
        )
    else:
        sentence = _(
            "More noise of the mini-batch, by statistics of {few} examples in the place of {whole} with all else the "
            "same, has no clear effect on the test accuracy: {gain} percentage points."
        )
    planned = sentence.format(few=number(FEW), whole=number(WHOLE), gain=points(gain))
    return f"{planned} {_unplanned(record, language)}"


def _unplanned(record: dict, language: str) -> str:
    """Statistics of the other sizes against those of the whole mini-batch."""
    _, sizes = words(language), [int(size) for size in record["groups"] if int(size) not in (FEW, WHOLE)]
    one = _("{gain} points with statistics of {size}")
    changes = [one.format(size=number(size), gain=points(estimates.gain_over_whole(record, size))) for size in sizes]
    sentence = _("In comparisons with {whole} that had not been planned the accuracy changes by {list}.")
    return sentence.format(whole=number(WHOLE), list=_.listed(changes))


def points(gain: Estimate) -> str:
    """A difference in percentage points with its interval."""
    return numbers.signed(gain.value) + numbers.interval(gain, 2)
