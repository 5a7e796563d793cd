"""The chapters that have an experiment, found by their folders: no list of them stands anywhere.

A chapter is one name in five places: `notebooks/NN_<name>.ipynb`, `bn/lab/chapters/<name>/`, `book/claims/<name>.yml`,
`book/records/<name>/`, and the `experiment` of its records. Its package exports `EXPERIMENT`.
"""

import importlib
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
def notebooks() -> dict[str, Path]:
    """The notebook of each chapter by the chapter's name, in the order of the book."""
    files = sorted((paths.ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    chapters = Path(__file__).parent / "chapters"
    return {file.stem[3:]: file for file in files if (chapters / file.stem[3:] / "__init__.py").exists()}


@cache
def experiment(name: str) -> Experiment:
    """The experiment of one chapter. Raises KeyError for a name that no chapter has."""
    if name not in notebooks():
        raise KeyError(f"no chapter is called {name!r}; there are {', '.join(notebooks())}")
    return importlib.import_module(f"bn.lab.chapters.{name}").EXPERIMENT


def figures(name: str) -> ModuleType:
    """The module with the figures of one chapter, a function each, from a record and a language to a drawing."""
    return importlib.import_module(f"bn.lab.chapters.{name}.figures")


def experiments() -> dict[str, Experiment]:
    """All of them by name, in the order of the book."""
    return {name: experiment(name) for name in notebooks()}
