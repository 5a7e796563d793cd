"""The figures of section 3.3: where scale invariance ends, how far rates can go, and how weights grow."""

import math
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from bn import reference
from bn.lab.chapters.learning_rates.estimates import LEARNED, amplification, apart, highest_rates, reach
from bn.lab.chapters.learning_rates.identities import EPS, SMALL
from bn.lab.judge import statistics
from bn.lab.show import numbers, speech
from bn.lab.show.numbers import number, percent
from bn.lab.show.style import (
    COLOURS,
    INK,
    LINES,
    QUIET,
    Drawing,
    legend,
    legend_below,
    panel,
    short,
    steps_axis,
    styled,
)
from bn.lab.show.words import N_, words

NAMES = {"plain": N_("plain"), "bn": N_("with BN")}
FIRSTS = {"he": N_("First weights by He et al."), "0.01": N_("First weights of deviation 0.01")}
STYLES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))  # of lines that are one network's
_BATCH = np.array([-1.0, 1.0])[:, None]  # of mean 0 and variance 1


def result(record: dict, language: str) -> str:
    """What was found, in two sentences."""
    _, ladder, changes = words(language), record["rates"], amplification(record)
    ratios = reach(ladder, ladder["firsts"][0])
    rates = _("A network with BN still learns at {low} to {high} times the highest rate of the plain network.")
    ends = sorted(ratio.value for ratio in ratios)
    change = _(
        "Yet at {depth} hidden layers it makes a small change of the first weights {first} times as large as the plain "
        "network does before the training, and {last} times after it."
    )
    shares = {name: number(changes[f"activations_{name}"].value) for name in ("first", "last")}
    said = change.format(depth=number(ladder["depths"][-1]), **shares)
    return f"{rates.format(low=number(ends[0]), high=number(ends[-1]))} {said}"


# ---- Scale invariance ----------------------------------------------------------------------------


