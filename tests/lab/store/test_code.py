"""Digests of code: of what is imported, of what it does, and of nothing else."""

import ast
import sys
import threading
from pathlib import Path

import pytest
import torch
from test_architecture import ROOT, sources

from bn.lab.chapters.algorithm import identities
from bn.lab.chapters.inception import counts
from bn.lab.store import code, files
from bn.lab.train import loop, recipes, replicas, runs
from bn.lab.train.settings import Setting

SMALL = {
    "bn.lab.data.splits",
    *(f"bn.lab.train.{name}" for name in ("mlp", "optimizers", "replicas", "settings", "sgd")),
}
IMAGES = {
    *("bn.eager", "bn.functional", "bn.layers", "bn.operands", "bn.sync", "bn.lab.architectures"),
    *("bn.lab.data.augment", "bn.lab.data.splits"),
    *(f"bn.lab.train.{name}" for name in ("batches", "inception", "joined", "loop", "settings")),
}
KERNELS = {"bn.ops", "bn.launch", "bn.kernels", "bn.partials", "bn.tiles", "bn.inductor"}
TRAINERS = {"bn.lab.train.replicas": (SMALL, set()), "bn.lab.train.loop": (IMAGES, KERNELS)}
SETTING = Setting("bn", "digits", steps=4, every=2, batch=10, learning_rate=0.1, weight_std=0.1)
RECIPE = recipes.bn_x5(recipes.inception(recipes.SIZES["smoke", "digits"], "digits", 0.03, 2))


@pytest.fixture(scope="module")
def house():
    """The text of each module of bn."""
    return sources()


def closure(root: str, texts: dict[str, str], kernels: bool = False) -> dict[str, str]:
    return code.closure((root,), texts, kernels)


# ---- Which modules -------------------------------------------------------------------------------


@pytest.mark.parametrize(("root", "modules"), TRAINERS.items())
def test_a_training_is_of_what_its_trainer_imports_and_of_the_kernels_on_a_gpu_only(house, root, modules):
    """No recipe, no number of the paper, no chapter, nothing that keeps or checks."""
    everywhere, on_a_gpu = modules
    assert set(closure(root, house)) == everywhere
    assert set(closure(root, house, kernels=True)) == everywhere | on_a_gpu


@pytest.mark.parametrize("kernels", [False, True])
@pytest.mark.parametrize("root", TRAINERS)
def test_an_edit_of_any_module_of_it_changes_the_digest_and_no_other_edit_does(house, root, kernels):
    usual = closure(root, house, kernels)
    changed = {
        name for name, text in house.items() if closure(root, house | {name: f"{text}\nEDITED = 1\n"}, kernels) != usual
    }
    assert changed == set.union(TRAINERS[root][0], TRAINERS[root][1] if kernels else set())


