"""A new chapter costs a notebook, a folder, a claims file, a line of the contents and its translations; nothing else.

Proved on a copy of the project: a chapter is added there without touching another file, and has its record, its
verdicts, its rows in the ledger and its page in both languages.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import polib
import pytest
from bs4 import BeautifulSoup
from test_book import ROOT, build

pytestmark = pytest.mark.slow

NAME, PAGE = "throwaway", "99_throwaway"
MODULES = {
    "__init__": '''"""A chapter for a test: the mean of the seeds."""

from bn.lab.chapters.throwaway.estimates import ESTIMATES
from bn.lab.chapters.throwaway.record import record
from bn.lab.chapters.throwaway.spec import Throwaway
from bn.lab.registry import Experiment

EXPERIMENT = Experiment("throwaway", Throwaway, record, ESTIMATES)
''',
    "spec": '''"""The parameters of notebook 99."""

from dataclasses import dataclass

from bn.lab.spec import positive
from bn.lab.train.specs import DigitSpec


@dataclass(frozen=True, kw_only=True)
class Throwaway(DigitSpec):
    """`factor`: what the seeds are multiplied with."""

    factor: float = 2.0

    def __post_init__(self) -> None:
        positive("factor", self.factor)
        super().__post_init__()
''',
    "record": '''"""Each seed, times the factor."""

from bn.lab.chapters.throwaway.spec import Throwaway
from bn.lab.store import provenance, records


def record(spec: Throwaway) -> dict:
    """`values`: a number for each seed; `measured`: an exact claim for each seed."""
    values = [spec.factor * seed for seed in spec.seeds]
    halved = [value / spec.factor - seed for value, seed in zip(values, spec.seeds, strict=True)]
    results = {"values": values, "measured": {"throwaway-exact": {"difference": halved}}}
    meta = provenance.meta(provenance.origin(), "0" * 64, "0" * 16, 0.0)
    return records.finish("throwaway", spec, [meta], results)
''',
    "estimates": '''"""The mean of the values."""

from bn.lab.judge import statistics

ESTIMATES = {"throwaway-mean": lambda record: {"mean_value": statistics.mean(record["values"])}}
''',
    "figures": '''"""One panel."""

from bn.lab.show.numbers import number
from bn.lab.show.style import Drawing, panel, styled
from bn.lab.show.words import words


def values(record: dict, language: str) -> Drawing:
    """The value of each seed."""
    _ = words(language)
    with styled():
        axes = panel(_("Thrown values"), language)
        axes.plot(record["asked"]["seeds"], record["values"], "o")
    title = _("The last value thrown is {last}.").format(last=number(record["values"][-1]))
    return Drawing(((axes.figure, _("Thrown values")),), title, "", trained=False)
''',
}
CLAIMS = """
estimates:
  difference: "thrown difference"
  mean_value: "thrown mean"

claims:
- id: throwaway-exact
  section: "3"
  kind: mathematics
  claim: "A thrown value halved is its seed."
  paper: "thrown away"
  measure: "The difference, for each seed."
  rule:
    - {estimate: difference, at_most: 0.0}

- id: throwaway-mean
  section: "4.1"
  kind: measured
  claim: "Thrown values are large on average."
  paper: "thrown away"
  measure: "The mean over the seeds."
  rule:
    - {estimate: mean_value, at_least: 100.0}
  found: "The mean of the thrown values is {mean_value}."
