"""The figures of chapter 12: shift and noise, smoothness, small mini-batches, rates, products, statistics."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from bn.lab.chapters.since_then import ends, estimates
from bn.lab.judge import statistics
from bn.lab.show import numbers
from bn.lab.show.numbers import left_to_right, number
from bn.lab.show.style import (
    COLOURS,
    INK,
    LINES,
    QUIET,
    Drawing,
    legend_below,
    panel,
    plain_ticks,
    short,
    steps_axis,
    styled,
)
from bn.lab.show.words import N_, words

_NARROW = 3.0, 2.75  # inches: of three panels side by side, whose type must stay large enough to read
_DASHED, _DOTTED, _DASH_DOT = (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5))
DEEP = {  # of the deep networks: the name, and how it is drawn
    "plain": (N_("plain"), {"color": COLOURS["plain"], "linestyle": LINES["plain"]}),
    "bn": (N_("with BN"), {"color": COLOURS["bn"], "linestyle": LINES["bn"]}),
    "bn_equal": (N_("BN, rate of plain"), {"color": COLOURS["bn"], "linestyle": _DASH_DOT}),
    "noisy": (N_("BN and noise"), {"color": INK, "linestyle": _DOTTED}),
}
NORMALIZERS = {
    "bn": (N_("Batch Normalization"), {"color": COLOURS["bn"], "linestyle": "-", "marker": "o"}),
    "renorm": (N_("Batch Renormalization"), {"color": INK, "linestyle": _DASH_DOT, "marker": "s"}),
    "layer": (N_("Layer Normalization"), {"color": INK, "linestyle": "-", "marker": "^"}),
    "group": (N_("Group Normalization"), {"color": QUIET, "linestyle": _DASHED, "marker": "D"}),
    "instance": (N_("Instance Normalization"), {"color": QUIET, "linestyle": _DOTTED, "marker": "v"}),
}
PRODUCTS = {
    "slow": {"color": COLOURS["bn"], "linestyle": "-"},
    "fast": {"color": INK, "linestyle": _DASHED},
    "more": {"color": QUIET, "linestyle": _DOTTED},
}
MEMORIES = {"0.1": {"color": COLOURS["bn"], "linestyle": "-"}, "0.01": {"color": INK, "linestyle": _DASHED}}


def shift(record: dict, language: str) -> Drawing:
    """How far the gradients move, how far the inputs move, and how fast the networks learn."""
    _, found = words(language), estimates.noise(record) | estimates.shift_of_gradients(record)
    with styled():
        panels = (
            _deep(
                record,
                "shift",
                ("plain", "bn_equal", "noisy"),
                _("(a) Change of the gradients"),
                _("of their size"),
                language,
            ),
            _deep(record, "moved", ("plain", "bn", "noisy"), _("(b) Movement of the inputs"), _MOVED, language),
            _learning(record, _("(c) Validation accuracy"), ("plain", "bn", "noisy"), "validation", language),
        )
    title = _(
        "At one rate, over the training, the gradients change {shift} times as much with BN as without. With noise "
        "after BN the inputs move {moved} times as far as in the plain network, and it needs {steps} times its steps."
    )
    shown = {"shift": "shift_ratio", "moved": "moved_ratio", "steps": "over_plain"}
    title = title.format(**{name: number(found[key].value) for name, key in shown.items()})
    note = _(
        "(a) Of a layer's gradient when the layers below have taken their step, relative to its size, mean of the "
        "layers; the network with noise is at its own rate. (b) Of the mean of a unit's input in a step, in standard "
        "deviations, median of the units; that it hardly moves behind BN is so by construction. (c) The line is the "
        "accuracy to which steps are counted. {rates} {bands}"
    )
    return Drawing(panels, title, note.format(rates=_rates(record, language), bands=_bands_note(language)))


_MOVED = N_("standard deviations")


def landscape(record: dict, language: str) -> Drawing:
    """Along the step: the range of the loss, the change of the gradient, and the change over the distance."""
    _, found = words(language), estimates.smoothness(record) | estimates.effective_smoothness(record)
    names = ("plain", "bn_equal", "bn")
    with styled():
        panels = (
            _deep(record, "range", names, _("(a) Range of the loss"), _("nats"), language),
            _deep(record, "turned", names, _("(b) Change of the gradient"), _("length of the change"), language),
            _deep(record, "smoothness", names, _("(c) Change by distance"), _("change over distance"), language),
        )
    title = _(
        "At one rate, over the training, the loss along the step varies {range} times as much with BN as without, the "
        "gradient {turned} times, and for the same distance {smoothness} times."
    )
    title = title.format(**{key: number(found[f"{key}_ratio"].value) for key in ("range", "turned", "smoothness")})
    note = _(
        "Along the gradient of a mini-batch, from a quarter of the step to four times as far, each network by its "
        "rate; the largest on that way. At the first weights the loss varies {range} times as much with BN as without, "
        "and the gradient {turned} times. {rates} {bands}"
    )
    first = {key: number(found[f"first_{key}"].value) for key in ("range", "turned")}
    return Drawing(panels, title, note.format(**first, rates=_rates(record, language), bands=_bands_note(language)))


def rates(record: dict, language: str) -> Drawing:
    """Test accuracy at the same rate and at each network's own, and final accuracies at all rates that were tried."""
    _, found = words(language), estimates.rates(record)
    with styled():
        panels = (
            _learning(record, _("(a) Test accuracy"), ("plain", "bn_equal", "bn"), "test", language),
            _ladder(record["ladder"], language),
        )
    title = _("At the plain network's rate BN gains {equal} points of accuracy, at its own rate {own}.")
    gains = {name: numbers.signed(found[f"gain_{name}"].value) for name in ("equal", "own")}
    note = _(
        "(b) Final test accuracy of the seeds by which rates were chosen, which are not those of (a). {rates} {bands}"
    )
    note = note.format(rates=_rates(record, language), bands=_bands_note(language))
    return Drawing(panels, title.format(**gains), note)


