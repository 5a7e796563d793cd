"""What torch does with its own BatchNorm layers, it does with ours: the same graphs, the same numbers, the same state.

Each test holds a layer or a network of torch's against a copy in which the layers are ours, and compares to the bit
where nothing else is said.
"""

import copy
import inspect
import io
import os
import pickle
import re
import shutil
import subprocess
import sys
from functools import cache, partial

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from networks import Residual, torchvision_models
from torch import fx, nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn.utils import parametrize, prune
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.checkpoint import checkpoint

import bn
from bn.layers import become

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch.jit is, and it is still met
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),  # the checks are traced too, as torch's are
]

SHAPES = {nn.BatchNorm1d: (5, 3), nn.BatchNorm2d: (5, 3, 4, 2), nn.BatchNorm3d: (5, 3, 2, 2, 2)}
OURS = {theirs: getattr(bn, theirs.__name__) for theirs in SHAPES}
OPTIONS = [{}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}, {"eps": 0.1, "momentum": 0.3}]
if "bias" in inspect.signature(nn.BatchNorm1d).parameters:  # newer than the oldest torch that bn runs on
    OPTIONS.append({"bias": False})

each_class = pytest.mark.parametrize("theirs", SHAPES, ids=lambda cls: cls.__name__)
each_option = pytest.mark.parametrize("options", OPTIONS, ids=str)
both_modes = pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])

same = partial(torch.testing.assert_close, rtol=0, atol=0)


def twin(net, activation=None):
    """A copy of a network in which each layer of torch's is ours, by its class alone."""
    net = copy.deepcopy(net)
    for layer in net.modules():
        if type(layer) in OURS:
            become(layer, OURS[type(layer)], **({"activation": activation} if activation else {}))
    return net


def pair(theirs, training=True, **options):
    """A layer of torch's with random parameters and statistics, and ours with the same."""
    layer = theirs(3, **options).train(training)
    with torch.no_grad():
        for tensor in (*layer.parameters(), *layer.buffers()):
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 2)
    return layer, twin(layer)


def with_state(net, *found):
    return [*found, dict(net.state_dict())]


def has_a_count_to_divide_by(training, options):
    """Whether a call divides by the number of mini-batches: a number that a graph, or vmap, cannot know."""
    return training and "momentum" in options and options["momentum"] is None


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


# ---- torch.fx and what stands on it -------------------------------------------------------------------------------


@cache
def built(name):
    return getattr(torchvision_models(), name)(weights=None)


def networks(name):
    """A network of torchvision's, its copy with our layers, and an input."""
    net = copy.deepcopy(built(name))
    return net, twin(net), torch.randn(3, 3, 32, 32)


