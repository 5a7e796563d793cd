"""What the tensors of a call must be, checked alike by `bn.functional` and by the operators of `bn.ops`.

Each check raises before anything changes, and its sentence says which argument, what it is and what is allowed.
Strides are free: what a kernel cannot read in place is copied (`bn.launch`). The one thing that strides may not do is
let two values share memory that is written to.
"""

import torch

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


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
