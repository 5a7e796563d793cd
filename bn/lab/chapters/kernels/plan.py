"""Which cases are measured, in which order, and which of them decide each target.

The decisive cases stand here before the run that they judge, and come first in every run on a GPU: a record that holds
all cases of a target judges it, whatever else is missing. They take about 195 s of an H100, and 265 s together with
the CUDA graph and the training steps of two networks, which decide too (`record.EXTRAS`). That is an estimate: before,
24 cases with Flax in each, the graph and one step took 182 s. All cases take about a quarter of an hour.

>>> len(DECISIVE), len(plan("gpu")), len(plan("gpu", quick=True)), len(plan("cpu")), len(plan("smoke"))
(30, 158, 30, 3, 3)
>>> sum(map(seconds, DECISIVE))
195
"""

from itertools import product

from bn.lab.chapters.kernels.cases import INFERENCE, LAYOUTS, Case

# Seven tensors of ResNet-50 that are larger than most L2 caches, two small ones and the layer of section 4.1. To make
# twelve convolutional shapes, three of middle size: a 3x3 convolution of ResNet-50's third stage, the second
# convolution of Inception (Figure 5) and its modules 4a to 4d.
LARGE = (
    (32, 64, 112, 112),
    (256, 64, 112, 112),
    (256, 64, 56, 56),
    (32, 256, 56, 56),
    (256, 512, 28, 28),
    (256, 1024, 14, 14),
    (256, 2048, 7, 7),
)
MIDDLE = ((256, 256, 14, 14), (32, 192, 56, 56), (32, 576, 14, 14))
SMALL = ((32, 256, 14, 14), (32, 512, 7, 7), (60, 100))
SHAPES = LARGE + MIDDLE + SMALL

# One shape for each stage of ResNet-50 at its usual mini-batch, 256: one that is larger than the L2 cache of every GPU
# of today (103 to 411 MB in two bytes a value, against 50 or 60 MB), and at last one that fills it (51 MB).
BEYOND_L2 = ((256, 64, 56, 56), (256, 512, 28, 28), (256, 1024, 14, 14), (256, 64, 112, 112))
DECISIVE_SHAPES = (*BEYOND_L2, (256, 2048, 7, 7))
RELU, ADD_RELU = (
    tuple(Case(shape, "bf16", layout, operation) for shape, layout in product(DECISIVE_SHAPES, LAYOUTS))
    for operation in ("bn_relu", "bn_add_relu")
)
INFERENCES = tuple(Case(shape, "bf16", "NCHW", INFERENCE) for shape in BEYOND_L2)
# Where bn has least to win: a launch takes longer than the work, and torch may use cuDNN, in float16 alone.
SMALL_ONES = (Case((32, 512, 7, 7), "bf16", "NCHW", "bn_relu"), Case((60, 100), "bf16", "NC", "bn_relu"))
HALF = tuple(
    Case(shape, "fp16", layout, "bn_relu")
    for shape, layout in product(((256, 64, 56, 56), (256, 1024, 14, 14)), LAYOUTS)
)
DECISIVE = (*RELU, *INFERENCES, *ADD_RELU, *SMALL_ONES, *HALF)

# The cases in which the rivals that take longest to prepare take part too: torch.compile's second mode, and Flax.
COSTLY = (*RELU[:2], ADD_RELU[2])

SECONDS, MORE_SECONDS = 5, 15  # of an H100 for a case, three of them torch.compile's, and for the costly rivals


def seconds(case: Case) -> int:
    """About how long a case takes on an H100."""
    return SECONDS + (MORE_SECONDS if case in COSTLY else 0)


def plan(scale: str, quick: bool = False) -> list[Case]:
    """The cases of a scale, those that decide the targets first. `quick`: on a GPU these alone."""
    if scale == "smoke":
        return [
            Case((60, 100), "fp32", "NC", "bn_relu"),
            Case((8, 16, 14, 14), "fp32", "NCHW", "bn_relu"),
            Case((8, 16, 14, 14), "fp32", "NHWC", "bn_add_relu"),
        ]
    if scale == "cpu":
        return [
            Case((32, 64, 28, 28), "fp32", "NCHW", "bn_relu"),
            Case((32, 64, 28, 28), "fp32", "NHWC", "bn_add_relu"),
            Case((60, 100), "fp32", "NC", "bn_relu"),
        ]
    others = [
        Case(shape, dtype, layout, operation)
        for dtype, operation, shape in product(("bf16", "fp32"), ("bn_relu", "bn_add_relu", "bn"), SHAPES)
        for layout in (LAYOUTS if len(shape) > 2 else ("NC",))
    ]
    return list(dict.fromkeys((*DECISIVE, *(() if quick else others))))
