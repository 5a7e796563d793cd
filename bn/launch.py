"""How the kernels of `bn.kernels` are launched: the view of a tensor, the size of the tiles, the schedule.

The constants decide speed, and in which order is summed. They follow from the caches and the registers of an H100 or
H200; `python -m bn.lab.gpu` tries others.
"""

import contextlib
import math
from functools import lru_cache
from typing import NamedTuple

import torch
import triton

from bn import kernels, partials

BLOCK = 2_048 if triton.knobs.runtime.interpret else 4_096  # bytes of a tile: two reads of each of WARPS' threads
WARPS = 1 if triton.knobs.runtime.interpret else 4
REGISTERS = 96  # of each of those threads: without a limit the assembler moves addresses to memory to save some
RESIDENT = 8_192  # most values that a program of the resident schedule holds: 16 in each of 512 threads
CHANNELS = 128  # bytes of neighbouring channels that a tile has of a row: a whole line of the cache
TASK = 8  # tiles of a task, more where there would be too many tasks, fewer where they would not fill the GPU
PROGRAMS = 2_048  # tasks of a phase that fill it, a few times over
SPLITS = 2_048  # most tasks below each other in a channel block, whose results are merged in groups,
ALONE = 64  # and so many without groups
MERGE = 512  # results that are merged at a time
WINDOW = 20 * 2**20  # bytes between the two phases: they and what is written must stay in the L2 cache, 50 or 60 MB
EVICT = "evict_first"  # what the L2 cache is told of outputs: not read again soon, or "" for nothing


class View(NamedTuple):
    """A dense tensor as N rows of C channels with S values each, `stride` = C * S apart; of one channel, one row."""

    N: int
    C: int
    S: int
    stride: int

    @property
    def m(self) -> int:
        """Values of each channel, m' of section 3.2."""
        return self.N * self.S


class Tile(NamedTuple):
    """The size of a tile, as `bn.tiles` explains it."""

    ROWS: int
    LANES: int
    CHANNELS: int
    PLANES: bool
    ALIGN: int
    EVEN: bool


def dense(x):
    """Return x itself where its channels come first or last in memory without gaps, otherwise a copy that does."""
    return x if x.is_contiguous() or x.movedim(1, -1).is_contiguous() else x.contiguous()


def like(tensor, x):
    """Return `tensor`, which may be None, with the strides of a dense x: itself, or a copy."""
    if tensor is None or (tensor.stride() == x.stride() and not tensor.is_neg()):
        return tensor
    return torch.empty_like(x).copy_(tensor)


def packed(vector):
    """Return `vector`, which may be None, with its values next to each other: itself, or a copy."""
    if vector is None or (vector.is_contiguous() and not vector.is_neg()):
        return vector
    return vector.resolve_neg().contiguous()


def view(x) -> View:
    """The view of a dense tensor (N, C, *)."""
    N, C, positions = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    if C == 1:
        return View(1, 1, N * positions, N * positions)
    if positions > 1 and not x.movedim(1, -1).is_contiguous():
        return View(N, C, positions, C * positions)
    return View(N * positions, C, 1, C)


# ---- What is kept of a ReLU after a residual: a bit of each value, several neighbours in a byte ----------------------


def bytes_of_bits(x) -> int:
    """How many bytes a dense x needs."""
    runs, length = _runs(view(x), x.element_size())
    return runs * triton.cdiv(length, _each(x))


def unpacked(bits, x):
    """The bits as zeros and ones of type uint8, in the shape and strides of a dense x."""
    runs, length = _runs(view(x), x.element_size())
    places = torch.arange(_each(x), dtype=torch.uint8, device=bits.device)
    values = (bits.view(runs, -1, 1) >> places) & 1
    return values.view(runs, -1)[:, :length].reshape(-1).as_strided(x.shape, x.stride())


def _each(x) -> int:
    """How many values have their bits in a byte: as many as a thread reads at once."""
    return 16 // x.element_size()


def _runs(v: View, itemsize: int) -> tuple[int, int]:
    """How many runs of neighbouring values begin a byte of their own, and how long they are."""
    return (v.N * v.C, v.S) if _planes(v, itemsize) else (v.N, v.stride)


# ---- Launches --------------------------------------------------------------------------------------------------------


def training(x, running_mean, running_var, weight, bias, residual, momentum, eps, relu, y, mean, rstd, bits):
    """Algorithm 1 into y, mean and rstd = 1/sqrt(sigma2 + eps); `bits` is None where no bits are kept."""
    v = view(x)
    tensors = (x, residual, weight, bias, running_mean, running_var, y, mean, rstd, bits)
    numbers = (*v, float(v.m), momentum, eps)
    with _device(x):
        if plan := _resident(v, x.element_size()):
            kernels.resident_forward[plan.grid](*tensors, *numbers, RELU=relu, **plan.options)
        else:
            plan = _window(v, x.element_size(), x.element_size())
            memory = _partial(plan, 3, mean), _counters(plan, mean)
            kernels.window_forward[plan.grid](*tensors, *memory, *numbers, *plan.schedule, RELU=relu, **plan.options)


