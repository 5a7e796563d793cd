"""The figures of chapter 02 in both languages, from a made-up record and from that of the smoke run."""

import pytest
import seen

from bn.lab.chapters.motivation import figures, normalizing
from bn.lab.show import html

DRAWN = (figures.saturation, figures.moving, figures.change)
DRAWN += (normalizing.bias, normalizing.outside, normalizing.inputs, normalizing.cost)
PANELS = {"saturation": 3, "moving": 3, "change": 2, "bias": 3, "outside": 3, "inputs": 2, "cost": 2}
languages = pytest.mark.parametrize("language", ["en", "ar"])


@languages
@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_it_is_drawn_with_axes_that_say_what_they_are(draw, language, made_up):
    drawing = draw(made_up, language)
    assert len(drawing.panels) == PANELS[draw.__name__]
    for panel, alternative in drawing.panels:
        assert panel.axes[0].get_xlabel() and panel.axes[0].get_ylabel() and alternative
    assert seen.numbers(drawing.title) and "{" not in drawing.title + drawing.note


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_it_is_drawn_from_a_run_too(draw, smoke_records):
    record = smoke_records["motivation"]
    assert "<svg" in html.figure(draw(record, "ar"), record, "ar").data


@languages
@pytest.mark.parametrize(
    ("draw", "numbers"),
    [
        (figures.saturation, ["+40.0", "16", "+10.0", "2", "0.01"]),
        (figures.change, ["1,000", "10", "6", "50"]),
        (normalizing.bias, ["200", "20", "0", "6.23"]),
        (normalizing.outside, ["0.299", "5.98", "0.399", "3.19"]),
        (normalizing.inputs, ["1,000", "[998,\u00a01,002]", "20", "[18,\u00a023]", "1"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_title_has_the_numbers_of_the_record(draw, numbers, language, made_up):
    assert seen.has(seen.numbers(draw(made_up, language).title), numbers, language)


@languages
def test_the_result_names_both_sides(language, made_up):
    found = seen.numbers(figures.result(made_up, language))
    sides = ["2", "1,000.00", "[1,000.00,\u00a01,000.00]", "6", "10.00", "[10.00,\u00a010.00]", "50"]
    sides += ["1,000", "[998,\u00a01,002]", "20", "1", "256", "79.7"]
    assert seen.has(found, sides, language)


def test_plain_and_bn_have_their_colours_and_the_ends_of_the_training_their_lines(made_up):
    axes = figures.saturation(made_up, "en").panels[0][0].axes[0]
    dotted, whole = ([line for line in axes.lines if (line.get_linestyle() == ":") == end] for end in (True, False))
    assert [line.get_color() for line in whole] == list(figures.COLOURS.values())
    assert whole[0].get_ydata() == pytest.approx([20, 25, 50]) and dotted[0].get_ydata() == pytest.approx([10] * 3)
    gradient = figures.saturation(made_up, "en").panels[1][0].axes[0]
    (small,) = (line for line in gradient.lines if line.get_color() == figures.QUIET)
    assert small.get_ydata()[1:] / small.get_ydata()[0] == pytest.approx([0.1, 1e-4])


def test_a_change_of_the_first_layer_has_a_line_with_a_band_and_one_of_all_layers_a_dotted_one(made_up):
    axes = figures.change(made_up, "en").panels[0][0].axes[0]
    lines = [line for line in axes.lines if line.get_color() == figures.COLOURS["bn"]]
    dotted, whole = sorted(lines, key=lambda line: line.get_linestyle() != ":")
    assert dotted.get_ydata()[-1] == pytest.approx(3 * whole.get_ydata()[-1]) and len(axes.collections) == 2


@languages
def test_notes_say_first_weights_and_all_rates(language, made_up):
    made_up["depth"]["gain"] = made_up["outside"]["gain"] = 7.0
    for draw, said in (
        (figures.saturation, ["7", "0.5", "1"]),
        (figures.moving, ["7"]),
        (figures.change, ["7"]),
        (normalizing.outside, ["7", "1", "0.3", "0.498", "0.698", "0.448", "0.598"]),
    ):
        found = seen.numbers(draw(made_up, language).note)
        assert not set(said) - set(found), draw.__name__


def test_where_a_network_diverged_the_rest_is_drawn(made_up):
    made_up["outside"]["networks"]["both_outside"]["loss"] = [[2.5, None]] * 3
    made_up["depth"]["plain"][1]["gradient_ratio"] = [[None, None]] * 3
    for draw in (figures.saturation, normalizing.outside):
        assert "<svg" in html.figure(draw(made_up, "en"), made_up, "en").data


def test_the_loss_of_knowing_nothing_is_drawn(made_up):
    for panel, _ in normalizing.outside(made_up, "en").panels[1:]:
        assert any(list(line.get_ydata()) == [pytest.approx(2.302585)] * 2 for line in panel.axes[0].lines)
