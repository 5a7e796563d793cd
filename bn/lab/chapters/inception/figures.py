"""The tables and figures of notebook 07: Figure 5 again beside what is built from it, what it costs, and a trial."""

from collections.abc import Iterator, Mapping

import numpy as np
from IPython.display import HTML
from markupsafe import Markup
from matplotlib.axes import Axes

from bn.lab import architectures, paper
from bn.lab.architectures import Row
from bn.lab.chapters.inception.counts import READINGS
from bn.lab.chapters.inception.record import NETWORKS
from bn.lab.judge import statistics
from bn.lab.show import html, numbers, speech
from bn.lab.show.numbers import number, pair, percent
from bn.lab.show.style import COLOURS, INK, LINES, Drawing, panel, styled
from bn.lab.show.words import N_, Words, words

KINDS = {
    "convolution": N_("convolution"),
    "max pool": N_("max pool"),
    "avg pool": N_("avg pool"),
    "inception": N_("inception {name}"),
}
POOLS = {"avg": N_("avg"), "max": N_("max")}
NAMES = {"plain": N_("plain"), "bn": N_("with BN")}
READING_NAMES = {
    "googlenet": N_("GoogLeNet"),
    "googlenet double": N_("GoogLeNet, 3×3 twice"),
    "figure 5 with 5x5": N_("Figure 5 with 5×5"),
    "narrowed": N_("Figure 5, 576 channels"),
    "figure 5": N_("Figure 5"),
    "figure 5 bn": N_("Figure 5, BN"),
    "figure 5 separable": N_("Figure 5, BN, separable"),
}
# What is counted: its title, the unit of the axis, and what that is called.
QUANTITIES = {
    "parameters": (N_("Parameters"), 1e6, N_("millions")),
    "multiply_adds": (N_("Multiply-adds an image"), 1e9, N_("billions")),
}


def table(record: dict, language: str) -> HTML:
    """Figure 5 again: every number as printed, and beside it, marked, what the built network has instead."""
    _, three = words(language), pair(3, 3)
    head = [_("Row"), _("Patch / stride"), _("Output"), _("Depth"), pair(1, 1)]
    head += [_("{size} reduce").format(size=three), three, _("double {size} reduce").format(size=three)]
    head += [_("double {size}").format(size=three), _("pool + proj")]
    built = {row["name"]: row for row in record["rows"]}
    rows = [[*_sizes(row, built[row.name], _), *_branches(row, _)] for row in architectures.FIGURE_5]
    return html.table(head, rows, record, language)


def _sizes(row: Row, built: Mapping, _: Words) -> list[str]:
    """The first four cells of a row: what it is, its patch and stride, its output and its depth."""
    patch = number(f"{row.patch}×{row.patch}/{row.stride}") if row.patch else ""
    if row.kind == "inception" and row.stride > 1:
        patch = _("stride {stride}").format(stride=number(row.stride))
    channels, height, width = built["shape"]
    output = _cell(f"{row.grid}×{row.grid}×{row.channels}", f"{height}×{width}×{channels}", _)
    return [_(KINDS[row.kind]).format(name=number(row.name)), patch, output, _cell(row.depth, built["depth"], _)]


def _cell(printed: object, built: object, _: Words) -> str:
    """What is printed, and behind it what is built where that is something else."""
    if built == printed:
        return number(printed)
    return Markup("{} <mark>{}</mark>").format(number(printed), _("built: {value}").format(value=number(built)))


def _branches(row: Row, _: Words) -> list[str]:
    """The widths of a row's branches; a module says 0 where it has none, and what its pool hands on."""
    is_module = row.kind == "inception"
    widths = row.one, row.three_reduce, row.three, row.double_reduce, row.double
    projection = number(row.proj) if row.proj else _("pass through")
    last = f"{_(POOLS[row.pool])} + {projection}" if is_module else ""
    return [*(number(width) if width or is_module else "" for width in widths), last]


def trials(record: dict, language: str) -> HTML:
    """A narrow network without and with BN: its size, its loss over a few steps, and how far the gradient gets."""
    _, rows = words(language), []
    head = [_("Network"), _("Parameters"), _("Multiply-adds an image"), _("Loss at the start")]
    head += [_("Loss after {steps}").format(steps=speech.steps(record["asked"]["steps"], language))]
    for name in NETWORKS:
        of_seeds = record["trials"][name]
        sizes = [number(of_seeds[0][quantity]) for quantity in QUANTITIES]
        losses = [statistics.mean([trial[when] for trial in of_seeds]) for when in ("before", "after")]
        reached = percent(min(trial["reached"] for trial in of_seeds))
        rows.append([_(NAMES[name]), *sizes, *(numbers.with_interval(loss, 2) for loss in losses), reached])
    note = speech.size(record, language)
    return html.table([*head, _("Reached by the gradient")], rows, record, language, note=note)


