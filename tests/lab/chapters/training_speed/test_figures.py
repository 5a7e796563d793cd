"""The figures and tables of notebook 08, from a made-up record whose numbers are known beforehand."""

import re
from html import unescape

import numpy as np
import pytest
from bs4 import BeautifulSoup
from seen import bare

from bn.lab import paper, show
from bn.lab.chapters.training_speed import figures, findings, tables, views

DRAWINGS = (figures.figure2, figures.decay, figures.equal, figures.sweep)
TABLES = (tables.figure3, tables.divergence, tables.equal, tables.best, tables.throughput)
LOW, EVERY = 0.1, 10
each_language = pytest.mark.parametrize("language", ["en", "ar"])


def network(evaluations: int, level: float, starts: list[int], rate: float = 0.01, diverged=(None, None)) -> dict:
    """Two seeds that stay at `LOW` and are at `level` from evaluation `starts[seed]` on, until they diverge.

    Of five evaluations three are then at `level` two evaluations later: there the running median jumps.
    """
    steps = [EVERY * k for k in range(evaluations)]
    seeds = [
        [None if end is not None and step >= end else level if k >= start else LOW for k, step in enumerate(steps)]
        for start, end in zip(starts, diverged, strict=True)
    ]
    found = {"recipe": {"learning_rate": rate, "classes": 10}, "steps": steps, "diverged": list(diverged)}
    found |= {"validation": seeds, "seeds": [7, 8], "infinite": [end is not None for end in diverged]}
    return found | {"final_test": [seed[-1] for seed in seeds]}


def per_second(speed: float) -> dict:
    return {"steps_per_second": speed, "images_per_second": round(32 * speed)}


@pytest.fixture
def record() -> dict:
    """Inception is at its best, 40%, after 70 and 80 steps; BN-x5 is there after 20 and 30: 75 / 25 = 3 times sooner.

    BN-Baseline gets there in one seed, BN with sigmoids in none; without BN one seed or both diverge.
    """
    never = 99
    inception, bn_x5 = network(11, 0.4, [5, 6]), network(6, 0.5, [0, 1], 0.05)
    return {
        "experiment": "training_speed",
        "scale": "cpu",
        "dataset": "digits",
        "papers_own_size": False,
        "asked": {"steps": 100, "seeds": [7, 8], "pixels": 8, "batch": 32},
        "provenance": {
            **{"version": "0.1", "commit": "abc", "dirty": False, "devices": ["CPU"], "versions": {}, "seeds": [7, 8]},
            **{"compiled": [False], "runs": 2, "training_seconds": 1, "finished": "today", "code": "c"},
            **{"data_sha256": "d", "command": "papermill"},
        },
        "networks": {
            "inception": inception,
            "bn_baseline": network(11, 0.42, [3, never]),
            "bn_x5": bn_x5,
            "bn_x30": network(6, 0.6, [1, 1], 0.3),
            "bn_x5_sigmoid": network(6, 0.3, [2, 2], 0.05),
            "plain_x5": network(11, 0.3, [0, 0], 0.05, (30, None)),
            "plain_x30": network(11, 0.3, [never, never], 0.3, (10, 10)),
            "sigmoid": network(11, LOW, [0, 0]),
            "bn_x5_slow": network(11, 0.58, [1, 2], 0.05),
            "bn_x30_slow": network(11, 0.5, [2, 3], 0.3),
        },
        "equal": {
            "plain_x1": network(6, 0.3, [0, 0]),
            "plain_x5": network(6, 0.2, [0, 0], 0.05),
            "plain_x30": network(6, 0.2, [0, 0], 0.3, (None, 20)),
            "bn_x1": network(6, 0.45, [0, 0]),
            "bn_x5": bn_x5,
            "bn_x30": network(6, 0.35, [0, 0], 0.3),
        },
        "best": {"plain": inception, "bn": network(6, 0.55, [0, 0], 0.03)},
        "sweep": {
            **{"rates": [0.003, 0.01, 0.03], "seeds": [0, 1], "chosen": {"plain": 0.01, "bn": 0.03}},
            **{"plain": [[0.2, 0.2], [0.4, 0.4], [0.3, None]], "bn": [[0.3, 0.3], [0.4, 0.4], [0.5, 0.5]]},
        },
        "throughput": {
            name: per_second(speed)
            | {
                "rivals": {
                    "no_graph": per_second(speed / 4) | {"ratio": 4.0, "range": [3.9, 4.2]},
                    "first": per_second(speed / 2) | {"ratio": 2.0, "range": [1.9, 2.2]},
                    "tuned": per_second(speed / 1.25) | {"ratio": 1.25, "range": [1.2, 1.3]},
                }
            }
            for name, speed in (("inception", 12.0), ("bn_x5", 8.0))
        },
    }


