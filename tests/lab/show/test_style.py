"""The style of figures: nothing of a reader's own settings gets in, and a picture takes its ink from the page."""

import re

import matplotlib
import pytest

from bn.lab.show import style
from bn.lab.show.style import panel, styled


def picture() -> str:
    with styled():
        axes = panel("A title", "en")
        axes.plot([0, 1, 2], [0.1, 0.4, 0.2], label="curve")
        style.steps_axis(axes, [0, 50_000], "training step")
        style.legend(axes, "en", "lower right")
    return style.svg(axes.figure, 'an "alt" <text>')


@pytest.mark.parametrize(
    "settings",
    [
        {"font.size": 30},
        {"savefig.transparent": False, "savefig.facecolor": "red"},
        {"svg.fonttype": "none", "axes.grid": False},
        {"axes.formatter.limits": (-1, 1), "xtick.labelsize": 40},
        {"savefig.bbox": "tight", "figure.dpi": 300, "savefig.dpi": 50},
    ],
    ids=str,
)
def test_a_readers_own_matplotlibrc_changes_no_byte(settings):
    usual = picture()
    with matplotlib.rc_context(settings):
        assert picture() == usual


def test_the_readers_settings_are_as_they_were_afterwards():
    with matplotlib.rc_context({"font.size": 30}):
        picture()
        assert matplotlib.rcParams["font.size"] == 30


def test_ink_is_the_pages_and_the_alternative_text_is_escaped():
    svg = picture()
    assert style.INK not in svg and "currentColor" in svg
    assert 'role="img" aria-label="an &#34;alt&#34; &lt;text&gt;"' in svg
    assert not re.search(r'<svg[^>]* (width|height)="', svg) and "<metadata>" not in svg
    assert not re.search(r"\d{4}-\d\d-\d\d", svg)
    assert "\n" not in svg  # a string of a notebook


def test_steps_are_written_in_the_papers_manner():
    assert [style.short(value, 0) for value in (0, 500, 10_000, 2_500)] == ["0", "500", "10K", "2.5K"]


def test_a_short_logarithmic_axis_has_plain_numbers():
    with styled():
        axes = panel("title", "en")
        axes.plot([0, 1], [0.4, 30])
        axes.set(yscale="log", ylim=(0.4, 30))
        style.plain_ticks(axes.yaxis)
        axes.figure.draw_without_rendering()
    labels = [label.get_text() for which in ("major", "minor") for label in axes.yaxis.get_ticklabels(which=which)]
    assert {"0.5", "1", "2", "5", "10", "20"} <= set(labels) and not {"3", "4", "30"} & set(labels)


def test_a_title_stands_where_reading_begins():
    for language, side in (("en", "left"), ("ar", "right")):
        axes = panel("title", language)
        assert axes.get_title(loc=side) == "title"


def test_a_panel_has_the_styles_size_or_its_own():
    with styled():
        usual, wide = panel("title", "en").figure, panel("title", "en", (9, 1)).figure
    assert tuple(usual.get_size_inches()) == (3.6, 2.9), "figure.figsize of book.mplstyle"
    assert tuple(wide.get_size_inches()) == (9, 1)


def test_arabic_reads_a_legend_from_the_right_and_down_the_first_column():
    for language, order in (("en", ["a", "b", "c"]), ("ar", ["c", " ", "a", "b"])):
        with styled():
            axes = panel("title", language)
            for name in "abc":
                axes.plot([0, 1], label=name)
            style.legend(axes, language, "upper left")
            style.legend_below(axes, language)
        (below,) = axes.figure.legends
        assert [text.get_text() for text in below.get_texts()] == order
        assert {legend.get_alignment() for legend in (axes.get_legend(), below)} == {
            "right" if language == "ar" else "center"
        }
