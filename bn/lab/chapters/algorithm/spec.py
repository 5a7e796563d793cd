"""The parameters of notebook 01."""

from dataclasses import dataclass

from bn.lab.spec import positive, whole
from bn.lab.train.specs import DigitSpec

STEPS = 2_000  # at most: enough for statistics that Algorithm 2 can replace; the claim is not about accuracy


@dataclass(frozen=True, kw_only=True)
class Algorithm(DigitSpec):
    """`m` examples of `features` numbers, `eps` in the root."""

    m: int = 60
    features: int = 8
    eps: float = 1e-5

    def __post_init__(self) -> None:
        whole("m", self.m, 2)
        whole("features", self.features, 1)
        positive("eps", self.eps)
        super().__post_init__()

    def default_steps(self) -> int:
        """Of the one small network that is trained."""
        return min(self.size.steps, STEPS)
