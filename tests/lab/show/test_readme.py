"""README.md says what the committed records say, no more and no older."""

import re

import pytest

from bn.lab import paths
from bn.lab.show import readme


def test_readme_has_the_numbers_of_the_records():
    text = readme.README.read_text(encoding="utf-8")
    assert readme.filled(text) == text, "run: python -m bn.lab.show.readme"
    assert {mark["kind"] for mark in readme.MARK.finditer(text)} == {"caption", "claims", "findings"}


def test_a_number_that_is_behind_is_noticed():
    text = readme.README.read_text(encoding="utf-8")
    old = re.sub(r"(?<=ends at )\d", "1", text, count=1)
    assert old != text and readme.filled(old) == text


def test_pictures_are_those_of_the_record():
    pictures = readme.pictures(readme.README.read_text(encoding="utf-8"))
    assert set(pictures) == {"figure1-en.svg", "figure1-ar.svg"}
    for name, drawn in pictures.items():
        committed = (paths.ROOT / "book" / "_static" / name).read_text(encoding="utf-8")
        assert _numbers(committed) == pytest.approx(_numbers(drawn), abs=0.01)


def _numbers(svg: str) -> list[float]:
    """All coordinates: the last digits may differ from one processor to the next."""
    return [float(number) for number in re.findall(r"(?<![\w.#-])-?\d+\.?\d*(?![\w])", svg)]
