"""The parameters of notebook 11."""

from dataclasses import dataclass

import torch

from bn.lab.spec import ParameterError
from bn.lab.train.specs import DigitSpec

LOSS_STEPS = 50  # of the two loss curves, at most: enough to see whether they part
NO_CUDA = (
    "scale '{scale}' measures on a GPU, but torch finds no CUDA device here: "
    "choose scale 'cpu', or run `make gpu` on a machine that has one"
)


@dataclass(frozen=True, kw_only=True)
class Kernels(DigitSpec):
    """The tensors and rounds of a scale are in `bn.lab.chapters.kernels.cases`; `steps` are of the loss curves.

    It has the parameters of every notebook, since `make book` gives all of them the same; no image is used.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale in ("gpu", "paper") and not torch.cuda.is_available():
            raise ParameterError(NO_CUDA.format(scale=self.scale))
        self._set(steps=min(self.steps, LOSS_STEPS))

    def default_steps(self) -> int:
        """Enough to see whether two loss curves part."""
        return LOSS_STEPS if self.scale in ("gpu", "paper") else 5
