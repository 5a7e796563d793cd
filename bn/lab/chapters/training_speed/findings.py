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
        "On small photographs a small Inception takes {bn_x5} times as many steps to its best accuracy as BN-x5, which "
        "has BN and all changes of the training, and {bn_baseline} times as many as with BN alone; in the paper, "
        "{papers_bn_x5} and {papers_bn_baseline} times."
    )
    factors = {name: numbers.with_interval(sooner(record, name)["speed_up"], 2) for name in ("bn_x5", "bn_baseline")}
    papers = {f"papers_{name}": views.papers_factor(name, language) for name in factors}
    return sentence.format(**factors, **papers)


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
