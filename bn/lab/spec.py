"""The parameters of a notebook, checked before anything runs.

A specification is a frozen dataclass; its fields are the notebook's parameters. How much work a scale is, is data in
`sizes`: the same notebook runs at each of them. The Snakefile reads this file by itself, so it imports nothing of `bn`,
which would bring torch.
"""

import ast
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from typing import ClassVar

SCALES = ("smoke", "cpu", "gpu", "paper")
DATASETS = ("auto", "digits", "mnist", "tiny-imagenet", "imagenet")  # of all chapters; each has its own `sizes`
LANGUAGES = ("en", "ar")
SETTINGS = {"scale": "cpu", "dataset": "auto", "seeds": None, "steps": None, "out": "build"}  # of the batch

# From the smallest to the largest that anyone could want, so that a slip is told before it costs days or all memory.
SEED = 0, 2**63 - 1  # torch's generators take twice as many, NumPy's arrays of whole numbers no more
SEEDS = 1, 1_000  # how many: intervals are narrow long before, and each seed is a network to train
STEPS = 1, 10**9  # the paper's longest training has 31 million
RATE = 1e-9, 1_000_000  # below, not even a weight of 0.01 moves in float32; above, nothing learns
LISTED = 100  # numbers in a list: a grid of 100 × 100 settings is 20,000 networks for each seed
_LONGEST = 60  # characters of a value within a sentence


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
        self._lists_as_tuples()
        one_of("scale", self.scale, SCALES)
        one_of("language", self.language, LANGUAGES)
        one_of("dataset", self.dataset, ("auto", *dict.fromkeys(dataset for _, dataset in self.sizes)))
        if self.steps is not None:
            whole("steps", self.steps, *STEPS)
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
        silently ignored; so every name set in a cell with a line `# Parameters` must be one of ours.
        """
        allowed = {field.name for field in fields(cls)}
        if unknown := sorted(_given(cells, allowed) & namespace.keys() - allowed):
            raise ParameterError(
                f"unknown parameter {', '.join(map(repr, unknown))}; "
                f"this notebook's parameters are {', '.join(sorted(allowed))}"
            )
        # From the namespace, not from the cells: nbval runs them without a history, so that `In` is empty.
        values = {name: namespace[name] for name in allowed if name in namespace}
        return cls(**values)

    @property
    def size(self):
        """The scale's own amounts, before `seeds` and `steps` replace them."""
        return self.sizes[self.scale, self.dataset]

    def _lists_as_tuples(self) -> None:
        """A notebook and a script may say `seeds = [0, 1]`; what is frozen holds no list."""
        listed = [field.name for field in fields(self) if "tuple" in str(field.type)]
        self._set(**{name: tuple(getattr(self, name)) for name in listed if isinstance(getattr(self, name), list)})

    def _set(self, **values) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def as_dict(self) -> dict:
        """The resolved parameters, the language aside: they are the same question in both languages."""
        return {name: value for name, value in asdict(self).items() if name != "language"}


def _given(cells: list[str], allowed: set[str]) -> set[str]:
    """The names set by the cells of parameters that ran since the notebook last asked; if none did, by those before.

    A cell that was changed and run again counts as it is now: it sets at least those of our names that it did. The cell
    that papermill adds sets a few of them, and joins that of the notebook.
    """
    runs = [found for _, run in groupby(cells, _asks) if (found := [*filter(_of_parameters, run)])]
    counted: list[set[str]] = []
    for names in map(_assigned, runs[-1] if runs else []):
        counted = [*(earlier for earlier in counted if not earlier & allowed <= names), names]
    return set().union(*counted)


def _asks(cell: str) -> bool:
    return "from_notebook(" in cell


def _of_parameters(cell: str) -> bool:
    return bool(re.search(r"^# Parameters\b", cell, re.MULTILINE))


def _assigned(cell: str) -> set[str]:
    before = re.split(r"^.*from_notebook\(", cell, maxsplit=1, flags=re.MULTILINE)[0]
    try:
        names = {node for node in ast.walk(ast.parse(before)) if isinstance(node, ast.Name)}
    except SyntaxError:  # it has not run
        return set()
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}


# ---- The batch -----------------------------------------------------------------------------------


