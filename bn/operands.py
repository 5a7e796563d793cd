"""What the tensors of a call must be, checked alike by `bn.functional` and by the operators of `bn.ops`.

Each check raises before anything changes, and its sentence says which argument, what it is and what is allowed.
Strides are free: what a kernel cannot read in place is copied (`bn.launch`). The one thing that strides may not do is
let two values share memory that is written to.

All of them take longer than the normalization of a small mini-batch does. So a call asks first, at a glance, whether
its operands are those of nearly every call, and checks one by one only where they are not.
"""

import torch
from torch.autograd import forward_ad
from torch.fx import _symbolic_trace
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
PLAIN = {torch.Tensor, torch.nn.Parameter}
# By the type of the input, those that a vector may have: the same, or that of the statistics, float32 or better.
OF_VECTORS = {dtype: (dtype, torch.float64 if dtype == torch.float64 else torch.float32) for dtype in DTYPES}


# ---- At a glance -----------------------------------------------------------------------------------------------------


def are_ordinary(x, running_mean, running_var, weight, bias, residual, training):
    """Tell at a glance that operands pass all checks of a call, and that nobody watches it. False says nothing."""
    if is_watched() or not fit(x, (running_mean, running_var, weight, bias), residual):
        return False
    if training and x.numel() == x.shape[1]:
        return False
    if running_mean is None or running_var is None:
        return training and running_mean is running_var
    if running_mean.requires_grad or running_var.requires_grad:
        return False
    return not training or _may_be_written(running_mean, running_var, (weight, bias), (x, residual))


def is_watched():
    """Tell whether others follow what a call does, or change it: then each of its steps must be one of torch's.

    torch.compile and torch.export (asked first, so that the compiler sees nothing else of this), torch.jit.trace,
    torch.fx, vmap and the rest of torch.func, modes, of dispatch (a fake tensor's, a count of FLOPs) or of functions,
    and forward-mode differentiation.
    """
    return (
        torch.compiler.is_compiling()
        or torch._C._is_tracing()
        or _symbolic_trace._is_fx_tracing_flag
        or torch._C._are_functorch_transforms_active()
        or is_in_torch_dispatch_mode()
        or torch._C._len_torch_function_stack() > 0
        or forward_ad._current_level >= 0
    )


def fit(x, vectors, like=None):
    """Tell at a glance that operands are plain tensors with values, of shapes, types and devices that go together.

    `vectors`, each (C,) or None, have the type of x or float32; `like`, or None, is as x.
    """
    if type(x) not in PLAIN or not torch._C._has_storage(x):  # as sparse tensors, and those of torch's older vmap
        return False
    shape, dtype, on_cpu = x.shape, x.dtype, x.is_cpu
    channels, dtypes = shape[1:2], OF_VECTORS.get(dtype)
    if dtypes is None or not channels or not x.numel():
        return False
    for vector in vectors:
        if vector is None:
            continue
        if type(vector) not in PLAIN or vector.shape != channels or vector.dtype not in dtypes:
            return False
        if vector.is_cpu is not on_cpu:
            return False
    if like is not None and not (type(like) in PLAIN and torch._C._has_storage(like)):
        return False
    if like is not None and (like.shape != shape or like.dtype is not dtype):
        return False
    if on_cpu:  # the quicker question
        return like is None or like.is_cpu
    return all(other is None or other.device == x.device for other in (*vectors, like))


def _may_be_written(first, second, vectors, tensors):
    """Tell at a glance that two vectors lie without gaps, apart from each other and from those that are read.

    Of operands that fit. `vectors` and `tensors`, of any strides, may be None.
    """
    if first.is_neg() or second.is_neg() or not (first.is_contiguous() and second.is_contiguous()):
        return False
    size = first.numel() * (8 if first.dtype is torch.float64 else 4)  # bytes: no vector takes more
    a, b = first.data_ptr(), second.data_ptr()
    if -size < a - b < size:
        return False
    for vector in vectors:
        if vector is not None:
            start = vector.data_ptr()
            if -size < start - a < size or -size < start - b < size or not vector.is_contiguous():
                return False
    for tensor in tensors:
        if tensor is not None:  # whatever its strides, it is somewhere in its storage
            storage = tensor.untyped_storage()
            start = storage.data_ptr()
            end = start + storage.nbytes()
            if start - size < a < end or start - size < b < end:
                return False
    return True


# ---- One by one ------------------------------------------------------------------------------------------------------


