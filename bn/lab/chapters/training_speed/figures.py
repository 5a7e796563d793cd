"""The figures and tables of notebook 08: Figures 2 and 3 of the paper, equal schedules, the sweep, and the speed.

Networks are compared in a record or in a view of one: a dict whose `networks` hold the reference as `inception`.
"""

import math
from dataclasses import replace

import numpy as np
from IPython.display import HTML
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from scipy import stats

from bn.lab.judge import image_claims
from bn.lab.show import html as show
from bn.lab.judge.claims import mean_with_interval
from bn.lab.show.figures import _STYLE, COLOURS, LINES, Drawing, _panel, _steps_axis, number, percent
from bn.lab.judge.image_claims import NEAR, PAPER
from bn.lab.train.recipes import PAPER_RATE
from bn.lab.show.text import TITLES, pick, words

FIVE = ("inception", "bn_baseline", "bn_x5", "bn_x30", "bn_x5_sigmoid")
CONTROLS = ("plain_x5", "plain_x30", "sigmoid")
FACTORS = (1, 5, 30)  # of the learning rate, with all else equal
KINDS = ("plain", "bn")
_DOTS, _DASH_DOTS, _LONG = (0, (1, 1.2)), (0, (5, 1.4, 1, 1.4)), (0, (8, 2))
# Colour, line and mark: warm without BN, cold with it, and each has a contrast of 3 on light and on dark pages.
STYLES = {
    "inception": (COLOURS["plain"], LINES["plain"], "o"),
    "bn_baseline": ("#4f9bd6", _DOTS, "s"),
    "bn_x5": (COLOURS["bn"], LINES["bn"], "D"),
    "bn_x30": ("#1c68a8", _DASH_DOTS, "^"),
    "bn_x5_sigmoid": ("#168f8f", _LONG, "v"),
    "plain_x5": ("#a8560c", _DOTS, "P"),
    "plain_x30": ("#8a6a50", _DASH_DOTS, "h"),
    "sigmoid": ("#b5493a", _LONG, "p"),
}
STYLES |= {"plain": STYLES["inception"], "plain_x1": STYLES["inception"]}
STYLES |= {"bn": STYLES["bn_x5"], "bn_x1": STYLES["bn_baseline"]}
_INK = "#010203"
_MISSING = "–"
_INTERVAL, _SECTION = number("95%"), number("4.2.1")


def figure2(record: dict, language: str) -> Drawing:
    """Figure 2: validation accuracy of the five networks over the training; beside it the controls without BN."""
    word, networks = words(language), record["networks"]
    sides = {"panel networks": FIVE, "panel controls": ("inception", *CONTROLS)}
    labels = {word(key): {name: word(f"network {name}") for name in names} for key, names in sides.items()}
    reached = sum(bool(np.isfinite(_steps(record, name)).all()) for name in FIVE[1:])
    numbers = {"target": _target(record), "all": number(len(FIVE) - 1), "reached": number(reached)}
    title = _title("figure2", record, "bn_x5", language, **numbers)
    note = pick(TITLES["figure2 note"], language).format(interval=_INTERVAL) + _cross_note(networks, language)
    return Drawing(_panels(record, labels, language), title, note)


def figure3(record: dict, language: str) -> HTML:
    """Figure 3 beside the paper's: steps to Inception's best accuracy, how many times fewer, and how far each goes."""
    word = words(language)
    keys = ("network", "learning rate head", "in the paper", "steps to", "times fewer", "in the paper")
    keys += ("times fewer near", "best validation", "in the paper", "final test")
    rows = []
    for name in (*FIVE, *CONTROLS):
        label = f"<bdi>{word(f'network {name}')}</bdi>" + (f" ({word('control')})" if name in CONTROLS else "")
        rate, steps, factor, near, best_accuracy, final = _measures(record, name, language)
        papers_rate, papers_factor, papers_best = _papers(name, language)
        rows.append([label, rate, papers_rate, steps, factor, papers_factor, near, best_accuracy, papers_best, final])
    title = _title("figure3", record, "bn_x5", language, papers=_papers_factor("bn_x5", language))
    note = f"{_table_note(record, language)} {pick(TITLES['figure3 note'], language)}"
    return _table(title, _head(keys, record, language), rows, note, record, language)


