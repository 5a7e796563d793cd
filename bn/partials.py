"""What the tasks of the window schedule find, kept until all of a channel block are there, and merged.

The partial results are a tensor (results, height, width): `height` tasks below each other and, after them, groups of
GROUP tasks; `width` channels where a task is of one channel (`PLANES` in `bn.tiles`), otherwise columns, of which `run`
neighbours are of one channel.

Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance", have the formula.
"""

import triton
import triton.language as tl

from bn import tiles

GROUP = tl.constexpr(32)  # tasks whose results are merged first, where there are many

# fmt: off


@triton.jit
def columns_of(lane, block, view, size: tl.constexpr):
    """Where the results of a task lie among the partial ones: which of them, and which exist."""
    _, C, S, _ = view
    LANES: tl.constexpr = size[1]
    CHANNELS: tl.constexpr = size[2]
    if size[3]:
        columns, exist = block, block < C
    else:
        places = tl.arange(0, LANES)[None, :]
        columns = lane + places
        exist = columns < tl.minimum((block + 1) * CHANNELS, C).to(tl.int64) * S
    return columns, exist


@triton.jit
def starts_of(block, run, size: tl.constexpr):
    """The channels of a block, (1, CHANNELS to the next power of two), and the first column of each."""
    channels = tiles.channels_of(block, size)
    return channels, channels.to(tl.int64) * run


@triton.jit
def _keep(partial, which: tl.constexpr, split, height, width, columns, exist, values):
    """Result number `which` of a task into the partial ones, (results, height, width)."""
    place = (which * height + split).to(tl.int64) * width
    tl.store(partial + place + columns, values, mask=exist)


@triton.jit
def keep_moments(partial, split, height, width, columns, exist, count, mu, squares):
    """Count, mean and squared deviations of a task or a group."""
    _keep(partial, 0, split, height, width, columns, exist, count)
    _keep(partial, 1, split, height, width, columns, exist, mu)
    _keep(partial, 2, split, height, width, columns, exist, squares)


@triton.jit
def keep_sums(partial, split, height, width, columns, exist, sum_dz, sum_dz_x):
    """Both sums of a task or a group."""
    _keep(partial, 0, split, height, width, columns, exist, sum_dz)
    _keep(partial, 1, split, height, width, columns, exist, sum_dz_x)


@triton.jit
def _take(partial, which: tl.constexpr, splits, height, width, columns, exist):
    """Result number `which` of some tasks, 0 where there is none; from the L2 cache, where others have written it."""
    places = (which * height + splits).to(tl.int64) * width + columns
    return tl.load(partial + places, mask=exist, other=0, cache_modifier=".cg")


@triton.jit
def merged(partial, first, number, run, columns, exist, height, width, MERGE: tl.constexpr):
    """Chan's formula for `number` results from `first` on, of `run` columns beside each other: (1, columns) each.

    Deviations are taken from the first mean: the sum of large means that are close to each other loses digits.
    """
    T: tl.constexpr = partial.dtype.element_ty
    near = _take(partial, 1, first, height, width, columns, exist)
    zeros = tl.zeros((MERGE, columns.shape[1]), T)
    counts, sums, squares = zeros, zeros, zeros
    for start in range(0, number * run, MERGE):
        k = start + tl.arange(0, MERGE)[:, None]
        splits, places, inside = first + k // run, columns + k % run, exist & (k < number * run)
        here = _take(partial, 0, splits, height, width, places, inside)
        deviations = _take(partial, 1, splits, height, width, places, inside) - near
        weighted = tl.where(here > 0, here * deviations, 0)
        counts += here
        sums += weighted
        squares += _take(partial, 2, splits, height, width, places, inside) + weighted * deviations
    n, sums, squares = tl.sum(counts, 0)[None, :], tl.sum(sums, 0)[None, :], tl.sum(squares, 0)[None, :]
    mean = sums / tl.maximum(n, 1)  # beyond the last column there is none
    squares -= sums * mean
    return n, near + mean, tl.where(squares < 0, 0, squares)


@triton.jit
def summed(partial, first, number, run, columns, exist, height, width, MERGE: tl.constexpr):
    """The two sums of `number` results from `first` on, of `run` columns beside each other: (1, columns) each."""
    T: tl.constexpr = partial.dtype.element_ty
    sum_0 = tl.zeros((MERGE, columns.shape[1]), T)
    sum_1 = tl.zeros((MERGE, columns.shape[1]), T)
    for start in range(0, number * run, MERGE):
        k = start + tl.arange(0, MERGE)[:, None]
        splits, places, inside = first + k // run, columns + k % run, exist & (k < number * run)
        sum_0 += _take(partial, 0, splits, height, width, places, inside)
        sum_1 += _take(partial, 1, splits, height, width, places, inside)
    return tl.sum(sum_0, 0)[None, :], tl.sum(sum_1, 0)[None, :]


@triton.jit
def rows_of(task, TASKS, view, size: tl.constexpr, TREE: tl.constexpr):
    """Which row a task writes, how many rows there are of tasks and of groups, the width, and the run."""
    _, C, S, stride = view
    if size[3]:
        split, splits, width, run = task, TASKS, C, 1
    else:
        across = tl.cdiv(size[2] * S, size[1])
        split, splits, width, run = task // across, TASKS // across, stride, S
    groups = 0
    if TREE:
        groups = tl.cdiv(splits, GROUP)
    return split, splits, groups, width, run