def small_batches(record: dict, language: str) -> Drawing:
    """Test errors by the size of the mini-batch and the normalization, fully-connected and convolutional."""
    _, found = words(language), estimates.small_batches(record)
    with styled():
        panels = (
            _errors(record["small"], _("(a) Fully connected"), language),
            _errors(record["maps"], _("(b) Convolutional"), language),
        )
    title = _(
        "With 2 examples in a mini-batch the test error of BN is {rise} times that with 32 in a fully-connected "
        "network, and {maps} times in a convolutional one, where maps give more numbers to each statistic."
    )
    title = title.format(rise=number(found["rise_2"].value), maps=number(found["rise_maps"].value))
    note = _(
        "Each network sees as many images whatever the mini-batch. In (a) two examples become +1 and −1 by BN, "
        "whatever they are; in (b) a map has 16 to 196 places. {rates} {bands}"
    )
    chosen = ends.of_mini_batches(record, NORMALIZERS, language)
    return Drawing(panels, title, note.format(rates=chosen, bands=_bands_note(language)))


def products(record: dict, language: str) -> Drawing:
    """Effective rates and test accuracies of two settings with one product, and of one with four times as much."""
    _, found, networks = words(language), estimates.products(record), record["products"]
    with styled():
        panels = (
            _products(networks, "effective", _("(a) Effective rate"), left_to_right("η/‖w‖²"), language),
            _products(networks, "test", _("(b) Test accuracy"), _("test accuracy"), language),
        )
    title = _(
        "With one product of rate and weight decay the effective rates, which begin at a ratio of {start}, end at "
        "{end}, and the accuracies {gap} points apart."
    )
    start = networks["fast"]["rate"] / networks["slow"]["rate"]
    end, gap = number(found["effective_ratio"].value), numbers.signed(found["accuracy_gap"].value)
    return Drawing(panels, title.format(start=number(start), end=end, gap=gap), _bands_note(language))


