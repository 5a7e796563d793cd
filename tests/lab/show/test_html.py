"""HTML by templates: whatever comes from a record is escaped, and each block has the direction of its language."""

import re
from dataclasses import replace

import pytest
import seen
from bs4 import BeautifulSoup
from markupsafe import Markup

from bn.lab import paths
from bn.lab.judge import replaced, statistics, verdicts
from bn.lab.judge.verdicts import Verdict
from bn.lab.show import html, pages, speech
from bn.lab.store import claims, records

SCRIPT = '<img src=x onerror="alert(1)">'


def soup(shown) -> BeautifulSoup:
    return BeautifulSoup(shown if isinstance(shown, str) else shown.data, "html.parser")


def poisoned(value):
    """A record whose every text carries a script, but for the names that programs look up."""
    if isinstance(value, dict):
        return {key: poisoned(part) for key, part in value.items()}
    if isinstance(value, list):
        return [poisoned(part) for part in value]
    return f"{value} {SCRIPT}" if isinstance(value, str) else value


@pytest.mark.parametrize("language", ["en", "ar"])
def test_what_stands_in_a_record_is_never_html(language):
    record = records.deciding("algorithm")
    record = record | {"provenance": poisoned(record["provenance"])}
    shown = html.errors(record, ["alg1-transform"], language)
    assert "<img" not in shown.data and "onerror" in soup(shown).get_text()


@pytest.mark.parametrize("language", ["en", "ar"])
def test_cells_titles_and_notes_are_escaped_and_markup_is_not(language):
    record = records.deciding("algorithm")
    cells = [[SCRIPT, Markup("{}<br>{}").format("a", SCRIPT)]]
    shown = html.table([SCRIPT], cells, record, language, title=SCRIPT, note=SCRIPT)
    assert "<img" not in shown.data and len(soup(shown).select("td br")) == 1
    assert "<img" not in html.text(SCRIPT, language, small=SCRIPT).data


@pytest.mark.parametrize("language", ["en", "ar"])
def test_a_result_is_escaped_and_says_how_large_its_run_is(language):
    record = records.deciding("algorithm")
    shown = html.result(SCRIPT, record, language)
    assert "<img" not in shown.data and soup(shown).strong.get_text() == SCRIPT
    assert speech.size(record, language) in soup(shown).small.get_text()


def test_a_result_says_of_which_run_it_is(monkeypatch):
    record = records.deciding("algorithm")
    assert speech.whose(record, "en") == "From the run that decides."
    assert speech.whose(record | {"sha256": "another"}, "en") == "From your own run."
    monkeypatch.setattr(records, "deciding", lambda experiment: None)
    assert speech.whose(record, "en").startswith("From your own run, since no run that decides")


def test_a_block_has_its_language_and_direction():
    for language, direction in (("en", "ltr"), ("ar", "rtl")):
        block = soup(html.text("x", language)).div
        assert (block["class"], block["lang"], block["dir"]) == (["bn"], language, direction)


def test_a_table_without_a_record_has_no_strip():
    assert not soup(html.table(["a"], [["b"]], None, "en")).select(".bn-provenance")
    assert soup(html.table(["a"], [["b"]], records.deciding("algorithm"), "en")).select(".bn-provenance")


def test_a_card_says_claim_value_interval_limit_and_verdict():
    record = records.deciding("training_speed")
    text = soup(html.cards(record, ["bnx5-14x"], "en")).get_text(" ").translate(dict.fromkeys(range(0x2066, 0x206A)))
    text = " ".join(text.split())
    claim = claims.ledger()["bnx5-14x"]
    assert claim.claim in text and f"section {claim.section}" in text
    assert "times fewer steps: 3.84 [3.51, 4.13] (≥ 3)" in text
    assert "MNIST, 1,000 steps, 5 seeds" in text and "reproduced at smaller scale" in text


@pytest.mark.parametrize("n", [1, 2, 3, 11])
def test_steps_and_seeds_agree_with_their_count(n):
    assert speech.seeds(n, "en").endswith(" seed" if n == 1 else " seeds")
    record = records.deciding("activations")
    asked = record["asked"] | {"seeds": list(range(n)), "steps": n}
    text = speech.size(record | {"asked": asked, "papers_own_size": False}, "en")
    assert f"{n}\u2069 step{'s' * (n > 1)}, " in text and f"{n}\u2069 seed{'s' * (n > 1)}." in text


def test_a_card_counts_the_seeds_that_its_claim_is_judged_by():
    record, verdict = records.deciding("activations"), verdicts.of_the_book(claims.ledger()["fig1a-accuracy"])
    first, *others = verdict.conditions
    fewer = replace(first, estimate=replace(first.estimate, n=5))
    sizes = [
        speech.found(replace(verdict, conditions=conditions), record, "en")["size"]
        for conditions in ((first, *others), (fewer, *others))
    ]
    assert [f"{n}\u2069 seeds" in size for n, size in zip((12, 5), sizes, strict=True)] == [True, True]


def test_an_estimate_can_only_be_said_in_a_known_form():
    record = records.deciding("activations")
    verdict = verdicts.of_the_book(claims.ledger()["fig1a-accuracy"])
    claim = replace(verdict.claim, found="{steps_ratio:loudly}")
    with pytest.raises(ValueError, match=r"an estimate can be said as .*'signed'.*, not as 'loudly'"):
        speech.found(replace(verdict, claim=claim), record, "en")


