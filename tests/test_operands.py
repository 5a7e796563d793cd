"""Operands of any strides, memory that a call must leave alone, and what the operators refuse when called directly."""

import numpy as np
import pytest
import torch
import triton
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from test_functional import DEVICE, EPS, SCHEDULES, TOLERANCE, choose, close, inputs, terms
from torch.autograd import gradcheck, gradgradcheck

from bn import ops
from bn.functional import batch_norm, batch_norm_act

NAMES = ("x", "residual", "weight", "bias", "running_mean", "running_var", "dy")
RUNNING = ("running_mean", "running_var")
WAYS = {"torch": ("torch", "resident"), "reference": ("reference", "resident")} | {
    schedule: ("triton", schedule) for schedule in ("resident", "window")
}
ways = pytest.mark.parametrize(("backend", "schedule"), WAYS.values(), ids=WAYS)
modes = pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
pytestmark = pytest.mark.usefixtures("quick_interpreter")


# ---- The same values in other places -------------------------------------------------------------------------------


def gaps(tensor):
    """Every third value of a larger tensor, from the second on: a column, where it is a vector."""
    return surrounded(tensor)[..., 1]


def surrounded(tensor):
    """Each value between two others."""
    return torch.stack([torch.full_like(tensor, 7), tensor, torch.full_like(tensor, -9)], -1)


def offset(tensor):
    """In the midst of a larger tensor, without gaps."""
    edge = torch.full((5,), 7.0, dtype=tensor.dtype, device=tensor.device)
    return torch.cat([edge, tensor.flatten(), edge])[5 : 5 + tensor.numel()].view(tensor.shape)


def negated(tensor):
    """The imaginary part of a conjugate: every second value, and a bit that says that all signs are turned."""
    if tensor.dtype not in (torch.float32, torch.float64):
        return flagged(tensor)
    return torch.complex(torch.full_like(tensor, 7), -tensor).conj().imag


def flagged(tensor):
    """That bit without gaps."""
    return torch._neg_view(-tensor) if tensor.dtype.is_floating_point else tensor


def turned(tensor):
    """The axes the other way round in memory: neither channels first nor last."""
    return tensor.permute(*reversed(range(tensor.dim()))).contiguous().permute(*reversed(range(tensor.dim())))


def expanded(tensor):
    """One value, or one example, for all."""
    return tensor[:1].expand(tensor.shape)


PLACES = {function.__name__: function for function in (gaps, offset, negated, flagged, turned, expanded)}


def memory(tensor):
    """All of the memory that a tensor lies in, as numbers, and which of them are its own."""
    storage = torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(tensor.untyped_storage())
    own = torch.zeros_like(storage, dtype=torch.bool)
    own.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset()).fill_(True)
    return storage, own


def leaf(tensor):
    """The same tensor, in the same place, for a gradient of its own."""
    return tensor.detach().requires_grad_()


def call(backend, made, training, activation=None, second=True):
    """y, the gradients, the running statistics afterwards and, if asked for, gradients of the gradient of x."""
    x, residual, weight, bias = leaves = [leaf(made[name]) for name in NAMES[:4]]
    running = [made[name] for name in RUNNING]
    y = batch_norm_act(
        x, *running, weight, bias, training, 0.25, EPS, activation=activation, residual=residual, backend=backend
    )
    dy = leaf(made["dy"])
    gradients = torch.autograd.grad(y, leaves, dy, create_graph=second)
    seconds = torch.autograd.grad(gradients[0].square().sum(), [dy, x]) if second else []
    return [t.detach().double().cpu() for t in (y, *gradients, *running, *seconds)]


def check(backend, made, training, activation, tolerance, second=True):
    """Compare with Algorithm 1 in float64 on copies without gaps; no memory may change but the running statistics'."""
    copies = {name: t.double().clone(memory_format=torch.contiguous_format) for name, t in made.items()}
    want = call("reference", copies, training, activation, second)
    before = {name: memory(t)[0].clone() for name, t in made.items()}
    got = call(backend, made, training, activation, second)
    for name, old in before.items():
        storage, own = memory(made[name])
        rest = ~own if training and name in RUNNING else torch.ones_like(own)
        assert torch.equal(storage[rest].view(torch.uint8), old[rest].view(torch.uint8)), name
    close(got, want, tolerance, terms([made[name] for name in NAMES], training, residual=True))


