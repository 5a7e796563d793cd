"""The pieces of a tensor that a Triton program works on: where they lie, loading, storing and summing them.

A dense tensor is seen as `view` = (N, C, S, stride): N rows, `stride` = C * S values apart, in which C channels follow
each other with S values each. If channels come last in memory, S is 1 and every position of every example is a row.

A tile is ROWS rows by LANES neighbouring values of each, and `size` = (ROWS, LANES, CHANNELS, PLANES, ALIGN, EVEN):

- PLANES: all values of a tile are of one channel, and its statistics are numbers. Otherwise a column is of one
  channel, and they are a number a column, (1, LANES); a row then goes on from one channel to the next.
- CHANNELS of them make a channel block, whose statistics are ready together; with PLANES that is one.
- ALIGN: a power of two that divides where rows and channel blocks begin: so many values are read at a time.
- EVEN: the tiles cover the tensor exactly, so that nothing is masked.

A task is a column of tiles one below the other, or with PLANES a row of tiles side by side, `LENGTH` at most. All
functions are inlined into the kernels of `bn.kernels`. Offsets have 64 bits.
"""

import triton
import triton.language as tl


@triton.jit
def task_at(task, block, view, size: tl.constexpr, LENGTH):
    """First row and lane of a task of a channel block, counted from the tensor's first, and how many tiles it has.

    Lanes are positions of the channel with PLANES, otherwise columns. All but the number of tiles has 64 bits.
    """
    N, _, S, _ = view
    ROWS: tl.constexpr = size[0]
    LANES: tl.constexpr = size[1]
    CHANNELS: tl.constexpr = size[2]
    task = task.to(tl.int64)
    if size[3]:
        pieces = tl.cdiv(S.to(tl.int64), LENGTH * LANES)
        row, lane = task // pieces * ROWS, task % pieces * (LENGTH * LANES)
        rest = tl.cdiv(S - lane, LANES)
    else:
        across = tl.cdiv(CHANNELS * S, LANES)
        row, lane = task // across * (LENGTH * ROWS), block.to(tl.int64) * (CHANNELS * S) + task % across * LANES
        rest = tl.cdiv(N - row, ROWS)
    return row, lane, tl.minimum(rest, LENGTH).to(tl.int32)


@triton.jit
def aligned(number, ALIGN: tl.constexpr):
    """A multiple of ALIGN as the compiler sees that it is one: a hint would be lost where a function is inlined."""
    return number // ALIGN * ALIGN


@triton.jit
def lanes_of(view, size: tl.constexpr):
    """Offset of each value of a tile from its first, (ROWS, LANES): the same for all tiles."""
    ROWS: tl.constexpr = size[0]
    LANES: tl.constexpr = size[1]
    stride = aligned(view[3], size[4])
    return tl.arange(0, ROWS)[:, None].to(tl.int64) * stride + tl.arange(0, LANES)[None, :]


@triton.jit
def tile_at(index, row, lane, lanes, block, view, size: tl.constexpr):
    """Where the values of tile `index` of a task lie, and which of them exist, (ROWS, LANES) each."""
    N, _, S, _ = view
    ROWS: tl.constexpr = size[0]
    LANES: tl.constexpr = size[1]
    ALIGN: tl.constexpr = size[4]
    stride = aligned(view[3], ALIGN).to(tl.int64)
    if size[3]:
        start = row * stride + aligned(block * S.to(tl.int64), ALIGN) + lane
        offset, lane, end = start + index * LANES, lane + index * LANES, S
    else:
        offset = row * stride + aligned(lane, ALIGN) + index * (ROWS * stride)
        row += index * ROWS
        end = _end_of(block, view, size)
    # Few rows and lanes are left, or more than enough: 32 bits hold what is compared for each value.
    rows, lanes_left = tl.minimum(N - row, ROWS).to(tl.int32), tl.minimum(end - lane, LANES).to(tl.int32)
    inside = (tl.arange(0, ROWS)[:, None] < rows) & (tl.arange(0, LANES)[None, :] < aligned(lanes_left, ALIGN))
    return offset + lanes, inside


@triton.jit
def _end_of(block, view, size: tl.constexpr):
    """The column behind the last one of a channel block."""
    return tl.minimum((block + 1) * size[2], view[1]).to(tl.int64) * view[2]


@triton.jit
def load(pointer, tile, other, size: tl.constexpr, policy: tl.constexpr):
    """The values of a tile, in the tensor's type; `other` where there are none."""
    offsets, inside = tile
    if size[5]:
        values = tl.load(pointer + offsets, eviction_policy=policy)
    else:
        values = tl.load(pointer + offsets, mask=inside, other=other, eviction_policy=policy)
    return values


@triton.jit
def store(pointer, tile, values, size: tl.constexpr, policy: tl.constexpr):
    """Values into a tile, in the tensor's type."""
    offsets, inside = tile
    values = values.to(pointer.dtype.element_ty)
    if size[5]:
        tl.store(pointer + offsets, values, eviction_policy=policy)
    else:
        tl.store(pointer + offsets, values, mask=inside, eviction_policy=policy)


@triton.jit
def total(values, size: tl.constexpr):
    """Sum of a tile: a number with PLANES, otherwise one of each column, (1, LANES)."""
    return tl.sum(tl.sum(values, 1), 0) if size[3] else tl.sum(values, 0)[None, :]


