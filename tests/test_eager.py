"""Torch's own kernel where it is not exact enough: values in float32 that lie channels last, far from 0."""

import functools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

from bn import BatchNorm1d, BatchNorm2d, BatchNorm3d, eager
from bn.functional import batch_norm, batch_norm_act

LAYOUTS = ("NCHW", "NHWC", "NDHWC", "NC", "NC11", "NCL", "NLC", "strided")
SUMMED = ("NHWC", "NDHWC", "NC", "NC11")  # by torch in float32, row after row
EPS = 1e-5


def laid(rows, layout, places=(7, 5)):
    """Rows (m, C) of values as an input of C channels; (N, C, *) with 35 places, or as many as asked for."""
    C = rows.shape[1]
    if layout in ("NC", "NC11"):
        return rows.view(-1, C, *[1] * (len(layout) - 2))
    x = rows.view(-1, *places, C).movedim(-1, 1)
    three, flat = x.unsqueeze(2), x.flatten(2)
    if layout == "strided":
        return x.repeat_interleave(2, -1)[..., ::2]
    return {"NCHW": x.contiguous(), "NHWC": x, "NDHWC": three, "NCL": flat.contiguous(), "NLC": flat}[layout]


def normal(m, C=4, mean=0.0, std=1.0, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(m, C, generator=generator, dtype=torch.float64) * std + mean).to(dtype)


def outcome(function, x, momentum=1.0):
    """y, the gradients of x, weight and bias, and the running statistics, by a function with torch's signature."""
    generator = torch.Generator().manual_seed(1)
    C = x.shape[1]
    x = x.detach().requires_grad_()
    parameters = torch.float64 if x.dtype == torch.float64 else torch.float32
    w, b, mean, var = (torch.rand(C, generator=generator).to(parameters) + 0.5 for _ in range(4))
    dy = torch.randn(x.shape, generator=generator).to(x.dtype)
    leaves = x, w.requires_grad_(), b.requires_grad_()
    y = function(x, mean, var, *leaves[1:], True, momentum, EPS)
    return y.detach(), *torch.autograd.grad(y, leaves, dy), mean, var


def same(found, wanted):
    """Equal to the bit, and laid out alike."""
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.stride() == theirs.stride() and ours.dtype == theirs.dtype
        assert torch.equal(ours.nan_to_num(7), theirs.nan_to_num(7))


def reference(x, momentum=1.0):
    return outcome(functools.partial(batch_norm, backend="reference"), x.double(), momentum)


def errors(found, x):
    """Of sigma, relative; of the mean, in sigmas; of y; of the gradients, relative: largest, against float64."""
    y, *gradients, mean, var = (t.double() for t in found)
    right, *slopes, true_mean, true_var = reference(x)
    moved = [((ours - theirs).norm() / theirs.norm()).item() for ours, theirs in zip(gradients, slopes, strict=True)]
    of_mean = (mean - true_mean).abs() / (true_var + EPS).sqrt()
    sigma = (var / true_var).sqrt() - 1
    return sigma.abs().max().item(), of_mean.max().item(), (y - right).abs().max().item(), max(moved)


def by_layer(x, mean, var, weight, bias, training, momentum, eps):
    """The same by a layer, which is given the parameters and moves its own statistics."""
    layer = {2: BatchNorm1d, 3: BatchNorm1d, 4: BatchNorm2d, 5: BatchNorm3d}[x.dim()]
    state = {"weight": weight, "bias": bias, "running_mean": mean, "running_var": var}
    return torch.func.functional_call(layer(x.shape[1], eps, momentum), state, x)


WAYS = {"auto": batch_norm, "torch": functools.partial(batch_norm, backend="torch"), "layer": by_layer}
ways = pytest.mark.parametrize("way", WAYS)


# ---- What is mended ----------------------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("layout", SUMMED)
@pytest.mark.parametrize(("mean", "std"), [(100, 0.1), (5e5, 8), (-5e5, 8), (1e6, 0.5)])
def test_a_large_mean_keeps_its_deviation(mean, std, layout, way):
    x = laid(normal(12_600, mean=mean, std=std), layout)
    sigma, of_mean, y, gradients = errors(outcome(WAYS[way], x), x)
    assert sigma < 1e-5
    assert of_mean < 2 * 2**-24 * abs(mean) / std + 1e-5  # the running mean has float32's digits, no more
    assert y < 1e-4 and gradients < 1e-4