@modes
@ways
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_each_operand_in_each_place(name, place, backend, schedule, training, monkeypatch):
    if training and name in RUNNING and place == "expanded":
        pytest.skip("refused: see below")
    choose(schedule, monkeypatch)
    torch.manual_seed(0)
    made = dict(zip(NAMES, inputs((6, 5, 3)), strict=True))
    made[name] = PLACES[place](made[name])
    check(backend, made, training, "relu", 2 * TOLERANCE[torch.float32])


@hypothesis_settings(max_examples=25)
@given(st.data())
def test_all_operands_in_any_places(data):
    draw = data.draw
    dtype = draw(st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))
    shape = (draw(st.integers(2, 9)), draw(st.integers(1, 18)), *draw(st.lists(st.integers(1, 4), max_size=2)))
    training = draw(st.booleans())
    torch.manual_seed(draw(st.integers(0, 99)))
    made = dict(zip(NAMES, inputs(shape, dtype), strict=True))
    for name in NAMES:
        if name not in ("x", "residual", "dy"):
            made[name] = made[name].to(draw(st.sampled_from([dtype, torch.float32])))
        written = training and name in RUNNING
        place = draw(st.sampled_from([None, *(place for place in PLACES if not (written and place == "expanded"))]))
        made[name] = PLACES[place](made[name]) if place else made[name]
    with pytest.MonkeyPatch.context() as patch:
        choose(draw(st.sampled_from(SCHEDULES)), patch)
        check("triton", made, training, None, 4 * TOLERANCE[dtype], second=False)


@ways
@pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
@pytest.mark.parametrize("residual", [False, True], ids=["alone", "residual"])
def test_finite_differences_through_views(residual, backend, schedule, training, monkeypatch):
    """Of both orders, with respect to the larger tensors, and with upstream gradients that have gaps."""
    choose(schedule, monkeypatch)
    torch.manual_seed(2)
    x, r, w, b, mean, var, _ = inputs((3, 2, 2), torch.float64)

    def function(x, w, b, *r):
        running = gaps(mean), negated(var)
        r = turned(*r) if r else None
        return batch_norm_act(x[..., 1], *running, w[..., 1], b.expand(2), training, residual=r, backend=backend)

    leaves = [leaf(t) for t in (surrounded(x), surrounded(w), b[:1], *([r] if residual else []))]
    assert gradcheck(function, leaves, fast_mode=True)
    assert gradgradcheck(function, leaves, fast_mode=True, gen_non_contig_grad_outputs=True)


@pytest.mark.parametrize("backend", ["torch", "triton", "reference"])
@pytest.mark.parametrize("compiler", ["aot_eager", "inductor"])
def test_compiled_calls_take_any_strides(backend, compiler):
    torch.manual_seed(3)
    x, r, w, b, mean, var, dy = inputs((6, 3, 4, 5))
    columns = [torch.stack([t, t], 1) for t in (w, b, mean, var)]
    results = []
    for function in (torch.compile(batch_norm_act, fullgraph=True, backend=compiler), batch_norm_act):
        torch._dynamo.reset()
        mine = [t.clone() for t in columns]
        leaves = [leaf(t) for t in (turned(x), mine[0][:, 0], mine[1][:, 0])]
        running = mine[2][:, 0], mine[3][:, 0]
        y = function(leaves[0], *running, *leaves[1:], True, residual=r.expand_as(x), backend=backend)
        results.append([y, *torch.autograd.grad(y, leaves, turned(dy)), *mine])
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


# ---- Memory that is shared ------------------------------------------------------------------------------------------


