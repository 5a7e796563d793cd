"""Whatever torch's batch_norm does, ours does on every backend: its own samples, forward mode, vmap, refusals."""

import importlib
import itertools
import math
import sys
import types
import unittest
import warnings

import pytest
import torch
import torch.nn.functional as F
from test_functional import DEVICE, EPS, FUSED, TOLERANCE, inputs
from test_operands import leaf
from torch.autograd import forward_ad, gradcheck

from bn.functional import BACKENDS, batch_norm, batch_norm_act

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_interpreter")]
backends = pytest.mark.parametrize("backend", BACKENDS)
modes = pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
fused = pytest.mark.parametrize(("activation", "residual"), FUSED, ids=["bn", "relu", "add-relu", "add"])


# ---- The samples of torch's own test suite -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def operators():
    """torch's table of operators; it imports a package for tests of torch's own that nothing here needs."""
    with pytest.MonkeyPatch.context() as patch:
        if importlib.util.find_spec("expecttest") is None:
            stand_in = types.ModuleType("expecttest")
            stand_in.TestCase = unittest.TestCase
            patch.setitem(sys.modules, "expecttest", stand_in)
        try:
            with warnings.catch_warnings(action="ignore"):
                module = importlib.import_module("torch.testing._internal.common_methods_invocations")
        except ImportError as missing:
            pytest.skip(f"this torch has no table of operators with samples: {missing}")
    return module.op_db


