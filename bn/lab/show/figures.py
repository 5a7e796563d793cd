"""The figures of the book: a function for each, from a record and a language to a drawing of one to three panels."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import seaborn as sns
from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from scipy import stats

from bn.lab.judge import claims
from bn.lab.show.text import TITLES, pick, words

COLOURS = {"plain": "#d0660a", "bn": "#2080c8"}
LINES = {"plain": (0, (4, 1.5)), "bn": "-"}
NETWORKS = ("plain", "bn")
_ENDS = {"often": 0, "seldom": 3}  # of the intervals of records: every evaluation, every tenth
_LIGHT = 47  # percent: from here on black has more contrast to cividis than white
_HERE = Path(__file__).parent
_STYLE = _HERE / "book.mplstyle"
for _font in sorted((_HERE / "fonts").glob("*.ttf")):
    font_manager.fontManager.addfont(_font)
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # Plex's bold is a 600, which is meant


@dataclass(frozen=True)
class Drawing:
    """Panels side by side, each with a text for who cannot see it; a title that says what is seen; a note."""

    panels: tuple[tuple[Figure, str], ...]
    title: str
    note: str
    trained: bool = True  # it shows trained networks, so the size of the run must stand beside it


def figure1(record: dict, language: str) -> Drawing:
    """Figure 1 (a), (b), (c): accuracy, and the input of a typical sigmoid without and with BN."""
    word, networks = words(language), record["figure1"]
    limits = _common_limits([networks[name]["unit_percentiles"] for name in NETWORKS])
    with rc_context(fname=_STYLE):
        accuracy = _panel(word("panel a"), language)
        _accuracy(accuracy, networks, language)
        panels = [(accuracy.figure, _accuracy_alt(networks, language))]
        for key, name in (("panel b", "plain"), ("panel c", "bn")):
            axes = _panel(word(key), language)
            _percentiles(axes, networks[name]["steps"], networks[name]["unit_percentiles"], name, limits, language)
            panels.append((axes.figure, f"{word(key)}: {word('sigmoid input')}"))
    return Drawing(tuple(panels), _figure1_title(networks, language), _figure1_note(networks, language))


def all_units(record: dict, language: str) -> Drawing:
    """The same percentiles over all units of the last hidden layer together."""
    word, networks = words(language), record["figure1"]
    limits = _common_limits([networks[name]["pooled_percentiles"] for name in NETWORKS])
    panels = []
    with rc_context(fname=_STYLE):
        for name in NETWORKS:
            axes = _panel(word(f"all {name}"), language)
            _percentiles(axes, networks[name]["steps"], networks[name]["pooled_percentiles"], name, limits, language)
            panels.append((axes.figure, f"{word(f'all {name}')}: {word('sigmoid input')}"))
    ends = {name: number(np.array(networks[name]["pooled_percentiles"], float)[-1, 1]) for name in NETWORKS}
    title = pick(TITLES["all_units"], language).format(**ends)
    return Drawing(tuple(panels), title, pick(TITLES["all_units note"], language).format(**_PERCENTILES))


def drift(record: dict, language: str) -> Drawing:
    """How far the median of each unit's input travels, and how that depends on how often one looks."""
    word, networks = words(language), record["figure1"]
    every = networks["plain"]["drift_every"]
    medians = {name: np.array(networks[name]["drift_by_interval"], float) for name in NETWORKS}
    with rc_context(fname=_STYLE):
        units = _panel(word("drift title"), language)
        looks = _panel(word("looks title"), language)
        for name in NETWORKS:
            style = {"color": COLOURS[name], "linestyle": LINES[name], "label": word(name)}
            sns.ecdfplot(np.array(networks[name]["drift"], float).ravel(), ax=units, **style)
            looks.plot(every, medians[name].mean(0), marker="o", markersize=4, **style)
        units.set(xlabel=word("drift"), ylabel=word("share of units"))
        looks.set(xlabel=word("interval"), ylabel=word("drift"), xscale="log", yscale="log", xticks=every)
        for axis in (looks.xaxis, looks.yaxis):
            axis.set_major_formatter(FuncFormatter(_short))
            axis.set_minor_formatter(NullFormatter())
        looks.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        _legend(units, language, "lower right")
        _legend(looks, language, "lower left")
    panels = ((units.figure, word("drift title")), (looks.figure, word("looks title")))
    found = {f"{name}_{end}": number(medians[name].mean(0)[k]) for name in NETWORKS for end, k in _ENDS.items()}
    found |= {end: number(every[k]) for end, k in _ENDS.items()}
    return Drawing(panels, pick(TITLES["drift"], language).format(**found), pick(TITLES["drift note"], language))


