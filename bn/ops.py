"""The kernels as torch operators: torch.compile, export, autograd of any order.

Three operators, `bn::training`, `bn::inference` and `bn::backward`, and an autograd function around them:
operators that change their arguments, as training changes the running statistics, get no formula of their own.
"""

import torch
from torch import Tensor

from bn import launch
from bn.eager import algorithm_1


@torch.library.custom_op("bn::training", mutates_args=("running_mean", "running_var"))
def training(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    momentum: float,
    eps: float,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Algorithm 1: y, mean and 1/sqrt(sigma2 + eps) (C,), and the bits of a ReLU after a residual."""
    outputs = _outputs(x, relu and residual is not None)
    launch.training(
        x, running_mean, running_var, weight, bias, residual, momentum, eps, relu, *outputs[:3], _bits(outputs[3])
    )
    return outputs


@training.register_fake
def _(x, running_mean, running_var, weight, bias, residual, momentum, eps, relu):
    return _outputs(x, relu and residual is not None)


@torch.library.custom_op("bn::inference", mutates_args=())
def inference(
    x: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    eps: float,
    relu: bool,
    keep_bits: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Algorithm 2, line 11: as `training`, with the statistics given."""
    y, mean, rstd, bits = outputs = _outputs(x, keep_bits)
    mean.copy_(running_mean)
    rstd.copy_(running_var).add_(eps).rsqrt_()
    launch.inference(x, weight, bias, residual, relu, y, mean, rstd, _bits(bits))
    return outputs


@inference.register_fake
def _(x, running_mean, running_var, weight, bias, residual, eps, relu, keep_bits):
    return _outputs(x, keep_bits)


@torch.library.custom_op("bn::backward", mutates_args=())
def backward(
    dy: Tensor,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    bits: Tensor,
    eps: float,
    relu: bool,
    training: bool,
    residual: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of section 3: dx, dweight and dbias (C,), and dz, the residual's (empty if not asked for)."""
    outputs = _gradients(x, mean, residual)
    dx, dweight, dbias, dz = outputs
    launch.backward(
        launch.like(dy, x), x, weight, bias, mean, rstd, _bits(bits), relu, training,
        dx, dweight, dbias, dz if residual else None,
    )  # fmt: skip
    return outputs


@backward.register_fake
def _(dy, x, weight, bias, mean, rstd, bits, eps, relu, training, residual):
    return _gradients(x, mean, residual)


def _outputs(x, keep_bits):
    """Room for y, mean, rstd and the bits, one for each value and eighth of an example."""
    statistics = torch.float64 if x.dtype == torch.float64 else torch.float32
    v = launch.view(x)
    bits = x.new_empty((v.N + 7) // 8 * v.C * v.S if keep_bits else 0, dtype=torch.uint8)
    mean = x.new_empty(x.shape[1], dtype=statistics)
    return torch.empty_like(x), mean, torch.empty_like(mean), bits


def _bits(bits):
    return bits if bits.numel() else None


def _gradients(x, mean, residual):
    dz = torch.empty_like(x) if residual else x.new_empty(0)
    return torch.empty_like(x), torch.empty_like(mean), torch.empty_like(mean), dz


# ---- The gradient of the gradient, by plain operations: no kernel is worth it ------------------------------------


def _save_for_second(ctx, inputs, output):
    dy, x, weight, bias, mean, rstd, bits, ctx.eps, ctx.relu, ctx.training, _ = inputs
    ctx.save_for_backward(dy, x, weight, bias, mean, rstd, bits)


def _second(ctx, *ups):
    """Differentiate the gradients of section 3 with respect to dy, x and weight."""
    dy, x, weight, bias, mean, rstd, bits = ctx.saved_tensors
    T = mean.dtype
    with torch.enable_grad():
        leaves = [dy, x, torch.ones_like(mean) if weight is None else weight]
        leaves = [leaf.detach().to(T).requires_grad_() for leaf in leaves]
        dz = leaves[0]
        if ctx.relu:
            dz = dz * _passed(x, weight, bias, mean, rstd, bits)
        beta = torch.zeros_like(mean, requires_grad=True)
        var, eps = (None, ctx.eps) if ctx.training else (rstd**-2, 0.0)  # the eps of eval mode is in rstd already
        y, _, _ = algorithm_1(leaves[1], mean, var, leaves[2], beta, ctx.training, eps, None, None, T)
        gradients = torch.autograd.grad(y, [leaves[1], leaves[2], beta], dz, create_graph=True)
        asked = [(g, up.to(T)) for g, up in zip((*gradients, dz), ups, strict=True) if g.shape == up.shape]
        outputs, ups = zip(*asked, strict=True)
        seconds = torch.autograd.grad(outputs, leaves, ups, materialize_grads=True)
    ddy, dx, dweight = (second.to(to.dtype) for second, to in zip(seconds, (dy, x, leaves[2]), strict=True))
    return ddy, dx, None if weight is None else dweight.to(weight.dtype), *[None] * 8


def _passed(x, weight, bias, mean, rstd, bits):
    """Where ReLU let the gradient pass, as zeros and ones in the shape of x."""
    if bits.numel():
        v = launch.view(x)
        eights = bits.view(-1, 1, v.C * v.S) >> torch.arange(8, dtype=torch.uint8, device=x.device).view(1, -1, 1)
        values = (eights & 1).view(-1, v.C * v.S)[: v.N].reshape(-1)
        return values.as_strided(x.shape, x.stride()).to(mean.dtype)
    z, _, _ = algorithm_1(x, mean, rstd**-2, weight, bias, False, 0.0, None, None, mean.dtype)
    return (z > 0).to(mean.dtype)


backward.register_autograd(_second, setup_context=_save_for_second)


# ---- What bn.functional calls -------------------------------------------------------------------------------------


class _BatchNormAct(torch.autograd.Function):
    @staticmethod
    def forward(x, residual, weight, bias, running_mean, running_var, training, momentum, eps, relu, keep_bits):
        if training:
            return torch.ops.bn.training(x, running_mean, running_var, weight, bias, residual, momentum, eps, relu)
        return torch.ops.bn.inference(x, running_mean, running_var, weight, bias, residual, eps, relu, keep_bits)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, residual, weight, bias, _, _, ctx.training, _, ctx.eps, ctx.relu, _ = inputs
        _, mean, rstd, bits = output
        ctx.residual = residual is not None
        ctx.mark_non_differentiable(mean, rstd, bits)
        ctx.save_for_backward(x, weight, bias, mean, rstd, bits)

    @staticmethod
    def backward(ctx, dy, *_):
        x, weight, bias, mean, rstd, bits = ctx.saved_tensors
        own = ctx.residual and ctx.relu  # without ReLU the residual's gradient is dy itself
        dx, dweight, dbias, dz = torch.ops.bn.backward(
            dy, x, weight, bias, mean, rstd, bits, ctx.eps, ctx.relu, ctx.training, own
        )
        dweight = None if weight is None else dweight.to(weight.dtype)
        dbias = None if bias is None else dbias.to(bias.dtype)
        return dx, (dz if own else dy) if ctx.residual else None, dweight, dbias, *[None] * 7


def batch_norm_act(x, running_mean, running_var, weight, bias, training, momentum, eps, activation, residual):
    """`bn.functional.batch_norm_act` by the kernels; the arguments are checked there."""
    if torch.compiler.is_compiling():
        from bn import inductor  # Inductor's import takes seconds, and is needed for nothing else

        inductor.register()
    x = launch.dense(x)
    residual = None if residual is None else launch.like(residual, x)
    relu = activation == "relu"
    differentiated = torch.is_grad_enabled() and any(
        t is not None and t.requires_grad for t in (x, residual, weight, bias)
    )
    keep_bits = relu and residual is not None and differentiated
    return _BatchNormAct.apply(
        x, residual, weight, bias, running_mean, running_var, training, momentum, eps, relu, keep_bits
    )[0]
