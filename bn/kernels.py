"""Triton kernels: Batch Normalization forward and backward, with ReLU and a residual fused in.

A tensor is seen as (N, C, S): N examples, C channels, S spatial positions; `bn.launch` says how. Two schedules:

- *resident*: a program keeps all the values of its channels in registers and reads them once. For small inputs.
- *window*: the first phase reduces slices of a channel block, the second normalises the same slices `LAG` channel
  blocks behind: near enough to find them in the L2 cache and not in memory, far enough not to wait. It is one
  launch without a barrier over the grid: programs take tickets in order, a ticket of the second phase comes after
  all the tickets of the first phase that it waits for, and the first phase waits for nothing.

Variances come from deviations: the mean of a tile first, then the squares around it, and tiles are merged by
Chan's formula; never E[x^2] - E[x]^2, which loses its digits where the mean is large. Sums are in float32, for
float64 inputs in float64. Offsets have 64 bits.

Source: Ioffe and Szegedy (2015), arXiv 1502.03167, Algorithms 1 and 2 and section 3; Chan, Golub and LeVeque
(1983), "Algorithms for computing the sample variance". The order of tickets is that of decoupled look-back,
Merrill and Garland (2016), "Single-pass parallel prefix scan".
"""

import triton
import triton.language as tl

from bn import tiles

COUNTS = ["N", "blocks", "SPLITS", "LAG"]  # a kernel made for one value of these serves all others as well
if triton.knobs.runtime.interpret:
    TILES = [triton.Config({"BLOCK": 512}, num_warps=1)]
else:
    TILES = [triton.Config({"BLOCK": size}, num_warps=w) for size, w in ((2048, 4), (4096, 4), (8192, 8), (16384, 8))]
SMALLEST = min(config.kwargs["BLOCK"] for config in TILES)
RUNNING = ("running_mean", "running_var")
_kept = {}


def _before_trial(arguments, reset_only=False):
    """Before a trial launch: clear the counters, and put the running statistics aside."""
    arguments["counters"].zero_()
    if not reset_only:
        _kept.update({name: arguments[name].clone() for name in RUNNING if arguments.get(name) is not None})


def _after_trial(arguments, exception=None):
    """Put the running statistics back: a choice between tiles must not move them."""
    for name in [name for name in RUNNING if name in _kept]:
        arguments[name].copy_(_kept.pop(name))


_tuned = triton.autotune(TILES, key=["N", "C", "S"], pre_hook=_before_trial, post_hook=_after_trial)

# A signature of twenty arguments reads better in rows than in a column:
# fmt: off

# ---- What is done to a tile ----------------------------------------------------------------------------------------


@triton.jit
def _write_output(values, mu, rstd, weight, bias, residual, y, bits, index, block, view, size: tl.constexpr,
                  RELU: tl.constexpr):
    """Algorithm 1, lines 3 and 4, then the residual and the activation."""
    T: tl.constexpr = values.dtype
    tile = tiles.tile_at(index, block, view, size)
    z = (values - mu) * rstd
    z = z * tiles.parameter(weight, 1, block, view, size, T) + tiles.parameter(bias, 0, block, view, size, T)
    if residual is not None:
        z += tiles.load(residual, tile, T)
    if bits is not None:
        tiles.store_bits(bits, (z <= 0) == 0, index, block, view, size)
    if RELU:
        z = tl.where(z <= 0, 0, z)  # what is not a number stays so, as in torch
    tiles.store(y, tile, z)


@triton.jit
def _read_gradient(dy, x, mu, rstd, weight, bias, bits, index, block, view, size: tl.constexpr,
                   RELU: tl.constexpr):
    """Return x_hat and dz, the gradient before the activation, both 0 outside of the tensor."""
    T: tl.constexpr = mu.dtype
    tile = tiles.tile_at(index, block, view, size)
    x_hat = tl.where(tile[1], (tiles.load(x, tile, T) - mu) * rstd, 0)
    dz = tiles.load(dy, tile, T)
    if bits is not None:
        dz = tl.where(tiles.load_bits(bits, index, block, view, size), dz, 0)
    elif RELU:  # the same z from the same numbers as in the forward pass: nothing was stored
        z = x_hat * tiles.parameter(weight, 1, block, view, size, T) + tiles.parameter(bias, 0, block, view, size, T)
        dz = tl.where(z <= 0, 0, dz)
    return x_hat, dz


@triton.jit
def _write_gradient(x_hat, dz, sum_dz, sum_dz_x_hat, m, rstd, weight, dx, dresidual, index, block, view,
                    size: tl.constexpr, TRAINING: tl.constexpr):
    """Equations 1 to 4 of section 3 as one."""
    tile = tiles.tile_at(index, block, view, size)
    if dresidual is not None:
        tiles.store(dresidual, tile, dz)
    if TRAINING:
        dz -= (sum_dz + x_hat * sum_dz_x_hat) / m
    tiles.store(dx, tile, dz * rstd * tiles.parameter(weight, 1, block, view, size, x_hat.dtype))


