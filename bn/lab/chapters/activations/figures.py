"""The figures of section 4.1: Figure 1 at two settings, all units, the drift, and the gap of moving averages."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bn.lab.chapters.activations.distributions import PAIRS
from bn.lab.chapters.activations.estimates import TARGET, final, look_gaps, stability, steps_to_target
from bn.lab.chapters.activations.record import NETWORKS
from bn.lab.judge import statistics
from bn.lab.show import numbers, speech
from bn.lab.show.numbers import number, percent
from bn.lab.show.style import COLOURS, INK, LINES, QUIET, Drawing, legend, panel, short, steps_axis, styled
from bn.lab.show.words import N_, words
from bn.lab.store import claims

NAMES = {"plain": N_("plain"), "bn": N_("with BN")}
# The same setting for both networks, and each at the best of its own grid: by the part of the record.
SETTINGS = {"figure1": N_("The same setting"), "tuned": N_("Each at its own best")}


def figure1(record: dict, language: str) -> Drawing:
    """Figure 1 (a), (b), (c): accuracy, and the input of a typical sigmoid without and with BN."""
    return _three_panels(record["figure1"], language)


def figure1_tuned(record: dict, language: str) -> Drawing:
    """The same with each network at its own best setting."""
    return _three_panels(record["tuned"], language)


def _three_panels(networks: Mapping, language: str) -> Drawing:
    _ = words(language)
    titles = {"plain": _("(b) Without BN"), "bn": _("(c) With BN")}
    with styled():
        accuracy = _accuracy(networks, _("(a) Test accuracy"), language), _accuracy_alt(networks, language)
        panels = accuracy, *_inputs(networks, "unit_percentiles", titles, language)
    return Drawing(panels, _figure1_title(networks, language), _figure1_note(networks, language))


def _figure1_title(networks: Mapping, language: str) -> str:
    _, mean = words(language), {name: np.mean(steps_to_target(networks[name])) for name in NETWORKS}
    target = percent(TARGET, 0)
    if not np.isfinite(mean["bn"]):
        return _("Too short a run: neither network reaches {target} in all seeds.").format(target=target)
    bn = speech.steps(round(mean["bn"]), language)
    if not np.isfinite(mean["plain"]):
        sentence = _("BN reaches {target} after {bn}; the plain network does not in all seeds.")
        return sentence.format(target=target, bn=bn)
    sentence = _("BN reaches {target} after {bn}, the plain network after {plain}.")
    return sentence.format(target=target, bn=bn, plain=number(round(mean["plain"])))


def _figure1_note(networks: Mapping, language: str) -> str:
    _ = words(language)
    sentence = _(
        "(a) Mean over seeds with its 95% interval, at evaluations {every} apart. (b, c) The 15th, 50th and 85th "
        "percentiles of the input of unit {plain_unit} (plain) and unit {bn_unit} (BN) of the last hidden layer in "
        "training mode, seed {seed}: the units whose drift is nearest to their layer's median. {setting}"
    )
    plain_unit, bn_unit = (number(networks[name]["unit"]["index"]) for name in NETWORKS)
    seed, setting = numbers.left_to_right(networks["plain"]["unit"]["seed"]), said(networks, language)
    every = speech.steps(networks["plain"]["steps"][1], language)
    return sentence.format(every=every, plain_unit=plain_unit, bn_unit=bn_unit, seed=seed, setting=setting)


def said(networks: Mapping, language: str) -> str:
    """The rate and the deviation of the first weights of both networks, as a sentence."""
    _ = words(language)
    rates, stds = ([number(networks[name][key]) for name in NETWORKS] for key in ("learning_rate", "weight_std"))
    if rates[0] == rates[1] and stds[0] == stds[1]:
        return _("Rate {rate}, first weights of standard deviation {std}.").format(rate=rates[0], std=stds[0])
    sentence = _(
        "Rate {rate} and first weights of standard deviation {std} without BN, {bn_rate} and {bn_std} with BN."
    )
    return sentence.format(rate=rates[0], std=stds[0], bn_rate=rates[1], bn_std=stds[1])


def all_units(record: dict, language: str) -> Drawing:
    """The same percentiles over all units of the last hidden layer together."""
    _, networks = words(language), record["figure1"]
    titles = {"plain": _("All units, without BN"), "bn": _("All units, with BN")}
    with styled():
        panels = _inputs(networks, "pooled_percentiles", titles, language)
    plain, bn = (number(np.array(networks[name]["pooled_percentiles"], float)[-1, 1]) for name in NETWORKS)
    sentence = _("Over all units, the median input ends at {plain} without BN and at {bn} with it.")
    note = _("The 15th, 50th and 85th percentiles over all 100 units together in training mode, mean over seeds.")
    return Drawing(panels, sentence.format(plain=plain, bn=bn), f"{note} {said(networks, language)}")


def _accuracy(networks: Mapping, title: str, language: str) -> Figure:
    """Mean over seeds with its 95% interval, on the paper's axis from 0.7 where the run gets that far."""
    _, axes = words(language), panel(title, language)
    for name in NETWORKS:
        steps, style = networks[name]["steps"], {"color": COLOURS[name], "linestyle": LINES[name]}
        mean, low, high = statistics.mean_curve(networks[name]["test"], bounds=(0, 1))
        axes.plot(steps, mean, label=_(NAMES[name]), **style)
        if len(networks[name]["test"]) > 1:
            axes.fill_between(steps, low, high, color=COLOURS[name], alpha=0.2, linewidth=0)
    far = min(final(seed) for name in NETWORKS for seed in networks[name]["test"]) > 0.7
    axes.set(ylim=(0.7, 1) if far else (0, 1), ylabel=_("test accuracy"))
    steps_axis(axes, networks["plain"]["steps"], _("training step"))
    legend(axes, language, "lower right")
    return axes.figure


