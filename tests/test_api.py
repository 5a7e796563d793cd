"""The page made from the docstrings: all of it, in both editions, in English, and its examples run."""

import doctest
import functools
import inspect
import json
import re
import types

import api
import polib
import pytest
from bs4 import BeautifulSoup
from sphinx.errors import ExtensionError
from test_book import ROOT, build
from test_translation import extracted

import bn
from bn.lab.show import numbers

FUNCTIONAL = {"batch_norm", "batch_norm_act"}  # what else bn.functional defines serves the layers
LANGUAGES = pytest.mark.parametrize("language", ["en", "ar"])


def documented() -> dict:
    """What the page has to show: all that `bn` exports, with the functions of the modules that it exports."""
    found = {f"bn.{name}": getattr(bn, name) for name in bn.__all__ if not name.startswith("_")}
    for path, module in [(p, m) for p, m in found.items() if inspect.ismodule(m)]:
        own = inspect.getmembers(module, lambda f, m=module: inspect.isfunction(f) and f.__module__ == m.__name__)
        names = {name for name, _ in own if not name.startswith("_")}
        names &= FUNCTIONAL if module is bn.functional else names
        found |= {f"{path}.{name}": getattr(module, name) for name in sorted(names)}
    return {path: value for path, value in found.items() if not inspect.ismodule(value)}


@functools.cache
def page(language: str) -> BeautifulSoup:
    return BeautifulSoup((build() / language / "api.html").read_text(encoding="utf-8"), "html.parser")


@LANGUAGES
def test_every_public_name_is_on_the_page(language):
    anchors = {dt["id"] for dt in page(language).select("dt.sig[id]")}
    assert set(documented()) <= anchors
    listed = [a["href"].removeprefix("#") for a in page(language).select(".bn-names dt a")]
    assert set(documented()) <= set(listed) <= anchors
    assert len(listed) == len(set(listed))


def test_every_public_name_has_its_own_docstring_and_an_example():
    own = {name: vars(v).get("__doc__") if inspect.isclass(v) else v.__doc__ for name, v in documented().items()}
    assert [name for name, docstring in own.items() if ">>> " not in (docstring or "")] == []


@LANGUAGES
def test_signatures_are_those_of_the_code(language):
    for path, value in documented().items():
        shown = [p.get_text().lstrip("*") for p in page(language).find("dt", id=path).select(".sig-param")]
        names = [re.split("[=:]", parameter)[0] for parameter in shown if parameter not in ("", "/")]
        assert names == [*inspect.signature(value).parameters], path


def test_a_long_signature_has_a_line_for_each_parameter():
    lines = page("en").find("dt", id="bn.functional.batch_norm_act").select("dl > dd")
    assert len(lines) == len(inspect.signature(bn.functional.batch_norm_act).parameters) + 1  # the star


@LANGUAGES
def test_docstrings_read_left_to_right_and_headings_as_the_page(language):
    blocks = page(language).select("article :is(dl.py, dl.bn-names)")
    assert blocks
    assert all(block.find_parent("div", dir="ltr", lang="en") for block in blocks)
    for own in page(language).select("article :is(h1, h2), article section > p"):
        assert own.find_parent(lang=True).name == "html"
        assert language == "en" or re.search("[ء-ي]", own.text)


def test_docstrings_are_the_same_in_both_editions():
    english, arabic = ([b.get_text() for b in page(x).select("dl.py dd > p, dl.py pre")] for x in ("en", "ar"))
    assert english == arabic


def test_docstrings_stay_out_of_the_catalogues():
    templates = [polib.pofile(str(pot)) for pot in extracted().glob("*.pot")]
    messages = " ".join(re.sub(r"[`\s]+", " ", entry.msgid) for template in templates for entry in template)
    assert "The package bn" in messages
    for block in page("en").select("dl.py dd > p"):
        assert " ".join(block.get_text(" ").split()) not in messages


def examples(block) -> str:
    return "\n".join(pre.get_text() for pre in block.select("pre"))


def test_no_example_is_left_outside_a_box():
    for block in page("en").select("dl.py"):
        assert block.get_text().count(">>> ") == examples(block).count(">>> ")
    assert not page("en").select("article blockquote")


@pytest.mark.parametrize("name", documented())
def test_examples_run_as_they_stand_on_the_page(name):
    names = {}
    for lines in page("en").select("article section > .highlight-python"):
        exec(lines.get_text(), names)
    names |= vars(inspect.getmodule(documented()[name]) if name.count(".") > 1 else bn)
    block = page("en").find("dt", id=name).parent
    test = doctest.DocTestParser().get_doctest(examples(block), names, name, None, None)
    assert test.examples
    complaints = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.DocTestRunner(optionflags=flags).run(test, out=complaints.append).failed == 0, "".join(complaints)


@LANGUAGES
def test_the_counts_of_networks_are_those_of_the_record(language):
    counts = json.loads((ROOT / "book" / "networks.json").read_text("utf-8"))["counts"]
    asked = re.findall(r"{networks}`(\w+) (\w+)`", (ROOT / "book" / "api.md").read_text("utf-8"))
    said = " ".join(paragraph.get_text() for paragraph in page(language).select("#api-networks > p"))
    wanted = sorted(numbers.number(counts[library][count]) for library, count in asked)
    assert wanted and sorted(re.findall("\u2066[^\u2069]*\u2069", said)) == wanted
    assert not re.search(r"(?<![\u2066A-Za-z\d,])\d", said), "a number that is not of the record"


# ---- The directive -------------------------------------------------------------------------------


def test_markdown_fences_links_and_labels():
    text = """First, see `fold` and `bn.fold`; `folded` and `x.fold` are others.

    >>> `fold`
    1

    Shapes: (m, d).
    Errors: none.
    """
    assert api.markdown(text, ["fold"]).split("\n\n") == [
        "First, see {py:obj}`fold` and {py:obj}`bn.fold`; `folded` and `x.fold` are others.",
        "```pycon\n>>> `fold`\n1\n```",
        "**Shapes:** (m, d).",
        "**Errors:** none.",
    ]


def test_an_inherited_docstring_is_none():
    class Silent(bn.BatchNorm1d):
        pass

    with pytest.raises(ExtensionError, match=r"made_up\.Silent has no docstring"):
        api.describe(types.ModuleType("made_up"), "Silent", Silent, "class")
