"""The figures and tables of notebook 11 show what the record holds."""

import re

import pytest

from bn.lab.chapters.kernels import figures, tables
from bn.lab.chapters.kernels.estimates import ESTIMATES
from bn.lab.store import records


def bare(text: str) -> str:
    """Without isolates, and with plain spaces."""
    return re.sub("[\u2066-\u2069]", "", text).replace("\u00a0", " ")


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_figures_show_the_record(synthetic, language):
    record = synthetic()
    drawing = figures.speedup(record, language)
    assert "2.5" in drawing.title and "1.5" in drawing.title and len(drawing.panels) == 2
    labels = [text.get_text() for text in drawing.panels[0][0].axes[0].get_yticklabels()]
    assert labels[:2] == ["256×64×112² NCHW", "256×64×112² NHWC"] and labels[-1] == "60×100" and len(labels) == 25
    assert "1.2" in figures.bandwidth(record, language).title
    assert tables.targets(record, language).data.count("<tr>") == 1 + len(ESTIMATES)
    assert tables.cases(record, language).data.count("<tr>") == 1 + len(record["cases"])
    assert tables.times(record, language).data.count("<tr>") == 1 + len(record["cases"])
    assert tables.steps(record, language).data.count("<tr>") == 1 + 4
    assert tables.floors(language).data.count("<tr>") == 1 + 4
    assert "make gpu" in tables.status(None, language).data


def test_a_target_whose_rule_changed_is_marked(synthetic):
    record = synthetic()
    assert "the rule changed" not in tables.targets(record, "en").data
    record["rules"]["kernel-graph"] = None
    assert tables.targets(record, "en").data.count("<em>the rule or its estimator changed after this run</em>") == 1


def test_markup_of_a_record_is_escaped(synthetic):
    record = synthetic()
    record["cases"][0] = {k: v for k, v in record["cases"][0].items() if k != "candidates"} | {"not_run": "<b>"}
    record["cases"][1]["candidates"]["bn"] = {"not_run": 'ValueError: "<i>"'}
    data = tables.cases(record, "en").data
    assert "&lt;b&gt;" in data and "&lt;i&gt;" in data and "<b>" not in data and "<i>" not in data
    assert "<strong>The GPU benchmark has not been run</strong>, so this chapter" in tables.status(None, "en").data
    assert "<b>" not in tables.steps(record | {"step": {"not_run": "<b>"}}, "en").data
    assert "<b>" not in tables.precision(record | {"precision": {"not_run": "<b>"}}, "en").data


def test_a_target_says_how_many_of_its_cases_are_missing(synthetic):
    record = synthetic()
    assert "missing" not in tables.targets(record, "en").data
    record["cases"] = record["cases"][2:]  # of BN+ReLU
    record["rules"] = {}
    data = bare(tables.targets(record, "en").data)
    assert data.count("<em>missing: 2/10</em>") == 2 and data.count("<em>missing: 2/26</em>") == 2
    assert "changed after" not in data.split("<em>missing: 2/10</em>")[1].split("</tr>")[0], (
        "there is no verdict to mark"
    )


def test_the_kernels_that_are_the_same_call_are_not_timed_twice_and_said_to_be_the_same(synthetic):
    record = synthetic()
    assert tables.cases(record, "en").data.count("the same") == len(record["cases"])
    record["cases"][0]["candidates"]["triton"] = {
        "both": {"ratio": [0.71] * 3},
    }
    data = bare(tables.cases(record, "en").data)
    assert data.count("the same") == len(record["cases"]) - 1 and "0.71 <small>[0.71, 0.71]</small>" in data


def test_a_case_in_which_the_gpu_waited_for_python_is_marked(synthetic):
    record = synthetic()
    assert "waited for Python" not in tables.cases(record, "en").data
    record["cases"][0]["candidates"]["eager"] |= {"late": 0.3}
    data = bare(tables.cases(record, "en").data)
    assert "256×64×56² NCHW, bf16*" in data and data.count("bf16*") == 1 and "may have waited for Python" in data


def test_microseconds_stand_beside_what_two_passes_take_at_the_speed_of_a_copy(synthetic):
    """A copy of T reads and writes it in 10 microseconds; forward moves 3T, backward 5T, inference 2T."""
    rows = bare(tables.times(synthetic(), "en").data).split("<tr>")
    trained = next(row for row in rows if "BN+ReLU<" in row)
    inferred = next(row for row in rows if "BN+ReLU, inference" in row)
    assert [">15<" in trained, ">25<" in trained, ">10<" in inferred] == [True] * 3 and "–" in inferred


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_earlier_record_of_the_book_is_shown(language):
    """It has other candidates and fewer parts and cases than today's."""
    record = records.deciding("kernels")
    for show in (tables.targets, tables.precision, tables.steps, tables.times, tables.cases):
        assert record["provenance"]["devices"][0] in show(record, language).data, "every number names its card"
    for show in (figures.speedup, figures.bandwidth):
        assert "GPU" in show(record, language).note or "H100" in show(record, language).note
    assert record["provenance"]["devices"][0] in tables.status(record, language).data


def test_where_it_is_unknown_whether_files_were_changed_the_strip_does_not_say_that_they_were_not(synthetic):
    record = synthetic()
    record["provenance"] |= {"commit": "0123456789", "dirty": None}
    assert "commit 0123456789 (whether files were changed is unknown)" in bare(tables.targets(record, "en").data)