@pytest.mark.parametrize("threads", [1, 2])
def test_a_million_values_far_away(threads, one_thread):
    """The mean that torch finds is off by 400 deviations: to shift by that one would leave what is far still far."""
    torch.set_num_threads(threads)
    x = laid(normal(1_050_000, C=2, mean=5e5, std=8), "NHWC")
    sigma, of_mean, y, gradients = errors(outcome(batch_norm, x), x)
    assert sigma < 1e-3 and of_mean < 0.01 and y < 0.01 and gradients < 1e-3


def test_torch_itself_loses_it(one_thread):
    """Without this, the tests above could pass by a kernel of torch's that has become exact; then `eager` is done."""
    x = laid(normal(12_600, mean=5e5, std=8), "NHWC")
    assert errors(outcome(F.batch_norm, x), x)[0] > 0.15


@pytest.mark.parametrize("layout", SUMMED)
def test_one_channel_of_many_is_mended_and_the_others_are_torchs(layout):
    rows = normal(12_600, C=40)
    rows[:, 17] = normal(12_600, C=1, mean=5e5, std=8)[:, 0]
    x = laid(rows, layout)
    found, theirs = outcome(batch_norm, x, 0.1), outcome(F.batch_norm, x, 0.1)
    others = [c for c in range(40) if c != 17]
    for ours, torchs in zip(found, theirs, strict=True):
        axis = min(1, ours.dim() - 1)
        keep = torch.tensor(others)
        assert torch.equal(ours.index_select(axis, keep), torchs.index_select(axis, keep))
    assert errors(outcome(batch_norm, x), x)[0] < 1e-4


def test_the_memory_format_stays():
    for layout in SUMMED:
        x = laid(normal(2_100, mean=5e5, std=8), layout)
        assert [t.stride() for t in outcome(batch_norm, x)[:2]] == [x.stride()] * 2


