"""What is swept: constants of the launch code, their values, the tensors they are tried on, and how one is set."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from bn import launch
from bn.lab.chapters.kernels.cases import Case

# By name of the constant in bn.launch the values to try, given today's; one that is not there is left out. In this
# order: the next is swept with the best of those before it.
SWEPT: dict[str, Callable[[int | str], tuple[int | str, ...]]] = {
    "WINDOW": lambda now: tuple(mebibytes * 2**20 for mebibytes in (4, 8, 12, 20, 28)),
    "TASK": lambda now: (now // 2, 2 * now, 4 * now),
    "PROGRAMS": lambda now: (now // 2, 2 * now),
    "EVICT": lambda now: ("", "evict_first", "evict_last"),
    "CHANNELS": lambda now: (now // 2, 2 * now),
}
COMPILED = ("EVICT", "CHANNELS")  # of which a kernel is compiled for each value
# Both layouts, planes of 3,136, 784, 196 and 49 places, all beyond the L2 cache of an H200 but the last.
CASES = (
    Case((256, 64, 56, 56), "bf16", "NCHW", "bn_relu"),
    Case((256, 64, 56, 56), "bf16", "NHWC", "bn_relu"),
    Case((256, 1024, 14, 14), "bf16", "NCHW", "bn_relu"),
    Case((256, 512, 28, 28), "bf16", "NHWC", "bn_add_relu"),
    Case((256, 2048, 7, 7), "bf16", "NCHW", "bn_relu"),
)
TINY = {"WINDOW": lambda now: (0, 2**20)}, (Case((2, 2, 4, 4), "fp32", "NCHW", "bn_relu"),)  # for a CPU


def there(swept: Mapping[str, Callable]) -> dict[str, tuple]:
    """Of each constant that the launch code has its values to try, today's first."""
    today = {name: getattr(launch, name) for name in swept if hasattr(launch, name)}
    return {name: tuple(dict.fromkeys((now, *swept[name](now)))) for name, now in today.items()}


@contextmanager
def launched_with(constants: Mapping[str, int | str]) -> Iterator[None]:
    """Other values for constants of the launch code within a `with` statement."""
    before = {name: getattr(launch, name) for name in constants}
    try:
        _set(constants)
        yield
    finally:
        _set(before)


def _set(constants: Mapping[str, int | str]) -> None:
    """Set constants, and forget what was planned by others."""
    for name, value in constants.items():
        setattr(launch, name, value)
    launch.replan()