"""
CELLS = [
    ("markdown", "(throwaway)=\n# A throwaway chapter\n\nA sentence to translate."),
    (
        "code",
        '# Parameters\nscale = "cpu"  # a\ndataset = "auto"  # a\nseeds = None  # a\nlanguage = "en"  # a\n'
        "steps = None  # a\nfactor = 2.0  # a",
    ),
    (
        "code",
        "from bn.lab import show\nfrom bn.lab.chapters.throwaway import EXPERIMENT, figures\n\n"
        "spec = EXPERIMENT.spec.from_notebook(In, globals())\nrecord = EXPERIMENT.record(spec)\n"
        'show.cards(record, ["throwaway-exact", "throwaway-mean"], spec.language)',
    ),
    ("code", "show.figure(figures.values(record, spec.language), record, spec.language)"),
]
ARABIC = {
    PAGE: {"A throwaway chapter": "فصل عابر", "A sentence to translate.": "جملة للترجمة."},
    "lab": {
        "Thrown values": "القيم العابرة",
        "The last value thrown is {last}.": "آخر قيمة عابرة هي {last}.",
    },
    "claims": {
        "thrown difference": "الفرق العابر",
        "thrown mean": "المتوسط العابر",
        "A thrown value halved is its seed.": "نصف القيمة العابرة هو بذرتها.",
        "Thrown values are large on average.": "القيم العابرة كبيرة في المتوسط.",
        "thrown away": "عابر",
        "The difference, for each seed.": "الفرق لكل بذرة.",
        "The mean over the seeds.": "المتوسط على البذور.",
        "The mean of the thrown values is {mean_value}.": "متوسط القيم العابرة {mean_value}.",
    },
}
KEPT = ("bn", "book", "notebooks", "tests", "Snakefile", "pyproject.toml", "README.md", "environment.yml", "Makefile")


def add(project: Path) -> None:
    """The whole cost of a chapter."""
    folder = project / "bn" / "lab" / "chapters" / NAME
    folder.mkdir()
    for name, source in MODULES.items():
        (folder / f"{name}.py").write_text(source, "utf-8")
    (project / "book" / "claims" / f"{NAME}.yml").write_text(CLAIMS, "utf-8")
    make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    cells = [make[kind](source, id=f"cell-{k}") for k, (kind, source) in enumerate(CELLS)]
    cells[1].metadata["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), project / "notebooks" / f"{PAGE}.ipynb")
    contents = project / "book" / "_toc.yml"
    line = "      - file: 11_kernels\n"
    contents.write_text(contents.read_text("utf-8").replace(line, f"{line}      - file: {PAGE}\n"), "utf-8")
    for name, translations in ARABIC.items():
        path = project / "book" / "locale" / "ar" / "LC_MESSAGES" / f"{name}.po"
        catalogue = polib.pofile(str(path)) if path.exists() else polib.POFile()
        catalogue.metadata.setdefault("Content-Type", "text/plain; charset=utf-8")
        catalogue.extend(polib.POEntry(msgid=english, msgstr=arabic) for english, arabic in translations.items())
        catalogue.save(str(path))


def call(project: Path, *command: object) -> str:
    """Run a command of Python in the copy, with the copy's own package."""
    environment = os.environ | {"PYTHONPATH": str(project), "BN_RUNS": str(project / "runs"), "OMP_NUM_THREADS": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run([sys.executable, *map(str, command)], cwd=project, env=environment, **streams)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


@functools.cache
def project() -> Path:
    """The copy with the added chapter, its notebook run in both languages, its record kept, both editions built."""
    build()  # the other notebooks of the copy are those that the tests of the book have run
    copy = Path(tempfile.mkdtemp()) / "project"
    for name in KEPT:
        ignored = shutil.ignore_patterns("__pycache__", "*.mo")
        take = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        take(ROOT / name, copy / name, **({"ignore": ignored} if take is shutil.copytree else {}))
    notebooks = copy / "build" / "notebooks"
    shutil.copytree(ROOT / "build" / "smoke" / "notebooks", notebooks)
    add(copy)
    for language in ("en", "ar"):
        options = ("-p", "language", language, "-p", "scale", "cpu", "-p", "dataset", "digits", "--no-progress-bar")
        call(copy, "-m", "papermill", f"notebooks/{PAGE}.ipynb", notebooks / language / f"{PAGE}.ipynb", *options)
    (made,) = (copy / "runs" / "records").glob(f"{NAME}-cpu-digits-*.json")  # the same question in both languages
    (copy / "book" / "records" / NAME).mkdir()
    shutil.copy(made, copy / "book" / "records" / NAME / "cpu.json")
    for language in ("en", "ar"):
        call(copy, "book/_ext/assemble.py", language, "--out", "build")
    return copy


@pytest.fixture(scope="module", autouse=True)
def removed():
    """The copy goes when the last test has looked at it."""
    yield
    if project.cache_info().currsize:
        shutil.rmtree(project().parent)


def page(language: str, name: str) -> BeautifulSoup:
    return BeautifulSoup((project() / "build" / "html" / language / f"{name}.html").read_text("utf-8"), "html.parser")


def said(element) -> str:
    """Text without isolates."""
    return " ".join(element.get_text(" ").translate({code: None for code in range(0x2066, 0x206A)}).split())


def test_its_record_is_made_by_its_notebook():
    record = json.loads((project() / "book" / "records" / NAME / "cpu.json").read_text("utf-8"))
    assert (record["experiment"], record["asked"]["factor"], record["values"]) == (NAME, 2.0, [0.0, 2.0, 4.0])
    assert record["provenance"]["command"].startswith(f"papermill notebooks/{PAGE}.ipynb")
    assert set(record["rules"]) >= {"throwaway-exact", "throwaway-mean", "alg1-transform"}


@pytest.mark.parametrize(
    ("language", "says", "found", "verdicts"),
    [
        ("en", "A thrown value halved is its seed.", "The mean of the thrown values is 2.", ("verified", "not repro")),
        ("ar", "نصف القيمة العابرة هو بذرتها.", "متوسط القيم العابرة 2.", ("تحقَّق", "لم يُعَد")),
    ],
)
def test_it_has_its_page_and_its_rows_in_the_ledger(language, says, found, verdicts):
    cards = page(language, PAGE).select(".bn-cards")
    assert len(cards) == 2 and says in said(cards[0]) and found in said(cards[1])
    assert page(language, PAGE).select_one("figure.bn-figure svg")
    for claim, verdict in zip(("throwaway-exact", "throwaway-mean"), verdicts, strict=True):
        row = page(language, "claims").select_one(f"#claim-{claim}")
        assert verdict in said(row.select_one(".bn-verdict"))
    assert found in said(page(language, "claims").select_one("#claim-throwaway-mean"))


def test_readme_and_the_tests_find_it():
    call(project(), "-m", "bn.lab.show.readme")
    assert "| Thrown values are large on average. | 4.1 |" in (project() / "README.md").read_text("utf-8")
    options = ("-q", "-p", "no:cacheprovider", "tests/lab/test_registry.py", "tests/lab/judge/test_verdicts.py")
    assert "passed" in call(project(), "-m", "pytest", *options, "-k", "throwaway")


def test_no_other_file_was_touched():
    """But README, which the test above lets the program write again."""
    new = {f"bn/lab/chapters/{NAME}/{name}.py" for name in MODULES}
    new |= {f"book/claims/{NAME}.yml", f"book/records/{NAME}/cpu.json", f"notebooks/{PAGE}.ipynb", "book/_toc.yml"}
    new |= {f"book/locale/ar/LC_MESSAGES/{name}.po" for name in ARABIC}
    touched = {str(p.relative_to(project())) for name in KEPT for p in files(project() / name) if differs(p)}
    assert touched - {"README.md", "book/_static/figure1-en.svg", "book/_static/figure1-ar.svg"} == new


def files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts and p.suffix != ".mo"]


def differs(path: Path) -> bool:
    original = ROOT / path.relative_to(project())
    return not original.exists() or original.read_bytes() != path.read_bytes()
