"""What notebook 07 shows of the counts."""

import re

import pytest

from bn.lab import show
from bn.lab.architectures import FIGURE_5
from bn.lab.chapters.inception import counts, figures
from bn.lab.store import claims


@pytest.fixture(scope="module")
def record():
    readings = counts.readings()
    trial = {"parameters": 1, "multiply_adds": 2, "before": 2.3, "after": 2.1, "reached": 1.0}
    provenance = {"version": "0", "commit": "0" * 10, "dirty": False, "code": "", "data_sha256": "", "devices": []}
    provenance |= {"versions": {}, "compiled": [], "seeds": [0], "runs": 1, "training_seconds": 0}
    provenance |= {"finished": "", "command": ""}
    return {
        "scale": "smoke",
        "dataset": "digits",
        "papers_own_size": False,
        "asked": {"steps": 3, "seeds": [0]},
        "rules": claims.rule_digests(),
        "rows": readings["figure 5 bn"],
        "totals": counts.totals(readings),
        "measured": counts.measure(readings),
        "trials": {"plain": [trial] * 2, "bn": [trial] * 2},
        "provenance": provenance,
    }


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_table_marks_what_differs_and_nothing_else(record, language):
    html = figures.table(record, language).data
    marks = [re.sub("<[^>]*>|[\u2066-\u2069]", "", mark).split()[-1] for mark in re.findall("<mark>.*?</mark>", html)]
    assert marks == ["2", "14×14×576", "14×14×608", "14×14×608", "7×7×1056"]
    assert html.count("<tr>") == 1 + len(FIGURE_5)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_every_claim_and_figure_speaks_both_languages(record, language):
    shown = show.cards(record, list(record["measured"]), language).data + figures.trials(record, language).data
    for draw in (figures.rows, figures.readings):
        drawing = draw(record, language)
        assert len(drawing.panels) == 2 and all(alt for _, alt in drawing.panels)
        shown += drawing.title + drawing.note
    assert not re.search(r"[{}]", re.sub("<[^>]*>", "", shown))
    assert bool(re.search("[\u0621-\u064a]", shown)) is (language == "ar")
    assert all(claims.ledger()[claim].found for claim in record["measured"])
