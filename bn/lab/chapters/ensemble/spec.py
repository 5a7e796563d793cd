"""The parameters of notebook 10, and how large its trainings are."""

from dataclasses import dataclass, replace
from typing import ClassVar

from bn.lab.train.recipes import SIZES
from bn.lab.train.specs import ImageSpec

# The networks of notebook 08 on seeds of their own, each of which stands for six, and on all test images. Their curves
# decide nothing but the rate, so that fewer points are enough.
_SIXES = replace(SIZES["cpu", "tiny-imagenet"], seeds=tuple(range(5000, 5012)), watched=0, evaluations=25)


@dataclass(frozen=True, kw_only=True)
class EnsembleSpec(ImageSpec):
    """The parameters of section 4.2, with seeds of its own where photographs are trained on a CPU."""

    sizes: ClassVar[dict] = SIZES | {("cpu", "tiny-imagenet"): _SIXES}