def populations(record: dict, language: str) -> Drawing:
    """Errors by separate and by joined statistics, and what recomputed ones have over moving averages."""
    _, apart, lag = words(language), estimates.separate(record), estimates.averages(record)
    with styled():
        panels = _joined(apart, language), _gaps(record["averages"], language)
    title = _(
        "Separate statistics of 2 examples change the error by {cost} points against those of all 32, in the "
        "convolutional network by {maps}. Recomputed statistics change the accuracy by {lag} points against moving "
        "averages with momentum 0.01 in the first fifth of the training, once the start of these is taken out."
    )
    shown = apart["separate_cost"], apart["separate_cost_maps"], lag["early_gap"]
    signed = (numbers.signed(estimate.value) for estimate in shown)
    title = title.format(**dict(zip(("cost", "maps", "lag"), signed, strict=True)))
    note = _(
        "(b) Test accuracy by recomputed statistics less that by moving averages; dotted, with the 0 and the 1 in them "
        "with which the averages began. {rates} {bands}"
    )
    return Drawing(panels, title, note.format(rates=ends.of_separate(record, language), bands=_bands_note(language)))


# ---- Panels --------------------------------------------------------------------------------------


def _deep(
    record: dict, name: str, networks: Iterable[str], title: str, label: str, language: str
) -> tuple[Figure, str]:
    """One quantity of some deep networks over the training, geometric mean over seeds, logarithmic if it spans much."""
    _, axes = words(language), panel(title, language, _NARROW)
    for network in networks:
        part, (called, style) = record["deep"][network], DEEP[network]
        with np.errstate(all="ignore"):
            logs = np.log(np.array(part[name], float))
        _band(axes, part["steps"], np.exp(statistics.mean_curve(logs)), _(called), style)
    axes.set(ylabel=_(label), **({"ylim": (0, None)} if name == "shift" else {"yscale": "log"}))
    if name == "smoothness":
        plain_ticks(axes.yaxis)
    steps_axis(axes, record["deep"]["plain"]["steps"], _("training step"))
    legend_below(axes, language)
    return axes.figure, f"{title}: {_(label)}"


def _learning(record: dict, title: str, networks: Iterable[str], name: str, language: str) -> tuple[Figure, str]:
    """Accuracies of some deep networks over the training."""
    _, axes = words(language), panel(title, language, _NARROW if name == "validation" else None)
    for network in networks:
        part, (called, style) = record["deep"][network], DEEP[network]
        _band(axes, part["steps"], statistics.mean_curve(part[name], bounds=(0, 1)), _(called), style)
    if name == "validation":
        axes.axhline(estimates.TARGET, color=QUIET, linewidth=0.8)
    far = min(estimates.final(record["deep"][network][name]).min() for network in networks) > 0.7
    axes.set(ylim=(0.7, 1) if far else (0, 1), ylabel=_("accuracy"))
    steps_axis(axes, record["deep"]["plain"]["steps"], _("training step"))
    legend_below(axes, language)
    return axes.figure, title


def _ladder(ladder: dict, language: str) -> tuple[Figure, str]:
    """Final accuracies at each rate, the mean of the seeds."""
    _ = words(language)
    title = _("(b) Final accuracy by rate")
    axes = panel(title, language)
    for network in ("plain", "bn", "noisy"):
        called, style = DEEP[network]
        accuracy = np.array(ladder[network], float).mean(1)
        axes.plot(ladder["rates"], accuracy, marker="o", markersize=4, label=_(called), **style)
    axes.set(xscale="log", ylim=(0, 1), xlabel=_("learning rate"), ylabel=_("test accuracy"))
    _ticks(axes, ladder["rates"])
    legend_below(axes, language)
    return axes.figure, title


def _errors(part: dict, title: str, language: str) -> tuple[Figure, str]:
    """Test errors by the size of the mini-batch, of each normalization."""
    _, axes, batches = words(language), panel(title, language), [int(batch) for batch in next(iter(part.values()))]
    for name, by_batch in part.items():
        called, style = NORMALIZERS[name]
        errors = np.array([of_batch["error"] for of_batch in by_batch.values()], float).T
        _band(axes, batches, statistics.mean_curve(errors, (0, 100)), _(called), style | {"markersize": 4.5})
    axes.set(xscale="log", ylim=(0, None), xlabel=_("examples in a mini-batch"), ylabel=_("test error, %"))
    _ticks(axes, batches)
    legend_below(axes, language)
    return axes.figure, f"{title}: " + _("test error, %")


