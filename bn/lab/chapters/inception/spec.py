"""The parameters of notebook 07."""

from dataclasses import dataclass

from bn.lab.architectures import SMALLEST
from bn.lab.spec import number, whole
from bn.lab.train.specs import DigitSpec

STEPS = 3  # at every scale: they show that the network runs, and prove nothing else
WIDTH, PIXELS = (0.001, 1), 224  # from one channel in each layer to Figure 5 itself, which takes 2 GB


@dataclass(frozen=True, kw_only=True)
class Counted(DigitSpec):
    """The network is counted at full size; one of `width` times the channels runs on `pixels`² images."""

    width: float = 0.0625
    pixels: int = 14

    def __post_init__(self) -> None:
        number("width", self.width, *WIDTH)
        whole("pixels", self.pixels, SMALLEST, PIXELS)
        super().__post_init__()

    def default_steps(self) -> int:
        """A few, of the narrow network."""
        return STEPS
