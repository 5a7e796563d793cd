"""The figures of section 4.1, from made-up records and from the smoke record."""

import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from bn.lab.chapters.activations import figures, tables, tolerance


def luminance(colour) -> float:
    """Relative luminance of WCAG 2.2."""
    c = np.array(to_rgb(colour))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("language", ["en", "ar"])
def test_every_number_of_the_grid_can_be_read(language):
    """At 102 accuracies: contrast of 4.5 to the cell, where a network has an accuracy."""
    accuracies = [[k / 100, k / 100] for k in range(101)] + [[None, None]]
    table = {"rates": list(range(1, 18)), "weight_stds": list(range(1, 7)), "steps": 10, "seeds": [0, 1]}
    network = {"test": accuracies, "area": accuracies}
    drawing = tolerance.grid({"grid": table | {"plain": network, "bn": network}}, language)
    for panel, _ in drawing.panels:
        axes = panel.axes[0]
        cells = {tuple(path.get_extents().p0): colour for path, colour in _cells(axes)}
        assert len(axes.texts) == 101 and len(cells) == 102
        for text in axes.texts:
            x, y = text.get_position()
            light, dark = sorted(map(luminance, (cells[int(x), int(y)][:3], text.get_color())), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, text.get_text()


DRAWN = (figures.figure1, figures.figure1_tuned, figures.all_units, figures.drift, figures.moving_averages)
DRAWN += (tolerance.grid, tolerance.rates, tolerance.weights)
PROVENANCE = {"version": "0", "commit": "0" * 10, "dirty": False, "code": "", "data_sha256": "", "devices": []}
PROVENANCE |= {"versions": {}, "compiled": [], "seeds": [0], "runs": 1, "training_seconds": 0}
PROVENANCE |= {"finished": "", "command": ""}


def network(validation) -> dict:
    """One that ends at 90% on test images and follows two units that do nothing."""
    steps, seeds = [10 * k for k in range(51)], range(len(validation))
    return {
        "steps": steps,
        "test": [[0.9] * 51 for _ in seeds],
        "validation": validation,
        "unit": {"seed": 0, "index": 7},
        "unit_percentiles": [[-1.0, 0.0, 1.0]] * 51,
        "learning_rate": 0.5,
        "weight_std": 0.01,
    }


def bare(text: str) -> str:
    """The text without its isolates, and with ordinary spaces."""
    return re.sub("[\u2066-\u2069]", "", text).replace("\xa0", " ")


SOON, LATE, NEVER = [0.97] * 51, [0.2] * 30 + [0.97] * 21, [0.2] * 51
TITLES = {
    "BN reaches 95% after 20 steps, the plain network after 320.": ([LATE, LATE], [SOON, SOON]),
    "BN reaches 95% after 20 steps; the plain network does not in all seeds.": ([LATE, NEVER], [SOON, SOON]),
    "Too short a run: neither network reaches 95% in all seeds.": ([NEVER, LATE], [SOON, NEVER]),
}


@pytest.mark.parametrize("title", TITLES)
def test_the_title_of_figure_1_says_which_networks_get_there(title):
    plain, bn = map(network, TITLES[title])
    drawing = figures.figure1({"figure1": {"plain": plain, "bn": bn}}, "en")
    assert bare(drawing.title) == title
    assert "unit 7 (plain) and unit 7 (BN)" in bare(drawing.note)
    assert bare(drawing.note).endswith("Rate 0.5, first weights of standard deviation 0.01.")


def test_a_caption_says_the_setting_of_each_network_where_they_differ():
    plain, bn = network([LATE]), network([SOON]) | {"learning_rate": 5.0, "weight_std": 0.3}
    note = bare(figures.figure1_tuned({"tuned": {"plain": plain, "bn": bn}}, "en").note)
    assert note.endswith("Rate 0.5 and first weights of standard deviation 0.01 without BN, 5 and 0.3 with BN.")


def test_the_title_of_the_drift_has_the_ratio_at_both_settings(smoke_records):
    drifting = {"drift_by_look": [[0.5] * 10] * 2, "steps": [0, 100], "learning_rate": 1.0, "weight_std": 0.1}
    drifting |= {f"drift_{name}": [1.0] * 2 for name in ("kolmogorov", "to_final", "later")}
    plain, bn, half = ({"drift": [[k, k, k]] * 2} | drifting for k in (4.0, 1.0, 2.0))
    record = {"figure1": {"plain": plain, "bn": bn}, "tuned": {"plain": plain, "bn": half}}
    title = bare(figures.drift(record, "en").title)
    assert "moves 0.25 times as far between two looks" in title and "and 0.5 times as far with each" in title


def test_the_title_of_the_moving_averages_has_the_largest_gap_of_the_first_momentum():
    network = {"look_steps": [20, 50, 100], "steps": [0, 100], "momenta": [0.1, 0.01], "population": [[0.9] * 3] * 2}
    network |= {"moving": [[[0.9, 0.88, 0.901], [0.1, 0.1, 0.1]]] * 2, "learning_rate": 0.5, "weight_std": 0.01}
    record = {"figure1": {"plain": network, "bn": network}}
    assert bare(figures.moving_averages(record, "en").title) == (
        "With momentum 0.1 moving averages are off by −2.00 percentage points at the most, after 50 steps, "
        "and by +0.10 at the end."
    )


def test_the_titles_of_tolerance_are_its_estimates():
    table = {
        "seeds": [7, 8],
        "steps": 100,
        "weight_std": 0.1,
        "rates": [0.5, 1.0, 2.0],
        "weight_stds": [0.1, 1.0, 10.0],
    }
    table |= {"own_rates": {"plain": 1.0, "bn": 2.0}}
    table |= {
        "plain": {"test": [[0.96, 0.96], [0.5, 0.5], [0.1, 0.1]]},
        "bn": {"test": [[0.97, 0.97]] * 2 + [[0.95] * 2]},
    }
    rates, weights = (
        getattr(tolerance, name)({"ladder": table, "spread": table}, "en") for name in ("rates", "weights")
    )
    assert bare(rates.title) == "The largest rate that still passes 95% is 2 with BN and 0.5 without."
    assert "varies by 2 percentage points with BN and by 86 without" in bare(weights.title)
    assert "plain at rate 1 and BN at rate 2" in bare(weights.note) and "2 seeds" in bare(weights.note)


def test_the_table_of_optimizers_has_a_row_for_each_network(smoke_records):
    shown = bare(tables.optimizers(smoke_records["activations"], "en").data)
    rows = re.findall("<tr><td>(.*?)</td>", shown)
    assert len(rows) == 8 and rows[:2] == ["SGD, plain", "SGD, with BN"]


def test_the_table_of_settings_says_who_never_gets_there():
    networks = {"plain": network([LATE, NEVER]), "bn": network([SOON, LATE])}
    record = {"figure1": networks, "tuned": networks, "provenance": PROVENANCE, "dataset": "digits"}
    rows = re.findall("<tr><td>.*?</tr>", tables.settings(record, "en").data)
    cells = [re.findall("<td>(.*?)</td>", bare(row)) for row in rows]
    assert [row[0] for row in cells] == [
        f"{name} ({setting})"
        for setting in ("The same setting", "Each at its own best")
        for name in ("plain", "with BN")
    ]
    assert cells[0][1:] == ["0.5, 0.01", "never (1/2)", "90.00 [90.00, 90.00]"]
    assert cells[1][2].startswith("170 [")


@pytest.mark.parametrize("language", ["en", "ar"])
def test_every_figure_speaks_both_languages(smoke_records, language):
    record = smoke_records["activations"]
    for draw in DRAWN:
        drawing = draw(record, language)
        shown = [drawing.title, drawing.note, *(alt for _, alt in drawing.panels)]
        assert drawing.trained and all(shown) and not re.search("[{}]", " ".join(shown))
        assert all(bool(re.search("[\u0621-\u064a]", text)) is (language == "ar") for text in shown)


def _cells(axes):
    """The corner of each cell and its colour."""
    (mesh,) = axes.collections
    return zip(mesh.get_paths(), mesh.get_facecolors(), strict=True)
