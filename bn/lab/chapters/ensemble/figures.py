"""The tables and the figure of notebook 10: Figure 4 beside what was measured, and the six networks of an ensemble."""

import math

import numpy as np
from IPython.display import HTML
from matplotlib import rc_context
from matplotlib.axes import Axes

from bn.lab.judge import claims
from bn.lab.judge import image_claims
from bn.lab.show import html as show
from bn.lab.chapters.ablations.figures import QUIET, diverged, isolate, lost
from bn.lab.show.figures import _STYLE, COLOURS, Drawing, _panel, number, percent
from bn.lab.show.text import TITLES, pick, words

# Figure 4 as printed: pixels, crops and networks; a dash where the paper has one, None for a resolution that varies.
_DASH = "–"
_PRINTED = {
    "single": (224, 1, 1),
    "multicrop": (224, 144, 1),
    "ensemble": (224, 144, 6),
    "googlenet": (224, 144, 7),
    "deep image low": (256, _DASH, 1),
    "deep image high": (512, _DASH, 1),
    "deep image ensemble": (None, _DASH, _DASH),
}
_KINDS = ("top-1", "top-5")


def figure4(record: dict, language: str) -> HTML:
    """What was measured here, and under a heading of its own what the paper prints of ImageNet."""
    word = words(language)
    head = [word(key) for key in ("network", "resolution", "crops", "models", *_KINDS)]
    ours = show.table(head, _our_rows(record, language), record, language).data
    theirs = show._html(show._table(head, _rows(_paper_rows(language))), language).data
    own = word("ours imagenet" if record["dataset"] == "imagenet" else "ours")
    server = {name: number(f"{error:.2f}%") for name, error in image_claims.SERVER.items()}
    quoted = pick(TITLES["figure 4 theirs"], language).format(**server)
    parts = [_heading(own, _our_note(record, language), language), ours]
    return HTML("".join([*parts, _heading(word("theirs"), quoted, language), theirs]))


def gain(record: dict, language: str) -> Drawing:
    """The errors of each of the six networks and of all together, on one crop and on many."""
    word, one, many = words(language), *map(str, record["crops"])
    colours = {one: QUIET, many: COLOURS["bn"]}
    labels = {one: word("one crop"), many: word("many crops").format(isolate(many, language))}
    names = [_described(recipe, language) for recipe in record["members"].values()] + [word("all six")]
    panels = []
    with rc_context(fname=_STYLE):
        for k, kind in enumerate(_KINDS):
            axes = _panel(word(f"error {kind}"), language)
            axes.figure.set_size_inches(4.2, 4.0)
            for shift, crops in ((-0.16, one), (0.16, many)):
                values = by_network(record, crops, k)
                _points(axes, values, shift, colours[crops], labels[crops])
            rows = ["\n".join(filter(None, (n, lost(v, language)))) for n, v in zip(names, values, strict=True)]
            axes.axhline(len(names) - 1.5, color="#010203", linewidth=0.7, alpha=0.5)
            axes.set_yticks(range(len(rows)), rows, fontsize=8.5)
            axes.set(ylim=(len(names) - 0.5, -0.5), xlabel=word("percent of images"))
            axes.margins(x=0.08)
            axes.grid(False, axis="y")
            axes.tick_params(axis="y", length=0)
            handles, order = axes.get_legend_handles_labels()[0], -1 if language == "ar" else 1
            place = {"loc": "outside lower center", "ncols": 2, "fontsize": 8.5}
            axes.figure.legend(handles=handles[::order], markerfirst=order == 1, **place)
            panels.append((axes.figure, _alt(record, kind, k, language)))
    note = pick(TITLES["gain note"], language)
    return Drawing(tuple(panels), _gain_title(record, language), f"{note} {_lost_note(record, language)}".strip())


def members(record: dict, language: str) -> HTML:
    """In what the six networks differ, and how each of them ends."""
    word = words(language)
    head = [word(key) for key in ("member", "dropout of", "first weights", "last bn", "final error")]
    rows = []
    for k, (name, recipe) in enumerate(record["members"].items(), 1):
        curves = record["curves"][name]
        last = word("per activation" if recipe["per_activation"] else "per feature map")
        cells = [number(k), percent(recipe["dropout"]), number(f"×{recipe['weight_scale']:g}"), last]
        final = claims.mean_with_interval([100 * (1 - share) for share in image_claims.finals(curves)])
        times = word("diverged of").format(number(diverged(curves)))
        rows.append([*cells, times if math.isnan(final.value) else show._with_interval(final, 2)])
    size = show.text(f"<small>{show._size(record, language)}</small>", language)
    return HTML(show.table(head, rows, record, language).data + size.data)


def by_network(record: dict, crops: str, kind: int) -> np.ndarray:
    """Errors in percent of each member and of the six together (networks, seeds); NaN where one diverged.

    The record counts such a network wrong on every image, which says nothing of how it would have learned.
    """
    seeds = record["errors"][crops]
    errors = np.array([[*(e[kind] for e in seed["members"]), seed["ensemble"][kind]] for seed in seeds], float).T
    missing = np.array([[step is not None for step in curves["diverged"]] for curves in record["curves"].values()])
    return np.where(np.vstack([missing, missing.any(0)]), np.nan, errors)


