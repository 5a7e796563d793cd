"""Sentences about a record in the reader's language: the size of its run, where it comes from, what it found."""

import math
import string

import numpy as np

from bn.lab import paper
from bn.lab.judge import curves, replaced, statistics, verdicts
from bn.lab.judge.parts import sized
from bn.lab.judge.statistics import Estimate
from bn.lab.judge.verdicts import Condition, Verdict
from bn.lab.show import numbers
from bn.lab.show.numbers import left_to_right, number
from bn.lab.show.words import N_, words
from bn.lab.store import claims, records
from bn.lab.store.claims import Claim
from bn.lab.store.provenance import UNKNOWN

VERDICTS = {
    "verified": N_("verified exactly"),
    "consistent": N_("consistent with the paper's own numbers"),
    "inconsistent": N_("inconsistent with the paper's own numbers"),
    "reproduced": N_("reproduced"),
    "smaller": N_("reproduced at smaller scale"),
    "inconclusive": N_("inconclusive"),
    "not": N_("not reproduced"),
    "stated": N_("as the paper states it"),
    "open": N_("open"),
    "notrun": N_("not run"),
    "met": N_("met"),
    "notmet": N_("not met"),
}
_NOTHING = {  # of a claim without a rule and without a number beside it
    "stated": N_("What the authors say of their own work: there is nothing to measure."),
    "open": N_("A conjecture, or a statement that nothing published can decide."),
}
_UNFINISHED = N_("Not all trainings that decide this are finished.")
TODAY = {  # what `records.carried` says of today's code
    True: N_("the same code today"),
    False: N_("today's code, with other rounding and random numbers"),
    None: N_("today's code, which is another and has not been measured"),
}
DATASETS = {
    "digits": N_("scikit-learn's digits"),
    "mnist": N_("MNIST"),
    "tiny-imagenet": N_("Tiny ImageNet, {pixels} pixels"),
    "imagenet": N_("ImageNet, {pixels} pixels"),
}


def steps(n: int, language: str) -> str:
    """So many training steps."""
    return words(language).ngettext("{n} step", "{n} steps", n).format(n=number(n))


def seeds(n: int, language: str) -> str:
    """So many seeds."""
    return words(language).ngettext("{n} seed", "{n} seeds", n).format(n=number(n))


def size(record: dict, language: str) -> str:
    """Which images, how many steps and seeds, whether that is the paper's own size, and what is missing."""
    _, asked = words(language), record["asked"]
    if record["papers_own_size"]:
        sentence = _("{images}, {steps}, {seeds}: the paper's own size.")
    else:
        sentence = _("Small scale, not the paper's experiment: {images}, {steps}, {seeds}.")
    said = [
        sentence.format(
            images=_images(record, language),
            steps=_steps(asked, language),
            seeds=seeds(len(asked["seeds"]), language),
        )
    ]
    if record.get("missing"):
        unfinished = _("Not finished: so far {done} of {planned} trainings.")
        done, planned = record["provenance"]["runs"], record["runs_planned"]
        said.append(unfinished.format(done=number(done), planned=number(planned)))
    return " ".join(said)


def whose(record: dict, language: str) -> str:
    """Whether a record is the one by which the claims are judged, or that of a reader's own run."""
    _, committed = words(language), records.deciding(record["experiment"])
    if committed is None:
        return _("From your own run, since no run that decides is part of this book yet.")
    if committed["sha256"] == record["sha256"]:
        return _("From the run that decides.")
    return _("From your own run.")


def rate(record: dict, language: str) -> str:
    """The learning rate of Inception, from which those of the other networks follow, and how it was chosen."""
    _, found = words(language), record["sweep"]
    chosen = number(float(found["chosen"]["plain"]))
    if not found["rates"]:
        return _("The learning rate of Inception was given: {rate}.").format(rate=chosen)
    sentence = _("The learning rate of Inception is {rate}, the best of a sweep on other seeds: {seeds}.")
    return sentence.format(rate=chosen, seeds=_.listed([left_to_right(seed) for seed in found["seeds"]]))


def own_best(inception: dict, language: str) -> str:
    """When in its training Inception is at its best, so that one sees whether the target is where its steps end."""
    _, evaluated, steps = words(language), inception["steps"], np.array(curves.steps_to_own_peak(inception))
    if not np.isfinite(steps).all():
        return ""
    at = statistics.mean(steps / evaluated[-1], bounds=(0, 1))
    sentence = _("Inception is at its best after {share} of its steps{interval}; it was evaluated at every {every}.")
    return sentence.format(
        share=numbers.percent(at.value, 0),
        interval=numbers.interval(at, 0, scale=100, unit="%"),
        every=numbers.percent(evaluated[1] / evaluated[-1]),
    )


