"""Words by gettext: English as it stands, Arabic from the catalogues, counts that agree."""

import ast

import pytest
from babel import Locale
from babel.messages.pofile import read_po

from bn.lab import paths
from bn.lab.show import words as module
from bn.lab.show.words import Words, words

LABEL = "training step"


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    """A folder with catalogues of one's own; a function that writes them and gives the Arabic words."""

    def written(lab: str, claims: str = "") -> Words:
        head = (
            'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
            '"Plural-Forms: nplurals=6; plural=(n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : '
            'n%100>=11 ? 4 : 5);\\n"\n\n'
        )
        folder = tmp_path / "ar" / "LC_MESSAGES"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("lab", lab), ("claims", claims)):
            (folder / f"{name}.po").write_text(head + text, "utf-8")
        monkeypatch.setattr(paths, "LOCALE", tmp_path)
        return Words("ar")

    return written


def test_english_is_what_stands_in_the_program():
    _ = words("en")
    assert _(LABEL) == LABEL and _("never said anywhere") == "never said anywhere"
    assert [_.ngettext("{n} seed", "{n} seeds", n) for n in (0, 1, 2)] == ["{n} seeds", "{n} seed", "{n} seeds"]
    assert _.listed(["a", "b"]) == "a, b"


def test_arabic_comes_from_the_catalogues_in_the_order_that_is_asked(catalogue):
    _ = catalogue('msgid "a"\nmsgstr "أ"\n\n', 'msgid "a"\nmsgstr "خطأ"\n\nmsgid "b"\nmsgstr "ب"\n')
    assert (_("a"), _("b"), _("c")) == ("أ", "ب", "c")
    assert _.listed(["أ", "ب"]) == "أ، ب"


def test_nothing_is_said_as_nothing():
    assert words("ar")("") == words("en")("") == ""


def test_a_catalogue_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "LOCALE", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"the words of language 'ar' are in .*\.po, which is not there"):
        Words("ar")


def test_what_is_fuzzy_is_not_used(catalogue):
    assert catalogue('#, fuzzy\nmsgid "a"\nmsgstr "أ"\n')("a") == "a"


def test_marks_in_a_catalogue_become_isolates(catalogue):
    assert catalogue('msgid "a"\nmsgstr "قيمة <bdi>3×3</bdi> هنا"\n')("a") == "قيمة \u20663×3\u2069 هنا"


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 11, 99, 100, 102, 103, 110, 111, 1_000])
def test_a_count_takes_the_form_that_arabic_has_for_it(n):
    """The form of the real catalogue, beside the rules of the Unicode consortium."""
    with (paths.LOCALE / "ar" / "LC_MESSAGES" / "lab.po").open("rb") as file:
        forms = read_po(file).get(("{n} seed", "{n} seeds")).string
    form = forms[["zero", "one", "two", "few", "many", "other"].index(Locale("ar").plural_form(n))]
    assert words("ar").ngettext("{n} seed", "{n} seeds", n) == form


def test_every_catalogue_is_read_once():
    assert words("ar") is words("ar")
    assert set(module.CATALOGUES) == {"lab", "claims"}


def test_sentences_stand_in_calls_that_gettext_finds():
    """`words(language)("…")` would be looked up and never extracted: the sentence stays in English."""
    for path in sorted((paths.ROOT / "bn" / "lab").rglob("*.py")):
        for call in filter(lambda node: isinstance(node, ast.Call), ast.walk(ast.parse(path.read_text("utf-8")))):
            name = getattr(call.func, "func", None)
            literal = call.args and isinstance(call.args[0], ast.Constant)
            assert not (literal and isinstance(name, ast.Name) and name.id == "words"), f"{path}:{call.lineno}"