def backward(dy, x, weight, bias, mean, rstd, bits, relu, training, dx, dweight, dbias, dresidual):
    """Section 3's gradients into dx, dweight, dbias and dresidual, which may be None; eval mode if not `training`."""
    v = view(x)
    tensors = (dy, x, weight, bias, mean, rstd, bits, dx, dweight, dbias, dresidual)
    numbers, flags = (*v, float(v.m)), {"RELU": relu, "TRAINING": training}
    with _device(x):
        if plan := _resident(v, x.element_size()):
            kernels.resident_backward[plan.grid](*tensors, *numbers, **flags, **plan.options)
        else:
            plan = _window(v, x.element_size(), 2 * x.element_size())
            memory = _partial(plan, 2, mean), _counters(plan, mean)
            kernels.window_backward[plan.grid](*tensors, *memory, *numbers, *plan.schedule, **flags, **plan.options)


def inference(x, running_mean, running_var, weight, bias, residual, eps, relu, y, mean, rstd, bits):
    """Algorithm 2, line 11, into y, and what it is computed by into mean and rstd."""
    v = view(x)
    plan = _single(v, x.element_size())
    tensors = (x, residual, weight, bias, running_mean, running_var, y, mean, rstd, bits)
    with _device(x):
        kernels.inference_forward[plan.grid](*tensors, *v, eps, *plan.schedule, RELU=relu, **plan.options)


class Plan(NamedTuple):
    """How one kernel is launched for one view: the grid, the numbers that are its schedule, and its constants."""

    grid: tuple[int]
    schedule: tuple[int, ...]
    options: dict
    shape: tuple[int, int] = (0, 0)  # of the partial results: tasks and groups, columns
    counters: int = 0  # of tickets and of what has arrived


