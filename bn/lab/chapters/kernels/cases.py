"""What the kernel benchmark measures: the cases, the candidates, the bytes a case must move, and the true values."""

import functools
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib.util import find_spec

import torch
import torch.nn.functional as F

from bn import functional

EPS, MOMENTUM = 1e-5, 0.1
INFERENCE = "bn_relu_inference"  # by the running statistics, forward alone; all other operations are of training
OPERATIONS = ("bn", "bn_relu", "bn_add_relu", INFERENCE)
LAYOUTS = ("NCHW", "NHWC")  # of an input with two dimensions there is one layout, "NC"
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
MEAN, STD = 1.0, 2.0  # of the input, and in inference of the running statistics
# torch.compile's modes by the names of the candidates. "max-autotune" without CUDA graphs: these would copy the inputs
# and take Python's part out of one candidate alone; what a graph is worth is measured for all (`step.graphs`).
MODES = {"compile": "default", "compile-max": "max-autotune-no-cudagraphs"}

# Reads and writes of a whole tensor, forward and backward, and of the sign mask of BN+add+ReLU.
# In two passes the kernels read the input twice, once for the statistics; in one pass it stays on the chip. torch
# runs an operation at a time and keeps no mask. Inference has one pass and no statistics to wait for.
TENSOR_PASSES = {
    "two": {"bn": (3, 5), "bn_relu": (3, 5), "bn_add_relu": (4, 6), INFERENCE: (2,)},
    "one": {"bn": (2, 3), "bn_relu": (2, 3), "bn_add_relu": (3, 4), INFERENCE: (2,)},
    "eager": {"bn": (3, 5), "bn_relu": (5, 8), "bn_add_relu": (8, 8), INFERENCE: (4,)},
}
MASK_PASSES = {"two": (1, 2), "one": (1, 1), "eager": (0, 0)}


@dataclass(frozen=True)
class Case:
    """One tensor and one expression over it."""

    shape: tuple[int, ...]
    dtype: str
    layout: str
    operation: str

    @property
    def name(self) -> str:
        """Unique, such as `32x64x112x112 bf16 NHWC bn_relu`."""
        return f"{'x'.join(map(str, self.shape))} {self.dtype} {self.layout} {self.operation}"

    @property
    def tensor_bytes(self) -> int:
        """T, the bytes of one activation tensor."""
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize

    @property
    def training(self) -> bool:
        """Whether the statistics are the mini-batch's, and a backward pass follows."""
        return self.operation != INFERENCE

    def moved(self, way: str) -> tuple[float, ...]:
        """Bytes that forward and, in training, backward move: `way` is "two" or "one" pass, or "eager"."""
        passes = zip(TENSOR_PASSES[way][self.operation], MASK_PASSES[way], strict=False)
        return tuple(tensors * self.tensor_bytes + masks * self.mask_bytes for tensors, masks in passes)

    @property
    def mask_bytes(self) -> float:
        """What is kept of a ReLU after a residual: a byte for each 16 of the tensor, which a thread reads at once."""
        return self.tensor_bytes / 16 if self.operation == "bn_add_relu" else 0

    def as_dict(self) -> dict:
        """For a record."""
        return {"name": self.name, **asdict(self), "tensor_bytes": self.tensor_bytes}


@dataclass(frozen=True)
class Inputs:
    """The tensors of a case; gradients are wanted for x, the parameters and, if there is one, the residual."""

    x: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor
    running_mean: torch.Tensor
    running_var: torch.Tensor
    residual: torch.Tensor | None
    dy: torch.Tensor

    @property
    def wanted(self) -> tuple[torch.Tensor, ...]:
        """What gradients are taken for."""
        return tuple(t for t in (self.x, self.weight, self.bias, self.residual) if t is not None)


def inputs(case: Case, device: str) -> Inputs:
    """Random tensors in the case's type and layout; parameters and buffers in float32.

    Nothing wants a gradient in inference.
    """
    generator = torch.Generator(device).manual_seed(0)
    random = functools.partial(torch.randn, generator=generator, device=device)
    channels = case.shape[1]

    def tensor() -> torch.Tensor:
        values = random(case.shape, dtype=DTYPES[case.dtype])
        return values.contiguous(memory_format=torch.channels_last) if case.layout == "NHWC" else values

    x = tensor().mul_(STD).add_(MEAN).requires_grad_(case.training)
    residual = tensor().requires_grad_() if case.operation == "bn_add_relu" else None
    weight, bias = (random(channels).mul_(0.1).add_(start).requires_grad_(case.training) for start in (1, 0))
    buffers = (torch.full((channels,), value, device=device) for value in (MEAN, STD**2))
    return Inputs(x, weight, bias, *buffers, residual, tensor())


def separate(x, weight, bias, running_mean, running_var, residual, relu: bool, training: bool) -> torch.Tensor:
    """Batch Normalization, then add, then ReLU, an operation each, as one writes it in torch."""
    y = F.batch_norm(x, running_mean, running_var, weight, bias, training, MOMENTUM, EPS)
    y = y if residual is None else y + residual
    return F.relu(y) if relu else y


def ours(case: Case, given: Inputs, backend: str) -> Callable[[], torch.Tensor]:
    """The forward pass of bn by one of its backends."""
    operands = (given.x, given.running_mean, given.running_var, given.weight, given.bias, case.training, MOMENTUM, EPS)
    options = {"activation": None if case.operation == "bn" else "relu", "residual": given.residual, "backend": backend}
    return lambda: functional.batch_norm_act(*operands, **options)


