"""The figures of notebook 09: what each of the seven changes of section 4.2.1 gives. Its tables are in `tables`."""

import math
from itertools import chain

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bn.lab import paper
from bn.lab.chapters.ablations import estimates
from bn.lab.judge import curves, statistics
from bn.lab.judge.statistics import Estimate
from bn.lab.show import numbers, seeds, speech
from bn.lab.show.numbers import bare, left_to_right, number, signed
from bn.lab.show.style import COLOURS, INK, QUIET, Drawing, legend_below, panel, styled
from bn.lab.show.words import N_, words
from bn.lab.store import claims
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
_MADE = {  # what is done where a change is made
    "rate": N_("five times the rate"),
    "dropout": N_("no Dropout"),
    "l2": N_("a fifth of the L2 loss"),
    "decay": N_("faster decay of the rate"),
    "lrn": N_("no LRN"),
    "shuffling": N_("within-shard shuffling"),
    "distortion": N_("less photometric distortion"),
}
_PANELS = {"alone": N_("(a) Alone: added to BN-Baseline"), "left_out": N_("(b) Left out: lost by BN-x5")}
_GAPS = {"alone": N_("(a) Alone: BN-Baseline"), "left_out": N_("(b) After all others: BN-x5")}
_FIELDS = {"rate": "learning_rate", "decay": "halflife", "shuffling": "shuffled"}  # others are called as the change
_SIZE = (3.8, 4.2)  # inches of a panel: on a phone its smallest type has 11 pixels
_TICKS = (1, 3, 10, 30, 100)  # points; of a wide axis every other one


def result(record: dict, language: str) -> str:
    """What was found: which changes clearly raise the final accuracy of BN-x5, and which clearly lower it."""
    _ = words(language)
    sentence = _(
        "Made after all the others, these of the seven changes clearly raise the final test accuracy, in points: {up}. "
        "These clearly lower it: {down}."
    )
    return sentence.format(up=clearly(record, 1, language), down=clearly(record, -1, language))


def clearly(record: dict, sign: int, language: str) -> str:
    """The changes that clearly raise the final accuracy of BN-x5, or with -1 lower it, and by how much."""
    _ = words(language)
    means = {change: statistics.mean(estimates.gains(record, "left_out", change)) for change in CHANGES}
    moved = [change for change in _clear(means) if sign * means[change].value > 0]
    return _.listed([f"{_(_MADE[change])} {with_sign(means[change])}" for change in moved], ";") or _("none")


def changes(record: dict, language: str) -> Drawing:
    """What each change adds to BN-Baseline alone, and what BN-x5 loses without it: to the right it helps."""
    gains = {part: {change: estimates.gains(record, part, change) for change in CHANGES} for part in PARTS}
    limits = _limits([gain for of_part in gains.values() for gain in of_part.values()])
    with styled():
        panels = tuple(_changes(record, part, gains[part], limits, language) for part in PARTS)
    return Drawing(panels, _title(gains, language), _note(record, language))


def gaps(record: dict, language: str) -> Drawing:
    """By how much the accuracy on training images is above that on test images, with each change and without it."""
    _ = words(language)
    with styled():
        panels = tuple(_gaps(record, part, language) for part in PARTS)
    _same_width([figure.axes[0] for figure, _alt in panels])
    counts = {"all": number(len(CHANGES))}
    for part in PARTS:
        wider = {change: more_overfitting(record, part, change) for change in CHANGES}
        counts[f"{part}_up"] = number(sum(wider[change].value > 0 for change in _clear(wider)))
        counts[f"{part}_down"] = number(sum(wider[change].value < 0 for change in _clear(wider)))
    title = _(
        "The gap between training and test images is clearly widened by {alone_up} of the {all} changes made alone "
        "and narrowed by {alone_down}; made after all others, it is widened by {left_out_up} and narrowed by "
        "{left_out_down}."
    )
    note = _(
        "Accuracy on training images less that on test images, at the end of the training: mean over seeds with its "
        "95% interval; a network that diverged counts as chance on both. Clearly: zero is ruled out for the "
        "differences, seed by seed, when the seven are taken together (Holm's correction of their p-values)."
    )
    return Drawing(panels, title.format(**counts), f"{note} {times_seen(record, language)}")


def more_overfitting(record: dict, part: str, change: str) -> Estimate:
    """Points by which a change widens the gap between training and test images."""
    after, before = map(estimates.overfitting, estimates.compared(record, part, change))
    return statistics.mean([a - b for a, b in zip(after, before, strict=True)])


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


