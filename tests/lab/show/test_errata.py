"""The errata page: every point, in order, with its numbers, in both languages."""

import re
import string

import pytest
from bs4 import BeautifulSoup

from bn.lab import paper
from bn.lab.judge import errata as arithmetic
from bn.lab.show import errata, pages
from bn.lab.show.words import Words

IDS = {
    "numbers": [f"A{i}" for i in range(1, 16)],
    "statements": [f"B{i}" for i in range(1, 23)],
    "labels": [f"C{i}" for i in range(1, 10)],
    "slips": [f"E{i}" for i in range(1, 13)],
}
EACH = [point for group in errata.points().values() for point in group]
each_point = pytest.mark.parametrize("point", EACH, ids=lambda point: point.id)


def shown(group: str, language: str = "en") -> BeautifulSoup:
    return BeautifulSoup(pages.part(language, "errata", group), "html.parser")


def plain(text: str) -> str:
    return re.sub("[\u2066-\u2069]", "", text).replace("\u00a0", " ")


def placeholders(point: errata.Point) -> list[str]:
    texts = point.says + point.paper + point.remark
    return [name for _, name, _, _ in string.Formatter().parse(texts) if name is not None]


# ---- What there is -------------------------------------------------------------------------------


def test_there_are_46_points_and_12_slips():
    assert {group: [point.id for point in points] for group, points in errata.points().items()} == IDS
    assert sum(map(len, IDS.values())) - len(IDS["slips"]) == 46


@each_point
def test_a_point_says_where_it_stands_and_is_written_out(point):
    if point.id.startswith("E"):
        assert re.fullmatch(r"\d(\.\d)*|A", point.section) and not point.documents
    else:
        assert point.documents and set(point.documents) <= set(errata.DOCUMENTS) and not point.section
    for text in filter(None, (point.says, point.paper, point.remark)):
        assert text.rstrip("”").endswith((".", "}")) and text == text.strip() and "  " not in text.replace("in  is", "")


@each_point
def test_every_name_in_braces_is_a_number(point):
    assert set(placeholders(point)) <= {*arithmetic.sums(), *arithmetic.values()}


def test_every_number_is_used():
    used = {name for point in EACH for name in placeholders(point)}
    assert {*arithmetic.sums(), *arithmetic.values()} - used == {"ensemble_top1"}  # of a row


@each_point
def test_no_result_of_a_computation_is_typed(point):
    """What is typed has no more digits than a section, a percentage of the paper or a size."""
    bare = re.sub(r"\{[^}]*\}|4\.2\.\d|1000", "", point.says + point.paper + point.remark)
    assert not re.search(r"\d\.\d\d|\d\.\d%|= ?\d|\d{4,}(?!\))", bare), bare


# ---- The page ------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("group", IDS)
def test_each_point_is_a_card_with_an_anchor(group, language):
    cards = shown(group, language).select(".bn-point")
    assert [card["id"] for card in cards] == [f"errata-{name}" for name in IDS[group]]
    for card, point in zip(cards, errata.points()[group], strict=True):
        assert card.h3.a["href"] == f"#{card['id']}" and card.h3.small.get_text()
        assert len(card.select("dd")) == 2 and all(dd.get_text().strip() for dd in card.select("dd"))
        assert len(card.select("p")) == bool(point.remark)
        assert not re.search(r"[{}]", card.get_text()), "a number is missing"


def test_numbers_stand_in_their_sentences():
    cards = {card["id"]: plain(card.get_text(" ")) for group in IDS for card in shown(group).select(".bn-point")}
    for name, text in {
        "A1": "31.0 / 13.3 = 2.33",
        "A5": "31.0 / 1.1 = 28.2",
        "A11": "0.001 / 0.0002 = 5",
        "B1": "for a = 5: 0.2000 times",
        "B8": "0.0015 × 30 = 0.045",
        "E3": "For a = 0.01 and ε = 0.00001, where Wu has variance 1, the normalized value is 4.7% too small",
        "E6": "4c: 160 + 160 + 160 + 128 = 608",
        "E8": "it has 11.19 to 11.29 million",
        "E9": "1.25 standard errors",
        "E10": "one expert on 1,500 images",
    }.items():
        assert text in cards[f"errata-{name}"]


def test_numbers_are_isolated_and_their_minus_is_one():
    text = shown("numbers").get_text()
    assert "\u206631.0\u00a0/\u00a013.3\u00a0=\u00a02.33\u2069" in text
    assert "\u20662.1\u00a0−\u00a02.1\u00a0=\u00a00.0\u2069" in text


def test_an_altered_number_of_the_paper_is_seen_on_the_page(monkeypatch):
    before = shown("numbers").get_text()
    monkeypatch.setitem(paper.FIGURE_3, "bn_baseline", (13.4, 72.7))
    assert shown("numbers").get_text() != before


def test_a_translated_sentence_has_the_same_numbers(monkeypatch):
    monkeypatch.setattr(Words, "__call__", lambda self, message: message.replace("needs", "<needs>"))
    assert "31.0 / 13.3 = 2.33" in plain(shown("numbers", "ar").select_one("#errata-A1").get_text())


def test_a_group_that_there_is_not_is_an_error():
    with pytest.raises(KeyError):
        pages.part("en", "errata", "others")


# ---- The tables ----------------------------------------------------------------------------------


def rows(table) -> list[list[str]]:
    return [[plain(cell.get_text()) for cell in row.select("td")] for row in table.select("tbody tr")]


def test_the_tables_of_the_documents_stand_beside_the_papers():
    one, two, four = shown("tables").select("table")
    assert rows(one) == [
        ["Inception", "31.0", "31.0", "1.00", "72.2", "72.2", "0.0015"],
        ["BN-Baseline", "2.1", "13.3", "2.33", "73.0", "72.7", "0.0015"],
        ["BN-x5", "2.1", "2.1", "14.76", "73.0", "73.0", "0.0075"],
        ["BN-x30", "1.1", "2.7", "11.48", "–", "74.8", "0.045"],
        ["BN-x5-Sigmoid", "–", "∞", "–", "–", "69.8", "0.0075"],
    ]
    assert [plain(mark.get_text()) for mark in one.select("mark")] == ["2.1", "73.0", "1.1"]
    assert rows(two) == [["Inception", "100", "–", "4.82"], ["BN-Inception", "6", "4.9", "4.82"]]
    assert [row[-1] for row in rows(four)] == ["6.67%", "7.96%", "7.42%", "5.98%", "7.82%", "5.82%", "4.9%"]
    assert "4.82%" in shown("tables").get_text()


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_tables_are_in_both_languages(language):
    assert len(shown("tables", language).select("table")) == 3


# ---- The catalogue -------------------------------------------------------------------------------


def test_every_sentence_is_one_for_the_translator():
    found = dict(errata.sentences())
    assert set(found) == {text for point in EACH for text in (point.says, point.paper, point.remark) if text}
    assert set(found.values()) == {f"errata {point.id}" for point in EACH}
