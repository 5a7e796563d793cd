"""The figures and tables of notebook 11 show what the record holds."""

import pytest

from bn.lab.chapters.kernels import figures, tables
from bn.lab.chapters.kernels.estimates import ESTIMATES


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_figures_show_the_record(synthetic, language):
    record = synthetic()
    drawing = figures.speedup(record, language)
    assert "2.5" in drawing.title and "1.5" in drawing.title and len(drawing.panels) == 2
    labels = [text.get_text() for text in drawing.panels[0][0].axes[0].get_yticklabels()]
    assert labels[0] == "32×64×112² NCHW" and labels[-1] == "60×100" and len(labels) == 25
    assert "1.2" in figures.bandwidth(record, language).title
    assert tables.targets(record, language).data.count("<tr>") == 1 + len(ESTIMATES)
    assert tables.cases(record, language).data.count("<tr>") == 1 + 150
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
    assert "<b>" not in tables.step(record | {"step": {"not_run": "<b>"}}, "en").data
