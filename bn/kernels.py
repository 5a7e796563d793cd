"""Triton kernels: Batch Normalization forward and backward, with ReLU and a residual fused in.

A tensor is seen as (N, C, S): N examples, C channels, S places; `bn.launch` says how. Two schedules:

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

COUNTS = ["N", "blocks", "SPLITS", "LAG"]  # a kernel made for one value of these serves all others as well
if triton.knobs.runtime.interpret:
    TILES = [triton.Config({"BLOCK": 512}, num_warps=1)]
else:
    TILES = [triton.Config({"BLOCK": size}, num_warps=w) for size, w in ((4096, 4), (8192, 4), (8192, 8), (16384, 8))]
SMALLEST, LARGEST = (pick(tile.kwargs["BLOCK"] for tile in TILES) for pick in (min, max))
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


RUNNING = ("running_mean", "running_var")
_tuned = triton.autotune(TILES, key=["N", "C", "S"], pre_hook=_before_trial, post_hook=_after_trial)

# ---- Tiles: (BLOCK_N, BLOCK_C, BLOCK_S) values; number `index` of a channel block, its places first --------------


@triton.jit
def _places(index, block, S, BLOCK_N: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_S: tl.constexpr):
    """Example, channel and place of each value of a tile, as three axes."""
    tiles_s = tl.cdiv(S, BLOCK_S)
    n = (index // tiles_s) * BLOCK_N + tl.arange(0, BLOCK_N)
    c = block * BLOCK_C + tl.arange(0, BLOCK_C)
    s = (index % tiles_s) * BLOCK_S + tl.arange(0, BLOCK_S)
    return n[:, None, None], c[None, :, None], s[None, None, :]


@triton.jit
def _offsets(n, c, s, stride_n, stride_c):
    return n.to(tl.int64) * stride_n + c.to(tl.int64) * stride_c + s


@triton.jit
def _sum(values):
    """Sum over examples and places, (BLOCK_C,)."""
    return tl.sum(tl.sum(values, 2), 0)


@triton.jit
def _load(pointer, offsets, inside, T: tl.constexpr):
    return tl.load(pointer + offsets, mask=inside, other=0).to(T)


@triton.jit
def _parameter(pointer, c, C, default: tl.constexpr, T: tl.constexpr):
    """One value a channel, in the shape of `c`; the default where there is no tensor.

    From the L2 cache (.cg): another program of the same launch may have written it after this one's L1 cache
    took in its neighbours.
    """
    if pointer is None:
        values = tl.full(c.shape, default, T)
    else:
        values = tl.load(pointer + c, mask=c < C, other=0, cache_modifier=".cg").to(T)
    return values


# ---- ReLU after a residual: x alone cannot tell which values passed, so a bit of each is kept. A byte holds the
# ---- bits of eight examples at one place; the bytes lie as the values of every eighth example do -----------------


@triton.jit
def _store_bits(
    bits,
    passed,
    index,
    block,
    N,
    C,
    S,
    stride_n,
    stride_c,
    BLOCK_N: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    BYTES: tl.constexpr = BLOCK_N // 8
    eights = tl.reshape(passed.to(tl.int32), [BYTES, 8, BLOCK_C, BLOCK_S])
    packed = tl.sum(eights << tl.arange(0, 8)[None, :, None, None], 1)
    n, c, s = _places(index, block, S, BYTES, BLOCK_C, BLOCK_S)
    inside = (n * 8 < N) & (c < C) & (s < S)
    tl.store(bits + _offsets(n, c, s, stride_n, stride_c), packed.to(tl.uint8), mask=inside)


@triton.jit
def _load_bits(bits, n, c, s, inside, stride_n, stride_c):
    packed = tl.load(bits + _offsets(n // 8, c, s, stride_n, stride_c), mask=inside, other=0).to(tl.int32)
    return ((packed >> (n % 8)) & 1) != 0


# ---- What is done to a tile ---------------------------------------------------------------------------------------


@triton.jit
def _write_output(
    values,
    mu,
    rstd,
    weight,
    bias,
    residual,
    y,
    bits,
    index,
    block,
    N,
    C,
    S,
    stride_n,
    stride_c,
    RELU: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """Algorithm 1, lines 3 and 4, the residual and the activation, for one tile; `mu` and `rstd` (1, BLOCK_C, 1)."""
    T: tl.constexpr = values.dtype
    n, c, s = _places(index, block, S, BLOCK_N, BLOCK_C, BLOCK_S)
    inside = (n < N) & (c < C) & (s < S)
    offsets = _offsets(n, c, s, stride_n, stride_c)
    z = (values - mu) * rstd * _parameter(weight, c, C, 1, T) + _parameter(bias, c, C, 0, T)
    if residual is not None:
        z += _load(residual, offsets, inside, T)
    if bits is not None:
        _store_bits(bits, (z <= 0) == 0, index, block, N, C, S, stride_n, stride_c, BLOCK_N, BLOCK_C, BLOCK_S)
    if RELU:
        z = tl.where(z <= 0, 0, z)  # what is not a number stays so, as in torch
    tl.store(y + offsets, z.to(y.dtype.element_ty), mask=inside, eviction_policy="evict_first")


@triton.jit
def _read_gradient(
    dy, x, mu, rstd, weight, bias, bits, n, c, s, N, C, S, stride_n, stride_c, RELU: tl.constexpr, T: tl.constexpr
):
    """Return x_hat and the gradient before the activation, dz, both 0 outside of the tensor."""
    inside = (n < N) & (c < C) & (s < S)
    offsets = _offsets(n, c, s, stride_n, stride_c)
    x_hat = tl.where(inside, (_load(x, offsets, inside, T) - mu) * rstd, 0)
    dz = _load(dy, offsets, inside, T)
    if bits is not None:
        dz = tl.where(_load_bits(bits, n, c, s, inside, stride_n, stride_c), dz, 0)
    elif RELU:  # the forward pass computed the same z from the same numbers: nothing was stored
        z = x_hat * _parameter(weight, c, C, 1, T) + _parameter(bias, c, C, 0, T)
        dz = tl.where(z <= 0, 0, dz)
    return x_hat, dz


@triton.jit
def _write_gradient(
    x_hat,
    dz,
    sum_dz,
    sum_dz_x_hat,
    m,
    rstd,
    weight,
    dx,
    dresidual,
    n,
    c,
    s,
    N,
    C,
    S,
    stride_n,
    stride_c,
    TRAINING: tl.constexpr,
):
    """Equations 1 to 4 of section 3 in one line, for one tile; sums and `rstd` (1, BLOCK_C, 1)."""
    inside = (n < N) & (c < C) & (s < S)
    offsets = _offsets(n, c, s, stride_n, stride_c)
    if dresidual is not None:
        tl.store(dresidual + offsets, dz.to(dresidual.dtype.element_ty), mask=inside, eviction_policy="evict_first")
    if TRAINING:
        dz -= (sum_dz + x_hat * sum_dz_x_hat) / m
    gradient = dz * rstd * _parameter(weight, c, C, 1, x_hat.dtype)
    tl.store(dx + offsets, gradient.to(dx.dtype.element_ty), mask=inside, eviction_policy="evict_first")


@triton.jit
def _keep_statistics(mu, sigma2, mean, rstd, running_mean, running_var, c, C, m, momentum, eps):
    """Store what the backward pass needs, and move the running statistics (section 3.1)."""
    T: tl.constexpr = mu.dtype
    tl.store(mean + c, mu, mask=c < C)
    tl.store(rstd + c, 1 / tl.sqrt(sigma2 + eps), mask=c < C)
    if running_mean is not None:
        old_mean, old_var = _parameter(running_mean, c, C, 0, T), _parameter(running_var, c, C, 0, T)
        new_mean = old_mean + momentum * (mu - old_mean)
        new_var = old_var + momentum * (sigma2 * (m / (m - 1)) - old_var)
        tl.store(running_mean + c, new_mean.to(running_mean.dtype.element_ty), mask=c < C)
        tl.store(running_var + c, new_var.to(running_var.dtype.element_ty), mask=c < C)


# ---- Resident: all the values of a channel block in one tile ------------------------------------------------------


@triton.jit(do_not_specialize=COUNTS)
def resident_forward(
    x,
    residual,
    weight,
    bias,
    running_mean,
    running_var,
    y,
    mean,
    rstd,
    bits,
    N,
    C,
    S,
    stride_n,
    stride_c,
    m,
    momentum,
    eps,
    RELU: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """Algorithm 1 for one block of channels."""
    T: tl.constexpr = mean.dtype.element_ty
    block = tl.program_id(0)
    n, c, s = _places(0, block, S, BLOCK_N, BLOCK_C, BLOCK_S)
    inside = (n < N) & (c < C) & (s < S)
    values = _load(x, _offsets(n, c, s, stride_n, stride_c), inside, T)
    mu = _sum(values) / m  # line 1
    deviations = tl.where(inside, values - mu[None, :, None], 0)
    sigma2 = _sum(deviations * deviations) / m  # line 2
    channels = block * BLOCK_C + tl.arange(0, BLOCK_C)
    _keep_statistics(mu, sigma2, mean, rstd, running_mean, running_var, channels, C, m, momentum, eps)
    scale = (1 / tl.sqrt(sigma2 + eps))[None, :, None]
    _write_output(
        values,
        mu[None, :, None],
        scale,
        weight,
        bias,
        residual,
        y,
        bits,
        0,
        block,
        N,
        C,
        S,
        stride_n,
        stride_c,
        RELU,
        BLOCK_N,
        BLOCK_C,
        BLOCK_S,
    )


@triton.jit(do_not_specialize=COUNTS)
def resident_backward(
    dy,
    x,
    weight,
    bias,
    mean,
    rstd,
    bits,
    dx,
    dweight,
    dbias,
    dresidual,
    N,
    C,
    S,
    stride_n,
    stride_c,
    m,
    RELU: tl.constexpr,
    TRAINING: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """The gradients of section 3 for one block of channels."""
    T: tl.constexpr = mean.dtype.element_ty
    block = tl.program_id(0)
    n, c, s = _places(0, block, S, BLOCK_N, BLOCK_C, BLOCK_S)
    mu, scale = _parameter(mean, c, C, 0, T), _parameter(rstd, c, C, 0, T)
    x_hat, dz = _read_gradient(dy, x, mu, scale, weight, bias, bits, n, c, s, N, C, S, stride_n, stride_c, RELU, T)
    sum_dz, sum_dz_x_hat = _sum(dz), _sum(dz * x_hat)
    channels = block * BLOCK_C + tl.arange(0, BLOCK_C)
    tl.store(dbias + channels, sum_dz, mask=channels < C)  # equation 6
    tl.store(dweight + channels, sum_dz_x_hat, mask=channels < C)  # equation 5
    _write_gradient(
        x_hat,
        dz,
        sum_dz[None, :, None],
        sum_dz_x_hat[None, :, None],
        m,
        scale,
        weight,
        dx,
        dresidual,
        n,
        c,
        s,
        N,
        C,
        S,
        stride_n,
        stride_c,
        TRAINING,
    )


# ---- Window: two phases, the second LAG channel blocks behind the first -------------------------------------------


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
def _is_last(arrived, block, SPLITS):
    """Count this slice as reduced, and tell whether it was the last of its channel block."""
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
def _tiles_of(split, N, S, SPLITS, BLOCK_N: tl.constexpr, BLOCK_S: tl.constexpr):
    """First and last tile of a slice."""
    tiles = tl.cdiv(N, BLOCK_N) * tl.cdiv(S, BLOCK_S)
    each = tl.cdiv(tiles, SPLITS)
    return split * each, tl.minimum(split * each + each, tiles)


@_tuned
@triton.jit(do_not_specialize=COUNTS)
def window_forward(
    x,
    residual,
    weight,
    bias,
    running_mean,
    running_var,
    y,
    mean,
    rstd,
    bits,
    partial,
    counters,
    N,
    C,
    S,
    stride_n,
    stride_c,
    m,
    momentum,
    eps,
    blocks,
    SPLITS,
    LAG,
    RELU: tl.constexpr,
    MERGE: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Algorithm 1; `partial` (3, SPLITS, C) holds count, mean and squared deviations of each slice."""
    T: tl.constexpr = mean.dtype.element_ty
    BLOCK_N: tl.constexpr = BLOCK // (BLOCK_C * BLOCK_S)
    phase, block, split = _ticket(counters, blocks, SPLITS, LAG)
    arrived, ready = counters + 1, counters + 1 + blocks
    channels = block * BLOCK_C + tl.arange(0, BLOCK_C)
    first, last = _tiles_of(split, N, S, SPLITS, BLOCK_N, BLOCK_S)
    if phase == 0:
        count = tl.zeros((BLOCK_C,), T)
        mu, squares = tl.zeros((BLOCK_C,), T), tl.zeros((BLOCK_C,), T)
        for index in range(first, last):
            n, c, s = _places(index, block, S, BLOCK_N, BLOCK_C, BLOCK_S)
            inside = (n < N) & (c < C) & (s < S)
            values = _load(x, _offsets(n, c, s, stride_n, stride_c), inside, T)
            here = tl.maximum(_sum(inside.to(T)), 1)  # 1 for channels that do not exist, so that nothing is 0 / 0
            tile_mu = _sum(values) / here
            deviations = tl.where(inside, values - tile_mu[None, :, None], 0)
            delta = tile_mu - mu
            squares += _sum(deviations * deviations) + delta * delta * (count * here / (count + here))  # Chan
            count += here
            mu += delta * (here / count)
        slot = split * C + channels
        tl.store(partial + slot, count, mask=channels < C)
        tl.store(partial + SPLITS * C + slot, mu, mask=channels < C)
        tl.store(partial + 2 * SPLITS * C + slot, squares, mask=channels < C)
        if _is_last(arrived, block, SPLITS):
            slices = tl.arange(0, MERGE)[:, None]
            slots, exist = slices * C + channels[None, :], (slices < SPLITS) & (channels[None, :] < C)
            counts = tl.load(partial + slots, mask=exist, other=0, cache_modifier=".cg")
            means = tl.load(partial + SPLITS * C + slots, mask=exist, other=0, cache_modifier=".cg")
            squares_of = tl.load(partial + 2 * SPLITS * C + slots, mask=exist, other=0, cache_modifier=".cg")
            total = m
            # Around the first slice's mean: where all means are large and close, their sum loses digits.
            origin = tl.sum(tl.where(slices == 0, means, 0), 0)
            shift = tl.where(counts > 0, means - origin[None, :], 0)
            mu = origin + tl.sum(counts * shift, 0) / total
            between = tl.where(counts > 0, means - mu[None, :], 0)
            sigma2 = (tl.sum(squares_of, 0) + tl.sum(counts * between * between, 0)) / total
            _keep_statistics(mu, sigma2, mean, rstd, running_mean, running_var, channels, C, total, momentum, eps)
            _announce(ready, block)
    else:
        _wait(ready, block)
        for k in range(first, last):
            index = first + last - 1 - k  # the slice's last tiles were read last
            n, c, s = _places(index, block, S, BLOCK_N, BLOCK_C, BLOCK_S)
            inside = (n < N) & (c < C) & (s < S)
            values = _load(x, _offsets(n, c, s, stride_n, stride_c), inside, T)
            mu, scale = _parameter(mean, c, C, 0, T), _parameter(rstd, c, C, 0, T)
            _write_output(
                values,
                mu,
                scale,
                weight,
                bias,
                residual,
                y,
                bits,
                index,
                block,
                N,
                C,
                S,
                stride_n,
                stride_c,
                RELU,
                BLOCK_N,
                BLOCK_C,
                BLOCK_S,
            )