def invariance(record: dict, language: str) -> Drawing:
    """What the scale of the weights does to the output: the factor with its sign, and how far it is from 1."""
    _, panels = words(language), []
    magnitudes = np.logspace(-5, 1, 121)
    with styled():
        axes = panel(_("Factor of the output"), language)
        signed = np.concatenate([-magnitudes[::-1], magnitudes])
        axes.axhline(0, color=QUIET, linewidth=0.8)
        for half, label in ((signed < 0, None), (signed > 0, _eps(0.0))):  # nothing joins the two
            axes.plot(signed[half], factors(signed[half], 0.0), color=INK, linewidth=1.0, label=label)
        for eps, style in zip(reversed(EPS), STYLES[1:], strict=True):
            axes.plot(signed, factors(signed, eps), color=COLOURS["bn"], linestyle=style, label=_eps(eps))
        axes.set_xscale("symlog", linthresh=magnitudes[0])
        axes.set_xticks([-10, -0.1, -0.001, 0, 0.001, 0.1, 10])
        axes.set(xlabel=_("scale a of the weights"), ylim=(-1.1, 1.1))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: numbers.bare(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        legend(axes, language, "upper left")
        panels.append((axes.figure, _("Factor of the output")))
        axes = panel(_("Distance of the factor from 1"), language)
        for eps, style in zip(reversed(EPS), STYLES[1:], strict=True):
            away = 1 - factors(magnitudes, eps)
            axes.plot(magnitudes, np.abs(away), color=COLOURS["bn"], linestyle=style, label=_eps(eps))
        axes.set(xscale="log", yscale="log", xlabel=_("scale a of the weights"), ylim=(1e-7, 2))
        legend(axes, language, "lower left")
        panels.append((axes.figure, _("Distance of the factor from 1")))
    sentence = _("With ε = {eps} and a = {a}, {lost} of the output is lost; a negative scale turns it around.")
    lost = 1 - factors(np.array([SMALL]), EPS[1])[0]
    title = sentence.format(eps=numbers.scientific(EPS[1]), a=number(SMALL), lost=percent(lost))
    note = _(
        "BN((aW)u) over BN(Wu) before γ and β, by Algorithm 1; Wu has a variance of {one}. Without ε the factor is the "
        "sign of a. For large a it ends at √({one} + ε)."
    )
    return Drawing(tuple(panels), title, note.format(one=number(1)), trained=False)


def factors(scales: np.ndarray, eps: float) -> np.ndarray:
    """What BN makes of a·x over what it makes of x, for x of mean 0 and variance 1."""
    one, zero = np.ones(1), np.zeros(1)
    whole = reference.batch_norm(_BATCH, one, zero, eps)[0][1, 0]
    return np.array([reference.batch_norm(a * _BATCH, one, zero, eps)[0][1, 0] for a in scales]) / whole


def _eps(eps: float) -> str:
    return numbers.left_to_right(f"ε = {numbers.bare(eps)}")


# ---- How far the rate can go ---------------------------------------------------------------------


def rates(record: dict, language: str) -> Drawing:
    """The highest rate at which a network learns, by its depth, for each kind of first weights."""
    _, ladder, panels = words(language), record["rates"], []
    with styled():
        for first in ladder["firsts"]:
            title = _(FIRSTS.get(first, first))
            axes = panel(title, language)
            for name in ("plain", "bn"):
                by_depth(axes, ladder["depths"], highest_rates(ladder, name, first), name, _(NAMES[name]))
            _rate_axis(axes, ladder, language)
            panels.append((axes.figure, f"{title}: " + _("highest rate that learns")))
    ratios, by = reach(ladder, ladder["firsts"][0]), _("{times} at depth {depth}")
    sentence = _("The highest rate that learns, with BN over without: {list}.")
    if all(ratio.low > 1 for ratio in ratios):
        sentence = _("The highest rate that learns is higher with BN at each depth: {list}.")
    said = [
        by.format(times=numbers.times(float(f"{ratio.value:.2g}")), depth=number(depth))
        for ratio, depth in zip(ratios, ladder["depths"], strict=True)
    ]
    title = sentence.format(list=_.listed(said))
    note = _(
        "Learns: at least {share} of the test images are right after {steps}. {n} rates were tried, from {low} to "
        "{high}; the shaded strip stands for none of them, which counts as half the lowest. Geometric mean over seeds "
        "with its 95% interval. The title is of the first panel."
    ).format(
        share=percent(LEARNED, 0),
        steps=speech.steps(ladder["steps"], language),
        n=number(len(ladder["rates"])),
        low=number(float(ladder["rates"][0])),
        high=number(float(ladder["rates"][-1])),
    )
    return Drawing(tuple(panels), title, note, part="rates")


def by_depth(axes: Axes, depths: list[int], values: np.ndarray, name: str, label: str) -> None:
    """Geometric mean over the seeds of (depths, seeds) with its 95% interval, the depths evenly spaced."""
    with np.errstate(all="ignore"):
        mean, low, high = np.exp(statistics.mean_curve(np.log(values.T)))
    at = np.arange(len(depths))
    axes.plot(at, mean, color=COLOURS[name], linestyle=LINES[name], marker="o", markersize=4, label=label)
    axes.fill_between(at, low, high, color=COLOURS[name], alpha=0.2, linewidth=0)
    axes.set_xticks(at, [str(depth) for depth in depths])


def within(axes: Axes, *values: np.ndarray) -> None:
    """A logarithmic axis for the values of all seeds: the interval of two of them may be wider than any page."""
    found = np.concatenate([of[np.isfinite(of) & (of > 0)] for of in values])
    axes.set_yscale("log")
    if found.size:
        room = 1.5 * (found.max() / found.min()) ** 0.1
        axes.set_ylim(found.min() / room, found.max() * room)


def _rate_axis(axes: Axes, ladder: dict, language: str) -> None:
    _, rungs = words(language), ladder["rates"]
    none = rungs[0] / 2
    axes.axhspan(none / math.sqrt(2), none * math.sqrt(2), color=QUIET, alpha=0.15, linewidth=0)
    axes.set(yscale="log", ylim=(none / math.sqrt(2), rungs[-1] * 1.5))
    axes.set(xlabel=_("hidden layers"), ylabel=_("learning rate"))
    axes.yaxis.set_major_formatter(FuncFormatter(short))
    axes.yaxis.set_minor_formatter(NullFormatter())
    legend_below(axes, language)


# ---- Growing weights -----------------------------------------------------------------------------


def growth(record: dict, language: str) -> Drawing:
    """The norm of the hidden weights over the training, from first weights of three sizes, and the effective rate."""
    _, table, panels = words(language), record["growth"], []
    titles = {"bn": _("Weights with BN"), "plain": _("Weights without BN")}
    with styled():
        for name, title in titles.items():
            axes = panel(title, language)
            _grow(axes, table, name, lambda norms: norms, language)
            axes.set(ylabel=_("norm of the weights"))
            panels.append((axes.figure, f"{title}: " + _("norm of the weights")))
        title = _("Effective rate with BN")
        axes = panel(title, language)
        _grow(axes, table, "bn", lambda norms: table["rate"] / norms**2, language)
        axes.set(ylabel=_("rate over squared norm"))
        panels.append((axes.figure, title))
    return Drawing(tuple(panels), _growth_title(record, language), _growth_note(table, language), part="growth")


def _grow(axes: Axes, table: dict, name: str, of: Callable[[np.ndarray], np.ndarray], language: str) -> None:
    """What a function makes of the norms (seeds, looks), for each scale of the first weights, the largest first."""
    _, drawn = words(language), []
    for scale, style in zip(reversed(table["scales"]), STYLES, strict=False):
        drawn.append(of(np.array(table[name][str(scale)]["norm"], float)))
        with np.errstate(all="ignore"):
            mean, low, high = np.exp(statistics.mean_curve(np.log(drawn[-1])))
        label = _("first weights {times}").format(times=numbers.times(scale))
        axes.plot(table["at"], mean, color=COLOURS[name], linestyle=style, label=label)
        axes.fill_between(table["at"], low, high, color=COLOURS[name], alpha=0.2, linewidth=0)
        if not np.isfinite(drawn[-1]).all() and (held := np.flatnonzero(np.isfinite(mean))).size:
            axes.plot(table["at"][held[-1]], mean[held[-1]], color=COLOURS[name], marker="x", clip_on=False)
    within(axes, *drawn)
    steps_axis(axes, table["at"], _("training step"))
    legend(axes, language, "best")


def _growth_title(record: dict, language: str) -> str:
    _, table = words(language), record["growth"]
    found = {name: apart(table, name) for name in ("bn", "plain")}
    if math.isfinite(found["plain"]["last"].value):
        sentence = _(
            "Weights that start {start} times apart are {bn} times apart after {steps} with BN, and {plain} times "
            "without."
        )
    else:
        sentence = _(
            "Weights that start {start} times apart are {bn} times apart after {steps} with BN; without it some are no "
            "numbers any more."
        )
    ends = {name: numbers.scientific(of["last"].value) for name, of in found.items()}
    start = number(round(found["bn"]["first"].value))
    return sentence.format(start=start, steps=speech.steps(table["steps"], language), **ends)


def _growth_note(table: dict, language: str) -> str:
    _ = words(language)
    sentence = _(
        "Norm of all hidden weights of {depth} hidden layers at rate {rate}, geometric mean over seeds with its 95% "
        "interval; first weights by He et al., multiplied. A cross ends a line where some are no numbers any more, and "
        "the mean is of the other seeds. The effective rate is that of a network whose weights have norm 1."
    )
    return sentence.format(depth=number(table["depth"]), rate=number(float(table["rate"])))
