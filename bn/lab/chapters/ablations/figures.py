"""The figure and the tables of notebook 09: each of the seven changes of section 4.2.1, alone and left out."""

import math

import numpy as np
from IPython.display import HTML
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bn.lab.chapters.ablations import estimates
from bn.lab.judge import curves, statistics
from bn.lab.judge.statistics import Estimate
from bn.lab.show import html, numbers, seeds, speech
from bn.lab.show.numbers import bare, isolated, left_to_right, number, percent, signed
from bn.lab.show.style import COLOURS, INK, QUIET, Drawing, panel, styled
from bn.lab.show.words import N_, words
from bn.lab.train.recipes import CHANGES

PARTS = ("alone", "left_out")
NAMES = {
    "rate": N_("Learning rate"),
    "dropout": N_("Dropout"),
    "l2": N_("Weight of the L2 loss"),
    "decay": N_("Decay of the rate"),
    "lrn": N_("LRN"),
    "shuffling": N_("Within-shard shuffling"),
    "distortion": N_("Photometric distortion"),
}
_PANELS = {"alone": N_("(a) Alone: added to BN-Baseline"), "left_out": N_("(b) Left out: lost by BN-x5")}
_FIELDS = {"rate": "learning_rate", "decay": "halflife", "shuffling": "shuffled"}  # others are called as the change


def changes(record: dict, language: str) -> Drawing:
    """What each change adds to BN-Baseline alone, and what BN-x5 loses without it: to the right it helps."""
    gains = {part: {change: estimates.gains(record, part, change) for change in CHANGES} for part in PARTS}
    limits = _limits([gain for of_part in gains.values() for gain in of_part.values()])
    with styled():
        panels = tuple(_changes(record, part, gains[part], limits, language) for part in PARTS)
    return Drawing(panels, _title(gains, language), _note(record, language))


def table(record: dict, language: str) -> HTML:
    """For each change, alone and left out: final test accuracy, and the steps to Inception's best accuracy."""
    _, networks = words(language), record["networks"]
    head = [_("Change"), _("Alone: accuracy, %"), _("Alone: steps")]
    head += [_("Left out: accuracy, %"), _("Left out: steps")]
    compared = [_("For comparison")]
    for name, network in (("BN-Baseline", "bn_baseline"), ("BN-x5", "bn_x5")):
        accuracy, steps = _measured(networks[network], record, language)
        compared += [f"{isolated(name)}: {accuracy}", steps]
    rows = [compared]
    for change in CHANGES:
        name = Markup("{}<br><small>{}</small>").format(_(NAMES[change]), how(record, change, language))
        rows.append([name] + [cell for part in PARTS for cell in _measured(record[part][change], record, language)])
    note = _(
        "Accuracy: final, on test images. Steps: to Inception's best accuracy on validation images, {target}. Both "
        "are means over seeds with their 95% intervals. All take as many steps."
    ).format(target=percent(curves.target(record)))
    return html.table(head, rows, record, language, note=f"{speech.size(record, language)} {note}")


def shuffling(record: dict, language: str) -> HTML:
    """What shuffling gives with BN, beside what it gives without."""
    _, judged = words(language), estimates.shuffling(record)
    alone = statistics.mean(estimates.gains(record, "alone", "shuffling"))
    gains = {"bn_x5": judged["change_gain"], "bn": alone, "plain": judged["plain_gain"]}
    gains |= {"more": judged["more_than_plain"]}
    sentence = _(
        "Points of final test accuracy that shuffling adds: {bn_x5} to BN-x5, {bn} to BN-Baseline, {plain} to the "
        "network without BN; the second less the third, {more}. In the paper, about one point with BN."
    )
    points = {name: signed(gain.value) + numbers.interval(gain, 2) for name, gain in gains.items()}
    return html.text(sentence.format(**points), language, small=speech.size(record, language))


def how(record: dict, change: str, language: str) -> str:
    """What a change does to the recipe, from what to what."""
    _, field = words(language), _FIELDS.get(change, change)
    before, after = (record["networks"][name]["recipe"][field] for name in ("bn_baseline", "bn_x5"))
    if change == "decay":  # in half-lives, of which one is a matter of the scale
        return _("{factor} times as fast").format(factor=number(float(before / after)))
    write = {"dropout": lambda v: f"{100 * v:.3g}%", "distortion": lambda v: f"±{100 * v:.3g}%"}.get(change, bare)
    if isinstance(before, bool):
        before, after = (_("yes") if value else _("no") for value in (before, after))
    else:
        before, after = (left_to_right(write(value)) for value in (before, after))
    return _("{before} → {after}").format(before=before, after=after)


