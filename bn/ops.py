"""The kernels as torch operators: torch.compile, export, autograd of any order.

Three operators, `bn::training`, `bn::inference` and `bn::backward`, and an autograd function around them:
operators that change their arguments, as training changes the running statistics, get no formula of their own.
Where nobody looks (`bn.operands.is_watched`), the autograd function calls what is in the operators by itself: torch's
way to an operator that is written in Python takes longer than everything else.

The operators take operands of any strides, views, expanded tensors and those with the negative bit: what the kernels
cannot read in place is copied, and a running statistic is written back from its copy. Shapes, types and devices are
those of `bn.functional.batch_norm_act`; anything else raises before anything changes. Empty tensors are served.
"""

import torch
from torch import Tensor
from torch.autograd import forward_ad

from bn import launch, operands
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
    """Algorithm 1: y, mean and 1/sqrt(sigma2 + eps) (C,), and the bits of a ReLU after a residual.

    Of no values mean and sigma2 are taken for 0, and the running statistics stay.
    """
    _check_forward(x, running_mean, running_var, weight, bias, residual, training=True)
    if running_mean is not None:
        written = {"running_mean": running_mean, "running_var": running_var}
        operands.check_apart(written, {"the input": x, "weight": weight, "bias": bias, "residual": residual})
    outputs = _train(x, running_mean, running_var, weight, bias, residual, momentum, eps, relu)
    return _as_tensors(*outputs, torch.uint8)


@training.register_fake
def _(x, running_mean, running_var, weight, bias, residual, momentum, eps, relu):
    _check_forward(x, running_mean, running_var, weight, bias, residual, training=True)
    return _as_tensors(*_outputs(launch.dense(x), relu and residual is not None), torch.uint8)


# For an operator that writes to a tensor with the negative bit, torch's own way of clearing the bit fails.
_library = torch.library.Library("bn", "FRAGMENT")
_library.impl("training", torch.library.fallthrough_kernel, "Negative")


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
    _check_forward(x, running_mean, running_var, weight, bias, residual, training=False)
    outputs = _infer(x, running_mean, running_var, weight, bias, residual, eps, relu, keep_bits)
    return _as_tensors(*outputs, torch.uint8)


@inference.register_fake
def _(x, running_mean, running_var, weight, bias, residual, eps, relu, keep_bits):
    _check_forward(x, running_mean, running_var, weight, bias, residual, training=False)
    return _as_tensors(*_outputs(launch.dense(x), keep_bits), torch.uint8)


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
    _check_backward(dy, x, weight, bias, mean, rstd, bits, relu)
    bits = bits if bits.numel() else None
    return _as_tensors(*_differentiate(dy, x, weight, bias, mean, rstd, bits, relu, training, residual), x.dtype)


@backward.register_fake
def _(dy, x, weight, bias, mean, rstd, bits, eps, relu, training, residual):
    _check_backward(dy, x, weight, bias, mean, rstd, bits, relu)
    return _as_tensors(*_gradients(launch.dense(x), mean, residual), x.dtype)


def _check_forward(x, running_mean, running_var, weight, bias, residual, training):
    operands.check_input("x", x)
    if training:
        operands.check_batch(x)
    operands.check_pair(running_mean, running_var)
    vectors = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    for name, vector in vectors.items():
        if vector is not None:
            operands.check_vector(name, vector, x)
    if residual is not None:
        operands.check_like("residual", residual, x)


def _check_backward(dy, x, weight, bias, mean, rstd, bits, relu):
    _check_forward(x, None, None, weight, bias, None, training=False)
    operands.check_like("dy", dy, x)
    for name, vector in {"mean": mean, "rstd": rstd}.items():
        operands.check_vector(name, vector, x, (operands.statistics(x),))
    _check_bits(bits, x, relu)


def _check_bits(bits, x, relu):
    operands.check_kind("bits", bits, x, (torch.uint8,))
    needed = _bytes_of_bits(x) if relu else 0
    if bits.dim() != 1 or (bits.numel() != 0 and bits.numel() != needed):
        allowed = f"(0,) or ({needed},)" if relu else "(0,) where relu is False"
        raise RuntimeError(f"bits must have shape {allowed}, but its shape is {tuple(bits.shape)}")


def _bytes_of_bits(x):
    """One bit for each value."""
    return launch.bytes_of_bits(launch.dense(x))


def _as_tensors(first, second, third, last, dtype):
    """Results as an operator must give them: where there is no last one, it is empty."""
    return first, second, third, first.new_empty(0, dtype=dtype) if last is None else last


