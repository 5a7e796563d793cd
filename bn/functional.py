"""Batch Normalization as functions: torch's signature, the activation and a residual built in, four backends."""

import importlib.util
import os

import torch
from torch.autograd import forward_ad

from bn import eager, operands

BACKENDS = ("auto", "torch", "triton", "reference")
ACTIVATIONS = (None, "relu")
HAS_TRITON = importlib.util.find_spec("triton") is not None
TRITON_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# Below this many values torch's own kernels are done before Python has called ours. Forward and backward of BN + ReLU,
# torch passes 13 times over memory, in bfloat16 26 bytes a value, at the 3 TB/s that an H100 copies. Python takes for
# ours about what it takes for torch's (`python -m bn.lab.bench --only overhead`: 1.2 times), some 30 microseconds, and
# two launches of Triton's 20 more, which is an estimate: 50e-6 * 3e12 / 26 = 5.8e6 values, 2**22.5.
# On a GPU `--only launches` measures it.
LAUNCH_BOUND = 2**22


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

    Shapes: `input` and `residual` (N, C), (N, C, *) or, as torch has it, (0,); the other four tensors (C,), each
    None or given. Types: float32, bfloat16, float16 or float64; parameters of the input's type or of float32.
    Strides: any, of every operand; views, expanded tensors and the negative bit too. Statistics and sums are in
    float32 or better, unless torch's kernel on a CPU is given statistics in half precision. `activation` is None or
    "relu". The result has the input's shape, type and memory format. Gradients of any order, and tangents of
    forward-mode differentiation, reach `input`, `weight`, `bias` and `residual`; under forward mode, vmap and
    torch.func "triton" is torch's kernel.

    `backend`: "torch" is torch's kernel (on a CPU, in training, with a float32 input that lies channels last and has
    a mean far from 0, it is given shifted values, or it would lose their digits); "triton" is `bn.kernels`, on CUDA
    (or anywhere in Triton's interpreter); "reference" is Algorithm 1 in float64, an operation for each line; "auto"
    takes "triton" for CUDA tensors large enough to repay a launch and "torch" for the rest.

    Errors: ValueError for `eps` <= 0 in training (< 0 otherwise), one value for each channel in training, one
    running statistic without the other, or an unknown `activation` or `backend`; NotImplementedError for another
    type or layout of the input; TypeError for what is no tensor, number or bool; RuntimeError for a shape, type or
    device that does not fit, and for a running statistic that is to be differentiated or, in training, shares
    memory with another operand or within itself. No buffer changes where an error is raised.

    `torch.nn.functional.batch_norm` accepts and refuses the same, with the same type of error, but for this. Refused
    here alone: an `eps` that is nan; vectors of another shape than (C,), a weight (C, 1) too; where the input is
    empty, what would not fit one that is not; memory that is shared as above, where the call is not compiled, and a
    running statistic with a tangent: of both torch makes a wrong number. Refused there alone: on CPU, vectors of the
    input's type beside others of float32; "triton" and "reference" take them.

    Source: Ioffe and Szegedy (2015), arXiv 1502.03167, Algorithms 1 and 2, sections 3.1 and 3.2.
    """
    _check_settings(training, momentum, eps, activation)
    ordinary = operands.are_ordinary(input, running_mean, running_var, weight, bias, residual, training)
    if not ordinary:
        _check(input, running_mean, running_var, weight, bias, training, residual)
    chosen = _choose(backend, input, weight, bias, residual)
    arguments = (input, running_mean, running_var, weight, bias, training, momentum, eps, activation, residual)
    if chosen == "triton":
        from bn import ops  # Triton is not on every platform, and its import takes a second

        return ops.by_kernels(*arguments) if ordinary else ops.batch_norm_act(*arguments)
    if ordinary and chosen == "torch" and input.dtype in (torch.float32, torch.float64):
        return eager.by_torchs_kernel(*arguments)
    if training and running_mean is not None and not ordinary and _is_in_memory(input):
        written = {"running_mean": running_mean, "running_var": running_var}
        operands.check_apart(written, {"the input": input, "weight": weight, "bias": bias, "residual": residual})
    return _by_algorithm_1(*arguments) if chosen == "reference" else _by_torch(*arguments)


# ---- Which backend -------------------------------------------------------------------------------------------------


def _choose(backend, x, *others):
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(map(repr, BACKENDS))}, but it is {backend!r}")
    if x.numel() == 0 or (backend == "auto" and not _suits(x)):
        return "torch"
    if backend in ("auto", "triton") and _is_transformed(x, *others):
        return "torch"
    if backend == "auto":
        return "triton"
    if backend != "torch" and x.layout != torch.strided:
        raise NotImplementedError(f"backend={backend!r} needs an input of layout torch.strided, but it is {x.layout}")
    if backend == "triton":
        _check_triton(x)
    return backend


def _suits(x):
    """Whether the kernels take this input, and win what their launch costs."""
    if not x.is_cuda or x.layout is not torch.strided:
        return False
    return x.dtype in TRITON_DTYPES and x.numel() >= LAUNCH_BOUND and HAS_TRITON


def _is_transformed(*tensors):
    """Whether vmap, torch.func or forward-mode differentiation is at work: they cannot look into a kernel."""
    # Where no level of forward mode is open, nothing has a tangent; to ask torch for each takes longer.
    level = forward_ad._current_level
    return torch._C._are_functorch_transforms_active() or (level >= 0 and any(map(_has_tangent, tensors)))


def _has_tangent(tensor):
    return tensor is not None and forward_ad.unpack_dual(tensor).tangent is not None


def _check_triton(x):
    if not HAS_TRITON:
        raise RuntimeError("backend='triton' needs the package triton, which is not installed")
    if not x.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        raise RuntimeError(
            f"backend='triton' needs a CUDA tensor, but the input is on {x.device}; "
            "to try the kernels there, set TRITON_INTERPRET=1 before Python starts (slow)"
        )


def _is_in_memory(x):
    """Whether a tensor has an address: under a transform, in a trace and on the meta device it has none."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return False
    return x.layout == torch.strided and x.untyped_storage().device.type != "meta"


# ---- What serves where no kernel of ours does ------------------------------------------------------------------------


def _by_algorithm_1(x, running_mean, running_var, weight, bias, training, *rest):
    """`eager.by_algorithm_1`, whose update keeps the tangent of `x` out of the running statistics."""
    if training and running_mean is not None:
        running_mean, running_var = running_mean.detach(), running_var.detach()
    return eager.by_algorithm_1(x, running_mean, running_var, weight, bias, training, *rest)


def _by_torch(x, running_mean, running_var, weight, bias, training, *rest):
    """`eager.by_torch`; of a running statistic with the negative bit torch would update a copy and drop it."""
    if x.dtype in (torch.bfloat16, torch.float16) and x.is_cpu and x.numel():
        _check_one_dtype(x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if not (training and _is_negated(running_mean, running_var)):
        return eager.by_torch(x, running_mean, running_var, weight, bias, training, *rest)
    running = running_mean, running_var
    plain = [statistic.resolve_neg() for statistic in running]
    y = eager.by_torch(x, *plain, weight, bias, training, *rest)
    for statistic, copy in zip(running, plain, strict=True):
        if copy is not statistic:  # which the backward pass would otherwise find changed
            statistic.copy_(copy)
    return y


def _is_negated(running_mean, running_var):
    if running_mean is None or torch.compiler.is_compiling():
        return False
    return running_mean.is_neg() or running_var.is_neg()


def _check_one_dtype(x, **vectors):
    """Of vectors of several types, torch's kernel for the CPU may see only when the statistics have moved.

    Where the input has float32 or float64, `_check` leaves one type anyway.
    """
    found = {name: vector.dtype for name, vector in vectors.items() if vector is not None}
    if len(set(found.values())) > 1:
        raise RuntimeError(
            f"torch's kernel needs running_mean, running_var, weight and bias all of {x.dtype} or all of "
            f"torch.float32 on CPU, but found {', '.join(f'{name} {dtype}' for name, dtype in found.items())}"
        )


# ---- What is refused -----------------------------------------------------------------------------------------------


def _check_settings(training, momentum, eps, activation):
    """Raise what torch raises for arguments that are no tensors."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be None or 'relu', but it is {activation!r}")
    if not isinstance(training, bool):
        raise TypeError(f"training must be True or False, but it is {training!r}")
    if type(momentum) is not float or type(eps) is not float:
        for name, number in (("momentum", momentum), ("eps", eps)):
            if number is None or isinstance(number, str):
                raise TypeError(f"{name} must be a number, but it is {number!r}")
    if not (eps > 0 or (eps == 0 and not training)):
        raise ValueError(f"eps must be positive{'' if training else ' or 0'}, but it is {eps}")


def _check(x, running_mean, running_var, weight, bias, training, residual):
    """Raise what torch raises for the tensors, before any buffer changes."""
    _check_tensor("input", x)
    if x.shape != (0,):
        operands.check_input("input", x)
    vectors = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    for name in ("running_mean", "running_var"):
        if vectors[name] is None and not training and x.numel():
            raise RuntimeError(f"{name} must be given where training is False, but it is None")
    operands.check_pair(running_mean, running_var)
    if training:
        operands.check_batch(x)
    for name, vector in vectors.items():
        if vector is not None:
            _check_vector(name, vector, x)
    if residual is not None:
        _check_tensor("residual", residual)
        operands.check_like("residual", residual, x)


def _check_tensor(name, tensor):
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name} must be a tensor{'' if name == 'input' else ' or None'}, but it is {tensor!r}")


def _check_vector(name, vector, x):
    _check_tensor(name, vector)
    if x.dim() > 1:
        operands.check_vector(name, vector, x)
    else:  # shape (0,): torch takes any number of channels
        operands.check_kind(name, vector, x)
    if name in ("weight", "bias"):
        if vector.numel() == 0 == x.numel():
            raise IndexError(f"{name} must have a value where the input is empty, but its shape is {vector.shape}")
    elif vector.requires_grad and torch.is_grad_enabled():
        raise RuntimeError(f"{name} is not differentiated and must not require a gradient; pass its detach()")
    elif _has_tangent(vector) and not torch._C._are_functorch_transforms_active():
        raise RuntimeError(f"{name} is not differentiated and must not have a tangent; pass its detach()")
