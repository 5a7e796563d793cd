"""The figures of section 3.4: the noise of mini-batches, what it does, and Dropout beside it."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bn.lab.chapters.regularization import estimates
from bn.lab.chapters.regularization.spec import FEW, WHOLE
from bn.lab.judge import statistics
from bn.lab.show import numbers, speech
from bn.lab.show.numbers import number
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
from bn.lab.store import claims

NAMES = {
    "plain": N_("plain"),
    "plain_dropout": N_("plain, Dropout"),
    "bn": N_("with BN"),
    "bn_dropout": N_("with BN, Dropout"),
}
_DASHED, _DOTTED = LINES["plain"], (0, (1, 1.5))
_STYLES = {
    "plain": {"color": COLOURS["plain"], "linestyle": "-"},
    "plain_dropout": {"color": COLOURS["plain"], "linestyle": _DASHED},
    "bn": {"color": COLOURS["bn"], "linestyle": "-"},
    "bn_dropout": {"color": COLOURS["bn"], "linestyle": _DASHED},
}


def noise(record: dict, language: str) -> Drawing:
    """One test image in a hundred mini-batches, and how much it varies by their size."""
    with styled():
        panels = _company(record["company"], language), _noise(record["noise"], language)
    return Drawing(panels, _noise_title(record, language), _noise_note(record, language))


def _company(found: Mapping, language: str) -> tuple[Figure, str]:
    _ = words(language)
    title, margins = _("(a) One image in other company"), found["margins"]
    axes = panel(title, language)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.plot(range(1, len(margins) + 1), margins, "o", color=COLOURS["bn"], markersize=3.5, label=_("in training"))
    axes.axhline(found["margin"], color=COLOURS["bn"], label=_("at inference"))
    axes.set(xlim=(0, len(margins) + 1), xlabel=_("mini-batch"), ylabel=_("margin of the right class"))
    axes.margins(y=0.1)
    legend_below(axes, language)
    return axes.figure, f"{title}: " + _("margin of the right class")


def _noise(found: Mapping, language: str) -> tuple[Figure, str]:
    """Geometric means over seeds, beside the law for a normal value."""
    _ = words(language)
    title, sizes = _("(b) Noise by size"), np.array(found["sizes"])
    axes = panel(title, language)
    labels = (_("first layer"), _("second layer"), _("logits"))
    by_seed = np.array(found["std"], float)
    for k, (label, line) in enumerate(zip(labels, ("-", _DASHED, _DOTTED), strict=True)):
        mean, low, high = np.exp(statistics.mean_curve(np.log(by_seed[:, :, k])))
        axes.plot(sizes, mean, color=COLOURS["bn"], linestyle=line, marker="o", markersize=3.5, label=label)
        axes.fill_between(sizes, low, high, color=COLOURS["bn"], alpha=0.15, linewidth=0)
    axes.plot(
        sizes, np.sqrt(1.5 / sizes), color=QUIET, linewidth=1.2, zorder=5, label=numbers.left_to_right("√(1.5 / m)")
    )
    sizes_axis(axes, sizes, language)
    axes.set(yscale="log", ylim=(0.01, None), ylabel=_("standard deviation"))
    axes.yaxis.set_major_locator(FixedLocator([0.01, 0.03, 0.1, 0.3, 1]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(short))
    legend(axes, language, "lower left")
    return axes.figure, f"{title}: " + _("standard deviation")


def sizes_axis(axes: Axes, sizes: np.ndarray, language: str) -> None:
    """Numbers of examples, each as far from the next as its ratio to it."""
    _ = words(language)
    axes.set(xscale="log", xlabel=_("examples in the statistics"))
    axes.xaxis.set_major_locator(FixedLocator(list(sizes)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:,.0f}"))


def _noise_title(record: dict, language: str) -> str:
    """How often one image changes sides, and how far the noise falls between two sizes of the figure."""
    _, found = words(language), record["company"]
    other = sum((margin > 0) != (found["margin"] > 0) for margin in found["margins"])
    few, many = (estimates.noise_at(record, size) for size in (16, 1024))
    sentence = _(
        "In {other} of {all} mini-batches one image falls on the other side than at inference; with {many} in the "
        "place of {few} examples the noise of the first layer is {ratio} times as large."
    )
    ratio = statistics.ratio(many, few)
    return sentence.format(
        other=number(other),
        all=number(len(found["margins"])),
        few=number(16),
        many=number(1024),
        ratio=numbers.with_interval(ratio, 3),
    )


def _noise_note(record: dict, language: str) -> str:
    _, found = words(language), record["company"]
    sentence = _(
        "(a) The logit of the right class less the largest other, seed {seed}: of a hundred test images the one "
        "whose margin at inference is nearest to 0, in mini-batches of {batch} whose other images are drawn at random. "
        "(b) Standard deviation over mini-batches of what a test image becomes: its normalized values in each layer, "
        "and its logits in their deviation over images; root mean square over units, geometric mean over seeds with "
        "its 95% interval. Grey: the law for values and company from a standard normal distribution. The network was "
        "trained on mini-batches of {batch}, without Dropout."
    )
    return sentence.format(seed=numbers.left_to_right(found["seed"]), batch=number(record["batch"]["dropout"]))


def dropout(record: dict, language: str) -> Drawing:
    """Test accuracy and the gap over training, with and without Dropout and BN, each at its own best rate."""
    _, networks = words(language), record["own_rates"]
    test, train = ({name: 100 * np.array(net[of], float) for name, net in networks.items()} for of in ("test", "train"))
    gap = {name: train[name] - test[name] for name in networks}
    with styled():
        panels = (
            _curves(networks, test, (0, 100), _("(a) Test accuracy"), _("test accuracy, %"), language),
            _curves(networks, gap, (-100, 100), _("(b) Gap"), _("training − test, points"), language),
        )
    return Drawing(panels, _dropout_title(record, language), _dropout_note(record, language))


def _curves(
    networks: Mapping, values: Mapping, bounds: tuple[float, float], title: str, label: str, language: str
) -> tuple[Figure, str]:
    """Mean over seeds with its 95% interval of each network, from the first evaluation after the start."""
    _, axes = words(language), panel(title, language)
    for name, by_seed in values.items():
        steps = networks[name]["steps"][1:]
        mean, low, high = statistics.mean_curve(by_seed[:, 1:], bounds)
        axes.plot(steps, mean, label=_(NAMES[name]), **_STYLES[name])
        axes.fill_between(steps, low, high, color=_STYLES[name]["color"], alpha=0.12, linewidth=0)
    axes.set_ylabel(label)
    steps_axis(axes, networks["plain"]["steps"], _("training step"))
    legend_below(axes, language)
    ends = [f"{_(NAMES[name])} {by_seed[:, -1].mean():.1f}" for name, by_seed in values.items()]
    return axes.figure, f"{title}: {label}: " + _.listed(ends)


def _dropout_title(record: dict, language: str) -> str:
    _, found = words(language), estimates.dropout(record)
    sentence = _("Dropout changes the test accuracy by {plain} points without BN and by {bn} points with it.")
    return sentence.format(**{key: points(found[f"gain_{key}"]) for key in ("plain", "bn")})


def _dropout_note(record: dict, language: str) -> str:
    _ = words(language)
    sentence = _(
        "Mean over seeds with its 95% interval. Dropout leaves out {share} of the hidden units. Each network has the "
        "best of {count} rates by validation images, chosen on other seeds: {rates}."
    )
    rates = [f"{_(NAMES[name])} {number(net['rate'])}" for name, net in record["own_rates"].items()]
    share = numbers.percent(record["asked"]["dropout"], 0)
    return sentence.format(share=share, count=number(len(record["tried"]["rates"])), rates=_.listed(rates, ";"))


def points(estimate: statistics.Estimate) -> str:
    """Percentage points with their sign and interval."""
    return numbers.signed(estimate.value) + numbers.interval(estimate, 2)


def groups(record: dict, language: str) -> Drawing:
    """Networks that differ in the noise alone: test accuracy and gap by how many examples the statistics are of."""
    _ = words(language)
    values = {
        "test": (_("(a) Test accuracy"), _("test accuracy, %"), estimates.finals),
        "gap": (_("(b) Gap"), _("training − test, points"), estimates.gaps),
    }
    with styled():
        panels = tuple(_by_size(record["groups"], *of, language) for of in values.values())
    return Drawing(panels, _groups_title(record, language), _groups_note(record, language))


def _by_size(networks: Mapping, title: str, label: str, measure, language: str) -> tuple[Figure, str]:
    axes, sizes = panel(title, language), np.array([int(size) for size in networks])
    by_seed = np.stack([measure(network) for network in networks.values()], 1)
    mean, low, high = statistics.mean_curve(by_seed)
    jitter = np.exp(np.linspace(-0.12, 0.12, len(by_seed)))[:, None]
    axes.plot((sizes * jitter).ravel(), by_seed.ravel(), "o", color=COLOURS["bn"], markersize=3, alpha=0.45)
    axes.plot(sizes, mean, color=COLOURS["bn"], linewidth=1.2)
    if len(by_seed) > 1:
        axes.errorbar(sizes, mean, [mean - low, high - mean], fmt="s", color=COLOURS["bn"], markersize=5, capsize=3)
    sizes_axis(axes, sizes, language)
    axes.set(xlim=(sizes[0] / 1.5, sizes[-1] * 1.5), ylabel=label)
    ends = [f"{number(int(size))} {value:.2f}" for size, value in zip(sizes, mean, strict=True)]
    return axes.figure, f"{title}: {label}: " + words(language).listed(ends)


def _groups_title(record: dict, language: str) -> str:
    _, found = words(language), estimates.noise_helps(record)
    sentence = _(
        "Statistics of {few} examples in the place of {whole} change the test accuracy by {gain} points, with the same "
        "mini-batches and the same rate."
    )
    return sentence.format(few=number(FEW), whole=number(WHOLE), gain=points(found["test_gain"]))


def _groups_note(record: dict, language: str) -> str:
    _ = words(language)
    sentence = _(
        "Dots: the seeds. Squares: their mean with its 95% interval. All see the same mini-batches of {whole} for "
        "{steps} at rate {rate}, the best of {count} for statistics of {few} and of {whole} together, by validation "
        "images on other seeds; only the groups differ whose mean and variance normalize."
    )
    network = record["groups"][str(WHOLE)]
    said = sentence.format(
        few=number(FEW),
        whole=number(WHOLE),
        steps=speech.steps(network["steps"][-1], language),
        rate=number(network["rate"]),
        count=number(len(record["tried"]["rates"])),
    )
    return " ".join([said, _whose_rate(record, language), *_known(record, language), _highest(record, language)])


def _whose_rate(record: dict, language: str) -> str:
    """Whether the one rate is also the best of the two sizes alone that it was chosen for; their gain at these."""
    _, one = words(language), record["groups"][str(WHOLE)]["rate"]
    own = {size: record["own_groups"][str(size)]["rate"] for size in (FEW, WHOLE)}
    whose = [size for size, rate in own.items() if rate == one]
    if len(whose) == 2:
        return _("Alone, each of the two has its best rate there, too.")
    if whose:
        sentence = _(
            "Alone, statistics of {few} have their best rate at {few_rate} and those of {whole} at {whole_rate}, so "
            "that the one rate may favour those of {size}; with each at its own best rate the change is {gain} points."
        )
    else:
        sentence = _(
            "Alone, statistics of {few} have their best rate at {few_rate} and those of {whole} at {whole_rate}; with "
            "each at its own best rate the change is {gain} points."
        )
    return sentence.format(
        size=number(whose[0] if whose else FEW),
        few=number(FEW),
        few_rate=number(own[FEW]),
        whole=number(WHOLE),
        whole_rate=number(own[WHOLE]),
        gain=points(estimates.noise_helps(record)["own_gain"]),
    )


def _known(record: dict, language: str) -> list[str]:
    """Where both networks of the rule know all training images, that its line about the gap says nothing new."""
    if not all(estimates.knows_all(record["groups"][str(size)]) for size in (FEW, WHOLE)):
        return []
    _ = words(language)
    sentence = _(
        "With statistics of {few} and of {whole} every seed ends with all training images right, so that their gaps "
        "differ by what the test accuracies do, with the sign turned: the rule's line about the gap adds nothing to "
        "the one about the accuracy."
    )
    return [sentence.format(few=number(FEW), whole=number(WHOLE))]


def _highest(record: dict, language: str) -> str:
    """The size with the highest accuracy, which no rule had asked for, and its lead over the whole mini-batch."""
    _, finals = words(language), {int(size): estimates.finals(network) for size, network in record["groups"].items()}
    size = max(finals, key=lambda size: finals[size].mean())
    if size == WHOLE:
        return _("The whole mini-batch has the highest accuracy.")
    lead = estimates.gain_over_whole(record, size)
    sentence = _(
        "The highest accuracy is that of {size}, {lead} points above the whole mini-batch; that this size would be "
        "compared was not fixed beforehand, so the interval is too narrow."
    )
    return sentence.format(size=number(size), lead=points(lead))


def shift(record: dict, language: str) -> Drawing:
    """The variance of the normalized values at inference, layer by layer, with and without Dropout before it."""
    _ = words(language)
    title = _("Variance at inference")
    limit = next(c.limit for c in claims.ledger()["inference-mean0-var1"].rule if c.estimate == "variance_worst")
    layers = np.array([1, 2])
    with styled():
        axes = panel(title, language)
        axes.axhspan(1 - limit, 1 + limit, color=QUIET, alpha=0.15, linewidth=0)
        axes.axhline(1, color=INK, linewidth=0.8)
        for name, marker, move in (("bn", "o", -0.06), ("bn_dropout", "s", 0.06)):
            values = np.array(record["population"][name]["variance"], float)
            mean, low, high = statistics.mean_curve(values)
            style = {"color": COLOURS["bn"], "markersize": 6, "fmt": marker}
            fill = "none" if name == "bn_dropout" else "full"
            axes.errorbar(
                layers + move,
                mean,
                [mean - low, high - mean],
                mfc=None if fill == "full" else "none",
                capsize=3,
                label=_(NAMES[name]),
                **style,
            )
        axes.set(xlim=(0.5, 2.5), xlabel=_("layer of BN"), ylabel=_("variance of the normalized values"))
        axes.xaxis.set_major_locator(FixedLocator([1, 2]))
        axes.margins(y=0.15)
        legend(axes, language, "lower left")
    found = estimates.variance_shift(record)
    said = _("Behind Dropout the normalized values have a variance of {with_it} at inference, without it of {without}.")
    said = said.format(
        with_it=numbers.with_interval(found["variance"], 2), without=numbers.with_interval(found["variance_without"], 2)
    )
    note = _(
        "Variance over the training images of the values that a unit has at inference behind the statistics of "
        "Algorithm 2, median unit of the layer, mean over seeds with its 95% interval. Dropout stands between the two "
        "layers. Shaded: the ±{limit} of the rule."
    ).format(limit=number(limit))
    return Drawing(((axes.figure, f"{title}: {said}"),), said, note)