# ---- What the operators do, without checks ---------------------------------------------------------------------------


def _train(x, running_mean, running_var, weight, bias, residual, momentum, eps, relu):
    """Algorithm 1 by the kernels: y, mean, rstd, and the bits or None."""
    x = launch.dense(x.resolve_neg())
    y, mean, rstd, bits = outputs = _outputs(x, relu and residual is not None)
    if x.numel() == 0:
        mean.zero_()
        rstd.fill_(eps**-0.5)
        return outputs
    running = launch.packed(running_mean), launch.packed(running_var)
    rows = (*running, launch.packed(weight), launch.packed(bias), launch.like(residual, x))
    launch.training(x, *rows, momentum, eps, relu, y, mean, rstd, bits)
    for statistic, copy in zip((running_mean, running_var), running, strict=True):
        if copy is not statistic:
            statistic.copy_(copy)
    return outputs


def _infer(x, running_mean, running_var, weight, bias, residual, eps, relu, keep_bits):
    """Algorithm 2, line 11, by the kernels: as `_train`."""
    x = launch.dense(x.resolve_neg())
    y, mean, rstd, bits = outputs = _outputs(x, keep_bits)
    if x.numel() == 0:
        mean.copy_(running_mean)
        rstd.copy_(running_var).add_(eps).rsqrt_()
        return outputs
    rows = [launch.packed(vector) for vector in (running_mean, running_var, weight, bias)]
    launch.inference(x, *rows, launch.like(residual, x), eps, relu, y, mean, rstd, bits)
    return outputs


def _differentiate(dy, x, weight, bias, mean, rstd, bits, relu, training, residual):
    """The gradients of section 3 by the kernels: dx, dweight, dbias, and dz or None."""
    x = launch.dense(x.resolve_neg())
    dx, dweight, dbias, dz = outputs = _gradients(x, mean, residual)
    if x.numel() == 0:
        dweight.zero_()
        dbias.zero_()
        return outputs
    rows = [launch.packed(vector) for vector in (weight, bias, mean, rstd, bits)]
    launch.backward(launch.like(dy, x), x, *rows, relu, training, dx, dweight, dbias, dz)
    return outputs


def _outputs(x, keep_bits):
    """Room for y, mean, rstd and, where they are kept, the bits."""
    bits = x.new_empty(_bytes_of_bits(x), dtype=torch.uint8) if keep_bits else None
    mean = x.new_empty(x.shape[1], dtype=operands.statistics(x))
    return torch.empty_like(x), mean, torch.empty_like(mean), bits


def _gradients(x, mean, residual):
    """Room for dx, dweight, dbias and, where it is asked for, dz."""
    dx = torch.empty_like(x)
    return dx, torch.empty_like(mean), torch.empty_like(mean), torch.empty_like(x) if residual else None


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
        return launch.unpacked(bits, launch.dense(x)).to(mean.dtype)
    z, _, _ = algorithm_1(x, mean, rstd**-2, weight, bias, False, 0.0, None, None, mean.dtype)
    return (z > 0).to(mean.dtype)


backward.register_autograd(_second, setup_context=_save_for_second)


# ---- What bn.functional calls -------------------------------------------------------------------------------------


def batch_norm_act(x, running_mean, running_var, weight, bias, training, momentum, eps, activation, residual):
    """`bn.functional.batch_norm_act` by the kernels; the arguments are checked there. By the operators, if need be."""
    if operands.are_ordinary(x, running_mean, running_var, weight, bias, residual, training):
        return by_kernels(x, running_mean, running_var, weight, bias, training, momentum, eps, activation, residual)
    if torch.compiler.is_compiling():
        from bn import inductor  # Inductor's import takes seconds, and is needed for nothing else

        inductor.register()
    x = launch.dense(x)  # here and not in the operators alone: the backward pass takes the same copy
    relu, differentiated = activation == "relu", _is_differentiated(x, residual, weight, bias)
    if differentiated and not torch.compiler.is_compiling():
        _check_kept(input=x, weight=weight, bias=bias)
    keep_bits = relu and residual is not None and differentiated
    return _ByOperators.apply(
        x, residual, weight, bias, running_mean, running_var, training, momentum, eps, relu, keep_bits
    )[0]