def equal(record: dict, language: str) -> Drawing:
    """Without BN and with it at 1, 5 and 30 times the rate, all else equal."""
    word = words(language)
    labels = {
        word(f"equal {kind}"): {f"{kind}_x{factor}": f"\u2066×{factor}\u2069" for factor in FACTORS} for kind in KINDS
    }
    finals = {name: _final(network, language) for name, network in record["equal"].items()}
    note = pick(TITLES["equal note"], language).format(interval=_INTERVAL, section=_SECTION)
    note += _cross_note(record["equal"], language)
    title = pick(TITLES["equal"], language).format(**finals)
    return Drawing(_panels(_equal_view(record), labels, language), title, note)


def equal_table(record: dict, language: str) -> HTML:
    """The same six networks in numbers, beside Inception."""
    word, view = words(language), _equal_view(record)
    labels = {"inception": word("network inception")}
    labels |= {f"{k}_x{f}": f"{word(f'{k} at')} {number(f'×{f}')}" for k in KINDS for f in FACTORS}
    reached = [f for f in FACTORS if np.isfinite(_steps(view, f"bn_x{f}")).all()]
    key = "inception lost" if _lost(view) else "equal table" if reached else "equal table never"
    rates = _listed([number(f"×{factor}") for factor in reached], language)
    title = pick(TITLES[key], language).format(rates=rates)
    return _comparison(view, labels, title, record, language)


def sweep(record: dict, language: str) -> Drawing:
    """The final accuracy at each rate of the sweep, and the training of each network at its own best rate."""
    word, found, chosen = words(language), record["sweep"], record["sweep"]["chosen"]
    shown = {kind: number(float(chosen[kind])) for kind in KINDS}
    panels = _panels(_best_view(record), {word("panel own rates"): _best_labels(language)}, language)
    crosses = _cross_note(record["best"], language)
    if not found["rates"]:
        return Drawing(panels, pick(TITLES["sweep given"], language).format(rate=shown["bn"]), crosses.strip())
    panels = (_swept(found, language), *panels)
    title = pick(TITLES["sweep"], language).format(**shown, ratio=number(chosen["bn"] / chosen["plain"]))
    note = pick(TITLES["sweep note"], language).format(section=_SECTION, interval=_INTERVAL)
    ends = [shown[kind] for kind in KINDS if chosen[kind] in (min(found["rates"]), max(found["rates"]))]
    if ends:
        note += " " + pick(TITLES["sweep edge"], language).format(rates=_listed(list(dict.fromkeys(ends)), language))
    return Drawing(panels, title, note + crosses)


def best(record: dict, language: str) -> HTML:
    """Each network at its own best rate, in numbers."""
    view = _best_view(record)
    return _comparison(view, _best_labels(language), _title("best", view, "bn", language), record, language)


def throughput(record: dict, language: str) -> HTML:
    """How fast a step is here, beside a loop as one would first write it."""
    word, speeds = words(language), record["throughput"]
    head = [
        word(key) for key in ("network", "steps a second", "images a second", "simple loop", "ratio to simple loop")
    ]
    rows = []
    for name, speed in speeds.items():
        low, high = speed["range"]
        ratio = f"{number(float(speed['ratio']))} <bdi>[{low}, {high}]</bdi>"
        values = [float(speed["steps_per_second"]), speed["images_per_second"], float(speed["eager_steps_per_second"])]
        rows.append([word(f"network {name}"), *map(number, values), ratio])
    longer = speeds["inception"]["steps_per_second"] / speeds["bn_x5"]["steps_per_second"]
    title = pick(TITLES["throughput"], language).format(longer=number(float(longer)))
    device = f"<bdi>{record['provenance']['devices'][0]}</bdi>"
    note = pick(TITLES["throughput note"], language).format(batch=number(record["asked"]["batch"]), device=device)
    return _table(title, head, rows, note, record, language)


# ---- What is compared with what --------------------------------------------------------------------


def _equal_view(record: dict) -> dict:
    return {"networks": record["equal"] | {"inception": record["networks"]["inception"]}}


