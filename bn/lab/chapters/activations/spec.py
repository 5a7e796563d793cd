"""The parameters of notebook 03."""

from dataclasses import dataclass, replace

from bn.lab import paper
from bn.lab.data import datasets
from bn.lab.spec import RATE, SCALES, number, numbers, one_of, whole
from bn.lab.train.mlp import HIDDEN
from bn.lab.train.settings import Setting
from bn.lab.train.specs import DigitSpec

# The grid by whether the scale is `smoke`: there its four corners are enough to show that the code works.
GRID = {
    False: {"rates": (0.05, 0.15, 0.5, 1.5, 5.0, 15.0), "weight_stds": (0.01, 0.03, 0.1, 0.3)},
    True: {"rates": (0.5, 5.0), "weight_stds": (0.01, 0.1)},
}
STD = 1e-6, 1_000  # of the first weights: from all alike to sigmoids that are all 0 or 1


@dataclass(frozen=True, kw_only=True)
class Activations(DigitSpec):
    """Figure 1 at one `learning_rate` and `weight_std`, and a grid of `rates` and `weight_stds`.

    `unit`: of the last hidden layer, the one to follow; None for the one whose drift is typical.
    """

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
        for name, default in GRID[self.scale == "smoke"].items():
            self._set(**{name: default if getattr(self, name) is None else getattr(self, name)})
        numbers("rates", self.rates, *RATE)
        numbers("weight_stds", self.weight_stds, *STD)
        if self.unit is not None:
            whole("unit", self.unit, 0, HIDDEN[-1] - 1)
        super().__post_init__()
        images = datasets.TRAINING_IMAGES[self.dataset]
        whole("batch", self.batch, 2, images, also=f", the number of training images of {self.dataset}")

    def setting(self, *arguments, **options) -> Setting:
        """One network of section 4.1, with this chapter's mini-batch."""
        return replace(super().setting(*arguments, **options), batch=self.batch)

    def cells(self) -> list[tuple[float, float]]:
        """The grid, rates outermost."""
        return [(rate, std) for rate in self.rates for std in self.weight_stds]