def by_kernels(x, running_mean, running_var, weight, bias, training, momentum, eps, activation, residual):
    """`batch_norm_act` past the operators, of operands that `bn.operands.are_ordinary` has found to be so."""
    x = launch.dense(x)
    relu, differentiated = activation == "relu", _is_differentiated(x, residual, weight, bias)
    keep_bits = relu and residual is not None and differentiated
    arguments = x, residual, weight, bias, running_mean, running_var, training, momentum, eps, relu, keep_bits
    if not differentiated:
        return _forward(*arguments)[0]
    _check_kept(input=x, weight=weight, bias=bias)
    return _ByKernels.apply(*arguments)


def _is_differentiated(*tensors):
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def _check_kept(**tensors):
    """What the backward pass needs must not come from inference mode: autograd says so after the statistics moved."""
    for name, tensor in tensors.items():
        if tensor is not None and tensor.is_inference():
            raise RuntimeError(
                f"Inference tensors cannot be saved for backward, but {name} was made in inference mode; "
                "pass its clone(), or call under torch.no_grad()"
            )


def _forward(x, residual, weight, bias, running_mean, running_var, training, momentum, eps, relu, keep_bits):
    """What both operators do, and tells autograd that the running statistics have changed."""
    if not training:
        return _infer(x, running_mean, running_var, weight, bias, residual, eps, relu, keep_bits)
    outputs = _train(x, running_mean, running_var, weight, bias, residual, momentum, eps, relu)
    if running_mean is not None:
        torch.autograd.graph.increment_version((running_mean, running_var))
    return outputs


def _backward(ctx, dy, *_):
    dy, tangent = forward_ad.unpack_dual(dy)
    gradients = _gradients_of(ctx, dy)
    if tangent is None:
        return gradients
    pairs = zip(gradients, _gradients_of(ctx, tangent), strict=True)  # linear in dy: its own derivative
    return tuple(None if gradient is None else forward_ad.make_dual(gradient, moved) for gradient, moved in pairs)


class _ByKernels(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, residual, weight, bias, running_mean, running_var, training, momentum, eps, relu, keep_bits):
        y, mean, rstd, bits = _forward(
            x, residual, weight, bias, running_mean, running_var, training, momentum, eps, relu, keep_bits
        )
        ctx.save_for_backward(x, weight, bias, mean, rstd, bits)
        ctx.training, ctx.eps, ctx.relu = training, eps, relu
        return y

    backward = staticmethod(_backward)


class _ByOperators(torch.autograd.Function):
    """The same for compilers, which follow what is saved better where it is an output."""

    @staticmethod
    def forward(x, residual, weight, bias, running_mean, running_var, training, momentum, eps, relu, keep_bits):
        if training:
            return torch.ops.bn.training(x, running_mean, running_var, weight, bias, residual, momentum, eps, relu)
        return torch.ops.bn.inference(x, running_mean, running_var, weight, bias, residual, eps, relu, keep_bits)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, _, weight, bias, _, _, ctx.training, _, ctx.eps, ctx.relu, keep_bits = inputs
        _, mean, rstd, bits = output
        ctx.mark_non_differentiable(mean, rstd, bits)
        if not (keep_bits or torch.compiler.is_compiling()):  # a graph may have bits later, where a ReLU joins it
            bits = None
        ctx.save_for_backward(x, weight, bias, mean, rstd, bits)

    backward = staticmethod(_backward)


def _gradients_of(ctx, dy):
    x, weight, bias, mean, rstd, bits = saved = ctx.saved_tensors
    _, for_residual, for_weight, for_bias, *_ = ctx.needs_input_grad
    own = for_residual and ctx.relu  # without ReLU the residual's gradient is dy itself
    if _is_last_derivative(dy, *saved, ctx.relu):
        dx, dweight, dbias, dz = _differentiate(dy, *saved, ctx.relu, ctx.training, own)
    else:
        bits = x.new_empty(0, dtype=torch.uint8) if bits is None else bits
        dx, dweight, dbias, dz = torch.ops.bn.backward(
            dy, x, weight, bias, mean, rstd, bits, ctx.eps, ctx.relu, ctx.training, own
        )
    dweight = dweight.to(weight.dtype) if for_weight else None
    dbias = dbias.to(bias.dtype) if for_bias else None
    return dx, (dz if own else dy) if for_residual else None, dweight, dbias, *[None] * 7


def _is_last_derivative(dy, x, weight, bias, mean, rstd, bits, relu):
    """Tell whether nobody watches the gradients or differentiates them, and what was kept is what it was.

    Hooks may have put other tensors in its place.
    """
    if torch.is_grad_enabled() or operands.is_watched() or dy._is_zerotensor():
        return False
    if not operands.fit(x, (mean, rstd, weight, bias), dy):
        return False
    if bits is not None:
        _check_bits(bits, x, relu)
    return True