def _best_view(record: dict) -> dict:
    return {"networks": {"inception": record["best"]["plain"], "bn": record["best"]["bn"]}}


def _best_labels(language: str) -> dict[str, str]:
    return {"inception": words(language)("network inception"), "bn": words(language)("all changes")}


def _steps(view: dict, name: str) -> list[float]:
    """For each seed the steps to Inception's best accuracy; of Inception those to its own."""
    network = view["networks"][name]
    if name == "inception":
        return image_claims.steps_to_own_peak(network)
    return image_claims.steps_reaching(network, image_claims.target(view))


def _lost(view: dict) -> bool:
    """Whether Inception diverged before it had any accuracy that others could be compared with."""
    return not np.isfinite(_steps(view, "inception")).all()


def _title(key: str, view: dict, name: str, language: str, **numbers: str) -> str:
    """How much sooner than Inception a network gets there, or that it does not in every seed."""
    slow, fast = (np.mean(_steps(view, network)) for network in ("inception", name))
    if _lost(view) or math.isinf(fast):
        return pick(TITLES["inception lost" if _lost(view) else f"{key} never"], language).format(**numbers)
    numbers |= {"slow": number(round(slow)), "fast": number(round(fast))}
    return pick(TITLES[key], language).format(ours=number(image_claims.speed_up(view, name).value), **numbers)


def _target(view: dict, share: float = 1.0) -> str:
    return percent(share * image_claims.target(view))


# ---- Tables ----------------------------------------------------------------------------------------


def _measures(view: dict, name: str, language: str) -> list[str]:
    """Cells: rate, steps, times fewer than Inception, the same at 95% of the target, best and final accuracy."""
    network, steps = view["networks"][name], _steps(view, name)
    best = image_claims.peaks(network)
    near = image_claims.steps_reaching(network, NEAR * image_claims.target(view))
    factors = [_factor(view, name, share, found, language) for share, found in ((1, steps), (NEAR, near))]
    return [
        number(float(network["recipe"]["learning_rate"])),
        _steps_cell(steps, language),
        *factors,
        _seeds("diverged", [not share for share in best], language) or _percent_cell(best),
        _diverged(network, language) or _percent_cell(image_claims.finals(network)),
    ]


def _steps_cell(steps: list[float], language: str) -> str:
    return _seeds("never", np.isinf(steps), language) or _mean_cell(steps, 0)


def _percent_cell(shares: list[float]) -> str:
    return _mean_cell([100 * share for share in shares], 1, most=100)


def _mean_cell(values: list[float], digits: int, most: float = math.inf) -> str:
    """Mean and interval, which of few seeds may reach beyond what is possible and is cut there."""
    found = mean_with_interval(values)
    return show._with_interval(replace(found, low=max(found.low, 0.0), high=min(found.high, most)), digits)


def _factor(view: dict, name: str, share: float, steps: list[float], language: str) -> str:
    if name == "inception":
        return number(1)
    if never := _seeds("never", np.isinf(steps), language):
        return never
    return _MISSING if _lost(view) else show._with_interval(image_claims.speed_up(view, name, share), 2)


def _diverged(network: dict, language: str) -> str:
    return _seeds("diverged", [step is not None for step in network["diverged"]], language)


def _seeds(key: str, hits: list[bool], language: str) -> str:
    """In how many of the seeds something happened, in words; nothing where in none."""
    return f"{words(language)(key)} ({number(f'{sum(hits)}/{len(hits)}')})" if any(hits) else ""


def _final(network: dict, language: str) -> str:
    """Final test accuracy, or in words that the network diverged."""
    return _diverged(network, language) or percent(np.mean(image_claims.finals(network)))


def _papers_factor(name: str, language: str) -> str:
    """How many times fewer steps than Inception's, from the steps that the paper prints."""
    ratio = PAPER["inception"][0] / PAPER[name][0]
    return number(f"{ratio:.2f}" if name != "inception" else 1) if ratio else words(language)("never")


