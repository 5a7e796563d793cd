"""The figures, the table and the findings of section 3.4, from a record made by hand."""

import re

import numpy as np
import pytest
import seen

from bn.lab.chapters.regularization import figures, findings, tables
from bn.lab.show.style import svg

DRAWN = (figures.noise, figures.groups, figures.dropout, figures.shift, figures.penalty)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_everything_can_be_drawn_and_never_says_nan(made, language):
    shown = [*findings.findings(made, language), seen.words(tables.networks(made, language).data)]
    for draw in DRAWN:
        drawing = draw(made, language)
        assert drawing.trained and all(svg(*panel).startswith("<svg") for panel in drawing.panels)
        shown.append(seen.labels(drawing))
    assert not re.search(r"\bnan\b|None|inf\b|[{}]", " ".join(shown))


@pytest.mark.parametrize("language", ["en", "ar"])
def test_one_seed_has_no_interval_and_can_be_drawn(made, language):
    for part in ("own_rates", "same_rate", "groups", "own_groups"):
        for network in made[part].values():
            network |= {
                name: curves[:1] for name, curves in network.items() if isinstance(curves, list) and name != "steps"
            }
    made["noise"] |= {name: made["noise"][name][:1] for name in ("std", "penalty")}
    for network in made["population"].values():
        network |= {name: values[:1] for name, values in network.items()}
    shown = " ".join([*(seen.labels(draw(made, language)) for draw in DRAWN), *findings.findings(made, language)])
    assert not re.search(r"\bnan\b", shown)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_titles_have_the_estimates(made, language):
    numbers = {draw.__name__: [seen.bare(n) for n in seen.numbers(draw(made, language).title)] for draw in DRAWN}
    assert seen.has(numbers["noise"][:4], ["2", "4", "1,024", "16"], language)  # two of the four margins are below 0
    assert numbers["noise"][4] == "0.125"  # the root of 16 / 1,024
    english = language == "en"
    assert seen.has(numbers["groups"][:3] if english else numbers["groups"], ["16", "240", "+1.00"], language)
    assert seen.has(numbers["dropout"][0::2] if english else numbers["dropout"], ["+1.00", "−0.50"], language)
    assert seen.has(numbers["shift"][0::2] if english else numbers["shift"], ["0.70", "0.99"], language)
    assert any(n.startswith("−1.03") for n in numbers["penalty"][: 1 if english else None])


def test_curves_begin_at_the_first_evaluation_and_are_means_of_the_seeds(made):
    panels = [panel.axes[0] for panel, _ in figures.dropout(made, "en").panels]
    test, gap = ([line.get_ydata()[-1] for line in axes.lines] for axes in panels)
    assert test == pytest.approx([91, 92, 94, 93.5]) and gap == pytest.approx([9, 8, 6, 6.5])
    assert [line.get_xdata()[0] for line in panels[0].lines] == [10] * 4
    styles = {(line.get_color(), line.get_linestyle()) for line in panels[0].lines}
    assert len(styles) == 4 and len({colour for colour, _ in styles}) == 2


def test_the_law_is_drawn_beside_the_noise(made):
    axes = figures.noise(made, "en").panels[1][0].axes[0]
    *measured, law = (line.get_ydata() for line in axes.lines)
    assert law == pytest.approx(np.sqrt(1.5 / np.array([2, 4, 16, 64, 256, 1024])))
    assert len(measured) == 3 and measured[0][0] == pytest.approx(np.cbrt(1.01 * 1.02) / np.sqrt(2))


def test_a_size_that_adds_no_loss_in_some_seed_is_not_drawn(made):
    axes = figures.penalty(made, "en").panels[0][0].axes[0]
    assert list(axes.lines[0].get_xdata()) == [2, 4, 16, 64, 256]
    made["noise"]["penalty"][0][4] = -1e-9
    drawing = figures.penalty(made, "en")
    assert list(drawing.panels[0][0].axes[0].lines[0].get_xdata()) == [2, 4, 16, 64]
    assert drawing.title == "Large mini-batches add no loss that can be told from none."


@pytest.mark.parametrize(("points", "words"), [(0, "helps"), (-1, "shows no clear effect"), (-3, "does harm")])
def test_the_finding_says_what_the_interval_says(made, points, words):
    network = made["groups"]["16"]
    network["test"] = [[a + points / 100 for a in seed] for seed in network["test"]]
    _, noise = findings.findings(made, "en")
    assert f"The noise of the mini-batch {words}" in noise


def test_the_table_has_each_network_at_both_rates(made):
    rows = seen.rows(tables.networks(made, "en").data)[1:]
    assert len(rows) == 8
    assert rows[2].startswith("with BN (own best rate) 1 94.00 [91.52, 96.48] 6.00 [3.52, 8.48]")


def test_the_note_of_the_groups_names_the_highest_and_that_it_was_picked_afterwards(made):
    assert "that of 16, +1.00 [0.75, 1.25] points above the whole mini-batch; that this size" in seen.bare(
        figures.groups(made, "en").note
    )
    made["groups"]["16"], made["groups"]["240"] = made["groups"]["240"], made["groups"]["16"]
    assert figures.groups(made, "en").note.endswith("The whole mini-batch has the highest accuracy.")
