"""ReLU and residual left to our operators by Inductor's pass, against the layers that have them built in."""

import copy
from collections import Counter

import pytest
import torch
from torch import nn
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.utils import counters
from torch._functorch.partitioners import default_partition
from torch._inductor.custom_graph_pass import CustomGraphPass

import bn
from bn import functional, inductor, launch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_interpreter", "by_triton")]


@pytest.fixture
def by_triton(monkeypatch):
    """All BatchNorm by our operators, and TorchDynamo and Inductor as in a new process."""
    monkeypatch.setattr(functional, "_choose", lambda backend, *tensors: "triton")
    torch._dynamo.reset()
    with torch._inductor.config.patch(joint_custom_pre_pass=None):
        yield
    torch._dynamo.reset()


@pytest.fixture
def calls(monkeypatch):
    """How often each kernel was launched, with ReLU and without."""
    found = Counter()

    def counting(function, name, place):
        def count(*args):
            found[name, args[place]] += 1
            return function(*args)

        return count

    for name, place in {"training": 8, "inference": 7, "backward": 7}.items():
        monkeypatch.setattr(launch, name, counting(getattr(launch, name), name, place))
    return found


class Block(nn.Module):
    """Layers with every ReLU and every sum on their own, or, the same numbers, built in."""

    def __init__(self, built_in=False):
        super().__init__()
        activation = "relu" if built_in else None
        self.built_in, self.relu = built_in, nn.ReLU(inplace=True)
        self.plain, self.main = (bn.BatchNorm2d(3, activation=activation) for _ in range(2))
        self.short, self.last = bn.BatchNorm2d(3), bn.BatchNorm2d(3)

    def forward(self, x):
        if self.built_in:
            h = self.plain(x)
            return self.last(self.main(h, self.short(x)))
        h = self.relu(self.plain(x))
        return self.last(torch.relu(self.main(h) + self.short(x)))


FUSED = {("training", True): 2, ("inference", True): 4, ("backward", True): 4}
PLAIN = {("training", False): 2, ("inference", False): 4, ("backward", False): 4}


def blocks():
    torch.manual_seed(0)
    apart = Block().to(DEVICE)
    for parameter in apart.parameters():
        nn.init.normal_(parameter)
    built_in = Block(built_in=True).to(DEVICE)
    built_in.load_state_dict(apart.state_dict())
    return apart, built_in


def steps(call, net, shape=(4, 3, 5, 5)):
    """Output and gradients in training and in inference, the output without gradients, and the buffers after it."""
    generator, found = torch.Generator().manual_seed(1), []
    for training in (True, False):
        x, dy = torch.randn(2, *shape, generator=generator).to(DEVICE)
        net.train(training)
        y = call(x.requires_grad_())
        found += [y, *torch.autograd.grad(y, [x, *net.parameters()], dy)]
    with torch.no_grad():
        found.append(call(x))
    return found + list(net.buffers())