@settings(max_examples=40)
@given(
    st.sampled_from(LAYOUTS),
    st.floats(0, 6.5),
    st.sampled_from([2, 70, 700, 7_000, 70_000]),
    st.integers(0, 99),
    st.booleans(),
)
def test_no_error_is_larger_than_torchs(layout, exponent, m, seed, whole):
    rows = normal(m, C=3, mean=8 * 10**exponent, std=8, seed=seed)
    rows = rows.round() if whole else rows
    assume(rows.std(0).min() > 0)
    x = laid(rows, layout, places=(m // 2,) if m == 2 else (7, 5))
    ours, theirs = errors(outcome(batch_norm, x), x), errors(outcome(F.batch_norm, x), x)
    ulp = 2**-24 * 10**exponent  # half a unit in the last place of the mean, in deviations
    for mine, torchs, least in zip(ours, theirs, (1e-5, 2 * ulp, 1e-5, 1e-5), strict=True):
        assert mine <= torchs + least


# ---- What stays torch's, to the bit ------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("ratio", [0, 1, 10, 95])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_ordinary_values_are_torchs_to_the_bit(layout, ratio, way):
    for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
        x = laid(normal(2_100, mean=-8 * ratio, std=8).to(dtype), layout)
        same(outcome(WAYS[way], x, 0.1), outcome(F.batch_norm, x, 0.1))


@pytest.mark.parametrize("layout", ["NCHW", "NCL", "NLC", "strided"])
def test_the_other_layouts_are_torchs_however_far(layout):
    x = laid(normal(2_100, mean=5e5, std=8), layout)
    same(outcome(batch_norm, x), outcome(F.batch_norm, x))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_other_types_are_torchs_however_far(dtype):
    x = laid(normal(2_100, mean=5e4, std=100).to(dtype), "NHWC")
    same(outcome(batch_norm, x), outcome(F.batch_norm, x))


@pytest.mark.parametrize("layout", SUMMED)
def test_inference_is_torchs_however_far(layout):
    x, mean, var = laid(normal(2_100, mean=5e5, std=8), layout), torch.full((4,), 5e5), torch.full((4,), 64.0)
    same([batch_norm(x, mean, var)], [F.batch_norm(x, mean, var)])


def test_how_far_is_far_depends_on_how_many_values():
    """2**23 / m deviations: here 4, within which the sum still tells two values of one deviation apart."""
    near, far = (laid(normal(2**21, C=1, mean=mean, std=1), "NC") for mean in (3, 6))
    same(outcome(batch_norm, near), outcome(F.batch_norm, near))
    assert not torch.equal(batch_norm(far, None, None, training=True), F.batch_norm(far, None, None, training=True))


# ---- What could fool the look ------------------------------------------------------------------------------------


def test_whole_numbers_that_all_round_to_one_side(one_thread):
    """41 and 49 are added to sums beyond 2**25 as 40 and 48: the mean is off by 1 for most of the way."""
    rows = torch.tensor([41.0, 49.0]).repeat(2**19).view(-1, 1)
    ours, theirs = errors(outcome(batch_norm, rows), rows), errors(outcome(F.batch_norm, rows), rows)
    assert theirs[1] > 0.1 > 1e-3 > ours[1]
    assert ours[0] < 1e-3


def test_a_mean_so_wrong_that_the_deviation_seems_large(one_thread):
    rows = torch.tensor([195.0, 196.0, 197.0, 196.0]).repeat(2**18).view(-1, 1)
    ours, theirs = errors(outcome(batch_norm, rows), rows), errors(outcome(F.batch_norm, rows), rows)
    assert theirs[0] > 0.5 > 1e-3 > ours[0]


@pytest.mark.parametrize("zeros", [1, 35, 350, 6_300])
def test_values_in_a_part_of_the_batch_only(zeros):
    """A pixel, an example, ten, or half of all are 0: the more, the larger the deviation, and the nearer the mean."""
    rows = normal(12_600, mean=5e5, std=8)
    rows[:zeros] = 0
    x = laid(rows, "NHWC")
    ours, theirs = errors(outcome(batch_norm, x), x), errors(outcome(F.batch_norm, x), x)
    assert ours[0] < 1e-3 and ours[1] < 5e-3  # of one thread, which errs by more than two
    assert ours[0] <= theirs[0] + 1e-6 and ours[1] <= theirs[1] + 1e-6


def test_a_dead_channel_changes_nothing():
    rows = normal(2_100)
    rows[:, 2] = 0
    x = laid(rows, "NHWC")
    same(outcome(batch_norm, x), outcome(F.batch_norm, x))


@pytest.mark.parametrize("value", [0.1, -3.7, 5e5, 1e7])
def test_a_constant_channel_becomes_its_bias(value):
    rows = normal(12_600)
    rows[:, 2] = value
    x = laid(rows, "NHWC").requires_grad_()
    mean, var, bias = torch.zeros(4), torch.ones(4), torch.arange(4.0)
    y = batch_norm(x, mean, var, None, bias, True, 1.0)
    (dx,) = torch.autograd.grad(y, x, torch.randn(x.shape).contiguous(memory_format=torch.channels_last))
    near = abs(value) < 100 * EPS**0.5  # torch's own error, larger where one thread sums
    assert (y[:, 2] - 2).abs().max() < (2e-2 if near else 1e-3) and dx.isfinite().all()
    assert mean[2] == pytest.approx(value, rel=1e-3 if near else 1e-6)
    assert var[2] < 1e-6


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("among", ["far", "near"])
def test_what_is_not_a_number_stays_in_its_channel(among, bad):
    rows = normal(12_600, mean=5e5, std=8)
    rows[:, 2] = normal(12_600, C=1, mean=5e5 if among == "far" else 0, std=8)[:, 0]
    clean = outcome(batch_norm, laid(rows.clone(), "NHWC"))
    rows[100, 2] = bad
    found = outcome(batch_norm, laid(rows, "NHWC"))
    for ours, wanted in zip(found, clean, strict=True):
        axis, others = min(1, ours.dim() - 1), torch.tensor([0, 1, 3])
        assert torch.equal(ours.index_select(axis, others), wanted.index_select(axis, others))
    theirs = outcome(F.batch_norm, laid(rows, "NHWC"))
    assert found[0][:, 2].isnan().all() and found[5][2].isnan()
    same([found[4][2]], [theirs[4][2]])  # not a number, or infinite


@pytest.mark.parametrize(
    "shape", [(2, 3), (2, 1), (3, 1), (2, 3, 1, 1), (1, 3, 2, 1), (5, 1, 2, 2), (2, 1, 1, 1)], ids=str
)
def test_tiny_inputs(shape):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64).mul(8).add(5e5).float()
    for memory_format in (torch.contiguous_format, torch.channels_last)[: 1 + (len(shape) == 4)]:
        y = x.contiguous(memory_format=memory_format)
        assert errors(outcome(batch_norm, y), y)[0] < 1e-3


# ---- Gradients and running statistics ----------------------------------------------------------------------------


@pytest.mark.parametrize("layout", SUMMED)
def test_gradients_of_both_orders(layout):
    """Against the reference in float64: of x, weight and bias; and theirs, of all that they depend on."""
    x = laid(normal(2_100, mean=5e5, std=8), layout)
    generator = torch.Generator().manual_seed(2)
    w, dy, v = torch.rand(4, generator=generator), *torch.randn(2, *x.shape, generator=generator)

    def both(backend, dtype):
        leaves = [t.detach().to(dtype).requires_grad_() for t in (x, w, torch.zeros(4), dy)]
        y = batch_norm(leaves[0], None, None, *leaves[1:3], True, eps=EPS, backend=backend)
        first = torch.autograd.grad(y, leaves[:3], leaves[3], create_graph=True)
        loss = (first[0] * v.to(dtype)).sum() + first[1].square().sum()
        return [t.detach().double() for t in (*first, *torch.autograd.grad(loss, [leaves[0], leaves[1], leaves[3]]))]

    for ours, right in zip(both("auto", torch.float32), both("reference", torch.float64), strict=True):
        assert (ours - right).norm() < 1e-4 * right.norm()


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)], ids=str)
def test_gradients_of_some_inputs_only(wanted):
    x = laid(normal(2_100, mean=5e5, std=8), "NHWC").requires_grad_(wanted[0])
    w, b = (torch.ones(4, requires_grad=need) for need in wanted[1:])
    batch_norm(x, None, None, w, b, True).square().sum().backward()
    assert [t.grad is not None for t in (x, w, b)] == list(wanted)


