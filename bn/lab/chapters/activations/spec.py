"""The parameters of notebook 03."""

from dataclasses import dataclass, replace
from typing import ClassVar

from bn.lab import paper
from bn.lab.data import datasets
from bn.lab.spec import RATE, SCALES, ParameterError, number, numbers, one_of, whole
from bn.lab.train.mlp import HIDDEN
from bn.lab.train.settings import Setting
from bn.lab.train.specs import DigitSpec

# Settings are chosen by them, and nothing that is chosen is reported of them.
GRID_SEEDS = tuple(range(2100, 2105))


@dataclass(frozen=True)
class Size:
    """How much work a scale is: steps and seeds of Figure 1, and steps and seeds by which settings are chosen."""

    steps: int
    seeds: int | tuple[int, ...]
    grid_steps: int
    grid_seeds: tuple[int, ...]


@dataclass(frozen=True)
class Lists:
    """The settings that are tried beside Figure 1's.

    - `rates`, `weight_stds`: of the grid.
    - `ladder`: rates, each twice the one before; `spread`: deviations of the first weights.
    - `optimizers`: the rates of each.
    """

    rates: tuple[float, ...]
    weight_stds: tuple[float, ...]
    ladder: tuple[float, ...]
    spread: tuple[float, ...]
    optimizers: dict[str, tuple[float, ...]]


# At scale `smoke` the four corners of the grid, and two of all else, are enough to show that the code works.
SMOKE = Lists(
    rates=(0.5, 5.0),
    weight_stds=(0.01, 0.1),
    ladder=(0.5, 1.0),
    spread=(0.01, 1.0),
    optimizers={"sgd": (0.5,), "momentum": (0.05,), "adagrad": (0.01,), "adam": (0.001, 0.003)},
)
SHORT = Lists(
    rates=(0.15, 0.5, 1.5, 5.0),
    weight_stds=(0.01, 0.1, 0.3),
    ladder=tuple(0.5 * 4**k for k in range(5)),
    spread=(1e-3, 1e-2, 1e-1, 1.0, 10.0),
    optimizers={"sgd": (1.5,), "momentum": (0.15,), "adagrad": (0.03,), "adam": (0.003,)},
)
FULL = Lists(
    rates=(0.05, 0.15, 0.5, 1.5, 5.0, 15.0),
    weight_stds=(0.01, 0.03, 0.1, 0.3),
    ladder=tuple(0.5 * 2**k for k in range(12)),
    spread=tuple(float(f"{10 ** (k / 2 - 3):.3g}") for k in range(9)),
    optimizers={
        "sgd": (0.15, 0.5, 1.5, 5.0),
        "momentum": (0.015, 0.05, 0.15, 0.5),
        "adagrad": (0.003, 0.01, 0.03, 0.1),
        "adam": (0.0003, 0.001, 0.003, 0.01),
    },
)
LISTS = {"smoke": SMOKE, "cpu": SHORT, "gpu": FULL, "paper": FULL}
STD = 1e-6, 1_000  # of the first weights: from all alike to sigmoids that are all 0 or 1
MIDDLE = 0.1  # deviation of the first weights where only the rate or the optimizer differs


@dataclass(frozen=True, kw_only=True)
class Activations(DigitSpec):
    """Figure 1 at one `learning_rate` and `weight_std`, and a grid of `rates` and `weight_stds`.

    `unit`: of the last hidden layer, the one to follow; None for the one whose drift is typical.
    """

    sizes: ClassVar[dict] = {
        ("smoke", "digits"): Size(60, 2, 20, GRID_SEEDS[:1]),
        ("smoke", "mnist"): Size(60, 2, 20, GRID_SEEDS[:1]),
        ("cpu", "digits"): Size(2_000, 3, 600, GRID_SEEDS[:1]),
        ("cpu", "mnist"): Size(10_000, 3, 2_000, GRID_SEEDS[:1]),
        ("gpu", "digits"): Size(10_000, 10, 5_000, GRID_SEEDS),
        ("gpu", "mnist"): Size(paper.MNIST_STEPS, 10, 10_000, GRID_SEEDS),
        ("paper", "mnist"): Size(paper.MNIST_STEPS, tuple(range(2000, 2012)), 10_000, GRID_SEEDS),
    }

    batch: int = paper.MNIST_BATCH
    learning_rate: float = 0.5
    weight_std: float = 0.01
    rates: tuple[float, ...] | None = None
    weight_stds: tuple[float, ...] | None = None
    unit: int | None = None

    def __post_init__(self) -> None:
        self._lists_as_tuples()
        one_of("scale", self.scale, SCALES)
        number("learning_rate", self.learning_rate, *RATE)
        number("weight_std", self.weight_std, *STD)
        for name in ("rates", "weight_stds"):
            self._set(**{name: getattr(self.lists if getattr(self, name) is None else self, name)})
        numbers("rates", self.rates, *RATE)
        numbers("weight_stds", self.weight_stds, *STD)
        if self.unit is not None:
            whole("unit", self.unit, 0, HIDDEN[-1] - 1)
        super().__post_init__()
        if spent := sorted({*self.seeds} & {*GRID_SEEDS}):
            raise ParameterError(
                f"seeds must leave out {GRID_SEEDS[0]} to {GRID_SEEDS[-1]}, by which settings are chosen, "
                f"but {spent[0]} is among them"
            )
        images = datasets.TRAINING_IMAGES[self.dataset]
        whole("batch", self.batch, 2, images, also=f", the number of training images of {self.dataset}")

    @property
    def lists(self) -> Lists:
        """The scale's own settings."""
        return LISTS[self.scale]

    def setting(self, *arguments, **options) -> Setting:
        """One network of section 4.1, with this chapter's mini-batch."""
        return replace(super().setting(*arguments, **options), batch=self.batch)

    def brief(self, network: str, learning_rate: float, weight_std: float, optimizer: str | None = None) -> Setting:
        """One that is trained for a shorter time, half of that to compare optimizers, for its accuracies alone."""
        steps = min(self.steps, self.size.grid_steps)
        steps = max(1, steps // 2) if optimizer else steps
        # It is read at its end, where ten evaluations out of forty are a quarter of the training.
        setting = self.setting(network, steps, learning_rate, weight_std, evaluations=40)
        return replace(setting, optimizer=optimizer or "sgd", studied=False)

    def cells(self) -> list[tuple[float, float]]:
        """The grid, rates outermost."""
        return [(rate, std) for rate in self.rates for std in self.weight_stds]
