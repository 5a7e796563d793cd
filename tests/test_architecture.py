"""The floors of the house: who imports whom, what stays private, and how long a file and a function may be."""

import ast
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_FILE = 400  # lines: a file that would pass them is two rooms
LONGEST_MEDIAN = 10  # lines of a function, counted by `lengths`
LINT = "from importlinter.cli import lint_imports_command as lint; lint()"


def sources() -> dict[str, str]:
    """The source of every module of bn by the module's name."""
    files = {file.relative_to(ROOT).with_suffix(""): file for file in sorted((ROOT / "bn").rglob("*.py"))}
    return {".".join(name.parts).removesuffix(".__init__"): file.read_text("utf-8") for name, file in files.items()}


# ---- Who imports whom --------------------------------------------------------------------------------------------


def lint(folder, *options):
    """Hold the package `bn` in a folder against the contracts in the pyproject.toml beside it."""
    return subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache", "--no-logo", *options],
        cwd=folder,
        env=os.environ | {"COLUMNS": "200"},  # or the report is broken in the middle of a module's name
        capture_output=True,
        text=True,
    )


def test_imports_keep_to_the_contracts():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("contract", "module", "imports", "complaint"),
    [
        ("method", "trace", "bn.lab.paths", "bn.trace -> bn.lab.paths"),
        ("floors-of-the-method", "eager", "bn.ops", "bn.eager -> bn.ops"),
        ("floors-of-the-laboratory", "lab/paths", "bn.lab.train.cli", "bn.lab.paths -> bn.lab.train.cli"),
        (
            "chapters",
            "lab/chapters/ensemble/__init__",
            "bn.lab.chapters.kernels",
            "ensemble -> bn.lab.chapters.kernels",
        ),
        ("circles", "tiles", "bn.kernels", "No cycles are allowed in bn.\n"),
    ],
)
def test_a_contract_sees_an_import_inside_a_function(tmp_path, contract, module, imports, complaint):
    shutil.copytree(ROOT / "bn", tmp_path / "bn", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "bn" / module).with_suffix(".py").open("a") as file:
        file.write(f"\n\ndef late():\n    import {imports}\n")
    done = lint(tmp_path, "--contract", contract)
    assert done.returncode == 1 and complaint in done.stdout, done.stdout + done.stderr


def loaded(statement: str) -> set[str]:
    """The modules that a fresh Python has imported after a statement."""
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_bn_takes_neither_the_laboratory_nor_triton():
    found = loaded("import bn")
    assert "bn.layers" in found
    assert not {name for name in found if name == "triton" or name.startswith(("bn.lab", "bn.ops"))}
    assert "bn.lab" in loaded("import bn.lab.paths")


def test_the_kernels_bring_triton():
    pytest.importorskip("triton")
    assert "triton" in loaded("import bn.ops")


# ---- What stays private ------------------------------------------------------------------------------------------


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def top(name: str) -> str:
    return name.partition(".")[0]


def imported(tree, modules) -> tuple[dict[str, str], list[str]]:
    """The modules of bn that a file imports, by the names it gives them; and the private names it imports from any."""
    names, private = {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {a.asname or top(a.name): a.name if a.asname else top(a.name) for a in node.names}
        elif isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("bn."):
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
            private += [f"{node.module}.{a.name}" for a in node.names if is_private(a.name)]
    return {name: module for name, module in names.items() if module in modules}, private


def reached(source: str, modules) -> list[str]:
    """The private names of other modules of bn that a file takes: `from bn.x import _y`, and `x._y` of an import x."""
    tree = ast.parse(source)
    names, private = imported(tree, modules)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            head, dot, rest = ast.unparse(node.value).partition(".")
            module = f"{names.get(head)}{dot}{rest}"
            private += [f"{module}.{node.attr}"] if module in modules else []
    return private


def test_no_module_reaches_into_another():
    found = sources()
    assert {name: private for name, source in found.items() if (private := reached(source, found))} == {}


def hidden(source: str) -> list[str]:
    """Imports that the check above, or the digests of code, would not follow to the names that they bring."""
    nodes = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom)]
    return [ast.unparse(node) for node in nodes if node.level or node.names[0].name == "*"]


def test_imports_are_written_in_full():
    assert {name: found for name, source in sources().items() if (found := hidden(source))} == {}
    for line in ("from . import kernels", "from .kernels import x", "from bn.kernels import *"):
        assert hidden(f"def f():\n    {line}") == [line]
    assert hidden("import bn, torch.nn, bn.kernels\nfrom bn import kernels") == []


@pytest.mark.parametrize(
    ("source", "private"),
    [
        ("from bn.kernels import _kept", ["bn.kernels._kept"]),
        ("def f():\n    from bn.kernels import _kept as kept", ["bn.kernels._kept"]),
        ("from bn import kernels\nkernels._kept", ["bn.kernels._kept"]),
        ("from bn import kernels as k\nk._kept.clear()", ["bn.kernels._kept"]),
        ("import bn.kernels\nbn.kernels._kept", ["bn.kernels._kept"]),
        ("import bn.kernels as k\ndef f():\n    return k._kept", ["bn.kernels._kept"]),
        ("from bn import __version__, kernels\nkernels.__name__, kernels.TILES", []),
        ("from bn.layers import BatchNorm1d\nBatchNorm1d._version", []),  # torch's, through a class
        ("import torch\nfrom torch import _C\ntorch._C, _C._x", []),
        ("import bnb as kernels\nfrom bnb import _x\nkernels._kept", []),
        ("_kept = {}\nself._kept = _kept", []),
    ],
)
def test_private_names_are_seen(source, private):
    assert reached(source, sources()) == private


# ---- How long ----------------------------------------------------------------------------------------------------


def lengths(source: str) -> list[int]:
    """The lines of each function and method, nested ones too: from `def` to its last, less those of its docstring."""
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [span(function) - (span(function.body[0]) if ast.get_docstring(function) else 0) for function in functions]


def span(node) -> int:
    return node.end_lineno - node.lineno + 1


def too_long(found: dict[str, str]) -> dict[str, int]:
    return {name: n for name, source in found.items() if (n := len(source.splitlines())) > LONGEST_FILE}


def test_no_file_is_two_rooms():
    assert too_long(sources()) == {}
    assert too_long({"at the limit": "\n" * 400, "beyond it": "\n" * 401}) == {"beyond it": 401}


def test_half_of_all_functions_are_short():
    assert statistics.median(n for source in sources().values() for n in lengths(source)) <= LONGEST_MEDIAN


def test_lines_are_counted_without_decorators_and_docstrings():
    source = '''
@decorator
def one(
    x,
):
    """Two lines

    and a third."""
    def inner(): pass
    return x

class Two:
    async def method(self):
        return 2
'''
    assert sorted(lengths(source)) == [1, 2, 5]
