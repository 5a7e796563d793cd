"""README.md says what the committed records say, no more and no older."""

import re

import pytest

from bn.lab.show import figures
from bn.lab.show import readme
from bn.lab.store import records


def test_readme_has_the_numbers_of_the_records():
    text = readme.README.read_text(encoding="utf-8")
    assert readme.filled(text) == text, "run: python -m bn.lab.show.readme"


def test_pictures_are_those_of_the_record():
    record = records.committed("activations/paper")
    for language, path in readme.PICTURES.items():
        drawn = readme.poster(figures.figure1(record, language), language)
        assert _numbers(path.read_text(encoding="utf-8")) == pytest.approx(_numbers(drawn), abs=0.01)


def _numbers(svg: str) -> list[float]:
    """All coordinates: the last digits may differ from one processor to the next."""
    return [float(number) for number in re.findall(r"(?<![\w.#-])-?\d+\.?\d*(?![\w])", svg)]
