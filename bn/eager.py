"""Algorithms 1 and 2 in torch operations: what serves where no kernel of ours does, or is worth its launch.

The backends "torch" and "reference" of `bn.functional`, the gradient of the gradient of the kernels (`bn.ops`), and
the statistics that processes join (`bn.sync`). Nothing is checked here; `bn.functional` does that.

In all of it `x` and `residual` are (N, C) or (N, C, *), the other tensors (C,); all but `x` may be None where
`bn.functional.batch_norm_act` allows it.
"""

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

FAR = 100  # deviations between a mean and 0: up to here a mean summed in float32 is good to a thousandth of one
FEW = 2**14  # in few values, m, more: the error is m * 2**-24 of the mean at most, a thousandth at FEW / m deviations


def by_torch(x, running_mean, running_var, weight, bias, training, momentum, eps, activation, residual):
    """`bn.functional.batch_norm_act` by torch's own kernel: y, of the shape and type of `x`.

    In training on a CPU, torch sums the float32 values of an input that lies channels last (that of a 2-D input too)
    one after another, which loses the statistics of a channel whose mean is far from 0. There they are taken again,
    from values shifted by that mean, summed better. That needs a decision on values; where none can be taken (in
    torch.compile, export, a trace, torch.func, a dispatch mode and a tensor that has one, such as a fake), the result
    is torch's. The other layouts and types are torch's everywhere.
    """
    arguments = (x, running_mean, running_var, weight, bias)
    if training and _can_look(x) and _is_summed_one_by_one(x):
        y = _from_near_the_mean(*arguments, momentum, eps)
    else:
        y = F.batch_norm(*arguments, training, momentum, eps)
    if residual is not None:
        y = y + residual
    return torch.relu(y) if activation == "relu" else y


def by_torchs_kernel(x, running_mean, running_var, weight, bias, training, momentum, eps, activation, residual):
    """`by_torch` where the operands are ordinary (`bn.operands.are_ordinary`): the kernel, without what leads to it."""
    if training and _is_summed_one_by_one(x):
        y = _from_near_the_mean(x, running_mean, running_var, weight, bias, momentum, eps)
    elif x.is_cpu:
        y = torch.native_batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps)[0]
    else:  # there torch chooses among kernels
        y = F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    if residual is not None:
        y = y + residual
    return torch.relu(y) if activation == "relu" else y


def _can_look(x):
    """Tell whether Python may decide on values; `is_compiling` stands first, so that the compiler sees no other."""
    return not (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._are_functorch_transforms_active()
        or is_in_torch_dispatch_mode()
        or type(x).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__
    )


def _is_summed_one_by_one(x):
    """Tell whether torch sums in float32 and row by row; elsewhere it sums in float64, or pairs of partial sums."""
    if x.dtype is not torch.float32 or not x.is_cpu or x.layout is not torch.strided:
        return False
    if x.is_contiguous():  # torch asks this first too
        return 0 < x.numel() == x.shape[0] * x.shape[1]
    layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.dim())
    return layout is not None and x.is_contiguous(memory_format=layout)


def _from_near_the_mean(x, running_mean, running_var, weight, bias, momentum, eps):
    """`F.batch_norm` in training, to the bit where no mean is far from 0, else once more from values shifted there.

    One addition in float32 errs by 2**-24 of the sum at most, and m of one sign, all to the same side, by m * 2**-24 of
    the mean. A mean is far, then, where that reaches half a deviation, and at `FAR`, or `FEW` / m. So large an error
    makes the deviation that is found too large as well, but not as large as to hide the mean: 2**23 / m are left.
    """
    variance = None if running_var is None else running_var.clone()
    y, mean, rstd = torch.native_batch_norm(x, weight, bias, running_mean, running_var, True, momentum, eps)
    m = x.numel() // x.shape[1]
    near = min(max(FAR, FEW / m), 2**23 / m)
    # No ratio is larger than the product of both norms, by Cauchy and Schwarz: half the time, and most often enough.
    if mean.dot(mean).item() * rstd.dot(rstd).item() <= near * near:
        return y
    ratio = mean * rstd
    if torch.linalg.vector_norm(ratio, torch.inf).item() <= near:
        return y
    del y  # its memory is needed
    far = ratio.abs() > near  # not where it is no number: that stays in its channel
    return _shifted(x, far, mean, running_mean, running_var, variance, weight, bias, momentum, eps)