def test_of_shares_a_card_says_in_how_many_seeds_they_are_whole_with_the_exact_interval(monkeypatch):
    record = records.deciding("learning_rates")
    verdict = verdicts.of_the_book(claims.ledger()["high-lr-problems"])
    shares = statistics.mean([1.0] * 7 + [2 / 3])
    claim = replace(verdict.claim, found="{broken:whole of n}{broken:whole interval}")
    monkeypatch.setattr(verdicts, "estimates", lambda claim, record: {"broken": shares})
    (said,) = speech.found(replace(verdict, claim=claim), record, "en")["lines"]
    assert seen.bare(said) == "7/8 [47.3%, 99.7%]"


# ---- Verdicts by replaced rules, and claims without one ------------------------------------------

SMALL = ("no-fc-layers", "healthy-margin", "ensemble-steps", "alg1-transform")


@pytest.fixture
def small_ledger(monkeypatch):
    """A ledger of four claims: as stated, open, arithmetic and mathematics."""
    chosen = [claims.ledger()[name] for name in SMALL]
    monkeypatch.setattr(pages, "of_the_paper", lambda: chosen)


def test_a_card_and_the_ledger_show_what_was_decided_before_and_why(small_ledger):
    (earlier,), claim = replaced.of(claims.ledger()["ensemble-steps"]), claims.ledger()["ensemble-steps"]
    card = soup(html.cards(None, ["ensemble-steps"], "en"))
    row = soup(pages.ledger("en")).select_one("#claim-ensemble-steps")
    for shown in (card, row):
        before = shown.select_one(".bn-earlier")
        assert before.summary.select_one(".bn-verified").get_text() == "verified exactly"
        text = seen.bare(before.get_text())
        assert claim.replaced in text and earlier.verdict.claim.claim in text and earlier.verdict.claim.measure in text
        assert "times all images: 150 (≥ 145)" in text and "times all images: 150 (≤ 155)" in text
        assert [badge["class"][1] for badge in shown.select(".bn-verdict")].count("bn-consistent") == 1


@pytest.mark.parametrize("language", ["en", "ar"])
def test_what_has_no_rule_has_its_numbers_all_the_same(small_ledger, language):
    rows = soup(pages.ledger(language))
    found = {name: rows.select_one(f"#claim-{name}").select("td")[3] for name in SMALL}
    assert "1.25" in found["healthy-margin"].get_text() and "0.596" in found["healthy-margin"].get_text()
    assert "1,000" in found["no-fc-layers"].get_text()
    assert not found["healthy-margin"].select(".bn-small") and not found["alg1-transform"].select(".bn-small")
    assert len(found["ensemble-steps"].select(".bn-small li")) == 1


@pytest.mark.parametrize(("kind", "verdict", "says"), [("as stated", "stated", "authors"), ("open", "open", "decide")])
@pytest.mark.parametrize("record", [None, {"scale": "cpu"}])
def test_what_has_neither_a_rule_nor_a_number_says_so(kind, verdict, says, record):
    claim = replace(claims.ledger()["healthy-margin"], kind=kind, found=None)
    assert says in speech.found(Verdict(claim, verdict, (), False), record, "en")["lines"][0]


def test_every_verdict_of_the_paper_has_words_and_a_sign_of_its_own_beside_its_colour():
    css = (paths.ROOT / "book" / "_static" / "book.css").read_text("utf-8")
    styles = dict(re.findall(r"^\.bn-(\w+) \{ (--verdict: var\(--bn-\w+\); --sign: .*?) \}$", css, re.M))
    assert set(styles) == set(verdicts.OF_THE_PAPER)
    assert len({style.split("--sign: ")[1] for style in styles.values()}) == len(styles)
    assert len({speech.verdict(name, "en") for name in verdicts.OF_THE_PAPER}) == len(styles)


def test_the_tally_leaves_out_what_no_claim_has(small_ledger):
    shown = soup(pages.tally("en")).select("li")
    assert [(item["class"], item.b.get_text()) for item in shown] == [
        ([f"bn-{name}"], "1") for name in verdicts.OF_THE_PAPER if name in ("verified", "consistent", "stated", "open")
    ]


def test_a_card_says_whose_claim_it_is():
    claim = claims.ledger()["fig1a-accuracy"]
    assert speech.says(claim, "en") == "The paper says (section \u20664.1\u2069)"
    later = replace(claim, kind="later", by="Bjorck et al., 2018")
    assert speech.says(later, "en") == "\u2068Bjorck et al., 2018\u2069 on section \u20664.1\u2069"


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_ledger_has_a_row_for_every_claim_of_the_paper_and_none_for_others(language):
    rows = soup(pages.ledger(language)).select("tbody tr")
    wanted = [f"claim-{claim.id}" for claim in claims.ledger().values() if claim.kind not in ("later", "target")]
    assert [row["id"] for row in rows] == wanted
    counted = sum(int(item.b.get_text()) for item in soup(pages.tally(language)).select("li"))
    assert counted == len(wanted)


def test_a_part_of_a_page_is_drawn_from_the_record_that_decides():
    shown = soup(pages.part("en", "figure", "activations", "figure1"))
    assert len(shown.select(".bn-panels svg")) == 3
    with pytest.raises(KeyError, match="no chapter is called 'activation'"):
        pages.part("en", "figure", "activation", "figure1")
    seeds = records.deciding("activations")["asked"]["seeds"]
    assert ", ".join(f"\u2066{seed}\u2069" for seed in seeds) in shown.get_text()
