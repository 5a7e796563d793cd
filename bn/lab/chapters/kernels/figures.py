"""The two figures of notebook 11, from a record of the kernel benchmark: speed-ups, and bandwidth beside a copy."""

from math import log10
from statistics import median

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from bn.lab.chapters.kernels.cases import INFERENCE, LAYOUTS, TENSOR_PASSES
from bn.lab.show.numbers import isolated, left_to_right, number, superscript
from bn.lab.show.style import COLOURS, INK, Drawing, panel, styled
from bn.lab.show.words import N_, words

OPERATIONS = {  # as figures and tables write them
    "bn": "BN",
    "bn_relu": "BN+ReLU",
    "bn_add_relu": "BN+add+ReLU",
    INFERENCE: N_("BN+ReLU, inference"),
}
RIVALS = {
    "eager": (N_("torch eager"), "#d0660a", "o"),
    "compile": (N_("torch.compile"), "#7a5fb0", "D"),
    "compile-max": (N_("torch.compile, max-autotune"), "#7a5fb0", "*"),
}
MARKS = {"NCHW": (N_("bn, NCHW"), "o"), "NHWC": (N_("bn, NHWC"), "s"), "NC": (N_("bn, two dimensions"), "^")}
DIRECTIONS = {"forward": N_("BN+ReLU, forward"), "backward": N_("BN+ReLU, backward")}
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
_LEGEND = {"loc": "outside lower center", "ncols": 2, "fontsize": 8.5}


def speedup(record: dict, language: str) -> Drawing:
    """How many times as long as bn the others take, forward and backward together, tensor by tensor."""
    _, panels, ratios = words(language), [], {rival: [] for rival in RIVALS}
    with styled():
        for operation in ("bn_relu", "bn_add_relu"):
            cases = _cases(record, operation)
            if not cases:
                continue
            axes = panel(OPERATIONS[operation], language)
            axes.figure.set_size_inches(3.6, max(2.4, 1.2 + 0.19 * len(cases)))
            for rival, values in _ratios(axes, cases, language).items():
                ratios[rival] += values
            panels.append((axes.figure, OPERATIONS[operation] + ": " + _("times as long as bn")))
    return Drawing(tuple(panels), _speedup_title(ratios, language), _speedup_note(record, language), trained=False)


def bandwidth(record: dict, language: str) -> Drawing:
    """BN+ReLU: the bandwidth on two-pass bytes as a share of a copy's, by the size of the tensor."""
    _, panels, cases = words(language), [], _cases(record, "bn_relu")
    with styled():
        for direction, title in DIRECTIONS.items():
            axes = panel(_(title), language)
            _shares(axes, cases, direction, language)
            axes.figure.set_size_inches(3.6, 3.4)
            axes.figure.legend(**_LEGEND)
            panels.append((axes.figure, _(title) + ": " + _("share of a copy's bandwidth")))
    medians = {d: number(median(_of_copy(c, "bn", d) for c in cases)) for d in DIRECTIONS}
    title = _(
        "BN+ReLU reaches {forward} of a copy's bandwidth forward and {backward} backward (medians of {tensors})."
    ).format(tensors=_tensors(len(cases), language), **medians)
    note = _(
        "On {device}, {dtype}. Counted are the bytes of two passes over the input; whoever needs only one can "
        "rise to the upper line."
    ).format(**_where(record))
    return Drawing(tuple(panels), title, note, trained=False)


def tensor(shape: list[int], layout: str = "") -> str:
    """A shape as the book writes it: 32×64×112² NHWC."""
    *first, h, w = (*shape, None, None) if len(shape) == 2 else shape
    positions = "" if h is None else f"×{h}²" if h == w else f"×{h}×{w}"
    return "×".join(str(n) for n in first) + positions + (f" {layout}" if layout in LAYOUTS else "")


def _cases(record: dict, operation: str) -> list[dict]:
    """The measured cases of an operation in bfloat16, if there are any, where bn and torch eager both worked.

    The largest tensor comes first.
    """
    cases = [c for c in record["cases"] if c["operation"] == operation and c.get("candidates")]
    cases = [c for c in cases if all("both" in c["candidates"][name] for name in ("bn", "eager"))]
    cases = [c for c in cases if c["dtype"] == _dtype(record)]
    return sorted(cases, key=lambda case: (-case["tensor_bytes"], case["shape"], case["layout"]))


def _dtype(record: dict) -> str:
    return "bf16" if any(case["dtype"] == "bf16" for case in record["cases"]) else "fp32"


