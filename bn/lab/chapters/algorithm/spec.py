"""The parameters of notebook 01."""

from dataclasses import dataclass

from bn.lab.spec import number, whole
from bn.lab.train.specs import DigitSpec

STEPS = 2_000  # at most: enough for statistics that Algorithm 2 can replace; the claim is not about accuracy
M, FEATURES = (2, 1_000), (1, 100)  # with m² · features numbers in long double, at most half a minute a seed
EPS = 1e-12, 1  # from far below the variances here, which are about 1, to their size


@dataclass(frozen=True, kw_only=True)
class Algorithm(DigitSpec):
    """`m` examples of `features` numbers, `eps` in the root."""

    m: int = 60
    features: int = 8
    eps: float = 1e-5

    def __post_init__(self) -> None:
        whole("m", self.m, *M)
        whole("features", self.features, *FEATURES)
        number("eps", self.eps, *EPS)
        super().__post_init__()

    def default_steps(self) -> int:
        """Of the one small network that is trained."""
        return min(self.size.steps, STEPS)
