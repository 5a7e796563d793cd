"""The map of the paper: whole, leading to what there is, and silent on what there is not yet."""

import re

import pytest
from bs4 import BeautifulSoup
from test_book import markdown

from bn.lab import registry
from bn.lab.judge import verdicts
from bn.lab.show import pages, places
from bn.lab.store import claims, records

TWELVE = [  # as the design of the book has them
    *("algorithm", "motivation", "activations", "convolution", "learning_rates", "regularization"),
    *("inception", "training_speed", "ablations", "ensemble", "kernels", "since_then"),
]
OF_THE_PAPER = ["1", "2", "3", "3.1", "3.2", "3.3", "3.4", "4.1", "4.2", "4.2.1", "4.2.2", "4.2.3", "5", "A"]
PARTS = places.content()["parts"]
each_part = pytest.mark.parametrize("part", PARTS, ids=lambda part: part["part"][:40])


def wrong(names: tuple[str, ...], ids: set[str]) -> tuple[set[str], set[str]]:
    """The chapters and claims of the map that there are not, once all chapters are there."""
    if not set(TWELVE) <= set(names):
        return set(), set()
    wanted = {claim for part in places.content()["parts"] for claim in part["claims"]}
    return places.named() - set(names), wanted - ids


def rows(language: str, name: str) -> list:
    return BeautifulSoup(pages.part(language, name), "html.parser").select("tbody tr")


# ---- What there is -------------------------------------------------------------------------------


def test_every_section_is_there_once_and_every_claim_counted():
    assert [row["section"] for row in places.content()["sections"]] == OF_THE_PAPER
    assert {claim.section for claim in claims.ledger().values() if claim.of_the_paper} <= set(OF_THE_PAPER)


@pytest.mark.parametrize(
    ("word", "count"),
    [(f"Figure {n}:", 1) for n in ("1a", "1b", "1c", "2", "3", "4", "5")]
    + [(f"Algorithm {n}:", 1) for n in (1, 2)]
    + [("Table 1", 1), ("Table 2", 1), ("gradients", 1), ("whitening", 1), ("JJᵀ = I", 1), ("m′ = m · p · q", 1)],
)
def test_every_figure_and_algorithm_is_there(word, count):
    assert sum(word in part["part"] for part in PARTS) == count


@each_part
def test_a_part_is_complete(part):
    assert set(part) - {"anchor"} == {"part", "section", "chapter", "claims"}
    assert part["section"] in OF_THE_PAPER and part["chapter"] in TWELVE and part["claims"]
    link = places.link_of(part["chapter"], part.get("anchor", ""))
    if link and "anchor" in part:
        assert f"({part['anchor']})=" in markdown(link["href"].partition(".")[0])


def test_a_chapter_or_a_claim_that_there_is_not_is_an_error_once_all_are_there():
    assert wrong(registry.names(), set(claims.ledger())) == (set(), set())


def test_a_wrong_name_would_be_noticed(monkeypatch):
    known = {claim for part in PARTS for claim in part["claims"]}
    assert wrong(tuple(TWELVE), known) == (set(), set())
    assert wrong(tuple(TWELVE[:-1]), set()) == (set(), set()), "a chapter is still missing"
    other = {"part": "x", "section": "1", "chapter": "no_such", "claims": ["no-claim"]}
    monkeypatch.setitem(places.content(), "parts", [*PARTS, other])
    assert wrong(tuple(TWELVE), known) == ({"no_such"}, {"no-claim"})


# ---- The pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_map_has_a_row_for_each_part(language):
    found = rows(language, "map")
    assert len(found) == len(PARTS)
    for row, part in zip(found, PARTS, strict=True):
        cells, link = row.select("td"), places.link_of(part["chapter"], part.get("anchor", ""))
        assert len(cells) == 3 and all(cell["data-head"] and cell.get_text().strip() for cell in cells)
        assert [a["href"] for a in cells[2].select("a")] == ([link["href"]] if link else [])
        record = records.deciding(part["chapter"])
        if record:
            decides, command = f"book/records/{part['chapter']}/{record['scale']}.json", record["provenance"]["command"]
            assert [code.string for code in cells[2].select("code")] == [link["notebook"], decides, command]


def test_a_chapter_without_a_record_is_decided_by_its_own_run(monkeypatch):
    monkeypatch.setattr(records, "deciding", lambda name: None)
    cell = rows("en", "map")[0].select("td")[2]
    assert "the notebook's own run" in cell.get_text()
    assert cell.select("code")[-1].string == "papermill notebooks/03_activations.ipynb out.ipynb"


@pytest.mark.parametrize("language", ["en", "ar"])
def test_a_chapter_without_a_folder_has_no_link(language, monkeypatch):
    monkeypatch.setattr(registry, "names", lambda: ("algorithm",))
    claims.ledger.cache_clear()
    try:
        found = rows(language, "map")
        linked = [row.select("td")[2].find("a") is not None for row in found]
        assert linked == [part["chapter"] == "algorithm" for part in PARTS]
        assert {a["href"].partition("#")[0] for row in rows(language, "sections") for a in row.select("a")} == {
            "01_algorithm.html"
        }
    finally:
        claims.ledger.cache_clear()


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_sections_count_every_claim_of_the_paper(language):
    found = rows(language, "sections")
    assert len(found) == len(OF_THE_PAPER)
    counts = [int(b.string) if b else 1 for badge in found_badges(found) for b in [badge.b]]
    assert sum(counts) == len([claim for claim in claims.ledger().values() if claim.of_the_paper])
    of_41 = next(row for row, name in zip(found, OF_THE_PAPER, strict=True) if name == "4.1")
    verdict = verdicts.of_the_book(claims.ledger()["fig1a-accuracy"]).verdict
    assert of_41.select_one(f".bn-{verdict}")


def found_badges(found: list) -> list:
    return [badge for row in found for badge in row.select(".bn-verdict")]


def test_links_lead_to_pages_that_the_book_has():
    hrefs = {a["href"] for name in ("map", "sections") for row in rows("en", name) for a in row.select("a")}
    stems = {registry.notebook(name).stem for name in registry.names() if places.link_of(name)}
    assert {href.partition(".html")[0] for href in hrefs} <= stems


# ---- The catalogue -------------------------------------------------------------------------------


def test_every_sentence_is_one_for_the_translator():
    said = {text for text, _ in places.sentences()}
    assert said == {row["part"] for row in PARTS} | {row["title"] for row in places.content()["sections"]}
    assert not any(re.search("[{}]", text) for text in said)