def grid(record: dict, language: str) -> Drawing:
    """Final test accuracy at every rate and every spread of the first weights, without and with BN."""
    word, table = words(language), record["grid"]
    shape = (len(table["rates"]), len(table["weight_stds"]))
    panels, passed = [], {}
    with rc_context(fname=_STYLE):
        for name in NETWORKS:
            accuracy = 100 * np.array(table[name], float).mean(1).reshape(shape)
            passed[name] = number(int((accuracy >= 100 * claims.TARGET).sum()))
            axes = _panel(word(f"grid {name}"), language)
            ticks = {"xticklabels": table["weight_stds"], "yticklabels": table["rates"]}
            sns.heatmap(accuracy, ax=axes, vmin=0, vmax=100, cmap="cividis", annot=True, fmt=".1f", cbar=False, **ticks)
            for text in axes.texts:  # seaborn's own white goes on to where it cannot be read
                text.set_color("white" if float(text.get_text()) < _LIGHT else "black")
            axes.set(xlabel=word("weight std"), ylabel=word("learning rate"))
            axes.grid(False)
            axes.tick_params(length=0, labelrotation=0)
            axes.invert_yaxis()
            panels.append((axes.figure, f"{word(f'grid {name}')}: {word('test accuracy')}"))
    numbers = {"steps": number(table["steps"]), "all": number(shape[0] * shape[1]), "target": number("95%")}
    title = pick(TITLES["grid"], language).format(**numbers, **passed)
    return Drawing(tuple(panels), title, pick(TITLES["grid note"], language).format(seeds=number(len(table["seeds"]))))


def tuned(record: dict, language: str) -> Drawing:
    """Accuracy at the same setting, and with each network at the best setting of its own grid."""
    word, panels = words(language), []
    with rc_context(fname=_STYLE):
        for key, part in (("same setting", "figure1"), ("own best", "tuned")):
            axes = _panel(word(key), language)
            _accuracy(axes, record[part], language)
            panels.append((axes.figure, f"{word(key)}: {_accuracy_alt(record[part], language)}"))
    finals = {name: percent(np.mean([claims.final(s) for s in record["tuned"][name]["test"]])) for name in NETWORKS}
    title = pick(TITLES["tuned"], language).format(**finals)
    return Drawing(tuple(panels), title, pick(TITLES["tuned note"], language).format(interval=number("95%")))


def sigmoid_regime(record: dict, language: str) -> Drawing:
    """A sigmoid and its best line under an input of variance 1 and of variance 25 (section 3)."""
    word, measured = words(language), record["measured"]["sigmoid-linear-regime"]
    x = np.linspace(-12, 12, 481)
    g, panels = 1 / (1 + np.exp(-x)), []
    with rc_context(fname=_STYLE):
        for key, std in (("unit normal", 1), ("wide normal", 5)):
            density = stats.norm.pdf(x, scale=std)
            slope = (density * x * g).sum() / (density * x * x).sum()
            axes = _panel(word(key), language)
            axes.fill_between(x, density / density.max() * 0.35, color=COLOURS["bn"], alpha=0.25, linewidth=0)
            axes.plot(x, 0.5 + slope * x, color=COLOURS["bn"], linestyle=LINES["plain"], label=word("best line"))
            axes.plot(x, g, color="#010203", label=word("sigmoid"))
            axes.set(ylim=(-0.05, 1.05), xlabel=word("x"))
            _legend(axes, language, "upper left")
            panels.append((axes.figure, f"{word(key)}: {word('sigmoid')}, {word('best line')}"))
    numbers = {"unit": percent(measured["r2_unit"][0]), "wide": percent(measured["r2_wide"][0])}
    title = pick(TITLES["sigmoid"], language).format(**numbers, one=number(1), many=number(25))
    return Drawing(tuple(panels), title, pick(TITLES["sigmoid note"], language), trained=False)


