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
    "shift": (3, "the gradients change 1.1 times as much with BN as without"),
    "landscape": (3, "varies 0.5 times as much with BN as without, the gradient 0.5 times"),
    "rates": (2, "BN gains +2.00 points of accuracy, at its own rate +10.00."),
    "small_batches": (2, "5 times that with 32 in a fully-connected network, and 1.5 times in a convolutional one"),
    "products": (2, "begin at a ratio of 4, end at 1.02, and the accuracies +0.10 points apart"),
    "populations": (2, "by +41.00 points against those of all 32, in the convolutional network by +2.00."),
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
    made_up["averages"]["0.01"]["corrected"] = [[0.1, 0.5, 0.9, 0.9, 0.9]] * 3
    made_up["averages"]["0.01"]["moving"] = [[0.1, 0.2, 0.9, 0.9, 0.9]] * 3
    axes = figures.populations(made_up, "en").panels[1][0].axes[0]
    assert lines(axes)["momentum 0.01"] == pytest.approx([30, 0, 0, 0])
    assert axes.get_lines()[-1].get_ydata() == pytest.approx([60, 0, 0, 0])


def test_the_notes_say_which_rates_lie_at_an_end(made_up):
    def note(name: str) -> str:
        return seen.bare(getattr(figures, name)(made_up, "en").note)

    assert "Each rate is the best of 3 by 1 other seed." in note("small_batches")
    assert "None is at an end of those that were tried." in note("small_batches")
    assert "so that a better one may lie beyond: plain: the lowest." in note("rates")
    made_up["small"]["layer"]["2"]["rate"], made_up["maps"]["bn"]["32"]["rate"] = 0.03, 0.3
    made_up["separate"]["maps"]["32"]["rate"] = 0.3
    assert "beyond: (a) Layer Normalization with 2: the lowest; (b) Batch Normalization with 32: the highest." in note(
        "small_batches"
    )
    assert "beyond: convolutional, 2 at a time: the highest." in note("populations")
    made_up["ladder"]["rates"], made_up["ladder"]["seeds"] = [0.1, 0.3], [2100, 2101]
    assert "best of 2 by 2 other seeds. Of two rates each is at an end." in note("shift")


def test_the_first_panel_is_at_the_plain_networks_rate_and_the_last_at_each_networks_own(made_up):
    first, _, last = (panel.axes[0] for panel, _ in figures.shift(made_up, "en").panels)
    assert set(lines(first)) == {"plain", "BN, rate of plain", "BN and noise"}
    assert {"plain", "with BN", "BN and noise"} <= set(lines(last))


def test_the_finding_has_its_numbers(made_up):
    (said,) = findings(made_up, "en")
    assert "changes, on average over the training, 1.10 [1.10, 1.10] times as much" in seen.bare(said)
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
    assert said().startswith("By the measure of Santurkar et al. BN does reduce covariate shift here, in the size")
    assert "own rate they change 0.50 [" in said()
    made_up["scale"] = "smoke"
    assert "was not judged here" in said()


@pytest.mark.parametrize("name", DRAWN)
def test_one_seed_without_intervals_can_be_drawn(name, smoke_records):
    drawing = getattr(figures, name)(smoke_records["since_then"], "en")
    assert all("<svg" in style.svg(panel, alt) for panel, alt in drawing.panels)