@triton.jit
def _keep_statistics(mu, sigma2, mean, rstd, running_mean, running_var, block, view, size: tl.constexpr, m,
                     momentum, eps):
    """Keep what the backward pass needs, and move the running statistics (section 3.1)."""
    T: tl.constexpr = mu.dtype
    tiles.keep(mean, block, view, size, mu)
    tiles.keep(rstd, block, view, size, 1 / tl.sqrt(sigma2 + eps))
    if running_mean is not None:
        old_mean = tiles.vector(running_mean, block, view, size, T)
        old_var = tiles.vector(running_var, block, view, size, T)
        tiles.keep(running_mean, block, view, size, old_mean + momentum * (mu - old_mean))
        tiles.keep(running_var, block, view, size, old_var + momentum * (sigma2 * (m / (m - 1)) - old_var))


# ---- Resident: all the values of a channel block in one tile -------------------------------------------------------


@triton.jit(do_not_specialize=COUNTS)
def resident_forward(x, residual, weight, bias, running_mean, running_var, y, mean, rstd, bits, N, C, S, stride_n,
                     stride_c, m, momentum, eps, RELU: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_C: tl.constexpr,
                     BLOCK_S: tl.constexpr):
    """Algorithm 1 for one block of channels."""
    view = (N, C, S, stride_n, stride_c)
    size: tl.constexpr = (BLOCK_N, BLOCK_C, BLOCK_S)
    block = tl.program_id(0)
    values, _, mu, squares = tiles.moments(x, 0, block, view, size, mean.dtype.element_ty)  # Algorithm 1, line 1
    sigma2 = squares / m  # line 2
    _keep_statistics(mu, sigma2, mean, rstd, running_mean, running_var, block, view, size, m, momentum, eps)
    scale = 1 / tl.sqrt(sigma2 + eps)
    _write_output(values, mu[None, :, None], scale[None, :, None], weight, bias, residual, y, bits, 0, block, view,
                  size, RELU)


@triton.jit(do_not_specialize=COUNTS)
def resident_backward(dy, x, weight, bias, mean, rstd, bits, dx, dweight, dbias, dresidual, N, C, S, stride_n,
                      stride_c, m, RELU: tl.constexpr, TRAINING: tl.constexpr, BLOCK_N: tl.constexpr,
                      BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr):
    """The gradients of section 3 for one block of channels."""
    T: tl.constexpr = mean.dtype.element_ty
    view = (N, C, S, stride_n, stride_c)
    size: tl.constexpr = (BLOCK_N, BLOCK_C, BLOCK_S)
    block = tl.program_id(0)
    mu, scale = tiles.parameter(mean, 0, block, view, size, T), tiles.parameter(rstd, 0, block, view, size, T)
    x_hat, dz = _read_gradient(dy, x, mu, scale, weight, bias, bits, 0, block, view, size, RELU)
    sum_dz, sum_dz_x_hat = tiles.total(dz), tiles.total(dz * x_hat)
    tiles.keep(dbias, block, view, size, sum_dz)  # equation 6
    tiles.keep(dweight, block, view, size, sum_dz_x_hat)  # equation 5
    _write_gradient(x_hat, dz, sum_dz[None, :, None], sum_dz_x_hat[None, :, None], m, scale, weight, dx, dresidual, 0,
                    block, view, size, TRAINING)


# ---- Window: two phases, the second LAG channel blocks behind the first --------------------------------------------


