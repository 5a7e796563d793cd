"""The figures of chapter 04 in both languages, from the smoke record and from numbers that are known."""

import copy
import re

import numpy as np
import pytest
import seen

from bn.lab.chapters.convolution import distributions, figures, tables
from bn.lab.chapters.convolution.findings import findings

DRAWN = {
    figures.shared: 2,
    figures.effective: 2,
    figures.placement: 2,
    distributions.densities: 4,
    distributions.moments: 2,
    distributions.moved: 1,
}


@pytest.fixture
def record(smoke_records) -> dict:
    return copy.deepcopy(smoke_records["convolution"])


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_every_figure_can_be_drawn_and_says_what_is_seen(record, draw, language):
    drawing = draw(record, language)
    assert len(drawing.panels) == DRAWN[draw]
    shown = [drawing.title, drawing.note, *(alt for _, alt in drawing.panels)]
    assert all(shown) and not re.search(r"[{}]|\bnan\b", " ".join(shown))
    assert drawing.trained is (draw is not figures.shared)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_picture_marks_the_values_that_share_and_is_read_from_the_right_in_arabic(record, language):
    units, maps = (panel.axes[0] for panel, _ in figures.shared(record, language).panels)
    marked = [len([p for p in axes.patches if p.get_alpha() is None]) for axes in (units, maps)]  # others are faint
    assert marked == [4, 4 * 16] and len(units.patches) == 32 and len(maps.patches) == 4 * 4 * 16
    assert bool(units.xaxis_inverted()) is (language == "ar")
    assert seen.has(seen.numbers(figures.shared(record, language).title), ["60", "60", "28×28", "47,040"], language)


def test_the_title_says_what_a_map_is_worth(record):
    layer = record["places"]["trained"][0]
    for seed, (mean, variance) in enumerate([(1_000.0, 4_000.0), (1_000.0, 4_000.0)]):
        layer["mean"][seed][0], layer["variance"][seed][0] = mean, variance
    layer["neighbours"] = [0.5, 0.7]
    title = seen.plain(figures.effective(record, "en").title)
    assert "has 47,040 values" in title and "of 1,000 [1,000, 1,000] independent" in title
    assert "as that of 4,000 [4,000, 4,000]: two neighbours are correlated by 0.6" in title
    panel, alt = figures.effective(record, "en").panels[0]
    curves = {tuple(line.get_ydata()) for line in panel.axes[0].lines}
    assert any(np.isclose(curve[0], 1_000 / 60) for curve in curves if len(curve) == 6)
    assert "layer of 28×28 places 16.7" in seen.plain(alt)


def test_the_place_is_compared_with_its_sign(record):
    for kind, (before, after) in {"relu": (0.95, 0.94), "sigmoid": (0.90, 0.92)}.items():
        for name, value in (("before", before), ("after", after)):
            record["accuracy"][kind][name]["final_test"] = [value, value]
    title = seen.plain(figures.placement(record, "en").title)
    assert "is +1.00 [+1.00, +1.00]" in title.replace("[1.00, 1.00]", "[+1.00, +1.00]")
    assert "with ReLUs and −2.00" in title
    assert seen.plain(findings(record, "en")[0]).endswith(title)
    rows = seen.rows(tables.placement(record, "en").data)[1:]
    assert len(rows) == 8 and rows[2].startswith("ReLU, BN after 0.3 94.00 [94.00, 94.00] +1.00")
    assert rows[1].endswith("95.00 [95.00, 95.00]")  # nothing to compare it with


def test_errors_are_drawn_in_percent_on_one_curve_for_each_place(record):
    axes = figures.placement(record, "en").panels[0][0].axes[0]
    expected = 100 - 100 * np.mean(record["accuracy"]["relu"]["before"]["test"], axis=0)
    assert axes.get_yscale() == "log" and len(axes.lines) == 4
    np.testing.assert_allclose(axes.lines[1].get_ydata(), expected)


def test_moments_have_a_mark_for_u_and_for_wu_in_each_row(record):
    drawing = distributions.moments(record, "en")
    axes = drawing.panels[0][0].axes[0]
    assert [seen.bare(label.get_text()) for label in axes.get_yticklabels()] == [
        "ReLU, no BN",
        "ReLU, with BN",
        "sigmoid, no BN",
        "sigmoid, with BN",
    ]
    ends = [seed[-1] for seed in record["shapes"]["relu"]["none"]["u"]["skewness"]]
    single = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert len(single) == 8 and single[0].get_xdata()[0] == pytest.approx(np.exp(np.mean(np.log(ends))))


def test_the_titles_of_distributions_are_their_estimates(record):
    for network in ("none", "before"):
        for kind, wu in (("relu", 0.25), ("sigmoid", 1.5)):
            of = record["shapes"][kind][network]
            for moment in ("skewness", "kurtosis"):
                of["u"][moment] = [[1.0], [1.0]]
                of["wu"][moment] = [[wu], [wu]]
    title = seen.plain(distributions.moments(record, "en").title)
    assert title.startswith("With BN and ReLUs, Wu has 25% of the skewness of u and 25% of its excess kurtosis; ")
    assert title.endswith("with sigmoids 150% and 150%.")
    record["shapes"]["relu"]["after"]["u"]["moved"] = [0.3, 0.3]
    record["shapes"]["relu"]["before"]["wu"]["moved"] = [0.1, 0.1]
    assert "changes 3 [3.00, 3.00] times as much" in seen.plain(distributions.moved(record, "en").title)


def test_a_network_that_diverged_can_be_drawn(record):
    """What was not finite stands as None."""
    for name in ("u", "wu"):
        of = record["shapes"]["relu"]["before"][name]
        of["skewness"][0][-1] = of["moved"][0] = of["unit"]["skewness"] = of["unit"]["kurtosis"] = None
        of["unit"]["density"] = [None] * len(of["unit"]["density"])
    for draw in (distributions.densities, distributions.moments, distributions.moved):
        assert draw(record, "en").title
