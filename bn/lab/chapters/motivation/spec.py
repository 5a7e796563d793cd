"""The parameters of notebook 02."""

from dataclasses import dataclass
from typing import ClassVar

from bn.lab.chapters.motivation.study import Stack
from bn.lab.data import datasets
from bn.lab.spec import ParameterError, whole
from bn.lab.train.specs import DigitSpec

CHOOSING = 2900, 2901  # the seeds by which rates are chosen, and of which nothing is reported
GAIN = 4.0  # of the first weights of all sigmoid networks: it makes up for the slope, which is at most 1/4
EVALUATIONS = 10  # of a network whose course is shown; of all others the two ends are enough
OUTSIDE_DEPTH = 3  # of the networks that are normalized outside the gradient: as deep as that of section 4.1
OUTSIDE_RATES = 0.3, 1.0  # of these: at both the networks inside learn, as seeds showed that are not reported


@dataclass(frozen=True)
class Size:
    """How much work a scale is.

    - `steps`, `seeds`: of each training.
    - `depths`: hidden layers of the sigmoid networks; `rates`: what is tried for each.
    - `layers`: of the untrained networks in which a small change is followed.
    - `widths`: what is whitened in `rows` examples; `examples`: of each regression.
    """

    steps: int
    seeds: int | tuple[int, ...]
    depths: tuple[int, ...]
    rates: tuple[float, ...]
    layers: int
    widths: tuple[int, ...]
    rows: int
    examples: int


RATES = (0.1, 0.3, 1.0, 3.0, 10.0)
# The longest width is below the number of rows, or the covariance would have no inverse.
SMOKE = Size(4, 2, (2, 4), (1.0,), 4, (8, 16), 64, 300)
SHORT = Size(200, 2, (2, 4, 8), (1.0,), 20, (64, 256), 1024, 1_000)
WHOLE = Size(500, 3, (2, 4, 8, 16), RATES, 20, (128, 256, 512, 1024), 2048, 5_000)
LONG = Size(2_000, 10, (2, 4, 8, 16), RATES, 20, (128, 256, 512, 1024), 2048, 20_000)


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
        if set(CHOOSING) & set(self.seeds):
            raise ParameterError(f"seeds must leave out {' and '.join(map(str, CHOOSING))}, by which rates are chosen")

    @property
    def papers_own_size(self) -> bool:
        """The paper has no experiment in these sections."""
        return False

    def stack(self, network: str, depth: int, learning_rate: float, evaluations: int = 1) -> Stack:
        """A sigmoid network of one of `study.NORMS`."""
        return Stack(
            network=network,
            dataset=self.dataset,
            steps=self.steps,
            every=max(1, self.steps // evaluations),
            batch=self.batch,
            learning_rate=learning_rate,
            watched=2_000,
            depth=depth,
            gain=GAIN,
        )

    def followed(self, network: str, activation: str) -> Stack:
        """A network at its first weights, deep enough to follow a change through."""
        gain = {"sigmoid": GAIN, "relu": 2**0.5}[activation]  # the latter as He et al. (2015)
        return self._untrained(network=network, depth=self.size.layers, activation=activation, gain=gain)

    def small(self, depth: int) -> Stack:
        """A plain sigmoid network with first weights as Glorot and Bengio (2010) have them, which is not trained."""
        return self._untrained(network="plain", depth=depth)

    def _untrained(self, **network) -> Stack:
        first = {"steps": 0, "every": 1, "batch": self.batch, "learning_rate": 0.1, "watched": 2_000}
        return Stack(dataset=self.dataset, **first, **network)
