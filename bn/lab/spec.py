"""What each notebook may ask for, checked before anything runs, and how large each scale is.

A question is a frozen dataclass; its fields are the notebook's parameters. Scales are data: the same notebook
runs at each of them.
"""

import ast
import math
from dataclasses import asdict, dataclass, fields, replace
from typing import ClassVar

import torch

from bn.lab.data import datasets as data
from bn.lab.data import images
from bn.lab.train import recipes
from bn.lab.train.inception import SMALLEST
from bn.lab.train.replicas import Setting

SCALES = ("smoke", "cpu", "gpu", "paper")
LANGUAGES = ("en", "ar")
PAPER_STEPS = 50_000  # of section 4.1
LOSS_STEPS = 50  # of notebook 11, at most
NO_CUDA = (
    "scale '{scale}' measures on a GPU, but torch finds no CUDA device here: "
    "choose scale 'cpu', or run `make bench-gpu` on a machine that has one"
)


class ParameterError(ValueError):
    """A notebook's parameter is wrong; the message says which, and what is allowed."""


@dataclass(frozen=True)
class Size:
    """How much work a scale is: steps and seeds, and the same for the grid of settings."""

    steps: int
    seeds: int
    grid_steps: int
    grid_seeds: int


# Section 4.1 by scale and data set. With MNIST the paper's own 50,000 steps fit a laptop, so every scale but
# `smoke` has them; the larger scales add seeds and a longer grid.
SIZES = {
    ("smoke", "digits"): Size(60, 2, 20, 1),
    ("smoke", "mnist"): Size(60, 2, 20, 1),
    ("cpu", "digits"): Size(10_000, 3, 1_000, 2),
    ("cpu", "mnist"): Size(PAPER_STEPS, 3, 5_000, 1),
    ("gpu", "digits"): Size(10_000, 10, 5_000, 5),
    ("gpu", "mnist"): Size(PAPER_STEPS, 10, 10_000, 5),
    ("paper", "mnist"): Size(PAPER_STEPS, 5, 10_000, 3),
}

