"""The tables and the figure of notebook 10: Figure 4 beside what was measured, and the six networks of an ensemble."""

import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bn.lab import paper
from bn.lab.chapters.ensemble import estimates
from bn.lab.judge import curves, statistics
from bn.lab.show import html, numbers, seeds, speech
from bn.lab.show.numbers import NONE, left_to_right, number, percent
from bn.lab.show.style import COLOURS, INK, LINES, QUIET, Drawing, legend, legend_below, panel, styled
from bn.lab.show.words import N_, words

_VARIABLE = N_("variable")
# Figure 4 in its own order, what came before and then the paper's own: pixels, crops and networks as printed.
_PRINTED = (
    (N_("GoogLeNet, ensemble"), (224, 144, 7), paper.PRIOR["googlenet"]),
    (N_("Deep Image, low resolution"), (256, NONE, 1), paper.PRIOR["deep image low"]),
    (N_("Deep Image, high resolution"), (512, NONE, 1), paper.PRIOR["deep image high"]),
    (N_("Deep Image, ensemble"), (_VARIABLE, NONE, NONE), paper.PRIOR["deep image ensemble"]),
    (N_("BN-Inception, one crop"), (224, 1, 1), paper.FIGURE_4["single"]),
    (N_("BN-Inception, many crops"), (224, 144, 1), paper.FIGURE_4["multicrop"]),
    (N_("BN-Inception, ensemble"), (224, 144, 6), paper.FIGURE_4["ensemble"]),
)
_PANELS = (N_("(a) Top-1 error"), N_("(b) Top-5 error"))


def result(record: dict, language: str) -> str:
    """What was found: by how much six networks err less than the best of them, and one less on many crops."""
    six, many = estimates.ensemble(record)["ensemble_gain"], estimates.multicrop(record)["crops_gain"]
    _ = words(language)
    sentence = _(
        "The top-1 error of six networks together is {six} points below that of the best of them and {mean} below "
        "their mean; that of one network on {crops} is {many} points below its error on one crop."
    )
    crops = _crops(record["crops"][-1], language)
    gains = {"six": six, "mean": estimates.over_the_mean(record), "many": many}
    return sentence.format(crops=crops, **{name: numbers.with_interval(gain, 2) for name, gain in gains.items()})


def figure4(record: dict, language: str) -> HTML:
    """What was measured here, and under a heading of its own what the paper prints of ImageNet."""
    _ = words(language)
    head, rows, note = papers_figure4(language)
    here = record["dataset"] == "imagenet"
    own = _("Measured here, on ImageNet") if here else _("Measured here, not on ImageNet")
    parts = [
        html.render("heading", language, title=own, note=_our_note(record, language)),
        html.table(head, _our_rows(record, language), record, language),
        html.render("heading", language, title=_("ImageNet, quoted from the paper: not measured here"), note=note),
        html.table(head, rows, None, language),
    ]
    return HTML("".join(part.data for part in parts))


def papers_figure4(language: str) -> tuple[list[str], list[list[str]], str]:
    """What the paper prints of ImageNet: the heads, the rows, and a note with the errors on the test server."""
    _ = words(language)
    head = [_("Network"), _("Pixels"), _("Crops"), _("Networks"), _("Top-1 error"), _("Top-5 error")]
    quoted = _(
        "Figure 4: 50,000 validation images. On the 100,000 images of the test server the ensemble has a top-5 error "
        "of {ours}, and the best earlier result, of He et al., {he} (section 4.2.3). A dash: not given."
    ).format(**{name: left_to_right(f"{error:.2f}%") for name, error in paper.SERVER.items()})
    return head, _paper_rows(language), quoted


def gain(record: dict, language: str) -> Drawing:
    """The errors of each of the six networks and of all together, on one crop and on many."""
    _ = words(language)
    with styled():
        panels = tuple(_errors(record, kind, language) for kind in range(len(_PANELS)))
    note = _("Dots: the seeds, each with six networks of its own. Marks: their mean with its 95% interval.")
    said = (note, speech.rate(record, language), _lost_note(record, language))
    return Drawing(panels, _gain_title(record, language), " ".join(filter(None, said)))


