"""The figures, the table and the findings of section 3.4, from a record made by hand."""

import re

import numpy as np
import pytest
import seen

from bn.lab.chapters.regularization import figures, findings, penalty, tables
from bn.lab.show.style import svg

DRAWN = (figures.noise, figures.groups, figures.dropout, figures.shift, penalty.penalty)


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
    axes = penalty.penalty(made, "en").panels[0][0].axes[0]
    assert list(axes.lines[0].get_xdata()) == [2, 4, 16, 64, 256]
    made["noise"]["penalty"][0][4] = -1e-9
    drawing = penalty.penalty(made, "en")
    assert list(drawing.panels[0][0].axes[0].lines[0].get_xdata()) == [2, 4, 16, 64]
    assert drawing.title == "Large mini-batches add no loss that can be told from none."


def test_the_note_says_which_sizes_are_left_out_and_by_how_much_the_loss_is_lower_there(made):
    said = "1,024 examples, where it is lower in 3 of 3 seeds, by 1.0×10⁻⁶ to 1.0×10⁻⁶ nats."
    assert seen.bare(penalty.penalty(made, "en").note).endswith(said)
    made["noise"]["penalty"][0][1], made["noise"]["penalty"][0][5] = -0.25, -3e-6
    note = seen.bare(penalty.penalty(made, "en").note)
    assert "4 examples, where it is lower in 1 of 3 seeds, by 0.25 to 0.25 nats." in note
    assert note.endswith("in 3 of 3 seeds, by 1.0×10⁻⁶ to 3.0×10⁻⁶ nats.")
    for seed in made["noise"]["penalty"]:
        seed[1] = seed[5] = 0.1
    assert "Left out" not in penalty.penalty(made, "en").note


def test_the_note_says_whether_the_power_of_the_law_is_in_the_interval(made):
    assert "the power contains −1, the law of Luo" in seen.bare(penalty.penalty(made, "en").note)
    for seed in made["noise"]["penalty"]:
        seed[4] /= 10
    assert "the power leaves out −1, the law of Luo" in seen.bare(penalty.penalty(made, "en").note)


@pytest.mark.parametrize(
    ("points", "words"), [(0, "raises the"), (-1, "has no clear effect on the"), (-3, "lowers the")]
)
def test_the_finding_says_what_the_interval_says(made, points, words):
    network = made["groups"]["16"]
    network["test"] = [[a + points / 100 for a in seed] for seed in network["test"]]
    _, noise = map(seen.bare, findings.findings(made, "en"))
    assert f"statistics of 16 examples in the place of 240 with all else the same, {words} test accuracy" in noise
    assert noise.endswith(
        "In comparisons with 240 that had not been planned the accuracy changes by −4.00 [−4.00, −4.00] points with "
        "statistics of 4, +0.50 [0.50, 0.50] points with statistics of 60."
    )


def test_the_note_of_the_groups_says_whose_best_rate_the_one_rate_is(made):
    assert "Alone, each of the two has its best rate there, too." in figures.groups(made, "en").note
    made["own_groups"]["240"]["rate"] = made["groups"]["240"]["rate"] = 1.0
    alone = "Alone, statistics of 16 have their best rate at 0.3 and those of 240 at 1"
    gain = "with each at its own best rate the change is"
    note = seen.bare(figures.groups(made, "en").note)
    assert f"{alone}, so that the one rate may favour those of 240; {gain} +0.00" in note
    made["groups"]["240"]["rate"], made["own_groups"]["240"] = 0.3, made["own_groups"]["240"] | {"rate": 1.0}
    assert "may favour those of 16" in seen.bare(figures.groups(made, "en").note)
    made["groups"]["240"]["rate"] = 3.0
    assert f"{alone}; {gain}" in seen.bare(figures.groups(made, "en").note)


def test_where_both_know_all_images_the_line_about_the_gap_adds_nothing(made):
    said = "every seed ends with all training images right"
    assert said in figures.groups(made, "en").note
    made["groups"]["16"]["train"][2][-1] = 0.999
    assert said not in figures.groups(made, "en").note


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
