"""The figures of notebook 08: Figure 2 of the paper, equal schedules, and the sweep. Its tables are in `tables`."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bn.lab.chapters.training_speed import views
from bn.lab.chapters.training_speed.record import KINDS
from bn.lab.chapters.training_speed.views import FACTORS, FIVE, SLOW, WITHOUT_BN
from bn.lab.judge import curves, statistics
from bn.lab.show import seeds, speech
from bn.lab.show.numbers import NONE, number, percent, ratio, times
from bn.lab.show.style import COLOURS, INK, LINES, Drawing, legend_below, panel, steps_axis, styled
from bn.lab.show.words import N_, words

_DOTS, _DASH_DOTS, _LONG = (0, (1, 1.2)), (0, (5, 1.4, 1, 1.4)), (0, (8, 2))
# Colour, line and mark: warm without BN, cold with it, and each has a contrast of 3 on light and on dark pages.
STYLES = {
    "inception": (COLOURS["plain"], LINES["plain"], "o"),
    "bn_baseline": ("#4f9bd6", _DOTS, "s"),
    "bn_x5": (COLOURS["bn"], LINES["bn"], "D"),
    "bn_x30": ("#1c68a8", _DASH_DOTS, "^"),
    "bn_x5_sigmoid": ("#168f8f", _LONG, "v"),
    "plain_x5": ("#a8560c", _DOTS, "P"),
    "plain_x30": ("#8a6a50", _DASH_DOTS, "h"),
    "sigmoid": ("#b5493a", _LONG, "p"),
    "bn_x5_slow": ("#168f8f", LINES["bn"], "<"),
    "bn_x30_slow": ("#168f8f", _DASH_DOTS, ">"),
}
STYLES |= {"plain": STYLES["inception"], "plain_x1": STYLES["inception"]}
STYLES |= {"bn": STYLES["bn_x5"], "bn_x1": STYLES["bn_baseline"]}
_CROSS = {"markersize": 8, "markeredgewidth": 2, "clip_on": False}  # of a divergence


def result(record: dict, language: str) -> str:
    """What was found: how much sooner than Inception BN alone comes to its best accuracy, and BN with all changes.

    And what hangs on the decay of the rate, which a small run has too few steps for.
    """
    view = views.papers(record)
    if views.reference_lost(view):
        return words(language)(views.NOTHING_TO_COMPARE)
    said = [views.pace(view, network, language) for network in ("bn_baseline", "bn_x5")]
    return " ".join([*said, _of_slow_decay(view, language)])


def figure2(record: dict, language: str) -> Drawing:
    """Figure 2: validation accuracy of the five networks over the training; beside it the controls without BN."""
    _, view = words(language), views.only(views.papers(record), (*FIVE, *WITHOUT_BN))
    sides = {_("(a) The five networks"): FIVE, _("(b) Controls, all without BN"): ("inception", *WITHOUT_BN)}
    sides = {title: views.there(view, names) for title, names in sides.items()}
    labels = {title: {name: views.name(name, language) for name in names} for title, names in sides.items()}
    with_bn = views.there(view, FIVE[1:])
    title = views.title(
        view,
        "bn_x5",
        language,
        N_("BN-x5 comes to Inception's best accuracy, {target}, after {fast} steps; Inception itself after {slow}."),
        N_(
            "Networks with BN that come to Inception's best accuracy, {target}, in every seed: {reached} of {all}; "
            "BN-x5 is not among them."
        ),
        all=number(len(with_bn)),
        reached=number(sum(bool(np.isfinite(views.steps(view, name)).all()) for name in with_bn)),
    )
    note = _(
        "Mean over seeds with its 95% interval. A mark on the thin line: there the running median of five evaluations "
        "comes to Inception's best, mean over seeds; a network that does not get there in every seed has none. The "
        "networks with the changes of section 4.2.1 are trained for half the steps."
    )
    return Drawing(_panels(view, labels, language), title, _notes(note, record, view, views.names(language), language))


def decay(record: dict, language: str) -> Drawing:
    """BN-x5 and BN-x30 as they are, and with a rate that decays as slowly as Inception's."""
    _, view = words(language), views.only(views.papers(record), ("inception", "bn_x5", "bn_x30", *SLOW))
    title = _of_slow_decay(view, language)
    note = _(
        "Mean over seeds with its 95% interval; a mark on the thin line as in Figure 2. The two with slow decay are "
        "controls, which no verdict hangs on."
    )
    labels = {_("Fast decay and slow"): {name: views.name(name, language) for name in view["networks"]}}
    return Drawing(_panels(view, labels, language), title, _notes(note, record, view, views.names(language), language))