def _accuracy_alt(networks: Mapping, language: str) -> str:
    _ = words(language)
    finals = {name: np.mean([final(seed) for seed in networks[name]["test"]]) for name in NETWORKS}
    return _("test accuracy") + ": " + _.listed([f"{_(NAMES[name])} {value:.3f}" for name, value in finals.items()])


def _inputs(networks: Mapping, of: str, titles: dict[str, str], language: str) -> tuple[tuple[Figure, str], ...]:
    """For each network the 15th, 50th and 85th percentile over training, on one symmetric axis."""
    _, panels, values = words(language), [], {name: np.array(networks[name][of], float).T for name in titles}
    largest = 1.05 * max(np.nanmax(abs(curves)) for curves in values.values())
    for name, title in titles.items():
        axes = panel(title, language)
        _percentiles(axes, networks[name]["steps"], values[name], COLOURS[name])
        axes.set(ylim=(-largest, largest), ylabel=_("input of the sigmoid"))
        steps_axis(axes, networks[name]["steps"], _("training step"))
        panels.append((axes.figure, f"{title}: " + _("input of the sigmoid")))
    return tuple(panels)


def _percentiles(axes: Axes, steps: list, values: np.ndarray, colour: str) -> None:
    """Three curves (3, E), the median drawn stronger."""
    low, median, high = values
    axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
    for curve, width in ((low, 1.0), (median, 1.9), (high, 1.0)):
        axes.plot(steps, curve, color=colour, linewidth=width)


def drift(record: dict, language: str) -> Drawing:
    """How far the distribution of the median unit's input moves between two looks, over training, at both settings."""
    _, panels = words(language), []
    values = {
        (part, name): np.array(record[part][name]["drift_by_look"], float) for part in SETTINGS for name in NETWORKS
    }
    with styled():
        for part, title in SETTINGS.items():
            axes = panel(_(title), language)
            for name in NETWORKS:
                ends = np.linspace(0, record[part][name]["steps"][-1], PAIRS + 1)[1:]
                _band(axes, ends, values[part, name], name, _(NAMES[name]))
            axes.set(yscale="log", ylabel=_("distance (standard deviations)"))
            steps_axis(axes, record[part]["plain"]["steps"], _("training step"))
            legend(axes, language, "upper right")
            panels.append((axes.figure, f"{_(title)}: " + _("distance (standard deviations)")))
    _same_limits([figure.axes[0] for figure, _alt in panels])
    return Drawing(tuple(panels), _drift_title(record, language), _drift_note(record, language))