@triton.jit
def _ticket(tickets, blocks, SPLITS, LAG):
    """Take the next piece of work: its phase, its channel block, and which of the SPLITS slices of it.

    First phases run LAG blocks ahead; then the phases take turns; then second phases are left.
    """
    ticket = tl.atomic_add(tickets, 1, sem="relaxed")
    turn = ticket // SPLITS
    k = turn - LAG
    alone = (k < 0) | (turn >= 2 * blocks - LAG)
    phase = tl.where(alone, (k >= 0).to(tl.int32), k % 2)
    block = tl.where(alone, tl.where(k < 0, turn, turn - blocks), k // 2 + tl.where(phase == 0, LAG, 0))
    return phase, block, ticket % SPLITS


@triton.jit
def _tiles_of(split, SPLITS, view, size: tl.constexpr):
    """First tile of a slice, and the one after its last."""
    number = tl.cdiv(view[0], size[0]) * tl.cdiv(view[2], size[2])
    each = tl.cdiv(number, SPLITS)
    return split * each, tl.minimum(split * each + each, number)


@triton.jit
def _is_last(arrived, block, SPLITS):
    """Count a slice as reduced, and tell whether it was the last of its channel block."""
    tl.debug_barrier()  # every thread has stored its part before one of them counts
    return tl.atomic_add(arrived + block, 1, sem="acq_rel") == SPLITS - 1


@triton.jit
def _announce(ready, block):
    tl.debug_barrier()
    tl.atomic_xchg(ready + block, 1, sem="release")


@triton.jit
def _wait(ready, block):
    while tl.atomic_add(ready + block, 0, sem="acquire") == 0:
        pass


@triton.jit
def _slot(partial, split, block, view, size: tl.constexpr):
    """Where a slice keeps its first result, and which channels exist."""
    channels = tiles.channels_of(block, size)
    return partial + split * view[1] + channels, channels < view[1]


@triton.jit
def _slices(partial, which: tl.constexpr, start, block, SPLITS, view, size: tl.constexpr, MERGE: tl.constexpr):
    """Result number `which` of MERGE slices from `start` on, (MERGE, BLOCK_C), 0 beyond the last."""
    slices, channels = start + tl.arange(0, MERGE)[:, None], tiles.channels_of(block, size)[None, :]
    exist = (slices < SPLITS) & (channels < view[1])
    places = which * SPLITS * view[1] + slices * view[1] + channels
    return tl.load(partial + places, mask=exist, other=0, cache_modifier=".cg")


@triton.jit
def _chan(count, mu, squares, more, more_mu, more_squares):
    """Merge two sets of values, each given by count, mean and squared deviations: Chan's formula."""
    total, delta = count + more, more_mu - mu
    share = more / tl.maximum(total, 1)  # two empty sets make an empty one
    return total, mu + delta * share, squares + more_squares + delta * delta * count * share


@triton.jit
def _merged(partial, start, block, SPLITS, view, size: tl.constexpr, MERGE: tl.constexpr):
    """Chan's formula for MERGE slices at once."""
    counts = _slices(partial, 0, start, block, SPLITS, view, size, MERGE)
    means = _slices(partial, 1, start, block, SPLITS, view, size, MERGE)
    squares = tl.sum(_slices(partial, 2, start, block, SPLITS, view, size, MERGE), 0)
    count = tl.sum(counts, 0)
    # From the first mean on: the sum of large means that are close to each other loses digits.
    first = tl.sum(tl.where(tl.arange(0, MERGE)[:, None] == 0, means, 0), 0)
    shifts = tl.where(counts > 0, means - first[None, :], 0)
    shift = tl.sum(counts * shifts, 0) / tl.maximum(count, 1)
    between = tl.where(counts > 0, shifts - shift[None, :], 0)
    return count, first + shift, squares + tl.sum(counts * between * between, 0)


@_tuned
@triton.jit(do_not_specialize=COUNTS)
def window_forward(x, residual, weight, bias, running_mean, running_var, y, mean, rstd, bits, partial, counters,
                   N, C, S, stride_n, stride_c, m, momentum, eps, blocks, SPLITS, LAG, RELU: tl.constexpr,
                   MERGE: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr, BLOCK: tl.constexpr):
    """Algorithm 1; `partial` (3, SPLITS, C) holds count, mean and squared deviations of each slice."""
    T: tl.constexpr = mean.dtype.element_ty
    BLOCK_N: tl.constexpr = BLOCK // (BLOCK_C * BLOCK_S)
    view = (N, C, S, stride_n, stride_c)
    size: tl.constexpr = (BLOCK_N, BLOCK_C, BLOCK_S)
    phase, block, split = _ticket(counters, blocks, SPLITS, LAG)
    arrived, ready = counters + 1, counters + 1 + blocks
    first, last = _tiles_of(split, SPLITS, view, size)
    if phase == 0:
        count, mu, squares = tl.zeros((BLOCK_C,), T), tl.zeros((BLOCK_C,), T), tl.zeros((BLOCK_C,), T)
        for index in range(first, last):
            _, here, tile_mu, tile_squares = tiles.moments(x, index, block, view, size, T)
            count, mu, squares = _chan(count, mu, squares, here, tile_mu, tile_squares)
        place, exists = _slot(partial, split, block, view, size)
        tl.store(place, count, mask=exists)
        tl.store(place + SPLITS * C, mu, mask=exists)
        tl.store(place + 2 * SPLITS * C, squares, mask=exists)
        if _is_last(arrived, block, SPLITS):
            count, mu, squares = tl.zeros((BLOCK_C,), T), tl.zeros((BLOCK_C,), T), tl.zeros((BLOCK_C,), T)
            for start in range(0, SPLITS, MERGE):
                more, more_mu, more_squares = _merged(partial, start, block, SPLITS, view, size, MERGE)
                count, mu, squares = _chan(count, mu, squares, more, more_mu, more_squares)
            _keep_statistics(mu, squares / m, mean, rstd, running_mean, running_var, block, view, size, m, momentum,
                             eps)
            _announce(ready, block)
    else:
        _wait(ready, block)
        center, scale = tiles.parameter(mean, 0, block, view, size, T), tiles.parameter(rstd, 0, block, view, size, T)
        for k in range(first, last):
            index = first + last - 1 - k  # what was read last is the likeliest to be in the cache
            values = tiles.load(x, tiles.tile_at(index, block, view, size), T)
            _write_output(values, center, scale, weight, bias, residual, y, bits, index, block, view, size, RELU)


@_tuned
@triton.jit(do_not_specialize=COUNTS)
def window_backward(dy, x, weight, bias, mean, rstd, bits, dx, dweight, dbias, dresidual, partial, counters,
                    N, C, S, stride_n, stride_c, m, blocks, SPLITS, LAG, RELU: tl.constexpr, TRAINING: tl.constexpr,
                    MERGE: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr, BLOCK: tl.constexpr):
    """The gradients of section 3; `partial` (2, SPLITS, C) holds the two sums of each slice."""
    T: tl.constexpr = mean.dtype.element_ty
    BLOCK_N: tl.constexpr = BLOCK // (BLOCK_C * BLOCK_S)
    view = (N, C, S, stride_n, stride_c)
    size: tl.constexpr = (BLOCK_N, BLOCK_C, BLOCK_S)
    phase, block, split = _ticket(counters, blocks, SPLITS, LAG)
    arrived, ready = counters + 1, counters + 1 + blocks
    first, last = _tiles_of(split, SPLITS, view, size)
    mu, scale = tiles.parameter(mean, 0, block, view, size, T), tiles.parameter(rstd, 0, block, view, size, T)
    if phase == 0:
        sum_dz, sum_dz_x_hat = tl.zeros((BLOCK_C,), T), tl.zeros((BLOCK_C,), T)
        for index in range(first, last):
            x_hat, dz = _read_gradient(dy, x, mu, scale, weight, bias, bits, index, block, view, size, RELU)
            sum_dz += tiles.total(dz)
            sum_dz_x_hat += tiles.total(dz * x_hat)
        place, exists = _slot(partial, split, block, view, size)
        tl.store(place, sum_dz, mask=exists)
        tl.store(place + SPLITS * C, sum_dz_x_hat, mask=exists)
        if _is_last(arrived, block, SPLITS):
            sum_dz, sum_dz_x_hat = tl.zeros((BLOCK_C,), T), tl.zeros((BLOCK_C,), T)
            for start in range(0, SPLITS, MERGE):
                sum_dz += tl.sum(_slices(partial, 0, start, block, SPLITS, view, size, MERGE), 0)
                sum_dz_x_hat += tl.sum(_slices(partial, 1, start, block, SPLITS, view, size, MERGE), 0)
            tiles.keep(dbias, block, view, size, sum_dz)  # equation 6
            tiles.keep(dweight, block, view, size, sum_dz_x_hat)  # equation 5
            _announce(ready, block)
    else:
        _wait(ready, block)
        total = tiles.parameter(dbias, 0, block, view, size, T)
        product = tiles.parameter(dweight, 0, block, view, size, T)
        for k in range(first, last):
            index = first + last - 1 - k
            x_hat, dz = _read_gradient(dy, x, mu, scale, weight, bias, bits, index, block, view, size, RELU)
            _write_gradient(x_hat, dz, total, product, m, scale, weight, dx, dresidual, index, block, view, size,
                            TRAINING)


# ---- Inference: the affine map of Algorithm 2, line 11 -------------------------------------------------------------


@triton.jit(do_not_specialize=COUNTS)
def inference_forward(x, residual, weight, bias, mean, rstd, y, bits, N, C, S, stride_n, stride_c, SPLITS,
                      RELU: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr, BLOCK: tl.constexpr):
    """One slice of one channel block, by given statistics."""
    T: tl.constexpr = mean.dtype.element_ty
    view = (N, C, S, stride_n, stride_c)
    size: tl.constexpr = (BLOCK // (BLOCK_C * BLOCK_S), BLOCK_C, BLOCK_S)
    block, split = tl.program_id(0) // SPLITS, tl.program_id(0) % SPLITS
    first, last = _tiles_of(split, SPLITS, view, size)
    mu, scale = tiles.parameter(mean, 0, block, view, size, T), tiles.parameter(rstd, 0, block, view, size, T)
    for index in range(first, last):
        values = tiles.load(x, tiles.tile_at(index, block, view, size), T)
        _write_output(values, mu, scale, weight, bias, residual, y, bits, index, block, view, size, RELU)