def _images(record: dict, language: str) -> str:
    """The name of the data set, at how many pixels, and how large a part of it was trained on."""
    _, asked, trained = words(language), record["asked"], record.get("training_images")
    pixels = numbers.pair(asked["pixels"], asked["pixels"]) if "pixels" in asked else ""
    name = numbers.isolated(_(DATASETS.get(record["dataset"], record["dataset"])).format(pixels=pixels))
    if trained is None or trained["used"] >= trained["whole"]:
        return name
    part = _("{images} ({used} of its {whole} training images)")
    return part.format(images=name, **{key: number(count) for key, count in trained.items()})


def _steps(asked: dict, language: str) -> str:
    """How many steps; of images they are asked in mini-batches of the paper's size, and may be taken in larger ones."""
    _, batch = words(language), asked.get("batch", paper.BATCH) if "pixels" in asked else paper.BATCH
    taken = steps(max(1, round(asked["steps"] * paper.BATCH / batch)), language)
    if batch == paper.BATCH:
        return taken
    return _("{steps} with mini-batches of {batch}").format(steps=taken, batch=number(batch))


def section(claim: Claim, language: str) -> str:
    """Where in the paper a claim stands."""
    _ = words(language)
    return _("appendix") if claim.section == "A" else _("section {number}").format(number=number(claim.section))


def says(claim: Claim, language: str) -> str:
    """Whose claim it is, and on which section of the paper."""
    _, of = words(language), section(claim, language)
    if claim.by is None:
        return _("The paper says ({section})").format(section=of)
    return _("{authors} on {section}").format(authors=numbers.isolated(claim.by), section=of)


def verdict(name: str, language: str) -> str:
    """The words for one of `verdicts.VERDICTS`."""
    return words(language)(VERDICTS[name])


# ---- What was found ------------------------------------------------------------------------------


def found(judged: Verdict, record: dict | None, language: str) -> dict:
    """`lines`: what was measured, in a sentence or line by line; `size`: of the run, for what is measured in one."""
    _, claim, ruled = words(language), judged.claim, bool(judged.conditions)
    if judged.unfinished:
        lines = [_(_UNFINISHED)]
    elif claim.found and (ruled or (judged.verdict in _NOTHING and (record or verdicts.of_the_paper_alone(claim)))):
        lines = [_spoken(_(claim.found), verdicts.estimates(claim, record or {}))]
    elif judged.verdict in _NOTHING:
        lines = [_(_NOTHING[judged.verdict])]
    else:  # none where it was not run, or not at the scale that decides
        lines = _conditions(judged, language)
    return {
        "lines": lines,
        "size": size(_as_judged(judged, record), language) if ruled and claim.measured else "",
    }


def _as_judged(judged: Verdict, record: dict) -> dict:
    """The record with the size by which a claim is judged: that of its part, and the seeds of its estimates."""
    part, fewest = sized(record, judged.claim.part), min(condition.estimate.n for condition in judged.conditions)
    return part | {"asked": part["asked"] | {"seeds": part["asked"]["seeds"][:fewest]}}


def _spoken(sentence: str, estimates: dict[str, Estimate]) -> str:
    """A sentence of a claims file with its estimates."""
    return string.Formatter().vformat(sentence, (), {name: _Spoken(e) for name, e in estimates.items()})


def earlier(claim: Claim, language: str) -> list[dict]:
    """Verdicts by replaced rules: `verdict`, `why`, `claim` if it was worded otherwise, `measure`, `lines`, `size`."""
    _ = words(language)
    return [
        {
            "verdict": old.verdict.verdict,
            "why": _(old.why),
            "claim": _(old.verdict.claim.claim) if old.verdict.claim.claim != claim.claim else "",
            "measure": _(old.verdict.claim.measure),
            "lines": _conditions(old.verdict, language),
            "size": size(old.record, language) if old.verdict.claim.measured else "",
        }
        for old in replaced.of(claim)
    ]