@lru_cache(maxsize=4096)
def _resident(v: View, itemsize: int) -> Plan | None:
    """Where all the values of a channel block fit into a program's registers; otherwise None."""
    rows = _power(v.N)
    # Neighbouring channels: a sector of memory has 32 bytes. With bits, a tile is whole bytes wide.
    lanes = max(8, _power(v.S)) if v.S > 1 else max(8, 32 // itemsize)
    if rows * lanes > RESIDENT:
        return None
    channels, even = (1, lanes == v.S) if v.S > 1 else (lanes, v.C % lanes == 0)
    tile = Tile(rows, lanes, channels, v.S > 1, _align(v, channels, lanes), even and rows == v.N)
    warps = min(max(rows * lanes // 256, 1), 16)
    return Plan((triton.cdiv(v.C, channels),), (), _options(tile, warps))


@lru_cache(maxsize=4096)
def _window(v: View, itemsize: int, bytes_each: int) -> Plan:
    """Two phases; `bytes_each` are read for each value of x."""
    tile = _tile(v, itemsize)
    blocks, tasks, length, splits = _tasks(v, tile)
    lag = min(max(WINDOW // (v.m * tile.CHANNELS * bytes_each), 1), blocks)
    tree = splits > ALONE and v.S == 1
    groups = triton.cdiv(splits, partials.GROUP.value) if tree else 0
    run = 1 if tile.PLANES else v.S
    merge = min(_power((groups or splits) * run), max(MERGE // _power(tile.CHANNELS), 1))
    options = _limited(tile) | {"MERGE": merge, "TREE": tree}
    shape = splits + groups, v.C if tile.PLANES else v.stride
    return Plan((2 * blocks * tasks,), (blocks, tasks, length, lag), options, shape, 1 + blocks * (2 + groups))


@lru_cache(maxsize=4096)
def _single(v: View, itemsize: int) -> Plan:
    """One phase, each task by itself."""
    tile = _tile(v, itemsize)
    blocks, tasks, length, _ = _tasks(v, tile)
    return Plan((blocks * tasks,), (tasks, length), _limited(tile))


def replan() -> None:
    """Forget how views are launched: for who has changed a constant of this module."""
    for plans in (_resident, _window, _single):
        plans.cache_clear()


def _options(tile: Tile, warps: int) -> dict:
    return tile._asdict() | {"EVICT": EVICT, "num_warps": warps}


def _limited(tile: Tile) -> dict:
    # Where values are read one by one, each has an address of its own, and more registers are needed.
    return _options(tile, WARPS) | ({"maxnreg": REGISTERS} if tile.ALIGN >= 4 else {})


def _tasks(v: View, tile: Tile) -> tuple[int, int, int, int]:
    """Channel blocks, tasks of each, tiles of a task, and how many of the tasks are below each other."""
    blocks, down = triton.cdiv(v.C, tile.CHANNELS), triton.cdiv(v.N, tile.ROWS)
    across = triton.cdiv(tile.CHANNELS * v.S, tile.LANES)
    length = min(max(blocks * down * across // PROGRAMS, 1), TASK)
    if tile.PLANES:
        pieces = triton.cdiv(across, length)
        return blocks, down * pieces, triton.cdiv(across, pieces), down * pieces
    splits = triton.cdiv(down, max(length, triton.cdiv(down, SPLITS if v.S == 1 else ALONE)))
    length = triton.cdiv(down, splits)
    splits = triton.cdiv(down, length)
    return blocks, across * splits, length, splits


# ---- Tiles -----------------------------------------------------------------------------------------------------------


def _planes(v: View, itemsize: int) -> bool:
    """Whether tiles are of one channel each.

    Where channels do not begin where several values can be read at once, or no tile fits exactly, several channels
    are taken together as one run of values. That wants enough rows: each column of values has a partial result.
    """
    if v.S == 1 or _power(v.N) * _power(v.S) <= RESIDENT or v.stride % 8 or v.N < 16:
        return v.S > 1
    return v.S % 8 == 0 and (v.N < 64 or _beyond(v, *_plane(v, itemsize)) == 0)


def _tile(v: View, itemsize: int) -> Tile:
    """A tile of BLOCK bytes or, where the tensor has few rows, fewer."""
    if _planes(v, itemsize):
        rows, lanes = _plane(v, itemsize)
        return Tile(rows, lanes, 1, True, _align(v, 1, lanes), v.N % rows == 0 and v.S % lanes == 0)
    if v.S == 1:
        channels = lanes = max(8, min(CHANNELS // itemsize, _power(v.C)))
    else:
        lanes = CHANNELS // itemsize
        channels = _channels(v, lanes)
    rows = min(BLOCK // itemsize // lanes, _power(v.N))
    even = v.N % rows == 0 and v.C % channels == 0 and channels * v.S % lanes == 0
    return Tile(rows, lanes, channels, False, _align(v, channels, lanes), even)


def _plane(v: View, itemsize: int) -> tuple[int, int]:
    """Rows and positions of a tile of one channel: the longest rows of those that fit best."""
    values = BLOCK // itemsize
    lanes = [2**k for k in range(values.bit_length() - 1, 2, -1)]
    shapes = [(values // n, n) for n in lanes if values // n <= _power(v.N)]
    return min(shapes, key=lambda shape: _beyond(v, *shape))


def _beyond(v: View, rows: int, lanes: int) -> int:
    """How many values of a channel's tiles do not exist; short rows are counted as if they were a line long."""
    return triton.cdiv(v.N, rows) * rows * triton.cdiv(v.S, lanes) * max(lanes, 64) - v.m


def _channels(v: View, lanes: int) -> int:
    """The fewest channels whose columns are whole tiles, nearly so at least, and whole bytes of bits."""
    numbers = [2**k for k in range(7) if 2**k * v.S % 8 == 0 and 2**k <= v.C] or [v.C]
    waste = {n: triton.cdiv(n * v.S, lanes) * lanes / (n * v.S) - 1 for n in numbers}
    return min(numbers, key=lambda n: (v.C % n > 0, max(waste[n], 1 / 64), n))


def _align(v: View, channels: int, lanes: int) -> int:
    """How many values, 16 at most, always lie together where rows, channel blocks and tiles begin."""
    return math.gcd(v.stride, channels * v.S, lanes, 16)


def _power(n: int) -> int:
    return triton.next_power_of_2(n)


# ---- Memory, and the device ------------------------------------------------------------------------------------------

_clear = {}  # counters that are 0 between two launches, by device


def _partial(plan: Plan, results: int, mean):
    """Room for the results of all tasks."""
    return mean.new_empty((results, *plan.shape))


def _counters(plan: Plan, mean):
    """Counters that are 0, as every launch leaves them.

    Kept are those of the default stream, on which no two launches run at once. On another stream, which a CUDA graph
    is captured on or made ready on, memory may belong to the graph; and what interrupts the interpreter leaves the
    counters as they are: there they are new.
    """
    new = {"dtype": torch.int32, "device": mean.device}
    if not mean.is_cuda or torch.cuda.current_stream(mean.device) != torch.cuda.default_stream(mean.device):
        return torch.zeros(plan.counters, **new)
    place = mean.get_device()
    counters = _clear.get(place)
    if counters is None or len(counters) < plan.counters:
        counters = _clear[place] = torch.zeros(_power(plan.counters), **new)
    return counters


def _device(x):
    """Triton launches on the current GPU, which need not be that of x."""
    if x.is_cuda:
        return torch.cuda.device(x.device)
    if not triton.knobs.runtime.interpret:
        raise RuntimeError(f"the kernels need tensors on a CUDA device or TRITON_INTERPRET=1, but x is on {x.device}")
    return contextlib.nullcontext()
