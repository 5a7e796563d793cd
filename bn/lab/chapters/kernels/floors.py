"""The figure and the table of what the compiler says of the kernels, and of the times that follow from it."""

from itertools import product

from IPython.display import HTML
from matplotlib.axes import Axes

from bn.lab.chapters.kernels.cases import LAYOUTS, Case
from bn.lab.chapters.kernels.figures import MARKS, tensor
from bn.lab.chapters.kernels.plan import LARGE, MIDDLE
from bn.lab.chapters.kernels.predicted import CARDS, ISSUING, Times, times
from bn.lab.show import html
from bn.lab.show.numbers import left_to_right, number
from bn.lab.show.style import COLOURS, INK, Drawing, panel, styled
from bn.lab.show.words import N_, words

CARD, DTYPE, OPERATION = "H100", "bf16", "bn_relu"
# The smallest tensors take less time than a launch: neither bytes nor instructions bound them.
CASES = [Case(shape, DTYPE, layout, OPERATION) for shape, layout in product(LARGE + MIDDLE, LAYOUTS)]
DIRECTIONS = {"forward": N_("BN+ReLU, forward"), "backward": N_("BN+ReLU, backward")}


def instructions(compiled: dict, language: str) -> Drawing:
    """How long the instructions of each pass take beside its bytes, each at full speed."""
    _, panels, most = words(language), [], 0.0
    with styled():
        for direction, title in DIRECTIONS.items():
            axes = panel(_(title), language, (3.6, 3.4))
            most = max(most, _marks(axes, compiled, direction, language))
            panels.append((axes.figure, _(title) + ": " + _("time of the instructions over that of the bytes")))
    share = number(float(f"{most:.2g}"))
    if most < ISSUING:
        title = _(
            "The instructions take at most {share} of the time of the bytes: it is memory that bounds the kernels."
        )
    else:
        title = _("The instructions take up to {share} of the time of the bytes: memory does not bound every kernel.")
    note = _(
        "Counted in the machine code for {card}, {dtype}; nothing was run. Instructions at the full rate of {card}, "
        "and the bytes of two passes at the speed of a copy. Right of the dashed line instructions would bound: "
        "earlier kernels reached half of the full rate."
    )
    names = {"card": left_to_right(CARD), "dtype": left_to_right(DTYPE)}
    return Drawing(tuple(panels), title.format(share=share), note.format(**names), trained=False)


def _marks(axes: Axes, compiled: dict, direction: str, language: str) -> float:
    """A row a shape and in it a mark a layout; the largest ratio is returned."""
    _, shapes, largest = words(language), [*LARGE, *MIDDLE], 0.0
    for layout in LAYOUTS:
        found = [_times(compiled, Case(shape, DTYPE, layout, OPERATION), direction) for shape in shapes]
        ratios = [t.instructions / t.bytes for t in found]
        name, mark = MARKS[layout]
        axes.plot(ratios, range(len(shapes)), mark, color=COLOURS["bn"], markersize=5, label=_(name), alpha=0.8)
        largest = max(largest, *ratios)
    axes.axvline(ISSUING, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
    axes.set(xlim=(0, max(1, 1.1 * largest)), ylim=(len(shapes) - 0.5, -0.5))
    axes.set_xlabel(_("time of the instructions over that of the bytes"))
    axes.set_yticks(range(len(shapes)), [tensor(list(shape)) for shape in shapes], fontsize=7.5)
    axes.figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)
    return largest


def _times(compiled: dict, case: Case, direction: str) -> Times:
    return times(case, direction, compiled["cases"][case.name][direction], CARDS[CARD])


def table(compiled: dict, language: str) -> HTML:
    """Registers, width of the reads, instructions a value, and the share of a copy's bandwidth that is predicted."""
    _ = words(language)
    head = [_("Tensor"), _("Registers"), _("Bytes a read"), _("Instructions a value, forward")]
    head += [_("Instructions a value, backward"), _("Predicted, forward"), _("Predicted, backward")]
    note = _(
        "Instructions: of the pass that sums, then of the pass that writes. Predicted: the share of a copy's bandwidth "
        "on {card}, on the bytes of two passes, where all comes from memory and where the second read is from the L2 "
        "cache."
    ).format(card=left_to_right(CARD))
    return html.table(head, [_row(compiled, case) for case in CASES], compiled, language, note=note)


def _row(compiled: dict, case: Case) -> list[str]:
    said = [compiled["cases"][case.name][direction] for direction in DIRECTIONS]
    registers = left_to_right(", ".join(str(s["registers"]) for s in said))
    counts = [left_to_right(" + ".join(f"{s['instructions'][k]:g}" for k in sorted(s["instructions"]))) for s in said]
    reads = number(min(s["load"] for s in said))
    return [left_to_right(tensor(list(case.shape), case.layout)), registers, reads, *counts, *_shares(compiled, case)]


def _shares(compiled: dict, case: Case) -> list[str]:
    """Of each direction the predicted share without and with the L2 cache."""
    found = [_times(compiled, case, direction) for direction in DIRECTIONS]
    ends = [sorted({f"{t.bytes / t.predicted:.2f}", f"{t.bytes / t.cached:.2f}"}) for t in found]
    return [left_to_right("–".join(pair)) for pair in ends]
