"""What breaks an identity on purpose: a line of a module of bn that is replaced by a wrong one, while a test runs."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

CHAPTERS = Path(__file__).parent / "lab" / "chapters"


class Mutation(NamedTuple):
    """A text that occurs once in the source of a module, and what is to stand there instead."""

    module: str
    line: str
    wrong: str


def of_chapter(name: str) -> ModuleType:
    """`tests/lab/chapters/<name>/mutations.py`: `draw(seed)`, a small case, and `MUTATIONS`, some for each claim."""
    path = CHAPTERS / name / "mutations.py"
    spec = importlib.util.spec_from_file_location(f"mutations_of_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def broken(mutation: Mutation) -> Iterator[ModuleType]:
    """The wrong module, which all modules of bn that are loaded take for the right one meanwhile."""
    right = importlib.import_module(mutation.module)
    source = Path(right.__file__).read_text("utf-8")
    assert source.count(mutation.line) == 1, f"{mutation.line!r} occurs {source.count(mutation.line)} times"
    wrong = ModuleType(right.__name__)
    wrong.__file__, wrong.__package__ = right.__file__, right.__package__
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, right.__name__, wrong)  # dataclasses look for their module there
        exec(compile(source.replace(mutation.line, mutation.wrong), "mutant", "exec"), wrong.__dict__)
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] == "bn" and module is not wrong:
                _put(wrong, right, module, patch)
        yield wrong


def _put(wrong: ModuleType, right: ModuleType, into: ModuleType, patch: pytest.MonkeyPatch) -> None:
    """The wrong module and what it defines, wherever a module has the right ones under a name."""
    own = {id(value): name for name, value in vars(right).items() if getattr(value, "__module__", "") == right.__name__}
    for name, value in list(vars(into).items()):
        if value is right:
            patch.setattr(into, name, wrong)
        elif id(value) in own:
            patch.setattr(into, name, getattr(wrong, own[id(value)]))