def all_html(record: dict, language: str) -> str:
    drawings = [show.figure(draw(record, language), record, language) for draw in DRAWINGS]
    return "".join(html.data for html in [*drawings, *(table(record, language) for table in TABLES)])


def shown(html: str) -> str:
    """What a reader sees and what a screen reader says, provenance aside."""
    soup = BeautifulSoup(html, "html.parser")
    labels = " ".join(svg["aria-label"] for svg in soup.select("svg"))
    for hidden in soup.select("svg, .bn-provenance"):
        hidden.decompose()
    return bare(f"{labels} {soup.get_text(' ')}")


def plain(html: str) -> str:
    return bare(unescape(re.sub(r"<[^>]*>", "", html)))


def cells(html: str) -> dict[str, list[str]]:
    """The cells of each row, by the first of them."""
    rows = [
        [bare(cell.get_text(" ")) for cell in row.select("td")]
        for row in BeautifulSoup(html, "html.parser").select("tr")
    ]
    rows = [[" ".join(cell.split()) for cell in row] for row in rows]
    return {name: rest for name, *rest in filter(None, rows)}


@each_language
def test_everything_is_drawn_in_its_language_and_nothing_is_said_to_be_nan(record, language):
    html = all_html(record, language)
    assert html.count("<svg") == 7
    assert not re.search(r"\b(nan|inf|None)\b", plain(html) + shown(html))
    names = {"Inception", "BN", "Baseline", "x5", "x30", "Sigmoid", "scikit", "learn", "CPU", "float32"}
    names |= {"CUDA", "graph", "torch", "Clopper", "Pearson"}
    if language == "ar":
        assert set(re.findall(r"[A-Za-z]\w+", shown(html))) <= names
    else:
        assert not re.search(r"[\u0600-\u06ff]", shown(html))


@each_language
def test_the_findings_have_a_factor_where_every_seed_gets_there_and_the_seeds_of_the_high_rate(record, language):
    record["networks"]["plain_x5"]["infinite"] = [False, False]  # one of the two is at chance all the same
    sooner, high_rate = map(plain, findings.findings(record, language))
    bn_x5 = (70 / 20 * 80 / 30) ** 0.5
    assert all(factor in sooner for factor in (f"{bn_x5:.2f}", "14.76", "1/2", "2.33"))  # BN-Baseline: one of two
    assert high_rate.count("0/2") == high_rate.count("1/2") == 1


def test_the_title_of_figure_2_counts_the_steps(record):
    title = plain(figures.figure2(record, "en").title)
    assert title == "BN-x5 comes to Inception's best accuracy, 40.0%, after 25 steps; Inception itself after 75."


def test_the_title_of_figure_2_says_when_bn_x5_never_gets_there(record):
    record["networks"]["bn_x5"] = network(6, 0.3, [0, 0])
    title = plain(figures.figure2(record, "en").title)
    assert title.startswith("Networks with BN that come to Inception's best accuracy, 40.0%, in every seed: 1 of 4;")
    assert "does not come" in plain(tables.figure3(record, "en").data)


@each_language
def test_an_inception_that_diverges_at_once_is_no_opponent(record, language):
    """It can happen at a rate that is given by hand."""
    lost = network(11, 0.4, [5, 6], diverged=(None, 0))
    record["networks"]["inception"] = record["best"]["plain"] = lost
    html = all_html(record, language)
    assert not re.search(r"\b(nan|inf|None)\b", plain(html) + shown(html))
    assert html.count("there is nothing to compare with" if language == "en" else "فلا دقة تُقارَن بها") == 5


def test_figure_3_has_our_numbers_beside_the_papers(record):
    html = tables.figure3(record, "en").data
    rows = cells(html)
    title = "Inception takes 3.06 times as many steps as BN-x5 to its own best accuracy; in the paper 14.76"
    assert title in plain(html)
    assert [row[4] for row in rows.values()][:5] == ["1", "2.33", "14.76", "11.48", "never"]
    assert [row[6] for row in rows.values()][:5] == [str(paper.FIGURE_3[name][1]) for name in views.FIVE]
    # Seeds of Inception are at their best after 70 and 80 steps, of BN-x5 after 20 and 30: sqrt(70 / 20 · 80 / 30).
    assert re.fullmatch(r"3\.06 \[\S+, \S+\] 25 steps, 2/2", rows["BN-x5 rate 0.05, 2 seeds"][3])
    assert rows["Inception rate 0.01, 2 seeds"][3] == "1 75 steps, 2/2"
    assert rows["BN-x5 rate 0.05, 2 seeds"][5].startswith("50.0 [")
    assert rows["BN-x5 rate 0.05, 2 seeds"][7].startswith("50.0 [")
    assert len([name for name in rows if "(control)" in name]) == 5


