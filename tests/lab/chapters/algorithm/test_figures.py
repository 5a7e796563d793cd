"""The figure of section 3 says what was measured, in both languages."""

import re

import pytest

from bn.lab.chapters.algorithm import figures, identities


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_sigmoid_and_its_line_speak_both_languages(language):
    measured = identities.measure(seeds=[0], m=3, features=1, eps=1e-5)
    drawing = figures.sigmoid_regime({"measured": measured}, language)
    assert not drawing.trained and len(drawing.panels) == 2
    shown = " ".join([drawing.title, drawing.note, *(alt for _, alt in drawing.panels)])
    assert "98.4%" in drawing.title and "80.7%" in drawing.title and not re.search("[{}]", shown)
    assert bool(re.search("[\u0621-\u064a]", shown)) is (language == "ar")