def number(value: object) -> str:
    """A number as HTML, kept left to right inside Arabic: three significant digits, or whole with commas."""
    if isinstance(value, float | np.floating):
        value = f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    elif isinstance(value, int | np.integer):
        value = f"{value:,}"
    return f"<bdi>{str(value).replace('-', '−')}</bdi>"


def percent(share: float) -> str:
    """A share as a percentage with one decimal."""
    return number(f"{100 * share:.1f}%")


_PERCENTILES = {"p15": number(15), "p50": number(50), "p85": number(85)}


def _panel(title: str, language: str) -> Axes:
    axes = Figure().subplots()
    axes.set_title(title, loc="right" if language == "ar" else "left")
    return axes


def _accuracy(axes: Axes, networks: dict, language: str) -> None:
    """Mean over seeds with its 95% interval, on the paper's axis from 0.7 where the run gets that far."""
    word = words(language)
    for name in NETWORKS:
        steps, test = networks[name]["steps"], np.array(networks[name]["test"], float)
        axes.plot(steps, test.mean(0), color=COLOURS[name], linestyle=LINES[name], label=word(name))
        if len(test) > 1:
            half = stats.t.ppf(0.975, len(test) - 1) * stats.sem(test, axis=0)
            low, high = test.mean(0) - half, np.minimum(test.mean(0) + half, 1)
            axes.fill_between(steps, low, high, color=COLOURS[name], alpha=0.2, linewidth=0)
    far = min(claims.final(seed) for name in NETWORKS for seed in networks[name]["test"]) > 0.7
    axes.set(ylim=(0.7, 1) if far else (0, 1), ylabel=word("test accuracy"))
    _steps_axis(axes, networks["plain"]["steps"], language)
    _legend(axes, language, "lower right")


def _percentiles(axes: Axes, steps: list, values: list, name: str, limits: tuple, language: str) -> None:
    """The 15th, 50th and 85th percentile over training, the median drawn stronger."""
    low, median, high = np.array(values, float).T
    axes.fill_between(steps, low, high, color=COLOURS[name], alpha=0.15, linewidth=0)
    for curve, width in ((low, 1.0), (median, 1.9), (high, 1.0)):
        axes.plot(steps, curve, color=COLOURS[name], linewidth=width)
    axes.set(ylim=limits, ylabel=words(language)("sigmoid input"))
    _steps_axis(axes, steps, language)


def _steps_axis(axes: Axes, steps: list, language: str) -> None:
    axes.set(xlim=(0, steps[-1]), xlabel=words(language)("training step"))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(_short))


def _short(value: float, _position: int) -> str:
    """A tick in the paper's manner: 10K for 10,000."""
    return f"{value / 1000:g}K" if value >= 1000 else f"{value:g}"


def _legend(axes: Axes, language: str, place: str) -> None:
    if language == "ar":
        axes.legend(loc=place, markerfirst=False, alignment="right")
    else:
        axes.legend(loc=place)


def _common_limits(curves: list) -> tuple[float, float]:
    """One symmetric axis for panels that are to be compared."""
    largest = max(np.nanmax(abs(np.array(curve, float))) for curve in curves)
    return -1.05 * largest, 1.05 * largest


def _accuracy_alt(networks: dict, language: str) -> str:
    word = words(language)
    finals = {name: np.mean([claims.final(seed) for seed in networks[name]["test"]]) for name in NETWORKS}
    return f"{word('test accuracy')}: " + ", ".join(f"{word(n)} {finals[n]:.3f}" for n in NETWORKS)


def _figure1_title(networks: dict, language: str) -> str:
    steps = {name: np.mean(claims.steps_to_target(networks[name])) for name in NETWORKS}
    reached = {name: bool(np.isfinite(steps[name])) for name in NETWORKS}
    key = "figure1" if all(reached.values()) else "figure1 never" if reached["bn"] else "figure1 neither"
    shown = {name: number(round(value)) if reached[name] else "" for name, value in steps.items()}
    return pick(TITLES[key], language).format(target=number("95%"), **shown)


def _figure1_note(networks: dict, language: str) -> str:
    units = {f"{name}_unit": number(networks[name]["unit"]["index"]) for name in NETWORKS}
    seed = number(networks["plain"]["unit"]["seed"])
    return pick(TITLES["figure1 note"], language).format(interval=number("95%"), seed=seed, **units, **_PERCENTILES)
