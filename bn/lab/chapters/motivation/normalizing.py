"""The figures of section 2: normalization that the gradient does not see, inputs that are prepared, and whitening."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from bn.lab.chapters.motivation import estimates
from bn.lab.chapters.motivation.figures import THREE
from bn.lab.chapters.motivation.record import LOOKS
from bn.lab.chapters.motivation.regression import BLOCK, TARGET
from bn.lab.judge import statistics
from bn.lab.show import numbers
from bn.lab.show.numbers import number
from bn.lab.show.style import COLOURS, INK, QUIET, Drawing, legend, panel, short, steps_axis, styled
from bn.lab.show.words import N_, words
from bn.lab.train.stacks import PIXELS

_DASHED = (0, (4, 1.5))
# What the gradient goes through has the colour of BN; what it does not see has none.
NETWORKS = {
    "both_inside": (N_("mean and deviation inside"), {"color": COLOURS["bn"]}),
    "both_outside": (N_("mean and deviation outside"), {"color": INK}),
    "mean_inside": (N_("mean inside"), {"color": COLOURS["bn"], "linestyle": _DASHED}),
    "mean_outside": (N_("mean outside"), {"color": INK, "linestyle": _DASHED}),
}
KINDS = {
    "raw": (N_("raw"), {"color": INK, "linestyle": _DASHED}),
    "standardized": (N_("standardized"), {"color": COLOURS["bn"]}),
    "whitened": (N_("whitened"), {"color": INK}),
}
_LOWEST = 1e-6  # of the excess losses that are drawn


def bias(record: dict, language: str) -> Drawing:
    """One bias and one weight, normalized outside the gradient step and inside: parameter and loss by step."""
    _, course = words(language), record["toy"]["course"]
    titles = _("The bias"), _("The loss"), _("A weight")
    outside, inside = {"color": INK, "label": _("outside")}, {"color": COLOURS["bn"], "label": _("inside")}
    with styled():
        first, loss, weight = (panel(title, language, THREE) for title in titles)
        for axes, name, label in ((first, "bias", "b"), (loss, "loss", _("loss"))):
            axes.plot(course[name], **outside)
            axes.plot(course[f"{name}_seen"], linestyle=_DASHED, **inside)
            axes.set(ylabel=label)
        loss.set(ylim=(0, None))
        weight.plot(course["weight"], **outside)
        weight.set(ylabel="w", ylim=(0, None))
        for axes in (first, loss, weight):
            steps_axis(axes, range(len(course["bias"])), _("step"))
        legend(first, language, "upper left")
    panels = tuple((axes.figure, title) for axes, title in zip((first, loss, weight), titles, strict=True))
    sentence = _(
        "After {steps} steps the bias stands at {bias} and the loss where it began; where the gradient sees the mean, "
        "the bias stays at {seen}. A weight under a normalized deviation grows {growth} times."
    )
    values = {"bias": course["bias"][-1], "seen": round(course["bias_seen"][-1], 6), "growth": course["weight"][-1]}
    steps = number(len(course["bias"]) - 1)
    title = sentence.format(steps=steps, **{name: number(float(value)) for name, value in values.items()})
    note = _("Computed by the equations above, in double precision; no network is trained.")
    return Drawing(panels, title, note, trained=False)


def outside(record: dict, language: str) -> Drawing:
    """Networks that are normalized inside the gradient step and outside of it: their weights and their losses."""
    _, networks = words(language), record["outside"]["networks"]
    titles = _("Size of the weights"), _("Loss by their own statistics"), _("Loss by moving averages")
    with styled():
        panels = [panel(title, language, THREE) for title in titles]
        for axes, key in zip(panels, ("growth", "loss", "inference_loss"), strict=True):
            for name, (label, style) in NETWORKS.items():
                _band(axes, networks[name]["looks"], np.array(networks[name][key], float), _(label), style)
            steps_axis(axes, networks["both_inside"]["looks"], _("training step"))
        panels[0].set(ylim=(0, 2.7 * panels[0].get_ylim()[1]), ylabel=_("times the first"))  # room for the legend
        legend(panels[0], language, "upper left")
        for axes in panels[1:]:
            axes.set(yscale="log", ylabel=_("nats"))
            axes.yaxis.set_major_formatter(FuncFormatter(short))
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.axhline(np.log(10), color=QUIET, linewidth=0.8)
    found = estimates.outside(record)
    sentence = _(
        "By the images' own statistics the loss ends at {both_inside} nats with mean and deviation inside the gradient "
        "and at {both_outside} with both outside; of the mean alone, at {mean_inside} inside and {mean_outside} "
        "outside."
    )
    title = sentence.format(**{name: number(found[f"loss_{name}"].value) for name in NETWORKS})
    drawn = tuple((axes.figure, title) for axes, title in zip(panels, titles, strict=True))
    return Drawing(drawn, title, _outside_note(record, language))


def _outside_note(record: dict, language: str) -> str:
    _, parts, found = words(language), record["outside"], estimates.outside(record)
    sentence = _(
        "Three hidden layers of sigmoids, x normalized without γ and β, first weights of Glorot and Bengio (2010) "
        "times {gain}, rate {rate}. Inside and outside differ in the gradient alone. The losses are of validation "
        "images, normalized by their own statistics as in training, or by moving averages. At rate {lower} the former "
        "ends at {both_inside} nats with mean and deviation inside and at {both_outside} with both outside, and of the "
        "mean alone at {mean_inside} and {mean_outside}. Geometric mean over seeds with its 95% interval. The quiet "
        "line is the loss of who knows nothing, ln 10."
    )
    return sentence.format(
        gain=number(parts["gain"]),
        rate=number(parts["networks"]["both_inside"]["learning_rate"]),
        lower=number(parts["slower"]["both_outside"]["learning_rate"]),
        **{name: number(found[f"slower_loss_{name}"].value) for name in NETWORKS},
    )


def _band(axes: Axes, x: list[float], values: np.ndarray, label: str, style: dict) -> None:
    """Geometric mean over seeds (seeds, points) with its 95% interval."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, low, high = np.exp(statistics.mean_curve(np.log(values)))
    axes.plot(x, mean, label=label, **style)
    axes.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)


