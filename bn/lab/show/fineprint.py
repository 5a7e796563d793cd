"""The small print of a verdict: its rule line by line, over how many seeds, and how far chance explains it."""

import math

from bn.lab.judge import statistics, verdicts
from bn.lab.judge.verdicts import Condition, Verdict
from bn.lab.show import numbers, speech
from bn.lab.show.words import words


def small_print(judged: Verdict, holm: dict[str, float], language: str) -> dict:
    """`summary`: the p-value of the verdict, and the one after Holm's correction; `lines`: one for each of the rule.

    `holm`: that of each claim of the chapter by id, as `verdicts.holm` has it. No lines where there is no
    rule, or where an exact claim has no more to say than what was found.
    """
    _, claim, p = words(language), judged.claim, verdicts.p_value(judged)
    summary = _("The rule and its numbers")
    if math.isfinite(p):
        summary = _.ngettext(
            "{p}; corrected for the {n} claim of its chapter, {adjusted}",
            "{p}; corrected for the {n} claims of its chapter, {adjusted}",
            len(holm),
        ).format(p=numbers.p_value(p), n=numbers.number(len(holm)), adjusted=numbers.p_value(holm[claim.id]))
    shown = judged.conditions if claim.found or not claim.exact else ()
    return {"summary": summary, "lines": [_line(condition, judged, language) for condition in shown]}


def _line(condition: Condition, judged: Verdict, language: str) -> str:
    """A line of the rule, its seeds, and for what is measured the p-value of its limit, also by sign flips."""
    _, n = words(language), condition.estimate.n
    parts = [speech.condition(condition, judged.claim, language), speech.seeds(n, language)]
    if judged.claim.measured:
        p, flips = verdicts.p_of_line(condition), sign_flips(condition)
        parts += [numbers.p_value(p)] if math.isfinite(p) else []
        parts += [_("by sign flips {p}").format(p=numbers.p_value(flips))] if math.isfinite(flips) else []
    return _.listed(parts, ";")


def sign_flips(condition: Condition) -> float:
    """The exact p-value of a mean of paired gains against its limit; NaN of anything else."""
    estimate, line = condition.estimate, condition.line
    if estimate.interval != "t" or not 1 < len(estimate.values) <= statistics.MOST_FLIPPED or line.relation == "within":
        return math.nan
    return statistics.sign_flip([value - line.limit for value in estimate.values])
