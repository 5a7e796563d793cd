"""The parameters of a notebook, checked before anything runs.

A specification is a frozen dataclass; its fields are the notebook's parameters. How much work a scale is, is data in
`sizes`: the same notebook runs at each of them.
"""

import ast
import math
from dataclasses import asdict, dataclass, fields
from typing import ClassVar

SCALES = ("smoke", "cpu", "gpu", "paper")
LANGUAGES = ("en", "ar")


class ParameterError(ValueError):
    """A notebook's parameter is wrong; the message says which, and what is allowed."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The parameters that every notebook has. Raises ParameterError with one sentence.

    A chapter's own class has `sizes`: for each scale and data set that go together, something that has `steps` and
    `seeds`, from which both are taken where they are not given; `resolved()`, the data set that the asked one stands
    for, `auto` among them; and `papers_own_size`, whether it asks an experiment of the paper at the paper's own size.
    """

    sizes: ClassVar[dict]

    scale: str = "cpu"
    dataset: str = "auto"
    seeds: int | tuple[int, ...] | None = None
    language: str = "en"
    steps: int | None = None

    def __post_init__(self) -> None:
        one_of("scale", self.scale, SCALES)
        one_of("language", self.language, LANGUAGES)
        one_of("dataset", self.dataset, ("auto", *dict.fromkeys(dataset for _, dataset in self.sizes)))
        if self.steps is not None:
            whole("steps", self.steps, 1)
        self._set(dataset=self.resolved())
        if (self.scale, self.dataset) not in self.sizes:
            raise ParameterError(self.no_size())
        self._set(seeds=_seeds(self.seeds, self.size.seeds), steps=self.steps or self.default_steps())

    def no_size(self) -> str:
        """Why there is no such data set at this scale, and what to do."""
        allowed = [dataset for scale, dataset in self.sizes if scale == self.scale]
        return f"at scale '{self.scale}' the data set must be one of {', '.join(allowed)}, but it is {self.dataset}"

    def default_steps(self) -> int:
        """The scale's own number of steps."""
        return self.size.steps

    @classmethod
    def from_notebook(cls, cells: list[str], namespace: dict):
        """Read the parameters from a notebook: `from_notebook(In, globals())`.

        papermill only warns of a name that the notebook does not know, and a misspelt parameter would be
        silently ignored; so every name set in a cell that starts with `# Parameters` must be one of ours.
        """
        allowed = {field.name for field in fields(cls)}
        given = {name for cell in cells if cell.startswith("# Parameters") for name in _assigned(cell)}
        if unknown := sorted(given - allowed):
            raise ParameterError(
                f"unknown parameter {', '.join(map(repr, unknown))}; "
                f"this notebook's parameters are {', '.join(sorted(allowed))}"
            )
        # From the namespace, not from `given`: nbval runs the cells without a history, so that `In` is empty.
        values = {name: namespace[name] for name in allowed if name in namespace}
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    @property
    def size(self):
        """The scale's own amounts, before `seeds` and `steps` replace them."""
        return self.sizes[self.scale, self.dataset]

    def _set(self, **values) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def as_dict(self) -> dict:
        """The resolved parameters, the language aside: they are the same question in both languages."""
        return {name: value for name, value in asdict(self).items() if name != "language"}


def _assigned(cell: str) -> set[str]:
    names = {node for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Name)}
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}


def _seeds(seeds: object, default: int) -> tuple[int, ...]:
    if seeds is None:
        seeds = default
    if isinstance(seeds, tuple):
        for seed in seeds:
            whole("every seed", seed, 0)
        if seeds and len(set(seeds)) == len(seeds):
            return seeds
        raise ParameterError(f"seeds must be different numbers, at least one, but it is {list(seeds)}")
    whole("seeds", seeds, 1, also=", a list of different seeds, or None for the scale's own number")
    return tuple(range(seeds))


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raise ParameterError unless the value is one of those allowed."""
    if value not in allowed:
        raise ParameterError(f"{name} must be one of {', '.join(map(repr, allowed))}, but it is {value!r}")


def whole(name: str, value: object, least: int, most: float = math.inf, also: str = "") -> None:
    """Raise ParameterError unless the value is a whole number from `least` to `most`."""
    if type(value) is not int or not least <= value <= most:
        limit = f"at least {least}" if most == math.inf else f"from {least} to {most}"
        raise ParameterError(f"{name} must be a whole number {limit}{also}, but it is {value!r}")


def positive(name: str, value: object) -> None:
    """Raise ParameterError unless the value is a finite number above 0."""
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise ParameterError(f"{name} must be a number above 0, but it is {value!r}")


def positives(name: str, values: object) -> None:
    """Raise ParameterError unless the values are a tuple of finite numbers above 0, at least one."""
    if not isinstance(values, tuple) or not values:
        raise ParameterError(f"{name} must be a list of numbers above 0, at least one, but it is {values!r}")
    for value in values:
        positive(f"every number of {name}", value)