def modes(net, x):
    """Outputs in training and in inference, and the state after both; dropout draws the same each time."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        return with_state(net, net.train()(x), net.eval()(x))


def nodes(graph):
    """What the nodes of a graph are and where they come from; the class of a module alone may differ."""
    where = [list(node.meta.get("nn_module_stack", ())) for node in graph.nodes]
    return str(graph), [node.name for node in graph.nodes], where


@pytest.mark.parametrize("name", ["resnet18", "shufflenet_v2_x0_5"])
def test_a_network_traces_to_the_same_graph_with_the_same_numbers(name):
    first, second, x = networks(name)
    traced = [fx.symbolic_trace(net) for net in (first, second)]
    assert nodes(traced[0].graph) == nodes(traced[1].graph)
    assert traced[0].code == traced[1].code
    want = modes(copy.deepcopy(first), x)
    again = fx.symbolic_trace(traced[1])
    assert str(again.graph) == str(traced[1].graph)
    for net in (copy.deepcopy(traced[1]), pickle.loads(pickle.dumps(traced[1])), again):
        same(modes(net, x), want)


def test_torchvision_extracts_the_same_features_by_the_same_names():
    first, second, x = networks("shufflenet_v2_x0_5")
    extraction = pytest.importorskip("torchvision.models.feature_extraction")
    names = extraction.get_graph_node_names(first)
    assert extraction.get_graph_node_names(second) == names
    extractors = [extraction.create_feature_extractor(net, names[0][1:]) for net in (first, second)]
    same(*[modes(extractor, x) for extractor in extractors])


class Uses(nn.Module):
    """A layer in all the ways to call it, two of them with a number that is known when it is traced."""

    def __init__(self, layer):
        super().__init__()
        self.bn, self.shift = layer, nn.Parameter(torch.randn(5, 3))
        self.register_buffer("ones", torch.ones(5, 3))

    def forward(self, x):
        y = self.bn(self.bn(input=x), residual=x)
        return self.bn(self.ones, residual=y) + self.bn(self.shift, x)


def test_every_call_of_a_layer_is_one_node():
    net = Uses(bn.BatchNorm1d(3, activation="relu"))
    before = copy.deepcopy(net)
    traced = fx.symbolic_trace(net)
    same(net.state_dict(), before.state_dict())
    calls = [node for node in traced.graph.nodes if node.op == "call_module"]
    assert [node.target for node in calls] == ["bn"] * 4
    assert [(len(node.args), list(node.kwargs)) for node in calls] == [
        (0, ["input"]),
        (1, ["residual"]),
        (1, ["residual"]),
        (2, []),
    ]
    x = torch.randn(5, 3)
    same(modes(copy.deepcopy(traced), x), modes(before, x))


def test_a_hook_runs_where_the_graph_runs_and_not_where_it_is_traced():
    first, second = pair(nn.BatchNorm1d)
    x, found = torch.randn(5, 3), []
    for layer in first, second:
        layer.register_forward_hook(lambda module, inputs, output: output * 2)
        layer.register_forward_pre_hook(lambda module, inputs: (inputs[0] + 1,))
        net = nn.Sequential(layer)
        traced = fx.symbolic_trace(net)
        assert len(traced.graph.nodes) == 3
        found.append(with_state(net, traced(x)))
    same(*found)


def test_tools_on_the_graph_pass():
    first = Residual()
    second, x = twin(first), torch.randn(3, 4, 6, 6)
    for net in (second, nn.Sequential(second)):
        traced = fx.symbolic_trace(net)
        want = copy.deepcopy(net)(x)
        same(fx.Interpreter(copy.deepcopy(traced)).run(x), want)
        transformed = fx.Transformer(copy.deepcopy(traced)).transform()
        assert str(transformed.graph) == str(traced.graph)
        same(transformed(x), want)
        ShapeProp(copy.deepcopy(traced)).propagate(x)
    shapes = [fx.symbolic_trace(net) for net in (first, second)]
    for traced in shapes:
        ShapeProp(traced).propagate(x)
    found = [[node.meta["tensor_meta"].shape for node in traced.graph.nodes] for traced in shapes]
    assert found[0] == found[1]


def test_a_tracer_of_another_s_making_sees_a_leaf_too():
    class Enters(fx.Tracer):
        def is_leaf_module(self, m, module_qualified_name):
            return False

    graph = Enters().trace(nn.Sequential(bn.BatchNorm1d(3)))
    assert [node.op for node in graph.nodes] == ["placeholder", "call_module", "output"]
    quantization = pytest.importorskip("torch.ao.quantization.fx.tracer")
    nets = [nn.Sequential(nn.Linear(3, 3), layer) for layer in pair(nn.BatchNorm1d)]
    graphs = [str(quantization.QuantizationTracer([], []).trace(net)) for net in nets]
    assert graphs[0] == graphs[1]


def test_sync_batch_norm_is_one_node_too():
    graphs = [fx.symbolic_trace(nn.Sequential(cls(3), nn.ReLU())).graph for cls in (nn.SyncBatchNorm, bn.SyncBatchNorm)]
    assert nodes(graphs[0]) == nodes(graphs[1])


def test_a_layer_alone_cannot_be_traced_as_torchs_cannot():
    for layer in pair(nn.BatchNorm1d):
        with pytest.raises(fx.proxy.TraceError, match="control flow"):
            fx.symbolic_trace(layer)
    with pytest.raises(NameError, match="not installed as a submodule"):
        fx.symbolic_trace(nn.Sequential(Holder(bn.BatchNorm1d(3))))


class Constant(nn.Module):
    """Calls a layer on what is known when it is traced."""

    def __init__(self, layer):
        super().__init__()
        self.bn = layer
        self.register_buffer("ones", torch.ones(5, 3))

    def forward(self, x):
        return x + self.bn(self.ones)


def test_a_call_on_what_is_known_is_refused_by_the_trace_or_made_at_once():
    net = Constant(bn.BatchNorm1d(3))
    with pytest.raises(
        (fx.proxy.TraceError, TypeError), match=r"control flow|weight must be a tensor or None, but it is"
    ):
        fx.symbolic_trace(net)
    assert net.bn.num_batches_tracked == 0
    graph = fx.symbolic_trace(Constant(bn.BatchNorm1d(3, affine=False).eval())).graph
    assert [node.op for node in graph.nodes] == ["placeholder", "get_attr", "call_function", "output"]


class Holder(nn.Module):
    """Keeps a layer where torch does not look for it."""

    def __init__(self, layer):
        super().__init__()
        self.layers = (layer,)

    def forward(self, x):
        return self.layers[0](x)


@both_modes
def test_make_fx_records_the_same_operations_on_numbers(training):
    first, second = pair(nn.BatchNorm2d, training)
    x = torch.randn(SHAPES[nn.BatchNorm2d])
    graphs = [make_fx(layer)(x).graph for layer in (first, second)]
    kinds = [sorted(str(node.target) for node in graph.nodes if node.op == "call_function") for graph in graphs]
    assert kinds[0] == kinds[1]
    same(second.state_dict(), first.state_dict())


def test_a_graph_that_would_keep_the_count_of_today_is_refused_as_torchs_is():
    for layer in pair(nn.BatchNorm1d, momentum=None):
        with pytest.raises(RuntimeError, match="get value out of a tracing tensor"):
            make_fx(layer)(torch.randn(5, 3))


# ---- TorchScript --------------------------------------------------------------------------------------------------


@each_class
@each_option
@both_modes
def test_a_scripted_layer_equals_torchs(theirs, options, training):
    first, second = pair(theirs, training, **options)
    layers = [torch.jit.script(first), torch.jit.script(second), second]
    for _ in range(3):
        x, dy, found = *torch.randn(2, *SHAPES[theirs]), []
        for layer in layers[:2]:
            leaf = x.clone().requires_grad_()
            y = layer(leaf)
            found.append(with_state(layer, y, *torch.autograd.grad(y, [leaf, *layer.parameters()], dy)))
        same(*found)
    same(layers[0].eval()(x), layers[1].eval()(x))
    file = io.BytesIO()
    torch.jit.save(layers[1], file)
    file.seek(0)
    same(torch.jit.load(file)(x), layers[0](x))


def test_a_scripted_layer_that_keeps_statistics_which_it_does_not_follow():
    layers, x = pair(nn.BatchNorm1d), torch.randn(5, 3)
    for layer in layers:
        layer.track_running_stats = False
    found = []
    for layer in map(torch.jit.script, layers):
        layer(torch.full_like(x, torch.inf))  # 0 of it would be NaN
        found.append(with_state(layer, layer(x), layer.eval()(x)))
    same(*found)


@each_class
@both_modes
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("traced", [False, True], ids=["scripted", "traced"])
def test_torchscript_keeps_activation_and_residual(theirs, training, activation, traced):
    second = twin(pair(theirs, training)[0], activation)
    want, (x, r) = copy.deepcopy(second), torch.randn(2, 7, *SHAPES[theirs][1:])
    compiled = torch.jit.trace(second, (x[:5], r[:5])) if traced else torch.jit.script(second)
    second.load_state_dict(want.state_dict())  # tracing calls the layer
    same(with_state(compiled, compiled(x, r)), with_state(want, want(x, r)))


def test_what_a_scripted_layer_refuses_it_does_not_count():
    layer = torch.jit.script(bn.BatchNorm1d(3, activation="relu"))
    x, before = torch.randn(5, 3), copy.deepcopy(layer.state_dict())
    refused = [(torch.randn(5, 4),), (torch.randn(1, 3),), (torch.randn(5, 3, 2, 2),), (x.long(),)]
    for arguments in (*refused, (x, x[:1]), (x, x[0]), (x, x.double())):
        with pytest.raises((torch.jit.Error, RuntimeError)):
            layer(*arguments)
    same(dict(layer.state_dict()), dict(before))


def test_a_scripted_network_equals_torchs_frozen_too():
    first, second, x = networks("resnet18")
    scripted = [torch.jit.script(net) for net in (first, second)]
    same(*[modes(net, x) for net in scripted])
    frozen = [torch.jit.freeze(net.eval()) for net in scripted]
    same(frozen[1](x), frozen[0](x))
    torch.testing.assert_close(frozen[1](x), second.eval()(x))  # the convolutions have taken the layers in
    fast = [torch.jit.optimize_for_inference(net) for net in frozen]
    assert not [node for node in fast[1].inlined_graph.nodes() if node.kind() == "aten::batch_norm"]
    same(fast[1](x), fast[0](x))


def test_a_traced_network_equals_torchs():
    first, second, x = networks("resnet18")
    nets = [torch.jit.trace(net.eval(), x[:2], check_trace=False) for net in (first, second)]
    same(nets[1](x), nets[0](x))


# ---- torch.export and torch.compile -------------------------------------------------------------------------------


def behind(layer):
    return nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), layer)


def exported(net, x, strict):
    """The program twice run, and where it is strict what becomes of it: outputs, state, and its length."""
    program = torch.export.export(net, (x,), dynamic_shapes=({0: torch.export.Dim("N")},), strict=strict)
    for one in (program, program.run_decompositions(), from_file(program)) if strict else (program,):
        module = one.module()
        yield [module(x[:3]), module(x), dict(module.state_dict()), len(one.graph.nodes)]


def from_file(program):
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    return torch.export.load(file)


@both_modes
@pytest.mark.parametrize(("options", "strict"), [({}, True), *[(options, False) for options in OPTIONS]], ids=str)
def test_an_exported_network_takes_any_batch_and_keeps_its_statistics(options, training, strict):
    layers, x = pair(nn.BatchNorm2d, training, **options), torch.randn(SHAPES[nn.BatchNorm2d])
    conv = nn.Conv2d(3, 3, 3, padding=1)
    nets = [nn.Sequential(conv, layer) for layer in layers]
    if has_a_count_to_divide_by(training, options):
        for net in nets:
            with pytest.raises(Exception, match="data-dependent"):
                torch.export.export(net, (x,))
    else:
        same(*[list(exported(net, x, strict)) for net in nets])


COMPILER = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
NEEDS_COMPILER = pytest.mark.skipif(not COMPILER, reason="there is no C++ compiler")


@pytest.mark.parametrize("backend", ["eager", "aot_eager", pytest.param("inductor", marks=NEEDS_COMPILER)])
@both_modes
def test_a_compiled_network_equals_torchs(backend, training):
    first, second = pair(nn.BatchNorm2d, training)
    second.activation, conv, batch = "relu", nn.Conv2d(3, 3, 3, padding=1), torch.randn(SHAPES[nn.BatchNorm2d])
    nets = nn.Sequential(conv, first, nn.ReLU()), nn.Sequential(conv, second)
    torch._dynamo.reset()
    compiled = torch.compile(nets[1], fullgraph=True, backend=backend)
    for x in (batch, batch[:3]):
        found = []
        for net, call in zip(nets, (nets[0], compiled), strict=True):
            y = call(x)
            gradients = torch.autograd.grad(y.square().sum(), list(net.parameters()))
            found.append([y, *gradients, *net.buffers()])
        torch.testing.assert_close(*found, rtol=1e-5, atol=1e-4)


def test_a_compiled_layer_with_hooks_and_a_count_to_divide_by():
    layer = bn.BatchNorm1d(3, momentum=None)
    layer.register_forward_hook(lambda module, inputs, output: output * 2)
    plain, x = copy.deepcopy(layer), torch.randn(3, 5, 3)
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend="eager")
    for batch in x:
        same(with_state(layer, compiled(batch)), with_state(plain, plain(batch)))


# ---- Forward mode, vmap and torch.func ----------------------------------------------------------------------------


@each_class
@each_option
@both_modes
def test_tangents_are_torchs(theirs, options, training):
    first, second = pair(theirs, training, dtype=torch.float64, **options)
    x, dx = torch.randn(2, *SHAPES[theirs], dtype=torch.float64)
    tangents, found = {name: torch.randn_like(part) for name, part in first.named_parameters()}, []
    for layer in first, second:
        with forward_ad.dual_level():
            parts = {name: forward_ad.make_dual(part, tangents[name]) for name, part in layer.named_parameters()}
            y = functional_call(layer, parts, (forward_ad.make_dual(x, dx),))
            found.append(with_state(layer, *forward_ad.unpack_dual(y)))
    same(*found)


@both_modes
def test_tangents_go_through_activation_and_residual(training):
    first, second = pair(nn.BatchNorm2d, training, dtype=torch.float64)
    second.activation = "relu"
    x, dx, r, dr = torch.randn(4, *SHAPES[nn.BatchNorm2d], dtype=torch.float64)
    with forward_ad.dual_level():
        x, r = forward_ad.make_dual(x, dx), forward_ad.make_dual(r, dr)
        want, found = torch.relu(first(x) + r), second(x, r)
        same(list(forward_ad.unpack_dual(found)), list(forward_ad.unpack_dual(want)))


def over_batches(layer, x):
    return vmap(layer)(torch.stack([x, x + 1, 2 * x]))


def for_each_example(layer, x):
    """The gradients of the parameters for each example of a mini-batch."""
    parts, buffers = dict(layer.named_parameters()), dict(layer.named_buffers())

    def loss(parts, example):
        return functional_call(layer, (parts, buffers), (example[None],)).square().sum()

    return vmap(grad(loss), (None, 0))({name: part.detach() for name, part in parts.items()}, x)


TRANSFORMS = {
    "vmap": over_batches,
    "examples": for_each_example,
    "grad": lambda layer, x: grad(lambda x: layer(x).square().sum())(x),
    "jvp": lambda layer, x: jvp(layer, (x,), (x.cos(),)),
    "jacfwd": lambda layer, x: jacfwd(layer)(x),
    "jacrev": lambda layer, x: jacrev(layer)(x),
    "hessian": lambda layer, x: hessian(lambda x: layer(x).tanh().sum())(x),
    "forward over reverse": lambda layer, x: jvp(grad(lambda x: layer(x).tanh().sum()), (x,), (x.cos(),)),
    "functionalize": lambda layer, x: torch.func.functionalize(layer)(x),
}


@each_class
@each_option
@both_modes
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_transforms_give_and_refuse_what_torchs_do(theirs, options, training, transform):
    first, second = pair(theirs, training, dtype=torch.float64, **options)
    x, before = torch.randn(SHAPES[theirs], dtype=torch.float64), copy.deepcopy(second.state_dict())
    try:
        want = transform(first, x)
    except (RuntimeError, ValueError) as error:  # nearly always a buffer that would change outside of the transform
        with pytest.raises(type(error)):
            transform(second, x)
        same(second.state_dict(), before)
    else:
        same(with_state(second, transform(second, x)), with_state(first, want))


@each_class
@each_option
@both_modes
def test_an_ensemble_equals_its_members(theirs, options, training):
    pairs, x = [pair(theirs, training, **options) for _ in range(3)], torch.randn(SHAPES[theirs])
    found = []
    for members in zip(*pairs, strict=True):
        base, state = copy.deepcopy(members[0]).to("meta"), stack_module_state(members)
        call = vmap(lambda *state, base=base: functional_call(base, state, (x,)))
        if has_a_count_to_divide_by(training, options):
            with pytest.raises(RuntimeError, match="vmap over calling"):
                call(*state)
        else:
            found.append([call(*state), state[1]])
    if found:
        same(*found)
        torch.testing.assert_close(found[1][0], torch.stack([ours(x) for _, ours in pairs]))


# ---- A module like any other --------------------------------------------------------------------------------------


@each_class
@each_option
def test_a_state_dict_is_torchs_with_its_version(theirs, options):
    found = [layer.state_dict() for layer in pair(theirs, **options)]
    assert found[0]._metadata == found[1]._metadata and found[1]._metadata[""]["version"] == 2
    assert list(found[0]) == list(found[1])
    same(*found)


def old(state):
    """A state_dict from before torch counted mini-batches."""
    state = copy.deepcopy(state)
    del state["num_batches_tracked"]
    state._metadata[""]["version"] = 1
    return state


def misspelt(state):
    state = copy.deepcopy(state)
    state["wieght"], state["bias"] = state.pop("weight"), torch.zeros(4)
    return state


@each_class
@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("age", [old, copy.deepcopy])
def test_loading_does_what_torchs_does(theirs, assign, age):
    state, found, texts = age(pair(theirs)[0].state_dict()), [], []
    for layer in pair(theirs):
        layer(torch.randn(SHAPES[theirs], generator=torch.Generator().manual_seed(1)))
        layer.load_state_dict(state, assign=assign)
        assert (layer.running_mean.data_ptr() == state["running_mean"].data_ptr()) == assign
        found.append(copy.deepcopy(layer.state_dict()))
        with pytest.raises(RuntimeError, match="wieght") as error:
            layer.load_state_dict(misspelt(state), assign=assign)
        texts.append(str(error.value))
    same(*found)
    assert texts[0].replace("nn.", "") == texts[1].replace("nn.", "")


def made_late(cls, state, **options):
    """Layers whose memory comes after them, in the ways that torch has."""
    meta = cls(3, device="meta", **options)
    emptied, skipped = copy.deepcopy(meta).to_empty(device="cpu"), nn.utils.skip_init(cls, 3, **options)
    emptied.load_state_dict(state), skipped.load_state_dict(state)
    meta.load_state_dict(copy.deepcopy(state), assign=True)
    return emptied, skipped, meta


@each_class
@each_option
def test_a_layer_may_get_its_memory_later(theirs, options):
    state, x = pair(theirs, **options)[0].state_dict(), torch.randn(SHAPES[theirs])
    found = [
        [with_state(layer, layer(x), layer.eval()(x)) for layer in made_late(cls, state, **options)]
        for cls in (theirs, OURS[theirs])
    ]
    same(*found)
    nowhere = OURS[theirs](3, device="meta", **options)
    assert nowhere.eval()(x.to("meta")).shape == x.shape


@each_class
@both_modes
@pytest.mark.parametrize("cast", ["half", "bfloat16", "double", "float"])
def test_a_cast_layer_equals_torchs(theirs, training, cast):
    layers, x = [getattr(layer, cast)() for layer in pair(theirs, training)], torch.randn(SHAPES[theirs])
    assert layers[1].num_batches_tracked.dtype == torch.long
    found = []
    for layer in layers:
        leaf = getattr(x, cast)().requires_grad_()
        y = layer(leaf)
        found.append(with_state(layer, y, *torch.autograd.grad(y.square().sum(), [leaf, *layer.parameters()])))
    same(*found)


@both_modes
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_memory_format_is_kept(training, memory_format):
    found, x = [], torch.randn(SHAPES[nn.BatchNorm2d]).to(memory_format=memory_format)
    for layer in pair(nn.BatchNorm2d, training):
        y = layer.to(memory_format=memory_format)(x)
        assert y.is_contiguous(memory_format=memory_format)
        found.append(y)
    same(*found)


class Marked(torch.Tensor):
    """A tensor of a class of its own."""


def test_a_subclass_of_tensor_goes_through():
    first, second = pair(nn.BatchNorm1d)
    x = torch.randn(5, 3).as_subclass(Marked)
    found = [layer(x) for layer in (first, second)]
    assert type(found[0]) is type(found[1]) is Marked
    same(*found)


class Square(nn.Module):
    def forward(self, weight):
        return weight.square()


def parametrized(layer):
    parametrize.register_parametrization(layer, "weight", Square())


def pruned(layer):
    prune.l1_unstructured(layer, "weight", 1)
    prune.random_unstructured(layer, "bias", 1)


def pruned_for_good(layer):
    pruned(layer)
    prune.remove(layer, "weight"), prune.remove(layer, "bias")


def frozen_in_part(layer):
    layer.weight.requires_grad_(False)


def hooked(layer):
    layer.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 2,))
    layer.register_forward_hook(lambda module, inputs, kwargs, output: output + len(kwargs), with_kwargs=True)
    layer.register_full_backward_hook(lambda module, into, out: (into[0] * 3,))


CHANGES = [parametrized, pruned, pruned_for_good, frozen_in_part, hooked, lambda layer: layer.share_memory()]


@each_class
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_changed_layer_trains_as_torchs(theirs, change):
    found, (x, dy) = [], torch.randn(2, *SHAPES[theirs])
    for layer in pair(theirs):
        torch.manual_seed(1)
        change(layer)
        optimizer = torch.optim.SGD([part for part in layer.parameters() if part.requires_grad], 0.1)
        for _ in range(2):
            leaf = x.clone().requires_grad_()
            y = layer(leaf)
            y.backward(dy)
            optimizer.step()
            found.append(with_state(layer, y, leaf.grad))
    same(found[2:], found[:2])
    assert all(part.is_shared() for part in layer.parameters()) == (change is CHANGES[-1])


@each_class
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("when", ["constructed", "set"])
def test_copies_and_files_keep_the_activation(theirs, activation, when):
    layer = OURS[theirs](3, activation=activation if when == "constructed" else None)
    layer.activation = activation
    x, file = torch.randn(SHAPES[theirs]), io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    copies = [copy.deepcopy(layer), copy.copy(layer), pickle.loads(pickle.dumps(layer))]
    copies.append(torch.load(file, weights_only=False))
    for found in copies:
        assert type(found) is type(layer) and found.activation == activation
        assert repr(found) == repr(layer)
        same(found.eval()(x), torch.relu(theirs(3).eval()(x)) if activation else theirs(3).eval()(x))


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_does_what_it_does_to_torchs(reentrant):
    first, found = Residual(), []
    for net in (first, twin(first)):
        x = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(1)).requires_grad_()
        y = checkpoint(net, x, use_reentrant=reentrant)
        y.square().sum().backward()
        found.append(with_state(net, y, x.grad, *[part.grad for part in net.parameters()]))
    same(*found)


@pytest.mark.parametrize("theirs", [nn.BatchNorm1d, nn.BatchNorm2d])
def test_torch_folds_our_layer_as_its_own(theirs):
    before = nn.Conv2d(2, 3, 3).eval() if theirs is nn.BatchNorm2d else nn.Linear(2, 3).eval()
    fuse = fuse_conv_bn_eval if theirs is nn.BatchNorm2d else nn.utils.fusion.fuse_linear_bn_eval
    found = [fuse(before, layer).state_dict() for layer in pair(theirs, training=False)]
    same(*found)


@pytest.mark.parametrize("use_buffers", [False, True])
def test_averaged_weights_and_their_statistics_are_torchs(use_buffers):
    first, found = Residual(), []
    for net in (first, twin(first)):
        batches = torch.randn(3, 3, 4, 6, 6, generator=torch.Generator().manual_seed(1))
        averaged = AveragedModel(net, use_buffers=use_buffers)
        for batch in batches:
            net(batch)
            averaged.update_parameters(net)
        update_bn(list(batches), averaged)
        found.append(with_state(averaged, averaged.eval()(batches[0])))
    same(*found)


# ---- The cases of torch's own module tests ------------------------------------------------------------------------


TABLE = """
import sys, types, unittest, torch
sys.modules.setdefault("expecttest", types.ModuleType("expecttest")).TestCase = unittest.TestCase  # it is not used
from torch.testing._internal.common_modules import module_db