def inputs(record: dict, language: str) -> Drawing:
    """The course of gradient descent by what is done to its inputs; and normalization between its steps."""
    _, found = words(language), estimates.regression(record, "standardized")
    titles = _("Inputs prepared once"), _("Activations normalized between steps")
    with styled():
        once, between = (panel(title, language) for title in titles)
        _courses(once, record, language)
        _sawtooth(between, record["toy"]["course"], language)
    sentence = _(
        "To fit a linear layer, gradient descent on all examples needs {raw} steps with raw inputs, {standardized} "
        "with standardized and, by construction, {whitened} with whitened ones. In a network that is normalized "
        "between its steps each step is undone."
    )
    note = _(
        "First panel: least squares of the classes of digits on {features} block means, each at its best constant "
        "rate; geometric mean over seeds with its 95% interval, steps until the excess loss is at {target}. Second: "
        "x = au + b towards targets of another mean and scale; between: a and b are normalized before each step; "
        "inside: γ and β are learned after the normalization."
    )
    steps = {kind: numbers.with_interval(found[f"steps_{kind}"], 0) for kind in ("raw", "standardized")}
    steps["whitened"] = number(found["steps_whitened"].value)
    said = note.format(features=number((PIXELS // BLOCK) ** 2), target=number(TARGET))
    panels = tuple((axes.figure, title) for axes, title in zip((once, between), titles, strict=True))
    return Drawing(panels, sentence.format(**steps), said, trained=False)


def _courses(axes: Axes, record: dict, language: str) -> None:
    _ = words(language)
    for name, (label, style) in KINDS.items():
        values = np.maximum(np.array(record["regression"][name]["excess"], float), _LOWEST / 100)
        _band(axes, LOOKS[1:], values[:, 1:], _(label), style)
    axes.axhline(TARGET, color=QUIET, linewidth=0.8)
    axes.set(xscale="log", yscale="log", ylim=(_LOWEST, 1), xlim=(1, LOOKS[-1]))
    axes.set(xlabel=_("step"), ylabel=_("excess loss / that at the start"))
    axes.xaxis.set_major_formatter(FuncFormatter(short))
    legend(axes, language, "lower right")


def _sawtooth(axes: Axes, course: dict, language: str) -> None:
    """The loss after each normalization and after each step, half a step apart; and with BN before each step."""
    _ = words(language)
    half = np.arange(len(course["between"])) / 2
    axes.plot(half, course["between"], color=INK, linewidth=1.2, label=_("between"))
    axes.plot(course["inside"], color=COLOURS["bn"], label=_("inside"))
    axes.set(ylim=(0, None), ylabel=_("loss"))
    steps_axis(axes, range(len(course["inside"])), _("step"))
    legend(axes, language, "center right")


def cost(record: dict, language: str) -> Drawing:
    """What whitening costs over BN by the width, timed and counted; and its derivative by the smallest eigenvalue."""
    _, found = words(language), estimates.costs(record)
    titles = _("Whitening over BN"), _("Derivative of the inverse root")
    with styled():
        ratio, derivative = (panel(title, language) for title in titles)
        _ratios(ratio, record["cost"], language)
        _derivative(derivative, record["derivative"], language)
    sentence = _(
        "Whitening {width} features takes {times} times as much processor time as BN, and its derivative goes with the "
        "power {power} of the smallest eigenvalue."
    )
    note = _(
        "First panel: forward and backward pass of {rows} examples, processor time, geometric mean over seeds with its "
        "95% interval; multiply-adds of the forward pass, of the eigenvectors the first step alone. Second: the "
        "derivative of Cov^(−1/2) where all other eigenvalues are 1."
    )
    title = sentence.format(
        width=number(record["cost"]["widths"][-1]),
        times=numbers.with_interval(found["times"], 0),
        power=number(found["derivative"].value),
    )
    panels = tuple((axes.figure, title) for axes, title in zip((ratio, derivative), titles, strict=True))
    return Drawing(panels, title, note.format(rows=number(record["cost"]["rows"])), trained=False)


def _ratios(axes: Axes, cost: dict, language: str) -> None:
    _, seconds = words(language), {name: np.array(of, float) for name, of in cost["seconds"].items()}
    _band(axes, cost["widths"], seconds["whitening"] / seconds["bn"], _("timed"), {"color": INK, "marker": "o"})
    adds = np.array(cost["adds"]["whitening"]) / np.array(cost["adds"]["bn"])
    axes.plot(cost["widths"], adds, color=INK, linestyle=_DASHED, label=_("multiply-adds"))
    axes.set(xscale="log", yscale="log", ylim=(None, 5 * adds.max()), xlabel=_("features"), ylabel=_("times as much"))
    axes.set_xticks(cost["widths"], [f"{width:g}" for width in cost["widths"]])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(short))
    axes.yaxis.set_minor_formatter(NullFormatter())
    legend(axes, language, "upper left")


def _derivative(axes: Axes, derivative: dict, language: str) -> None:
    _ = words(language)
    axes.plot(derivative["eigenvalues"], np.mean(derivative["size"], axis=0), color=INK, marker="o", markersize=4)
    axes.set(xscale="log", yscale="log", xlabel=_("smallest eigenvalue"), ylabel=_("size of the derivative"))