def called(function) -> set[str]:
    """The modules of bn whose functions are called, in this thread and in those that it starts."""
    found, folder = set(), str(ROOT / "bn")

    def note(frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(folder):
            found.add(frame.f_globals["__name__"])

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return found


def train(setting) -> None:
    data = DATA[setting]
    made = replicas.Trainer([(SETTING, 0)], data) if setting == SETTING else loop.ImageTrainer(RECIPE, 0, data)
    made.run(lambda: None, lambda: None)
    made.restore([made.state(0)])
    assert made.results(0)["steps"][-1] == setting.steps


DATA = {setting: runs.data_of(setting) for setting in (SETTING, RECIPE)}  # its pixels have a checksum of their own


@pytest.mark.parametrize(
    ("root", "function"),
    [
        ("bn.lab.train.replicas", lambda: train(SETTING)),
        ("bn.lab.train.loop", lambda: train(RECIPE)),
        (identities.__name__, lambda: identities.measure([0], 4, 2, 1e-5)),
        (counts.__name__, lambda: counts.trial(DATA[SETTING].train, 0, 1, width=1 / 32, size=8)),
    ],
    ids=["section 4.1", "section 4.2", "identities", "counts"],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="what a CPU calls")
def test_whatever_a_measurement_calls_is_in_its_digest(root, function):
    """By what happens, not by what is imported. The checks of what is asked for are no part of what is found."""
    seen = called(function)
    assert root in seen and seen <= set(closure(root, sources(), kernels=True)) | {"bn.lab.spec"}


@pytest.mark.parametrize(
    ("line", "modules"),
    [
        ("import bn.lab.b", {"bn.lab.b"}),
        ("import bn.lab.b, bn.lab.c", {"bn.lab.b", "bn.lab.c"}),
        ("import bn.lab.b as c", {"bn.lab.b"}),
        ("from bn.lab import b as c", {"bn.lab.b"}),
        ("from bn.lab.b import f", {"bn.lab.b"}),
        ("from . import b", {"bn.lab.b"}),
        ("from .b import f as g", {"bn.lab.b"}),
        ("from ..d import f", {"bn.d"}),
        ("from bn.lab.e import f", {"bn.lab.e", "bn.lab.e.inner"}),  # a package that has it from elsewhere
        ("def f():\n    from bn.lab.b import f", {"bn.lab.b"}),
        ("def f():\n    from bn.lab import b as x\ndef g():\n    from bn.lab import c as x", {"bn.lab.b", "bn.lab.c"}),
        ("from bn.lab.round import f", {"bn.lab.round"}),  # which imports a again
        ("from bn.lab.store import files\nfrom bn.lab import paths, spec", set()),
        ("import math, torch\nfrom bnb import f", set()),
    ],
)
def test_imports_are_followed_however_they_are_written(line, modules):
    small = dict.fromkeys(("bn.lab.b", "bn.lab.c", "bn.d", "bn.lab.e.inner"), "def f(): pass")
    small |= {"bn.lab.e": "from .inner import f", "bn.lab.round": "from bn.lab.a import g"}
    small |= dict.fromkeys(
        ("bn.lab.store", "bn.lab.store.files", "bn.lab.paths", "bn.lab.spec"), "from bn.lab import c"
    )
    assert set(closure("bn.lab.a", small | {"bn.lab.a": line})) == {"bn.lab.a"} | modules


# ---- What a module does --------------------------------------------------------------------------

SOURCE = '''"""A module."""
import math
from pathlib import (
    Path,
)


def area(radius):
    """Of a circle."""
    from statistics import mean
    return math.pi * radius**2


async def nothing(*, a: int = 3) -> None:
    class Inner:
        """Nothing."""
'''


def digest(text: str) -> str:
    return closure("bn.a", {"bn.a": text})["bn.a"]


def test_the_digest_sees_what_is_done_and_neither_words_nor_line_breaks(house):
    source = house["bn.lab.train.mlp"]
    usual = digest(source)
    assert digest(ast.unparse(ast.parse(source))) == usual  # no comments, other line breaks
    assert digest(f"# a comment\n{source}".replace("Algorithm 1", "Algorithm One")) == usual  # a docstring
    for line, other in (
        ("(100, 100, 100)", "(100, 100, 101)"),
        ("m / (m - 1)", "1"),
        ("norm.momenta)", "norm.momenta / 2)"),
    ):
        assert source.count(line) >= 1
        assert digest(source.replace(line, other)) != usual


def test_import_lines_are_no_part_of_it_wherever_they_stand():
    usual = digest(SOURCE)
    moved = SOURCE.replace("from pathlib import (\n    Path,\n)\n", "").replace("import math", "import cmath as math")
    assert digest(moved) == digest(moved.replace("    from statistics import mean\n", "")) == usual
    assert digest(moved.replace("    from statistics", "    mean = max\n    from statistics")) != usual
    assert digest(moved.replace("math.pi", "math.tau")) != usual


def test_the_digest_is_the_same_in_each_version_of_python():
    """Found by 3.11, 3.12 and 3.13, which write a syntax tree in three ways."""
    assert digest(SOURCE)[:16] == "ca4167973e25cdab"


def test_half_of_an_edit_is_another_module():
    assert digest(SOURCE + "def") != digest(SOURCE) and digest(SOURCE + "def") != digest(SOURCE + "de(f")


# ---- As it stands here ---------------------------------------------------------------------------


def test_the_digest_of_a_trainer_is_that_of_its_modules_as_they_stand_here(house):
    for kernels in (False, True):
        expected = files.digest(closure("bn.lab.train.loop", house, kernels))
        assert code.digest("bn.lab.train.loop", kernels=kernels) == expected
    both = code.closure(("bn.lab.train.loop", "bn.lab.train.replicas"), house, False)
    assert code.digest("bn.lab.train.replicas", "bn.lab.train.loop") == files.digest(both)


def test_what_is_no_file_is_no_module(tmp_path, monkeypatch):
    """An editor marks what it has open by a link to nowhere."""
    (tmp_path / "bn" / "folder.py").mkdir(parents=True)
    (tmp_path / "bn" / ".#loop.py").symlink_to("someone@somewhere.123")
    (tmp_path / "bn" / "__init__.py").write_text("a = 1")
    monkeypatch.setattr(code, "_ROOT", Path(tmp_path / "bn"))
    assert code._sources() == {"bn": "a = 1"}
