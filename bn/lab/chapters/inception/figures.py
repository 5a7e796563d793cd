"""The tables and figures of notebook 07: Figure 5 again beside what is built from it, what it costs, and a trial."""

import numpy as np
from IPython.display import HTML
from matplotlib import rc_context
from matplotlib.axes import Axes

from bn.lab.judge import claims
from bn.lab.show import html as show
from bn.lab.show.figures import _STYLE, COLOURS, LINES, Drawing, _panel, number, percent
from bn.lab.train.inception import FIGURE_5, Row
from bn.lab.chapters.inception.counts import PAPER_GROWTH, PAPER_PARAMETERS, READINGS
from bn.lab.show.text import TITLES, pick, words

_QUANTITIES = (("parameters", 1e6, "millions of parameters"), ("multiply_adds", 1e9, "billions of multiply-adds"))


def table(record: dict, language: str) -> HTML:
    """Figure 5 again: every number as printed, and beside it, marked, what the built network has instead."""
    word, three = words(language), number("3×3")
    head = [word(key) for key in ("row", "patch", "output", "depth")]
    head += [number("1×1"), word("reduce").format(three), three, word("double reduce").format(three)]
    head += [word("double").format(three), word("pool + proj")]
    built = {row["name"]: row for row in record["rows"]}
    return show.table(head, [_cells(row, built[row.name], language) for row in FIGURE_5], record, language)


def _cells(row: Row, built: dict, language: str) -> list[str]:
    word = words(language)
    kind = word(row.kind).format(number(row.name))
    patch = number(f"{row.patch}×{row.patch}/{row.stride}") if row.patch else ""
    if row.kind == "inception" and row.stride > 1:
        patch = word("stride").format(number(row.stride))
    channels, height, width = built["shape"]
    pairs = [(f"{row.grid}×{row.grid}×{row.channels}", f"{height}×{width}×{channels}"), (row.depth, built["depth"])]
    cells = [kind, patch]
    for printed, counted in pairs:
        differs = "" if counted == printed else f" <mark>{word('built')} {number(counted)}</mark>"
        cells.append(number(printed) + differs)
    branches = (row.one, row.three_reduce, row.three, row.double_reduce, row.double)
    if row.kind == "inception":
        cells += [number(width) for width in branches]
        cells.append(f"{word(row.pool)} + {number(row.proj) if row.proj else word('pass through')}")
    else:
        cells += [number(width) if width else "" for width in branches] + [""]
    return cells


def trials(record: dict, language: str) -> HTML:
    """A narrow network without and with BN: its size, its loss over a few steps, and how far the gradient gets."""
    word, steps = words(language), number(record["asked"]["steps"])
    head = [word(key) for key in ("network", "parameters", "multiply_adds", "loss before")]
    head += [word("loss after").format(steps), word("reached")]
    lines = []
    for name, found in record["trials"].items():
        losses = [claims.mean_with_interval([trial[when] for trial in found]) for when in ("before", "after")]
        cells = [word(name), number(found[0]["parameters"]), number(found[0]["multiply_adds"])]
        cells += [show._with_interval(loss, 2) for loss in losses]
        lines.append([*cells, percent(min(trial["reached"] for trial in found))])
    size = show.text(f"<small>{show._size(record, language)}</small>", language)
    return HTML(show.table(head, lines, record, language).data + size.data)


def rows(record: dict, language: str) -> Drawing:
    """Parameters and multiply-adds of every row that has any."""
    word, counted = words(language), [row for row in record["rows"] if row["parameters"]]
    names = [row["name"] for row in counted]
    panels, shares = [], {}
    with rc_context(fname=_STYLE):
        for quantity, unit, label in _QUANTITIES:
            values = np.array([row[quantity] for row in counted]) / unit
            axes = _panel(word(quantity), language)
            _bars(axes, names, values, [COLOURS["bn"]] * len(names), "edge")
            axes.set(xlabel=word(label))
            panels.append((axes.figure, f"{word(quantity)}: " + ", ".join(_pairs(names, values))))
            for place, part in (("early", names[: names.index("4a")]), ("late", ("5a", "5b"))):
                share = sum(values[names.index(name)] for name in part) / values.sum()
                shares[f"{place}_{quantity}"] = percent(share)
    title = pick(TITLES["inception rows"], language).format(**shares)
    return Drawing(tuple(panels), title, pick(TITLES["inception rows note"], language), trained=False)


def readings(record: dict, language: str) -> Drawing:
    """Parameters and multiply-adds of each reading of the paper's network, beside what the paper says."""
    word, totals = words(language), record["totals"]
    names = [word(name) for name in totals]
    colours = [COLOURS["bn" if READINGS[name].get("batch_norm", True) else "plain"] for name in totals]
    googlenet, panels = totals["googlenet"], []
    lines = {"parameters": [PAPER_PARAMETERS], "multiply_adds": []}
    with rc_context(fname=_STYLE):
        for quantity, unit, label in _QUANTITIES:
            values = np.array([reading[quantity] for reading in totals.values()]) / unit
            axes = _panel(word(quantity), language)
            _bars(axes, names, values, colours, "center")  # where no dashed line crosses them
            grown = googlenet[quantity] * (1 + PAPER_GROWTH[quantity] / 100)
            for value in (grown, *lines[quantity]):
                axes.axvline(value / unit, color="#010203", linestyle=LINES["plain"], linewidth=1, alpha=0.6)
            axes.set(xlabel=word(label))
            panels.append((axes.figure, f"{word(quantity)}: " + ", ".join(_pairs(names, values))))
    most = max(reading["parameters"] for name, reading in totals.items() if not name.endswith("5x5")) / 1e6
    numbers = {"most": number(f"{most:.2f}"), "printed": number(f"{PAPER_PARAMETERS / 1e6:.1f}")}
    growth = {f"{name}_growth": number(f"{value}%") for name, value in PAPER_GROWTH.items()}
    note = pick(TITLES["inception readings note"], language).format(**numbers, **growth)
    return Drawing(tuple(panels), pick(TITLES["inception readings"], language).format(**numbers), note, trained=False)


def _bars(axes: Axes, names: list[str], values: np.ndarray, colours: list[str], labels: str) -> None:
    """One bar below the other, in the order of the network, each with its value at its "edge" or "center"."""
    bars = axes.barh(range(len(names)), values, color=colours, height=0.7)
    axes.bar_label(
        bars, [f"{value:.2f}" for value in values], label_type=labels, padding=3 * (labels == "edge"), fontsize=8
    )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.margins(x=0.14)
    axes.tick_params(axis="y", length=0)


def _pairs(names: list[str], values: np.ndarray) -> list[str]:
    return [f"{name} {value:.2f}" for name, value in zip(names, values, strict=True)]