def test_the_levels_of_figure_3_are_shares_of_inceptions_best(record):
    """BN-x5-Sigmoid stays at 34% from the first evaluation on: 85% of Inception's 40%."""
    record["networks"]["bn_x5_sigmoid"] = network(6, 0.34, [0, 0], 0.05)
    row = cells(tables.figure3(record, "en").data)["BN-x5-Sigmoid rate 0.05, 2 seeds"]
    # Inception jumps at 70 and 80 steps over all levels at once; BN is there after 20, the first median of five.
    assert row[0].startswith("3.74 [") and row[0].endswith("20 steps, 2/2")
    assert row[1:4] == ["never (2/2)"] * 3


def test_each_network_is_compared_with_inception_at_the_seeds_that_both_have(record):
    """A third seed of Inception and of BN-Baseline, which are at their best after 50 and 20 steps there."""
    networks = record["networks"]
    for name, level, start in (("inception", 0.4, 3), ("bn_baseline", 0.42, 0)):
        third = network(11, level, [start, start])
        for key in ("validation", "final_test", "diverged", "infinite"):
            networks[name][key] = networks[name][key] + third[key][:1]
        networks[name]["seeds"] = [7, 8, 9]
    record["asked"]["seeds"] = [7, 8, 9]
    rows = cells(tables.figure3(record, "en").data)
    assert rows["Inception rate 0.01, 3 seeds"][3] == "1 67 steps, 3/3"
    assert rows["BN-Baseline rate 0.01, 3 seeds"][3].endswith("2/3")
    assert rows["BN-x5 rate 0.05, 2 seeds"][3].startswith("3.06 [")
    drawing = figures.figure2(record, "en")
    assert "after 25 steps; Inception itself after 75." in plain(drawing.title)
    assert "Seeds: 3 of Inception, BN-Baseline; 2 of each of the others." in plain(drawing.note)
    assert "Seeds: 3 of Inception; 2 of each of the others." in plain(figures.equal(record, "en").note)
    for key in ("validation", "final_test", "diverged", "infinite"):  # more seeds than Inception has
        networks["plain_x5"][key] = networks["plain_x5"][key] * 2
    networks["plain_x5"]["seeds"] = [7, 8, 10, 11]
    note = plain(figures.figure2(record, "en").note)
    assert "Seeds: 4 of Inception ×5; 3 of Inception, BN-Baseline; 2 of each of the others." in note


def test_where_all_networks_have_the_seeds_that_were_asked_for_nothing_is_said_of_them(record):
    assert "eeds: 2" not in plain(figures.figure2(record, "en").note)
    record["asked"]["seeds"] = [7, 8, 9]
    assert "Each network has 2 seeds." in plain(figures.sweep(record, "en").note)
    assert "Each network has 2 seeds." in plain(figures.figure2(record, "en").note)


def test_the_caption_says_where_inceptions_own_best_falls_and_how_its_rate_was_chosen(record):
    """After 70 and 80 of 100 steps; t = 12.706 for two seeds, so half the interval is 64%, cut at the whole."""
    note = plain(figures.figure2(record, "en").note)
    assert "at its best after 75% of its steps [11%, 100%]; it was evaluated at every 10.0%." in note
    assert "Inception is 0.01, the best of a sweep on other seeds: 0, 1." in note and "Chance is 10.0%." in note


def test_the_result_tells_how_soon_bn_gets_there_or_in_how_many_seeds(record):
    found = plain(figures.result(record, "en"))
    assert found.startswith("BN-Baseline comes to Inception's best accuracy in 1/2 of the seeds; in the paper,")
    assert re.search(r"in 3\.06 \[\S+, \S+\] times fewer steps; in the paper, 14\.76\. With a decay as slow", found)
    assert found.endswith("BN-x5 comes to Inception's best accuracy, 40.0%, after 35 steps; Inception itself after 75.")
    for network in ("bn_x5", "bn_x5_slow"):
        del record["networks"][network]
    last = "BN-x5 is not trained yet. BN-x5, slow decay is not trained yet."
    assert plain(figures.result(record, "en")).endswith(last)