def batch(config: Mapping[str, object]) -> tuple[dict, str]:
    """What Snakemake's `--config` asks: the parameters of every notebook, and the folder to write to.

    Raises ParameterError. Whether a data set and a scale go together is for each notebook to say.
    """
    if unknown := sorted(config.keys() - SETTINGS.keys(), key=str):
        raise ParameterError(
            f"unknown setting {', '.join(map(repr, unknown))}; the settings of the batch are {', '.join(SETTINGS)}"
        )
    read = {name: value if name == "out" else literal(value) for name, value in config.items()}
    asked = SETTINGS | {name: value for name, value in read.items() if value is not None}
    one_of("scale", asked["scale"], SCALES)
    one_of("dataset", asked["dataset"], DATASETS)
    _seeds(asked["seeds"], 1)
    if asked["steps"] is not None:
        whole("steps", asked["steps"], *STEPS)
    out = asked.pop("out")
    # Braces would be Snakemake's wildcards, and what begins with - an option of the commands it calls.
    if not isinstance(out, str | int) or not re.fullmatch(r"[^-{}\0-\x1f][^{}\0-\x1f]*", str(out)):
        raise ParameterError(f"out must be a folder's path without braces or a leading -, but it is {_shown(out)}")
    return {name: value for name, value in asked.items() if value not in (None, "auto")}, str(out)


def literal(value: object) -> object:
    """What a text stands for: Snakemake hands over `[0, 1]` as `["0", "1"]`, and a command line as one text."""
    if isinstance(value, list | tuple):
        return tuple(map(literal, value))
    try:
        read = ast.literal_eval(value) if isinstance(value, str) else value
    except Exception:  # no literal, in one of five ways
        return value
    return literal(read) if isinstance(read, list) else read


# ---- Checks --------------------------------------------------------------------------------------


def _seeds(seeds: object, default: int | tuple[int, ...]) -> tuple[int, ...]:
    if seeds is None:
        seeds = default
    if isinstance(seeds, tuple):
        if not SEEDS[0] <= len(seeds) <= SEEDS[1]:
            raise ParameterError(f"seeds must be {_range(SEEDS)} different numbers, but there are {len(seeds):,}")
        for seed in seeds:
            whole("every seed", seed, *SEED)
        if len(set(seeds)) == len(seeds):
            return seeds
        raise ParameterError(f"seeds must be different numbers, but it is {_shown(list(seeds))}")
    whole("seeds", seeds, *SEEDS, also=", a list of different seeds, or None for the scale's own number")
    return tuple(range(seeds))


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raise ParameterError unless the value is one of those allowed."""
    if value not in allowed:
        raise ParameterError(f"{name} must be one of {', '.join(map(repr, allowed))}, but it is {_shown(value)}")


def whole(name: str, value: object, least: int, most: float = math.inf, also: str = "") -> None:
    """Raise ParameterError unless the value is a whole number from `least` to `most`."""
    if type(value) is not int or not least <= value <= most:
        limit = f"at least {least}" if most == math.inf else _range((least, most))
        raise ParameterError(f"{name} must be a whole number {limit}{also}, but it is {_shown(value)}")


def number(name: str, value: object, least: float, most: float) -> None:
    """Raise ParameterError unless the value is a number from `least` to `most`."""
    if type(value) not in (int, float) or not least <= value <= most:
        limit = _range((least, most))
        raise ParameterError(f"{name} must be a number {limit}, but it is {_shown(value)}{_yaml(value)}")


def numbers(name: str, values: object, least: float, most: float) -> None:
    """Raise ParameterError unless the values are a tuple of numbers from `least` to `most`, at least one."""
    if not isinstance(values, tuple) or not 1 <= len(values) <= LISTED:
        limit = f"1 to {LISTED} numbers {_range((least, most))}"
        raise ParameterError(f"{name} must be a list of {limit}, but it is {_shown(values)}")
    for value in values:
        number(f"every number of {name}", value, least, most)


def positive(name: str, value: object) -> None:
    """Raise ParameterError unless the value is a finite number above 0."""
    if type(value) not in (int, float) or not 0 < value <= sys.float_info.max:
        raise ParameterError(f"{name} must be a number above 0, but it is {_shown(value)}")


def _range(ends: tuple[float, float]) -> str:
    return "from {} to {}".format(*(f"{end:,}" if isinstance(end, int) else f"{end:g}" for end in ends))


def _shown(value: object) -> str:
    """A value within a sentence: in one line, and shortened where it is enormous."""
    try:
        text = repr(value)
    except ValueError:  # Python writes none of more than 4,300 digits
        return "an enormous number"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _yaml(value: object) -> str:
    """What to say of a number that YAML reads as text, such as 1e-1: papermill's `-y` is YAML."""
    try:
        hint = isinstance(value, str) and "e" in value.lower() and bool(float(value))
    except ValueError:
        hint = False
    return ", a text: in YAML a number has a point and its exponent a sign, as in 1.0e-1" if hint else ""