def given(case):
    made, called = case.constructor_input, case.forward_input
    return made.args, made.kwargs, called.args, called.kwargs

classes = [torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d]
inputs, errors = [], []
for info in (info for info in module_db if info.module_cls in classes):
    for dtype in (torch.float32, torch.float64):
        for training in (True, False):
            how = {"device": "cpu", "dtype": dtype, "training": training, "requires_grad": False}
            head = info.module_cls, dtype, training
            inputs += [(*head, *given(case)) for case in info.module_inputs_func(info, **how)]
            for case in info.module_error_inputs_func(info, **how) if info.module_error_inputs_func else ():
                errors.append((case.error_type, case.error_regex, *head, *given(case.module_error_input)))
torch.save((inputs, errors), sys.argv[1])
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """The three classes in torch's own table of modules, read in a process that torch's test machinery may change."""
    file = tmp_path_factory.mktemp("table") / "table.pt"
    done = subprocess.run([sys.executable, "-c", TABLE, file], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this torch has no table of modules that can be read: {done.stderr.splitlines()[-1]}")
    return torch.load(file, weights_only=False)


def as_in_the_table(cls, dtype, training, made, options):
    return cls(*made, **options, dtype=dtype).train(training)


def second_order(layer, inputs, options):
    """Outputs, gradients, and gradients of gradients."""
    torch.manual_seed(1)
    leaves = [x.detach().requires_grad_() for x in inputs]
    wanted = [*leaves, *layer.parameters()]
    y = layer(*leaves, **options)
    firsts = torch.autograd.grad(y, wanted, torch.randn_like(y).requires_grad_(), create_graph=True)
    seconds = torch.autograd.grad(firsts, wanted, [torch.randn_like(part) for part in firsts], allow_unused=True)
    return with_state(layer, y, *firsts, *[part for part in seconds if part is not None])


def test_every_input_of_torchs_module_tests_gives_the_same(table):
    inputs, _ = table
    assert len(inputs) >= 72  # 6 for each class at least, in two types and two modes
    for cls, dtype, training, made, options, *called in inputs:
        first, second = (as_in_the_table(kind, dtype, training, made, options) for kind in (cls, OURS[cls]))
        second.load_state_dict(first.state_dict())
        same(*[second_order(layer, *called) for layer in (first, second)])


def test_every_error_of_torchs_module_tests_is_ours_too(table):
    _, errors = table
    assert len(errors) >= 24
    for error, text, cls, dtype, training, made, options, called, _ in errors:
        first, second = (as_in_the_table(kind, dtype, training, made, options) for kind in (cls, OURS[cls]))
        try:
            want = first(*called)
        except error as found:
            with pytest.raises(error, match=text if re.search(text, str(found)) else None):
                second(*called)
        else:  # where the layer does not train, eps may be 0
            same(second(*called), want)


# ---- An activation that is set later ------------------------------------------------------------------------------


@each_class
@both_modes
def test_an_activation_may_be_set_later_and_is_looked_at_in_the_call(theirs, training):
    first, second = pair(theirs, training)
    x = torch.randn(SHAPES[theirs])
    for activation in ("relu", None, "relu"):
        second.activation = activation
        same(second(x), torch.relu(first(x)) if activation else first(x))
    before = copy.deepcopy(second.state_dict())
    for wrong in ("gelu", torch.relu, nn.ReLU, 1, ["relu"], ""):
        second.activation = wrong
        message = re.escape(f"activation must be None or 'relu', but it is {wrong!r}")
        with pytest.raises(ValueError, match=f"^{message}$"):
            second(x)
    second.activation = "gelu"
    with pytest.raises(torch.jit.Error, match="activation must be None or 'relu', but it is 'gelu'"):
        torch.jit.script(second)(x)
    same(second.state_dict(), before)