def shared(case):
    """Operands of a call in training, some in the same memory; and what the complaint names."""
    x, w, mean, var = torch.rand(4, 5, 2, device=DEVICE), *torch.rand(3, 5, device=DEVICE)
    row = torch.rand(12, device=DEVICE)
    numbers = np.ones(8, np.float32)  # two tensors of torch's that do not know of each other
    return {
        "mean expanded": ((x, row[:1].expand(5), var, w), "one element of running_mean"),
        "var expanded": ((x, mean, row[:1].expand(5), w), "one element of running_var"),
        "the same": ((x, mean, mean, w), "running_mean, which is written to, and of running_var"),
        "neighbours": ((x, row[:5], row[4:9], w), "running_mean, which is written to, and of running_var"),
        "every second": ((x, row[:9:2], row[2:11:2], w), "running_mean, which is written to, and of running_var"),
        "weight": ((x, mean, var, var[:]), "running_var, which is written to, and of weight"),
        "input": ((x, mean, x[3, :, 1], w), "running_var, which is written to, and of the input"),
        "types": ((x, row[:5], row[2:7].view(torch.int32).view(torch.float32), w), "and of running_var"),
        "numpy": ((x, torch.from_numpy(numbers)[:5], torch.from_numpy(numbers)[3:], w), "and of running_var"),
    }[case]