def _changes(record: dict, part: str, gains: dict, limits: tuple[float, float], language: str) -> tuple[Figure, str]:
    """A row for each change."""
    _, labels = words(language), []
    title = _(_PANELS[part])
    axes = panel(title, language, (4.2, 4.0))
    for y, (change, gain) in enumerate(gains.items()):
        _row(axes, y, gain)
        ended = seeds.diverged(_ended(record, part, change), language)
        lines = [_(NAMES[change]), how(record, change, language), ended]
        labels.append("\n".join(filter(None, lines)))
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    axes.set_yticks(range(len(labels)), labels, fontsize=8.5)
    axes.set(xlim=limits, ylim=(len(labels) - 0.5, -0.5), xlabel=_("points of accuracy (right: it helps)"))
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    return axes.figure, f"{title}: {_alt(record, part, gains, language)}"


def _ended(record: dict, part: str, change: str) -> list[bool]:
    """For each seed, whether the network with the change diverged, or the one without it."""
    pair = map(curves.diverged, estimates.compared(record, part, change))
    return [any(both) for both in zip(*pair, strict=True)]


def _row(axes: Axes, y: int, gain: list[float]) -> None:
    """The mean and its interval, the seeds under it."""
    estimate = statistics.mean(gain)
    colour = COLOURS["bn"] if _clear(estimate) else QUIET
    axes.plot(gain, [y + 0.25] * len(gain), ".", color=QUIET, markersize=4, alpha=0.7)
    axes.plot(estimate.value, y, "o", color=colour, markersize=6)
    if math.isfinite(estimate.low):
        axes.hlines(y, estimate.low, estimate.high, color=colour, linewidth=1.6)


def _clear(estimate: Estimate) -> bool:
    """Whether the interval leaves out zero."""
    return estimate.low > 0 or estimate.high < 0


def _limits(gains: list[list[float]]) -> tuple[float, float]:
    """One axis for both panels: all seeds, and of an interval not more than twice the largest seed."""
    means = [statistics.mean(gain) for gain in gains]
    of_seeds = np.abs([value for gain in gains for value in gain if math.isfinite(value)]).max(initial=0)
    of_ends = np.abs([end for e in means for end in (e.low, e.high) if math.isfinite(end)]).max(initial=0)
    largest = max(of_seeds, min(of_ends, 2 * of_seeds)) or 1.0
    return -1.08 * largest, 1.08 * largest


def _alt(record: dict, part: str, gains: dict, language: str) -> str:
    _, points = words(language), {}
    for change, gain in gains.items():
        points[change] = seeds.diverged(_ended(record, part, change), language) or signed(np.mean(gain))
    return _.listed([f"{_(NAMES[change])} {text}" for change, text in points.items()])


def _title(gains: dict, language: str) -> str:
    """How many changes help and how many harm, and how many of them clearly."""
    _, counts = words(language), {"all": number(len(CHANGES))}
    for part in PARTS:
        means = [statistics.mean(gain) for gain in gains[part].values()]
        for name, sign in (("up", 1), ("down", -1)):
            moved = [e for e in means if sign * e.value > 0]
            counts[f"{part}_{name}"] = number(len(moved))
            counts[f"{part}_{name}_clear"] = number(sum(map(_clear, moved)))
    return _(
        "Made alone, {alone_up} of the {all} changes raise the accuracy ({alone_up_clear} clearly) and {alone_down} "
        "lower it ({alone_down_clear} clearly); made after all others, {left_out_up} raise it ({left_out_up_clear} "
        "clearly) and {left_out_down} lower it ({left_out_down_clear} clearly)."
    ).format(**counts)


def _note(record: dict, language: str) -> str:
    _ = words(language)
    note = _(
        "Dots: the seeds. Marks: their mean with its 95% interval, blue where it leaves out zero, which is what "
        "clearly means; an interval that is wider than the panel runs on; a network that diverged counts as chance. "
        "(a) BN-Baseline with one change, less BN-Baseline after as many steps. (b) BN-x5 less BN-x5 without the "
        "change."
    )
    shown = [record["networks"][name] for name in ("bn_baseline", "bn_x5")]
    shown += [network for part in PARTS for network in record[part].values()]
    ended = [hit for network in shown for hit in curves.diverged(network)]
    if any(ended):
        times = _("Of the {runs} runs behind the panels, {diverged} diverged.")
        note += " " + times.format(runs=number(len(ended)), diverged=number(sum(ended)))
    return note


def _measured(network: dict, record: dict, language: str) -> list[str]:
    """Final test accuracy in percent and the steps to Inception's best accuracy."""
    accuracy = seeds.mean([100 * share for share in curves.finals(network)], language, 1)
    return [accuracy, seeds.mean_steps(curves.steps_reaching(network, curves.target(record)), language)]
