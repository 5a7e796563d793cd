"""Chapters are found by their folders, each under one name everywhere."""

import importlib
import types

import pytest

from bn.lab import paths, registry
from bn.lab.spec import Spec

CHAPTERS = paths.ROOT / "bn" / "lab" / "chapters"
NAMES = {path.parent.name for path in CHAPTERS.glob("*/__init__.py")}


def test_every_folder_has_its_notebook_and_every_notebook_its_folder():
    files = sorted((paths.ROOT / "notebooks").glob("*.ipynb"))
    assert [registry.notebook(name) for name in registry.names()] == files
    assert set(registry.names()) == NAMES


def test_a_chapter_must_have_one_notebook(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    (tmp_path / "notebooks").mkdir()
    with pytest.raises(
        LookupError, match=r"chapter 'inception' must have one notebook, .*NN_inception.ipynb, but has 0"
    ):
        registry.notebook("inception")
    for number in ("07", "08"):
        (tmp_path / "notebooks" / f"{number}_inception.ipynb").touch()
    with pytest.raises(LookupError, match="has 2"):
        registry.notebook("inception")


def test_a_folder_without_an_experiment_is_named(monkeypatch):
    monkeypatch.setattr(importlib, "import_module", lambda name: types.SimpleNamespace(__file__=f"{name}.py"))
    registry.experiment.cache_clear()
    with pytest.raises(TypeError, match=r"bn.lab.chapters.inception.py must define EXPERIMENT, an Experiment"):
        registry.experiment("inception")


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_chapter_exports_its_experiment(name):
    experiment = registry.experiment(name)
    assert experiment.name == name
    assert issubclass(experiment.spec, Spec) and experiment.spec.sizes
    assert callable(experiment.record) and registry.figures(name).__doc__


def test_claims_and_records_are_of_chapters():
    assert {path.stem for path in paths.CLAIMS.iterdir()} <= NAMES
    assert {path.name for path in paths.RECORDS.iterdir() if path.is_dir()} <= NAMES


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(KeyError, match=r"no chapter is called 'activation'; there are algorithm, motivation, "):
        registry.experiment("activation")