@pytest.mark.parametrize("backend", ["torch", "triton", "reference"])
@pytest.mark.parametrize(
    "case",
    ["mean expanded", "var expanded", "the same", "neighbours", "every second", "weight", "input", "types", "numpy"],
)
def test_memory_written_to_twice_is_refused(case, backend):
    (x, mean, var, w), complaint = shared(case)
    if case == "numpy" and DEVICE == "cuda":
        pytest.skip("NumPy's memory is not the GPU's")
    before = [t.clone() for t in (x, mean, var, w)]
    with pytest.raises(RuntimeError, match=rf"unsupported operation: .* {complaint}.* Please clone\(\)"):
        batch_norm(x, mean, var, w, training=True, backend=backend)
    assert all(torch.equal(t, old) for t, old in zip((x, mean, var, w), before, strict=True))
    want = batch_norm(*before, backend="reference")  # where nothing is written, nothing is wrong with it
    torch.testing.assert_close(batch_norm(x, mean, var, w, backend=backend), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", ["torch", "triton", "reference"])
def test_neighbours_in_one_tensor_are_not_refused(backend):
    torch.manual_seed(4)
    x = torch.randn(4, 5, 6, device=DEVICE)
    table = torch.rand(5, 4, device=DEVICE)
    old, twins = table.clone(), [column.clone() for column in table.T]
    inner = torch.cat([x, table.T[:, :, None].expand(4, 5, 2)], 2)  # the statistics between the rows of the input
    y = batch_norm(x, *table.T[:2], *table.T[2:], training=True, backend=backend)
    want = batch_norm(x, *twins, training=True, backend="reference")
    torch.testing.assert_close([y, *table.T], [want, *twins], rtol=1e-4, atol=1e-5)
    assert torch.equal(table[:, 2:], old[:, 2:])
    y = batch_norm(inner[..., :6], inner[0, :, 6], inner[1, :, 7], training=True, backend=backend)
    want = batch_norm(x, *old.T[:2].clone(), training=True, backend="reference")
    torch.testing.assert_close(y, want, rtol=1e-4, atol=1e-5)
    assert torch.equal(inner[..., :6], x)


@pytest.mark.parametrize("backend", ["torch", "triton"])
def test_an_operand_of_inference_mode_is_refused_before_the_statistics_move(backend):
    with torch.inference_mode():
        w = torch.ones(5, device=DEVICE)
    x = torch.randn(4, 5, device=DEVICE)
    mean, var = torch.zeros(5, device=DEVICE), torch.ones(5, device=DEVICE)
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        batch_norm(leaf(x), mean, var, w, training=True, backend=backend)
    assert mean.eq(0).all() and var.eq(1).all()
    with torch.no_grad():
        batch_norm(x, mean, var, w, training=True, backend=backend)
    assert mean.ne(0).all()


# ---- The operators, called directly ---------------------------------------------------------------------------------


def operands(shape=(4, 3, 5, 2), dtype=torch.float32, layout=lambda tensor: tensor):
    """Those of the three operators, every one where `layout` puts it."""
    x, r, w, b, mean, var, dy = inputs(shape, dtype)
    _, mu, rstd, bits = ops.training(x, None, None, w, b, r, 0.1, EPS, True)
    made = {"x": x, "running_mean": mean, "running_var": var, "weight": w, "bias": b, "residual": r}
    after = {"dy": dy, "x": x, "weight": w, "bias": b, "mean": mu, "rstd": rstd, "bits": bits}
    return [{name: layout(t) for name, t in tensors.items()} for tensors in (made, after)]


CALLS = {
    "training": lambda made, _: ops.training(**made, momentum=0.25, eps=EPS, relu=True),
    "inference": lambda made, _: ops.inference(**made, eps=EPS, relu=True, keep_bits=True),
    "backward": lambda _, made: ops.backward(**made, eps=EPS, relu=True, training=True, residual=True),
}


@pytest.mark.parametrize("layout", [gaps, offset, turned, negated, flagged])
@pytest.mark.parametrize("operator", CALLS)
def test_operators_take_any_strides(operator, layout, monkeypatch):
    for schedule in ("resident", "window"):
        choose(schedule, monkeypatch)
        torch.manual_seed(5)
        plain = operands()
        torch.manual_seed(5)
        placed = operands(layout=layout)
        want, got = CALLS[operator](*plain), CALLS[operator](*placed)
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
        for name in RUNNING:
            torch.testing.assert_close(placed[0][name], plain[0][name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", [gaps, offset, turned])
def test_operators_keep_their_contracts_in_any_layout(layout):
    torch.manual_seed(6)
    forward, after = operands(layout=layout)
    settings = {"momentum": 0.1, "eps": 1e-5, "relu": True}
    torch.library.opcheck(ops.training, (), forward | settings)
    torch.library.opcheck(ops.inference, (), forward | {"eps": 1e-5, "relu": True, "keep_bits": True})
    for name in ("dy", "x", "weight"):
        after[name] = leaf(after[name])
    settings = {"eps": 1e-5, "relu": True, "training": True, "residual": True}
    torch.library.opcheck(ops.backward, (), after | settings)


def test_gradients_of_the_operator_for_gradients_take_any_strides():
    for layout in (gaps, turned, offset):
        seconds = []
        for place in (lambda tensor: tensor, layout):
            torch.manual_seed(7)
            made = operands(dtype=torch.float64, layout=place)[1]
            leaves = [made[name].requires_grad_() for name in ("dy", "x", "weight")]
            outputs = CALLS["backward"](None, made)
            ups = [place(torch.randn(t.shape, dtype=t.dtype, device=t.device)) for t in outputs]
            seconds.append(torch.autograd.grad(outputs, leaves, ups))
        torch.testing.assert_close(*seconds)


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 4), (4, 3, 0), (4, 0), (4, 0, 3)], ids=str)
def test_operators_take_empty_tensors(shape):
    x, r, w, b, mean, var, dy = inputs(shape)
    twins = mean.clone(), var.clone()
    y, mu, rstd, bits = ops.training(x, mean, var, w, b, r, 0.25, EPS, True)
    assert (y.shape, mu.shape, rstd.shape, bits.shape) == (shape, mean.shape, mean.shape, (0,))
    assert mu.eq(0).all() and rstd.eq(EPS**-0.5).all()
    torch.testing.assert_close((mean, var), twins, rtol=0, atol=0)
    y, mu, rstd, bits = ops.inference(x, mean, var, w, b, r, EPS, True, True)
    torch.testing.assert_close((y, mu, rstd), (x, mean, (var + EPS).rsqrt()))
    dx, dw, db, dz = ops.backward(leaf(dy), leaf(x), w, b, mu, rstd, bits, EPS, True, True, True)
    assert dx.shape == dz.shape == shape and dw.eq(0).all() and db.eq(0).all()
    assert torch.autograd.grad(dx.sum() + dz.sum(), dx)[0].shape == shape
    forward = {"x": x, "running_mean": mean, "running_var": var, "weight": w, "bias": b, "residual": r}
    torch.library.opcheck(ops.training, (), forward | {"momentum": 0.1, "eps": 1e-5, "relu": True})


