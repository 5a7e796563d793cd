"""Algorithms 1 and 2 in torch operations: what serves where no kernel of ours does, or is worth its launch.

The backends "torch" and "reference" of `bn.functional`, the gradient of the gradient of the kernels (`bn.ops`), and
the statistics that processes join (`bn.sync`). Nothing is checked here; `bn.functional` does that.

In all of it `x` and `residual` are (N, C) or (N, C, *), the other tensors (C,); all but `x` may be None where
`bn.functional.batch_norm_act` allows it.
"""

import torch
import torch.nn.functional as F


def by_torch(x, running_mean, running_var, weight, bias, training, momentum, eps, activation, residual):
    """`bn.functional.batch_norm_act` by torch's own kernel: y, of the shape and type of `x`."""
    y = F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    if residual is not None:
        y = y + residual
    return torch.relu(y) if activation == "relu" else y


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
