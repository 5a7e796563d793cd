"""The book as a whole: it builds without a warning, both editions agree, every heading has an anchor."""

import functools
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import arabic  # noqa: F401  (test_browser takes it from here)
import assemble
import nbformat
import polib
import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]
CATALOGUES = ROOT / "book" / "locale" / "ar" / "LC_MESSAGES"
PAGES = sorted(p.stem for p in [*ROOT.glob("book/*.md"), *ROOT.glob("notebooks/*.ipynb")])
SMOKE = ["--config", "scale=smoke", "dataset=digits", "out=build/smoke"]  # the runs of `smoke_records`, too


def snakemake(*arguments: str) -> subprocess.CompletedProcess:
    """Run Snakemake with the tools of this Python; no lock, so that a `make book` may run beside it.

    Two notebooks at once: at smoke scale they hardly train, and mostly import.
    """
    tools = Path(sys.executable).parent
    return subprocess.run(
        [tools / "snakemake", "--set-threads", "notebook=1", "--cores", "2", "--nolock", *arguments],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@functools.cache
def build() -> Path:
    """Both editions at smoke scale, built once for all tests; the folder that holds them."""
    result = snakemake("book", *SMOKE)
    assert result.returncode == 0, result.stdout[-6000:]
    return ROOT / "build" / "smoke" / "html"


# ---- Building ------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "ar"])
def test_every_page_is_in_both_editions(language):
    assert {p.stem for p in (build() / language).glob("*.html")} >= set(PAGES)


def test_a_finished_book_is_not_built_again():
    build()
    assert "Nothing to be done" in snakemake("book", "--dry-run", *SMOKE).stdout


def test_a_failing_notebook_says_why_and_does_not_count_as_done():
    target = "build/broken/notebooks/en/01_algorithm.ipynb"
    result = snakemake(target, "--config", "scale=enormous", "out=build/broken")
    assert result.returncode != 0
    assert re.search(r"01_algorithm \(en\) failed: .*enormous", result.stdout), result.stdout[-3000:]
    assert not (ROOT / target).exists()


def test_readers_never_see_what_papermill_adds(tmp_path):
    build()
    source = ROOT / "build" / "smoke" / "notebooks" / "ar" / "01_algorithm.ipynb"
    assemble.copy_notebook(source, tmp_path / "copy.ipynb")
    before, after = nbformat.read(source, 4), nbformat.read(tmp_path / "copy.ipynb", 4)
    assert len(after.cells) == len(before.cells) - 1
    assert '"papermill":' not in (tmp_path / "copy.ipynb").read_text(encoding="utf-8")


def test_overlay_reaches_every_depth():
    base = {"a": 1, "deep": {"kept": 1, "changed": 1}}
    assert assemble.merged(base, {"deep": {"changed": 2}}) == {"a": 1, "deep": {"kept": 1, "changed": 2}}


# ---- Translation ---------------------------------------------------------------------------------


@functools.cache
def extracted() -> Path:
    return assemble.templates(ROOT / "build" / "smoke")


@functools.cache
def catalogue(page: str) -> polib.POFile:
    return polib.pofile(str(CATALOGUES / f"{page}.po"))


@pytest.mark.parametrize("page", PAGES)
def test_catalogue_is_complete(page):
    entries = catalogue(page)
    wanted = {e.msgid for e in polib.pofile(str(extracted() / f"{page}.pot"))}
    assert {e.msgid for e in entries if not e.obsolete} == wanted, "run: snakemake --cores 1 catalogues"
    assert [e.msgid for e in entries.untranslated_entries()] == []
    assert [e.msgid for e in entries if e.fuzzy] == []
    assert [e.msgid for e in entries.obsolete_entries()] == []


ISOLATED = re.compile(r"\$[^$]+\$|<bdi>.*?</bdi>|<[^>]*>|\{[\w:]+\}`[^`]*`|`[^`]*`|\]\([^)]*\)", re.S)
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


@pytest.mark.parametrize("page", PAGES)
def test_numbers_in_arabic_are_isolated(page):
    assert {e.msgid: bare(e.msgstr) for e in catalogue(page) if bare(e.msgstr)} == {}


@pytest.mark.parametrize("page", PAGES)
def test_numbers_that_programs_print_in_arabic_are_isolated(page):
    soup = BeautifulSoup((build() / "ar" / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
    for isolated in soup.select(".bn :is(bdi, svg, code)"):
        isolated.decompose()
    assert [part for part in map(bare, (b.get_text(" ") for b in soup.select(".bn"))) if part] == []


ROLE, MATH, LINK = r"\{([\w:]+)\}`", r"\$[^$]+\$", r"\]\(([^)]*)\)"


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_lost_in_translation(page):
    for entry in catalogue(page).translated_entries():
        for pattern in (ROLE, MATH, LINK):
            there = Counter(re.findall(pattern, entry.msgid)) - Counter(["ar"] * 9)
            assert there <= Counter(re.findall(pattern, entry.msgstr)), entry.msgid
        cited = re.findall(r"\{cite:\w+\}`[^`]*`", entry.msgid)
        assert all(citation in entry.msgstr for citation in cited), entry.msgid


# ---- Anchors -------------------------------------------------------------------------------------


def markdown(page: str) -> str:
    source = ROOT / "book" / f"{page}.md"
    if source.exists():
        return source.read_text(encoding="utf-8")
    cells = nbformat.read(ROOT / "notebooks" / f"{page}.ipynb", 4).cells
    return "\n\n".join(c.source for c in cells if c.cell_type == "markdown")


@pytest.mark.parametrize("page", PAGES)
def test_every_heading_has_a_label(page):
    text = re.sub(r"^(```+|:::+).*?^\1", "", markdown(page), flags=re.M | re.S)
    headings = re.findall(r"^#{1,6} .*$", text, flags=re.M)
    labelled = re.findall(r"^\([\w-]+\)=\n+(#{1,6} .*)$", text, flags=re.M)
    assert headings
    assert headings == labelled


def test_labels_are_unique():
    labels = Counter(label for page in PAGES for label in re.findall(r"^\(([\w-]+)\)=", markdown(page), re.M))
    assert [label for label, times in labels.items() if times > 1] == []
