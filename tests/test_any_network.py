"""Networks made up by Hypothesis, converted, fused and folded: the same numbers, or a refusal.

A network is a row of instructions that its forward carries out: layers of a pool, which are so shared and called
several times, ReLUs of every kind, sums, values kept on the module, branches on values, attributes and training flags,
Sequentials called as one or layer by layer, counters, random numbers.
"""

import copy
import random
import warnings

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import nn

import bn

RELUS = {
    "module": lambda net, x: net.relu(x),
    "module, in place": lambda net, x: net.relu_(x),
    "function": lambda net, x: F.relu(x),
    "function, in place": lambda net, x: F.relu_(x),
    "method": lambda net, x: x.relu(),
}
PLACES = st.integers(0, 2)
INSTRUCTIONS = st.one_of(
    st.tuples(st.sampled_from(["conv", "bn", "bn", "seq", "each"]), PLACES),
    st.tuples(st.just("relu"), st.sampled_from(list(RELUS))),
    st.tuples(st.sampled_from(["keep", "append", "push", "add", "add in place", "if values", "if flag"]), st.none()),
    st.tuples(st.sampled_from(["if training", "count", "drop", "draw", "sub"]), st.none()),
)
# Most rows have a pair that can be fused, or a convolution that can take a BatchNorm in.
PAIRS = st.sampled_from([(("bn", 0), ("relu", "module")), (("conv", 1), ("bn", 1)), (("bn", 2), ("relu", "method"))])
ROWS = st.lists(st.one_of(INSTRUCTIONS.map(lambda one: (one,)), PAIRS), min_size=2, max_size=7)
FLAG = st.booleans()


class Interpreter(nn.Module):
    def __init__(self, rows):
        super().__init__()
        self.rows = tuple(instruction for row in rows for instruction in row)
        self.convs = nn.ModuleList(nn.Conv2d(3, 3, 1) for _ in range(3))
        self.bns = nn.ModuleList(nn.BatchNorm2d(3) for _ in range(3))
        self.seqs = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU()),
                nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(inplace=True)),
                nn.Sequential(self.convs[0], self.bns[1], nn.Dropout(0.5), nn.ReLU()),
            ]
        )
        self.relu, self.relu_ = nn.ReLU(), nn.ReLU(inplace=True)
        self.flag, self.kept, self.list = False, None, []
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        held = []
        x = x * 1
        for what, which in self.rows:
            if what in ("conv", "bn", "seq"):
                x = getattr(self, f"{what}s")[which](x)
            elif what == "relu":
                x = RELUS[which](self, x)
            elif what == "each":
                for layer in self.seqs[which]:
                    x = layer(x)
                    self.list.append(x)
            elif what == "keep":
                self.kept = x
            elif what == "append":
                self.list.append(x)
            elif what == "push":
                held.append(x)
            elif what == "add" and held:
                x = x + held.pop()
            elif what == "add in place":
                x += 0.1
            elif what == "if values":
                x = -x if x.sum() > 0 else x
            elif what == "if flag":
                x = self.relu(x) if self.flag else x
            elif what == "if training":
                x = x if self.training else self.relu(x)
            elif what == "count":
                self.calls += 1
            elif what == "drop":
                x = F.dropout(x, 0.5, self.training)
            elif what == "draw":
                x = x * random.random()
            elif what == "sub":
                x = x.sub(0.5)
        return x


def network(rows):
    torch.manual_seed(0)
    net = Interpreter(rows).double()
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                for tensor in (layer.weight, layer.bias, layer.running_mean):
                    tensor.normal_()
                layer.running_var.uniform_(0.5, 2)
    return net


def seen(net, training, flag, x, whole=True):
    """The output, what is kept, all gradients and buffers of a call."""
    net.train(training) if whole else None
    if flag:
        net.flag = True
    random.seed(0), torch.manual_seed(0)
    x = x.clone().requires_grad_()
    y = net(x)
    given = [y, *([net.kept] if getattr(net, "kept", None) is not None else []), *getattr(net, "list", [])]
    wanted = [x, *(net.parameters() if whole else ())]
    gradients = torch.autograd.grad(given, wanted, [value.cos().detach() for value in given], allow_unused=True)
    state = [random.random(), torch.rand(()), *([buffer.clone() for buffer in net.buffers()] if whole else ())]
    if hasattr(net, "list"):
        net.kept, net.list = None, []
    return [value.detach().clone() for value in given], [*gradients], state


CASES = [(True, False), (False, False), (True, True), (False, True)]


def inputs():
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(n, 3, 4, 4, generator=generator, dtype=torch.float64) for n in (3, 4, 3, 2)]


def outcomes(net, whole=True, cases=CASES):
    return [seen(net, *case, x, whole) for case, x in zip(cases, inputs(), strict=False)]


def wanted(rows, whole=True, cases=CASES):
    """What the network gives; rows that torch's autograd refuses (something was written over) are left out."""
    net = network(rows)
    try:
        return outcomes(net if whole else net.eval(), whole, cases)
    except RuntimeError as error:
        assume("modified by an inplace operation" not in str(error) and "in-place" not in str(error))
        raise


@hypothesis_settings(max_examples=40)
@given(ROWS)
def test_converted_and_back_any_network_is_what_it_was(rows):
    want = wanted(rows)
    net, text = network(rows), repr(network(rows))
    torch.testing.assert_close(outcomes(bn.convert(net)), want, rtol=0, atol=0)
    assert repr(bn.revert(net)) == text
    torch.testing.assert_close(outcomes(bn.revert(bn.convert(network(rows)))), want, rtol=0, atol=0)


@hypothesis_settings(max_examples=15)
@given(ROWS)
def test_fused_any_network_is_what_it_was(rows):
    want, net = wanted(rows), network(rows)
    try:
        bn.fuse(net, inputs()[0])
    except ValueError as refusal:
        assert "no BatchNorm layer whose output goes to a ReLU" in str(refusal) or "inplace" in str(refusal)
    torch.testing.assert_close(outcomes(net), want, rtol=0, atol=0)
    torch._dynamo.reset()


INFERENCE = [(False, False), (False, False), (False, True)]


@hypothesis_settings(max_examples=40)
@given(ROWS, FLAG)
def test_folded_any_network_is_what_it_was_in_inference(rows, with_example):
    want, net = wanted(rows, False, INFERENCE), network(rows)
    before = copy.deepcopy(net.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        folded = bn.fold(net, inputs()[0]) if with_example else bn.fold(net)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert net.list == [] and net.kept is None and net.training
    if isinstance(folded, torch.fx.GraphModule):
        with pytest.raises(AttributeError, match="flag cannot be set on a folded network"):
            folded.flag = True
        want = want[:2]
    got = outcomes(folded, False, INFERENCE[: len(want)])
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
