"""The style of every figure: colours, panels, axes and legends, and how a panel becomes SVG.

A figure function draws inside `with styled():` and returns a `Drawing`; nothing of a reader's own matplotlib settings
gets into it, neither while it is drawn nor while it is saved.
"""

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from markupsafe import escape
from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

INK = "#010203"  # what book.mplstyle draws text and axes with; in SVG it becomes the page's own colour
COLOURS = {"plain": "#d0660a", "bn": "#2080c8"}  # two networks, in the whole book; each readable on both pages
LINES = {"plain": (0, (4, 1.5)), "bn": "-"}
QUIET = "#808890"  # of what is not clear, such as an interval with zero in it
_HERE = Path(__file__).parent
for _font in sorted((_HERE / "fonts").glob("*.ttf")):
    font_manager.fontManager.addfont(_font)
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # Plex's bold is a 600, which is meant


@dataclass(frozen=True)
class Drawing:
    """Panels side by side, each with a text for who cannot see it; a title that says what is seen; a note.

    `part`: of the record, where what is shown has a size of its own, smaller than the paper's.
    """

    panels: tuple[tuple[Figure, str], ...]
    title: str
    note: str
    trained: bool = True  # it shows trained networks, so the size of the run must stand beside it
    part: str | None = None


@contextmanager
def styled() -> Iterator[None]:
    """The style of the book and nothing else: the file's settings over matplotlib's defaults."""
    with rc_context({"svg.hashsalt": "bn"}, fname=_HERE / "book.mplstyle"):  # salted: the same picture, the same bytes
        yield


def panel(title: str, language: str, size: tuple[float, float] | None = None) -> Axes:
    """The axes of a new panel, its title where reading begins; `size` in inches, else the style's own."""
    axes = Figure(size).subplots()
    axes.set_title(title, loc="right" if language == "ar" else "left")
    return axes


def steps_axis(axes: Axes, steps: list, label: str) -> None:
    """Training steps from 0 to the last, in the paper's manner."""
    axes.set(xlim=(0, steps[-1]), xlabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(short))


def plain_ticks(axis: Axis) -> None:
    """A logarithmic axis of one or two powers of ten, in plain numbers: 1, 2, 5, 10."""
    axis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:g}"))
    axis.set_minor_formatter(FuncFormatter(lambda value, _position: f"{value:g}" if f"{value:e}"[0] in "25" else ""))


def short(value: float, _position: int) -> str:
    """A tick in the paper's manner: 10K for 10,000."""
    return f"{value / 1000:g}K" if value >= 1000 else f"{value:g}"


def _reading(language: str) -> dict:
    """Matplotlib's options for a legend that is read from the right in Arabic."""
    return {"markerfirst": False, "alignment": "right"} if language == "ar" else {}


def legend(axes: Axes, language: str, place: str) -> None:
    """A legend inside the axes."""
    axes.legend(loc=place, **_reading(language))


def legend_below(axes: Axes, language: str, **options) -> None:
    """A legend of two columns under the axes; `options` are those of matplotlib."""
    handles = axes.get_legend_handles_labels()[0]
    if language == "ar":  # matplotlib fills the left column first
        half = (len(handles) + 1) // 2
        empty = [Line2D([], [], linestyle="none", label=" ")] * (len(handles) % 2)
        handles = handles[half:] + empty + handles[:half]
    options |= _reading(language)
    axes.figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8.5, **options)


def svg(figure: Figure, alt: str) -> str:
    """One panel as inline SVG that takes its ink from the page."""
    buffer = io.StringIO()
    with styled():
        # By the canvas itself: `savefig` draws twice, the first time to find the layout, which drawing finds anyway.
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text))
    text = re.sub(r"\s*\n\s*", " ", text).strip()  # a notebook keeps each line by itself, and is written at each cell
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1)