def rows(record: dict, language: str) -> Drawing:
    """Parameters and multiply-adds of every row that has any."""
    _, counted = words(language), [row for row in record["rows"] if row["parameters"]]
    names, panels = [row["name"] for row in counted], []
    with styled():
        for axes, quantity, title, unit in _panels(language):
            values = np.array([row[quantity] for row in counted]) / unit
            _bars(axes, names, values, [COLOURS["bn"]] * len(names), "edge")
            panels.append((axes.figure, _alt(title, names, values)))
    note = _("The network of Figure 5 at full size, with BN. Rows without parameters are left out.")
    return Drawing(tuple(panels), _rows_title(counted, language), note, trained=False)


def _rows_title(counted: list[dict], language: str) -> str:
    _ = words(language)
    sentence = _(
        "Modules 5a and 5b hold {late_parameters} of the parameters and do {late_multiply_adds} of the work; "
        "everything before 4a holds {early_parameters} and does {early_multiply_adds}."
    )
    names = [row["name"] for row in counted]
    parts, shares = {"early": names[: names.index("4a")], "late": ("5a", "5b")}, {}
    for quantity in QUANTITIES:
        whole = sum(row[quantity] for row in counted)
        for place, part in parts.items():
            share = sum(row[quantity] for row in counted if row["name"] in part) / whole
            shares[f"{place}_{quantity}"] = percent(share)
    return sentence.format(**shares)


def readings(record: dict, language: str) -> Drawing:
    """Parameters and multiply-adds of each reading of the paper's network, beside what the paper says."""
    _, totals = words(language), record["totals"]
    names = [_(READING_NAMES[name]) for name in totals]
    colours = [COLOURS["bn" if READINGS[name].get("batch_norm", True) else "plain"] for name in totals]
    panels = []
    with styled():
        for axes, quantity, title, unit in _panels(language):
            values = np.array([reading[quantity] for reading in totals.values()]) / unit
            _bars(axes, names, values, colours, "center")  # where no dashed line crosses them
            for value in _papers(quantity, totals["googlenet"]):
                axes.axvline(value / unit, color=INK, linestyle=LINES["plain"], linewidth=1, alpha=0.6)
            panels.append((axes.figure, _alt(title, names, values)))
    most = max(reading["parameters"] for name, reading in totals.items() if not name.endswith("5x5")) / 1e6
    sentence = _("No reading of Figure 5 comes to {printed} million parameters: the largest has {most}.")
    title = sentence.format(printed=_printed(), most=number(f"{most:.2f}"))
    return Drawing(tuple(panels), title, _readings_note(language), trained=False)


def _papers(quantity: str, googlenet: Mapping) -> list[float]:
    """What the paper says of a quantity: of GoogLeNet so many percent more, and of the parameters their number too."""
    grown = googlenet[quantity] * (1 + paper.GROWTH[quantity] / 100)
    return [grown, paper.INCEPTION_PARAMETERS] if quantity == "parameters" else [grown]


def _printed() -> str:
    return number(f"{paper.INCEPTION_PARAMETERS / 1e6:.1f}")


def _readings_note(language: str) -> str:
    _ = words(language)
    sentence = _(
        "Dashed: {printed} million parameters; and GoogLeNet with {parameters_growth} more parameters, "
        "{multiply_adds_growth} more multiply-adds, as the appendix says. Blue: with BN."
    )
    growth = {f"{name}_growth": percent(value / 100, 0) for name, value in paper.GROWTH.items()}
    return sentence.format(printed=_printed(), **growth)


def _panels(language: str) -> Iterator[tuple[Axes, str, str, float]]:
    """For each quantity the axes of a new panel, its name, its title and its unit."""
    _ = words(language)
    for quantity, (title, unit, label) in QUANTITIES.items():
        axes = panel(_(title), language)
        axes.set(xlabel=_(label))
        yield axes, quantity, _(title), unit


def _bars(axes: Axes, names: list[str], values: np.ndarray, colours: list[str], labels: str) -> None:
    """One bar below the other, in the order of the network, each with its value at its "edge" or "center"."""
    bars = axes.barh(range(len(names)), values, color=colours, height=0.7)
    style = {"label_type": labels, "padding": 3 * (labels == "edge"), "fontsize": 8}
    axes.bar_label(bars, [f"{value:.2f}" for value in values], **style)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.margins(x=0.14)
    axes.tick_params(axis="y", length=0)


def _alt(title: str, names: list[str], values: np.ndarray) -> str:
    return f"{title}: " + ", ".join(f"{name} {value:.2f}" for name, value in zip(names, values, strict=True))
