"""The parameters of notebook 01."""

from dataclasses import dataclass

from bn.lab.spec import number, whole
from bn.lab.train.specs import DigitSpec

M, FEATURES = (2, 1_000), (1, 100)  # with m² · features numbers in long double, at most half a minute a seed
EPS = 1e-12, 1  # from far below the variances here, which are about 1, to their size


@dataclass(frozen=True, kw_only=True)
class Algorithm(DigitSpec):
    """`m` examples of `features` numbers, `eps` in the root.

    It has the parameters of every notebook, since `make book` gives all of them the same; nothing is trained.
    """

    m: int = 60
    features: int = 8
    eps: float = 1e-5

    def __post_init__(self) -> None:
        whole("m", self.m, *M)
        whole("features", self.features, *FEATURES)
        number("eps", self.eps, *EPS)
        super().__post_init__()