def _of_slow_decay(view: dict, language: str) -> str:
    """When BN-x5 comes to Inception's best accuracy with a rate that decays as slowly."""
    return views.title(
        view,
        "bn_x5_slow",
        language,
        N_(
            "With a decay as slow as Inception's, BN-x5 comes to Inception's best accuracy, {target}, after {fast} "
            "steps; Inception itself after {slow}."
        ),
        N_("With a decay as slow as Inception's, BN-x5 does not come to Inception's best accuracy in every seed."),
    )


def equal(record: dict, language: str) -> Drawing:
    """Without BN and with it at 1, 5 and 30 times the rate, all else equal."""
    _, view = words(language), views.equal(record)
    names = {f"{kind}_x{f}": times(f) for kind in KINDS for f in FACTORS}
    sides = {"plain": _("(a) Without BN"), "bn": _("(b) With BN")}
    labels = {
        title: {name: names[name] for name in views.there(view, names) if name.startswith(kind)}
        for kind, title in sides.items()
    }
    title = _(
        "All else equal, final test accuracy at 1, 5 and 30 times the rate: {bn_x1}, {bn_x5}, {bn_x30} with BN; "
        "{plain_x1}, {plain_x5}, {plain_x30} without."
    )
    finals = {name: _final(view["networks"][name], language) for name in views.there(view, names)}
    title = title.format(**dict.fromkeys(names, NONE) | finals) if finals else _(views.NONE_THERE)
    note = _(
        "Mean over seeds with its 95% interval; a mark on the thin line as in Figure 2. What section 4.2.1 changes "
        "besides the rate is changed in all six."
    )
    return Drawing(
        _panels(view, labels, language), title, _notes(note, record, view, views.equal_names(language), language)
    )


def sweep(record: dict, language: str) -> Drawing:
    """The final accuracy at each rate of the sweep, and the training of each network at its own best rate."""
    _, view, rates, chosen = words(language), views.best(record), record["sweep"]["rates"], record["sweep"]["chosen"]
    names = views.best_names(language)
    shown = {kind: number(float(rate)) for kind, rate in chosen.items()}
    labels = {_("Each at its own best rate"): {name: names[name] for name in views.there(view, names)}}
    panels = _panels(view, labels, language)
    said = [_cross_note(view["networks"], language), views.seeds_note(view, names, record["asked"]["seeds"], language)]
    if not rates:
        rate = shown["plain"]
        title = _("The learning rate was given, {rate} for both networks: there was no sweep.").format(rate=rate)
        return Drawing(panels, title, " ".join(filter(None, said)))
    if "bn" in chosen:
        title = _("The best rate is {plain} for Inception and {bn} for BN with all changes: {ratio} times that.")
        title = title.format(**shown, ratio=number(chosen["bn"] / chosen["plain"]))
    else:
        title = _("The best rate is {plain} for Inception; that for BN is not known yet.").format(**shown)
    note = _(
        "At each rate: the mean of the last five evaluations on validation images; dots: the seeds of the sweep; a "
        "cross: a seed diverges. The curves: mean over seeds with its 95% interval."
    )
    ends = [shown[kind] for kind, rate in chosen.items() if rate in (min(rates), max(rates))]
    if ends:
        edge = _("At the end of the sweep: {rates}. A better rate may lie beyond.")
        said.insert(0, edge.format(rates=_.listed(list(dict.fromkeys(ends)))))
    said.append(speech.rate(record, language))
    return Drawing((_swept(record["sweep"], language), *panels), title, " ".join(filter(None, [note, *said])))


def _final(network: dict, language: str) -> str:
    """Final test accuracy, or in words that the network diverged."""
    return seeds.diverged(curves.diverged(network), language) or percent(np.mean(curves.finals(network)))


def _notes(note: str, record: dict, view: dict, called: dict[str, str], language: str) -> str:
    """How a panel is read, and of what rate and how many seeds it is."""
    _, inception = words(language), view["networks"]["inception"]
    chance = _("Chance is {share}.").format(share=percent(1 / inception["recipe"]["classes"]))
    said = (
        note,
        _cross_note(view["networks"], language),
        speech.own_best(inception, language),
        speech.rate(record, language),
        views.seeds_note(view, called, record["asked"]["seeds"], language),
        chance,
    )
    return " ".join(filter(None, said))


def _cross_note(networks: dict, language: str) -> str:
    """What a cross means, where there is one."""
    _ = words(language)
    if not any(any(curves.diverged(network)) for network in networks.values()):
        return ""
    return _("A cross: there one seed diverges, and from there on the mean is over the others, without an interval.")


