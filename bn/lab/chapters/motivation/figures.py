"""The figures of section 1: saturation by depth, the moving outputs of a lower half, small changes that amplify."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from bn.lab.chapters.motivation import estimates
from bn.lab.chapters.motivation.record import FOLLOWED, NETWORKS
from bn.lab.chapters.motivation.study import SATURATED
from bn.lab.judge import statistics
from bn.lab.show import numbers, speech
from bn.lab.show.numbers import number
from bn.lab.show.style import COLOURS, LINES, QUIET, Drawing, legend, panel, short, steps_axis, styled
from bn.lab.show.words import N_, words

NAMES = {"plain": N_("plain"), "bn": N_("with BN")}
TITLES = {"plain": N_("Without BN"), "bn": N_("With BN")}
THREE = 3.0, 2.6  # inches of a panel where three stand side by side, so that its letters stay as large
_ACTIVATIONS = {"sigmoid": N_("Sigmoids"), "relu": N_("ReLU")}


def result(record: dict, language: str) -> str:
    """What the chapter found, in three sentences."""
    _, change = words(language), estimates.amplification(record)
    steps, costs = estimates.regression(record, "standardized"), estimates.costs(record)
    sentence = _(
        "Through {layers} layers of sigmoids a small change of the first layer's weights grows {plain} times without "
        "BN and {bn} times with it; with ReLU it grows {relu} times without and {relu_bn} times with it. To fit a "
        "linear layer to digits, gradient descent on all examples needs {raw} steps with raw inputs, {standardized} "
        "with each feature standardized and, by construction, {whitened} with all of them whitened. But whitening "
        "{width} features takes {times} times as much processor time as BN."
    )
    return sentence.format(
        layers=number(len(record["change"]["sigmoid"]["plain"]["change"][0])),
        plain=numbers.with_interval(change["sigmoid_plain"], 2),
        bn=number(change["sigmoid_bn"].value),
        relu=numbers.with_interval(change["relu_plain"], 2),
        relu_bn=number(change["relu_bn"].value),
        raw=numbers.with_interval(steps["steps_raw"], 0),
        standardized=number(steps["steps_standardized"].value),
        whitened=number(steps["steps_whitened"].value),
        width=number(record["cost"]["widths"][-1]),
        times=number(costs["times"].value),
    )


# ---- Saturation ----------------------------------------------------------------------------------


def saturation(record: dict, language: str) -> Drawing:
    """By depth: the share of saturated sigmoids, the gradient of the first layer over the last, and the accuracy."""
    _, depth = words(language), record["depth"]
    titles = _("Saturated units"), _("Gradient, first layer / last"), _("Final test accuracy")
    with styled():
        saturated, gradient, accuracy = (panel(title, language, THREE) for title in titles)
        for name in NETWORKS:
            ends = _ends(depth[name], "saturated"), _ends(depth[name], "gradient_ratio")
            _by_depth(saturated, depth["depths"], 100 * ends[0], name, language)
            _by_depth(gradient, depth["depths"], ends[1], name, language, log=True)
            shares = np.array([of["test"] for of in depth[name]], float)
            _band(accuracy, depth["depths"], 100 * shares.T, name, language)
        small = np.array(depth["small"], float)[..., 0].T
        gradient.plot(depth["depths"], _mean(small, log=True)[0], color=QUIET, linestyle=":", linewidth=1.1)
        saturated.set(ylim=(0, None), ylabel=_("% of the inputs"))
        gradient.set(yscale="log", ylabel=_("ratio"))
        accuracy.set(ylim=(0, 100), ylabel="%")
        for axes in (saturated, gradient, accuracy):
            _depth_axis(axes, depth["depths"], _("hidden layers"))
        legend(accuracy, language, "lower left")
    panels = tuple((axes.figure, title) for axes, title in zip((saturated, gradient, accuracy), titles, strict=True))
    return Drawing(panels, _saturation_title(record, language), _saturation_note(depth, language))


def _ends(cells: list[dict], key: str) -> np.ndarray:
    """At the start and at the end, (2, seeds, depths)."""
    return np.array([cell[key] for cell in cells], float).transpose(2, 1, 0)


def _by_depth(axes: Axes, depths: list[int], ends: np.ndarray, name: str, language: str, log: bool = False) -> None:
    """The end of the training with its interval, the start as a thin dotted line."""
    start, end = ends
    axes.plot(depths, _mean(start, log)[0], color=COLOURS[name], linestyle=":", linewidth=1.1)
    _band(axes, depths, end, name, language, log)


def _mean(values: np.ndarray, log: bool) -> np.ndarray:
    """Mean over seeds (seeds, points), of a logarithm the geometric one, and the ends of its interval."""
    if not log:
        return statistics.mean_curve(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.exp(statistics.mean_curve(np.log(values)))


def _band(
    axes: Axes, x: Iterable[float], values: np.ndarray, name: str, language: str, log: bool = False, marker: str = "o"
) -> None:
    mean, low, high = _mean(values, log)
    label = words(language)(NAMES[name])
    axes.plot(x, mean, color=COLOURS[name], linestyle=LINES[name], marker=marker, markersize=4, label=label)
    axes.fill_between(x, low, high, color=COLOURS[name], alpha=0.2, linewidth=0)


def _depth_axis(axes: Axes, depths: list[int], label: str) -> None:
    axes.set(xscale="log", xlabel=label)
    axes.set_xticks(depths)
    axes.xaxis.set_major_formatter(FuncFormatter(short))
    axes.xaxis.set_minor_locator(NullLocator())


def _saturation_title(record: dict, language: str) -> str:
    _, found, depths = words(language), estimates.saturation(record), record["depth"]["depths"]
    sentence = _(
        "Training adds {deep} percentage points of saturated units with {many} hidden layers and {shallow} with {few}; "
        "at the end the gradient of the first layer over that of the last is {gradient} times that of the shallow one."
    )
    return sentence.format(
        deep=numbers.signed(found["added_deep"].value, 1),
        shallow=numbers.signed(found["added_shallow"].value, 1),
        many=number(depths[-1]),
        few=number(depths[0]),
        gradient=numbers.scientific(found["gradient"].value),
    )


def _saturation_note(depth: dict, language: str) -> str:
    _ = words(language)
    sentence = _(
        "Lines and bands: the end of the training, mean over seeds with its 95% interval; dotted: the first weights, "
        "which are those of Glorot and Bengio (2010) times {gain}; grey and dotted: those times 1, without BN. "
        "Saturated is an input of a sigmoid with an absolute value above {limit}. Rates tried: {tried}. Each network "
        "has the one that was best for it on other seeds, from shallow to deep: {plain} without BN and {bn} with it."
    )
    rates = {name: listed([cell["learning_rate"] for cell in depth[name]], language) for name in NETWORKS}
    tried, gain = listed(depth["rates"], language), number(depth["gain"])
    return sentence.format(limit=number(SATURATED), tried=tried, gain=gain, **rates)


def listed(values: list[float], language: str) -> str:
    """Numbers in a row."""
    return words(language).listed([number(value) for value in values])


# ---- A moving input ------------------------------------------------------------------------------


def moving(record: dict, language: str) -> Drawing:
    """The outputs of the lower half of a network, which are the data of the upper half, while both learn."""
    _, parts, panels = words(language), record["moving"], []
    with styled():
        for name in NETWORKS:
            axes = panel(_(TITLES[name]), language, THREE)
            for of_unit in np.array(parts[name]["medians"], float):
                axes.plot(parts[name]["looks"], of_unit, color=COLOURS[name], linewidth=1.1)
            axes.set(ylim=(0, 1), ylabel=_("median output of a unit"))
            steps_axis(axes, parts[name]["looks"], _("training step"))
            panels.append((axes.figure, f"{_(TITLES[name])}: " + _("median output of a unit")))
        panels.append((_moved(parts, language), _("Distance between two looks")))
    return Drawing(tuple(panels), _moving_title(parts, language), _moving_note(record, language))


def _moved(parts: dict, language: str) -> Figure:
    _ = words(language)
    axes = panel(_("Distance between two looks"), language, THREE)
    for name in NETWORKS:
        _band(axes, parts[name]["looks"][1:], np.array(parts[name]["moved"], float), name, language)
    axes.set(ylim=(0, None), ylabel=_("distance / spread"))
    steps_axis(axes, parts["plain"]["looks"], _("training step"))
    legend(axes, language, "upper right")
    return axes.figure


def _moving_title(parts: dict, language: str) -> str:
    _ = words(language)
    moved = {name: np.array(parts[name]["moved"], float).mean(1) for name in NETWORKS}
    ratio = statistics.ratio(moved["bn"], moved["plain"])
    sentence = _(
        "Between two looks the median output of a typical unit of the lower half moves by {plain} of its own spread "
        "without BN and by {bn} with it: a ratio of {ratio}."
    )
    means = {name: number(float(values.mean())) for name, values in moved.items()}
    return sentence.format(**means, ratio=numbers.with_interval(ratio, 2))


def _moving_note(record: dict, language: str) -> str:
    _, parts = words(language), record["moving"]
    sentence = _(
        "Networks of {layers} hidden layers of sigmoids; the lower half is the first {half}. First and second panel: "
        "{units} units of one seed, evenly chosen. Third: the distance of the medians at two looks, {every} apart, "
        "over the range from the 15th to the 85th percentile at the first: the median unit, mean over seeds with its "
        "95% interval. Rate {plain} without BN and {bn} with it, first weights of Glorot and Bengio (2010) times "
        "{gain}."
    )
    rates = {name: number(parts[name]["learning_rate"]) for name in NETWORKS}
    sizes = {"layers": FOLLOWED, "half": FOLLOWED // 2, "units": len(parts["plain"]["units"])}
    sizes["gain"] = record["depth"]["gain"]
    every = speech.steps(parts["plain"]["looks"][1], language)
    return sentence.format(every=every, **rates, **{name: number(size) for name, size in sizes.items()})


# ---- Small changes -------------------------------------------------------------------------------


def change(record: dict, language: str) -> Drawing:
    """By layer, how far a small change of the first layer's weights moves its input, for two nonlinearities, at the
    first weights; and dotted, how far one of all weights does."""
    _, panels = words(language), []
    with styled():
        for activation, networks in record["change"].items():
            title = _(_ACTIVATIONS[activation])
            axes = panel(title, language)
            for name in NETWORKS:
                of_first, of_all = (np.array(networks[name][key], float) for key in ("change_of_first", "change"))
                layers = range(1, of_first.shape[1] + 1)
                _band(axes, layers, of_first, name, language, log=True, marker="")
                axes.plot(layers, _mean(of_all, log=True)[0], color=COLOURS[name], linestyle=":", linewidth=1.1)
            axes.axhline(1, color=QUIET, linewidth=0.8)
            axes.set(yscale="log", xlim=(1, layers[-1]), xlabel=_("layer"), ylabel=_("change / spread"))
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            legend(axes, language, "upper left")
            panels.append((axes.figure, f"{title}: " + _("change / spread")))
    return Drawing(tuple(panels), _change_title(record, language), _change_note(record, language))


def _change_title(record: dict, language: str) -> str:
    _, found = words(language), estimates.amplification(record)
    sentence = _(
        "From the first to the last layer a small change of the first layer's weights grows {sigmoid_plain} times with "
        "sigmoids and {relu_plain} times with ReLU; with BN it grows {sigmoid_bn} and {relu_bn} times."
    )
    shown = ("sigmoid_plain", "relu_plain", "sigmoid_bn", "relu_bn")
    return sentence.format(**{name: number(found[name].value) for name in shown})


def _change_note(record: dict, language: str) -> str:
    _, found = words(language), estimates.amplification(record)
    sentence = _(
        "Networks that are not trained; first weights of Glorot and Bengio (2010) times {gain} with sigmoids and of He "
        "et al. (2015) with ReLU. The weights of the first layer (lines with bands) or of all layers (dotted) are "
        "moved at random by a thousandth of their size; the change of the input of each layer's nonlinearity over its "
        "spread over the images, geometric mean over {seeds} with its 95% interval. At 1 the change is as large as "
        "what the layer knows of the image. Without BN this spread is {spread} times as large in the last layer of "
        "sigmoids as in the first. With BN and ReLU the gradient at the first layer is {bn} times that at the last, "
        "without BN {plain} times."
    )
    seeds = speech.seeds(len(record["change"]["relu"]["bn"]["change"]), language)
    gradients = {name: number(found[f"gradient_relu_{name}"].value) for name in NETWORKS}
    spread, gain = number(found["spread_sigmoid_plain"].value), number(record["depth"]["gain"])
    return sentence.format(seeds=seeds, spread=spread, gain=gain, **gradients)
