"""The parameters of notebook 05."""

from dataclasses import dataclass
from typing import ClassVar

from bn.lab import paper
from bn.lab.chapters.learning_rates.study import Net
from bn.lab.spec import RATE, SCALES, ParameterError, numbers, one_of, whole
from bn.lab.train.specs import DigitSpec

# The rate of the networks that are looked into is chosen by them, and nothing else is reported of them.
CHOOSING = tuple(range(3100, 3102))
DEPTH = 2, 100  # hidden layers: of one there is no map from a hidden layer to the next
WIDTH = 2, 1_000


@dataclass(frozen=True)
class Size:
    """How much work a scale is: steps and seeds of the ladder of rates, and steps of the growing weights."""

    steps: int
    seeds: int | tuple[int, ...]
    growth_steps: int


@dataclass(frozen=True)
class Lists:
    """What is tried: depths of the networks, rates, first weights, and what these are multiplied by to see them grow.

    The first of `firsts` is that of the networks that are looked into.
    """

    depths: tuple[int, ...]
    rates: tuple[float, ...]
    firsts: tuple[float | str, ...]
    scales: tuple[float, ...]


SMOKE = Lists(depths=(2, 3), rates=(0.25, 4.0), firsts=("he",), scales=(1.0, 10.0))
SHORT = Lists(depths=(2, 8), rates=tuple(4.0**k / 32 for k in range(5)), firsts=("he", 0.01), scales=(0.1, 1.0, 10.0))
FULL = Lists(depths=(2, 5, 12), rates=tuple(2.0**k for k in range(-5, 4)), firsts=("he", 0.01), scales=(0.1, 1.0, 10.0))
LISTS = {("smoke", "digits"): SMOKE, ("smoke", "mnist"): SMOKE, ("cpu", "digits"): SHORT}  # FULL at all others
GROWING = 3, 0.5  # depth and rate of the networks whose weights are watched
DEEPEST = 30  # hidden layers of the networks whose first gradients are looked at
WATCHED = 1_000  # validation and test images of an accuracy: a standard error of at most 1.6 points
EVALUATIONS = 3  # of a training of the ladder: one that is no number is then trained no further
LOOKS = 10  # at growing weights


@dataclass(frozen=True, kw_only=True)
class LearningRates(DigitSpec):
    """Networks of `depths` hidden layers of `width` ReLUs at each of some `rates`."""

    sizes: ClassVar[dict] = {
        ("smoke", "digits"): Size(6, 2, 6),
        ("smoke", "mnist"): Size(6, 2, 6),
        ("cpu", "digits"): Size(100, 2, 200),
        ("cpu", "mnist"): Size(250, 2, 500),
        ("gpu", "digits"): Size(250, 8, 500),
        ("gpu", "mnist"): Size(500, 12, 1_000),
        ("paper", "mnist"): Size(1_000, 12, 2_000),
    }

    width: int = 50
    depths: tuple[int, ...] | None = None
    rates: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        self._lists_as_tuples()
        one_of("scale", self.scale, SCALES)
        whole("width", self.width, *WIDTH)
        super().__post_init__()
        for name in ("depths", "rates"):
            self._set(**{name: getattr(self.lists if getattr(self, name) is None else self, name)})
        numbers("depths", self.depths, *DEPTH)
        for depth in self.depths:
            whole("every depth", depth, *DEPTH)
        numbers("rates", self.rates, *RATE)
        for name in ("depths", "rates"):
            if list(getattr(self, name)) != sorted(set(getattr(self, name))):
                raise ParameterError(f"{name} must rise from one to the next, but it is {list(getattr(self, name))}")
        if spent := sorted({*self.seeds} & {*CHOOSING}):
            raise ParameterError(
                f"seeds must leave out {' and '.join(map(str, CHOOSING))}, by which rates are chosen, "
                f"but {spent[0]} is among them"
            )

    @property
    def lists(self) -> Lists:
        """The scale's own settings."""
        return LISTS.get((self.scale, self.dataset), FULL)

    @property
    def papers_own_size(self) -> bool:
        """The paper has no experiment of this kind."""
        return False

    def net(self, network: str, depth: int, rate: float, first: float | str, looked: bool = False) -> Net:
        """One network of the ladder; those that are looked into are evaluated at their start and their end alone."""
        every = self.steps if looked else max(1, self.steps // EVALUATIONS)
        return self._net(network, depth, rate, self.steps, every, first=first, looked=looked)

    def growing(self, network: str, scale: float) -> Net:
        """One whose first weights are multiplied by `scale`, and then watched."""
        depth, rate = GROWING
        steps = self.size.growth_steps
        return self._net(network, depth, rate, steps, max(1, steps // LOOKS), scale=scale)

    def deepest(self, network: str) -> Net:
        """One that is not trained."""
        return self._net(network, DEEPEST, self.rates[0], 0, 1, looked=True)

    def _net(self, network: str, depth: int, rate: float, steps: int, every: int, **more) -> Net:
        return Net(
            network=network,
            dataset=self.dataset,
            steps=steps,
            every=every,
            batch=paper.MNIST_BATCH,
            learning_rate=rate,
            depth=depth,
            width=self.width,
            watched=WATCHED,
            **more,
        )