def margin(_record: dict, language: str) -> Drawing:
    """The paper's lead on the test server in standard errors, by how far the mistakes of the two systems agree."""
    _, correlation = words(language), np.linspace(0, 0.95, 96)
    needed = estimates.needed_correlation()
    title = _("The margin on the test server")
    with styled():
        axes = panel(title, language)
        axes.plot(correlation, [estimates.standard_errors(share) for share in correlation], color=INK)
        axes.axhline(estimates.SIGNIFICANT, color=QUIET, linestyle=LINES["plain"], label=_("significant at 5%"))
        axes.plot([needed], [estimates.SIGNIFICANT], "o", color=INK, markersize=5)
        axes.set(xlim=(0, 0.95), ylim=(0, None), xlabel=_("correlation of the mistakes"), ylabel=_("standard errors"))
        legend(axes, language, "upper left")
    said = _(
        "From a correlation of {needed} on the margin of {lead} points is significant; independent mistakes give {z}."
    )
    lead = numbers.number(round(paper.SERVER["he"] - paper.SERVER["ours"], 2))
    said = said.format(needed=number(needed), lead=lead, z=number(estimates.standard_errors(0.0)))
    note = _("Computed from the two errors alone, of 100,000 images; how far the mistakes agree is not published.")
    return Drawing(((axes.figure, f"{title}: {said}"),), said, note, trained=False)


def members(record: dict, language: str) -> HTML:
    """In what the six networks differ, and how each of them ends."""
    _, rows = words(language), []
    head = [_("Network"), _("Dropout"), _("First weights"), _("BN of the last module"), _("Final test error, %")]
    for k, (name, recipe) in enumerate(record["members"].items(), 1):
        last = _("per activation") if recipe["per_activation"] else _("per feature map")
        factor = numbers.times(recipe["weight_scale"])
        final = [100 * (1 - share) for share in curves.finals(record["curves"][name])]
        rows.append([number(k), percent(recipe["dropout"]), factor, last, seeds.mean(final, language, 2)])
    return html.table(head, rows, record, language, note=speech.size(record, language))


def by_network(record: dict, crops: int, kind: int) -> np.ndarray:
    """Errors in percent of each member and of the six together (networks, seeds); NaN where one diverged.

    `kind` is 0 for top-1 and 1 for top-5. The record counts such a network wrong on every image, which says nothing
    of how it would have learned.
    """
    of_seeds = record["errors"][str(crops)]
    errors = np.array([[*(e[kind] for e in seed["members"]), seed["ensemble"][kind]] for seed in of_seeds], float).T
    missing = np.array([curves.diverged(network) for network in record["curves"].values()])
    return np.where(np.vstack([missing, missing.any(0)]), np.nan, errors)


def _our_rows(record: dict, language: str) -> list[list[str]]:
    """One network on one crop and on many, the mean of the six; and the six together."""
    _, (one, many) = words(language), record["crops"]
    pixels, count = record["asked"]["pixels"], len(record["members"])
    measured = (
        (_("one network, one crop"), one, 1),
        (_("one network, many crops"), many, 1),
        (_("six networks, many crops"), many, count),
    )
    rows = []
    for name, crops, networks in measured:
        errors = [by_network(record, crops, kind) for kind in range(len(_PANELS))]
        shown = [_percent(e[:-1] if networks == 1 else e[-1:], language) for e in errors]
        rows.append([name, numbers.pair(pixels, pixels), number(crops), number(networks), *shown])
    return rows


def _percent(errors: np.ndarray, language: str) -> str:
    """Errors (networks, seeds): mean over both with its interval over the seeds, or in words how many diverged."""
    return seeds.diverged(np.isnan(errors), language) or seeds.mean(errors.mean(0), language, 2, unit="%")


def _paper_rows(language: str) -> list[list[str]]:
    """Figure 4 as printed."""
    _ = words(language)
    rows = []
    for name, printed, errors in _PRINTED:
        cells = [_(value) if value == _VARIABLE else number(value) for value in printed]
        shown = [NONE if error is None else left_to_right(f"{error:g}%") for error in errors]
        rows.append([_(name), *cells, *shown])
    return rows


def _our_note(record: dict, language: str) -> str:
    """The size of the run, how the table is read, and how many networks diverged."""
    _, classes = words(language), next(iter(record["members"].values()))["classes"]
    note = _(
        "Errors in percent of {images} test images, mean over the {seeds} with its 95% interval; of one network, the "
        "mean of the six. Five guesses by chance among {classes} classes miss {chance}."
    ).format(
        images=number(record["images"]),
        seeds=speech.seeds(len(record["asked"]["seeds"]), language),
        classes=number(classes),
        chance=percent(max(0, 1 - 5 / classes)),
    )
    return " ".join(part for part in (speech.size(record, language), note, _lost_note(record, language)) if part)