def _where(record: dict) -> dict[str, str]:
    return {"device": isolated(record["provenance"]["devices"][0]), "dtype": left_to_right(_dtype(record))}


def _tensors(n: int, language: str) -> str:
    return words(language).ngettext("{n} tensor", "{n} tensors", n).format(n=number(n))


def _of_copy(case: dict, name: str, direction: str) -> float:
    return case["candidates"][name][direction]["of_copy"][0]


def _ratios(axes: Axes, cases: list[dict], language: str) -> dict[str, list[float]]:
    """A row a case and in it a mark a rival, at its ratio; the ratios are returned."""
    _ = words(language)
    drawn = {rival: _rival(axes, cases, rival, 0.25 * (k - 1), language) for k, rival in enumerate(RIVALS)}
    axes.axvline(1, color=INK, linewidth=0.9)
    axes.set(xscale="log", xlabel=_("times as long as bn"), ylim=(len(cases) - 0.5, -0.5))
    axes.set_yticks(range(len(cases)), [tensor(case["shape"], case["layout"]) for case in cases], fontsize=7.5)
    low, high = axes.get_xlim()
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.figure.legend(**_LEGEND)
    return drawn


def _rival(axes: Axes, cases: list[dict], rival: str, shift: float, language: str) -> list[float]:
    """The marks of one rival, and the 10th to the 90th percentile of each; the medians are returned."""
    candidates = [(y + shift, case["candidates"].get(rival, {})) for y, case in enumerate(cases)]
    rows = [(y, candidate["both"]["ratio"]) for y, candidate in candidates if "both" in candidate]
    (name, colour, mark), heights, middles = RIVALS[rival], [y for y, _ in rows], [ratio[0] for _, ratio in rows]
    axes.hlines(heights, [r[1] for _, r in rows], [r[2] for _, r in rows], color=colour, linewidth=1.2)
    if rows:
        style = {"color": colour, "marker": mark, "linestyle": "none", "markersize": 4.5}
        axes.plot(middles, heights, label=words(language)(name), **style)
    return middles


def _speedup_title(ratios: dict[str, list[float]], language: str) -> str:
    _ = words(language)
    if ratios["compile"]:
        sentence = _(
            "Forward and backward, torch eager takes {eager} times as long as bn (the median of {tensors}), "
            "torch.compile {compile} times."
        )
    else:
        sentence = _("Forward and backward, torch eager takes {eager} times as long as bn (the median of {tensors}).")
    medians = {rival: number(median(values)) for rival, values in ratios.items() if values}
    return sentence.format(tensors=_tensors(len(ratios["eager"]), language), **medians)


def _speedup_note(record: dict, language: str) -> str:
    _ = words(language)
    note = _(
        "On {device}, {dtype}. To the right of the line bn is faster. Bars: the 10th and 90th percentile over rounds."
    ).format(**_where(record))
    if record["scale"] == "gpu":
        return note
    return note + " " + _("On a CPU bn takes torch's own kernels, so that a ratio near 1 is what to expect.")


def _shares(axes: Axes, cases: list[dict], direction: str, language: str) -> None:
    """Of each case the share of bn, marked by layout, and that of torch eager; lines at what passes allow."""
    _ = words(language)
    for layout, (name, mark) in MARKS.items():
        points = [(c["tensor_bytes"], _of_copy(c, "bn", direction)) for c in cases if c["layout"] == layout]
        if points:
            style = {"color": COLOURS["bn"], "marker": mark, "linestyle": "none", "label": _(name)}
            axes.plot(*zip(*points, strict=True), markersize=5, **style)
    others = [(c["tensor_bytes"], _of_copy(c, "eager", direction)) for c in cases]
    name, colour, _mark = RIVALS["eager"]
    axes.plot(*zip(*others, strict=True), "x", color=colour, markersize=5, label=_(name))
    two, one = (TENSOR_PASSES[way]["bn_relu"][list(DIRECTIONS).index(direction)] for way in ("two", "one"))
    for height, name in ((1, _("two passes")), (two / one, _("one pass"))):
        axes.axhline(height, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
        axes.annotate(name, (0.22, height), xycoords=("axes fraction", "data"), ha="left", va="bottom")
    axes.set(xscale="log", ylim=(0, 1.15 * two / one))
    axes.set(xlabel=_("bytes of the tensor"), ylabel=_("share of a copy's bandwidth"))
    axes.xaxis.set_major_formatter(FuncFormatter(_bytes))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.12)


def _bytes(value: float, _position: int) -> str:
    """A power of ten, in Unicode: in a string with Arabic, mathematics would come out reversed."""
    return f"10{superscript(round(log10(value)))}"
