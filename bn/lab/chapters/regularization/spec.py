"""The parameters of notebook 06."""

import math
from dataclasses import dataclass
from typing import ClassVar

from bn.lab.chapters.regularization import study
from bn.lab.chapters.regularization.study import Network
from bn.lab.data import datasets
from bn.lab.spec import ParameterError, number, whole
from bn.lab.train.specs import DigitSpec

BATCH = 60  # as in section 4.1
WHOLE = 4 * BATCH  # examples in a mini-batch where only the statistics are of fewer
GROUPS = (4, 16, 60, WHOLE)  # of how many examples they are
FEW = 16  # of the group that is compared with the whole mini-batch
NETWORKS = ("plain", "plain_dropout", "bn", "bn_dropout")
CHOOSING = (2100, 2101)  # seeds by which rates are chosen, and nothing that is chosen is reported of them
EVALUATIONS = 6


@dataclass(frozen=True)
class Size:
    """How much work a scale is: steps and seeds, the rates that are tried, and by how many seeds."""

    steps: int
    seeds: int | tuple[int, ...]
    rates: tuple[float, ...]
    choosing: int = len(CHOOSING)


RATES = (0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class Regularization(DigitSpec):
    """Networks that learn from so few `examples` that they overfit, with the share `dropout` of hidden units left out.

    `steps` are of mini-batches of BATCH; those of WHOLE take half as many.
    """

    sizes: ClassVar[dict] = {
        ("smoke", "digits"): Size(3, 2, (0.3, 1.0), 1),
        ("smoke", "mnist"): Size(3, 2, (0.3, 1.0), 1),
        ("cpu", "digits"): Size(120, 3, RATES[:3], 1),
        ("cpu", "mnist"): Size(800, 3, RATES),
        ("gpu", "digits"): Size(800, 10, RATES),
        ("gpu", "mnist"): Size(2_000, 12, RATES),
        ("paper", "mnist"): Size(10_000, 12, RATES),
    }

    examples: int = 1_200
    dropout: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        images = datasets.TRAINING_IMAGES[self.dataset]
        whole("examples", self.examples, study.SIZES[-1], images, also=f", the training images of {self.dataset}")
        number("dropout", self.dropout, 0.01, 0.99)
        if spent := sorted({*self.seeds} & {*CHOOSING}):
            raise ParameterError(
                f"seeds must leave out {CHOOSING[0]} and {CHOOSING[1]}, by which rates are chosen, "
                f"but {spent[0]} is among them"
            )

    @property
    def papers_own_size(self) -> bool:
        """The paper has no experiment of its own here."""
        return False

    def network(self, name: str, rate: float, probed: bool = False) -> Network:
        """One of NETWORKS."""
        norm = BATCH if name.startswith("bn") else 0
        dropout = self.dropout if name.endswith("dropout") else 0.0
        return self._network(name, rate, BATCH, self.steps, norm=norm, dropout=dropout, probed=probed)

    def grouped(self, size: int, rate: float) -> Network:
        """A network whose mini-batch has WHOLE examples, and its statistics `size`."""
        return self._network(f"group{size}", rate, WHOLE, max(1, self.steps // 2), norm=size)

    def _network(self, name: str, rate: float, batch: int, steps: int, **options) -> Network:
        return Network(
            study=study.__name__,
            network=name,
            dataset=self.dataset,
            steps=steps,
            every=math.ceil(steps / EVALUATIONS),
            batch=batch,
            learning_rate=rate,
            examples=self.examples,
            **options,
        )
