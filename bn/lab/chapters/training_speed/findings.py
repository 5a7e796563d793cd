"""What chapter 08 found, in two sentences for the first page of the book and for README."""

from bn.lab.chapters.training_speed import figures
from bn.lab.chapters.training_speed.estimates import at_chance, infinite
from bn.lab.judge.statistics import Estimate
from bn.lab.show import numbers
from bn.lab.show.words import words


def findings(record: dict, language: str) -> list[str]:
    """How much sooner the networks with BN are as good as Inception, and what becomes of a high rate without BN."""
    _ = words(language)
    sooner = _("{found} All of that is on small photographs.").format(found=figures.result(record, language))
    return [sooner, _high_rate(record, language)]


def _high_rate(record: dict, language: str) -> str:
    _ = words(language)
    sentence = _(
        "At five times its learning rate Inception has infinite parameters in {infinite} of the seeds and ends at "
        "chance in {at_chance}."
    )
    shares = infinite(record)["seeds_infinite"], at_chance(record)["seeds_at_chance"]
    return sentence.format(infinite=_of_seeds(shares[0]), at_chance=_of_seeds(shares[1]))


def _of_seeds(share: Estimate) -> str:
    return numbers.ratio(round(share.value * share.n), share.n)
