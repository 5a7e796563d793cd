"""The figures of what BN gives beside Figure 1: the grid of settings, and tolerance of rates and of first weights."""

import math
from collections.abc import Mapping

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from bn.lab.chapters.activations.estimates import TARGET, first_weights, highest_rate
from bn.lab.chapters.activations.figures import NAMES
from bn.lab.chapters.activations.record import NETWORKS
from bn.lab.judge import statistics
from bn.lab.show import numbers, speech
from bn.lab.show.numbers import number, percent
from bn.lab.show.style import COLOURS, LINES, QUIET, Drawing, legend, panel, short, styled
from bn.lab.show.words import words

_LIGHT = 47  # percent: from here on black has more contrast to cividis than white


def grid(record: dict, language: str) -> Drawing:
    """Final test accuracy at every rate and every deviation of the first weights, without and with BN."""
    _, table = words(language), record["grid"]
    shape = len(table["rates"]), len(table["weight_stds"])
    accuracy = {name: 100 * np.array(table[name]["test"], float).mean(1).reshape(shape) for name in NETWORKS}
    titles, panels = {"plain": _("Without BN"), "bn": _("With BN")}, []
    with styled():
        for name, title in titles.items():
            axes = panel(title, language)
            _heatmap(axes, accuracy[name], table)
            axes.set(xlabel=_("std of the first weights"), ylabel=_("learning rate"))
            panels.append((axes.figure, f"{title}: " + _("test accuracy")))
    sentence = _(
        "BN learns faster in {ahead} of the {all} settings. After {steps}, {bn} of them pass {target} with BN and "
        "{plain} without."
    )
    passed = {name: number(int((accuracy[name] >= 100 * TARGET).sum())) for name in NETWORKS}
    area = {name: np.array(table[name]["area"], float).mean(1) for name in NETWORKS}
    ahead, whole = int((area["bn"] > area["plain"]).sum()), math.prod(shape)
    steps, target = speech.steps(table["steps"], language), percent(TARGET, 0)
    title = sentence.format(ahead=number(ahead), all=number(whole), steps=steps, target=target, **passed)
    note = _(
        "Test accuracy in percent, mean over {seeds}: {listed}. Faster: the area under the curve of the validation "
        "accuracy is larger."
    )
    return Drawing(tuple(panels), title, note.format(**_seeds(table, language)), part="grid")


def _seeds(table: Mapping, language: str) -> dict[str, str]:
    """How many seeds a part of the record has, and which: they are others than those of Figure 1."""
    listed = words(language).listed([numbers.left_to_right(seed) for seed in table["seeds"]])
    return {"seeds": speech.seeds(len(table["seeds"]), language), "listed": listed}


def _heatmap(axes: Axes, accuracy: np.ndarray, table: Mapping) -> None:
    """Percentages (rates, weight_stds) as colours with the number in each, the smallest rate at the bottom."""
    ticks = {"xticklabels": table["weight_stds"], "yticklabels": table["rates"]}
    sns.heatmap(accuracy, ax=axes, vmin=0, vmax=100, cmap="cividis", annot=True, fmt=".1f", cbar=False, **ticks)
    for text in axes.texts:  # seaborn's own white goes on to where it cannot be read
        text.set_color("white" if float(text.get_text()) < _LIGHT else "black")
    axes.grid(False)
    axes.tick_params(length=0, labelrotation=0)
    axes.invert_yaxis()


def rates(record: dict, language: str) -> Drawing:
    """Final test accuracy by the learning rate, each twice the one before, without and with BN."""
    _, ladder = words(language), record["ladder"]
    with styled():
        figure = _by(ladder, ladder["rates"], _("learning rate"), language)
    found = highest_rate(record)
    highest = {name: number(found[f"highest_{name}"].value) for name in NETWORKS}
    sentence = _("The largest rate that still passes {target} is {bn} with BN and {plain} without.")
    note = _(
        "Final test accuracy after {steps}, first weights of standard deviation {std}, mean over {seeds} with its 95% "
        "interval: {listed}. The largest rate is the geometric mean over these; a seed that passes at none counts half "
        "the smallest."
    )
    size = {"steps": speech.steps(ladder["steps"], language), "std": number(ladder["weight_std"])}
    title = sentence.format(target=percent(TARGET, 0), **highest)
    return Drawing(((figure, title),), title, note.format(**size, **_seeds(ladder, language)), part="ladder")


def weights(record: dict, language: str) -> Drawing:
    """Final test accuracy by the standard deviation of the first weights, each network at its own best rate."""
    _, spread = words(language), record["spread"]
    with styled():
        figure = _by(spread, spread["weight_stds"], _("std of the first weights"), language)
    found = first_weights(record)
    span = {name: number(found[f"range_{name}"].value) for name in NETWORKS}
    sentence = _(
        "Over first weights of very different sizes the accuracy varies by {bn} percentage points with BN and by "
        "{plain} without."
    )
    note = _(
        "Final test accuracy after {steps}, plain at rate {plain} and BN at rate {bn}, mean over {seeds} with its 95% "
        "interval: {listed}."
    )
    own = {name: number(spread["own_rates"][name]) for name in NETWORKS}
    title = sentence.format(**span)
    steps = speech.steps(spread["steps"], language)
    return Drawing(
        ((figure, title),), title, note.format(steps=steps, **own, **_seeds(spread, language)), part="spread"
    )


def _by(table: Mapping, values: list[float], label: str, language: str) -> Figure:
    """Final test accuracies of both networks over a setting, on a logarithmic axis, and the line that counts."""
    _ = words(language)
    axes = panel(_("Test accuracy"), language)
    axes.axhline(TARGET, color=QUIET, linewidth=0.8)
    for name in NETWORKS:
        accuracy = np.array(table[name]["test"], float).T
        mean, low, high = statistics.mean_curve(accuracy, bounds=(0, 1))
        axes.plot(
            values, mean, color=COLOURS[name], linestyle=LINES[name], marker="o", markersize=4, label=_(NAMES[name])
        )
        axes.fill_between(values, low, high, color=COLOURS[name], alpha=0.2, linewidth=0)
    axes.set(xscale="log", ylim=(0, 1), xlabel=label, ylabel=_("test accuracy"))
    axes.xaxis.set_major_formatter(FuncFormatter(short))
    axes.xaxis.set_minor_formatter(NullFormatter())
    legend(axes, language, "lower left")
    return axes.figure
