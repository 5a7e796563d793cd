"""Triton kernels: Batch Normalization forward and backward, with ReLU and a residual fused in.

A tensor is seen as rows of channels (`bn.tiles`); `bn.launch` says how. Two schedules:

- *resident*: a program keeps all the values of its channels in registers and reads them once. For small inputs.
- *window*: the first phase reduces the tasks of a channel block, the second normalises the same tasks `LAG` channel
  blocks behind: near enough to find them in the L2 cache and not in memory, far enough not to wait. It is one
  launch without a barrier over the grid: programs take tickets in order, a ticket of the second phase comes after
  all the tickets of the first phase that it waits for, and the first phase waits for nothing. The counters are 0
  before and after a launch: who is the last to need one clears it.

Variances come from deviations: of a task from a value near its mean (`tiles.moments`), and tasks are merged by Chan's
formula; never E[x^2] - E[x]^2, which loses its digits where the mean is large. Sums are in float32, for
float64 inputs in float64, and in an order that follows from the shape alone: the same input gives the same bits.

Source: Ioffe and Szegedy (2015), arXiv 1502.03167, Algorithms 1 and 2 and section 3; Chan, Golub and LeVeque
(1983), "Algorithms for computing the sample variance". The order of tickets is that of decoupled look-back,
Merrill and Garland (2016), "Single-pass parallel prefix scan".
"""

import triton
import triton.language as tl

from bn import partials, tiles
from bn.partials import GROUP

NUMBERS = ["N", "C", "stride", "blocks", "TASKS", "LENGTH", "LAG"]  # made for one value, a kernel serves all others

# A signature of twenty arguments reads better in rows than in a column:
# fmt: off

# ---- What is done to a tile ----------------------------------------------------------------------------------------


@triton.jit
def _affine(mean, rstd, weight, bias, channels, view, T: tl.constexpr):
    """Of some channels: mean, 1/sigma, and what (x - mean) is multiplied by and then moved by."""
    mu, scale = tiles.vector(mean, 0, channels, view, T), tiles.vector(rstd, 1, channels, view, T)
    gamma, beta = tiles.vector(weight, 1, channels, view, T), tiles.vector(bias, 0, channels, view, T)
    return mu, scale, scale * gamma, beta


@triton.constexpr_function
def _values_of_a_byte(x):
    """Of bits: as many as a thread reads of x at once, 16 bytes."""
    return 128 // x.dtype.element_ty.primitive_bitwidth


@triton.jit
def _write_output(values, mu, scale, beta, residual, y, bits, index, row, lane, tile, block, view,
                  size: tl.constexpr, RELU: tl.constexpr, EVICT: tl.constexpr):
    """Algorithm 1, lines 3 and 4, then the residual and the activation."""
    T: tl.constexpr = values.dtype
    z = (values - mu) * scale + beta
    if residual is not None:
        z += tiles.load(residual, tile, 0, size, "evict_first").to(T)
    if bits is not None:
        tiles.store_bits(bits, (z <= 0) == 0, index, row, lane, block, view, size, _values_of_a_byte(y))
    if RELU:
        z = tl.maximum(z, 0, propagate_nan=tl.PropagateNan.ALL)  # what is not a number stays so, as in torch
    tiles.store(y, tile, z, size, EVICT)


@triton.jit
def _read_gradient(dy, x, mu, scale, beta, bits, index, row, lane, tile, block, view, size: tl.constexpr,
                   RELU: tl.constexpr, policy: tl.constexpr):
    """Return x - mu, and dz, the gradient before the activation, 0 outside of the tensor."""
    T: tl.constexpr = mu.dtype
    deviations = tiles.load(x, tile, 0, size, policy).to(T) - mu
    dz = tiles.load(dy, tile, 0, size, policy).to(T)
    if bits is not None:
        passed = tiles.load_bits(bits, index, row, lane, block, view, size, _values_of_a_byte(x))
        dz = tl.where(passed, dz, 0)
    elif RELU:  # the same z from the same numbers as in the forward pass: nothing was stored
        dz = tl.where(deviations * scale + beta <= 0, 0, dz)
    return deviations, dz


