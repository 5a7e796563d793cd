"""The chapters that have an experiment, found by their folders: no list of them stands anywhere.

A chapter is one name in five places: `notebooks/NN_<name>.ipynb`, `bn/lab/chapters/<name>/`, `book/claims/<name>.yml`,
`book/records/<name>/`, and the `experiment` of its records. Its package exports `EXPERIMENT`.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType

from bn.lab import paths
from bn.lab.spec import Spec


@dataclass(frozen=True)
class Experiment:
    """What a chapter asks and how it answers.

    - `name`: of the folder.
    - `spec`: the dataclass of the notebook's parameters.
    - `record`: from the parameters to the record, which it writes; runs that are finished are only read.
    - `estimates`: for each claim of the chapter that is not `measured` in the record itself, from a record to the named
      estimates that its rule holds against its limits.
    """

    name: str
    spec: type[Spec]
    record: Callable[[Spec], dict]
    estimates: Mapping[str, Callable[[dict], Mapping]] = field(default_factory=dict)


@cache
def names() -> tuple[str, ...]:
    """All chapters that have a folder, in the order of their notebooks."""
    order = [file.stem[3:] for file in sorted((paths.ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))]
    folders = sorted(file.parent.name for file in (Path(__file__).parent / "chapters").glob("*/__init__.py"))
    return tuple(sorted(folders, key=lambda name: order.index(name) if name in order else len(order)))


def notebook(name: str) -> Path:
    """The notebook of one chapter. Raises LookupError where there is not just one."""
    files = sorted((paths.ROOT / "notebooks").glob(f"[0-9][0-9]_{name}.ipynb"))
    if len(files) != 1:
        raise LookupError(f"chapter {name!r} must have one notebook, notebooks/NN_{name}.ipynb, but has {len(files)}")
    return files[0]


@cache
def experiment(name: str) -> Experiment:
    """The experiment of one chapter. Raises KeyError for a name that no chapter has."""
    if name not in names():
        raise KeyError(f"no chapter is called {name!r}; there are {', '.join(names())}")
    module = importlib.import_module(f"bn.lab.chapters.{name}")
    if not isinstance(getattr(module, "EXPERIMENT", None), Experiment):
        raise TypeError(f"{module.__file__} must define EXPERIMENT, an Experiment: see bn.lab.registry")
    return module.EXPERIMENT


def figures(name: str) -> ModuleType:
    """The module with the figures of one chapter, a function each, from a record and a language to a drawing."""
    return importlib.import_module(f"bn.lab.chapters.{name}.figures")


def findings(name: str) -> Callable[[dict, str], list[str]] | None:
    """What one chapter has found in plain sentences, from a record and a language; None of most chapters."""
    module = f"bn.lab.chapters.{name}.findings"
    return importlib.import_module(module).findings if importlib.util.find_spec(module) else None
