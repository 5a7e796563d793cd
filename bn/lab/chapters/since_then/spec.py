"""The parameters of notebook 12, and the networks that it trains."""

from dataclasses import dataclass
from typing import ClassVar

from bn.lab.chapters.since_then.study import Network
from bn.lab.data import datasets
from bn.lab.spec import ParameterError, whole
from bn.lab.train.specs import DigitSpec

CHOOSING = 2100, 2101  # seeds by which rates are chosen, and nothing else
STEPS = 8, 100_000  # fewer leave too few evaluations
WATCHED = 2_000  # validation and test images of an evaluation
BATCH = 64  # where the size of the mini-batch is not the question
SIZES_OF_BATCHES = 2, 4, 32
FULL = SIZES_OF_BATCHES[-1]
FEW = 2  # images that share statistics on a small device
NORMALIZERS = "bn", "renorm", "layer", "group"  # of the fully-connected network
OF_MAPS = "bn", "group", "instance"  # of the convolutional one
# (rate, λ): the first two have one product, the third four times as much.
PRODUCTS = {"slow": (0.1, 0.05), "fast": (0.4, 0.0125), "more": (0.4, 0.05)}
MEMORIES = 0.1, 0.01  # weights of the newest in moving averages


@dataclass(frozen=True)
class Size:
    """How much work a scale is: steps of the deep networks, seeds, the `rates` that are tried, by how many seeds."""

    steps: int
    seeds: int
    evaluations: int
    rates: tuple[float, ...]
    choosing: int


_FEW, _ALL = (0.1, 0.3), (0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True, kw_only=True)
class SinceThen(DigitSpec):
    """`steps`: of the deep networks, from which the lengths of all other trainings follow."""

    sizes: ClassVar[dict] = {
        ("smoke", "digits"): Size(8, 1, 2, _FEW[:1], 1),
        ("smoke", "mnist"): Size(8, 1, 2, _FEW[:1], 1),
        ("cpu", "digits"): Size(80, 2, 10, _FEW, 1),
        ("cpu", "mnist"): Size(400, 3, 20, _ALL, 1),
        ("gpu", "digits"): Size(400, 10, 20, _ALL, 2),
        ("gpu", "mnist"): Size(2_000, 10, 20, _ALL, 2),
        ("paper", "mnist"): Size(2_000, 10, 20, _ALL, 2),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("steps", self.steps, *STEPS)
        if spent := sorted({*self.seeds} & {*CHOOSING}):
            raise ParameterError(f"seeds must leave out {spent[0]}, by which rates are chosen")

    @property
    def papers_own_size(self) -> bool:
        """The paper has no experiment of this kind."""
        return False

    @property
    def choosing(self) -> tuple[int, ...]:
        """The seeds by which rates are chosen."""
        return CHOOSING[: self.size.choosing]

    def deep(self, network: str, rate: float, *measured: str, averages: float = MEMORIES[0]) -> Network:
        """One with eight hidden layers; a longer training is evaluated more often, and not less closely."""
        every = max(1, min(self.steps, self.size.steps) // self.size.evaluations)
        asked = {"kind": "deep", "measured": measured, "averages": averages}
        return self._network(network, rate, BATCH, self.steps, every=every, **asked)

    def small_batches(self, network: str, rate: float, batch: int, group: int = 0) -> Network:
        """One with two hidden layers, for mini-batches of any size."""
        return self._of_images("shallow", network, rate, batch, group)

    def of_maps(self, network: str, rate: float, batch: int, group: int = 0) -> Network:
        """The same of a convolutional one."""
        return self._of_images("convolutional", network, rate, batch, group)

    def invariant(self, rate: float, weight_decay: float) -> Network:
        """One whose every weight is scale-invariant."""
        steps = self.steps * 3 // 2
        asked = {"kind": "invariant", "weight_decay": weight_decay}
        return self._network("bn", rate, BATCH, steps, every=self._every(steps), **asked)

    @property
    def images(self) -> int:
        """How many images the networks with small mini-batches see."""
        return 10 * self.steps

    def rates_for(self, batch: int) -> tuple[float, ...]:
        """Those that are tried with a mini-batch: in proportion to it, as is usual for SGD."""
        return tuple(float(f"{rate * batch / FULL:.3g}") for rate in self.size.rates)

    def _of_images(self, kind: str, network: str, rate: float, batch: int, group: int) -> Network:
        """It sees as many images, whatever the mini-batch, and its averages remember as many."""
        steps, averages = max(1, self.images // batch), min(MEMORIES[0], batch / 320)
        asked = {"kind": kind, "averages": averages, "group": group}
        return self._network(network, rate, batch, steps, every=self._every(steps), **asked)

    def _every(self, steps: int) -> int:
        return max(1, steps // self.size.evaluations)

    def _network(self, network: str, rate: float, batch: int, steps: int, **options) -> Network:
        batch = min(batch, datasets.TRAINING_IMAGES[self.dataset])
        asked = {"network": network, "dataset": self.dataset, "learning_rate": rate, "watched": WATCHED}
        return Network(steps=steps, batch=batch, **asked, **options)
