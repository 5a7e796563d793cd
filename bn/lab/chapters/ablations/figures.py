"""The figure and the tables of notebook 09: each of the seven changes of section 4.2.1, alone and left out."""

import math
from collections.abc import Callable, Iterable

import numpy as np
from IPython.display import HTML
from matplotlib import rc_context
from matplotlib.axes import Axes

from bn.lab.judge import claims
from bn.lab.judge import image_claims
from bn.lab.show import html as show
from bn.lab.judge.claims import Estimate
from bn.lab.show.figures import _STYLE, COLOURS, Drawing, _panel, number, percent
from bn.lab.train.recipes import CHANGES
from bn.lab.show.text import TITLES, pick, words

PARTS = ("alone", "left_out")
QUIET = "#808890"  # of a mean whose interval has zero in it
_FIELDS = {"rate": "learning_rate", "decay": "halflife", "shuffling": "shuffled"}  # others are called as the change


def changes(record: dict, language: str) -> Drawing:
    """What each change adds to BN-Baseline alone, and what BN-x5 loses without it: to the right it helps."""
    word = words(language)
    found = {part: {change: image_claims.gains(record, part, change) for change in CHANGES} for part in PARTS}
    limits = _limits([gain for part in found.values() for gain in part.values()])
    panels = []
    with rc_context(fname=_STYLE):
        for part in PARTS:
            title = word("panel alone" if part == "alone" else "panel left out")
            axes = _panel(title, language)
            axes.figure.set_size_inches(4.2, 4.0)
            labels = []
            for y, (change, gain) in enumerate(found[part].items()):
                _row(axes, y, gain)
                lines = [word(f"change {change}"), how(record, change, language), lost(gain, language)]
                labels.append("\n".join(filter(None, lines)))
            axes.axvline(0, color="#010203", linewidth=0.9, zorder=1)
            axes.set_yticks(range(len(labels)), labels, fontsize=8.5)
            axes.set(xlim=limits, ylim=(len(labels) - 0.5, -0.5), xlabel=word("points gained"))
            axes.grid(False, axis="y")
            axes.tick_params(axis="y", length=0)
            panels.append((axes.figure, f"{title}: {_alt(found[part], language)}"))
    return Drawing(tuple(panels), _title(found, language), _note(record, language))


def table(record: dict, language: str) -> HTML:
    """For each change, alone and left out: final test accuracy, and the steps to Inception's best accuracy."""
    word, networks = words(language), record["networks"]
    head = [word(key) for key in ("change", "alone accuracy", "alone steps", "left out accuracy", "left out steps")]
    baseline = image_claims.cut(networks["bn_baseline"], record, next(iter(CHANGES)))
    compared = [word("for comparison")]
    for name, network in (("BN-Baseline", baseline), ("BN-x5", networks["bn_x5"])):
        accuracy, steps = _measured(network, record, language)
        compared += [f"<bdi>{name}</bdi>: {accuracy}", steps]
    rows = [compared]
    for change in CHANGES:
        name = f"{word(f'change {change}')}<br><small>{how(record, change, language, number)}</small>"
        rows.append([name] + [cell for part in PARTS for cell in _measured(record[part][change], record, language)])
    target = percent(image_claims.target(record))
    note = pick(TITLES["changes table note"], language).format(target=target, interval=number("95%"))
    below = show.text(f"<small>{show._size(record, language)} {note}</small>", language)
    return HTML(show.table(head, rows, record, language).data + below.data)


def shuffling(record: dict, language: str) -> HTML:
    """What shuffling gives with BN, beside what it gives without."""
    with_bn = image_claims.gains(record, "left_out", "shuffling")
    plain = image_claims.gains_without_bn(record)
    differences = [a - b for a, b in zip(with_bn, plain, strict=True)]
    numbers = {name: _points(v, language) for name, v in (("bn", with_bn), ("plain", plain), ("more", differences))}
    sentence = pick(TITLES["shuffling"], language).format(**numbers)
    return show.text(f"{sentence} <small>{show._size(record, language)}</small>", language)


def how(record: dict, change: str, language: str, isolated: Callable[[str], str] | None = None) -> str:
    """What a change does to the recipe, from what to what; `isolated` keeps a number left to right in Arabic."""
    word, isolated = words(language), isolated or (lambda value: isolate(value, language))
    field = _FIELDS.get(change, change)
    before, after = (record["networks"][name]["recipe"][field] for name in ("bn_baseline", "bn_x5"))
    if change == "decay":  # in half-lives, of which one is a matter of the scale
        return word("times as fast").format(isolated(f"{before / after:.3g}"))
    if isinstance(before, bool):
        return word("from to").format(*(word("yes" if value else "no") for value in (before, after)))
    write = {
        "dropout": lambda value: f"{100 * value:.3g}%",
        "distortion": lambda value: f"±{100 * value:.3g}%",
    }.get(change, show._bare)
    return word("from to").format(isolated(write(before)), isolated(write(after)))


