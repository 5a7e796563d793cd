"""What chapter 08 found, in two sentences for the first page of the book and for README."""

from bn.lab.chapters.training_speed import views
from bn.lab.chapters.training_speed.estimates import at_chance, infinite, sooner
from bn.lab.judge.statistics import Estimate
from bn.lab.show import numbers
from bn.lab.show.words import words


def findings(record: dict, language: str) -> list[str]:
    """How much sooner the networks with BN are as good as Inception, and what becomes of a high rate without BN."""
    return [_sooner(record, language), _high_rate(record, language)]


def _sooner(record: dict, language: str) -> str:
    _ = words(language)
    sentence = _(
        "On small photographs a small Inception takes {bn_baseline} times as many steps to its best accuracy as with "
        "BN alone, and {bn_x5} times as many as BN-x5, which has all changes of the training and gets there in "
        "{reached} of the seeds; in the paper, {papers_bn_baseline} and {papers_bn_x5} times."
    )
    found = {name: sooner(record, name) for name in ("bn_baseline", "bn_x5")}
    factors = {name: numbers.with_interval(one["speed_up"], 2) for name, one in found.items()}
    papers = {f"papers_{name}": views.papers_factor(name, language) for name in found}
    return sentence.format(**factors, **papers, reached=_of_seeds(found["bn_x5"]["reached"]))


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