@pytest.mark.parametrize("momentum", [0.0, 0.1, 1.0, None])
def test_running_statistics_follow_as_in_float64(momentum):
    layers = [BatchNorm2d(3, momentum=momentum) for _ in range(2)]
    layers[1].double()
    for batch in range(4):  # near, far, near, far: every other one by the second pass
        x = laid(normal(2_100, C=3, mean=(0, 5e5)[batch % 2], std=8, seed=batch), "NHWC")
        for layer in layers:
            layer(x.to(layer.weight.dtype))
        ours, right = ([layer.running_mean.double(), layer.running_var.double()] for layer in layers)
        torch.testing.assert_close(ours, right, rtol=1e-6, atol=1e-5)


def test_the_activation_and_a_residual_come_after():
    x = laid(normal(2_100, mean=5e5, std=8), "NHWC")
    r = torch.randn(x.shape)
    y, right = (batch_norm_act(t, None, None, training=True, residual=s, backend=b) for t, s, b in
                ((x, r, "auto"), (x.double(), r.double(), "reference")))  # fmt: skip
    torch.testing.assert_close(y.double(), right, rtol=0, atol=1e-5)


def test_no_graph_where_none_is_wanted():
    x, mean = laid(normal(2_100, mean=5e5, std=8), "NHWC"), torch.zeros(4)
    with torch.no_grad():
        assert batch_norm(x.clone().requires_grad_(), mean, torch.ones(4), training=True).grad_fn is None
    assert not mean.requires_grad and batch_norm(x, None, None, training=True).grad_fn is None
    with torch.inference_mode():
        assert batch_norm(x, torch.zeros(4), torch.ones(4), training=True).std() < 1.001


