"""The tables of notebook 08: Figure 3 of the paper, what diverges, equal schedules, best rates, and the speed."""

import math

import numpy as np
from IPython.display import HTML
from markupsafe import Markup

from bn.lab import paper
from bn.lab.chapters.training_speed import views
from bn.lab.chapters.training_speed.estimates import SHARES
from bn.lab.chapters.training_speed.views import CONTROLS, FACTORS, FIVE
from bn.lab.judge import curves, statistics
from bn.lab.show import html, numbers, seeds, speech
from bn.lab.show.numbers import NONE, isolated, left_to_right, number
from bn.lab.show.words import N_, words

_LEVELS = (*SHARES, 1.0)  # of Inception's best accuracy
# With five times the rate of Inception and thirty times, without BN and with it.
_AT_HIGH_RATES = ("inception", "plain_x5", "plain_x30", "bn_x5", "bn_x30")
# What a step is measured beside, and what it is in a sentence.
LOOPS = {
    "no_graph": N_("ours, without a CUDA graph"),
    "tuned": N_("torch, tuned"),
    "first": N_("torch, as first written"),
}
_NOTES = {
    "no_graph": N_("Without a CUDA graph, each operation is launched by itself."),
    "tuned": N_(
        "Torch, tuned: torch's layers with their channels last, the precision of ours, a fused optimizer, and images, "
        "their order and their changes on the same device."
    ),
    "first": N_("Torch, as first written: float32, the images in the host's memory, one operation after the other."),
}


def figure3(record: dict, language: str) -> HTML:
    """Figure 3 beside the paper's: how many times fewer steps than Inception, and how far each network goes."""
    _, view, rows = words(language), views.papers(record), []
    for network in views.there(view, (*FIVE, *CONTROLS)):
        rows.append(_beside(_measures(view, network, _called(network, language), language), _papers(network, language)))
    title = views.title(
        view,
        "bn_x5",
        language,
        N_(
            "Inception takes {ours} times as many steps as BN-x5 to its own best accuracy; in the paper {papers} times."
        ),
        N_(
            "BN-x5 does not come to Inception's best accuracy in every seed; in the paper Inception takes {papers} "
            "times as many steps."
        ),
        papers=views.papers_factor("bn_x5", language),
    )
    note = _("The paper's factors are computed from the steps that it prints; a dash: it says nothing.")
    head = _beside(_head(language), [_("in the\npaper")] * 2)
    return _table(title, head, rows, f"{_note(view, language)} {note}", _seen(record, view), language)


def divergence(record: dict, language: str) -> HTML:
    """Of networks at high rates, in how many seeds they become infinite, and in how many they end at chance."""
    _, view, rows = words(language), views.papers(record), []
    for network in views.there(view, _AT_HIGH_RATES):
        found = view["networks"][network]
        shares = [_share(hits, language) for hits in (found["infinite"], _at_chance(found))]
        rows.append([_label(found, _called(network, language), language), *shares, _final(found, language)])
    head = [_("Network"), _("Infinite"), _("At chance\nat the end"), _("Final test\naccuracy, %")]
    note = _(
        "Infinite: the loss or a parameter was once not finite. At chance: the final accuracy is at most {limit} times "
        "chance; a network that became infinite is there too. Shares of the seeds have intervals of Clopper and "
        "Pearson, 95%."
    ).format(limit=number(curves.LOST))
    return _table(_divergence_title(view, language), head, rows, note, _seen(record, view), language)


def equal(record: dict, language: str) -> HTML:
    """Without BN and with it at 1, 5 and 30 times the rate, all else equal, beside Inception."""
    view = views.equal(record)
    return _comparison(view, views.equal_names(language), _equal_title(view, language), record, language)


def best(record: dict, language: str) -> HTML:
    """Each network at its own best rate, in numbers."""
    view = views.best(record)
    title = views.title(
        view,
        "bn",
        language,
        N_("Each at its own best rate, Inception takes {ours} times as many steps as BN to its own best accuracy."),
        N_("Each at its own best rate, BN does not come to Inception's best accuracy in every seed."),
    )
    return _comparison(view, views.best_names(language), title, record, language)