_GRID = {
    False: {"rates": (0.05, 0.15, 0.5, 1.5, 5.0, 15.0), "weight_stds": (0.01, 0.03, 0.1, 0.3)},
    True: {"rates": (0.5, 5.0), "weight_stds": (0.01, 0.1)},  # at scale smoke
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """The parameters that every notebook has. Raises ParameterError with one sentence."""

    sizes: ClassVar[dict] = SIZES
    datasets: ClassVar[tuple[str, ...]] = data.NAMES

    scale: str = "cpu"
    dataset: str = "auto"
    seeds: int | tuple[int, ...] | None = None
    language: str = "en"
    steps: int | None = None

    def __post_init__(self) -> None:
        _one_of("scale", self.scale, SCALES)
        _one_of("language", self.language, LANGUAGES)
        _one_of("dataset", self.dataset, ("auto", *self.datasets))
        if self.steps is not None:
            _whole("steps", self.steps, 1)
        self._set(dataset=self.resolved())
        if (self.scale, self.dataset) not in self.sizes:
            raise ParameterError(self._no_size())
        self._set(seeds=_seeds(self.seeds, self.size.seeds), steps=self.steps or self.default_steps())

    def resolved(self) -> str:
        """The data set that the asked one stands for."""
        return data.resolve(self.dataset)

    def _no_size(self) -> str:
        return (
            f"scale '{self.scale}' needs MNIST, but the data set is {self.dataset}: run `make data`, "
            "or point BN_DATA at the folder that holds MNIST/raw, or choose scale 'cpu'"
        )

    @property
    def papers_own_size(self) -> bool:
        """Whether this is an experiment of the paper at the paper's own size."""
        return self.steps >= PAPER_STEPS and self.dataset == "mnist"

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
    def size(self) -> Size:
        """The scale's own amounts, before `seeds` and `steps` replace them."""
        return self.sizes[self.scale, self.dataset]

    def _set(self, **values) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def setting(
        self, network: str, steps: int, learning_rate: float, weight_std: float, evaluations: int = 100
    ) -> Setting:
        """One network of section 4.1 on this question's data."""
        return Setting(network, self.dataset, steps, max(1, steps // evaluations), 60, learning_rate, weight_std)

    def as_dict(self) -> dict:
        """The resolved parameters, the language aside: they are the same question in both languages."""
        return {name: value for name, value in asdict(self).items() if name != "language"}


@dataclass(frozen=True, kw_only=True)
class Algorithm(Question):
    """Notebook 01: `m` examples of `features` numbers, `eps` in the root."""

    m: int = 60
    features: int = 8
    eps: float = 1e-5

    def __post_init__(self) -> None:
        _whole("m", self.m, 2)
        _whole("features", self.features, 1)
        _positive("eps", self.eps)
        super().__post_init__()

    def default_steps(self) -> int:
        """Enough to train the network whose statistics Algorithm 2 replaces: the claim is not about accuracy."""
        return min(self.size.steps, 2_000)


@dataclass(frozen=True, kw_only=True)
class Activations(Question):
    """Notebook 03: Figure 1 at one `learning_rate` and `weight_std`, and a grid of `rates` and `weight_stds`."""

    batch: int = 60
    learning_rate: float = 0.5
    weight_std: float = 0.01
    rates: tuple[float, ...] | None = None
    weight_stds: tuple[float, ...] | None = None
    unit: int | None = None

    def __post_init__(self) -> None:
        _one_of("scale", self.scale, SCALES)
        _positive("learning_rate", self.learning_rate)
        _positive("weight_std", self.weight_std)
        for name, default in _GRID[self.scale == "smoke"].items():
            self._set(**{name: default if getattr(self, name) is None else getattr(self, name)})
            _positives(name, getattr(self, name))
        if self.unit is not None:
            _whole("unit", self.unit, 0, 99)
        super().__post_init__()
        images = data.TRAINING_IMAGES[self.dataset]
        _whole("batch", self.batch, 2, images, also=f", the number of training images of {self.dataset}")

    def setting(self, *arguments, **options) -> Setting:
        """One network of section 4.1, with this question's mini-batch."""
        return replace(super().setting(*arguments, **options), batch=self.batch)

    def cells(self) -> list[tuple[float, float]]:
        """The grid, rates outermost."""
        return [(rate, std) for rate in self.rates for std in self.weight_stds]


@dataclass(frozen=True, kw_only=True)
class Inception(Question):
    """Notebook 07: the network is counted at full size; one of `width` times the channels runs on `pixels`²."""

    width: float = 0.0625
    pixels: int = 14

    def __post_init__(self) -> None:
        _positive("width", self.width)
        _whole("pixels", self.pixels, SMALLEST)
        super().__post_init__()

    def default_steps(self) -> int:
        """A few at every scale: they show that the network runs, and prove nothing else."""
        return 3


@dataclass(frozen=True, kw_only=True)
class Kernels(Question):
    """Notebook 11: the tensors and rounds of a scale are in `bn.lab.chapters.kernels.cases`; `steps` of the loss curves.

    It has the parameters of every notebook, since `make book` gives all of them the same; no image is used.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale in ("gpu", "paper") and not torch.cuda.is_available():
            raise ParameterError(NO_CUDA.format(scale=self.scale))
        self._set(steps=min(self.steps, LOSS_STEPS))

    def default_steps(self) -> int:
        """Enough to see whether two loss curves part."""
        return LOSS_STEPS if self.scale in ("gpu", "paper") else 5


@dataclass(frozen=True, kw_only=True)
class Photographs(Question):
    """Notebooks 08, 09 and 10: the networks of section 4.2, whose sizes are in `bn.lab.train.recipes`.

    `learning_rate` is that of Inception and of BN-Baseline; where it is not given, the best of a sweep on validation
    images, at scale `paper` the paper's. Other `batch`es see as many images. `auto` is digits, at the larger scales
    Tiny ImageNet and ImageNet.
    """

    sizes: ClassVar[dict] = recipes.SIZES
    datasets: ClassVar[tuple[str, ...]] = images.NAMES

    learning_rate: float | None = None
    batch: int = recipes.BATCH
    width: float | None = None
    pixels: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(width=self.size.width if self.width is None else self.width)
        self._set(pixels=self.size.pixels if self.pixels is None else self.pixels)
        if self.learning_rate is None and not self.size.rates:
            self._set(learning_rate=recipes.PAPER_RATE)
        if self.learning_rate is not None:
            _positive("learning_rate", self.learning_rate)
        _whole("batch", self.batch, 2)
        _positive("width", self.width)
        _whole("pixels", self.pixels, SMALLEST)

    def resolved(self) -> str:
        """The data set of the scale where none is named."""
        return recipes.DATASETS[self.scale] if self.dataset == "auto" else self.dataset

    def _no_size(self) -> str:
        allowed = [dataset for scale, dataset in self.sizes if scale == self.scale]
        return f"at scale '{self.scale}' the data set must be one of {', '.join(allowed)}, but it is {self.dataset}"

    @property
    def papers_own_size(self) -> bool:
        """Whether the paper's network is trained on ImageNet for as long as in the paper."""
        whole = (self.width, self.pixels) == (self.size.width, self.size.pixels)
        return self.scale == "paper" and whole and self.steps >= self.size.steps

    def base(self, learning_rate: float) -> recipes.Recipe:
        """Inception at this question's size, from which all other networks follow."""
        size = replace(self.size, width=self.width, pixels=self.pixels)
        recipe = recipes.inception(size, self.dataset, learning_rate, self.steps)
        return recipe if self.batch == recipes.BATCH else recipes.resized(recipe, self.batch)


def _assigned(cell: str) -> set[str]:
    names = {node for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Name)}
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}


def _seeds(seeds: object, default: int) -> tuple[int, ...]:
    if seeds is None:
        seeds = default
    if isinstance(seeds, tuple):
        for seed in seeds:
            _whole("every seed", seed, 0)
        if seeds and len(set(seeds)) == len(seeds):
            return seeds
        raise ParameterError(f"seeds must be different numbers, at least one, but it is {list(seeds)}")
    _whole("seeds", seeds, 1, also=", a list of different seeds, or None for the scale's own number")
    return tuple(range(seeds))


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ParameterError(f"{name} must be one of {', '.join(map(repr, allowed))}, but it is {value!r}")


def _whole(name: str, value: object, least: int, most: float = math.inf, also: str = "") -> None:
    if type(value) is not int or not least <= value <= most:
        limit = f"at least {least}" if most == math.inf else f"from {least} to {most}"
        raise ParameterError(f"{name} must be a whole number {limit}{also}, but it is {value!r}")


def _positive(name: str, value: object) -> None:
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise ParameterError(f"{name} must be a number above 0, but it is {value!r}")


def _positives(name: str, values: object) -> None:
    if not isinstance(values, tuple) or not values:
        raise ParameterError(f"{name} must be a list of numbers above 0, at least one, but it is {values!r}")
    for value in values:
        _positive(f"every number of {name}", value)
