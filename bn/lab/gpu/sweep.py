"""What is swept: constants of the launch code, their values, the tensors they are tried on, and how one is set."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bn import kernels, launch
from bn.lab.chapters.kernels.cases import Case

# By name of the constant in bn.launch; one that is not there is left out. In this order: the next is swept with the
# best of those before it.
SWEPT: dict[str, tuple[int | str, ...]] = {
    "WINDOW": tuple(mebibytes * 2**20 for mebibytes in (4, 8, 12, 20, 28)),
    "EVICT": ("", "evict_first", "evict_last"),
    "TASK": (4_096, 16_384, 32_768),
    "CHANNELS": (32, 64),
}
COMPILED = ("EVICT", "CHANNELS")  # of which a kernel is compiled for each value
RETUNED = ("TASK", "CHANNELS")  # with another value another tile may be the best; tuning takes a second for a tensor
# Both layouts, planes of 3,136, 784, 196 and 49 places, all beyond the L2 cache of an H200 but the last.
CASES = (
    Case((256, 64, 56, 56), "bf16", "NCHW", "bn_relu"),
    Case((256, 64, 56, 56), "bf16", "NHWC", "bn_relu"),
    Case((256, 1024, 14, 14), "bf16", "NCHW", "bn_relu"),
    Case((256, 512, 28, 28), "bf16", "NHWC", "bn_add_relu"),
    Case((256, 2048, 7, 7), "bf16", "NCHW", "bn_relu"),
)
TINY = {"WINDOW": (0, 2**20)}, (Case((2, 2, 4, 4), "fp32", "NCHW", "bn_relu"),)  # for a walk through it on a CPU


def there(swept: Mapping[str, tuple]) -> dict[str, tuple]:
    """Of each constant that the launch code has its values to try, today's first."""
    found = {name: (getattr(launch, name), *values) for name, values in swept.items() if hasattr(launch, name)}
    return {name: tuple(dict.fromkeys(values)) for name, values in found.items()}


class Choice:
    """Values of some constants, and the tiles that the tuner chose for them, by kernel: a task may want others."""

    def __init__(self, constants: Mapping[str, int | str], tiles: dict[str, dict] | None = None) -> None:
        self.constants, self.tiles = dict(constants), {} if tiles is None else tiles

    @contextmanager
    def made(self) -> Iterator[None]:
        """Launch with these values within a `with` statement."""
        before = {name: getattr(launch, name) for name in self.constants}
        try:
            _set(self.constants, self.tiles)
            yield
        finally:
            _set(before, {})


def _set(constants: Mapping[str, int | str], tiles: dict[str, dict]) -> None:
    """Set constants, forget what followed from others, and give each tuned kernel its memory of chosen tiles."""
    for name, value in constants.items():
        setattr(launch, name, value)
    for function in vars(launch).values():
        if hasattr(function, "cache_clear"):
            function.cache_clear()
    for name, kernel in vars(kernels).items():
        if hasattr(kernel, "configs"):
            kernel.cache = tiles.setdefault(name, {})