def _papers(name: str, language: str) -> list[str]:
    """The paper's cells: learning rate, times fewer steps, best accuracy; a dash for what it does not say."""
    if name in PAPER:
        rate = PAPER_RATE * {"bn_x5": 5, "bn_x30": 30, "bn_x5_sigmoid": 5}.get(name, 1)
        return [number(rate), _papers_factor(name, language), number(f"{PAPER[name][1]:.1f}")]
    if name == "plain_x5":
        return [number(5 * PAPER_RATE), _MISSING, words(language)("diverged")]
    return [_MISSING, _MISSING, number("≤ 0.1") if name == "sigmoid" else _MISSING]


def _comparison(view: dict, labels: dict[str, str], title: str, record: dict, language: str) -> HTML:
    """A table of our own measures, a row for each of the labelled networks."""
    keys = (
        "network",
        "learning rate head",
        "steps to",
        "times fewer",
        "times fewer near",
        "best validation",
        "final test",
    )
    rows = [[label, *_measures(view, name, language)] for name, label in labels.items()]
    return _table(title, _head(keys, view, language), rows, _table_note(view, language), record, language)


def _head(keys: tuple[str, ...], view: dict, language: str) -> list[str]:
    targets = {"target": _target(view), "near": _target(view, NEAR)}
    return [words(language)(key).format(**targets) for key in keys]


def _table_note(view: dict, language: str) -> str:
    numbers = {"target": _target(view), "near": _target(view, NEAR), "share": number(f"{100 * NEAR:.0f}%")}
    return pick(TITLES["table note"], language).format(interval=_INTERVAL, **numbers)


def _table(title: str, head: list[str], rows: list[list[str]], note: str, record: dict, language: str) -> HTML:
    """A title that says what is seen, the table, the size of the run and a note."""
    above = show.text(f"<strong>{title}</strong>", language)
    below = show.text(f"<small>{show._size(record, language)} {note}</small>", language)
    return HTML(above.data + show.table(head, rows, record, language).data + below.data)


def _listed(items: list[str], language: str) -> str:
    return ("، " if language == "ar" else ", ").join(items)


# ---- Panels ----------------------------------------------------------------------------------------


def _panels(view: dict, labels: dict[str, dict[str, str]], language: str) -> tuple[tuple[Figure, str], ...]:
    """For each title the curves of the labelled networks, all on the same axes."""
    names = [name for of_panel in labels.values() for name in of_panel]
    longest = max((view["networks"][name]["steps"] for name in names), key=lambda steps: steps[-1])
    highest = max(image_claims.target(view), *(max(image_claims.peaks(view["networks"][name])) for name in names))
    panels = []
    with rc_context(fname=_STYLE):
        for title, of_panel in labels.items():
            axes = _panel(title, language)
            _curves(axes, view, of_panel, language)
            axes.set(ylim=(0, min(1.02, 1.12 * highest)), ylabel=words(language)("validation accuracy"))
            _steps_axis(axes, longest, language)
            _legend_below(axes, language)
            panels.append((axes.figure, _alt(title, view, of_panel, language)))
    return tuple(panels)


def _curves(axes: Axes, view: dict, labels: dict[str, str], language: str) -> None:
    """Mean over seeds with its interval, a mark where it comes to the target, a cross where a seed diverges."""
    level = image_claims.target(view)
    axes.axhline(level, color=_INK, linewidth=0.8, alpha=0.6, label=words(language)("inceptions best"))
    for name, label in labels.items():
        network, (colour, line, mark) = view["networks"][name], STYLES[name]
        mean, low, high = _band(network["validation"])
        axes.plot(network["steps"], mean, color=colour, linestyle=line, marker=mark, markevery=[], label=label)
        axes.fill_between(network["steps"], low, high, color=colour, alpha=0.12, linewidth=0)
        reached = float(np.mean(_steps(view, name)))
        if math.isfinite(reached):
            axes.plot(reached, level, mark, color=colour, markersize=7, zorder=4, clip_on=False)
        _crosses(axes, network, colour)


def _band(seeds: list[list[float | None]]) -> np.ndarray:
    """Mean over the seeds that have not diverged, and its 95% t-interval while none has, else NaN: (3, E)."""
    values = np.ma.masked_invalid(np.array(seeds, float))
    mean, n = values.mean(0).filled(np.nan), len(seeds)
    half = np.full(mean.shape, np.nan)
    if n > 1:
        whole = values.count(axis=0) == n
        half[whole] = stats.t.ppf(0.975, n - 1) * stats.sem(values.data[:, whole])
    return np.stack([mean, np.clip(mean - half, 0, 1), np.clip(mean + half, 0, 1)])


