"""The figures of section 3.3 from the smoke record and from changed ones, in both languages."""

import copy
import re

import numpy as np
import pytest

from bn.lab.chapters.learning_rates import figures, inside

DRAWN = {
    figures.rates: 1,
    figures.invariance: 2,
    figures.growth: 3,
    inside.activations: 2,
    inside.gradients: 2,
    inside.spectra: 2,
    inside.deepest: 1,
}


def bare(text: str) -> str:
    """The text without its isolates, and with ordinary spaces."""
    return re.sub("[\u2066-\u2069]", "", text).replace("\xa0", " ")


@pytest.fixture
def record(smoke_records):
    return copy.deepcopy(smoke_records["learning_rates"])


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_every_figure_is_drawn_in_both_languages(draw, language, record):
    drawing = draw(record, language)
    assert len(drawing.panels) == DRAWN[draw]
    shown = " ".join([drawing.title, drawing.note, *(alt for _, alt in drawing.panels)])
    assert drawing.title and drawing.note and not re.search("[{}]|nan", shown)
    for figure, _ in drawing.panels:
        (axes,) = figure.axes
        where = {"en": axes.get_title("left"), "ar": axes.get_title("right")}
        assert where[language] and axes.lines


def test_the_result_says_the_range_of_the_ratios_and_the_changes(record):
    record["rates"] |= {"depths": [2, 5], "rates": [1.0, 2.0], "firsts": ["he"], "seeds": [0, 1]}
    finite = np.ones((2, 2, 2), bool).tolist()
    record["rates"]["plain"] = {"he": {"test": [[[0.9] * 2, [0.1] * 2], [[0.1] * 2, [0.1] * 2]], "finite": finite}}
    record["rates"]["bn"] = {"he": {"test": np.full((2, 2, 2), 0.9).tolist(), "finite": finite}}
    said = bare(figures.result(record, "en"))
    assert said.startswith("A network with BN still learns at 2 to 4 times the highest rate of the plain network.")
    assert "at 5 hidden layers" in said
    title = bare(figures.rates(record, "en").title)
    assert title == "The highest rate that learns is higher with BN at each depth: ×2 at depth 2, ×4 at depth 5."
    record["rates"]["bn"]["he"]["test"][0][1] = [0.1, 0.9]
    title = bare(figures.rates(record, "en").title)
    assert title == "The highest rate that learns, with BN over without: ×1.4 at depth 2, ×4 at depth 5."


def test_the_factor_of_the_output_is_that_of_the_formula():
    a = np.array([-3.0, -0.01, 0.01, 1.0, 20.0])
    np.testing.assert_allclose(figures.factors(a, 0.0), np.sign(a))
    np.testing.assert_allclose(figures.factors(a, 1e-5), a * np.sqrt((1 + 1e-5) / (a**2 + 1e-5)))


def test_the_title_says_what_is_lost_at_small_weights(record):
    title = bare(figures.invariance(record, "en").title)
    assert title == "With ε = 1.0×10⁻⁵ and a = 0.01, 4.7% of the output is lost; a negative scale turns it around."


def test_weights_that_are_no_numbers_end_their_line_with_a_cross_and_are_told(record):
    looks = len(record["growth"]["at"])
    for network in ("plain", "bn"):
        for scale in record["growth"]["scales"]:
            record["growth"][network][str(scale)]["norm"] = [[float(scale)] * looks] * 2
    assert "times without" in figures.growth(record, "en").title
    record["growth"]["plain"][str(record["growth"]["scales"][-1])]["norm"] = [[5.0] + [None] * (looks - 1)] * 2
    drawing = figures.growth(record, "en")
    assert drawing.title.endswith("without it some are no numbers any more.")
    crosses = [[line.get_marker() for line in figure.axes[0].lines].count("x") for figure, _ in drawing.panels]
    assert crosses == [0, 1, 0]


def test_an_axis_is_for_the_values_of_all_seeds_and_not_for_what_is_none():
    axes = figures.panel("", "en")
    figures.within(axes, np.array([1.0, 100.0, np.nan]), np.array([0.0, np.inf, 10.0]))
    low, high = axes.get_ylim()
    assert 0.1 < low < 1 and 100 < high < 1000
