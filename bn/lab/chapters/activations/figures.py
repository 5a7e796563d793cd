"""The figures of section 4.1: Figure 1, all units, the drift, and the settings that Figure 1 depends on."""

import math
from collections.abc import Mapping

import numpy as np
import seaborn as sns
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bn.lab.chapters.activations.estimates import TARGET, final, steps_to_target
from bn.lab.chapters.activations.record import NETWORKS
from bn.lab.judge import statistics
from bn.lab.show import html, numbers, seeds, speech
from bn.lab.show.numbers import number, percent
from bn.lab.show.style import COLOURS, LINES, Drawing, legend, panel, short, steps_axis, styled
from bn.lab.show.words import N_, words

NAMES = {"plain": N_("plain"), "bn": N_("with BN")}
# The same setting for both networks, and each at the best of its own grid: by the part of the record.
SETTINGS = {"figure1": N_("The same setting"), "tuned": N_("Each at its own best")}
_OFTEN, _SELDOM = 0, 3  # of the intervals of records: every evaluation, every tenth
_LIGHT = 47  # percent: from here on black has more contrast to cividis than white


def figure1(record: dict, language: str) -> Drawing:
    """Figure 1 (a), (b), (c): accuracy, and the input of a typical sigmoid without and with BN."""
    _, networks = words(language), record["figure1"]
    titles = {"plain": _("(b) Without BN"), "bn": _("(c) With BN")}
    with styled():
        accuracy = _accuracy(networks, _("(a) Test accuracy"), language), _accuracy_alt(networks, language)
        panels = accuracy, *_inputs(networks, "unit_percentiles", titles, language)
    return Drawing(panels, _figure1_title(networks, language), _figure1_note(networks, language))


def _figure1_title(networks: Mapping, language: str) -> str:
    _, mean = words(language), {name: np.mean(steps_to_target(networks[name])) for name in NETWORKS}
    target = percent(TARGET, 0)
    if not np.isfinite(mean["bn"]):
        return _("Too short a run: neither network reaches {target} in all seeds.").format(target=target)
    bn = speech.steps(round(mean["bn"]), language)
    if not np.isfinite(mean["plain"]):
        sentence = _("BN reaches {target} after {bn}; the plain network does not in all seeds.")
        return sentence.format(target=target, bn=bn)
    sentence = _("BN reaches {target} after {bn}, the plain network after {plain}.")
    return sentence.format(target=target, bn=bn, plain=number(round(mean["plain"])))


def _figure1_note(networks: Mapping, language: str) -> str:
    _ = words(language)
    sentence = _(
        "(a) Mean over seeds with its 95% interval. (b, c) The 15th, 50th and 85th percentiles of the input of unit "
        "{plain_unit} (plain) and unit {bn_unit} (BN) of the last hidden layer, seed {seed}: the units whose drift is "
        "the median of their layer."
    )
    plain_unit, bn_unit = (number(networks[name]["unit"]["index"]) for name in NETWORKS)
    return sentence.format(plain_unit=plain_unit, bn_unit=bn_unit, seed=number(networks["plain"]["unit"]["seed"]))


def all_units(record: dict, language: str) -> Drawing:
    """The same percentiles over all units of the last hidden layer together."""
    _, networks = words(language), record["figure1"]
    titles = {"plain": _("All units, without BN"), "bn": _("All units, with BN")}
    with styled():
        panels = _inputs(networks, "pooled_percentiles", titles, language)
    plain, bn = (number(np.array(networks[name]["pooled_percentiles"], float)[-1, 1]) for name in NETWORKS)
    sentence = _("Over all units, the median input ends at {plain} without BN and at {bn} with it.")
    note = _("The 15th, 50th and 85th percentiles over all 100 units together, mean over seeds.")
    return Drawing(panels, sentence.format(plain=plain, bn=bn), note)


