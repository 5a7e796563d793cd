"""Code that is edited while a process lives: what runs is not what stands there, and nothing is filed under either.

In a copy of the package, in processes of its own.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_architecture import ROOT

from bn.lab.store import files
from bn.lab.train import recipes
from bn.lab.train.settings import Setting

pytestmark = pytest.mark.slow

SMALL = Setting("bn", "digits", steps=4, every=2, batch=20, learning_rate=0.5, weight_std=0.1)
IMAGES = recipes.bn_x5(recipes.inception(recipes.SIZES["smoke", "digits"], "digits", 0.03, 2))
HEAD = f"""
from pathlib import Path
import bn
from bn.lab.store import code, provenance
from bn.lab.store.files import RunError
from bn.lab.train import runs
from bn.lab.train.settings import Recipe, Setting

SETTINGS = {{"small": {SMALL!r}, "images": {IMAGES!r}}}


def edit(module, old="", new="EDITED = 1\\n"):
    path = Path(bn.__file__).parent / module
    text = path.read_text("utf-8")
    assert text.count(old) == 1 or not old
    path.write_text(text.replace(old, new) if old else text + new, "utf-8")


def ask(function, *arguments):
    try:
        print("DONE", function(*arguments))
    except RunError as error:
        print("REFUSED", error)
"""


@pytest.fixture
def said(tmp_path, fresh_runs, monkeypatch):
    """A function that runs code in the copy, and returns the lines that it says with DONE or REFUSED."""
    shutil.copytree(ROOT / "bn", tmp_path / "bn", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("BN_CORES", "1")

    def call(text: str) -> list[str]:
        done = subprocess.run([sys.executable, "-c", HEAD + text], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [line for line in done.stdout.splitlines() if line.startswith(("DONE", "REFUSED"))]

    return call


def results(runs: Path) -> list[str]:
    return sorted(path.stem for path in runs.rglob("*.npz"))


def test_an_edit_after_the_start_is_refused_with_the_module_and_words_are_no_edit(said):
    lines = said("""
loop = "bn.lab.train.loop"
ask(code.digest, loop)
edit("lab/train/loop.py", new="# a comment\\n")
edit("layers.py", new="import math\\n")
edit("eager.py", "Algorithms 1 and 2 in torch operations", "Other words")
edit("lab/train/cli.py")  # of another module
ask(code.digest, loop)
edit("layers.py")
ask(code.digest, loop)
ask(code.digest, "bn.lab.train.replicas")
edit("functional.py", new="def half of an edit")
ask(code.digest, loop)
""")
    assert lines[0] == lines[1] and lines[0].startswith("DONE")
    assert lines[2].startswith("REFUSED The code was changed after this process had started (bn.layers): ")
    assert lines[2].endswith("Start it again; in a notebook, restart the kernel.")
    assert lines[3].startswith("DONE")
    assert "(bn.functional, bn.layers, bn.operands)" in lines[4]  # the last is no longer reached from half a module


def test_an_edit_of_an_estimator_after_the_start_is_refused_too(said):
    lines = said("""
estimates = "bn.lab.chapters.activations.estimates"
entry = (estimates, "ESTIMATES", "fig1bc-stability")
ask(code.digest_of_entry, *entry)
edit("lab/chapters/activations/estimates.py", "TARGET = 0.95", "TARGET = 0.9")  # of another estimator
ask(code.digest_of_entry, *entry)
edit("lab/judge/statistics.py", "LEVEL = 0.95", "LEVEL = 0.9")
ask(code.digest_of_entry, *entry)
""")
    assert lines[0] == lines[1] and lines[0].startswith("DONE")
    assert "(bn.lab.judge.statistics.LEVEL)" in lines[2]


@pytest.mark.parametrize(("kind", "module"), [("small", "lab/train/replicas.py"), ("images", "eager.py")])
def test_an_edit_between_the_start_of_the_one_who_asks_and_of_the_one_who_trains_is_refused(
    said, fresh_runs, kind, module
):
    """The workers would train by the new code what is asked for under the old one."""
    (line,) = said(f"""
usual = provenance.origin
def origin():  # after the names of the files are made, and before there is a worker
    edit({module!r})
    return usual()
provenance.origin = origin
ask(runs.run, [(SETTINGS[{kind!r}], 0)])
""")
    assert line.startswith("REFUSED The code or the data was changed between the start of the process that asks"), line
    assert results(fresh_runs) == []


def test_an_edit_between_two_trainings_of_one_process_is_refused_and_then_trained_afresh(said, fresh_runs):
    """The workers, which live on, would train by the old code what is asked for under the new one."""
    lines = said("""
asked = SETTINGS["small"]
ask(lambda: runs.run([(asked, 0)])[asked, 0]["meta"]["code"])
edit("lab/train/mlp.py", "(100, 100, 100)", "(100, 100, 99)")
ask(runs.run, [(asked, 0)])
ask(runs.run, [(asked, 1)])
""")
    (first,) = results(fresh_runs)
    assert lines[0].startswith("DONE") and all("(bn.lab.train.mlp)" in line for line in lines[1:])
    (again,) = said("""
asked = SETTINGS["small"]
ask(lambda: runs.run([(asked, 0)])[asked, 0]["meta"]["code"])
""")
    assert again.startswith("DONE") and again != lines[0]
    runs = {path.stem: files.read_arrays(path) for path in fresh_runs.rglob("*.npz")}
    assert runs.pop(first)["mean"].shape[1] == 100 and [run["mean"].shape[1] for run in runs.values()] == [99]
