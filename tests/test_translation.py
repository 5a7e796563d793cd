"""The Arabic edition: nothing untranslated or fuzzy, nothing lost, and numbers that keep their order."""

import ast
import functools
import gettext
import re
import shutil
from collections import Counter
from pathlib import Path

import catalogues
import polib
import pytest
from babel import Locale
from bs4 import BeautifulSoup
from test_book import PAGES, ROOT, build

from bn.lab.show import errata, places

ALL = [*PAGES, "lab"]  # a page each, `claims` with the claims themselves, and what programs print

# ---- Catalogues ----------------------------------------------------------------------------------


@functools.cache
def extracted() -> Path:
    return catalogues.templates(ROOT / "build" / "smoke")


@functools.cache
def catalogue(page: str) -> polib.POFile:
    return polib.pofile(str(catalogues.ARABIC / f"{page}.po"))


@pytest.mark.parametrize("page", ALL)
def test_catalogue_is_complete(page):
    entries = catalogue(page)
    wanted = {(e.msgid, e.msgid_plural) for e in polib.pofile(str(extracted() / f"{page}.pot"))}
    assert {(e.msgid, e.msgid_plural) for e in entries if not e.obsolete} == wanted, (
        "run: snakemake --cores 1 catalogues"
    )
    assert [e.msgid for e in entries.untranslated_entries()] == []
    assert [e.msgid for e in entries if e.fuzzy] == []
    assert [e.msgid for e in entries.obsolete_entries()] == []


ISOLATED = re.compile(r"\$[^$]+\$|<bdi>.*?</bdi>|<[^>]*>|\{[\w:]+\}`[^`]*`|`[^`]*`|\]\([^)]*\)|\{\w+:[^}]*\}", re.S)
FRAGILE = re.compile(
    r"(?<![A-Za-z])[-−+±<>≤≥≈=~]\s?\d"  # a sign before a number changes sides; in SHA-256 it holds
    r"|\d\s?[%٪×^°⁰¹²³⁴-⁹⁻]|[%٪]\s?\d"  # so do a percentage, a product and a power
    r"|\d\s?[-–−:/]\s?\d"  # and the ends of a range change places
    r"|[٠-٩]"  # digits are Latin in the whole book
)


def bare(text: str) -> list[str]:
    """Pieces of an Arabic sentence that the bidirectional algorithm would reorder."""
    return [m.group() for m in FRAGILE.finditer(ISOLATED.sub(" ", text))]


@pytest.mark.parametrize("text", ["القيمة -3.5", "نحو 5×10⁶", "بلغت 97.3%", "بين 0.1–0.9", "عدد ٣"])
def test_bare_numbers_are_caught(text):
    assert bare(text)
    assert not bare(f"<bdi>{text}</bdi> ثم ${text}$ ثم `{text}` في عام 2015، القسم 4.1")


@pytest.mark.parametrize("page", ALL)
def test_numbers_in_arabic_are_isolated(page):
    texts = [text for entry in catalogue(page) for text in (entry.msgstr, *entry.msgstr_plural.values())]
    assert [(text, bare(text)) for text in texts if bare(text)] == []