def _products(networks: dict, name: str, title: str, label: str, language: str) -> tuple[Figure, str]:
    """One quantity of the networks by their rate and weight decay."""
    _, axes = words(language), panel(title, language)
    for network, style in PRODUCTS.items():
        part = networks[network]
        called = left_to_right(f"η = {part['rate']:g}, λ = {part['weight_decay']:g}")
        _band(axes, part["steps"], statistics.mean_curve(part[name]), called, style)
    axes.set(ylabel=label, **({"yscale": "log"} if name == "effective" else {"ylim": (0, 1)}))
    steps_axis(axes, networks["slow"]["steps"], _("training step"))
    legend_below(axes, language)
    return axes.figure, f"{title}: {label}"


def _joined(found: dict, language: str) -> tuple[Figure, str]:
    """Errors of each kind of network with their intervals."""
    _ = words(language)
    title = _("(a) Separate or joined")
    axes = panel(title, language)
    kinds = {_("fully connected"): "", _("convolutional"): "_maps"}
    ways = {
        "error_separate": (_("2 at a time"), {"color": INK, "marker": "s"}),
        "error_joined": (_("all 32 joined"), {"color": COLOURS["bn"], "marker": "o"}),
    }
    for way, (called, style) in ways.items():
        for k, suffix in enumerate(kinds.values()):
            estimate, x = found[way + suffix], k - 0.15 if way == "error_separate" else k + 0.15
            axes.plot([x] * len(estimate.values), estimate.values, ".", color=style["color"], markersize=5, alpha=0.5)
            axes.vlines(x + 0.08, estimate.low, estimate.high, color=style["color"], linewidth=1.8)
            label = None if k else called
            axes.plot([x + 0.08], [estimate.value], markersize=6, linestyle="none", label=label, **style)
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set(xlim=(-0.5, 1.6), ylim=(0, None), ylabel=_("test error, %"))
    axes.grid(False, axis="x")
    legend_below(axes, language)
    shown = [
        _.listed([kind, f"{called} {number(found[way + suffix].value)}"])
        for kind, suffix in kinds.items()
        for way, (called, _style) in ways.items()
    ]
    return axes.figure, f"{title}: {_.listed(shown, ';')}"


def _gaps(parts: dict, language: str) -> tuple[Figure, str]:
    """What recomputed statistics have over moving averages of each momentum, without their start and with it."""
    _ = words(language)
    title = _("(b) Behind recomputed statistics")
    axes = panel(title, language)
    axes.axhline(0, color=INK, linewidth=0.8)
    for memory, style in MEMORIES.items():
        steps = parts[memory]["steps"]
        called = _("momentum {number}").format(number=left_to_right(memory))
        without, with_start = (estimates.gaps(parts[memory], name)[:, 1:] for name in ("corrected", "moving"))
        _band(axes, steps[1:], statistics.mean_curve(without), called, style)
        axes.plot(steps[1:], statistics.mean_curve(with_start)[0], color=style["color"], linestyle=_DOTTED)
    axes.set_yscale("symlog", linthresh=1)  # straight up to a point: early gaps are of another size
    axes.yaxis.set_major_formatter(FuncFormatter(short))
    axes.set(ylabel=_("percentage points"))
    steps_axis(axes, parts["0.1"]["steps"], _("training step"))
    legend_below(axes, language)
    return axes.figure, title


def _band(axes: Axes, x: list, curve: np.ndarray, label: str, style: dict) -> None:
    """Mean and the ends of its interval (3, points)."""
    mean, low, high = curve
    axes.plot(x, mean, label=label, **style)
    axes.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)


def _ticks(axes: Axes, values: list) -> None:
    """A tick at each value that was tried, on a logarithmic axis."""
    axes.set_xticks(values, [left_to_right(f"{value:g}") for value in values])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _rates(record: dict, language: str) -> str:
    """The rates of the deep networks, and how they were chosen."""
    _ = words(language)
    rate = {name: number(record["deep"][name]["rate"]) for name in ("plain", "bn", "noisy")}
    sentence = _("Own rates: {plain} without BN, {bn} with it, {noisy} with noise.")
    return f"{sentence.format(**rate)} {ends.of_deep(record, DEEP, language)}"


def _bands_note(language: str) -> str:
    _ = words(language)
    return _("Means over seeds with their 95% intervals.")