def times_seen(record: dict, language: str) -> str:
    """How often a network sees each training image: what shuffling, Dropout, L2 and distortion can act on."""
    _, used = words(language), record["training_images"]["used"]
    recipes = {name: record["networks"][name]["recipe"] for name in ("inception", "bn_x5")}
    times = {name: number(recipe["steps"] * recipe["batch"] / used) for name, recipe in recipes.items()}
    papers = paper.FIGURE_3["bn_x5"][0] * 1e6 * paper.BATCH / paper.TRAINING_IMAGES
    return _(
        "Each of the {used} training images is seen {bn_x5} times by these networks, and {inception} times by "
        "Inception, which sets the target; in the paper BN-x5 had seen each about {papers} times when it came to the "
        "accuracy of Inception."
    ).format(used=number(used), papers=number(round(papers)), **times)


def with_sign(gain: Estimate) -> str:
    """Points with their sign and interval."""
    return signed(gain.value) + numbers.interval(gain, 2)


def margin() -> float:
    """The loss in points that the rules allow to a change that need only do no harm."""
    rules = chain.from_iterable(claim.rule for claim in claims.of_chapter("ablations"))
    return max(-line.limit for line in rules if line.estimate == "change_gain")


def _changes(record: dict, part: str, gains: dict, limits: tuple[float, float], language: str) -> tuple[Figure, str]:
    """A row for each change."""
    _, labels = words(language), []
    title = _(_PANELS[part])
    axes = panel(title, language, _SIZE)
    clear = _clear({change: statistics.mean(gain) for change, gain in gains.items()})
    for y, (change, gain) in enumerate(gains.items()):
        _row(axes, y, gain, COLOURS["bn"] if change in clear else QUIET)
        ended = seeds.diverged(_ended(record, part, change), language)
        lines = [_(NAMES[change]), how(record, change, language), ended]
        labels.append("\n".join(filter(None, lines)))
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    for end in (-margin(), margin()):
        axes.axvline(end, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), alpha=0.55, zorder=1)
    _points_axis(axes, limits)
    _rows_axis(axes, labels)
    axes.set_xlabel(_("points of accuracy (right: it helps)"))
    return axes.figure, f"{title}: {_alt(record, part, gains, language)}"


