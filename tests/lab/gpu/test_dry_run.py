"""The whole visit, walked through on a CPU at tiny sizes, and a second one that goes on from it."""

import json
import os
import subprocess
import sys
import tarfile

import pytest
from test_architecture import ROOT

from bn.lab.gpu import stages
from bn.lab.store import records

pytestmark = pytest.mark.slow


def visit(*options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "bn.lab.gpu", "--dry-run", "--minutes", "20", *map(str, options)]
    places = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=places, capture_output=True, text=True)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The output folder of a first visit."""
    out = tmp_path_factory.mktemp("visit") / "out"
    done = visit("--out", out, "--carried", out.parent / "none")
    assert done.returncode == 0, done.stdout[-5_000:] + done.stderr[-2_000:]
    return out, done.stdout


def rows(out) -> dict[str, dict]:
    return {row["stage"]: row for row in json.loads((out / "summary.json").read_text())["stages"]}


def test_every_stage_is_walked_through(first):
    out, said = first
    found = rows(out)
    assert list(found) == [stage.name for stage in stages.chosen(True)]
    assert {row["state"] for row in found.values()} == {"done"}
    assert all(row["finding"] for row in found.values())
    plan, table = said.index("  machine      at most"), said.index("\nstage        state")
    assert plan < said.index("== machine: done") < table
    assert said[table:].count(" done ") == len(found)


def test_the_output_fits_what_comes_back(first):
    out, _ = first
    files = [path for path in out.rglob("*") if path.is_file()]
    assert 0 < len(files) <= 8
    assert all(path.stat().st_size <= 16 * 2**20 for path in files)
    assert all(len(path.relative_to(out).parts) <= 3 for path in out.rglob("*"))
    names = {path.relative_to(out).as_posix() for path in files}
    assert {"log.txt", "summary.json", "records/kernels.json", "records/training_speed.json", "runs-0.tar"} <= names


def test_records_are_in_order(first):
    out, _ = first
    kernels = records.read(out / "records" / "kernels.json")
    assert len(kernels["cases"]) == kernels["cases_planned"] == 3
    assert records.read(out / "records" / "training_speed.json")["experiment"] == "training_speed"


def test_a_second_visit_measures_nothing_again(first, tmp_path):
    out, said = first
    (tmp_path / "carried").mkdir()
    (out / "runs-0.tar").rename(tmp_path / "carried" / "runs-0.tar")
    again = visit("--out", tmp_path / "out", "--carried", tmp_path / "carried", "--skip", "machine", "precompile")
    assert again.returncode == 0, again.stdout[-5_000:] + again.stderr[-2_000:]
    found = rows(tmp_path / "out")
    for stage in stages.DRY:
        if stage.once:
            assert found[stage.name]["finding"] == f"done before: {rows(out)[stage.name]['finding']}"
    assert "8x16x14x14 fp32 NCHW bn_relu: " in said and "8x16x14x14 fp32 NCHW bn_relu: " not in again.stdout
    before, after = (records.read(folder / "records" / "kernels.json") for folder in (out, tmp_path / "out"))
    assert before["cases"] == after["cases"]
    with tarfile.open(tmp_path / "carried" / "runs-0.tar") as old, tarfile.open(tmp_path / "out" / "runs-0.tar") as new:
        runs = [name for name in old.getnames() if name.startswith(("digits/", "kernels/"))]
        assert len(runs) > 10
        assert all(old.extractfile(name).read() == new.extractfile(name).read() for name in runs)
