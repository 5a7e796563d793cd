"""The figures of chapter 04 about places: what a feature map shares, what its places are worth, and where BN stands."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from bn.lab.chapters.convolution import estimates
from bn.lab.chapters.convolution.study import CHANNELS, NETWORKS
from bn.lab.judge import statistics
from bn.lab.judge.statistics import Estimate
from bn.lab.show import numbers, speech
from bn.lab.show.numbers import number, pair
from bn.lab.show.style import COLOURS, INK, LINES, QUIET, Drawing, legend_below, panel, plain_ticks, steps_axis, styled
from bn.lab.show.words import N_, words
from bn.lab.train.stacks import PIXELS

ACTIVATIONS = {"relu": N_("ReLU"), "sigmoid": N_("sigmoid")}
NAMES = {
    "none": N_("no BN"),
    "before": N_("BN before"),
    "after": N_("BN after"),
    "input": N_("BN on u"),
}
STYLES = {
    "none": {"color": COLOURS["plain"], "linestyle": LINES["plain"]},
    "before": {"color": COLOURS["bn"], "linestyle": "-"},
    "after": {"color": COLOURS["bn"], "linestyle": (0, (4, 1.5))},
    "input": {"color": COLOURS["bn"], "linestyle": (0, (1, 1.5))},
}
_MARKS = (("o", "-"), ("s", (0, (4, 1.5))), ("^", (0, (1, 1.5))))  # of the three layers
_DRAWN = 4  # examples, and places along a side, of the picture of a mini-batch
_COLUMNS = {"units": 8, "maps": 4}  # of the picture; the second of them is marked
_MARKED = 1


def result(record: dict, language: str) -> str:
    """What was found: what the places of a feature map are worth, and whether BN is better before the nonlinearity."""
    _ = words(language)
    return f"{_places_title(record, language)} {_placement_title(record, language)}"


# ---- What a feature map shares -------------------------------------------------------------------


def shared(record: dict, language: str) -> Drawing:
    """A mini-batch of a fully-connected layer and of a convolutional one: which values share μ, σ², γ and β."""
    _ = words(language)
    titles = {"units": _("(a) Fully-connected layer"), "maps": _("(b) Convolutional layer")}
    labels = {"units": _("unit"), "maps": _("feature map")}
    with styled():
        panels = tuple(
            (_mini_batch(kind, titles[kind], labels[kind], language).figure, titles[kind]) for kind in titles
        )
    note = _(
        "A picture with {m} examples. Blue: the values that share one mean, one variance, one γ and one β; every other "
        "column has its own."
    )
    return Drawing(panels, _shared_title(record, language), note.format(m=number(_DRAWN)), trained=False)


def _mini_batch(kind: str, title: str, label: str, language: str) -> Axes:
    """Examples below each other, and beside each other the units, or the feature maps with their places."""
    _, axes, side = words(language), panel(title, language), 1 if kind == "units" else _DRAWN
    cell = 0.8 / side
    for column in range(_COLUMNS[kind]):
        colour = {"color": COLOURS["bn"]} if column == _MARKED else {"color": QUIET, "alpha": 0.35}
        for example in range(_DRAWN):
            corners = ((column + 0.1 + i * cell, example + 0.1 + j * cell) for i in range(side) for j in range(side))
            for corner in corners:
                axes.add_patch(Rectangle(corner, 0.82 * cell, 0.82 * cell, linewidth=0, **colour))
    ends = (_COLUMNS[kind], 0) if language == "ar" else (0, _COLUMNS[kind])
    axes.set(xlim=ends, ylim=(_DRAWN, 0), xlabel=label, ylabel=_("example of the mini-batch"))
    axes.set_xticks([k + 0.45 for k in range(_COLUMNS[kind])], [str(k + 1) for k in range(_COLUMNS[kind])])
    axes.set_yticks([k + 0.45 for k in range(_DRAWN)], [str(k + 1) for k in range(_DRAWN)])
    axes.tick_params(length=0)
    axes.grid(False)
    if kind == "maps":
        axes.set_aspect("equal")
    return axes


def _shared_title(record: dict, language: str) -> str:
    _, layer, m = words(language), record["counts"]["maps"]["layers"][0], record["asked"]["batch"]
    sentence = _(
        "Of a mini-batch of {m} images a unit has {m} values; a feature map of {grid} places has {all}, which share "
        "one mean, one variance and one pair γ, β."
    )
    return sentence.format(m=number(m), grid=pair(PIXELS, PIXELS), all=number(m * layer["places"]))


# ---- What its places are worth -------------------------------------------------------------------


def effective(record: dict, language: str) -> Drawing:
    """Of the statistics of a feature map: how many independent values an image is worth, by the places that count."""
    _ = words(language)
    titles = {"mean": _("(a) For the mean"), "variance": _("(b) For the variance")}
    with styled():
        panels = tuple(
            (_worths(record, name, title, language), _worths_alt(record, name, title, language))
            for name, title in titles.items()
        )
    return Drawing(panels, _places_title(record, language), _places_note(record, language))


def _worths(record: dict, statistic: str, title: str, language: str) -> Figure:
    """A curve for each layer after its training, and in grey before it; over parts of the grid."""
    _, m, axes = words(language), record["asked"]["batch"], panel(title, language, (3.6, 3.7))
    for k, (marker, line) in enumerate(_MARKS):
        for state, colour in (("first", QUIET), ("trained", COLOURS["bn"])):
            layer = record["places"][state][k]
            mean, low, high = np.exp(statistics.mean_curve(np.log(np.array(layer[statistic], float) / m)))
            label = _layer_name(layer, language) if state == "trained" else None
            style = {"color": colour, "linestyle": line, "marker": marker, "markersize": 4}
            axes.plot(layer["counted"], mean, label=label, **style)
            axes.fill_between(layer["counted"], low, high, color=colour, alpha=0.2, linewidth=0)
    ends = np.array([1, PIXELS**2])
    axes.plot([], [], color=QUIET, label=_("before the training"))
    axes.plot(ends, ends, color=INK, linewidth=0.8, label=_("if all were independent"))
    axes.set(xscale="log", yscale="log", xlabel=_("places of the feature map that count"))
    axes.set_ylabel(_("independent values an image"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:g}"))
    legend_below(axes, language)
    return axes.figure


def _layer_name(layer: dict, language: str) -> str:
    _ = words(language)
    side = round(layer["counted"][0] ** 0.5)
    return _("layer of {grid} places").format(grid=pair(side, side))


def _worths_alt(record: dict, statistic: str, title: str, language: str) -> str:
    """What the whole grid of each layer is worth after the training."""
    _, layers = words(language), range(len(CHANNELS))
    worths = [estimates.worth(record, statistic, layer=k).value / record["asked"]["batch"] for k in layers]
    named = (_layer_name(layer, language) for layer in record["places"]["trained"])
    return f"{title}: " + _.listed([f"{name} {number(worth)}" for name, worth in zip(named, worths, strict=True)])


def _places_title(record: dict, language: str) -> str:
    _, m = words(language), record["asked"]["batch"]
    places = record["places"]["trained"][estimates.LAYER]["counted"][0]
    mean, variance = (estimates.worth(record, name) for name in ("mean", "variance"))
    sentence = _(
        "A mini-batch of {m} images has {all} values of a feature map of the first layer, but its mean is only as "
        "certain as that of {mean} independent values, and its variance as that of {variance}: two neighbours are "
        "correlated by {correlation}."
    )
    worths = {name: numbers.with_interval(e, 0) for name, e in (("mean", mean), ("variance", variance))}
    correlation = number(_correlation(record["places"]["trained"][estimates.LAYER]))
    return sentence.format(m=number(m), all=number(m * places), correlation=correlation, **worths)


def _correlation(layer: dict) -> float:
    """Of two neighbours, mean over the seeds."""
    return round(float(np.mean(np.array(layer["neighbours"], float))), 2)


def _places_note(record: dict, language: str) -> str:
    _, trained = words(language), record["places"]["trained"]
    sentence = _(
        "The convolutional network with BN, rate {rate}, after {steps}, when it reads {accuracy} of the digits. Values "
        "of each feature map over {images} with the layers below normalized by the statistics of all of them; of "
        "{draws} mini-batches of {m}, drawn with replacement, the variance of the mean and of the variance, against "
        "what independent values would have: median of the maps, geometric mean over seeds with its 95% interval. Each "
        "curve ends with its whole grid; the points before take every second, fourth … place. Two neighbours are "
        "correlated by {correlations} in the three layers."
    )
    return sentence.format(
        rate=number(record["accuracy"]["maps"]["before"]["rate"]),
        accuracy=numbers.percent(1 - _error(record["accuracy"]["maps"]["before"]), 0),
        steps=speech.steps(record["map_steps"], language),
        images=_images(record, language),
        draws=number(record["draws"]),
        m=number(record["asked"]["batch"]),
        correlations=_.listed([number(_correlation(layer)) for layer in trained]),
    )


def _images(record: dict, language: str) -> str:
    n = record["images"]["maps"]
    return words(language).ngettext("{n} test image", "{n} test images", n).format(n=number(n))


# ---- Where BN stands -----------------------------------------------------------------------------


def placement(record: dict, language: str) -> Drawing:
    """Test error over the training with BN at four places, each at its own best rate, by activation."""
    _ = words(language)
    with styled():
        panels = tuple((_errors(record, kind, language), _errors_alt(record, kind, language)) for kind in ACTIVATIONS)
    note = _(
        "Network of section 4.1, BN before the nonlinearity or after it, on the inputs of each hidden layer, or "
        "nowhere. Mean over seeds with its 95% interval, on a logarithmic axis. Each network has the best of {rates} "
        "learning rates, by validation images of other seeds: {seeds}."
    )
    rates = len(record["accuracy"]["relu"]["none"]["tried"]["rates"])
    seeds = _.listed([numbers.left_to_right(seed) for seed in record["chosen_by"]])
    return Drawing(panels, _placement_title(record, language), note.format(rates=number(rates), seeds=seeds))


def _errors(record: dict, kind: str, language: str) -> Figure:
    _ = words(language)
    axes = panel(_(ACTIVATIONS[kind]), language, (3.6, 3.7))
    for name in NETWORKS:
        network = record["accuracy"][kind][name]
        mean, low, high = statistics.mean_curve(100 - 100 * np.array(network["test"], float), bounds=(0.1, 100))
        axes.plot(network["steps"], mean, label=_(NAMES[name]), **STYLES[name])
        axes.fill_between(network["steps"], low, high, color=STYLES[name]["color"], alpha=0.15, linewidth=0)
    axes.set(yscale="log", ylabel=_("test error, %"))
    plain_ticks(axes.yaxis)
    steps_axis(axes, network["steps"], _("training step"))
    legend_below(axes, language)
    return axes.figure


def _errors_alt(record: dict, kind: str, language: str) -> str:
    _, networks = words(language), record["accuracy"][kind]
    ends = [f"{_(NAMES[name])} {numbers.percent(_error(networks[name]))}" for name in NETWORKS]
    return f"{_(ACTIVATIONS[kind])}, " + _("final test error") + ": " + _.listed(ends)


def _error(network: dict) -> float:
    return 1 - float(np.mean(np.array(network["final_test"], float)))


def _placement_title(record: dict, language: str) -> str:
    """BN before the nonlinearity less BN after it, whichever sign that has."""
    _ = words(language)
    sentence = _(
        "The final test accuracy with BN before the nonlinearity less that with BN after it is {relu} percentage "
        "points with ReLUs and {sigmoid} with sigmoids, each network at its own best learning rate."
    )
    gains = {kind: _points(estimates.gain(record, kind, "after")) for kind in ACTIVATIONS}
    return sentence.format(**gains)


def _points(gain: Estimate) -> str:
    return numbers.signed(gain.value) + numbers.interval(gain, 2)