def test_a_table_says_how_many_seeds_its_own_rows_have(record):
    record["asked"]["seeds"] = [7, 8, 9]
    assert "100 steps, 2 seeds." in plain(tables.best(record, "en").data)


def test_infinite_and_at_chance_are_counted_apart(record):
    """At ×5 one of two seeds becomes infinite, the other ends at 30%; at ×30 both do; chance is 10%, the limit 15%."""
    html = tables.divergence(record, "en").data
    rows = cells(html)
    assert rows["Inception ×5 (control) rate 0.05, 2 seeds"][:2] == ["1/2 [1%, 99%]"] * 2
    assert rows["Inception ×30 (control) rate 0.3, 2 seeds"][:2] == ["2/2 [16%, 100%]"] * 2
    assert rows["BN-x5 rate 0.05, 2 seeds"][:2] == ["0/2 [0%, 84%]"] * 2
    title = "becomes infinite in 1/2 of the seeds and ends at chance in 1/2; BN-x5, at the same rate, in 0/2 and 0/2."
    assert title in plain(html)
    record["networks"]["plain_x5"] = network(11, 0.149, [0, 0], 0.05)
    assert "infinite in 0/2 of the seeds and ends at chance in 2/2" in plain(tables.divergence(record, "en").data)


def test_never_and_diverged_are_words_with_the_number_of_seeds(record):
    rows = cells(tables.figure3(record, "en").data)
    # After 50 steps and never, which counts the whole run, 100: sqrt(70 / 50 · 80 / 100).
    assert rows["BN-Baseline rate 0.01, 2 seeds"][3].startswith("1.06 [")
    assert rows["BN-Baseline rate 0.01, 2 seeds"][3].endswith("] 1/2")
    assert rows["BN-x5-Sigmoid rate 0.05, 2 seeds"][3] == "never (2/2)"
    assert rows["Inception, sigmoids (control) rate 0.01, 2 seeds"][3] == "never (2/2)"
    assert rows["Inception ×5 (control) rate 0.05, 2 seeds"][-1] == "diverged (1/2)"
    assert rows["Inception ×30 (control) rate 0.3, 2 seeds"][-1] == "diverged (2/2)"


def test_no_best_accuracy_is_shown_where_a_seed_diverged_before_it_came_to_one(record):
    """At ×5 after three evaluations, enough for a median; at ×30 after one, which counts as 0 and is not averaged."""
    rows = cells(tables.figure3(record, "en").data)
    assert rows["Inception ×5 (control) rate 0.05, 2 seeds"][5].startswith("30.0 [")
    assert rows["Inception ×30 (control) rate 0.3, 2 seeds"][5] == "diverged (2/2)"
    _, (_, alt) = figures.figure2(record, "en").panels
    assert "Inception ×5 30.0% (diverged" in bare(alt) and "Inception ×30 (diverged" in bare(alt)


def test_no_interval_of_an_accuracy_leaves_what_is_possible(record):
    """Two seeds far apart have a t-interval wider than the scale."""
    rows = cells(tables.figure3(record, "en").data)
    assert rows["BN-Baseline rate 0.01, 2 seeds"][5] == "26.0 [0.0, 100.0]"  # 0.42 and 0.1; the half width is 12.7 × 16


def test_a_cross_stands_where_a_seed_diverges_and_the_other_goes_on(record):
    (_, _), (controls, alt) = figures.figure2(record, "en").panels
    lines = controls.axes[0].get_lines()
    crosses = [(line.get_xdata()[0], line.get_ydata()[0]) for line in lines if line.get_marker() == "x"]
    assert crosses == [(30, 0.3), (10, LOW), (10, LOW)]
    (going,) = (line for line in lines if bare(line.get_label()) == "Inception ×5")
    assert np.asarray(going.get_ydata()) == pytest.approx([0.3] * 11)
    assert "diverged \u20661/2\u2069" in alt and "A cross" in figures.figure2(record, "en").note
    assert "A cross" not in figures.figure2(whole(record), "en").note


def whole(record: dict) -> dict:
    """The record with no divergence."""
    for name in views.CONTROLS:
        record["networks"][name] = network(11, 0.3, [0, 0])
    return record


def test_the_figure_of_decay_says_when_bn_x5_with_slow_decay_gets_there(record):
    drawing = figures.decay(record, "en")
    assert "BN-x5 comes to Inception's best accuracy, 40.0%, after 35 steps; Inception itself after 75" in bare(
        drawing.title
    )
    ((figure, _),) = drawing.panels
    labels = [bare(line.get_label()) for line in figure.axes[0].lines if not line.get_label().startswith("_")]
    assert labels[1:] == ["Inception", "BN-x5", "BN-x30", "BN-x5, slow decay", "BN-x30, slow decay"]
    record["networks"]["bn_x5_slow"] = network(11, LOW, [0, 0], 0.05)
    assert "BN-x5 does not come to Inception's best" in bare(figures.decay(record, "en").title)


