"""The numbers that the paper prints: its tables and figures, and of its text whatever is used more than once.

Source: Ioffe and Szegedy (2015), arXiv 1502.03167. Nothing here is measured by this book.
"""

import math
from dataclasses import dataclass, replace

MNIST_STEPS = 50_000  # section 4.1
MNIST_BATCH = 60  # section 4.1
BATCH = 32  # section 4.2
RATE = 0.0015  # of Inception and BN-Baseline, section 4.2.2
INCEPTION_PARAMETERS = 13_600_000  # section 4.2
GROWTH = {"parameters": 25, "multiply_adds": 30}  # percent, from GoogLeNet to Figure 5, appendix
DEPTH_MULTIPLIER = 8  # of the separable first layer, appendix

# Figure 3: millions of steps to 72.2%, and the largest validation accuracy in percent.
FIGURE_3 = {
    "inception": (31.0, 72.2),
    "bn_baseline": (13.3, 72.7),
    "bn_x5": (2.1, 73.0),
    "bn_x30": (2.7, 74.8),
    "bn_x5_sigmoid": (math.inf, 69.8),
}
PEAK = 6.0  # million steps of BN-x30 to its maximum, section 4.2.2
# Figure 4: errors in percent on the validation images of ImageNet, top-1 (not every source gives it) and top-5.
FIGURE_4 = {"single": (25.2, 7.82), "multicrop": (21.99, 5.82), "ensemble": (20.1, 4.9)}
PRIOR = {
    "googlenet": (None, 6.67),
    "deep image low": (None, 7.96),
    "deep image high": (24.88, 7.42),
    "deep image ensemble": (None, 5.98),
}
SERVER = {"he": 4.94, "ours": 4.82}  # top-5 errors on the test images, section 4.2.3
TRAINING_IMAGES, TEST_IMAGES = 1_281_167, 100_000  # of ImageNet; the second is what SERVER's errors are of


_WIDTHS = ("channels", "one", "three_reduce", "three", "double_reduce", "double", "proj")


@dataclass(frozen=True)
class Row:
    """A row of the figure: what is printed for one layer or module; 0 where a cell is empty or 0."""

    name: str
    kind: str  # "convolution", "max pool", "inception" or "avg pool"
    patch: int
    stride: int
    grid: int  # height and width of the output
    channels: int  # of the output
    depth: int  # layers with weights, one after the other
    one: int = 0
    three_reduce: int = 0
    three: int = 0
    double_reduce: int = 0
    double: int = 0
    pool: str = ""  # of a module: "avg" or "max"
    proj: int = 0  # 0 beside a pool: passed through

    def scaled(self, width: float) -> "Row":
        """The same row with `width` times the channels, at least one where there are any."""
        return replace(self, **{name: _scaled(getattr(self, name), width) for name in _WIDTHS})


def _scaled(channels: int, width: float) -> int:
    return max(1, round(width * channels)) if channels else 0


def _module(name, stride, grid, channels, *branches, depth=3) -> Row:
    return Row(name, "inception", 0, stride, grid, channels, depth, *branches)


_STEM = (
    Row("conv1", "convolution", 7, 2, 112, 64, 1),  # separable, says the footnote
    Row("pool1", "max pool", 3, 2, 56, 64, 0),
    Row("conv2", "convolution", 3, 1, 56, 192, 1, three_reduce=64, three=192),
    Row("pool2", "max pool", 3, 2, 28, 192, 0),
)
_TOP = (Row("pool", "avg pool", 7, 1, 1, 1024, 0),)

FIGURE_5 = (
    *_STEM,
    _module("3a", 1, 28, 256, 64, 64, 64, 64, 96, "avg", 32),
    _module("3b", 1, 28, 320, 64, 64, 96, 64, 96, "avg", 64),
    _module("3c", 2, 28, 576, 0, 128, 160, 64, 96, "max", 0),
    _module("4a", 1, 14, 576, 224, 64, 96, 96, 128, "avg", 128),
    _module("4b", 1, 14, 576, 192, 96, 128, 96, 128, "avg", 128),
    _module("4c", 1, 14, 576, 160, 128, 160, 128, 160, "avg", 128),
    _module("4d", 1, 14, 576, 96, 128, 192, 160, 192, "avg", 128),
    _module("4e", 2, 14, 1024, 0, 128, 192, 192, 256, "max", 0),
    _module("5a", 1, 7, 1024, 352, 192, 320, 160, 224, "avg", 128),
    _module("5b", 1, 7, 1024, 352, 192, 320, 192, 224, "max", 128),
    *_TOP,
)

# GoogLeNet, Table 1 of Szegedy et al. (2014), for comparison; its "double" columns are those of its 5×5.
GOOGLENET = (
    *_STEM[:2],
    replace(_STEM[2], depth=2),
    _STEM[3],
    _module("3a", 1, 28, 256, 64, 96, 128, 16, 32, "max", 32, depth=2),
    _module("3b", 1, 28, 480, 128, 128, 192, 32, 96, "max", 64, depth=2),
    Row("pool3", "max pool", 3, 2, 14, 480, 0),
    _module("4a", 1, 14, 512, 192, 96, 208, 16, 48, "max", 64, depth=2),
    _module("4b", 1, 14, 512, 160, 112, 224, 24, 64, "max", 64, depth=2),
    _module("4c", 1, 14, 512, 128, 128, 256, 24, 64, "max", 64, depth=2),
    _module("4d", 1, 14, 528, 112, 144, 288, 32, 64, "max", 64, depth=2),
    _module("4e", 1, 14, 832, 256, 160, 320, 32, 128, "max", 128, depth=2),
    Row("pool4", "max pool", 3, 2, 7, 832, 0),
    _module("5a", 1, 7, 832, 256, 160, 320, 32, 128, "max", 128, depth=2),
    _module("5b", 1, 7, 1024, 384, 192, 384, 48, 128, "max", 128, depth=2),
    *_TOP,
)