@triton.jit
def _write_gradient(deviations, dz, by_dz, by_x, add, dx, dresidual, tile, size: tl.constexpr,
                    TRAINING: tl.constexpr, EVICT: tl.constexpr):
    """Equations 1 to 4 of section 3 as one, dx = by_dz * dz + by_x * (x - mu) + add."""
    if dresidual is not None:
        tiles.store(dresidual, tile, dz, size, EVICT)
    if TRAINING:
        tiles.store(dx, tile, by_dz * dz + (by_x * deviations + add), size, EVICT)
    else:
        tiles.store(dx, tile, by_dz * dz, size, EVICT)


@triton.jit
def _by_sums(sum_dz, sum_dz_x_hat, rho, scale, m):
    """What (x - mu) is multiplied by in dx, and what is added, from both sums over the mini-batch."""
    return -scale * rho * (sum_dz_x_hat / m), -scale * (sum_dz / m)


@triton.jit
def _running(running_mean, running_var, channels, view, T: tl.constexpr):
    """The running statistics as they are."""
    return tiles.vector(running_mean, 0, channels, view, T), tiles.vector(running_var, 1, channels, view, T)


@triton.jit
def _keep_statistics(mu, sigma2, rho, mean, rstd, running_mean, running_var, old, channels, view, m, momentum):
    """Keep what the backward pass needs, and move the running statistics (section 3.1)."""
    tiles.keep(mean, channels, view, mu)
    tiles.keep(rstd, channels, view, rho)
    if running_mean is not None:
        # Not old + momentum * (new - old): at momentum 1 a small variance would be lost beside an old one.
        tiles.keep(running_mean, channels, view, (1 - momentum) * old[0] + momentum * mu)
        tiles.keep(running_var, channels, view, (1 - momentum) * old[1] + momentum * (sigma2 * (m / (m - 1))))


# ---- Resident: all the values of a channel block in one tile -------------------------------------------------------


@triton.jit(do_not_specialize=NUMBERS)
def resident_forward(x, residual, weight, bias, running_mean, running_var, y, mean, rstd, bits, N, C, S, stride, m,
                     momentum, eps, RELU: tl.constexpr, ROWS: tl.constexpr, LANES: tl.constexpr,
                     CHANNELS: tl.constexpr, PLANES: tl.constexpr, ALIGN: tl.constexpr, EVEN: tl.constexpr,
                     EVICT: tl.constexpr):
    """Algorithm 1 for one block of channels."""
    T: tl.constexpr = mean.dtype.element_ty
    view = (N, C, S, stride)
    size: tl.constexpr = (ROWS, LANES, CHANNELS, PLANES, ALIGN, EVEN)
    block, task = tl.program_id(0), tl.program_id(1)  # of one
    row, lane, _ = tiles.task_at(task, block, view, size, 1)
    tile = tiles.tile_at(0, row, lane, tiles.lanes_of(view, size), block, view, size)
    channels = tiles.channels_at(lane, block, view, size)
    values = tiles.load(x, tile, 0, size, "").to(T)
    # All that is read is asked for before anything is waited for.
    _, _, gamma, beta = _affine(None, None, weight, bias, channels, view, T)
    old = _running(running_mean, running_var, channels, view, T)
    near = tiles.total(values * (1 / m), size)  # Algorithm 1, line 1; a sum of large values may be too large
    deviations = values - near
    if not EVEN:
        deviations = tl.where(tile[1], deviations, 0)
    # The mean of the deviations is what the mean's own rounding has left.
    rest, squares = tiles.total(deviations, size) / m, tiles.total(deviations * deviations, size) / m
    mu, sigma2 = near + rest, squares - rest * rest  # line 2
    rho = 1 / tl.sqrt(sigma2 + eps)
    _keep_statistics(mu, sigma2, rho, mean, rstd, running_mean, running_var, old, channels, view, m, momentum)
    _write_output(values, mu, rho * gamma, beta, residual, y, bits, 0, row, lane, tile, block, view, size, RELU, EVICT)