def _crosses(axes: Axes, network: dict, colour: str) -> None:
    """Each divergence at its step, as high as the last accuracy of that seed."""
    for step, seed in zip(network["diverged"], network["validation"], strict=True):
        if step is not None:
            last = [accuracy for accuracy in seed if accuracy is not None][-1:]
            axes.plot(step, *last or [0], "x", color=colour, markersize=8, markeredgewidth=2, zorder=5, clip_on=False)


def _swept(found: dict, language: str) -> tuple[Figure, str]:
    """Final accuracy at each rate: points for the seeds, a line through their means, a ring at the chosen rate."""
    word, rates = words(language), found["rates"]
    labels = dict(zip(KINDS, _best_labels(language).values(), strict=True))
    with rc_context(fname=_STYLE):
        axes = _panel(word("panel rates"), language)
        for kind, label in labels.items():
            colour, line, mark = STYLES[kind]
            values = np.array(found[kind], float)  # a row for each rate; NaN for a seed that diverged
            means = values.mean(1)
            style = {"color": colour, "linestyle": line, "marker": mark, "markersize": 5}
            axes.plot(rates, means, label=label, **style)
            axes.plot(rates, values, ".", color=colour, alpha=0.5, markersize=4)
            lost = [rate for rate, mean in zip(rates, means, strict=True) if math.isnan(mean)]
            for rate in lost:
                axes.plot(rate, 0, "x", color=colour, markersize=8, markeredgewidth=2, clip_on=False)
            at = rates.index(found["chosen"][kind])
            axes.plot(rates[at], means[at], "o", color=colour, markersize=13, fillstyle="none", markeredgewidth=1.5)
        axes.plot([], [], "o", color=_INK, markersize=10, fillstyle="none", label=word("chosen"))
        axes.set(xscale="log", xlabel=word("learning rate"), ylabel=word("final validation accuracy"))
        axes.set_ylim(0, 1.12 * axes.dataLim.ymax)
        axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
        axes.xaxis.set_minor_locator(NullLocator())
        _legend_below(axes, language)
    chosen = [f"{label} \u2066{found['chosen'][kind]:g}\u2069" for kind, label in labels.items()]
    return axes.figure, f"{word('panel rates')}. {word('chosen')}: {_listed(chosen, language)}"


def _legend_below(axes: Axes, language: str) -> None:
    """Two columns under the axes, read from the right in Arabic."""
    handles, right = axes.get_legend_handles_labels()[0], {}
    if language == "ar":
        half = (len(handles) + 1) // 2
        empty = [Line2D([], [], linestyle="none", label=" ")] * (len(handles) % 2)
        handles, right = handles[half:] + empty + handles[:half], {"markerfirst": False, "alignment": "right"}
    axes.figure.set_size_inches(3.6, 3.5)
    options = {"ncols": 2, "fontsize": 8.5, "handlelength": 3.2, "columnspacing": 1.2}
    axes.figure.legend(handles=handles, loc="outside lower center", **options, **right)


def _alt(title: str, view: dict, labels: dict[str, str], language: str) -> str:
    """What the curves show, in words and numbers, for who cannot see them."""
    parts = []
    for name, label in labels.items():
        network = view["networks"][name]
        lost = sum(step is not None for step in network["diverged"])
        crosses = f" ({words(language)('diverged')} \u2066{lost}/{len(network['diverged'])}\u2069)" if lost else ""
        best = image_claims.peaks(network)
        mean = f" \u2066{100 * np.mean(best):.1f}%\u2069" if all(best) else ""
        parts.append(f"{label}{mean}{crosses}")
    return f"{title}. {words(language)('best accuracies')}: {_listed(parts, language)}"


def _cross_note(networks: dict, language: str) -> str:
    """What a cross means, where there is one."""
    diverged = any(step is not None for network in networks.values() for step in network["diverged"])
    return " " + pick(TITLES["cross note"], language) if diverged else ""