def same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_inductor_leaves_relu_and_residual_to_the_operators(calls, tmp_path, monkeypatch):
    """Nothing was turned on; and what is compiled comes from the cache the next time."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    apart, built_in = blocks()
    expected = steps(built_in, built_in)
    for known in (False, True):
        net, before = copy.deepcopy(apart), counters["inductor"]["fxgraph_cache_hit"]
        calls.clear()
        torch._dynamo.reset()
        same(steps(torch.compile(net, fullgraph=True), net), expected)
        assert calls == Counter(FUSED) + Counter(PLAIN)
        assert [int(count) for name, count in net.named_buffers() if name.endswith("tracked")] == [1] * 4
        assert (counters["inductor"]["fxgraph_cache_hit"] > before) is known


# ---- The pass on graphs that run without Inductor: seconds less for each ----------------------------------------


@pytest.fixture
def compiled():
    """`compiled(function)` runs graphs that the pass has changed; `compiled.fused` lists how many ReLUs in each."""

    def partition(graph_module, inputs, **options):
        fused.append(inductor.fuse_relu(graph_module.graph))
        graph_module.graph.lint()
        return default_partition(graph_module, inputs, **options)

    def inference(graph_module, inputs):
        fused.append(inductor.fuse_relu(graph_module.graph))
        graph_module.recompile()
        return run(graph_module, inputs)

    def run(graph_module, inputs):
        return torch._functorch.aot_autograd.make_boxed_func(graph_module.forward)

    def compiled(function, **options):
        return torch.compile(function, backend=backend, fullgraph=True, **options)

    decompositions = torch._inductor.decomposition.select_decomp_table
    fused = compiled.fused = []
    backend = aot_autograd(
        fw_compiler=run, inference_compiler=inference, partition_fn=partition, decompositions=decompositions
    )
    return compiled


@pytest.mark.parametrize(("dtype", "dynamic"), [(torch.float32, False), (torch.bfloat16, True)], ids=str)
def test_the_same_as_built_in_to_the_last_bit(compiled, calls, dtype, dynamic):
    apart, built_in = (net.to(dtype) for net in blocks())
    expected = steps(lambda x: built_in(x.to(dtype)), built_in)
    calls.clear()
    call = compiled(apart, dynamic=dynamic)
    same(steps(lambda x: call(x.to(dtype)), apart), expected)
    assert calls == Counter(FUSED) + Counter(PLAIN) and compiled.fused == [2, 2, 2]


def relu_of(layer, x, r):
    return torch.relu(layer(x))


def in_place(layer, x, r):
    return layer(x).relu_() * 2


def relu_of_sum(layer, x, r):
    return torch.relu(layer(x) + r)


def relu_of_the_other_sum(layer, x, r):
    return torch.relu(r.detach() + layer(x))


def relu_of_residual(layer, x, r):
    return torch.relu(layer(x, r))


def twice(layer, x, r):
    return torch.relu(layer(x) + layer(r))  # the second call reads the statistics that the first has changed


def statistics_in_the_residual(layer, x, r):
    y = layer(x)
    return torch.relu(y + torch.sigmoid(layer.running_mean).view(-1, 1, 1) * r)


def two_readers(layer, x, r):
    y = layer(x)
    return y + torch.relu(y)


def sum_with_itself(layer, x, r):
    y = layer(x)
    return torch.relu(y + y)


def weighted_sum(layer, x, r):
    return torch.relu(torch.add(layer(x), r, alpha=2))


def sum_with_a_number(layer, x, r):
    return torch.relu(layer(x) + 1)


def broadcast(layer, x, r):
    return torch.relu(layer(x) + r[:, :, :1, :1])


def another_layout(layer, x, r):
    return torch.relu(layer(x) + r.contiguous(memory_format=torch.channels_last))


def another_activation(layer, x, r):
    return torch.sigmoid(layer(x))


FOUND = [relu_of, in_place, relu_of_sum, relu_of_the_other_sum, relu_of_residual, twice]
LEFT = [two_readers, sum_with_itself, weighted_sum, sum_with_a_number, broadcast, another_layout, another_activation]
CASES = [(function, (1, 1)) for function in FOUND] + [(function, (0, 0)) for function in LEFT]


@pytest.mark.parametrize(("function", "fused"), [*CASES, (statistics_in_the_residual, (1, 0))])
@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
def test_what_is_fused_and_what_is_not(compiled, function, fused, training):
    torch.manual_seed(0)
    layer = bn.BatchNorm2d(3).to(DEVICE).train(training)
    nn.init.normal_(layer.bias)
    x, r, dy = torch.randn(3, 4, 3, 5, 5, device=DEVICE)
    results = []
    for call, own in ((function, copy.deepcopy(layer)), (compiled(function), layer)):
        leaves = [x.clone().requires_grad_(), r.clone().requires_grad_()]
        gradients = torch.autograd.grad(
            y := call(own, *leaves), [*leaves, *own.parameters()], dy, materialize_grads=True
        )
        results.append([y, *gradients, *own.buffers()])
    torch.testing.assert_close(*results, rtol=2e-6, atol=2e-6)  # with and without bits tiles differ, and so sums
    assert compiled.fused == [fused[training]]


# ---- How Inductor comes to the pass -------------------------------------------------------------------------------


class Noted(CustomGraphPass):
    def __init__(self, name):
        self.name, self.graphs = name, []

    def __call__(self, graph):
        self.graphs.append(graph)

    def uuid(self):
        return self.name


def test_the_users_own_pass_stays_and_runs_first():
    theirs = Noted("theirs")
    with torch._inductor.config.patch(joint_custom_pre_pass=theirs):
        inductor.register()
        inductor.register()
        registered = torch._inductor.config.joint_custom_pre_pass
        graph = torch.fx.Graph()
        registered(graph)
    assert registered.before == (theirs,) and theirs.graphs == [graph]


def test_the_pass_has_a_name_for_the_cache_if_the_others_have():
    names = [inductor.FuseReLU(before).uuid() for before in [(), (Noted("a"),), (Noted("b"),)]]
    assert len(set(names)) == 3 and names[0] == inductor.FuseReLU().uuid()
    assert inductor.FuseReLU((Noted(None),)).uuid() is None
    assert inductor.FuseReLU((Noted("a"), print)).uuid() is None