class _Spoken:
    """An estimate in a sentence of a claims file: `{gain}`, `{gain:signed}`, `{gain:interval}`, `{ratio:percent}`…

    Of shares `whole of n` says in how many seeds they are 1, and `whole interval` the exact interval of that.
    """

    def __init__(self, estimate: Estimate) -> None:
        self.estimate = estimate

    @property
    def _whole(self) -> list[bool]:
        return [value == 1 for value in self.estimate.values]

    def __format__(self, form: str) -> str:
        e = self.estimate
        forms = {
            "": lambda: number(e.value),
            "signed": lambda: numbers.signed(e.value),
            "percent": lambda: numbers.percent(e.value) if math.isfinite(e.value) else number("∞"),
            "of n": lambda: numbers.ratio(round(e.value * e.n), e.n),
            "whole of n": lambda: numbers.ratio(sum(self._whole), e.n),
            "whole interval": lambda: numbers.interval(statistics.share(self._whole), 1, scale=100, unit="%"),
            "interval": lambda: numbers.interval(e, 2 if max(abs(e.low), abs(e.high)) < 100 else 0),
            "percent interval": lambda: numbers.interval(e, 1, scale=100, unit="%"),
        }
        if form not in forms:
            raise ValueError(f"an estimate can be said as {', '.join(map(repr, forms))}, not as {form!r}")
        return forms[form]()


def _conditions(judged: Verdict, language: str) -> list[str]:
    return [condition(c, judged.claim, language) for c in judged.conditions]


def condition(condition: Condition, claim: Claim, language: str) -> str:
    """A line of a rule: what was estimated, and `measured` of it."""
    return f"{words(language)(condition.line.label)}: {measured(condition, claim)}"


def measured(condition: Condition, claim: Claim) -> str:
    """The value that counts, its interval over the seeds if there is one, and the limit."""
    low, high = condition.estimate.low, condition.estimate.high
    shown = not claim.exact and math.isfinite(low) and math.isfinite(high)
    between = " " + left_to_right(f"[{numbers.bare(low)}, {numbers.bare(high)}]") if shown else ""
    return f"{numbers.scientific(condition.value)}{between} ({limit(condition.line)})"


def limit(line: claims.Line) -> str:
    """The limit of a line of a rule, such as ≤ 0.5."""
    sign = {"at_most": "≤", "at_least": "≥", "more_than": ">", "within": "±"}[line.relation]
    return left_to_right(f"{sign} {numbers.bare(line.limit)}")


# ---- Where it comes from -------------------------------------------------------------------------


def provenance(record: dict, language: str) -> dict:
    """`brief`: in one line who, where and when; `full`: everything, by name; `command`: what makes it again."""
    _, p = words(language), record["provenance"]
    commit = _commit(p, language)
    versions = {"bn": p["version"]} | p["versions"]
    full = {_("device"): ", ".join(p["devices"]), _("finished"): p["finished"]}
    if "seeds" in p:
        dataset = numbers.isolated(record["dataset"])
        brief = [dataset, _seed_list(p["seeds"], language), commit, _trained_for(p, language)]
        full[_("runs")] = p["runs"]
        full["torch.compile"] = " / ".join(_("yes") if compiled else _("no") for compiled in p["compiled"])
    else:  # a measurement of speed: no training and no data
        brief = [numbers.isolated(full[_("device")]), commit, numbers.isolated(p["finished"])]
        full |= {_("threads"): p["threads"], _("measured for, s"): p["measuring_seconds"]}
    full[_("versions")] = ", ".join(f"{name} {version}" for name, version in versions.items())
    full[_("digest of the training code")] = p["code"]
    for entry in filter(None, map(records.carried, p["code"].split(", "))):
        today = _(TODAY[entry["bytes"]])
        full[today] = ", ".join(filter(None, [full.get(today), "{now} ({commit})".format(**entry)]))
    if p.get("data_sha256"):  # identities need no data
        full[_("SHA-256 of the data")] = p["data_sha256"]
    full = {name: numbers.isolated(value) for name, value in full.items()}
    return {"brief": " · ".join(brief), "full": full, "command": p["command"]}


def _commit(p: dict, language: str) -> str:
    """Of which commits the files were, as far as that is known, and whether they were changed."""
    _, names = words(language), p["commit"].split(", ")
    known = ", ".join(name for name in names if name != UNKNOWN)
    said = [_("commit {name}").format(name=numbers.isolated(known))] if known else []
    commit = _.listed([*said, *([_("commit unknown")] if UNKNOWN in names else [])])
    if p["dirty"] is None and UNKNOWN not in names:
        return _("{commit} (whether files were changed is unknown)").format(commit=commit)
    return _("{commit} (with uncommitted changes)").format(commit=commit) if p["dirty"] else commit


def _seed_list(seeds: list[int], language: str) -> str:
    _ = words(language)
    return _("seeds: {list}").format(list=_.listed([left_to_right(seed) for seed in seeds]))


def _trained_for(p: dict, language: str) -> str:
    """Runs that take turns on a core all count the time that they wait, so this is no time of a processor."""
    n = p["training_seconds"]
    sentence = words(language).ngettext(
        "training time of all runs by the wall clock: {n} second",
        "training time of all runs by the wall clock: {n} seconds",
        n,
    )
    return sentence.format(n=number(n))
