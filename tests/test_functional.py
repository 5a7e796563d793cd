"""bn.functional and the Triton kernels against float64, finite differences and torch's own function.

Without a GPU the kernels run in Triton's interpreter (see conftest.py); with one, the same tests run on it.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from bn import functional, launch, operands, ops
from bn.functional import batch_norm, batch_norm_act

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SCHEDULES = ("resident", "window", "far", "near")
TOLERANCE = {torch.float64: 1e-7, torch.float32: 2e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}
EPS = 0.05  # large, so that leaving it out somewhere cannot hide in the rounding
FUSED = [(None, False), ("relu", False), ("relu", True), (None, True)]
fused = pytest.mark.parametrize(("activation", "residual"), FUSED, ids=["bn", "relu", "add-relu", "add"])
pytestmark = pytest.mark.usefixtures("quick_interpreter")


@pytest.fixture(params=SCHEDULES)
def schedule(request, monkeypatch):
    """Each way the kernels can be launched, at sizes that a test can afford."""
    choose(request.param, monkeypatch)
    return request.param


def choose(name, monkeypatch):
    """Two of the schedules by the operators, two past them, as eager calls go."""
    if name in ("window", "near"):
        by_operators(monkeypatch)
    if name != "resident":
        monkeypatch.setattr(launch, "RESIDENT", 0)
        monkeypatch.setattr(launch, "WINDOW", {"window": 4_000, "far": 2**30, "near": 0}[name])
        # Tasks of two tiles, or of one; merged all at once, or one by one and in groups.
        monkeypatch.setattr(launch, "TASK", 2)
        monkeypatch.setattr(launch, "PROGRAMS", 1 if name == "window" else 2_048)
        monkeypatch.setattr(launch, "MERGE", 1 if name == "near" else 16)
        monkeypatch.setattr(launch, "ALONE", 1 if name == "near" else 64)
    launch.replan()


def by_operators(monkeypatch):
    """Have eager calls take the way of those that are watched, forward and backward."""
    monkeypatch.setattr(operands, "are_ordinary", lambda *arguments: False)
    monkeypatch.setattr(ops, "_is_last_derivative", lambda *arguments: False)


def inputs(shape, dtype=torch.float32, channels_last=False, affine=True, scale=2.0, shift=3.0):
    """x, residual, weight, bias, running statistics and a random upstream gradient."""
    C = shape[1]
    x = torch.randn(shape, dtype=torch.float64) * scale + shift
    if channels_last:
        x = x.movedim(1, -1).contiguous().movedim(-1, 1)
    parameters = torch.float64 if dtype == torch.float64 else torch.float32
    w, b = torch.randn(2, C, dtype=parameters) if affine else (None, None)
    mean, var = torch.randn(C, dtype=parameters), torch.rand(C, dtype=parameters) + 0.5
    made = [x.to(dtype), torch.randn(shape).to(dtype), w, b, mean, var, torch.randn(shape).to(dtype)]
    return [None if t is None else t.to(DEVICE) for t in made]


def outcome(backend, made, training, activation, residual, function=batch_norm_act):
    """y, the gradients, and the running statistics afterwards, all in float64."""
    x, r, w, b, mean, var, dy = [None if t is None else t.detach().clone() for t in made]
    x = made[0].detach()  # with its strides
    r = r if residual else None
    leaves = [t.requires_grad_() for t in (x, r, w, b) if t is not None]
    y = function(x, mean, var, w, b, training, 0.1, EPS, activation=activation, residual=r, backend=backend)
    gradients = torch.autograd.grad(y, leaves, dy)
    return [t.detach().double().cpu() for t in (y, *gradients, mean, var)], y, gradients[0]


def truth(made, training, activation, residual):
    """The same from Algorithm 1 in float64, of the very numbers given."""
    made = [None if t is None else t.double() for t in made]
    return outcome("reference", made, training, activation, residual)[0]


def close(got, want, tolerance, least=()):
    """Relative to the largest value, or to the inputs: the sums behind a small gradient are of large terms.

    `least` is the size of the terms behind the first values, where it is known; behind the others it is 0.1.
    """
    for value, right, size in zip(got, want, (*least, *[0.1] * (len(want) - len(least))), strict=True):
        assert value.shape == right.shape
        assert (value - right).abs().max() <= tolerance * max(right.abs().max(), size)


def terms(made, training, residual):
    """What is behind the first values of `outcome` where dy is constant and, in training, dx and dweight are 0.

    Of dx the terms, gamma / sigma * dy; of dweight, a sum, as much as terms of its size make with any signs.
    """
    x, _, w, _, mean, var, dy = (None if t is None else t.double().cpu() for t in made)
    axes, shape = [0, *range(2, x.dim())], [1, -1] + [1] * (x.dim() - 2)
    mu, sigma2 = (x.mean(axes), x.var(axes, correction=0)) if training else (mean, var)
    rstd = (sigma2 + EPS).rsqrt().view(shape)
    dx = (dy * rstd if w is None else dy * rstd * w.view(shape)).abs().max()
    dweight = ((x - mu.view(shape)) * rstd * dy).square().sum(axes).sqrt().max()
    return 0.1, dx, *([0.1] if residual else []), *([] if w is None else [dweight])


def test_the_reference_backend_is_algorithm_1():
    from bn import reference

    torch.manual_seed(0)
    made = inputs((3, 4, 5, 2), torch.float64)
    x, _, w, b, mean, var, dy = (t.cpu() for t in made)
    y, cache = reference.batch_norm(x, w, b, EPS)
    want = [y, *reference.batch_norm_backward(dy, cache)]
    got = outcome("reference", made, True, None, False)[0]
    close(got[:4], [torch.from_numpy(value) for value in want], 1e-12)
    batch = x.transpose(0, 1).flatten(1)
    close(got[4:], [0.9 * mean + 0.1 * batch.mean(1), 0.9 * var + 0.1 * batch.var(1)], 1e-12)
    inference = outcome("reference", made, False, None, False)[0][0]
    close([inference], [torch.from_numpy(reference.batch_norm_inference(x, w, b, mean, var, EPS))], 1e-12)


@fused
@pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc", "nc"])
def test_kernels_against_float64(schedule, layout, training, activation, residual):
    torch.manual_seed(0)
    # Channels of three tiles or more where a slice has two; more than the tile's examples, places and channels.
    images, features = ((24, 2, 9, 9), (600, 2)) if schedule == "window" else ((9, 3, 7, 3), (20, 3))
    made = inputs(features if layout == "nc" else images, channels_last=layout == "nhwc")
    got, y, dx = outcome("triton", made, training, activation, residual)
    close(got, truth(made, training, activation, residual), TOLERANCE[torch.float32])
    assert y.stride() == dx.stride() == made[0].stride()


@pytest.mark.parametrize("backend", ["torch", "triton"])
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 2)], ids=str)
def test_every_type_and_rank(backend, dtype, shape):
    torch.manual_seed(1)
    for affine in (True, False):
        made = inputs(shape, dtype, affine=affine)
        got, y, dx = outcome(backend, made, True, None, True)  # ReLU: rounding decides which gradients near 0 pass
        assert y.dtype == dx.dtype == dtype
        close(got, truth(made, True, None, True), TOLERANCE[dtype])


@hypothesis_settings(max_examples=12)
@given(st.data())
def test_any_shape_stride_type_and_layout(data):
    draw = data.draw
    shapes = st.tuples(st.integers(1, 7), st.integers(1, 40), *[st.integers(1, 6)] * draw(st.integers(0, 3)))
    shape = draw(shapes.filter(lambda shape: math.prod(shape) <= 3_000))  # the interpreter is slow
    if math.prod(shape) == shape[1]:
        shape = (2, *shape[1:])
    torch.manual_seed(draw(st.integers(0, 99)))
    made = inputs(shape, draw(st.sampled_from([torch.float32, torch.bfloat16, torch.float16])), draw(st.booleans()))
    if draw(st.booleans()):  # every other value of a larger tensor
        made[0] = made[0].repeat_interleave(2, -1)[..., ::2]
    if draw(st.booleans()):  # the upstream gradient of a sum has strides of 0
        made[6] = made[6].flatten()[:1].expand(math.prod(shape)).view(shape)
    activation, residual = draw(st.sampled_from(FUSED))
    agree(made, draw(st.booleans()), activation, residual, draw(st.sampled_from(SCHEDULES)))


def agree(made, training, activation, residual, schedule):
    """Compare the kernels with float64."""
    with pytest.MonkeyPatch.context() as patch:
        choose(schedule, patch)
        got, _, _ = outcome("triton", made, training, activation, residual)
    want = truth(made, training, activation, residual)
    if activation:  # where the value before ReLU is within rounding of 0, either side is right
        return close([got[0], *got[-2:]], [want[0], *want[-2:]], TOLERANCE[made[0].dtype])
    return close(got, want, 4 * TOLERANCE[made[0].dtype], terms(made, training, residual))


@pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("seed", [3, 4])
def test_a_constant_upstream_gradient(seed, schedule, training):
    """In training dx and dweight are 0, but for the rounding of terms that are not."""
    torch.manual_seed(seed)
    made = inputs((1, 30, 3, 3, 6))
    made[6] = made[6].flatten()[:1].expand(made[6].numel()).view(made[6].shape)
    agree(made, training, None, False, schedule)
    if training:
        assert max(gradient.abs().max() for gradient in truth(made, True, None, False)[1:3]) < 1e-12


@fused
@pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
@pytest.mark.parametrize("backend", ["torch", "triton", "reference"])
def test_finite_differences_of_both_orders(backend, training, activation, residual):
    torch.manual_seed(2)
    x, r, w, b, mean, var, _ = inputs((3, 2, 2), torch.float64)
    r = r if residual else None

    def function(x, w, b, *r):
        return batch_norm_act(
            x, mean.clone(), var.clone(), w, b, training, activation=activation, residual=(*r, None)[0], backend=backend
        )

    leaves = [t.requires_grad_() for t in (x, w, b, r) if t is not None]
    assert gradcheck(function, leaves, fast_mode=True)
    assert gradgradcheck(function, leaves, fast_mode=True)


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)], ids=str)
def test_gradients_of_some_inputs_only(wanted):
    torch.manual_seed(3)
    made = inputs((4, 3, 5))
    results = {}
    for backend in ("torch", "triton"):
        leaves = [made[i].detach().clone().requires_grad_(need) for i, need in zip((0, 2, 3), wanted, strict=True)]
        y = batch_norm_act(leaves[0], None, None, *leaves[1:], True, backend=backend)
        y.backward(made[6])
        results[backend] = [leaf.grad for leaf in leaves]
    for ours, theirs in zip(results["triton"], results["torch"], strict=True):
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


# ---- Numerics -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mean", "std"), [(100, 0.1), (5e5, 8)])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("resident", [False, True])
def test_large_mean_small_deviation(resident, mean, std, channels_last, monkeypatch):
    """sigma, recovered from the running variance; a bare E[x^2] - E[x]^2 in float32 loses it altogether."""
    monkeypatch.setattr(launch, "RESIDENT", 2**20 if resident else 0)
    launch.replan()
    torch.manual_seed(4)
    x = (torch.randn(16, 4, 28, 28, dtype=torch.float64) * std + mean).float()
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    want = x.double().var((0, 2, 3)).sqrt()

    def error(backend):
        running = torch.zeros(4, device=DEVICE), torch.zeros(4, device=DEVICE)
        batch_norm(x.to(DEVICE), *running, training=True, momentum=1.0, backend=backend)
        return (running[1].double().cpu().sqrt() / want - 1).abs().max()

    naive = ((x * x).mean((0, 2, 3)) - x.mean((0, 2, 3)) ** 2).double().clamp_min(0).sqrt()
    ours = error("triton")
    assert ours < 1e-4
    assert ours < 0.1 * (naive / want - 1).abs().max()


@pytest.mark.filterwarnings("ignore:overflow encountered")  # the interpreter's, in the padding that is not stored
def test_a_constant_channel_and_half_precision_sums(schedule):
    x = torch.full((8, 2, 6, 6), 60_000.0, dtype=torch.float16, device=DEVICE).requires_grad_()
    y = batch_norm(x, None, None, training=True, backend="triton")
    (dx,) = torch.autograd.grad(y, x, torch.randn_like(y))
    assert y.abs().max() < 0.1
    assert dx.isfinite().all()


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("channels_last", [False, True])
def test_what_is_not_a_number_stays_in_its_channel(schedule, bad, channels_last):
    torch.manual_seed(5)
    made = inputs((6, 4, 5, 5), channels_last=channels_last)
    x = made[0].clone()
    x[1, 2, 3, 3] = bad
    y = batch_norm_act(x, None, None, training=True, backend="triton")
    assert y[:, 2].isnan().all()
    clean = batch_norm_act(made[0], None, None, training=True, backend="triton")
    others = [0, 1, 3]
    torch.testing.assert_close(y[:, others], clean[:, others])


def test_eval_backward_is_gamma_over_sigma():
    x, _, w, b, mean, var, dy = inputs((4, 3, 5))
    y = batch_norm(x.requires_grad_(), mean, var, w, b, backend="triton")
    (dx,) = torch.autograd.grad(y, x, dy)
    torch.testing.assert_close(dx, dy * (w / (var + 1e-5).sqrt()).view(1, -1, 1))


@pytest.mark.parametrize("backend", ["auto", "torch", "triton", "reference"])
@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 4, 4), (4, 3, 0)], ids=str)
def test_an_empty_batch_keeps_the_statistics(backend, shape):
    x, _, w, b, mean, var, dy = inputs(shape)
    before = mean.clone(), var.clone()
    y = batch_norm_act(x.requires_grad_(), mean, var, w, b, True, backend=backend)
    y.backward(dy)
    assert y.shape == shape
    torch.testing.assert_close((mean, var), before, rtol=0, atol=0)


# ---- Wrong input ---------------------------------------------------------------------------------------------------

OK = {"input": (4, 3, 5), "running_mean": (3,), "running_var": (3,), "weight": (3,), "bias": (3,), "training": True}
WRONG = {
    "one-value": ({"input": (1, 3)}, ValueError, "more than 1 value per channel"),
    "one-place": ({"input": (1, 3, 1, 1)}, ValueError, "more than 1 value per channel"),
    "eps": ({"eps": 0.0}, ValueError, "eps must be positive"),
    "eps-eval": ({"eps": -1e-5, "training": False}, ValueError, "eps must be positive or 0"),
    "eps-nan": ({"eps": math.nan}, ValueError, "eps must be positive"),
    "one-dim": ({"input": (3,)}, RuntimeError, "shape"),
    "mean": ({"running_mean": (4,)}, RuntimeError, "running_mean should contain 3 elements"),
    "var": ({"running_var": (2,)}, RuntimeError, "running_var should contain 3 elements"),
    "weight": ({"weight": (1,)}, RuntimeError, "weight should contain 3 elements"),
    "bias": ({"bias": (4,)}, RuntimeError, "bias should contain 3 elements"),
    "half-statistics": ({"running_var": None}, ValueError, "both"),
    "no-statistics": ({"running_mean": None, "running_var": None, "training": False}, RuntimeError, "must be given"),
}


@pytest.mark.parametrize("backend", ["auto", "torch", "triton", "reference"])
@pytest.mark.parametrize(("change", "error", "message"), WRONG.values(), ids=WRONG)
def test_wrong_input_raises_what_torch_raises_and_changes_nothing(backend, change, error, message):
    given = {k: torch.rand(v) if isinstance(v, tuple) else v for k, v in (OK | change).items()}
    buffers = [given[k] for k in ("running_mean", "running_var") if given[k] is not None]
    before = [buffer.clone() for buffer in buffers]
    with pytest.raises(error, match=message):
        batch_norm(**given, backend=backend)
    for buffer, old in zip(buffers, before, strict=True):
        assert torch.equal(buffer, old)
    if not math.isnan(change.get("eps", 0)):  # which torch lets pass, and then every output is nan
        with pytest.raises(error):
            F.batch_norm(**given)


def test_wrong_types_devices_and_names():
    x, v = torch.randn(4, 3), torch.ones(3)
    with pytest.raises(RuntimeError, match=r"weight must have dtype torch\.float32"):
        batch_norm(x, None, None, v.double(), training=True)
    with pytest.raises(RuntimeError, match="bias must be on cpu, as the input, but it is on meta"):
        batch_norm(x, None, None, v, v.to("meta"), training=True)
    with pytest.raises(NotImplementedError, match=r"torch\.int64"):
        batch_norm(x.long(), None, None, training=True)
    with pytest.raises(ValueError, match="backend must be one of 'auto', 'torch', 'triton', 'reference'"):
        batch_norm(x, None, None, training=True, backend="cuda")
    with pytest.raises(ValueError, match="activation must be None or 'relu', but it is 'gelu'"):
        batch_norm_act(x, None, None, training=True, activation="gelu")
    for other in (torch.randn(4, 1), x.double()):
        with pytest.raises(RuntimeError, match="residual must match the input"):
            batch_norm_act(x, None, None, training=True, residual=other)


def test_triton_where_it_cannot_run(monkeypatch):
    x = torch.randn(4, 3)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(RuntimeError, match="needs a CUDA tensor, but the input is on cpu"):
        batch_norm(x, None, None, training=True, backend="triton")
    monkeypatch.setattr(functional, "HAS_TRITON", False)
    with pytest.raises(RuntimeError, match="needs the package triton"):
        batch_norm(x, None, None, training=True, backend="triton")
    assert torch.equal(batch_norm(x, None, None, training=True), F.batch_norm(x, None, None, training=True))


# ---- torch.compile, opcheck, vmap, autocast, export ----------------------------------------------------------------


@pytest.mark.parametrize("backend", ["triton", "torch", "reference"])
@pytest.mark.parametrize("compiler", ["aot_eager", "inductor"])
def test_compiles_to_one_graph(backend, compiler):
    torch.manual_seed(6)
    made = inputs((6, 3, 4, 5))
    torch._dynamo.reset()
    compiled = torch.compile(batch_norm_act, fullgraph=True, backend=compiler)
    for training in (True, False):
        got = outcome(backend, made, training, "relu", True, compiled)[0]
        close(got, truth(made, training, "relu", True), TOLERANCE[torch.float32])


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_operators_keep_their_contracts(channels_last):
    x, r, w, b, mean, var, dy = inputs((4, 3, 5, 2), channels_last=channels_last)
    dy = launch.like(dy, x)
    torch.library.opcheck(ops.training, (x, mean, var, w, b, r, 0.1, 1e-5, True))
    torch.library.opcheck(ops.training, (x, None, None, None, None, None, 0.1, 1e-5, False))
    torch.library.opcheck(ops.inference, (x, mean, var, w, b, r, 1e-5, True, True))
    _, mu, rstd, bits = ops.training(x, mean, var, w, b, r, 0.1, 1e-5, True)
    leaves = [t.requires_grad_() for t in (dy, x, w)]
    torch.library.opcheck(ops.backward, (*leaves, b, mu, rstd, bits, 1e-5, True, True, True))


@pytest.mark.parametrize("backend", ["triton", "torch"])
def test_vmap_in_eval_mode(backend):
    _, _, w, b, mean, var, _ = inputs((1, 3))
    x = torch.randn(5, 4, 3, 2, device=DEVICE)

    def one(x, w):
        return batch_norm_act(x, mean, var, w, b, backend=backend)

    torch.testing.assert_close(torch.vmap(one, (0, None))(x, w), torch.stack([one(part, w) for part in x]))
    slopes = torch.vmap(torch.func.grad(lambda w, x: one(x, w).sum()), (None, 0))(w, x)
    want = [torch.autograd.grad(one(part, v := w.clone().requires_grad_()).sum(), v)[0] for part in x]
    torch.testing.assert_close(slopes, torch.stack(want), rtol=1e-4, atol=1e-5)


def test_vmap_in_training_normalizes_each_by_its_own():
    x = torch.randn(2, 4, 3)
    y = torch.vmap(lambda x: batch_norm(x, None, None, training=True, backend="triton"))(x)
    torch.testing.assert_close(y, torch.stack([batch_norm(part, None, None, training=True) for part in x]))


@pytest.mark.parametrize("backend", ["triton", "torch"])
def test_autocast_leaves_the_statistics_in_float32(backend):
    x, _, w, b, mean, var, _ = inputs((6, 3, 4), torch.bfloat16)
    with torch.autocast(DEVICE, torch.bfloat16):
        y = batch_norm_act(x, mean, var, w, b, True, backend=backend)
    assert (y.dtype, mean.dtype) == (torch.bfloat16, torch.float32)


def test_auto_is_torchs_kernel_on_the_cpu():
    x, r, w, b, mean, var, _ = (t.cpu() for t in inputs((6, 3, 4)))
    twins = mean.clone(), var.clone()
    want = torch.relu(F.batch_norm(x, *twins, w, b, True) + r)
    assert torch.equal(batch_norm_act(x, mean, var, w, b, True, residual=r), want)
    assert torch.equal(mean, twins[0]) and torch.equal(var, twins[1])