def check_input(name, x):
    """A tensor (N, C) or (N, C, *) of one of the `DTYPES`."""
    if x.dtype not in DTYPES:
        raise NotImplementedError(f"{name} must have one of the dtypes {_listed(DTYPES)}, but it has {x.dtype}")
    if x.dim() < 2:
        raise RuntimeError(f"{name} must have shape (N, C) or (N, C, *), but its shape is {tuple(x.shape)}")


def check_batch(x):
    """Two values or more for each channel, or none at all: of one there is no variance."""
    if 0 < x.numel() == x.shape[1]:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {x.shape}")


def check_pair(running_mean, running_var):
    """Both running statistics, or neither."""
    if (running_mean is None) != (running_var is None):
        missing, given = ("running_mean", "running_var") if running_mean is None else ("running_var", "running_mean")
        raise ValueError(
            f"running_mean and running_var must either both be given or both be None, but {given} is a tensor "
            f"and {missing} is None"
        )


def check_vector(name, vector, x, dtypes=None):
    """One value for each channel of x, of its dtype or of float32 (which is no choice where x has float64)."""
    if vector.shape != (x.shape[1],):
        raise RuntimeError(
            f"{name} should contain {x.shape[1]} elements, one for each channel, in shape ({x.shape[1]},), "
            f"but its shape is {tuple(vector.shape)}"
        )
    check_kind(name, vector, x, dtypes)


def check_kind(name, vector, x, dtypes=None):
    """The dtype and device of a vector that goes with x."""
    dtypes = dtypes or (x.dtype, statistics(x))
    if vector.dtype not in dtypes:
        raise RuntimeError(f"{name} must have dtype {_listed(dtypes)}, but it has {vector.dtype}")
    if vector.device != x.device:
        raise RuntimeError(f"{name} must be on {x.device}, as the input, but it is on {vector.device}")


def check_like(name, tensor, x):
    """The shape, dtype and device of x."""
    if (tensor.shape, tensor.dtype, tensor.device) != (x.shape, x.dtype, x.device):
        raise RuntimeError(
            f"{name} must match the input, {tuple(x.shape)} {x.dtype} on {x.device}, "
            f"but it is {tuple(tensor.shape)} {tensor.dtype} on {tensor.device}"
        )


def statistics(x):
    """The dtype of mean and 1/sigma: float32 or better."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _listed(dtypes):
    return " or ".join(map(str, dict.fromkeys(dtypes)))


# ---- Memory that is written to -----------------------------------------------------------------------------------


def check_apart(written, read):
    """Of vectors that a call writes to, by name: each value has memory of its own, apart from all other operands'.

    torch's in-place operations refuse such tensors; its kernel for Batch Normalization takes them, and what comes out
    depends on which value is written first. `read` are the other operands, each a tensor or None.
    """
    for name, vector in written.items():
        if vector.stride(0) == 0 and vector.size(0) > 1:
            raise RuntimeError(
                f"unsupported operation: more than one element of {name}, which is written to, refers to a single "
                f"memory location: its strides are {vector.stride()}. Please clone() it before the call"
            )
    others = [(name, tensor, *_span(tensor)) for name, tensor in (written | read).items() if tensor is not None]
    for place, (name, vector, start, end) in enumerate(others[: len(written)]):
        for other, tensor, its_start, its_end in others[place + 1 :]:
            if start < its_end and its_start < end and _share(vector, tensor):
                raise RuntimeError(
                    f"unsupported operation: some elements of {name}, which is written to, and of {other} refer to "
                    f"a single memory location. Please clone() one of them before the call"
                )


def _span(tensor):
    """The addresses of its first byte and of the one after its last."""
    start = tensor.data_ptr()
    if tensor.is_contiguous():
        return start, start + tensor.nbytes
    last = sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return start, start + (last + 1) * tensor.element_size()


def _share(a, b):
    """Whether two tensors have a byte in common. Costs a sort of all bytes: for those whose spans cross, few as are."""
    return torch.isin(_bytes(a), _bytes(b)).any().item()


def _bytes(tensor):
    """The address of each byte; what an expanded axis repeats is counted once."""
    size = tensor.element_size()
    places = tensor.data_ptr() + torch.arange(size, device="cpu")
    for n, stride in zip(tensor.shape, tensor.stride(), strict=True):
        if stride:
            places = (places[:, None] + torch.arange(n, device="cpu") * (stride * size)).flatten()
    return places
