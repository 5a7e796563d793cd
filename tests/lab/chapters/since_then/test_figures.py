"""The figures of chapter 12 from a record made up by hand, in both languages."""

import re

import numpy as np
import pytest
import seen

from bn.lab.chapters.since_then import figures
from bn.lab.chapters.since_then.findings import findings
from bn.lab.chapters.since_then.standing import standing
from bn.lab.show import style

DRAWN = {
    "shift": (3, "change 1.1 times as much with BN as without"),
    "landscape": (3, "varies 0.5 times as much with BN as without, the gradient 0.5 times"),
    "rates": (2, "BN gains +2.00 points of accuracy, at its own rate +10.00."),
    "small_batches": (2, "test error of BN is 5 times that with 32"),
    "products": (2, "begin at a ratio of 4, end at 1.02, and the accuracies +0.10 points apart"),
    "populations": (2, "add 41 points of error"),
}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("language", ["en", "ar"])
def test_every_figure_says_what_is_seen(name, language, made_up):
    panels, title = DRAWN[name]
    drawing = getattr(figures, name)(made_up, language)
    assert len(drawing.panels) == panels and drawing.trained
    shown = [drawing.title, drawing.note, *(alt for _, alt in drawing.panels)]
    assert all(shown) and not re.search("[{}]", " ".join(shown))
    if language == "en":
        assert title in seen.bare(drawing.title)


def lines(axes) -> dict:
    return {seen.bare(line.get_label()): np.array(line.get_ydata()).tolist() for line in axes.get_lines()}


def test_the_curves_are_the_means_of_the_seeds(made_up):
    made_up["small"]["bn"]["2"]["error"] = [40.0, 50.0, 66.0]
    axes = figures.small_batches(made_up, "en").panels[0][0].axes[0]
    assert lines(axes)["Batch Normalization"] == pytest.approx([52, 20, 10])
    assert len(lines(axes)) == 4
    made_up["averages"]["0.01"]["moving"] = [[0.1, 0.5, 0.9, 0.9, 0.9]] * 3
    gaps = lines(figures.populations(made_up, "en").panels[1][0].axes[0])
    assert gaps["momentum 0.01"] == pytest.approx([30, 0, 0, 0])


def test_the_first_panel_is_at_the_plain_networks_rate_and_the_last_at_each_networks_own(made_up):
    first, _, last = (panel.axes[0] for panel, _ in figures.shift(made_up, "en").panels)
    assert set(lines(first)) == {"plain", "BN, rate of plain", "BN and noise"}
    assert {"plain", "with BN", "BN and noise"} <= set(lines(last))


def test_the_finding_has_its_numbers(made_up):
    (said,) = findings(made_up, "en")
    assert "changes 1.10 [1.10, 1.10] times as much" in seen.bare(said)
    assert "needs 1.10 [1.10, 1.10] times the steps of BN and 0.37 [0.37, 0.37] times" in seen.bare(said)


def test_where_the_explanation_stands_follows_the_verdict(made_up):
    def said() -> str:
        return seen.bare(standing(made_up | {"rules": {}}, "en"))

    assert said().startswith(
        "By the measure of Santurkar et al. BN does not reduce covariate shift here, as they found."
    )
    assert "change 1.10 [1.10, 1.10] times as much" in said() and "reaches 90% in 0.37 [0.37, 0.37] times" in said()
    assert "Of the 10.00 [" in said() and "2.00 [" in said()
    for network in ("bn_equal", "bn"):
        made_up["deep"][network]["shift"] = [
            [value / 2 for value in seed] for seed in made_up["deep"][network]["shift"]
        ]
    assert said().startswith("By the measure of Santurkar et al. BN does reduce covariate shift here")
    assert "own rate they change 0.50 [" in said()
    made_up["scale"] = "smoke"
    assert "was not judged here" in said()


@pytest.mark.parametrize("name", DRAWN)
def test_one_seed_without_intervals_can_be_drawn(name, smoke_records):
    drawing = getattr(figures, name)(smoke_records["since_then"], "en")
    assert all("<svg" in style.svg(panel, alt) for panel, alt in drawing.panels)