def isolate(value: str, language: str) -> str:
    """A number in the text of a figure, kept left to right inside Arabic."""
    return f"\u2066{value}\u2069" if language == "ar" else value


def diverged(network: dict) -> str:
    """How many of the seeds diverged, such as 1/3, or nothing where none did."""
    times = sum(step is not None for step in network["diverged"])
    return f"{times}/{len(network['diverged'])}" if times else ""


def lost(values: Iterable[float], language: str) -> str:
    """In words for a figure, how many of the seeds have no value because a network diverged; nothing where all have."""
    missing = [math.isnan(value) for value in values]
    times = isolate(f"{sum(missing)}/{len(missing)}", language)
    return words(language)("diverged of").format(times) if any(missing) else ""


def _row(axes: Axes, y: int, gain: list[float]) -> None:
    """The mean and its interval, the seeds under it; where a network diverged, only the seeds that are left."""
    estimate = claims.mean_with_interval(gain)
    colour = COLOURS["bn"] if _clear(estimate) else QUIET
    axes.plot(gain, [y + 0.25] * len(gain), ".", color=QUIET, markersize=4, alpha=0.7)
    axes.plot(estimate.value, y, "o", color=colour, markersize=6)
    if math.isfinite(estimate.low):
        axes.hlines(y, estimate.low, estimate.high, color=colour, linewidth=1.6)


def _clear(estimate: Estimate) -> bool:
    return estimate.low > 0 or estimate.high < 0


def _limits(gains_found: list[list[float]]) -> tuple[float, float]:
    """One axis for both panels: all seeds, and of an interval not more than twice the largest seed."""
    estimates = [claims.mean_with_interval(gain) for gain in gains_found]
    seeds = np.abs([value for gain in gains_found for value in gain if math.isfinite(value)])
    ends = np.abs([end for e in estimates for end in (e.low, e.high) if math.isfinite(end)])
    largest = max(seeds.max(initial=0), min(ends.max(initial=0), 2 * seeds.max(initial=0))) or 1.0
    return -1.08 * largest, 1.08 * largest


def _title(found: dict, language: str) -> str:
    numbers = {"all": number(len(CHANGES))}
    for part in PARTS:
        estimates = [claims.mean_with_interval(gain) for gain in found[part].values()]
        for name, sign in (("up", 1), ("down", -1)):
            moved = [e for e in estimates if sign * e.value > 0]
            numbers[f"{part}_{name}"] = number(len(moved))
            numbers[f"{part}_{name}_clear"] = number(sum(map(_clear, moved)))
    return pick(TITLES["changes"], language).format(**numbers)


def _note(record: dict, language: str) -> str:
    note = pick(TITLES["changes note"], language).format(interval=number("95%"))
    shown = [record["networks"][name] for name in ("bn_baseline", "bn_x5")]
    shown += [network for part in PARTS for network in record[part].values()]
    ends = [step for network in shown for step in network["diverged"]]
    times = sum(step is not None for step in ends)
    if times:
        note += " " + pick(TITLES["changes diverged"], language).format(runs=number(len(ends)), diverged=number(times))
    return note


def _alt(found: dict, language: str) -> str:
    word = words(language)
    points = {change: lost(gain, language) or f"{np.mean(gain):+.2f}" for change, gain in found.items()}
    return ", ".join(f"{word(f'change {change}')} {text}" for change, text in points.items())


def _points(gain: list[float], language: str) -> str:
    """Points with their interval, as HTML."""
    estimate = claims.mean_with_interval(gain)
    if math.isnan(estimate.value):
        return pick(TITLES["undefined"], language)
    return number(f"{estimate.value:+.2f}") + show._interval(estimate, 2)


def _measured(network: dict, record: dict, language: str) -> list[str]:
    """Final test accuracy in percent and the steps to Inception's best accuracy, as HTML."""
    word, final = words(language), claims.mean_with_interval([100 * f for f in image_claims.finals(network)])
    times = number(diverged(network))
    accuracy = word("diverged of").format(times) if math.isnan(final.value) else show._with_interval(final, 1)
    steps = image_claims.steps_reaching(network, image_claims.target(record))
    never = sum(map(math.isinf, steps))
    if never:
        return [accuracy, f"{word('never')} ({number(f'{never}/{len(steps)}')})"]
    return [accuracy, show._with_interval(claims.mean_with_interval(steps), 0)]
