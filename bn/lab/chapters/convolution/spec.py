"""The parameters of notebook 04, and how large its trainings are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from bn.lab import paper
from bn.lab.chapters.convolution.study import CHANNELS, Placed
from bn.lab.data import datasets
from bn.lab.spec import ParameterError, whole
from bn.lab.train.specs import DigitSpec

# Rates are chosen by them, and nothing that is chosen is reported of them.
CHOOSING = (2900, 2901)
RATES = {
    "relu": (0.1, 0.3, 1.0, 3.0),
    "sigmoid": (0.3, 1.0, 3.0, 10.0),
    "maps": (0.1, 0.3, 1.0),  # of the convolutional networks, which have ReLUs
}
ONE_OF_THEM = {kind: (0.3,) for kind in RATES}  # enough to show that the code works
EVALUATIONS = 10  # of a training, and one before it


@dataclass(frozen=True)
class Size:
    """How much work a scale is.

    - `steps`, `seeds`: of the fully-connected networks; `map_steps`: of the convolutional ones.
    - `choosing`: seeds by which rates are chosen.
    - `images`, `map_images`: test images over which distributions are measured.
    - `rates`: those that are tried, by kind of network.
    - `channels`: of the convolutional networks.
    - `watched`: validation and test images in an accuracy, 0 for all; of a convolutional network 1,000 at most.
    """

    steps: int
    seeds: int
    map_steps: int
    choosing: tuple[int, ...]
    images: int
    map_images: int
    watched: int = 0
    rates: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: RATES)
    channels: tuple[int, ...] = CHANNELS


_SMOKE = Size(5, 2, 2, CHOOSING[:1], 60, 60, 60, ONE_OF_THEM, (2, 2, 2))
_LARGE = Size(5_000, 10, 2_000, CHOOSING, 2_000, 2_000)


@dataclass(frozen=True, kw_only=True)
class Convolution(DigitSpec):
    """The four places of BN and the feature maps, with mini-batches of `batch` examples."""

    sizes: ClassVar[dict] = {
        ("smoke", "digits"): _SMOKE,
        ("smoke", "mnist"): _SMOKE,
        ("cpu", "digits"): Size(100, 3, 40, CHOOSING[:1], 120, 200, channels=(4, 8, 8)),
        ("cpu", "mnist"): Size(600, 3, 250, CHOOSING, 1_000, 1_000),
        ("gpu", "digits"): _LARGE,
        ("gpu", "mnist"): _LARGE,
        ("paper", "mnist"): _LARGE,
    }

    batch: int = paper.MNIST_BATCH

    def __post_init__(self) -> None:
        super().__post_init__()
        if spent := sorted({*self.seeds} & {*CHOOSING}):
            raise ParameterError(
                f"seeds must leave out {CHOOSING[0]} and {CHOOSING[-1]}, by which learning rates are chosen, "
                f"but {spent[0]} is among them"
            )
        images = datasets.TRAINING_IMAGES[self.dataset]
        whole("batch", self.batch, 2, images, also=f", the number of training images of {self.dataset}")

    @property
    def papers_own_size(self) -> bool:
        """The paper has no experiment of this kind."""
        return False

    @property
    def map_steps(self) -> int:
        """The convolutional networks train for their own number of steps, unless all are to train for fewer."""
        return min(self.steps, self.size.map_steps)

    def units(self, network: str, activation: str, rate: float, measured: bool = False) -> Placed:
        """A fully-connected network with BN at a place; `measured`: its distributions too."""
        return Placed(
            network=network,
            activation=activation,
            dataset=self.dataset,
            steps=self.steps,
            every=max(1, self.steps // EVALUATIONS),
            batch=self.batch,
            learning_rate=rate,
            watched=self.size.watched,
            images=self.size.images if measured else 0,
        )

    def maps(self, network: str, rate: float, measured: bool = False) -> Placed:
        """A convolutional network with ReLUs, looked at before its training and after it."""
        return Placed(
            network=network,
            channels=self.size.channels,
            dataset=self.dataset,
            steps=self.map_steps,
            every=self.map_steps,
            batch=self.batch,
            learning_rate=rate,
            watched=self.size.watched or 1_000,
            images=self.size.map_images if measured else 0,
        )
