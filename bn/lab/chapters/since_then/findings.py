"""What chapter 12 found, in one sentence for the first page of the book and for README."""

from bn.lab.chapters.since_then import estimates
from bn.lab.show import numbers
from bn.lab.show.words import words


def findings(record: dict, language: str) -> list[str]:
    """On what the paper gives as the reason: covariate shift, by the measure of Santurkar et al. (2018)."""
    _, found = words(language), estimates.shift_of_gradients(record) | estimates.noise(record)
    sentence = _(
        "On the reason that the paper gives: when the layers below a layer move, its gradient changes, on average over "
        "the training, {shift} times as much with BN as without at one rate, and a network whose normalized inputs are "
        "disturbed again by noise needs {bn} times the steps of BN and {plain} times those of the plain network."
    )
    shown = {"shift": "shift_ratio", "bn": "over_bn", "plain": "over_plain"}
    return [sentence.format(**{name: numbers.with_interval(found[key], 2) for name, key in shown.items()})]
