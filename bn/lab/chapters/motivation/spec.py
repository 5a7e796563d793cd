"""The parameters of notebook 02."""

from dataclasses import dataclass
from typing import ClassVar

from bn.lab.chapters.motivation.study import Stack
from bn.lab.data import datasets
from bn.lab.spec import ParameterError, whole
from bn.lab.train.specs import DigitSpec

CHOOSING = 2900  # the seed by which rates and first weights are chosen, and of which nothing is reported
EVALUATIONS = 10
OUTSIDE_DEPTH = 3  # of the networks that are normalized outside the gradient: as deep as that of section 4.1


@dataclass(frozen=True)
class Size:
    """How much work a scale is.

    - `steps`, `seeds`: of each training.
    - `depths`: hidden layers of the sigmoid networks; `rates`, `gains`: what is tried for each.
    - `layers`: of the untrained networks in which a small change is followed.
    - `widths`: what is whitened in `rows` examples; `examples`: of each regression.
    """

    steps: int
    seeds: int | tuple[int, ...]
    depths: tuple[int, ...]
    rates: tuple[float, ...]
    gains: tuple[float, ...]
    layers: int
    widths: tuple[int, ...]
    rows: int
    examples: int


# A gain of 4 makes up for the sigmoid's slope, which is at most 1/4. The longest width is below the number of rows, or
# the covariance would have no inverse.
SMOKE = Size(4, 2, (2, 4), (1.0,), (4.0,), 4, (8, 16), 64, 300)
SHORT = Size(200, 2, (2, 4, 8), (1.0,), (4.0,), 20, (64, 256), 1024, 1_000)
WHOLE = Size(500, 8, (2, 4, 8, 16), (1.0, 4.0), (1.0, 4.0), 20, (128, 256, 512, 1024), 2048, 5_000)
LONG = Size(2_000, 10, (2, 4, 8, 16), (0.2, 1.0, 4.0), (1.0, 4.0), 20, (128, 256, 512, 1024), 2048, 20_000)


@dataclass(frozen=True, kw_only=True)
class Motivation(DigitSpec):
    """The parameters of every notebook, and `batch`, the examples in a mini-batch."""

    sizes: ClassVar[dict] = {
        ("smoke", "digits"): SMOKE,
        ("smoke", "mnist"): SMOKE,
        ("cpu", "digits"): SHORT,
        ("cpu", "mnist"): WHOLE,
        ("gpu", "digits"): SHORT,
        ("gpu", "mnist"): LONG,
        ("paper", "mnist"): LONG,
    }

    batch: int = 60

    def __post_init__(self) -> None:
        super().__post_init__()
        images = datasets.TRAINING_IMAGES[self.dataset]
        whole("batch", self.batch, 2, images, also=f", the number of training images of {self.dataset}")
        if CHOOSING in self.seeds:
            raise ParameterError(f"seeds must leave out {CHOOSING}, by which settings are chosen")

    @property
    def papers_own_size(self) -> bool:
        """The paper has no experiment in these sections."""
        return False

    def stack(self, network: str, depth: int, learning_rate: float, gain: float, steps: int) -> Stack:
        """A sigmoid network of one of `study.NORMS`."""
        return Stack(
            network=network,
            dataset=self.dataset,
            steps=steps,
            every=max(1, steps // EVALUATIONS),
            batch=self.batch,
            learning_rate=learning_rate,
            watched=2_000,
            depth=depth,
            gain=gain,
        )

    def untrained(self, network: str, activation: str) -> Stack:
        """A network at its first weights, deep enough to follow a change through."""
        first = {"steps": 0, "every": 1, "batch": self.batch, "learning_rate": 0.1, "watched": 2_000}
        gain = {"sigmoid": 4.0, "relu": 2**0.5}[activation]  # what makes up for the slope, and what He et al. (2015) do
        deep = {"depth": self.size.layers, "activation": activation, "gain": gain}
        return Stack(network=network, dataset=self.dataset, **first, **deep)