@triton.jit(do_not_specialize=NUMBERS)
def resident_backward(dy, x, weight, bias, mean, rstd, bits, dx, dweight, dbias, dresidual, N, C, S, stride, m,
                      RELU: tl.constexpr, TRAINING: tl.constexpr, ROWS: tl.constexpr, LANES: tl.constexpr,
                      CHANNELS: tl.constexpr, PLANES: tl.constexpr, ALIGN: tl.constexpr, EVEN: tl.constexpr,
                      EVICT: tl.constexpr):
    """The gradients of section 3 for one block of channels."""
    T: tl.constexpr = mean.dtype.element_ty
    view = (N, C, S, stride)
    size: tl.constexpr = (ROWS, LANES, CHANNELS, PLANES, ALIGN, EVEN)
    block, task = tl.program_id(0), tl.program_id(1)  # of one
    row, lane, _ = tiles.task_at(task, block, view, size, 1)
    tile = tiles.tile_at(0, row, lane, tiles.lanes_of(view, size), block, view, size)
    channels = tiles.channels_at(lane, block, view, size)
    mu, rho, scale, beta = _affine(mean, rstd, weight, bias, channels, view, T)
    deviations, dz = _read_gradient(dy, x, mu, scale, beta, bits, 0, row, lane, tile, block, view, size, RELU, "")
    sum_dz, sum_dz_x_hat = tiles.total(dz, size), tiles.total(dz * deviations, size) * rho
    tiles.keep(dbias, channels, view, sum_dz)  # equation 6
    tiles.keep(dweight, channels, view, sum_dz_x_hat)  # equation 5
    by_x, add = _by_sums(sum_dz, sum_dz_x_hat, rho, scale, m)
    _write_gradient(deviations, dz, scale, by_x, add, dx, dresidual, tile, size, TRAINING, EVICT)


# ---- Window: two phases, the second LAG channel blocks behind the first --------------------------------------------


