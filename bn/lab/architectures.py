"""The networks that the paper prints as tables: its Figure 5, and GoogLeNet's Table 1, which it is compared with.

Apart from the other numbers of the paper, because trainings depend on these and on none of those.
"""

from dataclasses import dataclass, replace

SMALLEST = 8  # pixels: the modules of Figure 5 halve an image twice, and the last of them then still sees 2×2
DEPTH_MULTIPLIER = 8  # of the separable first layer, appendix
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