def _our_rows(record: dict, language: str) -> list[list[str]]:
    """One network on one crop and on many, the mean of the six; and the six together."""
    word, one, many = words(language), *map(str, record["crops"])
    pixels, count = record["asked"]["pixels"], len(record["members"])
    rows = []
    for key, crops, networks in (("single", one, 1), ("multicrop", many, 1), ("six", many, count)):
        cells = [word(key), *map(number, (f"{pixels}×{pixels}", int(crops), networks))]
        for k in range(len(_KINDS)):
            errors = by_network(record, crops, k)
            cells.append(_percent(errors[:-1] if networks == 1 else errors[-1:], language))
        rows.append(cells)
    return rows


def _percent(errors: np.ndarray, language: str) -> str:
    """Errors (networks, seeds): mean over both with its interval over the seeds, or in words how many diverged."""
    missing = np.isnan(errors)
    if missing.any():
        return words(language)("diverged of").format(number(f"{missing.sum()}/{missing.size}"))
    estimate = claims.mean_with_interval(errors.mean(0))
    return number(f"{estimate.value:.2f}%") + show._interval(estimate, 2, unit="%")


def _paper_rows(language: str) -> list[list[str]]:
    """Figure 4's rows in its own order: what came before, then the paper's own."""
    word, rows = words(language), []
    printed = [(f"prior {name}", name, image_claims.PRIOR[name]) for name in image_claims.PRIOR]
    printed += [(f"paper {name}", name, image_claims.FIGURE_4[name]) for name in image_claims.FIGURE_4]
    for key, name, errors in printed:
        pixels, crops, networks = _PRINTED[name]
        cells = [word(key), word("variable") if pixels is None else number(pixels), number(crops), number(networks)]
        rows.append(cells + [_DASH if error is None else number(f"{error:g}%") for error in errors])
    return rows


def _our_note(record: dict, language: str) -> str:
    classes = next(iter(record["members"].values()))["classes"]
    numbers = {"images": number(record["images"]), "seeds": number(len(record["asked"]["seeds"]))}
    numbers |= {"interval": number("95%"), "classes": number(classes), "chance": percent(max(0, 1 - 5 / classes))}
    note = pick(TITLES["figure 4 ours"], language).format(**numbers)
    return " ".join(part for part in (show._size(record, language), note, _lost_note(record, language)) if part)


def _lost_note(record: dict, language: str) -> str:
    """A sentence on the networks that diverged, or nothing where none did."""
    ends = [step for curves in record["curves"].values() for step in curves["diverged"]]
    times = sum(step is not None for step in ends)
    if not times:
        return ""
    return pick(TITLES["figure 4 diverged"], language).format(diverged=number(times), all=number(len(ends)))


def _described(recipe: dict, language: str) -> str:
    """What a member has that BN-x30 has not, on one or two lines."""
    word, parts = words(language), []
    if recipe["dropout"]:
        share = isolate(f"{100 * recipe['dropout']:g}%", language)
        parts.append(f"{word('dropout of')} {share}")
    if recipe["weight_scale"] != 1:
        factor = isolate(f"×{recipe['weight_scale']:g}", language)
        parts.append(f"{word('first weights')} {factor}")
    if recipe["per_activation"]:
        parts.append(word("bn per activation"))
    return "\n".join(parts)


def _points(axes: Axes, values: np.ndarray, shift: float, colour: str, label: str) -> None:
    """The seeds of each network and their mean, those that did not diverge."""
    heights = np.arange(len(values)) + shift
    for height, seeds in zip(heights, values, strict=True):
        axes.plot(seeds, np.full(len(seeds), height), ".", color=colour, markersize=4, alpha=0.6)
    axes.plot(values.mean(1), heights, "o", color=colour, markersize=6, label=label)


def _alt(record: dict, kind: str, k: int, language: str) -> str:
    """On many crops, the mean error of each network, or in words how many of its seeds diverged."""
    word, shown = words(language), []
    names = [_described(recipe, language).replace("\n", ", ") for recipe in record["members"].values()]
    errors = by_network(record, str(record["crops"][-1]), k)
    for name, seeds in zip([*names, word("all six")], errors, strict=True):
        shown.append(f"{name} {lost(seeds, language) or f'{seeds.mean():.2f}%'}")
    return f"{word(f'error {kind}')}: " + "; ".join(shown)


def _gain_title(record: dict, language: str) -> str:
    """Top-1 errors; where a network diverged there are none of the six."""
    one, many = (by_network(record, str(count), 0) for count in record["crops"])
    crops, all_six = number(record["crops"][-1]), many[-1]
    if np.isnan(all_six).any():
        seeds = number(f"{int(np.isnan(all_six).sum())}/{len(all_six)}")
        return pick(TITLES["gain diverged"], language).format(crops=crops, seeds=seeds)
    errors = {"ensemble": all_six, "best": many[:-1].min(0), "mean": many[:-1], "single": one[:-1]}
    shown = {name: percent(values.mean() / 100) for name, values in errors.items()}
    return pick(TITLES["gain"], language).format(crops=crops, **shown)


def _rows(rows: list[list[str]]) -> str:
    return "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)


def _heading(text: str, note: str, language: str) -> str:
    return show._html(f"<h4>{text}</h4><p><small>{note}</small></p>", language).data