def _shifted(x, far, mean, running_mean, running_var, variance, weight, bias, momentum, eps):
    """`F.batch_norm` in training, from values shifted in the channels that are `far`, after a first pass.

    `mean` is what that pass found and moved `running_mean` towards; `variance` is `running_var` before it.
    """
    # torch sums this one in parts, and so to its last digits; data has no tangent, which the statistics must not take.
    shift = x.data.mean([0, *range(2, x.dim())]).where(far, 0)
    rest = None
    if running_mean is not None:
        running_var.copy_(variance)
        rest = torch.zeros_like(running_mean)
    shifted = x - shift.view([1, -1] + [1] * (x.dim() - 2))
    y = F.batch_norm(shifted, rest, running_var, weight, bias, True, momentum, eps)
    if running_mean is not None:
        running_mean.add_((rest + momentum * (shift - mean)).where(far, 0))
    return y


def by_algorithm_1(x, running_mean, running_var, weight, bias, training, momentum, eps, activation, residual):
    """`bn.functional.batch_norm_act` by `algorithm_1` in float64: y, of the shape and type of `x`."""
    y, mu_B, sigma2_B = algorithm_1(x, running_mean, running_var, weight, bias, training, eps, activation, residual)
    if training and running_mean is not None:
        follow(running_mean, running_var, mu_B, sigma2_B, x.numel() // x.shape[1], momentum)
    return y


def algorithm_1(x, mean, var, weight, bias, training, eps, activation, residual, dtype=torch.float64):
    """Normalize, scale and shift by plain operations, which autograd differentiates to any order.

    Returns y, of the shape and type of `x`, and the mean and variance that it used, both (C,): those of the
    mini-batch in `dtype`, the variance with 1/m, where `training`, else `mean` and `var` as they are given.
    Computes in `dtype`, float32 or float64.
    Source: Ioffe and Szegedy (2015), arXiv 1502.03167, Algorithm 1; with `mean` and `var` given, Algorithm 2, line 11.
    """
    axes = [0, *range(2, x.dim())]
    shape = [1, -1] + [1] * (x.dim() - 2)
    values = x.to(dtype)
    if training:
        mean = values.mean(axes)  # Algorithm 1, line 1
        var = (values - mean.view(shape)).square().mean(axes)  # line 2
    y = (values - mean.to(dtype).view(shape)) * (var.to(dtype) + eps).rsqrt().view(shape)  # line 3
    if weight is not None:
        y = y * weight.to(dtype).view(shape)  # line 4
    if bias is not None:
        y = y + bias.to(dtype).view(shape)
    if residual is not None:
        y = y + residual.to(dtype)
    return (y.relu() if activation == "relu" else y).to(x.dtype), mean, var


@torch.no_grad()
def follow(running_mean, running_var, mu_B, sigma2_B, m, momentum):
    """Move the running statistics, in place, towards a mini-batch's by `momentum`, the weight of the newest.

    All tensors (C,), of any floating-point type; `sigma2_B` has 1/m, and m/(m-1) corrects it, so m must be 2 or more.
    Source: Ioffe and Szegedy (2015), section 3.1, moving averages for Algorithm 2, line 10.
    """
    running_mean.lerp_(mu_B.to(running_mean.dtype), momentum)
    running_var.lerp_((sigma2_B * m / (m - 1)).to(running_var.dtype), momentum)
