"""What is not decided yet: the claims that are inconclusive or not run, and what would decide them."""

import math
from collections.abc import Iterator

from bn.lab.judge import verdicts
from bn.lab.judge.verdicts import Condition, Verdict
from bn.lab.show import html, places, speech
from bn.lab.show.forest import positions
from bn.lab.show.numbers import NONE, number
from bn.lab.show.words import words
from bn.lab.store import claims

FAR = 1_000  # seeds: with more than that, an estimate so close to its limit is as good as at it


def table(language: str) -> str:
    """A row for each claim of the paper that is inconclusive or not run."""
    return html.render("undecided", language, rows=list(_rows(language)), section=places.section).data


def _rows(language: str) -> Iterator[tuple[Verdict, dict | None, str, str]]:
    """Each undecided claim with its chapter, its seeds, and what would decide it."""
    for verdict in open_verdicts():
        fewest = min((condition.estimate.n for condition in verdict.conditions), default=0)
        seeds = number(fewest) if fewest else NONE
        yield verdict, places.link_of(verdict.claim.experiment), seeds, wanted(verdict, language)


def open_verdicts() -> list[Verdict]:
    """Of the claims of the paper, those that more machines could decide."""
    judged = [verdicts.of_the_book(claim) for claim in claims.ledger().values() if claim.of_the_paper]
    return [verdict for verdict in judged if verdict.verdict in ("inconclusive", "notrun")]


def wanted(verdict: Verdict, language: str) -> str:
    """What would decide a claim: the paper's own experiment, a run, or more seeds, and about how many."""
    _ = words(language)
    if verdict.verdict == "notrun":
        return _("ImageNet, at the paper's own size") if verdict.claim.scale == "paper" else _("a run")
    needed = max(map(seeds_to_decide, verdict.conditions))
    if needed <= FAR:
        return _("about {seeds}, if the estimate stays where it is").format(
            seeds=speech.seeds(_rounded(needed), language)
        )
    return _("more than {seeds}: the estimate is too close to the limit").format(seeds=speech.seeds(FAR, language))


def seeds_to_decide(condition: Condition) -> float:
    """From how many seeds on the interval would leave the limit out, were the estimate and the spread the same.

    An interval shrinks as one over the root of the seeds. 0 for what is decided or has no interval.
    """
    ends = positions(condition)
    if ends is None or ends[0] > 0 or ends[2] < 0:
        return 0.0
    return condition.estimate.n / ends[1] ** 2 if ends[1] else math.inf


def _rounded(seeds: float) -> int:
    """Two digits are all that such a number has, and upwards."""
    step = 10 ** max(0, math.floor(math.log10(max(seeds, 1))) - 1)
    return step * math.ceil(seeds / step)