def throughput(record: dict, language: str) -> HTML:
    """How fast a step is here, beside the same in loops as others would write them."""
    _, speeds = words(language), record["throughput"]
    head = [_("Network"), _("Loop"), _("Steps\na second"), _("Images\na second")]
    head.append(_("Ours is so many times\nas fast [smallest, largest]"))
    rows = [row for name in speeds for row in _speeds(name, speeds[name], language)]
    if not speeds:
        return _table(_("How fast a step is has not been measured yet."), head, rows, "", record, language)
    longer = speeds["inception"]["steps_per_second"] / speeds["bn_x5"]["steps_per_second"]
    title = _("A step of BN-x5 takes {longer} times as long here as a step of Inception.")
    note = _("Mini-batches of {batch}, on {device}.").format(
        batch=number(record["asked"]["batch"]), device=isolated(record["provenance"]["devices"][0])
    )
    said = [note, *(_(_NOTES[loop]) for loop in _rivals(speeds["inception"]))]
    return _table(title.format(longer=number(float(longer))), head, rows, " ".join(said), record, language)


def _rivals(speed: dict) -> dict[str, dict]:
    """What is measured of the other loops; early records have the simple one alone, under names of its own."""
    if "rivals" in speed:
        return {name: speed["rivals"][name] for name in LOOPS if name in speed["rivals"]}
    images = speed["images_per_second"] / speed["steps_per_second"] * speed["eager_steps_per_second"]
    first = {"steps_per_second": speed["eager_steps_per_second"], "images_per_second": round(images)}
    return {"first": first | {key: speed[key] for key in ("ratio", "range")}}


def _speeds(name: str, speed: dict, language: str) -> list[list[str]]:
    """A row for our loop, and one for each of the others."""
    _, network = words(language), views.name(name, language)
    rows = [[network, _("ours"), *_per_second(speed), NONE]]
    for loop, rival in _rivals(speed).items():
        low, high = rival["range"]
        ratio = f"{number(float(rival['ratio']))} {left_to_right(f'[{low}, {high}]')}"
        rows.append([network, _(LOOPS[loop]), *_per_second(rival), ratio])
    return rows


def _per_second(speed: dict) -> list[str]:
    return [number(float(speed["steps_per_second"])), number(speed["images_per_second"])]


def _comparison(view: dict, labels: dict[str, str], title: str, record: dict, language: str) -> HTML:
    """A table of our own measures, a row for each of the labelled networks."""
    rows = [_measures(view, name, labels[name], language) for name in views.there(view, labels)]
    return _table(title, _head(language), rows, _note(view, language), _seen(record, view), language)


def _seen(record: dict, view: dict) -> dict:
    """The record with the seeds of the networks in the table: some have fewer than were asked for."""
    seen = {seed for network in view["networks"].values() for seed in network["seeds"]}
    return record | {"asked": record["asked"] | {"seeds": sorted(seen)}}


def _table(title: str, head: list[str], rows: list[list[str]], note: str, record: dict, language: str) -> HTML:
    """A title that says what is seen, the table, the size of the run and a note."""
    note = f"{speech.size(record, language)} {note}"
    return html.table(head, rows, record, language, title=title, note=note)


def _head(language: str) -> list[str]:
    """Heads of `_measures`."""
    _ = words(language)
    level = _("Times fewer\nto {share}")
    return [
        _("Network"),
        *(level.format(share=numbers.percent(share, 0)) for share in _LEVELS),
        _("Best validation\naccuracy, %"),
        _("Final test\naccuracy, %"),
    ]


def _called(network: str, language: str) -> Markup:
    """The name of a network, and whether it is a control."""
    _, called = words(language), Markup('<span class="bn-name">{}</span>').format(views.name(network, language))
    return Markup(_("{network} (control)")).format(network=called) if network in CONTROLS else called


def _label(network: dict, called: str, language: str) -> Markup:
    """The name of a network, and in small print its rate and how many seeds it has."""
    _, rate = words(language), number(float(network["recipe"]["learning_rate"]))
    about = [_("rate {rate}").format(rate=rate), speech.seeds(len(network["validation"]), language)]
    return Markup("{}<br><small>{}</small>").format(called, _.listed(about))


def _measures(view: dict, name: str, called: str, language: str) -> list[str]:
    """Cells: the network, times fewer steps than Inception to each of the levels, best and final accuracy."""
    network = view["networks"][name]
    best = curves.peaks(network)
    return [
        _label(network, called, language),
        *(_level(view, name, share, language) for share in _LEVELS),
        seeds.mean([100 * share or math.nan for share in best], language, 1),
        _final(network, language),
    ]