@_tuned
@triton.jit(do_not_specialize=COUNTS)
def window_backward(
    dy,
    x,
    weight,
    bias,
    mean,
    rstd,
    bits,
    dx,
    dweight,
    dbias,
    dresidual,
    partial,
    counters,
    N,
    C,
    S,
    stride_n,
    stride_c,
    m,
    blocks,
    SPLITS,
    LAG,
    RELU: tl.constexpr,
    TRAINING: tl.constexpr,
    MERGE: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The gradients of section 3; `partial` (2, SPLITS, C) holds the two sums of each slice."""
    T: tl.constexpr = mean.dtype.element_ty
    BLOCK_N: tl.constexpr = BLOCK // (BLOCK_C * BLOCK_S)
    phase, block, split = _ticket(counters, blocks, SPLITS, LAG)
    arrived, ready = counters + 1, counters + 1 + blocks
    channels = block * BLOCK_C + tl.arange(0, BLOCK_C)
    first, last = _tiles_of(split, N, S, SPLITS, BLOCK_N, BLOCK_S)
    if phase == 0:
        sum_dz, sum_dz_x_hat = tl.zeros((BLOCK_C,), T), tl.zeros((BLOCK_C,), T)
        for index in range(first, last):
            n, c, s = _places(index, block, S, BLOCK_N, BLOCK_C, BLOCK_S)
            mu, scale = _parameter(mean, c, C, 0, T), _parameter(rstd, c, C, 0, T)
            x_hat, dz = _read_gradient(
                dy, x, mu, scale, weight, bias, bits, n, c, s, N, C, S, stride_n, stride_c, RELU, T
            )
            sum_dz += _sum(dz)
            sum_dz_x_hat += _sum(dz * x_hat)
        slot = split * C + channels
        tl.store(partial + slot, sum_dz, mask=channels < C)
        tl.store(partial + SPLITS * C + slot, sum_dz_x_hat, mask=channels < C)
        if _is_last(arrived, block, SPLITS):
            slices = tl.arange(0, MERGE)[:, None]
            slots, exist = slices * C + channels[None, :], (slices < SPLITS) & (channels[None, :] < C)
            sums = tl.sum(tl.load(partial + slots, mask=exist, other=0, cache_modifier=".cg"), 0)
            products = tl.load(partial + SPLITS * C + slots, mask=exist, other=0, cache_modifier=".cg")
            tl.store(dbias + channels, sums, mask=channels < C)  # equation 6
            tl.store(dweight + channels, tl.sum(products, 0), mask=channels < C)  # equation 5
            _announce(ready, block)
    else:
        _wait(ready, block)
        for k in range(first, last):
            index = first + last - 1 - k
            n, c, s = _places(index, block, S, BLOCK_N, BLOCK_C, BLOCK_S)
            mu, scale = _parameter(mean, c, C, 0, T), _parameter(rstd, c, C, 0, T)
            x_hat, dz = _read_gradient(
                dy, x, mu, scale, weight, bias, bits, n, c, s, N, C, S, stride_n, stride_c, RELU, T
            )
            _write_gradient(
                x_hat,
                dz,
                _parameter(dbias, c, C, 0, T),
                _parameter(dweight, c, C, 0, T),
                m,
                scale,
                weight,
                dx,
                dresidual,
                n,
                c,
                s,
                N,
                C,
                S,
                stride_n,
                stride_c,
                TRAINING,
            )


# ---- Inference: the affine map of Algorithm 2, line 11 ------------------------------------------------------------


@triton.jit(do_not_specialize=COUNTS)
def inference_forward(
    x,
    residual,
    weight,
    bias,
    mean,
    rstd,
    y,
    bits,
    N,
    C,
    S,
    stride_n,
    stride_c,
    SPLITS,
    RELU: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One slice of one channel block, by given statistics."""
    T: tl.constexpr = mean.dtype.element_ty
    BLOCK_N: tl.constexpr = BLOCK // (BLOCK_C * BLOCK_S)
    block, split = tl.program_id(0) // SPLITS, tl.program_id(0) % SPLITS
    first, last = _tiles_of(split, N, S, SPLITS, BLOCK_N, BLOCK_S)
    for index in range(first, last):
        n, c, s = _places(index, block, S, BLOCK_N, BLOCK_C, BLOCK_S)
        inside = (n < N) & (c < C) & (s < S)
        values = _load(x, _offsets(n, c, s, stride_n, stride_c), inside, T)
        mu, scale = _parameter(mean, c, C, 0, T), _parameter(rstd, c, C, 0, T)
        _write_output(
            values,
            mu,
            scale,
            weight,
            bias,
            residual,
            y,
            bits,
            index,
            block,
            N,
            C,
            S,
            stride_n,
            stride_c,
            RELU,
            BLOCK_N,
            BLOCK_C,
            BLOCK_S,
        )