def candidates(case: Case, given: Inputs, modes: Iterable[str]) -> dict[str, Callable[[], torch.Tensor]]:
    """Each candidate's forward pass, by name; to call one may raise, where it does not work here.

    "bn" is what a user gets (backend "auto"); "triton", on CUDA alone, asks for the kernels by name, and is there where
    "bn" does not take them anyway. `modes`: which of MODES take part.
    """
    calls = {"bn": ours(case, given, "auto")}
    if given.x.is_cuda and given.x.numel() < functional.LAUNCH_BOUND:
        calls["triton"] = ours(case, given, "triton")
    tensors = (given.x, given.weight, given.bias, given.running_mean, given.running_var, given.residual)
    arguments = (*tensors, case.operation != "bn", case.training)
    calls["eager"] = functools.partial(separate, *arguments)
    for name in modes:
        torch._dynamo.reset()  # every case is compiled for its own shape, not for any shape
        calls[name] = functools.partial(torch.compile(separate, dynamic=False, mode=MODES[name]), *arguments)
    if given.x.is_cuda and case.training and find_spec("attorch"):
        calls["attorch"] = _attorch(case, given)
    return calls


def _attorch(case: Case, given: Inputs) -> Callable[[], torch.Tensor]:
    """The layer of the package attorch, one program a channel, with this case's parameters and buffers."""
    import attorch

    layer = {2: attorch.BatchNorm1d, 4: attorch.BatchNorm2d}[len(case.shape)]
    layer = layer(case.shape[1], eps=EPS, momentum=MOMENTUM, act_func=None if case.operation == "bn" else "relu")
    state = {name: getattr(given, name) for name in ("weight", "bias", "running_mean", "running_var")}
    arguments = (given.x,) if given.residual is None else (given.x, given.residual)
    return lambda: torch.func.functional_call(layer, state, arguments)


def flax_step(case: Case, given: Inputs) -> Callable[[], object]:
    """Forward and backward of flax.linen.BatchNorm under jit, on copies of the same tensors; waits for the device."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # or it takes three quarters of the memory
    import jax
    from flax import linen

    channels_last = case.layout == "NHWC"
    axis = -1 if channels_last else 1
    device = jax.devices("gpu" if given.x.is_cuda else "cpu")[0]

    def array(tensor: torch.Tensor):
        tensor = tensor.detach().permute(0, 2, 3, 1) if channels_last and tensor.dim() == 4 else tensor.detach()
        return jax.device_put(jax.dlpack.from_dlpack(tensor.contiguous()), device)

    layer = linen.BatchNorm(use_running_average=False, momentum=1 - MOMENTUM, epsilon=EPS, axis=axis, dtype=None)
    stats = {"mean": array(given.running_mean), "var": array(given.running_var)}
    parameters = {"scale": array(given.weight), "bias": array(given.bias)}
    x, dy = array(given.x), array(given.dy)
    residual = None if given.residual is None else array(given.residual)

    def forward(parameters, x, residual):
        y, kept = layer.apply({"params": parameters, "batch_stats": stats}, x, mutable=["batch_stats"])
        y = (y if residual is None else y + residual).astype(x.dtype)
        return (y if case.operation == "bn" else jax.nn.relu(y)), kept

    @jax.jit
    def step(parameters, x, residual, dy):
        y, backward, kept = jax.vjp(forward, parameters, x, residual, has_aux=True)
        return y, backward(dy), kept

    return lambda: jax.block_until_ready(step(parameters, x, residual, dy))


def truth(case: Case, given: Inputs) -> dict[str, torch.Tensor]:
    """Output and, in training, gradients in float64 by the equations of section 3, not by anything that is measured.

    Of inference before anything was measured: running statistics that have moved would be others.
    """
    with torch.no_grad():
        axes = [0, *range(2, given.x.dim())]
        wide = [1, -1] + [1] * (given.x.dim() - 2)
        x = given.x.double()
        mu, sigma2 = (statistic.double().view(wide) for statistic in (given.running_mean, given.running_var))
        if case.training:
            mu = x.mean(axes, keepdim=True)
            sigma2 = x.sub(mu).square().mean(axes, keepdim=True)
        rstd = (sigma2 + EPS).rsqrt()
        x_hat = x.sub_(mu).mul_(rstd)
        y = x_hat * given.weight.double().view(wide) + given.bias.double().view(wide)
        if given.residual is not None:
            y += given.residual.double()
        if not case.training:
            return {"y": y.relu_()}
        dz = given.dy.double()
        if case.operation != "bn":
            dz.mul_(y > 0)
            y.relu_()
        mean = {"dz": dz.mean(axes, keepdim=True), "dz_x_hat": (dz * x_hat).mean(axes, keepdim=True)}
        m = x.numel() // x.shape[1]
        dx = (dz - mean["dz"] - x_hat.mul(mean["dz_x_hat"])) * (given.weight.double().view(wide) * rstd)
        true = {"y": y, "dx": dx, "dgamma": m * mean["dz_x_hat"].flatten(), "dbeta": m * mean["dz"].flatten()}
        return true if given.residual is None else true | {"dresidual": dz}


def errors(true: dict[str, torch.Tensor], found: tuple[torch.Tensor, ...]) -> dict[str, float]:
    """Relative error of each: the norm of the difference over the norm of the true value."""
    return {
        name: digits((tensor.detach().double() - wanted).norm() / wanted.norm())
        for (name, wanted), tensor in zip(true.items(), found, strict=True)
    }


def digits(value: float) -> float:
    """Four significant digits."""
    return float(f"{float(value):.4g}")