@pytest.mark.parametrize("page", PAGES)
def test_numbers_that_programs_print_in_arabic_are_isolated(page):
    soup = BeautifulSoup((build() / "ar" / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
    for other in soup.select(".bn :is(svg, code)"):
        other.decompose()
    texts = [re.sub("[\u2066\u2068][^\u2069]*\u2069", " ", block.get_text(" ")) for block in soup.select(".bn")]
    assert [part for part in map(bare, texts) if part] == []


ROLE, MATH, LINK = r"\{([\w:]+)\}`", r"\$[^$]+\$", r"\]\(([^)]*)\)"


@pytest.mark.parametrize("page", ALL)
def test_nothing_is_lost_in_translation(page):
    for entry in catalogue(page).translated_entries():
        for pattern in (ROLE, MATH, LINK):
            there = Counter(re.findall(pattern, entry.msgid)) - Counter(["ar"] * 9)
            assert there <= Counter(re.findall(pattern, entry.msgstr)), entry.msgid
        cited = re.findall(r"\{cite:\w+\}`[^`]*`", entry.msgid)
        assert all(citation in entry.msgstr for citation in cited), entry.msgid


def test_catalogues_on_a_clean_tree_change_nothing(tmp_path):
    for path in catalogues.ARABIC.glob("*.po"):
        shutil.copy(path, tmp_path)
    catalogues.merge(extracted(), tmp_path)
    changed = [p.name for p in tmp_path.iterdir() if p.read_bytes() != (catalogues.ARABIC / p.name).read_bytes()]
    assert changed == []


def test_an_edited_english_sentence_turns_fuzzy_and_a_new_one_is_untranslated(tmp_path):
    """So that the test of completeness above fails: on a copy of the catalogue of programs."""
    shutil.copy(catalogues.ARABIC / "lab.po", tmp_path)
    pots = tmp_path / "pot"
    pots.mkdir()
    template = (extracted() / "lab.pot").read_text("utf-8")
    old = "Where these numbers come from"
    assert template.count(f'msgid "{old}"') == 1
    edited = template.replace(old, f"{old}, exactly") + '\nmsgid "Something new, never said before"\nmsgstr ""\n'
    (pots / "lab.pot").write_text(edited, "utf-8")
    catalogues.merge(pots, tmp_path)
    after = polib.pofile(str(tmp_path / "lab.po"))
    assert [entry.msgid for entry in after if entry.fuzzy] == [f"{old}, exactly"]
    assert [entry.msgid for entry in after.untranslated_entries()] == ["Something new, never said before"]
    assert old not in {entry.msgid for entry in after}


def said_in(source: str) -> tuple[set[str], set[str]]:
    """The sentences that a module hands to gettext, and those among them that Babel cannot see, in an f-string."""
    tree = ast.parse(source)
    hidden = {id(node) for outer in ast.walk(tree) if isinstance(outer, ast.JoinedStr) for node in ast.walk(outer)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _speaks(node.func)]
    found = [(node, arg.value) for node in calls for arg in node.args if isinstance(arg, ast.Constant)]
    texts = [(node, value) for node, value in found if isinstance(value, str)]
    return {value for _, value in texts}, {value for node, value in texts if id(node) in hidden}


def _speaks(function: ast.expr) -> bool:
    names = ("_", "N_", "words")
    if isinstance(function, ast.Call):  # words(language)("…")
        return isinstance(function.func, ast.Name) and function.func.id == "words"
    return getattr(function, "id", None) in names[:2] or getattr(function, "attr", None) == "ngettext"


def test_every_sentence_that_a_program_says_is_extracted():
    """Babel reads tokens: it misses a call in an f-string before Python 3.12, and one of a function's result always."""
    template = {text for e in polib.pofile(str(extracted() / "lab.pot")) for text in (e.msgid, e.msgid_plural)}
    for path in sorted(catalogues.LAB.rglob("*.py")):
        said, hidden = said_in(path.read_text("utf-8"))
        assert said <= template and not hidden, path


def test_every_sentence_of_the_errata_and_the_map_is_extracted():
    template = {entry.msgid: entry.comment for entry in polib.pofile(str(extracted() / "claims.pot"))}
    for text, whose in (*errata.sentences(), *places.sentences()):
        assert whose in template[text]


def test_a_sentence_that_babel_would_miss_is_noticed():
    source = 'a = words(language)("one")\nb = f"{_(\'two\')}"\n_.ngettext("three", "four", n)'
    assert said_in(source) == ({"one", "two", "three", "four"}, {"two"})


# ---- Counts --------------------------------------------------------------------------------------

FORMS = ("zero", "one", "two", "few", "many", "other")


def test_the_plural_of_the_catalogue_is_that_of_arabic():
    """The header's formula beside the Unicode consortium's rules, for every count up to 300."""
    header = catalogue("lab").metadata["Plural-Forms"]
    formula = re.search(r"plural=(.*?);?$", header)[1]
    assert "nplurals=6" in header
    for n in range(300):
        assert FORMS[_gettext_index(formula, n)] == Locale("ar").plural_form(n), n


def _gettext_index(formula: str, n: int) -> int:
    return gettext.c2py(formula)(n)


def test_a_count_has_all_six_forms_and_no_more_than_the_words_of_the_sentence():
    counted = [entry for entry in catalogue("lab") if entry.msgid_plural]
    assert counted
    for entry in counted:
        assert sorted(entry.msgstr_plural) == list(range(6)) and all(entry.msgstr_plural.values())
        for text in entry.msgstr_plural.values():
            assert set(re.findall(r"{\w+}", text)) <= set(re.findall(r"{\w+}", entry.msgid_plural)), entry.msgid


PLACEHOLDER = re.compile(r"{[^{}]*}")


@pytest.mark.parametrize("page", ["lab", "claims"])
def test_a_translation_has_the_placeholders_of_its_sentence(page):
    """No more, which would fail, and no fewer, which would lose a number; a count may be a word, as for one and two."""
    for entry in (entry for entry in catalogue(page) if not entry.msgid_plural):
        assert set(PLACEHOLDER.findall(entry.msgstr)) == set(PLACEHOLDER.findall(entry.msgid)), entry.msgid


# Digits and signs change places beside Arabic letters; those of a Latin word such as float64 do not.
LOOSE = re.compile(r"(?<![A-Za-z\d])\d|[%٪×÷=<>≤≥±−+√²ε-ωΑ-Ω]")
IN_BDI = re.compile(r"<bdi>[^<]*</bdi>")


def loose(text: str) -> list[str]:
    """Digits and signs of an Arabic sentence that stand in no isolate and in no placeholder."""
    return LOOSE.findall(PLACEHOLDER.sub(" ", IN_BDI.sub(" ", text)))


@pytest.mark.parametrize("page", ["lab", "claims"])
def test_every_digit_and_sign_that_programs_say_in_arabic_is_isolated(page):
    for entry in catalogue(page):
        for text in (entry.msgstr, *entry.msgstr_plural.values()):
            assert text.count("<bdi>") == text.count("</bdi>") == len(IN_BDI.findall(text))
            assert not re.search("[\u2066-\u2069]", text), "in catalogues an isolate is written <bdi>"
            assert loose(re.sub(r"\]\([^)]*\)", "", text)) == [], text


def test_the_search_for_loose_numbers_finds_them():
    assert loose("القيمة <bdi>3</bdi> ثم 4 و٥ وε بدقة float64 و{n}") == ["4", "٥", "ε"]


def test_every_sentence_of_the_programs_stands_where_the_catalogues_find_it():
    """In `_("…")`: what `words(language)("…")` says never reaches a translator."""
    hidden = re.compile(r'words\(\w+\)\(\s*[f"\']')
    files = (ROOT / "bn").rglob("*.py")
    assert [file.name for file in files if hidden.search(file.read_text("utf-8"))] == []