def _accuracy(networks: Mapping, title: str, language: str) -> Figure:
    """Mean over seeds with its 95% interval, on the paper's axis from 0.7 where the run gets that far."""
    _, axes = words(language), panel(title, language)
    for name in NETWORKS:
        steps, style = networks[name]["steps"], {"color": COLOURS[name], "linestyle": LINES[name]}
        mean, low, high = statistics.mean_curve(networks[name]["test"], bounds=(0, 1))
        axes.plot(steps, mean, label=_(NAMES[name]), **style)
        if len(networks[name]["test"]) > 1:
            axes.fill_between(steps, low, high, color=COLOURS[name], alpha=0.2, linewidth=0)
    far = min(final(seed) for name in NETWORKS for seed in networks[name]["test"]) > 0.7
    axes.set(ylim=(0.7, 1) if far else (0, 1), ylabel=_("test accuracy"))
    steps_axis(axes, networks["plain"]["steps"], _("training step"))
    legend(axes, language, "lower right")
    return axes.figure


def _accuracy_alt(networks: Mapping, language: str) -> str:
    _ = words(language)
    finals = {name: np.mean([final(seed) for seed in networks[name]["test"]]) for name in NETWORKS}
    return _("test accuracy") + ": " + _.listed([f"{_(NAMES[name])} {value:.3f}" for name, value in finals.items()])


def _inputs(networks: Mapping, of: str, titles: dict[str, str], language: str) -> tuple[tuple[Figure, str], ...]:
    """For each network the 15th, 50th and 85th percentile over training, on one symmetric axis."""
    _, panels, values = words(language), [], {name: np.array(networks[name][of], float).T for name in titles}
    largest = 1.05 * max(np.nanmax(abs(curves)) for curves in values.values())
    for name, title in titles.items():
        axes = panel(title, language)
        _percentiles(axes, networks[name]["steps"], values[name], COLOURS[name])
        axes.set(ylim=(-largest, largest), ylabel=_("input of the sigmoid"))
        steps_axis(axes, networks[name]["steps"], _("training step"))
        panels.append((axes.figure, f"{title}: " + _("input of the sigmoid")))
    return tuple(panels)


def _percentiles(axes: Axes, steps: list, values: np.ndarray, colour: str) -> None:
    """Three curves (3, E), the median drawn stronger."""
    low, median, high = values
    axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
    for curve, width in ((low, 1.0), (median, 1.9), (high, 1.0)):
        axes.plot(steps, curve, color=colour, linewidth=width)


def drift(record: dict, language: str) -> Drawing:
    """How far the median of each unit's input travels, and how that depends on how often one looks."""
    _, networks = words(language), record["figure1"]
    every = networks["plain"]["drift_every"]
    medians = {name: np.array(networks[name]["drift_by_interval"], float).mean(0) for name in NETWORKS}
    titles = _("Drift, unit by unit"), _("Drift, by how often one looks")
    with styled():
        units, looks = (panel(title, language) for title in titles)
        for name in NETWORKS:
            style = {"color": COLOURS[name], "linestyle": LINES[name], "label": _(NAMES[name])}
            sns.ecdfplot(np.array(networks[name]["drift"], float).ravel(), ax=units, **style)
            looks.plot(every, medians[name], marker="o", markersize=4, **style)
        units.set(xlabel=_("drift (interquartile ranges)"), ylabel=_("share of the units"))
        looks.set(xlabel=_("steps between two looks"), ylabel=_("drift (interquartile ranges)"))
        _logarithmic(looks, every)
        legend(units, language, "lower right")
        legend(looks, language, "lower left")
    note = _(
        "Left: the share of the units, of all seeds, whose drift is at most the value below. Right: the drift of the "
        "median unit, mean over seeds, by the time between two looks."
    )
    panels = tuple(zip((units.figure, looks.figure), titles, strict=True))
    return Drawing(panels, _drift_title(every, medians, language), note)


def _logarithmic(axes: Axes, ticks: list) -> None:
    """Both axes logarithmic, with plain numbers at `ticks` below and at 1, 2, 5, 10 … on the left."""
    axes.set(xscale="log", yscale="log", xticks=ticks)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(short))
        axis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))