def _points_axis(axes: Axes, limits: tuple[float, float]) -> None:
    """Linear to one point, so that the margin can be seen, and logarithmic beyond."""
    axes.set_xscale("symlog", linthresh=_TICKS[0])
    ticks = [tick for tick in _TICKS[:: 2 if limits[1] > _TICKS[2] else 1] if tick <= limits[1]]
    ticks = [*(-tick for tick in reversed(ticks)), 0, *ticks]
    axes.set_xticks(ticks, [f"{tick:+g}".replace("-", "−") if tick else "0" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(limits)


def _rows_axis(axes: Axes, labels: list[str]) -> None:
    """A row for each label, from the top."""
    axes.set_yticks(range(len(labels)), labels, fontsize=8.5)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)


def _ended(record: dict, part: str, change: str) -> list[bool]:
    """For each seed, whether the network with the change diverged, or the one without it."""
    pair = map(curves.diverged, estimates.compared(record, part, change))
    return [any(both) for both in zip(*pair, strict=True)]


def _row(axes: Axes, y: int, gain: list[float], colour: str) -> None:
    """The mean and its interval, the seeds under it."""
    axes.plot(gain, [y + 0.25] * len(gain), ".", color=QUIET, markersize=4, alpha=0.7)
    _mark(axes, y, statistics.mean(gain), colour)


def _mark(axes: Axes, y: float, estimate: Estimate, colour: str, **style) -> None:
    """A mean with its interval."""
    axes.plot(estimate.value, y, "o", color=colour, markersize=6, **style)
    if math.isfinite(estimate.low):
        axes.hlines(y, estimate.low, estimate.high, color=colour, linewidth=1.6)


def _gaps(record: dict, part: str, language: str) -> tuple[Figure, str]:
    """For each change two rows: the gap without it, and with it."""
    _, labels, alts = words(language), [], []
    title = _(_GAPS[part])
    axes = panel(title, language, _SIZE)
    for y, change in enumerate(CHANGES):
        pair = map(estimates.overfitting, estimates.compared(record, part, change))
        after, before = map(statistics.mean, pair)
        _mark(axes, y - 0.15, before, QUIET, fillstyle="none")
        _mark(axes, y + 0.15, after, COLOURS["bn"])
        labels.append(_(NAMES[change]))
        arrow = _("{before} → {after}").format(before=signed(before.value), after=signed(after.value))
        alts.append(f"{_(NAMES[change])} {arrow}")
    axes.plot([], [], "o", color=QUIET, fillstyle="none", label=_("without the change"))
    axes.plot([], [], "o", color=COLOURS["bn"], label=_("with it"))
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    _rows_axis(axes, labels)
    axes.set_xlabel(_("points of accuracy, training less test"))
    legend_below(axes, language)
    return axes.figure, f"{title}: {_.listed(alts, ';')}"


def _same_width(axes: list[Axes]) -> None:
    """The same points of accuracy in each panel."""
    ends = [axis.get_xlim() for axis in axes]
    for axis in axes:
        axis.set_xlim(min(low for low, _ in ends), max(high for _, high in ends))


def _clear(of_changes: dict[str, Estimate]) -> list[str]:
    """The changes whose estimate is not 0 when all are taken together: by p-values that Holm's method adjusts."""
    adjusted = statistics.holm(statistics.p_value(estimate, 0.0) for estimate in of_changes.values())
    return [change for change, p in zip(of_changes, adjusted, strict=True) if p < 1 - statistics.LEVEL]


def _limits(gains: list[list[float]]) -> tuple[float, float]:
    """One axis for both panels: all seeds and at least a point, of an interval not more than twice the largest seed."""
    means = [statistics.mean(gain) for gain in gains]
    of_seeds = np.abs([value for gain in gains for value in gain]).max(initial=0)
    of_ends = np.abs([end for e in means for end in (e.low, e.high) if math.isfinite(end)]).max(initial=0)
    largest = max(of_seeds, min(of_ends, 2 * of_seeds), _TICKS[0])
    return -1.2 * largest, 1.2 * largest


def _alt(record: dict, part: str, gains: dict, language: str) -> str:
    _, points = words(language), {}
    for change, gain in gains.items():
        points[change] = seeds.diverged(_ended(record, part, change), language) or signed(np.mean(gain))
    return _.listed([f"{_(NAMES[change])} {text}" for change, text in points.items()])


def _title(gains: dict, language: str) -> str:
    """How many changes help and how many harm, and how many of them clearly."""
    _, counts = words(language), {"all": number(len(CHANGES))}
    for part in PARTS:
        means = {change: statistics.mean(gain) for change, gain in gains[part].items()}
        for name, sign in (("up", 1), ("down", -1)):
            moved = [change for change, mean in means.items() if sign * mean.value > 0]
            counts[f"{part}_{name}"] = number(len(moved))
            counts[f"{part}_{name}_clear"] = number(len({*moved} & {*_clear(means)}))
    return _(
        "The accuracy is raised by {alone_up} of the {all} changes made alone ({alone_up_clear} clearly) and lowered "
        "by {alone_down} ({alone_down_clear} clearly); made after all others, it is raised by {left_out_up} "
        "({left_out_up_clear} clearly) and lowered by {left_out_down} ({left_out_down_clear} clearly)."
    ).format(**counts)


def _note(record: dict, language: str) -> str:
    _ = words(language)
    note = _(
        "Final test accuracy. Dots: the seeds. Marks: their mean with its 95% interval, blue where zero is ruled out "
        "when the seven changes are taken together (Holm's correction of their p-values), which is what clearly "
        "means; an interval that is wider than the panel runs on; a network that diverged counts "
        "as chance. Dashed: {margin} points, the loss that is allowed to a change that need only do no harm; the axis "
        "is linear to one point and logarithmic beyond. (a) BN-Baseline with one change, less BN-Baseline after as "
        "many steps. (b) BN-x5 less BN-x5 without the change."
    ).format(margin=left_to_right(f"±{margin():g}"))
    shown = [record["networks"][name] for name in ("bn_baseline", "bn_x5")]
    shown += [network for part in PARTS for network in record[part].values()]
    ended = [hit for network in shown for hit in curves.diverged(network)]
    said = [note, speech.rate(record, language)]
    if any(ended):
        times = _("Of the {runs} runs behind the panels, {diverged} diverged.")
        said.append(times.format(runs=number(len(ended)), diverged=number(sum(ended))))
    return " ".join(said)
