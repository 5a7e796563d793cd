"""The figures of chapter 04 about distributions: of u and of Wu, how near they are to a Gaussian, how far they move."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from scipy import stats

from bn.lab.chapters.convolution import estimates, shapes
from bn.lab.chapters.convolution.figures import ACTIVATIONS
from bn.lab.judge import statistics
from bn.lab.show import numbers, speech
from bn.lab.show.numbers import number
from bn.lab.show.style import COLOURS, INK, QUIET, Drawing, legend, legend_below, panel, styled
from bn.lab.show.words import N_, words

NETWORKS = {"none": N_("no BN"), "before": N_("with BN")}
ROWS = [(kind, network) for kind in ACTIVATIONS for network in NETWORKS]
COLOUR = {"none": COLOURS["plain"], "before": COLOURS["bn"]}
_HIGHEST = 1.6  # of a density that is drawn; at a point where a ReLU has half of its values it is higher
_APART = 0.16  # of u and Wu from the middle of their row


def densities(record: dict, language: str) -> Drawing:
    """How the values of a typical unit of u and of Wu are distributed, without BN and with it, beside a Gaussian."""
    with styled():
        panels = tuple((_density(record, *row, language), _density_alt(record, *row, language)) for row in ROWS)
    _ = words(language)
    note = _(
        "Third hidden layer at the end, seed {seed}, values less their mean over their deviation: of u and of Wu the "
        "unit whose |skewness| is nearest to the median of its layer. Grey: the Gaussian. Densities above {highest} "
        "are cut off: a ReLU has many of its values at one point."
    )
    seed = numbers.left_to_right(record["asked"]["seeds"][0])
    return Drawing(panels, _densities_title(record, language), note.format(seed=seed, highest=number(_HIGHEST)))


def _densities_title(record: dict, language: str) -> str:
    """The skewness of the units that are drawn, with BN."""
    _ = words(language)
    sentence = _(
        "With BN and ReLUs a typical unit of u has a skewness of {relu_u}, and one of Wu {relu_wu}; with sigmoids "
        "{sigmoid_u} and {sigmoid_wu}."
    )
    units = {f"{kind}_{of}": record["shapes"][kind]["before"][of]["unit"] for kind in ACTIVATIONS for of in ("u", "wu")}
    return sentence.format(**{name: _or_none(unit["skewness"]) for name, unit in units.items()})


def _density(record: dict, kind: str, network: str, language: str) -> Figure:
    _, axes = words(language), panel(_row_name(kind, network, language), language)
    of, z = record["shapes"][kind][network], np.linspace(shapes.BINS[0], shapes.BINS[-1], 201)
    axes.fill_between(z, stats.norm.pdf(z), color=QUIET, alpha=0.25, linewidth=0)
    for name, colour in (("u", INK), ("wu", COLOUR[network])):
        density = np.minimum(np.array(of[name]["unit"]["density"], float), 2 * _HIGHEST)
        axes.stairs(density, shapes.BINS, color=colour, linewidth=1.4, label="Wu" if name == "wu" else "u")
    axes.set(ylim=(0, _HIGHEST), xlabel=_("deviations from the mean"), ylabel=_("density"))
    legend(axes, language, "upper right")
    return axes.figure


def _row_name(kind: str, network: str, language: str) -> str:
    _ = words(language)
    return _.listed([_(ACTIVATIONS[kind]), _(NETWORKS[network])])


def _density_alt(record: dict, kind: str, network: str, language: str) -> str:
    _, of = words(language), record["shapes"][kind][network]
    said = [
        _("{values}: skewness {skewness}, excess kurtosis {kurtosis}").format(
            values=numbers.left_to_right("Wu" if name == "wu" else "u"),
            skewness=_or_none(of[name]["unit"]["skewness"]),
            kurtosis=_or_none(of[name]["unit"]["kurtosis"]),
        )
        for name in ("u", "wu")
    ]
    return f"{_row_name(kind, network, language)}: " + _.listed(said, ";")


def _or_none(value: float | None) -> str:
    return numbers.NONE if value is None else numbers.signed(value)


def moments(record: dict, language: str) -> Drawing:
    """|Skewness| and |excess kurtosis| of the median unit of u and of Wu at the end."""
    _ = words(language)
    titles = {"skewness": _("(a) |skewness|"), "kurtosis": _("(b) |excess kurtosis|")}

    def ends(moment: str) -> Callable[[str, str, str], np.ndarray]:
        return lambda kind, network, of: np.array([s[-1] for s in record["shapes"][kind][network][of][moment]], float)

    with styled():
        panels = tuple(_rows(ends(moment), title, title.split(" ", 1)[1], language) for moment, title in titles.items())
    note = _(
        "Second and third hidden layer after {steps}, median of their units; both are 0 for a Gaussian. Dots: the "
        "seeds. Marks: their geometric mean with its 95% interval."
    )
    steps = speech.steps(record["asked"]["steps"], language)
    return Drawing(panels, _title(record, language), note.format(steps=steps))


def _title(record: dict, language: str) -> str:
    """Both moments of Wu over those of u with BN."""
    _, ratios = words(language), {kind: estimates.gaussian(record, kind) for kind in ACTIVATIONS}
    sentence = _(
        "With BN and ReLUs, Wu has {relu_skewness} of the skewness of u and {relu_kurtosis} of its excess kurtosis; "
        "with sigmoids {sigmoid_skewness} and {sigmoid_kurtosis}."
    )
    said = {
        f"{kind}_{moment}": numbers.percent(of[f"{moment}_bn"].value, 0)
        for kind, of in ratios.items()
        for moment in ("skewness", "kurtosis")
    }
    return sentence.format(**said)


def moved(record: dict, language: str) -> Drawing:
    """How far the shape of the median unit's distribution moves: of u and of Wu, without BN and with BN on each."""
    _ = words(language)
    normalizing = {"u": "after", "wu": "before"}  # the network that normalizes it

    def values(kind: str, network: str, of: str) -> np.ndarray:
        name = normalizing[of] if network == "before" else network
        return np.array(record["shapes"][kind][name][of]["moved"], float)

    with styled():
        panels = (_rows(values, _("Change of the shape"), _("deviations"), language),)
    note = _(
        "Wasserstein-1 distance of the distributions of a unit, its mean and deviation aside, from a tenth of the "
        "training to its end: the median unit of the second and the third hidden layer. With BN: u where BN stands "
        "on u, after the nonlinearity, and Wu where it stands on Wu. Each network is trained at its own best rate. "
        "Dots: the seeds. Marks: their geometric mean with its 95% interval."
    )
    return Drawing(panels, _moved_title(record, language), note)