def _drift_title(every: list, medians: Mapping, language: str) -> str:
    _ = words(language)
    sentence = _(
        "Seen every {often}, the median unit drifts by {plain_often} interquartile ranges without BN and "
        "{bn_often} with it; seen every {seldom}, by {plain_seldom} and {bn_seldom}."
    )
    return sentence.format(
        often=speech.steps(every[_OFTEN], language),
        seldom=speech.steps(every[_SELDOM], language),
        **{f"{name}_often": number(medians[name][_OFTEN]) for name in NETWORKS},
        **{f"{name}_seldom": number(medians[name][_SELDOM]) for name in NETWORKS},
    )


def grid(record: dict, language: str) -> Drawing:
    """Final test accuracy at every rate and every spread of the first weights, without and with BN."""
    _, table = words(language), record["grid"]
    shape = len(table["rates"]), len(table["weight_stds"])
    accuracy = {name: 100 * np.array(table[name], float).mean(1).reshape(shape) for name in NETWORKS}
    titles, panels = {"plain": _("Without BN"), "bn": _("With BN")}, []
    with styled():
        for name, title in titles.items():
            axes = panel(title, language)
            _heatmap(axes, accuracy[name], table)
            axes.set(xlabel=_("std of the first weights"), ylabel=_("learning rate"))
            panels.append((axes.figure, f"{title}: " + _("test accuracy")))
    sentence = _("After {steps}, {bn} of the {all} settings pass {target} with BN and {plain} without.")
    passed = {name: number(int((accuracy[name] >= 100 * TARGET).sum())) for name in NETWORKS}
    steps, whole, target = speech.steps(table["steps"], language), number(math.prod(shape)), percent(TARGET, 0)
    note = _("Test accuracy in percent, mean over {seeds}.").format(seeds=speech.seeds(len(table["seeds"]), language))
    return Drawing(tuple(panels), sentence.format(steps=steps, all=whole, target=target, **passed), note)


def _heatmap(axes: Axes, accuracy: np.ndarray, table: Mapping) -> None:
    """Percentages (rates, weight_stds) as colours with the number in each, the smallest rate at the bottom."""
    ticks = {"xticklabels": table["weight_stds"], "yticklabels": table["rates"]}
    sns.heatmap(accuracy, ax=axes, vmin=0, vmax=100, cmap="cividis", annot=True, fmt=".1f", cbar=False, **ticks)
    for text in axes.texts:  # seaborn's own white goes on to where it cannot be read
        text.set_color("white" if float(text.get_text()) < _LIGHT else "black")
    axes.grid(False)
    axes.tick_params(length=0, labelrotation=0)
    axes.invert_yaxis()


def tuned(record: dict, language: str) -> Drawing:
    """Accuracy at the same setting, and with each network at the best setting of its own grid."""
    _, panels = words(language), []
    with styled():
        for part, title in SETTINGS.items():
            drawn = _accuracy(record[part], _(title), language)
            panels.append((drawn, f"{_(title)}: {_accuracy_alt(record[part], language)}"))
    sentence = _("Each at the best setting of its own grid, BN ends at {bn} and the plain network at {plain}.")
    ends = {name: percent(np.mean([final(s) for s in record["tuned"][name]["test"]])) for name in NETWORKS}
    note = _(
        "The settings were chosen on validation images; the curves are of test images, mean over seeds with its 95% "
        "interval."
    )
    return Drawing(tuple(panels), sentence.format(**ends), note)


def settings(record: dict, language: str) -> HTML:
    """Each network at the same setting and at its own best: steps to 95% and final accuracy, with intervals."""
    _, rows = words(language), []
    for part, setting in SETTINGS.items():
        for name in NETWORKS:
            network = record[part][name]
            at = _.listed([number(network["learning_rate"]), number(network["weight_std"])])
            accuracy = statistics.mean([100 * final(seed) for seed in network["test"]])
            cells = [at, seeds.mean_steps(steps_to_target(network), language), numbers.with_interval(accuracy, 2)]
            rows.append([f"{_(NAMES[name])} ({_(setting)})", *cells])
    head = [_("Network"), _("Learning rate, std of the weights")]
    return html.table([*head, _("Steps to 95% (validation)"), _("Final test accuracy, %")], rows, record, language)
