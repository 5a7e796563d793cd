"""The two ways to the kernels: by torch's operators where a call is watched, past them where it is not."""

import copy

import pytest
import torch
from test_as_torch import SHAPES, changes, fitting
from test_functional import DEVICE, EPS, by_operators, fused, inputs
from test_operands import PLACES, RUNNING, leaf, shared
from torch import fx, nn
from torch.autograd import forward_ad
from torch.autograd.graph import saved_tensors_hooks
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

import bn
from bn import functional, launch, operands, ops
from bn.functional import batch_norm, batch_norm_act

pytestmark = pytest.mark.usefixtures("quick_interpreter")
modes = pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])


class Seen(TorchDispatchMode):
    """Writes down the operators that are called."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.namespace == "bn":
            self.names.append(function._opname)
        return function(*args, **kwargs or {})


@pytest.fixture
def dispatched(monkeypatch):
    """The operators of ours that are called, though no mode looks."""
    names = []
    for name in ("training", "inference", "backward"):
        call = getattr(torch.ops.bn, name)
        monkeypatch.setattr(torch.ops.bn, name, lambda *a, n=name, f=call: (names.append(n), f(*a))[1])
    return names


def passed(made, training, activation="relu", residual=True, wanted=(True,) * 4):
    """y, the gradients that are wanted and the running statistics afterwards, by the kernels."""
    x, r, w, b, mean, var, dy = made
    mean, var = mean.clone(), var.clone()
    leaves = [
        None if t is None else t.detach().requires_grad_(need) for t, need in zip((x, r, w, b), wanted, strict=True)
    ]
    y = batch_norm_act(
        leaves[0], mean, var, *leaves[2:], training, 0.1, EPS,
        activation=activation, residual=leaves[1] if residual else None, backend="triton",
    )  # fmt: skip
    asked = [t for i, t in enumerate(leaves) if t is not None and t.requires_grad and (residual or i != 1)]
    return [y.detach(), *(torch.autograd.grad(y, asked, dy) if asked else []), mean, var]


def same(found, wanted):
    """Equal to the bit, and laid out alike."""
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert [t.stride() for t in found] == [t.stride() for t in wanted]


# ---- The same results ------------------------------------------------------------------------------------------------


@fused
@modes
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
def test_both_ways_give_the_same_bits(dtype, last, training, activation, residual, dispatched, monkeypatch):
    torch.manual_seed(0)
    made = inputs((9, 3, 4, 3), dtype, channels_last=last)
    found = passed(made, training, activation, residual)
    assert not dispatched
    by_operators(monkeypatch)
    same(found, passed(made, training, activation, residual))
    assert dispatched == ["training" if training else "inference", "backward"]


@modes
def test_both_ways_give_the_same_bits_without_gradients(training, dispatched, monkeypatch):
    made, found = inputs((9, 3, 4, 3)), []
    for _ in range(2):
        found.append(passed(made, training, wanted=(False,) * 4))
        with torch.inference_mode():
            found.append(passed(made, training, wanted=(False,) * 4))
        by_operators(monkeypatch)
    for other in found[1:]:
        same([t.clone() for t in other], found[0])
    assert len(dispatched) == 2


@modes
def test_what_is_differentiated_again_goes_by_the_operator(training, dispatched):
    x, _, w, b, mean, var, dy = inputs((5, 3, 2), torch.float64)
    leaves = [leaf(t) for t in (x, w, b)]
    y = batch_norm_act(leaves[0], mean, var, *leaves[1:], training, backend="triton")
    first = torch.autograd.grad(y, leaves, dy, create_graph=True)
    assert dispatched == ["backward"] and all(g.requires_grad for g in first[:2])


@pytest.mark.parametrize(
    "wanted", [(True, False, True, True), (False, True, False, False), (False, False, True, False)]
)
def test_no_gradient_is_made_for_a_residual_that_needs_none(wanted, monkeypatch):
    made, asked = inputs((5, 3, 2)), []
    call = launch.backward
    monkeypatch.setattr(launch, "backward", lambda *a: (asked.append(a[-1] is not None), call(*a))[1])
    every = passed(made, True)[1:5]
    found = passed(made, True, wanted=wanted)[1:-2]
    assert asked == [True, wanted[1]]
    torch.testing.assert_close(found, [g for g, need in zip(every, wanted, strict=True) if need])


# ---- Past the operators: each thing once, and nothing that autograd does not know of ---------------------------------


def test_ordinary_operands_are_looked_at_once(monkeypatch):
    """Not one of the checks is made, in the function or in the operators; where one operand is odd, all are."""
    calls = []
    for name in ("check_input", "check_vector", "check_apart", "check_like"):
        check = getattr(operands, name)
        monkeypatch.setattr(operands, name, lambda *a, f=check, n=name: (calls.append(n), f(*a))[1])
    made = inputs((5, 3, 2))
    for training in (True, False):
        passed(made, training)
        batch_norm_act(*made[:1], *made[4:6], *made[2:4], training, residual=made[1])
    assert not calls
    made[4] = torch.stack([made[4], made[4]], 1)[:, 0]
    batch_norm_act(*made[:1], *made[4:6], *made[2:4], True, residual=made[1])
    assert {"check_input", "check_vector", "check_apart", "check_like"} == {*calls}


def test_autograd_knows_what_has_changed():
    x, _, w, b, mean, var, _ = inputs((5, 3, 2))
    before = mean._version, var._version
    batch_norm(x, mean, var, w, b, training=True, backend="triton")
    assert (mean._version, var._version) > before
    y = (kept := leaf(mean) * 1).sum() * 0 + batch_norm(leaf(x), None, None, w, b, True, backend="triton").sum()
    assert kept is not None and y.requires_grad
    leaves = [leaf(x) * 1, leaf(w) * 1]
    y = batch_norm(leaves[0], mean, var, leaves[1], b, training=True, backend="triton")
    leaves[1].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_hooks_see_what_is_kept_and_may_replace_it():
    made, packed = inputs((5, 3, 2)), []
    want = passed(made, True)
    with saved_tensors_hooks(lambda t: (packed.append(t), t.double())[1], lambda t: t.to(torch.float32)):
        found = passed(made, True, activation=None, residual=False)
    assert len(packed) == 5
    same(found, passed(made, True, activation=None, residual=False))
    assert len(want) == 7
    too_little = saved_tensors_hooks(lambda t: t, lambda t: t[:1])  # for the kernels, which do not look
    with too_little, pytest.raises(RuntimeError, match=r"dy must match|should contain|bits must have"):
        passed(made, True)


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing(reentrant, dispatched):
    made = inputs((5, 3, 2))
    x, r, w, b, mean, var, dy = made

    def block(x, r, w, b):
        running = mean.clone(), var.clone()
        return batch_norm_act(x, *running, w, b, True, 0.1, EPS, residual=r, backend="triton")

    leaves = [leaf(t) for t in (x, r, w, b)]
    checkpoint(block, *leaves, use_reentrant=reentrant).backward(dy)
    same([t.grad for t in leaves], passed(made, True)[1:5])
    assert not dispatched


def test_a_checkpoint_may_be_made_again_under_a_mode():
    """What is kept is the same by both ways, or torch.utils.checkpoint would complain."""
    for residual in (True, False):
        x, r, w, b, mean, var, dy = inputs((5, 3, 2))
        leaves = [leaf(t) for t in (x, r, w, b)]

        def block(x, r, w, b, mean=mean, var=var, residual=residual):
            running = mean.clone(), var.clone()
            return batch_norm_act(x, *running, w, b, True, 0.1, EPS, residual=r if residual else None, backend="triton")

        y = checkpoint(block, *leaves, use_reentrant=False)
        with Seen() as seen:
            y.backward(dy)
        assert seen.names == ["training", "backward"]


# ---- Where somebody watches ------------------------------------------------------------------------------------------


class Nothing(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **kwargs or {})


def under(context):
    def watch(look):
        with context():
            look()

    return watch


WATCHERS = {
    "compile": lambda look: torch.compile(lambda: look(), backend="eager")(),
    "trace": lambda look: torch.jit.trace(lambda x: (look(), x + 1)[1], (torch.ones(1),), check_trace=False),
    "fx": lambda look: fx.Tracer().trace(lambda x: (look(), x)[1]),
    "vmap": lambda look: torch.vmap(lambda x: (look(), x)[1])(torch.ones(1)),
    "grad": lambda look: torch.func.grad(lambda x: (look(), x)[1])(torch.ones(())),
    "functionalize": lambda look: torch.func.functionalize(lambda x: (look(), x)[1])(torch.ones(1)),
    "make_fx": lambda look: make_fx(lambda x: (look(), x + 1)[1])(torch.ones(1)),
    "make_fx before dispatch": lambda look: make_fx(lambda x: (look(), x + 1)[1], pre_dispatch=True)(torch.ones(1)),
    "fake": under(torch._subclasses.FakeTensorMode),
    "operators": under(Seen),
    "functions": under(Nothing),
    "device": under(lambda: torch.device("cpu")),
    "flops": under(lambda: FlopCounterMode(display=False)),
    "forward mode": under(forward_ad.dual_level),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("watch", WATCHERS.values(), ids=WATCHERS)
def test_who_watches(watch):
    found = []
    watch(lambda: found.append(operands.is_watched()))
    assert found and all(found)
    assert not operands.is_watched()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), saved_tensors_hooks(lambda t: t, lambda t: t):
        assert not operands.is_watched()


@modes
def test_a_mode_sees_the_operators(training):
    made = inputs((5, 3, 2))
    want = passed(made, training)
    with Seen() as seen:
        same(passed(made, training), want)
    assert seen.names == ["training" if training else "inference", "backward"]
    y = batch_norm(leaf(made[0]), *made[4:6], training=training, backend="triton")
    with Seen() as seen:  # the forward pass was not watched
        y.sum().backward()
    assert seen.names == ["backward"]


def test_a_graph_has_the_operators():
    x, _, w, b, mean, var, _ = inputs((5, 3, 2))
    graph = make_fx(lambda x: batch_norm_act(x, mean, var, w, b, True, backend="triton"))(x).graph
    assert [node.target for node in graph.nodes if "bn." in str(node.target)] == [torch.ops.bn.training.default]


class Marked(torch.Tensor):
    """A tensor of a class of its own."""


def test_a_tensor_of_another_class_goes_by_the_operators(dispatched):
    x, _, w, b, mean, var, _ = inputs((5, 3, 2))
    for given in ((x.as_subclass(Marked), w), (x, w.as_subclass(Marked))):
        batch_norm(given[0], mean, var, given[1], b, training=True, backend="triton")
    assert {*dispatched} == {"training"}
    dispatched.clear()
    batch_norm(nn.Parameter(x), mean, var, nn.Parameter(w), b, training=True, backend="triton")
    assert not dispatched


def test_layers_take_the_kernels_past_the_operators(dispatched, monkeypatch):
    monkeypatch.setattr(functional, "_suits", lambda x: True)
    layer = bn.BatchNorm1d(3, activation="relu").to(DEVICE)
    twin, x = copy.deepcopy(layer), torch.randn(6, 3, device=DEVICE)
    for module in (layer, twin):
        module(x).sum().backward()
        module.eval()(x)
        by_operators(monkeypatch)
    same([p.grad for p in layer.parameters()], [p.grad for p in twin.parameters()])
    same([*layer.buffers()], [*twin.buffers()])
    assert dispatched == ["training", "backward", "inference"]


# ---- At a glance -----------------------------------------------------------------------------------------------------


def glance(arguments):
    """Whether operands are called ordinary; where they are, every check must pass."""
    x, training = arguments["input"], arguments["training"]
    vectors = [arguments[name] for name in (*RUNNING, "weight", "bias")]
    residual = arguments.get("residual")
    ordinary = operands.are_ordinary(x, *vectors, residual, training)
    if ordinary:
        functional._check(x, *vectors, training, residual)
        if training and vectors[0] is not None:
            read = {"the input": x, "weight": vectors[2], "bias": vectors[3], "residual": residual}
            operands.check_apart(dict(zip(RUNNING, vectors, strict=False)), read)
            assert not any(t.is_neg() for t in vectors[:2])
        ops._check_forward(x, *vectors, residual, training)
    return ordinary


@modes
def test_nothing_that_a_check_refuses_is_ordinary(training):
    """All the cases that are refused elsewhere, and many that are not."""
    found = []
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        for shape in SHAPES:
            fit = fitting(torch.ones(shape).to(dtype), training)
            cases = [fit, *(changes(fit) if len(shape) > 1 else ())]
            cases += [
                fit | {"residual": other}
                for other in (torch.ones(shape).to(dtype), torch.ones(4, 1), torch.ones(shape))
            ]
            found += [glance(case) for case in cases if torch.is_tensor(case["input"])]
    assert 0.1 < sum(found) / len(found) < 0.9


CASES = ["mean expanded", "var expanded", "the same", "neighbours", "every second", "weight", "input", "types", "numpy"]


@pytest.mark.parametrize("case", CASES)
def test_nothing_that_shares_memory_is_ordinary(case):
    (x, mean, var, w), _ = shared(case)
    given = {"input": x, "running_mean": mean, "running_var": var, "weight": w, "bias": None}
    assert not glance(given | {"training": True})
    for residual in (mean.expand(4, 5)[:, :, None].expand(4, 5, 2), x):
        assert not glance(given | {"training": True, "residual": residual})
    clones = {name: t if t is None else t.clone() for name, t in given.items()}
    assert glance(clones | {"training": True})
    assert not glance(clones | {"training": True, "residual": clones["running_var"][:, None].expand(4, 5, 2)})


@modes
@pytest.mark.parametrize("place", PLACES)
def test_what_lies_elsewhere_is_ordinary_only_where_it_may(place, training):
    x, r, w, b, mean, var, _ = inputs((6, 5, 3))
    given = {"input": x, "residual": r, "running_mean": mean, "running_var": var, "weight": w, "bias": b}
    assert glance(given | {"training": training})
    for name in given:
        placed = given | {name: PLACES[place](given[name]), "training": training}
        if not (training and name in RUNNING and place == "expanded"):
            glance(placed)
    with forward_ad.dual_level():
        assert not glance(given | {"training": training})