def samples(operators, name, dtype, requires_grad):
    """Input and arguments (running_mean, running_var, weight, bias, training, momentum, eps) of each sample."""
    for operator in operators:
        if operator.name == name:
            for sample in operator.sample_inputs(DEVICE, dtype, requires_grad=requires_grad):
                names = ("running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
                if name == "native_batch_norm":
                    names = ("weight", "bias", *names[:2], *names[4:])
                yield {"input": sample.input} | dict(zip(names, sample.args, strict=False)) | sample.kwargs


def results(function, sample):
    """Output, running statistics afterwards and, where the output needs them, gradients."""
    mine = {
        key: t.detach().clone().requires_grad_(t.requires_grad) if isinstance(t, torch.Tensor) else t
        for key, t in sample.items()
    }
    y = function(**mine)
    running = [mine[key] for key in ("running_mean", "running_var")]
    leaves = [t for t in mine.values() if isinstance(t, torch.Tensor) and t.requires_grad]
    torch.manual_seed(0)
    gradients = torch.autograd.grad(y, leaves, torch.randn_like(y)) if leaves else []
    return y, running, gradients


@backends
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("name", ["nn.functional.batch_norm", "native_batch_norm"])
def test_samples_of_torchs_own_suite(operators, name, dtype, backend):
    number = 0
    for requires_grad in (True, False):
        for sample in samples(operators, name, dtype, requires_grad):
            got, want = (
                results(function, sample) for function in (lambda **k: batch_norm(**k, backend=backend), F.batch_norm)
            )
            tolerance = TOLERANCE[dtype]
            torch.testing.assert_close(got, want, rtol=4 * tolerance, atol=4 * tolerance)
            number += 1
    assert number >= 20, f"torch has {number} samples of {name}"


@backends
def test_errors_of_torchs_own_suite(operators, backend):
    for operator in operators:
        if operator.name == "nn.functional.batch_norm" and operator.error_inputs_func is not None:
            for wrong in operator.error_inputs(DEVICE):
                sample = wrong.sample_input
                with pytest.raises(wrong.error_type):
                    batch_norm(sample.input, *sample.args, **sample.kwargs, backend=backend)


@backends
@modes
def test_an_input_without_axes_to_speak_of(training, backend):
    """Shape (0,), which torch's samples have: nothing comes out, and nothing changes."""
    for residual in (None, torch.empty(0, device=DEVICE)):
        x = torch.empty(0, device=DEVICE, requires_grad=True)
        vectors = [torch.rand(2, device=DEVICE) for _ in range(4)]
        weight = vectors[2].clone().requires_grad_()
        y = batch_norm_act(x, *vectors[:2], weight, vectors[3], training, residual=residual, backend=backend)
        assert y.shape == (0,)
        dx, dw = torch.autograd.grad(y, [x, weight], torch.empty(0, device=DEVICE))
        assert dx.shape == (0,) and dw.eq(0).all()
        assert batch_norm(x, None, None, training=training, backend=backend).shape == (0,)
        with pytest.raises(IndexError, match=r"weight must have a value where the input is empty, .*\(\[0\]\)"):
            batch_norm(x, None, None, torch.empty(0, device=DEVICE), training=training, backend=backend)


# ---- What is refused -----------------------------------------------------------------------------------------------

SHAPES = [(4, 3), (2, 3, 4), (1, 3), (1, 3, 1), (1, 3, 2), (3,), (1,), (4, 3, 1, 1, 1)]


def vectors(C, dtype):
    """None, one that fits, and those of another length, type and shape."""
    yield from (None, torch.ones(C), torch.ones(C).to(dtype), torch.ones(C + 1), torch.ones(1), torch.ones(C).double())
    yield from (torch.ones(C, 1), torch.ones(1, C), torch.ones(C, requires_grad=True), 1.0)


def fitting(x, training):
    names = ("running_mean", "running_var", "weight", "bias")
    fit = {name: torch.ones(x.shape[1] if x.dim() > 1 else 1) for name in names}
    return {"input": x, **fit, "training": training, "momentum": 0.1, "eps": 1e-5}


def changes(fit):
    """Arguments with another value for one of them."""
    x, names = fit["input"], ("running_mean", "running_var", "weight", "bias")
    yield from (fit | {name: vector} for name in names for vector in vectors(x.shape[1], x.dtype))
    yield fit | dict.fromkeys(names)
    for name, values in {"training": (1, None), "momentum": (None, "a", 0), "eps": (None, "a", 0.0, -1.0, 1)}.items():
        yield from (fit | {name: value} for value in values)
    yield from (fit | {"input": other} for other in (x.long(), x.to(torch.complex64), x.to(torch.float8_e5m2)))


def verdict(function, arguments):
    """The type of the error that a call raises, None if it raises none; where it does, nothing may have changed."""
    tensors = {key: t.detach().clone() for key, t in arguments.items() if isinstance(t, torch.Tensor)}
    mine = arguments | {key: t.requires_grad_(arguments[key].requires_grad) for key, t in tensors.items()}
    try:
        function(**mine)
    except Exception as error:
        if function is not F.batch_norm:
            assert all(torch.equal(tensor, arguments[key]) for key, tensor in tensors.items()), arguments
        return type(error)


@pytest.mark.parametrize("backend", ["torch", "triton", "reference"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@modes
def test_what_torch_refuses_is_refused_with_the_same_type_of_error(training, dtype, backend):
    def ours(arguments):
        return verdict(lambda **k: batch_norm(**k, backend=backend), arguments)

    for shape in SHAPES:
        fit = {key: t.double() if dtype == torch.float64 and torch.is_tensor(t) else t
               for key, t in fitting(torch.ones(shape).to(dtype), training).items()}  # fmt: skip
        theirs = verdict(F.batch_norm, fit)
        if len(shape) < 2:
            assert ours(fit) is RuntimeError and theirs in (RuntimeError, ValueError)
            continue
        assert ours(fit) is theirs, shape
        single = math.prod(shape) == shape[1]  # one value each: in training a fault of its own
        for arguments in [] if single else changes(fit):
            given = {t.dtype for t in arguments.values() if torch.is_tensor(t)}
            if any(torch.is_tensor(t) and t.dim() != 1 for key, t in arguments.items() if key != "input"):
                assert ours(arguments) is RuntimeError  # torch's kernel for the CPU lets a weight of (C, 1) pass
            elif backend != "torch" and given == {torch.bfloat16, torch.float32}:
                assert ours(arguments) is None or ours(arguments) is verdict(F.batch_norm, arguments)
            else:
                assert ours(arguments) is verdict(F.batch_norm, arguments), arguments
    with pytest.raises(TypeError, match=r"input must be a tensor, but it is \[\[1\.0\]\]"):
        batch_norm([[1.0]], None, None, training=training, backend=backend)


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_torchs_kernel_with_vectors_of_several_types(backend):
    """Where only the bias differs, torch sees it when the statistics have moved."""
    x = torch.randn(4, 3).bfloat16()
    w, b, mean, var = torch.ones(4, 3).bfloat16()
    before = mean.clone()
    with pytest.raises(RuntimeError, match=r"all of torch\.bfloat16 or .* on CPU.*bias torch\.float32"):
        batch_norm(x, mean, var, w, b.float(), training=True, backend=backend)
    assert torch.equal(mean, before)


@backends
def test_running_statistics_are_not_differentiated(backend):
    x, _, _, _, mean, var, _ = inputs((4, 3))
    for training in (True, False):
        with pytest.raises(RuntimeError, match="running_var is not differentiated and must not require a gradient"):
            batch_norm(x, mean, leaf(var), training=training, backend=backend)
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(mean, torch.ones_like(mean))
            with pytest.raises(RuntimeError, match="running_mean is not differentiated and must not have a tangent"):
                batch_norm(x, dual, var, training=training, backend=backend)


@pytest.mark.parametrize("backend", ["triton", "reference"])
def test_other_layouts(backend):
    sparse = torch.eye(3).to_sparse()
    with pytest.raises(NotImplementedError, match=r"torch\.strided, but it is torch\.sparse_coo"):
        batch_norm(sparse, None, None, training=True, backend=backend)
    with pytest.raises(NotImplementedError):
        F.batch_norm(sparse, None, None, training=True)


# ---- Forward mode --------------------------------------------------------------------------------------------------


def tangent_of(function, tensors, tangents):
    with forward_ad.dual_level():
        duals = [
            t if t is None or moved is None else forward_ad.make_dual(t, moved)
            for t, moved in zip(tensors, tangents, strict=True)
        ]
        return forward_ad.unpack_dual(function(*duals))


@backends
@modes
@fused
def test_tangents(activation, residual, training, backend):
    """Of all operands and of each alone, with the running statistics as without, and none in them afterwards."""
    torch.manual_seed(0)
    x, r, w, b, mean, var, _ = inputs((4, 3, 5))
    moved = [torch.randn_like(t) for t in (x, r, w, b)]

    def torchs(x, r, w, b):
        y = F.batch_norm(x, mean.clone(), var.clone(), w, b, training, 0.1, EPS)
        y = y + r if residual else y
        return torch.relu(y) if activation else y

    for chosen in (range(4), *([i] for i in range(4))):
        running = mean.clone(), var.clone()

        def ours(x, r, w, b, running=running):
            r = r if residual else None
            y = batch_norm_act(
                x, *running, w, b, training, 0.1, EPS, activation=activation, residual=r, backend=backend
            )
            assert all(forward_ad.unpack_dual(t).tangent is None for t in running)
            return y

        some = [t if i in chosen else None for i, t in enumerate(moved)]
        got, want = tangent_of(ours, (x, r, w, b), some), tangent_of(torchs, (x, r, w, b), some)
        torch.testing.assert_close(tuple(got), tuple(want), rtol=1e-4, atol=1e-5)
        twins = mean.clone(), var.clone()
        F.batch_norm(x, *twins, training=training, momentum=0.1)
        torch.testing.assert_close(running, twins, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", ["torch", "triton", "reference"])
@modes
def test_finite_differences_of_forward_mode(training, backend):
    torch.manual_seed(1)
    x, r, w, b, mean, var, _ = inputs((3, 2, 2), torch.float64)

    def function(x, r, w, b):
        return batch_norm_act(x, mean.clone(), var.clone(), w, b, training, residual=r, backend=backend)

    leaves = [leaf(t) for t in (x, r, w, b)]
    assert gradcheck(
        function,
        leaves,
        fast_mode=True,
        check_forward_ad=True,
        check_batched_grad=True,
        check_batched_forward_grad=True,
    )


@pytest.mark.parametrize("backend", ["torch", "triton", "reference"])
@modes
def test_forward_over_reverse(training, backend):
    """The Hessian times a vector: by tangents through the gradient, and by the gradient of the gradient."""
    torch.manual_seed(2)
    x, _, w, b, mean, var, dy = inputs((4, 3, 5), torch.float64)
    v = torch.randn_like(x)

    def slope(x):
        x = x if x.requires_grad else x.requires_grad_()
        y = batch_norm(x, mean.clone(), var.clone(), w, b, training, backend=backend)
        return torch.autograd.grad((y * dy).square().sum(), x, create_graph=True)[0]

    here = leaf(x)
    want = torch.autograd.grad(slope(here), here, v)[0]
    with forward_ad.dual_level():
        got = forward_ad.unpack_dual(slope(forward_ad.make_dual(leaf(x), v))).tangent
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("backend", ["torch", "triton", "reference"])
@modes
@fused
def test_a_tangent_of_the_upstream_gradient_alone(activation, residual, training, backend):
    """The forward pass has long been done, by the kernels; the gradients are linear in dy."""
    torch.manual_seed(3)
    x, r, w, b, mean, var, dy = inputs((4, 3, 5))
    leaves = [leaf(t) for t in (x, w, b, *([r] if residual else []))]
    y = batch_norm_act(
        leaves[0],
        mean,
        var,
        *leaves[1:3],
        training,
        activation=activation,
        residual=(*leaves, None)[3],
        backend=backend,
    )
    moved = torch.randn_like(dy)
    want = [torch.autograd.grad(y, leaves, up, retain_graph=True) for up in (dy, moved)]
    with forward_ad.dual_level():
        duals = torch.autograd.grad(y, leaves, forward_ad.make_dual(dy, moved))
        got = [*zip(*map(forward_ad.unpack_dual, duals), strict=True)]
    torch.testing.assert_close(got, want)


# ---- vmap ----------------------------------------------------------------------------------------------------------


@backends
@modes
def test_vmap_over_any_operands(training, backend):
    """Against a loop: all operands that are read, alone and together."""
    torch.manual_seed(4)
    x, r = torch.randn(2, 3, 4, 2, 5, device=DEVICE)
    vectors = torch.rand(4, 3, 2, device=DEVICE) + 0.5
    for mapped in itertools.product((None, 0), repeat=4 if training else 6):
        dims = (*mapped, None, None)[:6]
        if not any(dim == 0 for dim in dims):
            continue
        stacked = [t if dim == 0 else t[0] for t, dim in zip((x, r, *vectors), dims, strict=True)]

        def one(x, r, w, b, mean, var):
            running = (None, None) if training else (mean, var)
            return batch_norm_act(x, *running, w, b, training, residual=r, backend=backend)

        got = torch.vmap(one, dims)(*stacked)
        parts = [[t[i] if dim == 0 else t for t, dim in zip(stacked, dims, strict=True)] for i in range(3)]
        torch.testing.assert_close(got, torch.stack([one(*part) for part in parts]), rtol=1e-4, atol=1e-5)


@backends
def test_vmap_over_other_axes_and_gradients(backend):
    torch.manual_seed(5)
    x, w = torch.randn(4, 2, 5, 3, device=DEVICE), torch.rand(2, 3, device=DEVICE)

    def loss(x, w):
        return batch_norm_act(x, None, None, w, None, True, backend=backend).pow(3).sum()

    got = torch.vmap(torch.func.grad(loss, (0, 1)), (3, 1))(x, w)
    want = [torch.autograd.grad(loss(*part), part) for part in ((leaf(x[..., i]), leaf(w[:, i])) for i in range(3))]
    torch.testing.assert_close(got, tuple(torch.stack(t) for t in zip(*want, strict=True)), rtol=1e-3, atol=1e-4)


def test_vmap_over_the_backward_pass_of_the_kernels():
    """`is_grads_batched`, and a Jacobian by it: the forward pass was not under vmap."""
    torch.manual_seed(6)
    x, r, w, b, mean, var, _ = inputs((4, 3, 2))
    leaves = [leaf(t) for t in (x, r, w, b)]
    y = batch_norm_act(leaves[0], mean, var, *leaves[2:], True, residual=leaves[1], backend="triton")
    ups = torch.randn(3, *y.shape, device=DEVICE)
    got = torch.autograd.grad(y, leaves, ups, retain_graph=True, is_grads_batched=True)
    want = [torch.autograd.grad(y, leaves, up, retain_graph=True) for up in ups]
    torch.testing.assert_close(got, tuple(torch.stack(t) for t in zip(*want, strict=True)))
