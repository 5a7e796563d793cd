"""How the kernels of `bn.kernels` are launched: the view of a tensor, the size of the tiles, the schedule."""

import contextlib
import math
from typing import NamedTuple

import torch
import triton

from bn import kernels

RESIDENT = 16_384  # values that a program holds in registers: 32 in each of 512 threads
TASK = 4 * kernels.SMALLEST  # values reduced by one program of the window schedule
SLICES = 8_192  # most partial results of a channel block, slices by channels, for the last program to merge
MERGE = 512  # of which it takes this many at a time: more would take registers from everything else
WINDOW = 20 * 2**20  # bytes between the two phases: they and what is written must stay in the L2 cache, 50 or 60 MB
FEW = 16 * 2**20  # below this many values tasks are a quarter as long, so that they fill the GPU


class View(NamedTuple):
    """A dense tensor as (N, C, S), with the positions next to each other, or, where S is 1, the channels."""

    N: int
    C: int
    S: int
    stride_n: int
    stride_c: int

    @property
    def m(self) -> int:
        """Values of each channel, m' of section 3.2."""
        return self.N * self.S


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
    if positions > 1 and C > 1 and not x.movedim(1, -1).is_contiguous():
        return View(N, C, positions, C * positions, positions)
    if C == 1:
        return View(1, 1, N * positions, N * positions, N * positions)
    return View(N * positions, C, 1, C, 1)


def training(x, running_mean, running_var, weight, bias, residual, momentum, eps, relu, y, mean, rstd, bits):
    """Algorithm 1 into y, mean and rstd = 1/sqrt(sigma2 + eps); `bits` is None where no bits are kept."""
    v = view(x)
    tensors = (x, residual, weight, bias, running_mean, running_var, y, mean, rstd, bits)
    with _device(x):
        if tile := _resident(v, bits):
            grid, options = tile
            kernels.resident_forward[grid](*tensors, *v, float(v.m), momentum, eps, RELU=relu, **options)
        else:
            grid, schedule, partial, counters, options = _window(v, x.element_size(), 3, bits, mean)
            kernels.window_forward[grid](
                *tensors, partial, counters, *v, float(v.m), momentum, eps, *schedule, RELU=relu, **options
            )


def backward(dy, x, weight, bias, mean, rstd, bits, relu, training, dx, dweight, dbias, dresidual):
    """Section 3's gradients into dx, dweight, dbias and dresidual, which may be None; eval mode if not `training`."""
    v = view(x)
    tensors = (dy, x, weight, bias, mean, rstd, bits, dx, dweight, dbias, dresidual)
    flags = {"RELU": relu, "TRAINING": training}
    with _device(x):
        if tile := _resident(v, bits):
            grid, options = tile
            kernels.resident_backward[grid](*tensors, *v, float(v.m), **flags, **options)
        else:
            grid, schedule, partial, counters, options = _window(v, 2 * x.element_size(), 2, bits, mean)
            kernels.window_backward[grid](*tensors, partial, counters, *v, float(v.m), *schedule, **flags, **options)


def inference(x, weight, bias, residual, relu, y, mean, rstd, bits):
    """Algorithm 2, line 11, into y."""
    v = view(x)
    block_c, block_s = _block(v, bits)
    splits = _splits(v, block_c)
    grid = (triton.cdiv(v.C, block_c) * splits,)
    with _device(x):
        kernels.inference_forward[grid](
            x, residual, weight, bias, mean, rstd, y, bits, *v, splits,
            RELU=relu, BLOCK_C=block_c, BLOCK_S=block_s, BLOCK=kernels.SMALLEST, num_warps=4,
        )  # fmt: skip


def _resident(v: View, bits):
    """Grid and tile where all the values of a channel block fit into a program's registers; otherwise None."""
    block_n, block_s = _power(v.N), _power(v.S)
    if bits is not None:
        block_n = max(block_n, 8)
    # A memory sector is 32 bytes: 16 neighbouring channels of two bytes.
    block_c = min(16, _power(v.C)) if v.S == 1 else 1
    values = block_n * block_c * block_s
    if values > RESIDENT:
        return None
    options = {"BLOCK_N": block_n, "BLOCK_C": block_c, "BLOCK_S": block_s}
    return (triton.cdiv(v.C, block_c),), options | {"num_warps": min(max(values // 1024, 1), 16)}


def _window(v: View, bytes_each: int, partials: int, bits, mean):
    """Grid, schedule (blocks, SPLITS, LAG), working memory and tile of the window schedule."""
    block_c, block_s = _block(v, bits)
    blocks, splits = triton.cdiv(v.C, block_c), _splits(v, block_c)
    lag = min(blocks, WINDOW // (v.m * block_c * bytes_each))
    partial = mean.new_empty((partials, splits, v.C))
    counters = torch.zeros(1 + 2 * blocks, dtype=torch.int32, device=mean.device)  # tickets, arrived, ready
    options = {"MERGE": max(MERGE // block_c, 1), "BLOCK_C": block_c, "BLOCK_S": block_s}
    return (2 * blocks * splits,), (blocks, splits, lag), partial, counters, options


def _splits(v: View, block_c: int) -> int:
    """How many slices the values of a channel block are cut into."""
    task = TASK if v.m * v.C >= FEW else TASK // 4
    return min(triton.cdiv(v.m * block_c, task), SLICES // block_c)


def _block(v: View, bits) -> tuple[int, int]:
    """Channels and positions of a tile: the most positions of which at most an eighth are beyond the edge."""
    if v.S == 1:
        return min(32, _power(v.C)), 1
    examples = max(min(_power(v.N), 8), 8 if bits is not None else 1)
    largest = min(kernels.SMALLEST // examples, _power(v.S)).bit_length() - 1
    sizes = [2**k for k in range(min(4, largest), largest + 1)]
    waste = {size: triton.cdiv(v.S, size) * size / v.S - 1 for size in sizes}
    return 1, max(sizes, key=lambda size: (-max(waste[size], 1 / 8), size))


def _power(n: int) -> int:
    return triton.next_power_of_2(n)


def _device(x):
    """Triton launches on the current GPU, which need not be that of x."""
    if x.is_cuda:
        return torch.cuda.device(x.device)
    if not triton.knobs.runtime.interpret:
        raise RuntimeError(f"the kernels need tensors on a CUDA device or TRITON_INTERPRET=1, but x is on {x.device}")
    return contextlib.nullcontext()
