"""The tables of notebook 08: Figure 3 of the paper, equal schedules, each at its own best rate, and the speed."""

import math

import numpy as np
from IPython.display import HTML
from markupsafe import Markup

from bn.lab import paper
from bn.lab.chapters.training_speed import views
from bn.lab.chapters.training_speed.views import CONTROLS, FACTORS, FIVE
from bn.lab.judge import curves, statistics
from bn.lab.judge.curves import NEAR
from bn.lab.show import html, numbers, seeds, speech
from bn.lab.show.numbers import NONE, isolated, left_to_right, number
from bn.lab.show.words import N_, words

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
    """Figure 3 beside the paper's: steps to Inception's best accuracy, how many times fewer, and how far each goes."""
    _, view, rows = words(language), views.papers(record), []
    for network in views.there(view, (*FIVE, *CONTROLS)):
        name = Markup('<span class="bn-name">{}</span>').format(views.name(network, language))
        label = Markup(_("{network} (control)")).format(network=name) if network in CONTROLS else name
        measures = _measures(view, network, language)
        rows.append(_beside([label, *measures], _papers(network, language)))
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
        papers=_papers_factor("bn_x5", language),
    )
    note = _("The paper's factors are computed from the steps that it prints; a dash: it says nothing.")
    head = _beside(_head(view, language), [_("in the\npaper")] * 3)
    return _table(title, head, rows, f"{_note(view, language)} {note}", record, language)


def equal(record: dict, language: str) -> HTML:
    """Without BN and with it at 1, 5 and 30 times the rate, all else equal, beside Inception."""
    _, view = words(language), views.equal(record)
    kinds = {"plain": _("without BN, rate {factor}"), "bn": _("with BN, rate {factor}")}
    labels = {"inception": views.name("inception", language)}
    labels |= {f"{kind}_x{f}": label.format(factor=numbers.times(f)) for kind, label in kinds.items() for f in FACTORS}
    return _comparison(view, labels, _equal_title(view, language), record, language)


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
    rows = [[labels[name], *_measures(view, name, language)] for name in views.there(view, labels)]
    return _table(title, _head(view, language), rows, _note(view, language), record, language)


def _table(title: str, head: list[str], rows: list[list[str]], note: str, record: dict, language: str) -> HTML:
    """A title that says what is seen, the table, the size of the run and a note."""
    note = f"{speech.size(record, language)} {note}"
    return html.table(head, rows, record, language, title=title, note=note)


def _head(view: dict, language: str) -> list[str]:
    """Heads of the network's name and of `_measures`."""
    _ = words(language)
    return [
        _("Network"),
        _("Learning\nrate"),
        _("Steps to\n{target}").format(target=views.target(view)),
        _("Times\nfewer"),
        _("Times fewer\nto {near}").format(near=views.target(view, NEAR)),
        _("Best validation\naccuracy, %"),
        _("Final test\naccuracy, %"),
    ]


def _measures(view: dict, name: str, language: str) -> list[str]:
    """Cells: rate, steps, times fewer than Inception, the same at 95% of the target, best and final accuracy."""
    network, steps = view["networks"][name], views.steps(view, name)
    best = curves.peaks(network)
    near = curves.steps_reaching(network, NEAR * curves.target(view))
    return [
        number(float(network["recipe"]["learning_rate"])),
        seeds.never(np.isinf(steps), language) or _mean(steps, 0, math.inf),
        _factor(view, name, 1, steps, language),
        _factor(view, name, NEAR, near, language),
        seeds.diverged([not share for share in best], language) or _mean(100 * np.array(best), 1, 100),
        seeds.diverged(curves.diverged(network), language) or _mean(100 * np.array(curves.finals(network)), 1, 100),
    ]


def _mean(values: list[float] | np.ndarray, digits: int, most: float) -> str:
    """Mean and interval, which of few seeds may reach beyond what is possible and is cut there."""
    return numbers.with_interval(statistics.mean(values, bounds=(0, most)), digits)


def _factor(view: dict, name: str, share: float, steps: list[float], language: str) -> str:
    """How many times fewer steps than Inception's to a share of its best accuracy."""
    if name == "inception":
        return number(1)
    if never := seeds.never(np.isinf(steps), language):
        return never
    return NONE if views.reference_lost(view) else numbers.with_interval(curves.speed_up(view, name, share), 2)


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
        "Mean over seeds with its 95% interval. {target} is Inception's best validation accuracy, and {near} is "
        "{share} of it. Times fewer: Inception's steps over the network's. In brackets after a word: in how many of "
        "the seeds."
    ).format(target=views.target(view), near=views.target(view, NEAR), share=numbers.percent(NEAR, 0))


def _beside(ours: list[str], papers: list[str]) -> list[str]:
    """A row of our seven cells with the paper's rate, times fewer steps and best accuracy, each behind our own."""
    name, rate, steps, factor, near, best, final = ours
    return [name, rate, papers[0], steps, factor, papers[1], near, best, papers[2], final]


def _papers(name: str, language: str) -> list[str]:
    """The paper's cells: learning rate, times fewer steps, best accuracy; a dash for what it does not say."""
    _ = words(language)
    if name in paper.FIGURE_3:
        rate = paper.RATE * {"bn_x5": 5, "bn_x30": 30, "bn_x5_sigmoid": 5}.get(name, 1)
        return [number(rate), _papers_factor(name, language), number(f"{paper.FIGURE_3[name][1]:.1f}")]
    if name == "plain_x5":
        return [number(5 * paper.RATE), NONE, _("diverged")]
    return [NONE, NONE, number("≤ 0.1") if name == "sigmoid" else NONE]


def _papers_factor(name: str, language: str) -> str:
    """How many times fewer steps than Inception's, from the steps that the paper prints."""
    _, ratio = words(language), paper.FIGURE_3["inception"][0] / paper.FIGURE_3[name][0]
    return number(f"{ratio:.2f}" if name != "inception" else 1) if ratio else _("never")