def _moved_title(record: dict, language: str) -> str:
    _, found = words(language), estimates.shape_moves(record)
    sentence = _(
        "Where BN normalizes u, the shape of its distribution changes {relu} times as much with ReLUs as that of Wu "
        "where BN normalizes Wu, and {sigmoid} times with sigmoids."
    )
    ratios = {kind: found[f"normalized_{kind}_ratio"] for kind in ACTIVATIONS}
    return sentence.format(**{kind: number(e.value) + numbers.interval(e, 2) for kind, e in ratios.items()})


def _rows(values: Callable[[str, str, str], np.ndarray], title: str, label: str, language: str) -> tuple[Figure, str]:
    """A row for each activation, without BN and with it: u in ink above Wu in the colour of its network."""
    _, axes = words(language), panel(title, language, (3.8, 3.2))
    for row, (kind, network) in enumerate(ROWS):
        _mark(axes, values(kind, network, "u"), row - _APART, INK, "s")
        _mark(axes, values(kind, network, "wu"), row + _APART, COLOUR[network], "o")
    for name, marker, colour in (("u", "s", INK), ("Wu", "o", QUIET)):
        axes.plot([], [], linestyle="none", marker=marker, color=colour, label=name)
    axes.set_yticks(range(len(ROWS)), [_row_name(*row, language) for row in ROWS])
    axes.set(ylim=(len(ROWS) - 0.5, -0.5), xscale="log", xlabel=label)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    legend_below(axes, language)
    said = (
        f"{_row_name(*row, language)} "
        + _.listed([f"{of} {_geometric(values(*row, of.lower()))}" for of in ("u", "Wu")])
        for row in ROWS
    )
    return axes.figure, f"{title}: " + _.listed([*said], ";")


def _mark(axes: Axes, of_seeds: np.ndarray, height: float, colour: str, marker: str) -> None:
    """The seeds and their geometric mean with its interval."""
    mean = statistics.ratio(of_seeds, np.ones(len(of_seeds)))
    axes.plot(of_seeds, np.full(len(of_seeds), height), ".", color=colour, markersize=4, alpha=0.5)
    axes.hlines(height, mean.low, mean.high, color=colour, linewidth=1.6)
    axes.plot([mean.value], [height], marker, color=colour, markersize=6)


def _geometric(of_seeds: np.ndarray) -> str:
    return number(statistics.ratio(of_seeds, np.ones(len(of_seeds))).value)
