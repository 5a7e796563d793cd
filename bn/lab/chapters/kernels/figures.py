"""The two figures of notebook 11, from a record of the kernel benchmark: speed-ups, and bandwidth beside a copy."""

from math import log10
from statistics import median

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from bn.lab.chapters.kernels import cases as kernel_cases
from bn.lab.show.figures import _STYLE, COLOURS, Drawing, _panel, number
from bn.lab.show.text import TITLES, pick, words

RIVALS = {"eager": ("#d0660a", "o"), "compile": ("#7a5fb0", "D")}
MARKS = {"NCHW": "o", "NHWC": "s", "NC": "^"}
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def speedup(record: dict, language: str) -> Drawing:
    """How many times as long as bn the others take, forward and backward together, tensor by tensor."""
    word, panels, found = words(language), [], {rival: [] for rival in RIVALS}
    with rc_context(fname=_STYLE):
        for operation in ("bn_relu", "bn_add_relu"):
            cases = _cases(record, operation)
            if not cases:
                continue
            axes = _panel(word(f"speedup {operation}"), language)
            axes.figure.set_size_inches(3.6, max(2.4, 1.2 + 0.19 * len(cases)))
            _ratios(axes, cases, found, language)
            panels.append((axes.figure, f"{word(f'speedup {operation}')}: {word('times as long')}"))
    key = "speedup" if found["compile"] else "speedup eager"
    medians = {rival: number(median(values)) for rival, values in found.items() if values}
    title = pick(TITLES[key], language).format(cases=number(len(found["eager"])), **medians)
    note = pick(TITLES["speedup note"], language).format(**_where(record), p10=number(10), p90=number(90))
    if record["scale"] != "gpu":
        note += " " + pick(TITLES["speedup cpu"], language).format(one=number(1))
    return Drawing(tuple(panels), title, note, trained=False)


def bandwidth(record: dict, language: str) -> Drawing:
    """BN+ReLU: the bandwidth on two-pass bytes as a share of a copy's, by the size of the tensor."""
    word, panels, cases = words(language), [], _cases(record, "bn_relu")
    two, one = (kernel_cases.TENSOR_PASSES[way]["bn_relu"] for way in ("two", "one"))
    with rc_context(fname=_STYLE):
        for k, direction in enumerate(("forward", "backward")):
            axes = _panel(f"BN+ReLU, {word(direction)}" if language == "en" else word(direction), language)
            for layout, mark in MARKS.items():
                points = [(c["tensor_bytes"], _of_copy(c, "bn", direction)) for c in cases if c["layout"] == layout]
                if points:
                    style = {"color": COLOURS["bn"], "marker": mark, "linestyle": "none", "label": word(f"bn {layout}")}
                    axes.plot(*zip(*points, strict=True), markersize=5, **style)
            others = [(c["tensor_bytes"], _of_copy(c, "eager", direction)) for c in cases]
            axes.plot(*zip(*others, strict=True), "x", color=RIVALS["eager"][0], markersize=5, label=word("eager"))
            for height, key in ((1, "two passes"), (two[k] / one[k], "one pass")):
                axes.axhline(height, color="#010203", linewidth=0.9, linestyle=(0, (3, 2)))
                axes.annotate(word(key), (0.22, height), xycoords=("axes fraction", "data"), ha="left", va="bottom")
            axes.set(xscale="log", ylim=(0, 1.15 * two[k] / one[k]))
            axes.set(xlabel=word("tensor bytes"), ylabel=word("of copy"))
            axes.xaxis.set_major_formatter(FuncFormatter(_bytes))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.margins(x=0.12)
            axes.figure.set_size_inches(3.6, 3.4)
            axes.figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)
            panels.append((axes.figure, f"BN+ReLU, {word(direction)}: {word('of copy')}"))
    found = {d: number(median(_of_copy(c, "bn", d) for c in cases)) for d in ("forward", "backward")}
    title = pick(TITLES["bandwidth"], language).format(cases=number(len(cases)), **found)
    return Drawing(
        tuple(panels), title, pick(TITLES["bandwidth note"], language).format(**_where(record)), trained=False
    )


def tensor(shape: list[int], layout: str = "") -> str:
    """A shape as the book writes it: 32×64×112² NHWC."""
    *first, h, w = (*shape, None, None) if len(shape) == 2 else shape
    places = "" if h is None else f"×{h}²" if h == w else f"×{h}×{w}"
    return "×".join(str(n) for n in first) + places + (f" {layout}" if layout in kernel_cases.LAYOUTS else "")


def _cases(record: dict, operation: str) -> list[dict]:
    """The measured cases of an operation, in the record's narrowest type, where bn and torch eager both worked."""
    cases = [c for c in record["cases"] if c["operation"] == operation and c.get("candidates")]
    cases = [c for c in cases if all("both" in c["candidates"][name] for name in ("bn", "eager"))]
    return [c for c in cases if c["dtype"] == _dtype(record)]


def _dtype(record: dict) -> str:
    return "bf16" if any(case["dtype"] == "bf16" for case in record["cases"]) else "fp32"


def _where(record: dict) -> dict[str, str]:
    return {"device": f"<bdi>{record['provenance']['devices'][0]}</bdi>", "dtype": f"<bdi>{_dtype(record)}</bdi>"}


def _of_copy(case: dict, name: str, direction: str) -> float:
    return case["candidates"][name][direction]["of_copy"][0]


def _ratios(axes: Axes, cases: list[dict], found: dict[str, list], language: str) -> None:
    word = words(language)
    for k, (rival, (colour, mark)) in enumerate(RIVALS.items()):
        rows = [(y, c["candidates"].get(rival, {})) for y, c in enumerate(cases)]
        rows = [(y, candidate["both"]["ratio"]) for y, candidate in rows if "both" in candidate]
        heights = [y + 0.3 * k - 0.15 for y, _ in rows]
        middles = [ratio[0] for _, ratio in rows]
        axes.hlines(heights, [r[1] for _, r in rows], [r[2] for _, r in rows], color=colour, linewidth=1.2)
        if rows:
            style = {"color": colour, "marker": mark, "linestyle": "none", "markersize": 4.5}
            axes.plot(middles, heights, label=word(rival), **style)
        found[rival] += middles
    axes.axvline(1, color="#010203", linewidth=0.9)
    labels = [tensor(case["shape"], case["layout"]) for case in cases]
    axes.set(xscale="log", xlabel=word("times as long"), ylim=(len(cases) - 0.5, -0.5))
    axes.set_yticks(range(len(cases)), labels, fontsize=7.5)
    low, high = axes.get_xlim()
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= t <= high]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)


def _bytes(value: float, _position: int) -> str:
    """A power of ten, in Unicode: in a string with Arabic, mathematics would come out reversed."""
    return f"10{str(round(log10(value))).translate(_SUPERSCRIPTS)}"
