"""The notebooks: stored clean, run by papermill in both languages, found the same by nbval."""

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import nbformat
import papermill
import pytest
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from test_book import ROOT, build

from bn.lab import registry
from bn.lab.spec import ParameterError

NOTEBOOKS = [registry.notebook(name) for name in registry.names()]
TINY = {"scale": "smoke", "dataset": "digits"}
ARABIC = re.compile("[\u0621-\u064a]{2,}")
each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list:
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def executed(language: str) -> Path:
    """All notebooks by the Snakefile, shared with the tests of the book; the folder that holds them."""
    build()
    return ROOT / "build" / "smoke" / "notebooks" / language


# ---- As stored -----------------------------------------------------------------------------------


@each_notebook
def test_it_is_stored_without_results(notebook):
    stored = nbformat.read(notebook, 4)
    nbformat.validate(stored)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code_cells(notebook))
    assert stored.metadata.kernelspec.name == "python3"
    assert "papermill" not in stored.metadata
    names = [cell.id for cell in stored.cells]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names), "cell ids are words"


@each_notebook
def test_the_first_code_cell_holds_all_parameters_with_their_defaults(notebook):
    first, *others = code_cells(notebook)
    assert "parameters" in first.metadata.tags and first.source.startswith("# Parameters\n")
    assert not any("parameters" in cell.metadata.get("tags", []) for cell in others)
    values = {}
    exec(first.source, {}, values)
    assert values == {field.name: field.default for field in fields(registry.experiment(notebook.stem[3:]).spec)}
    lines = first.source.splitlines()[1:]
    assert all("  # " in line for line in lines), "every parameter says what is allowed"


# ---- As run --------------------------------------------------------------------------------------


@each_notebook
@pytest.mark.parametrize("language", ["en", "ar"])
def test_it_runs_and_speaks_the_language_asked_for(notebook, language):
    cells = code_cells(executed(language) / notebook.name)
    assert all(cell.execution_count for cell in cells)
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    shown = " ".join(o.data["text/html"] for o in outputs if "text/html" in o.get("data", {}))
    assert shown
    if language == "ar":
        assert ARABIC.search(shown)
    else:
        assert not ARABIC.search(shown)


def nbval(folder: Path) -> subprocess.CompletedProcess:
    """Run the notebooks of a folder again, each in a kernel of its own, and compare their outputs."""
    options = ["--nbval", "-q", "-rA", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", folder]
    command = [sys.executable, "-m", "pytest", *options, *sorted(folder.glob("*.ipynb"))]
    # One thread, as Snakemake gives them in these tests: with two, sums differ in their last digit.
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.run(command, cwd=folder, env=env, **streams)


# Two kernels for each, seconds long: these are quick, the others come with `make test-slow`.
QUICK = ("01_algorithm", "10_ensemble")


@pytest.mark.parametrize(
    "notebook",
    [pytest.param(p, id=p.stem, marks=() if p.stem in QUICK else pytest.mark.slow) for p in NOTEBOOKS],
)
def test_nbval_finds_the_same_again(notebook, smoke_records, tmp_path, monkeypatch):
    """Every output, figures included, over the same finished runs; a changed digit would be noticed."""
    assert smoke_records[notebook.stem[3:]]  # trained here, so that both kernels only measure and draw
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    papermill.execute_notebook(notebook, tmp_path / notebook.name, TINY | {"language": "ar"}, progress_bar=False)
    found = nbval(tmp_path).stdout
    cells = re.findall(rf"^(\w+) {re.escape(notebook.name)}::", found, re.MULTILINE)
    assert cells == ["PASSED"] * len(code_cells(tmp_path / notebook.name)), found[-6000:]


def test_nbval_notices_one_changed_digit(tmp_path):
    """The check above could not fail if nbval looked at nothing."""
    cell = nbformat.v4.new_code_cell("print(0.1 + 0.2)", execution_count=1)
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="0.30000000000000005\n")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), tmp_path / "wrong.ipynb")
    result = nbval(tmp_path)
    assert result.returncode == 1 and "FAILED wrong.ipynb::" in result.stdout


wrong = pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("stepz", 5, "unknown parameter 'stepz'; this notebook's parameters are "),
        ("steps", -5, "steps must be a whole number from 1 to 1,000,000,000, but it is -5"),
    ],
)


@each_notebook
@wrong
def test_a_wrong_parameter_is_refused_in_one_sentence_before_anything_runs(notebook, name, value, sentence):
    """The cells that papermill would hand to the kernel, up to the one that asks."""
    given = parameterize_notebook(load_notebook_node(str(notebook)), {"scale": "smoke", name: value})
    cells = [cell.source for cell in given.cells if cell.cell_type == "code"][:3]
    with pytest.raises(ParameterError) as caught:
        exec("\n".join(cells), {"In": ["", *cells]})
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)


def test_papermill_ends_with_that_sentence(tmp_path):
    """A wrong value the whole way, through the Snakefile too: see the failing notebook in test_book."""
    command = [sys.executable, "-m", "papermill", NOTEBOOKS[0], tmp_path / "out.ipynb", "-p", "scale", "smoke"]
    result = subprocess.run([*command, "-p", "stepz", "5"], capture_output=True, text=True)
    assert result.returncode != 0
    assert "ParameterError: unknown parameter 'stepz'; " in result.stderr.strip().splitlines()[-1]
