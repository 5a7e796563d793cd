"""The parameters of notebook 10, and how large its trainings are."""

from dataclasses import dataclass, replace
from typing import ClassVar

from bn.lab.train.recipes import SIZES
from bn.lab.train.specs import ImageSpec

# The networks of notebook 08, so that its sweep serves both, on seeds of its own: each stands for six networks.
_SIXES = replace(SIZES["cpu", "tiny-imagenet"], seeds=tuple(range(5000, 5005)), few=None)


@dataclass(frozen=True, kw_only=True)
class EnsembleSpec(ImageSpec):
    """The parameters of section 4.2, with seeds of its own where photographs are trained on a CPU."""

    sizes: ClassVar[dict] = SIZES | {("cpu", "tiny-imagenet"): _SIXES}
