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
import pytest
from filelock import FileLock

from bn.lab import registry

ROOT = Path(__file__).resolve().parents[1]
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


def one_at_a_time() -> FileLock:
    """A lock: of several processes of tests, one makes what is missing, and the others find it finished."""
    (ROOT / "build").mkdir(exist_ok=True)
    return FileLock(ROOT / "build" / "smoke.lock")


def train() -> None:
    """What the notebooks at smoke scale ask for, here: none of them then starts processes to train in."""
    for experiment in map(registry.experiment, registry.names()):
        experiment.record(experiment.spec(scale="smoke", dataset="digits"))


@functools.cache
def build() -> Path:
    """Both editions at smoke scale, built once for all tests; the folder that holds them."""
    with one_at_a_time():
        train()
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
    result = snakemake(target, "--config", "scale=smoke", "dataset=imagenet", "out=build/broken")
    assert result.returncode != 0
    assert re.search(r"01_algorithm \(en\) failed: .*imagenet", result.stdout), result.stdout[-3000:]
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