V = torch.ones(3)
REFUSED = {  # operator, argument, what it is instead, type of error, what is said
    "x shape": ("training", "x", torch.ones(3), RuntimeError, r"x must have shape \(N, C\) or .*shape is \(3,\)"),
    "x dtype": ("training", "x", torch.ones(4, 3, dtype=torch.int64), NotImplementedError, "x must .*torch.int64"),
    "x float8": ("inference", "x", torch.ones(4, 3).to(torch.float8_e5m2), NotImplementedError, "x .*float8_e5m2"),
    "one value": ("training", "x", torch.ones(1, 3), ValueError, "more than 1 value per channel"),
    "mean": ("training", "running_mean", torch.ones(2), RuntimeError, r"running_mean should .* 3 .* \(2,\)"),
    "var": ("inference", "running_var", torch.ones(3, 1), RuntimeError, r"running_var should .* 3 .* \(3, 1\)"),
    "mean only": ("training", "running_var", None, ValueError, "running_var is None"),
    "mean dtype": ("inference", "running_mean", V.double(), RuntimeError, "running_mean must .*float32.*float64"),
    "mean expanded": ("training", "running_mean", V[:1].expand(3), RuntimeError, "unsupported operation.*running_mean"),
    "weight": ("training", "weight", torch.ones(1), RuntimeError, r"weight should .* 3 .* \(1,\)"),
    "weight device": ("training", "weight", V.to("meta"), RuntimeError, "weight must be on .*, but it is on meta"),
    "bias": ("inference", "bias", torch.ones(4), RuntimeError, r"bias should .* 3 .* \(4,\)"),
    "residual": ("training", "residual", torch.ones(4, 3), RuntimeError, r"residual must match .* \(4, 3\)"),
    "dy": ("backward", "dy", torch.ones(3, 3, 5, 2), RuntimeError, r"dy must match .* \(3, 3, 5, 2\)"),
    "dy dtype": ("backward", "dy", torch.ones(4, 3, 5, 2).half(), RuntimeError, "dy must match .*float16"),
    "mu": ("backward", "mean", torch.ones(2), RuntimeError, r"mean should .* 3 .* \(2,\)"),
    "rstd dtype": ("backward", "rstd", V.bfloat16(), RuntimeError, "rstd must have dtype torch.float32, .*bfloat16"),
    "bits": ("backward", "bits", torch.ones(7, dtype=torch.uint8), RuntimeError, r"\(0,\) or \(36,\), .* \(7,\)"),
    "bits dtype": ("backward", "bits", torch.ones(36), RuntimeError, "bits must have dtype torch.uint8.*float32"),
}


@pytest.mark.parametrize(("operator", "name", "wrong", "error", "said"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("fake", [False, True], ids=["real", "meta"])
def test_operators_refuse_what_the_kernels_would_misread(operator, name, wrong, error, said, fake):
    forward, after = operands()
    made = after if operator == "backward" else forward
    if isinstance(wrong, torch.Tensor) and wrong.device.type != "meta":
        wrong = wrong.to(DEVICE)
    made[name] = wrong
    if fake and ("device" in said or "meta" in said or "unsupported" in said):
        pytest.skip("of a tensor without memory there is nothing to say")
    if fake:
        forward, after = ({k: t if t is None else t.to("meta") for k, t in d.items()} for d in (forward, after))
    before = [None if t is None else t.clone() for t in made.values()]
    with pytest.raises(error, match=said):
        CALLS[operator](forward, after)
    for tensor, old in zip(made.values(), before, strict=True):
        assert tensor is None or tensor.device.type == "meta" or torch.equal(tensor, old)


def test_bits_without_relu_are_refused():
    made = operands()[1]
    with pytest.raises(RuntimeError, match=r"bits must have shape \(0,\) where relu is False, .*\(36,\)"):
        ops.backward(**made, eps=EPS, relu=False, training=True, residual=True)


@pytest.mark.skipif(DEVICE == "cuda", reason="the kernels run on a GPU")
def test_kernels_on_the_cpu_need_the_interpreter(monkeypatch):
    forward, after = operands()
    before = forward["running_mean"].clone()
    monkeypatch.setattr(triton.knobs.runtime, "interpret", False)
    for operator in CALLS.values():
        with pytest.raises(RuntimeError, match="need tensors on a CUDA device or TRITON_INTERPRET=1, but x is on cpu"):
            operator(forward, after)
    assert torch.equal(forward["running_mean"], before)