def _panels(view: dict, labels: dict[str, dict[str, str]], language: str) -> tuple[tuple[Figure, str], ...]:
    """For each title the curves of the labelled networks, all on the same axes; none where none is there."""
    labels = {title: of_panel for title, of_panel in labels.items() if of_panel}
    networks = [view["networks"][name] for of_panel in labels.values() for name in of_panel]
    longest = max((network["steps"] for network in networks), key=lambda steps: steps[-1], default=[])
    highest = max([curves.target(view), *(max(curves.peaks(network)) for network in networks)])
    _, panels = words(language), []
    with styled():
        for title, of_panel in labels.items():
            axes = panel(title, language)
            _curves(axes, view, of_panel, language)
            axes.set(ylim=(0, min(1.02, 1.12 * highest)), ylabel=_("validation accuracy"))
            steps_axis(axes, longest, _("training step"))
            _legend(axes, language)
            panels.append((axes.figure, _alt(title, view, of_panel, language)))
    return tuple(panels)


def _curves(axes: Axes, view: dict, labels: dict[str, str], language: str) -> None:
    """Mean over seeds with its interval, a mark where it comes to the target, a cross where a seed diverges."""
    _, level = words(language), curves.target(view)
    axes.axhline(level, color=INK, linewidth=0.8, alpha=0.6, label=_("Inception's best"))
    for name, label in labels.items():
        network, (colour, line, mark) = view["networks"][name], STYLES[name]
        mean, low, high = statistics.mean_curve(network["validation"], (0, 1))
        axes.plot(network["steps"], mean, color=colour, linestyle=line, marker=mark, markevery=[], label=label)
        axes.fill_between(network["steps"], low, high, color=colour, alpha=0.12, linewidth=0)
        reached = float(np.mean(views.steps(view, name)))
        if math.isfinite(reached):
            axes.plot(reached, level, mark, color=colour, markersize=7, zorder=4, clip_on=False)
        _crosses(axes, network, colour)


def _crosses(axes: Axes, network: dict, colour: str) -> None:
    """Each divergence at its step, as high as the last accuracy of that seed."""
    for step, seed in zip(network["diverged"], network["validation"], strict=True):
        if step is not None:
            last = [accuracy for accuracy in seed if accuracy is not None][-1:]
            axes.plot(step, *last or [0], "x", color=colour, zorder=5, **_CROSS)


def _legend(axes: Axes, language: str) -> None:
    axes.figure.set_size_inches(3.6, 3.5)
    legend_below(axes, language, handlelength=3.2, columnspacing=1.2)


def _alt(title: str, view: dict, labels: dict[str, str], language: str) -> str:
    """What the curves show, in words and numbers, for who cannot see them."""
    _, parts = words(language), []
    for name, label in labels.items():
        best, ended = curves.peaks(view["networks"][name]), curves.diverged(view["networks"][name])
        part = f"{label} {percent(np.mean(best))}" if all(best) else label
        if any(ended):
            part += " " + _("(diverged {seeds})").format(seeds=ratio(sum(ended), len(ended)))
        parts.append(part)
    shown = _("best validation accuracy")
    return f"{title}. {shown}: {_.listed(parts)}"


def _swept(tried: dict, language: str) -> tuple[Figure, str]:
    """Final accuracy at each rate: points for the seeds, a line through their means, a ring at the chosen rate."""
    _, rates = words(language), tried["rates"]
    names = zip(KINDS, views.best_names(language).values(), strict=True)
    labels = {kind: name for kind, name in names if kind in tried["chosen"]}
    title, ring = _("Accuracy at each rate"), _("chosen")
    with styled():
        axes = panel(title, language)
        for kind, label in labels.items():
            _at_rates(axes, tried, kind, label)
        axes.plot([], [], "o", color=INK, markersize=10, fillstyle="none", label=ring)
        axes.set(xscale="log", xlabel=_("learning rate"), ylabel=_("final validation accuracy"))
        axes.set_ylim(0, 1.12 * axes.dataLim.ymax)
        axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
        axes.xaxis.set_minor_locator(NullLocator())
        _legend(axes, language)
    chosen = [f"{label} {number(float(tried['chosen'][kind]))}" for kind, label in labels.items()]
    return axes.figure, f"{title}. {ring}: {_.listed(chosen)}"


def _at_rates(axes: Axes, tried: dict, kind: str, label: str) -> None:
    """One network: at a rate at which a seed diverged there is a cross instead of a mean."""
    rates, (colour, line, mark) = tried["rates"], STYLES[kind]
    values = np.array(tried[kind], float)  # a row for each rate; NaN for a seed that diverged
    means = values.mean(1)
    axes.plot(rates, means, label=label, color=colour, linestyle=line, marker=mark, markersize=5)
    axes.plot(rates, values, ".", color=colour, alpha=0.5, markersize=4)
    for rate in np.array(rates)[np.isnan(means)]:
        axes.plot(rate, 0, "x", color=colour, **_CROSS)
    at = rates.index(tried["chosen"][kind])
    axes.plot(rates[at], means[at], "o", color=colour, markersize=13, fillstyle="none", markeredgewidth=1.5)
