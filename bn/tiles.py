"""The pieces of a tensor that a Triton program works on: loading, storing and summing them.

A tensor is seen as `view` = (N, C, S, stride_n, stride_c): N examples, C channels, S positions next to each other. A
tile of it has `size` = (BLOCK_N, BLOCK_C, BLOCK_S) values; `index` counts the tiles of channel block `block`, those
of the same examples first. All functions are inlined into the kernels of `bn.kernels`. Offsets have 64 bits.
"""

import triton
import triton.language as tl


@triton.jit
def positions(index, block, view, size: tl.constexpr):
    """Example, channel and position of each value of a tile, on three axes, and which of them exist."""
    N, C, S, _, _ = view
    BLOCK_N: tl.constexpr = size[0]
    BLOCK_C: tl.constexpr = size[1]
    BLOCK_S: tl.constexpr = size[2]
    tiles_s = tl.cdiv(S, BLOCK_S)
    n = ((index // tiles_s) * BLOCK_N + tl.arange(0, BLOCK_N))[:, None, None]
    c = (block * BLOCK_C + tl.arange(0, BLOCK_C))[None, :, None]
    s = ((index % tiles_s) * BLOCK_S + tl.arange(0, BLOCK_S))[None, None, :]
    return n, c, s, (n < N) & (c < C) & (s < S)


@triton.jit
def offsets_of(n, c, s, view):
    """Where values lie in memory, from the first on."""
    return n.to(tl.int64) * view[3] + c.to(tl.int64) * view[4] + s


@triton.jit
def tile_at(index, block, view, size: tl.constexpr):
    """Where the values of a tile lie, and which of them exist."""
    n, c, s, inside = positions(index, block, view, size)
    return offsets_of(n, c, s, view), inside


@triton.jit
def values_each(index, view, size: tl.constexpr):
    """How many values of each channel exist in a tile."""
    tiles_s = tl.cdiv(view[2], size[2])
    examples = tl.minimum(view[0] - (index // tiles_s) * size[0], size[0])
    return examples * tl.minimum(view[2] - (index % tiles_s) * size[2], size[2])


@triton.jit
def load(pointer, tile, T: tl.constexpr):
    """The values of a tile, 0 where there are none."""
    offsets, inside = tile
    return tl.load(pointer + offsets, mask=inside, other=0).to(T)


@triton.jit
def store(pointer, tile, values):
    """Values into a tile, in the type of the tensor; they are not read again soon."""
    offsets, inside = tile
    tl.store(pointer + offsets, values.to(pointer.dtype.element_ty), mask=inside, eviction_policy="evict_first")


@triton.jit
def total(values):
    """Sum over examples and positions, (BLOCK_C,)."""
    return tl.sum(tl.sum(values, 2), 0)


@triton.jit
def moments(x, index, block, view, size: tl.constexpr, T: tl.constexpr):
    """Of a tile: values, how many of each channel exist, their mean and squared deviations, (BLOCK_C,).

    Summed from the first value of each channel on: a mean far from 0 costs no digits.
    """
    tile = tile_at(index, block, view, size)
    values, here = load(x, tile, T), values_each(index, view, size).to(T)
    tiles_s = tl.cdiv(view[2], size[2])
    n, s = (index // tiles_s) * size[0], (index % tiles_s) * size[2]
    c = channels_of(block, size)
    first = load(x, (offsets_of(n, c, s, view), c < view[1]), T)
    from_first = tl.where(tile[1], values - first[None, :, None], 0)
    shift = total(from_first) / here
    deviations = tl.where(tile[1], from_first - shift[None, :, None], 0)
    return values, here, first + shift, total(deviations * deviations)


# ---- One value for each channel ------------------------------------------------------------------------------------


@triton.jit
def channels_of(block, size: tl.constexpr):
    """The numbers of the channels of a block, (BLOCK_C,)."""
    BLOCK_C: tl.constexpr = size[1]
    return block * BLOCK_C + tl.arange(0, BLOCK_C)


@triton.jit
def vector(pointer, block, view, size: tl.constexpr, T: tl.constexpr):
    """The values of a channel block, (BLOCK_C,).

    From the L2 cache (.cg): another program of the same launch may have written them after this one's L1 cache
    took in their neighbours.
    """
    channels = channels_of(block, size)
    return tl.load(pointer + channels, mask=channels < view[1], other=0, cache_modifier=".cg").to(T)


@triton.jit
def keep(pointer, block, view, size: tl.constexpr, values):
    """One value for each channel of a block, (BLOCK_C,), into a tensor (C,)."""
    channels = channels_of(block, size)
    tl.store(pointer + channels, values.to(pointer.dtype.element_ty), mask=channels < view[1])


@triton.jit
def parameter(pointer, default: tl.constexpr, block, view, size: tl.constexpr, T: tl.constexpr):
    """The values of a channel block, to be broadcast over a tile; the default where there is no tensor."""
    if pointer is None:
        values = tl.full((1, 1, 1), default, T)
    elif size[1] == 1:  # a scalar is loaded once, a tensor of one value once for each value that it meets
        values = tl.load(pointer + block, cache_modifier=".cg").to(T)
    else:
        values = vector(pointer, block, view, size, T)[None, :, None]
    return values


# ---- ReLU after a residual: x alone cannot tell which values passed, so a bit of each is kept. A byte holds the -----
# ---- bits of eight examples at one place; the bytes lie as the values of every eighth example do. -------------------


@triton.jit
def store_bits(bits, passed, index, block, view, size: tl.constexpr):
    """Whether each value of a tile passed, as bits."""
    BYTES: tl.constexpr = size[0] // 8
    BLOCK_C: tl.constexpr = size[1]
    BLOCK_S: tl.constexpr = size[2]
    eights = tl.reshape(passed.to(tl.int32), [BYTES, 8, BLOCK_C, BLOCK_S])
    packed = tl.sum(eights << tl.arange(0, 8)[None, :, None, None], 1)
    rows = (tl.cdiv(view[0], 8), view[1], view[2], view[3], view[4])
    store(bits, tile_at(index, block, rows, (BYTES, BLOCK_C, BLOCK_S)), packed)


@triton.jit
def load_bits(bits, index, block, view, size: tl.constexpr):
    """Whether each value of a tile passed."""
    n, c, s, inside = positions(index, block, view, size)
    packed = tl.load(bits + offsets_of(n // 8, c, s, view), mask=inside, other=0).to(tl.int32)
    return ((packed >> (n % 8)) & 1) != 0
