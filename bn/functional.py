"""Batch Normalization as functions: torch's signature, the activation and a residual built in, four backends."""

import importlib.util
import os

import torch

from bn import eager

BACKENDS = ("auto", "torch", "triton", "reference")
ACTIVATIONS = (None, "relu")
HAS_TRITON = importlib.util.find_spec("triton") is not None
TRITON_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# Below this many elements a launch from Python costs more than the passes over memory that the kernels save:
# 2**21 bfloat16 values are read in 1 microsecond by an H200, a launch takes tens. Derived, not yet measured.
LAUNCH_BOUND = 2**21


def batch_norm(
    input,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
    *,
    backend="auto",
):
    """Batch Normalization with the signature of `torch.nn.functional.batch_norm`; see `batch_norm_act`.

    >>> batch_norm(torch.tensor([[0.0], [2.0]]), None, None, training=True, eps=1e-12)
    tensor([[-1.],
            [ 1.]])
    """
    return batch_norm_act(
        input, running_mean, running_var, weight, bias, training, momentum, eps, activation=None, backend=backend
    )


def batch_norm_act(
    input,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
    *,
    activation="relu",
    residual=None,
    backend="auto",
):
    r"""Batch Normalization, then `+ residual` if there is one, then the activation, in one call.

    >>> x = torch.tensor([[0.0], [2.0]])
    >>> batch_norm_act(x, None, None, training=True, eps=1e-12, residual=torch.tensor([[0.0], [3.0]]))
    tensor([[0.],
            [4.]])

    $$ y = g\left(\gamma \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \epsilon}} + \beta + r\right) $$

    - `training=True`: E and Var are the mini-batch's, Var with 1/m (Algorithm 1). `running_mean` and
      `running_var`, if given, move towards them by `momentum`, the variance scaled by m/(m-1).
    - `training=False`: E and Var are `running_mean` and `running_var` (Algorithm 2, line 11).

    Shapes: `input` and `residual` (N, C) or (N, C, *); the other four tensors (C,), each None or given.
    Types: float32, bfloat16, float16 or float64; parameters of the input's type or of float32. Statistics and
    sums are in float32 or better. `activation` is None or "relu". The result has the input's shape, type and
    memory format. Gradients of any order reach `input`, `weight`, `bias` and `residual`.

    `backend`: "torch" is torch's kernel; "triton" is `bn.kernels`, on CUDA (or anywhere in Triton's
    interpreter); "reference" is Algorithm 1 in float64, an operation for each line; "auto" takes "triton" for
    CUDA tensors large enough to repay a launch and "torch" for the rest.

    Errors: ValueError for `eps` <= 0 in training (< 0 otherwise), one value for each channel in training, one
    running statistic without the other, or an unknown `activation` or `backend`; RuntimeError for a shape, type
    or device that does not fit. No buffer changes where an error is raised.

    Source: Ioffe and Szegedy (2015), arXiv 1502.03167, Algorithms 1 and 2, sections 3.1 and 3.2.
    """
    _check(input, running_mean, running_var, weight, bias, training, eps, activation, residual)
    chosen = _choose(backend, input)
    arguments = (input, running_mean, running_var, weight, bias, training, momentum, eps, activation, residual)
    if chosen == "triton":
        from bn import ops  # Triton is not on every platform, and its import takes a second

        return ops.batch_norm_act(*arguments)
    return eager.by_algorithm_1(*arguments) if chosen == "reference" else eager.by_torch(*arguments)


def _choose(backend, x):
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(map(repr, BACKENDS))}, but it is {backend!r}")
    if x.numel() == 0:
        return "torch"
    if backend in ("auto", "triton") and torch._C._are_functorch_transforms_active():
        return "torch"  # vmap and torch.func cannot look into a kernel
    if backend == "auto":
        suits = x.is_cuda and x.dtype in TRITON_DTYPES and x.numel() >= LAUNCH_BOUND and HAS_TRITON
        return "triton" if suits else "torch"
    if backend == "triton":
        _check_triton(x)
    return backend


def _check_triton(x):
    if not HAS_TRITON:
        raise RuntimeError("backend='triton' needs the package triton, which is not installed")
    if not x.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        raise RuntimeError(
            f"backend='triton' needs a CUDA tensor, but the input is on {x.device}; "
            "to try the kernels there, set TRITON_INTERPRET=1 before Python starts (slow)"
        )


def _check(x, running_mean, running_var, weight, bias, training, eps, activation, residual):
    """Raise what torch raises, before any buffer changes."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be None or 'relu', but it is {activation!r}")
    if x.dim() < 2:
        raise RuntimeError(f"input must have shape (N, C) or (N, C, *), but its shape is {tuple(x.shape)}")
    if not x.dtype.is_floating_point:
        raise NotImplementedError(f"input must hold floating-point numbers, but its dtype is {x.dtype}")
    if not (eps > 0 or (eps == 0 and not training)):
        raise ValueError(f"eps must be positive{'' if training else ' or 0'}, but it is {eps}")
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must either both be given or both be None")
    if running_mean is None and not training:
        raise RuntimeError("running_mean and running_var must be given where training is False")
    if training and 0 < x.numel() == x.shape[1]:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {x.shape}")
    vectors = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    for name, vector in vectors.items():
        if vector is not None:
            _check_vector(name, vector, x)
    if residual is not None and (residual.shape, residual.dtype, residual.device) != (x.shape, x.dtype, x.device):
        raise RuntimeError(
            f"residual must match the input, {tuple(x.shape)} {x.dtype} on {x.device}, "
            f"but it is {tuple(residual.shape)} {residual.dtype} on {residual.device}"
        )


def _check_vector(name, vector, x):
    if vector.shape != (x.shape[1],):
        raise RuntimeError(f"{name} should contain {x.shape[1]} elements, but its shape is {tuple(vector.shape)}")
    if vector.dtype not in (x.dtype, torch.float32) or (vector.dtype != x.dtype and x.dtype == torch.float64):
        raise RuntimeError(f"{name} must have dtype {x.dtype} or torch.float32, but it has {vector.dtype}")
    if vector.device != x.device:
        raise RuntimeError(f"{name} is on {vector.device}, but the input is on {x.device}")