@triton.jit
def moments(x, row, lane, number, block, view, size: tl.constexpr, T: tl.constexpr):
    """Of a task: how many values each channel or column has there, their mean and their squared deviations.

    Every lane sums on its own, from the mean of the first tile on: the square of a mean far from 0 is never summed,
    and between the first tile and the last no thread waits for another. Where deviations are d, of n values in k
    tiles, sum(d)**2 / n <= k * the squared deviations, so that their difference loses a factor of k at most.
    """
    N, _, S, _ = view
    ROWS: tl.constexpr = size[0]
    LANES: tl.constexpr = size[1]
    lanes = lanes_of(view, size)
    if size[3]:
        rows = tl.minimum(N - row, ROWS)
        first, count = rows * tl.minimum(S - lane, LANES), rows * tl.minimum(S - lane, number * LANES)
    else:
        first, count = tl.minimum(N - row, ROWS), tl.minimum(N - row, number * ROWS)
    values = load(x, tile_at(0, row, lane, lanes, block, view, size), 0, size, "").to(T)
    # Divided before they are summed: the sum of large values may be too large. In the tensor's type, so that a value
    # that does not exist can stand for the mean, and be no deviation.
    shift = total(values * (1 / first.to(T)), size).to(x.dtype.element_ty)
    sums, squares = tl.zeros((ROWS, LANES), T), tl.zeros((ROWS, LANES), T)
    for index in tl.range(0, number, loop_unroll_factor=2):
        values = load(x, tile_at(index, row, lane, lanes, block, view, size), shift, size, "").to(T)
        deviations = values - shift.to(T)
        sums += deviations
        squares += deviations * deviations
    n, sums, squares = count.to(T), total(sums, size), total(squares, size)
    mean = sums / n
    squares -= sums * mean
    return n, shift.to(T) + mean, tl.where(squares < 0, 0, squares)


# ---- One value for each channel ------------------------------------------------------------------------------------


@triton.jit
def channels_at(lane, block, view, size: tl.constexpr):
    """The channel of each lane of a tile: a number with PLANES, otherwise (1, LANES)."""
    LANES: tl.constexpr = size[1]
    if size[3]:
        channels = block
    else:
        first = block.to(tl.int64) * (size[2] * view[2])
        within = (lane - first).to(tl.int32) + tl.arange(0, LANES)
        channels = (block * size[2] + within // view[2])[None, :]
    return channels


@triton.jit
def channels_of(block, size: tl.constexpr):
    """The channels of a block, (1, CHANNELS to the next power of two)."""
    CHANNELS: tl.constexpr = size[2]
    places = tl.arange(0, triton.next_power_of_2(CHANNELS))
    # Beyond the block there is none: so large a number that it is beyond every tensor.
    return tl.where(places < CHANNELS, block * CHANNELS + places, 2**31 - 1)[None, :]


@triton.jit
def vector(pointer, default: tl.constexpr, channels, view, T: tl.constexpr):
    """The values of some channels, of the same shape; the default where there is no tensor.

    From the L2 cache (.cg): another program of the same launch may have written them after this one's L1 cache
    took in their neighbours.
    """
    if pointer is None:
        values = tl.full((1, 1), default, T)
    else:
        values = tl.load(pointer + channels, mask=channels < view[1], other=0, cache_modifier=".cg").to(T)
    return values


@triton.jit
def keep(pointer, channels, view, values):
    """One value for each of some channels into a tensor (C,)."""
    tl.store(pointer + channels, values.to(pointer.dtype.element_ty), mask=channels < view[1])


# ---- ReLU after a residual: x alone cannot tell which values passed, so a bit of each is kept. A byte holds those ---
# ---- of so many neighbours as a thread has: 8 of two bytes each, 4 of four. Each run of values begins a byte of its --
# ---- own; a run is a row, or with PLANES the positions of a channel in it. -------------------------------------------


@triton.jit
def _bytes_at(index, row, lane, block, view, size: tl.constexpr, EACH: tl.constexpr):
    """Where the bytes of a tile lie, and which of them exist, (ROWS, LANES / EACH) each."""
    N, C, S, stride = view
    ROWS: tl.constexpr = size[0]
    LANES: tl.constexpr = size[1]
    if size[3]:
        run, runs, first, lane, end = tl.cdiv(S, EACH), C, block, lane + index * LANES, S
    else:
        run, runs, first, end = tl.cdiv(stride, EACH), 1, 0, _end_of(block, view, size)
        row += index * ROWS
    n, places = row + tl.arange(0, ROWS)[:, None], lane // EACH + tl.arange(0, LANES // EACH)[None, :]
    return (n * runs + first) * run + places, (n < N) & (places * EACH < end)


@triton.jit
def store_bits(bits, passed, index, row, lane, block, view, size: tl.constexpr, EACH: tl.constexpr):
    """Whether each value of a tile passed, as bits."""
    ROWS: tl.constexpr = size[0]
    LANES: tl.constexpr = size[1]
    neighbours = tl.reshape(passed.to(tl.int32), (ROWS, LANES // EACH, EACH))
    offsets, inside = _bytes_at(index, row, lane, block, view, size, EACH)
    packed = tl.sum(neighbours << tl.arange(0, EACH)[None, None, :], 2)
    tl.store(bits + offsets, packed.to(tl.uint8), mask=inside)


@triton.jit
def load_bits(bits, index, row, lane, block, view, size: tl.constexpr, EACH: tl.constexpr):
    """Whether each value of a tile passed."""
    ROWS: tl.constexpr = size[0]
    LANES: tl.constexpr = size[1]
    offsets, inside = _bytes_at(index, row, lane, block, view, size, EACH)
    packed = tl.load(bits + offsets, mask=inside, other=0).to(tl.int32)
    neighbours = packed[:, :, None] >> tl.arange(0, EACH)[None, None, :]
    return (tl.reshape(neighbours, (ROWS, LANES)) & 1) != 0