def test_under_autocast():
    x = laid(normal(2_100, mean=5e5, std=8), "NHWC")
    with torch.autocast("cpu", torch.bfloat16):
        same([batch_norm(x, None, None, training=True)], [batch_norm(x, None, None, training=True)])
        found = outcome(batch_norm, x)
    assert found[0].dtype == torch.float32 and errors(found, x)[0] < 1e-5


def test_forward_mode():
    x, t = laid(normal(2_100, mean=5e5, std=8), "NHWC"), torch.randn(60, 4, 7, 5)
    mean, var = torch.zeros(2, 4)
    with forward_ad.dual_level():
        y = batch_norm(forward_ad.make_dual(x, t), mean, var, training=True)
        right = normalize(forward_ad.make_dual(x.double(), t.double()))
        pairs = [forward_ad.unpack_dual(dual) for dual in (y, right)]
        assert forward_ad.unpack_dual(mean).tangent is None and forward_ad.unpack_dual(var).tangent is None
    for ours, wanted in zip(*pairs, strict=True):
        torch.testing.assert_close(ours.double(), wanted, rtol=0, atol=1e-5)


# ---- Where nothing can be looked at, the result is torch's ---------------------------------------------------------


def normalize(x):
    return batch_norm(x, None, None, training=True)


FAR = laid(normal(2_100, mean=5e5, std=8), "NHWC")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(
    "changed",
    {
        "compile": lambda: torch.compile(normalize, backend="aot_eager", fullgraph=True),
        "trace": lambda: torch.jit.trace(normalize, (FAR,), check_trace=False),
        "make_fx": lambda: make_fx(normalize)(FAR),
        "make_fx before dispatch": lambda: make_fx(normalize, pre_dispatch=True)(FAR),
        "functionalize": lambda: torch.func.functionalize(normalize),
        "vmap": lambda: lambda x: torch.vmap(normalize)(x[None])[0],
        "vjp": lambda: lambda x: torch.func.vjp(normalize, x)[0],
    }.items(),
    ids=lambda item: item[0],
)
def test_torchs_result_where_no_decision_can_be_taken(changed):
    wanted = F.batch_norm(FAR, None, None, training=True)
    assert torch.equal(changed[1]()(FAR), wanted)
    assert not torch.equal(normalize(FAR), wanted)


@pytest.mark.parametrize("strict", [True, False])
def test_export(strict):
    exported = torch.export.export(BatchNorm2d(4), (FAR,), strict=strict)
    assert "batch_norm" in exported.graph_module.code and "where" not in exported.graph_module.code


def test_fake_and_meta_tensors_have_no_values_to_look_at():
    fakes = torch._subclasses.FakeTensorMode()
    assert normalize(fakes.from_tensor(FAR)).stride() == FAR.stride()
    with fakes:
        assert normalize(fakes.from_tensor(FAR)).shape == FAR.shape
    assert normalize(FAR.to("meta")).is_meta
    with FlopCounterMode(display=False):
        assert normalize(FAR).shape == FAR.shape


def test_a_parameter_and_a_subclass_without_a_mode_are_looked_at():
    class Named(torch.Tensor):
        pass

    for x in (torch.nn.Parameter(FAR), FAR.as_subclass(Named)):
        assert torch.equal(normalize(x), normalize(FAR))
    assert torch.equal(eager.by_torch(FAR, None, None, None, None, True, 0.1, EPS, None, None), normalize(FAR))


def test_mkldnn_tensors_are_torchs():
    x = laid(normal(2_100, mean=5e5, std=8), "NC11").to_mkldnn()
    arguments = torch.zeros(4), torch.ones(4), torch.ones(4), torch.zeros(4), True
    ours, theirs = batch_norm(x, *arguments), F.batch_norm(x, *arguments)
    assert torch.equal(ours.to_dense(), theirs.to_dense())