def _level(view: dict, name: str, share: float, language: str) -> str:
    """How many times fewer steps than Inception's to a share of its best accuracy; in small print how many, of whom."""
    _, steps = words(language), views.steps(view, name, share)
    there = np.isfinite(steps)
    if views.reference_lost(view) or not there.any():
        return seeds.never(~there, language) or NONE
    factor = number(1)
    if name != "inception":
        factor = numbers.with_interval(curves.speed_up(views.beside(view, name), name, share), 2)
    taken = [speech.steps(round(np.mean(steps)), language)] if there.all() else []
    taken.append(numbers.ratio(there.sum(), there.size))
    return Markup("{}<br><small>{}</small>").format(factor, _.listed(taken))


def _final(network: dict, language: str) -> str:
    """Final test accuracy in percent, or in how many seeds the network diverged."""
    return seeds.mean([100 * share for share in curves.finals(network)], language, 1)


def _at_chance(network: dict) -> list[bool]:
    """Which seeds end at chance, as the rule counts them."""
    limit = curves.LOST / network["recipe"]["classes"]
    return [end <= limit for end in curves.or_chance(network, curves.finals(network))]


def _share(hits: list[bool], language: str) -> str:
    """So many of the seeds, and the interval of their share."""
    return numbers.ratio(sum(hits), len(hits)) + numbers.interval(statistics.share(hits), 0, scale=100, unit="%")


def _divergence_title(view: dict, language: str) -> str:
    """What becomes of five times the rate of Inception without BN and with it."""
    _ = words(language)
    for name in ("plain_x5", "bn_x5"):
        if name not in view["networks"]:
            return _(views.UNFINISHED).format(network=views.name(name, language))
    plain, bn = view["networks"]["plain_x5"], view["networks"]["bn_x5"]
    counts = {"plain_infinite": plain["infinite"], "plain_chance": _at_chance(plain)}
    counts |= {"bn_infinite": bn["infinite"], "bn_chance": _at_chance(bn)}
    return _(
        "At five times its rate, Inception without BN becomes infinite in {plain_infinite} of the seeds and ends at "
        "chance in {plain_chance}; BN-x5, at the same rate, in {bn_infinite} and {bn_chance}."
    ).format(**{name: numbers.ratio(sum(hits), len(hits)) for name, hits in counts.items()})


def _equal_title(view: dict, language: str) -> str:
    """At which of the rates BN comes to Inception's best accuracy."""
    _ = words(language)
    there = views.there(view, [f"bn_x{f}" for f in FACTORS])
    reached = [f for f in FACTORS if f"bn_x{f}" in there and np.isfinite(views.steps(view, f"bn_x{f}")).all()]
    if not there:
        return _(views.NONE_THERE)
    if views.reference_lost(view):
        return _(views.NOTHING_TO_COMPARE)
    if not reached:
        return _("All else equal, BN comes to Inception's best accuracy in every seed at none of the three rates.")
    title = _("All else equal, BN comes to Inception's best accuracy in every seed at {rates} the rate.")
    return title.format(rates=_.listed([numbers.times(f) for f in reached]))


def _note(view: dict, language: str) -> str:
    """How a table of `_measures` is read."""
    _ = words(language)
    return _(
        "Times fewer: Inception's steps over the network's, to so many percent of Inception's best validation accuracy "
        "({target}), at the seeds that both have; a seed that never gets there counts its whole training. Geometric "
        "mean with its 95% interval; below it the mean steps, and how many of the seeds get there. "
        "Accuracies: mean over seeds with its 95% interval."
    ).format(target=views.target(view))


def _beside(ours: list[str], papers: list[str]) -> list[str]:
    """A row of our cells with the paper's times fewer steps and best accuracy, each behind our own."""
    *first, best, final = ours
    return [*first, papers[0], best, papers[1], final]


def _papers(name: str, language: str) -> list[str]:
    """The paper's cells: times fewer steps, best accuracy; a dash for what it does not say."""
    _ = words(language)
    if name in paper.FIGURE_3:
        return [views.papers_factor(name, language), number(f"{paper.FIGURE_3[name][1]:.1f}")]
    if name == "plain_x5":
        return [NONE, _("diverged")]
    return [NONE, number("≤ 0.1") if name == "sigmoid" else NONE]
