"""The figures of section 4.1, from made-up records and from the smoke record."""

import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from bn.lab.chapters.activations import figures


def luminance(colour) -> float:
    """Relative luminance of WCAG 2.2."""
    c = np.array(to_rgb(colour))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("language", ["en", "ar"])
def test_every_number_of_the_grid_can_be_read(language):
    """At 102 accuracies: contrast of 4.5 to the cell, where a network has an accuracy."""
    accuracies = [[k / 100, k / 100] for k in range(101)] + [[None, None]]
    table = {"rates": list(range(1, 18)), "weight_stds": list(range(1, 7)), "steps": 10, "seeds": [0, 1]}
    drawing = figures.grid({"grid": table | {"plain": accuracies, "bn": accuracies}}, language)
    for panel, _ in drawing.panels:
        axes = panel.axes[0]
        cells = {tuple(path.get_extents().p0): colour for path, colour in _cells(axes)}
        assert len(axes.texts) == 101 and len(cells) == 102
        for text in axes.texts:
            x, y = text.get_position()
            light, dark = sorted(map(luminance, (cells[int(x), int(y)][:3], text.get_color())), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, text.get_text()


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


def test_the_table_of_settings_says_who_never_gets_there():
    networks = {"plain": network([LATE, NEVER]), "bn": network([SOON, LATE])}
    record = {"figure1": networks, "tuned": networks, "provenance": PROVENANCE, "dataset": "digits"}
    rows = re.findall("<tr><td>.*?</tr>", figures.settings(record, "en").data)
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
    for draw in (figures.figure1, figures.all_units, figures.drift, figures.grid, figures.tuned):
        drawing = draw(record, language)
        shown = [drawing.title, drawing.note, *(alt for _, alt in drawing.panels)]
        assert drawing.trained and all(shown) and not re.search("[{}]", " ".join(shown))
        assert all(bool(re.search("[\u0621-\u064a]", text)) is (language == "ar") for text in shown)


def _cells(axes):
    """The corner of each cell and its colour."""
    (mesh,) = axes.collections
    return zip(mesh.get_paths(), mesh.get_facecolors(), strict=True)
