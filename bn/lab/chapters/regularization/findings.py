"""What chapter 06 found, in two sentences for the first page of the book."""

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
    _, gain = words(language), estimates.noise_helps(record)["test_gain"]
    if gain.low > 0:
        sentence = _(
            "The noise of the mini-batch helps: by statistics of {few} examples in the place of {whole}, with "
            "all else the same, the test accuracy rises by {gain} percentage points."
        )
    elif gain.high < 0:
        sentence = _(
            "The noise of the mini-batch does harm: by statistics of {few} examples in the place of {whole}, "
            "with all else the same, the test accuracy changes by {gain} percentage points."
        )
    else:
        sentence = _(
            "The noise of the mini-batch shows no clear effect: by statistics of {few} examples in the place "
            "of {whole}, with all else the same, the test accuracy changes by {gain} percentage points."
        )
    return sentence.format(few=number(FEW), whole=number(WHOLE), gain=points(gain))


def points(gain: Estimate) -> str:
    """A difference in percentage points with its interval."""
    return numbers.signed(gain.value) + numbers.interval(gain, 2)
