"""The forest plot: every estimate that a rule judges, with its 95% interval, against its limit.

The estimates have different units: ratios, points, shares. Each row is therefore measured from its own limit, towards
the side on which the claim is reproduced, and scaled by its own interval, whose half is one unit; ratios are scaled as
logarithms. All limits are then one line, an interval is as long as any other, and it leaves the line out just where the
rule is decided. How large an effect is, the numbers beside it say.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from IPython.display import HTML

from bn.lab.judge import replaced, verdicts
from bn.lab.judge.verdicts import OF_THE_PAPER, Condition, Verdict
from bn.lab.show import html, numbers, speech
from bn.lab.show.words import words
from bn.lab.store import claims
from bn.lab.store.claims import Claim

REACH = 4.0  # half intervals to either side of the limit that are drawn; what lies further out is an arrow

_OF_RATIOS = ("log-ratio t", "bootstrap")


@dataclass(frozen=True)
class Row:
    """A line of a rule: in words, and where its estimate and the ends of its interval are drawn, from 0 to 1.

    `beyond`: of an estimate that lies further out than is drawn, on which side, -1 or 1. `old`: by a replaced rule.
    """

    label: str
    measured: str
    low: float
    value: float
    high: float
    beyond: int
    old: bool


def forest(record: dict, language: str) -> HTML:
    """What one record says of the measured claims of its chapter."""
    judged = [verdicts.judge(claim.id, record) for claim in claims.of_chapter(record["experiment"])]
    return _figure(judged, language, size=speech.size(record, language))


def of_the_book(language: str) -> HTML:
    """What the deciding records say of all measured claims."""
    return _figure([verdicts.of_the_book(claim) for claim in claims.ledger().values() if claim.of_the_paper], language)


def positions(condition: Condition) -> tuple[float, float, float] | None:
    """Where the lower end, the estimate and the upper end stand from the limit, in half intervals; None without one.

    Positive is the side on which the line of the rule holds. The estimate of an interval without width is infinitely
    far, unless it stands at the limit itself.
    """
    e, line = condition.estimate, condition.line
    if e.interval in ("none", "range"):
        return None
    scale = math.log if e.interval in _OF_RATIOS else float
    if line.relation == "within":  # of the distance from 0: the nearer margin counts
        ends = [line.limit - math.copysign(1, e.value) * v for v in (e.low, e.value, e.high)]
    else:
        side = -1 if line.relation == "at_most" else 1
        ends = [side * (scale(v) - scale(line.limit)) for v in (e.low, e.value, e.high)]
    low, value, high = sorted(ends)  # the estimate lies between
    return tuple(_over(end, (high - low) / 2) for end in (low, value, high))


def _over(distance: float, half: float) -> float:
    if half > 0:
        return distance / half
    return math.copysign(math.inf, distance) if distance else 0.0


def _figure(judged: Sequence[Verdict], language: str, size: str = "") -> HTML:
    """A block for each measured claim that has an interval."""
    measured = [verdict for verdict in judged if verdict.claim.measured and verdict.verdict != "notrun"]
    blocks = [(verdict, _rows(verdict, language)) for verdict in measured if any(map(positions, verdict.conditions))]
    if not blocks:
        _ = words(language)
        return html.text(_("No claim that was measured here has an interval yet."), language)
    title = _title([verdict for verdict, rows in blocks], language)
    return html.render("forest", language, title=title, blocks=blocks, size=size)


def _title(judged: Sequence[Verdict], language: str) -> str:
    """How many measured claims there are, and how many have which verdict."""
    _, counts = words(language), Counter(verdict.verdict for verdict in judged)
    tally = [
        f"{numbers.number(counts[name])} {speech.verdict(name, language)}" for name in OF_THE_PAPER if counts[name]
    ]
    n = len(judged)
    sentence = _.ngettext("{n} measured claim: {tally}.", "{n} measured claims: {tally}.", n)
    return sentence.format(n=numbers.number(n), tally=_.listed(tally))


def _rows(verdict: Verdict, language: str) -> list[Row]:
    """By the rules that were replaced, and by today's."""
    earlier = [old.verdict for old in replaced.of(verdict.claim)]
    found = [_row(c, v.claim, v is not verdict, language) for v in (*earlier, verdict) for c in v.conditions]
    return [row for row in found if row]


def _row(condition: Condition, claim: Claim, old: bool, language: str) -> Row | None:
    ends = positions(condition)
    if ends is None:
        return None
    label = words(language)(condition.line.label)
    beyond = 0 if abs(ends[1]) <= REACH else round(math.copysign(1, ends[1]))
    drawn = (min(max((end + REACH) / (2 * REACH), 0.0), 1.0) for end in ends)
    return Row(label, speech.measured(condition, claim), *drawn, beyond, old)