def _lost_note(record: dict, language: str) -> str:
    """A sentence on the networks that diverged, or nothing where none did."""
    _ = words(language)
    ended = [hit for network in record["curves"].values() for hit in curves.diverged(network)]
    if not any(ended):
        return ""
    sentence = _(
        "{diverged} of the {all} networks diverged and have no error here; for the claims, such a network and every "
        "six that it belongs to are wrong on every image."
    )
    return sentence.format(diverged=number(sum(ended)), all=number(len(ended)))


def _errors(record: dict, kind: int, language: str) -> tuple[Figure, str]:
    """A row for each network and one for the six, the errors on one crop above those on many."""
    _, (one, many) = words(language), record["crops"]
    title = _(_PANELS[kind])
    axes = panel(title, language, (3.8, 4.7))
    shown = ((one, -0.16, QUIET, _("one crop")), (many, 0.16, COLOURS["bn"], _crops(many, language)))
    for crops, shift, colour, label in shown:
        _points(axes, by_network(record, crops, kind), shift, colour, label)
    names = [*(_described(recipe, language) for recipe in record["members"].values()), _("all six")]
    errors = by_network(record, many, kind)
    missing = [seeds.diverged(np.isnan(values), language) for values in errors]
    rows = ["\n".join(filter(None, pair)) for pair in zip(names, missing, strict=True)]
    axes.axhline(len(names) - 1.5, color=INK, linewidth=0.7, alpha=0.5)
    axes.set_yticks(range(len(rows)), rows, fontsize=8.5)
    axes.set(ylim=(len(names) - 0.5, -0.5), xlabel=_("% of the test images"))
    axes.margins(x=0.08)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    legend_below(axes, language)
    return axes.figure, f"{title}: {_alt(names, errors, language)}"


def _points(axes: Axes, values: np.ndarray, shift: float, colour: str, label: str) -> None:
    """The seeds of each network and their mean with its interval; no mean where one diverged."""
    heights = np.arange(len(values)) + shift
    for height, of_seeds in zip(heights, values, strict=True):
        axes.plot(of_seeds, np.full(len(of_seeds), height), ".", color=colour, markersize=4, alpha=0.6)
        mean = statistics.mean(of_seeds, bounds=(0, 100))
        axes.hlines(height, mean.low, mean.high, color=colour, linewidth=1.6)
    axes.plot(values.mean(1), heights, "o", color=colour, markersize=6, label=label)


def _described(recipe: dict, language: str) -> str:
    """What a member has that BN-x30 has not, on one or two lines."""
    _, parts = words(language), []
    if recipe["dropout"]:
        parts.append(_("Dropout {share}").format(share=left_to_right(f"{100 * recipe['dropout']:g}%")))
    if recipe["weight_scale"] != 1:
        parts.append(_("First weights {factor}").format(factor=numbers.times(recipe["weight_scale"])))
    if recipe["per_activation"]:
        parts.append(_("BN per activation"))
    return "\n".join(parts)


def _crops(count: int, language: str) -> str:
    return words(language).ngettext("{n} crop", "{n} crops", count).format(n=number(count))


def _alt(names: list[str], errors: np.ndarray, language: str) -> str:
    """The mean error of each network, or in words how many of its seeds diverged."""
    shown = [seeds.diverged(np.isnan(values), language) or percent(values.mean() / 100, 2) for values in errors]
    names = [words(language).listed(name.split("\n")) for name in names]
    return words(language).listed([f"{name} {error}" for name, error in zip(names, shown, strict=True)], ";")


def _gain_title(record: dict, language: str) -> str:
    """Top-1 errors; where a network diverged there are none of the six."""
    _, one, many = words(language), *(by_network(record, count, 0) for count in record["crops"])
    crops, missing = _crops(record["crops"][-1], language), np.isnan(many[-1])
    if missing.any():
        title = _("In {seeds} of the seeds a network diverged: the six have no error on {crops}.")
        return title.format(seeds=numbers.ratio(missing.sum(), missing.size), crops=crops)
    errors = {"ensemble": many[-1], "best": many[:-1].min(0), "mean": many[:-1], "single": one[:-1]}
    return _(
        "On {crops} the six together miss {ensemble} of the images, the best of them {best}, and one of them on "
        "average {mean}; on one crop it misses {single}."
    ).format(crops=crops, **{name: percent(values.mean() / 100) for name, values in errors.items()})