@triton.jit
def _ticket(tickets, blocks, TASKS, LAG):
    """Take the next piece of work: its phase, its channel block, and which of the TASKS of it.

    First phases run LAG blocks ahead; then the phases take turns; then second phases are left.
    """
    ticket = tl.atomic_add(tickets, 1, sem="relaxed")
    if ticket == 2 * blocks * TASKS - 1:
        tl.store(tickets, 0)
    turn = ticket // TASKS
    k = turn - LAG
    alone = (k < 0) | (turn >= 2 * blocks - LAG)
    phase = tl.where(alone, (k >= 0).to(tl.int32), k % 2)
    block = tl.where(alone, tl.where(k < 0, turn, turn - blocks), k // 2 + tl.where(phase == 0, LAG, 0))
    return phase, block, ticket % TASKS


@triton.jit
def _is_last(counter, number):
    """Count a program, and tell whether it was the last of so many; that one clears the counter."""
    tl.debug_barrier()  # every thread has stored its part before one of them counts
    last = tl.atomic_add(counter, 1, sem="acq_rel") == number - 1
    if last:
        tl.store(counter, 0)
    return last


@triton.jit
def _announce(ready, number):
    """Let so many programs pass."""
    tl.debug_barrier()
    tl.atomic_xchg(ready, number, sem="release")


@triton.jit
def _wait(ready):
    """Pass, once that is announced; the last to do so leaves the counter at 0."""
    while tl.load(ready, volatile=True) == 0:
        pass
    tl.debug_barrier()  # each warp looks for itself, and must have seen it before one of them takes it away
    tl.atomic_add(ready, -1, sem="acquire")
    tl.debug_barrier()  # no thread reads before that


@triton.jit(do_not_specialize=NUMBERS)
def window_forward(x, residual, weight, bias, running_mean, running_var, y, mean, rstd, bits, partial, counters,
                   N, C, S, stride, m, momentum, eps, blocks, TASKS, LENGTH, LAG, RELU: tl.constexpr,
                   ROWS: tl.constexpr, LANES: tl.constexpr, CHANNELS: tl.constexpr, PLANES: tl.constexpr,
                   ALIGN: tl.constexpr, EVEN: tl.constexpr, MERGE: tl.constexpr, TREE: tl.constexpr,
                   EVICT: tl.constexpr):
    """Algorithm 1; `partial` (3, tasks and groups, columns) holds count, mean and squared deviations."""
    T: tl.constexpr = mean.dtype.element_ty
    view = (N, C, S, stride)
    size: tl.constexpr = (ROWS, LANES, CHANNELS, PLANES, ALIGN, EVEN)
    phase, block, task = _ticket(counters, blocks, TASKS, LAG)
    row, lane, number = tiles.task_at(task, block, view, size, LENGTH)
    if phase == 0:
        split, splits, groups, width, run = partials.rows_of(task, TASKS, view, size, TREE)
        columns, exist = partials.columns_of(lane, block, view, size)
        height = splits + groups
        count, mu, squares = tiles.moments(x, row, lane, number, block, view, size, T)
        partials.keep_moments(partial, split, height, width, columns, exist, count, mu, squares)
        if TREE:
            group, last = split // GROUP, split < 0
            members = tl.minimum(splits - group * GROUP, GROUP)
            if _is_last(counters + 1 + 2 * blocks + block * groups + group, members):
                merged = partials.merged(partial, group * GROUP, members, 1, columns, exist, height, width, GROUP)
                partials.keep_moments(partial, splits + group, height, width, columns, exist, *merged)
                last = _is_last(counters + 1 + block, groups)
            first, results = splits, groups
        else:
            last, first, results = _is_last(counters + 1 + block, TASKS), 0, splits
        if last:
            whole, starts = partials.starts_of(block, run, size)
            old = _running(running_mean, running_var, whole, view, T)
            _, mu_B, squares_B = partials.merged(partial, first, results, run, starts, whole < C, height, width, MERGE)
            sigma2 = squares_B / m
            rho = 1 / tl.sqrt(sigma2 + eps)
            _keep_statistics(mu_B, sigma2, rho, mean, rstd, running_mean, running_var, old, whole, view, m, momentum)
            _announce(counters + 1 + blocks + block, TASKS)
    else:
        channels, lanes = tiles.channels_at(lane, block, view, size), tiles.lanes_of(view, size)
        _wait(counters + 1 + blocks + block)
        mu, _, scale, beta = _affine(mean, rstd, weight, bias, channels, view, T)
        for k in tl.range(0, number):
            index = number - 1 - k  # what was read last is the likeliest to be in the cache
            tile = tiles.tile_at(index, row, lane, lanes, block, view, size)
            values = tiles.load(x, tile, 0, size, "evict_first").to(T)
            _write_output(values, mu, scale, beta, residual, y, bits, index, row, lane, tile, block, view, size, RELU,
                          EVICT)


@triton.jit(do_not_specialize=NUMBERS)
def window_backward(dy, x, weight, bias, mean, rstd, bits, dx, dweight, dbias, dresidual, partial, counters,
                    N, C, S, stride, m, blocks, TASKS, LENGTH, LAG, RELU: tl.constexpr, TRAINING: tl.constexpr,
                    ROWS: tl.constexpr, LANES: tl.constexpr, CHANNELS: tl.constexpr, PLANES: tl.constexpr,
                    ALIGN: tl.constexpr, EVEN: tl.constexpr, MERGE: tl.constexpr, TREE: tl.constexpr,
                    EVICT: tl.constexpr):
    """The gradients of section 3; `partial` (2, tasks and groups, columns) holds the sums of dz and dz * (x - mu)."""
    T: tl.constexpr = mean.dtype.element_ty
    view = (N, C, S, stride)
    size: tl.constexpr = (ROWS, LANES, CHANNELS, PLANES, ALIGN, EVEN)
    phase, block, task = _ticket(counters, blocks, TASKS, LAG)
    row, lane, number = tiles.task_at(task, block, view, size, LENGTH)
    channels, lanes = tiles.channels_at(lane, block, view, size), tiles.lanes_of(view, size)
    mu, rho, scale, beta = _affine(mean, rstd, weight, bias, channels, view, T)
    if phase == 0:
        split, splits, groups, width, run = partials.rows_of(task, TASKS, view, size, TREE)
        columns, exist = partials.columns_of(lane, block, view, size)
        height = splits + groups
        sum_dz, sum_dz_x = tl.zeros((ROWS, LANES), T), tl.zeros((ROWS, LANES), T)
        for index in tl.range(0, number):
            tile = tiles.tile_at(index, row, lane, lanes, block, view, size)
            deviations, dz = _read_gradient(dy, x, mu, scale, beta, bits, index, row, lane, tile, block, view, size,
                                            RELU, "")
            sum_dz += dz
            sum_dz_x += dz * deviations
        sums = tiles.total(sum_dz, size), tiles.total(sum_dz_x, size)
        partials.keep_sums(partial, split, height, width, columns, exist, *sums)
        if TREE:
            group, last = split // GROUP, split < 0
            members = tl.minimum(splits - group * GROUP, GROUP)
            if _is_last(counters + 1 + 2 * blocks + block * groups + group, members):
                summed = partials.summed(partial, group * GROUP, members, 1, columns, exist, height, width, GROUP)
                partials.keep_sums(partial, splits + group, height, width, columns, exist, *summed)
                last = _is_last(counters + 1 + block, groups)
            first, results = splits, groups
        else:
            last, first, results = _is_last(counters + 1 + block, TASKS), 0, splits
        if last:
            whole, starts = partials.starts_of(block, run, size)
            by = tiles.vector(rstd, 1, whole, view, T)
            total, product = partials.summed(partial, first, results, run, starts, whole < C, height, width, MERGE)
            tiles.keep(dbias, whole, view, total)  # equation 6
            tiles.keep(dweight, whole, view, product * by)  # equation 5
            _announce(counters + 1 + blocks + block, TASKS)
    else:
        _wait(counters + 1 + blocks + block)
        sum_dz_x_hat = tiles.vector(dweight, 0, channels, view, T)
        by_x, add = _by_sums(tiles.vector(dbias, 0, channels, view, T), sum_dz_x_hat, rho, scale, m)
        for k in tl.range(0, number):
            index = number - 1 - k
            tile = tiles.tile_at(index, row, lane, lanes, block, view, size)
            deviations, dz = _read_gradient(dy, x, mu, scale, beta, bits, index, row, lane, tile, block, view, size,
                                            RELU, "evict_first")
            _write_gradient(deviations, dz, scale, by_x, add, dx, dresidual, tile, size, TRAINING, EVICT)


# ---- Inference: the affine map of Algorithm 2, line 11 -------------------------------------------------------------


@triton.jit(do_not_specialize=NUMBERS)
def inference_forward(x, residual, weight, bias, running_mean, running_var, y, mean, rstd, bits, N, C, S, stride, eps,
                      TASKS, LENGTH, RELU: tl.constexpr, ROWS: tl.constexpr, LANES: tl.constexpr,
                      CHANNELS: tl.constexpr, PLANES: tl.constexpr, ALIGN: tl.constexpr, EVEN: tl.constexpr,
                      EVICT: tl.constexpr):
    """One task of one channel block, by given statistics; the first of them keeps mean and 1/sigma as in training."""
    T: tl.constexpr = mean.dtype.element_ty
    view = (N, C, S, stride)
    size: tl.constexpr = (ROWS, LANES, CHANNELS, PLANES, ALIGN, EVEN)
    block, task = tl.program_id(0) // TASKS, tl.program_id(0) % TASKS
    if task == 0:
        whole = tiles.channels_of(block, size)
        mu_all, rho_all = _given(running_mean, running_var, whole, view, eps, T)
        tiles.keep(mean, whole, view, mu_all)
        tiles.keep(rstd, whole, view, rho_all)
    row, lane, number = tiles.task_at(task, block, view, size, LENGTH)
    channels, lanes = tiles.channels_at(lane, block, view, size), tiles.lanes_of(view, size)
    mu, rho = _given(running_mean, running_var, channels, view, eps, T)
    _, _, gamma, beta = _affine(None, None, weight, bias, channels, view, T)
    for index in tl.range(0, number):
        tile = tiles.tile_at(index, row, lane, lanes, block, view, size)
        values = tiles.load(x, tile, 0, size, "evict_first").to(T)
        _write_output(values, mu, rho * gamma, beta, residual, y, bits, index, row, lane, tile, block, view, size,
                      RELU, EVICT)


@triton.jit
def _given(running_mean, running_var, channels, view, eps, T: tl.constexpr):
    """Mean and 1/sigma of some channels by the running statistics."""
    mu, sigma2 = _running(running_mean, running_var, channels, view, T)
    return mu, 1 / tl.sqrt(sigma2 + eps)