def _drift_title(record: dict, language: str) -> str:
    ratios = {part: stability(record, part)["drift_ratio"] for part in SETTINGS}
    _ = words(language)
    sentence = _(
        "With BN the input of a unit moves {figure1} times as far between two looks as without it at the same "
        "setting, and {tuned} times as far with each network at its own best."
    )
    return sentence.format(**{part: number(ratio.value) for part, ratio in ratios.items()})


def _drift_note(record: dict, language: str) -> str:
    _ = words(language)
    sentence = _(
        "Wasserstein-1 distance of the distributions of a unit's input a tenth of the training apart, in pooled "
        "standard deviations: the median of the 100 units, geometric mean over seeds with its 95% interval. The same "
        "setting: {same} Each at its own best: {best} The ratio is of the whole training; without its first tenth, in "
        "which the networks leave their first weights, it is {figure1} and {tuned}."
    )
    later = {part: numbers.with_interval(stability(record, part)["later_ratio"], 2) for part in SETTINGS}
    return sentence.format(same=said(record["figure1"], language), best=said(record["tuned"], language), **later)


def _band(axes: Axes, x: np.ndarray, values: np.ndarray, name: str, label: str) -> None:
    """Geometric mean over seeds (seeds, points) with its 95% interval, marked at each point."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, low, high = np.exp(statistics.mean_curve(np.log(values)))
    axes.plot(x, mean, color=COLOURS[name], linestyle=LINES[name], marker="o", markersize=4, label=label)
    axes.fill_between(x, low, high, color=COLOURS[name], alpha=0.2, linewidth=0)


def _same_limits(axes: list[Axes]) -> None:
    """One vertical axis for panels that are compared."""
    low, high = zip(*(one.get_ylim() for one in axes), strict=True)
    for one in axes:
        one.set_ylim(min(low), max(high))


def moving_averages(record: dict, language: str) -> Drawing:
    """Test accuracy by moving averages less that by the statistics of the population, over training, by momentum."""
    _, network = words(language), record["figure1"]["bn"]
    limit = next(line.limit for line in claims.ledger()["moving-averages"].rule)
    gaps = [look_gaps(network, k) for k in range(len(network["momenta"]))]
    title = _("Gap of the moving averages")
    with styled():
        axes = panel(title, language)
        axes.axhspan(-limit, limit, color=QUIET, alpha=0.15, linewidth=0)
        axes.axhline(0, color=INK, linewidth=0.8)
        styles = ({"linestyle": "-", "marker": "o"}, {"linestyle": (0, (4, 1.5)), "marker": "s"})
        for momentum, gap, style in zip(network["momenta"], gaps, styles, strict=True):
            mean, low, high = statistics.mean_curve(gap)
            label = _("momentum {number}").format(number=number(momentum))
            axes.plot(network["look_steps"], mean, color=COLOURS["bn"], markersize=4, label=label, **style)
            axes.fill_between(network["look_steps"], low, high, color=COLOURS["bn"], alpha=0.15, linewidth=0)
        axes.set_yscale("symlog", linthresh=1)  # straight up to a point: early gaps are of another size
        axes.yaxis.set_major_formatter(FuncFormatter(short))
        axes.set(ylabel=_("percentage points"))
        steps_axis(axes, network["steps"], _("training step"))
        legend(axes, language, "best")
    note = _(
        "Test accuracy of the network with BN by moving averages less that by Algorithm 2's averages over one epoch, "
        "mean over seeds with its 95% interval; shaded, the ±{limit} points of the rule. {setting}"
    ).format(limit=number(limit), setting=said(record["figure1"], language))
    return Drawing(((axes.figure, title),), _gap_title(network, gaps, language), note)


def _gap_title(network: Mapping, gaps: list[np.ndarray], language: str) -> str:
    """How far the means lie from 0 at most and at the end, by the first momentum."""
    mean = gaps[0].mean(0)
    at = int(abs(mean).argmax())
    _ = words(language)
    sentence = _(
        "With momentum {momentum} moving averages are off by {most} percentage points at the most, after {steps}, and "
        "by {end} at the end."
    )
    steps = speech.steps(network["look_steps"][at], language)
    momentum = number(network["momenta"][0])
    return sentence.format(momentum=momentum, most=numbers.signed(mean[at]), steps=steps, end=numbers.signed(mean[-1]))