@pytest.mark.parametrize("draw", [figures.figure2, figures.equal])
def test_panels_that_are_compared_have_the_same_axes(record, draw):
    axes = [figure.axes[0] for figure, _ in draw(record, "en").panels]
    assert axes[0].get_ylim() == axes[1].get_ylim() and axes[0].get_xlim() == axes[1].get_xlim()


def test_the_mark_stands_on_the_target_at_the_mean_steps(record):
    (figure, _), _ = figures.figure2(record, "en").panels
    points = {line.get_marker(): line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 1}
    found = {mark: (line.get_xdata()[0], line.get_ydata()[0]) for mark, line in points.items()}
    assert found == {"o": (75, 0.4), "D": (25, 0.4), "^": (30, 0.4)}  # the other two are not there in both seeds


def test_equal_schedules_are_told_apart_by_their_final_accuracies(record):
    title = plain(figures.equal(record, "en").title)
    assert title.endswith("45.0%, 50.0%, 35.0% with BN; 30.0%, 20.0%, diverged (1/2) without.")
    html = plain(tables.equal(record, "en").data)
    assert "in every seed at ×1, ×5 the rate" in html


def test_the_sweep_names_the_chosen_rates_and_warns_at_its_end(record):
    drawing = figures.sweep(record, "en")
    assert plain(drawing.title) == "The best rate is 0.01 for Inception and 0.03 for BN with all changes: 3 times that."
    assert "At the end of the sweep: 0.03." in plain(drawing.note)
    record["sweep"]["chosen"]["bn"] = 0.01
    assert "At the end" not in figures.sweep(record, "en").note


@each_language
def test_a_given_rate_is_said_to_be_given(record, language):
    record["sweep"] = {"rates": [], "chosen": {"plain": 0.02, "bn": 0.02}}
    drawing = figures.sweep(record, language)
    assert len(drawing.panels) == 1 and "0.02" in drawing.title
    assert "there was no sweep" in drawing.title or language == "ar"
    assert "The learning rate of Inception was given: 0.02." in plain(figures.figure2(record, "en").note)


def test_each_at_its_own_best_is_compared_with_inception(record):
    """BN is there after 20 steps: the running median needs three evaluations."""
    assert "Inception takes 3.74 times as many steps as BN" in plain(tables.best(record, "en").data)


def test_the_price_of_a_step_is_told(record):
    html = tables.throughput(record, "en").data
    assert "A step of BN-x5 takes 1.5 times as long here" in plain(html)
    soup = BeautifulSoup(html, "html.parser")
    rows = [[bare(cell.get_text()) for cell in row.select("td")] for row in soup.select("tr")]
    assert [row[1:] for row in rows if row[:1] == ["BN-x5"]] == [
        ["ours", "8", "256", "–"],
        ["ours, without a CUDA graph", "2", "64", "4 [3.9, 4.2]"],
        ["torch, tuned", "6.4", "205", "1.25 [1.2, 1.3]"],
        ["torch, as first written", "4", "128", "2 [1.9, 2.2]"],
    ]
    assert all(
        words in plain(html) for words in ("Without a CUDA graph, ", "Torch, tuned: ", "Torch, as first written")
    )


def test_an_early_record_has_the_simple_loop_alone(record):
    for speed in record["throughput"].values():
        del speed["rivals"]
        speed |= {"eager_steps_per_second": speed["steps_per_second"] / 2, "ratio": 2.0, "range": [1.9, 2.2]}
    html = tables.throughput(record, "en").data
    assert cells(html)["BN-x5"] == ["torch, as first written", "4", "128", "2 [1.9, 2.2]"]  # the last of two rows
    assert "graph" not in plain(html) and "tuned" not in plain(html)


def test_a_single_seed_has_no_interval(record):
    for part in ("networks", "equal", "best"):
        for found in record[part].values():
            for key in ("seeds", "validation", "final_test", "diverged", "infinite"):
                found[key] = found[key][:1]
    row = cells(tables.figure3(record, "en").data)["BN-x5 rate 0.05, 1 seed"]
    assert row[3] == "3.50 20 steps, 1/1"  # 70 / 20
    assert len(figures.figure2(record, "en").panels) == 2
