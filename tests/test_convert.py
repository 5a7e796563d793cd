"""Networks converted and reverted, against the networks they come from: nothing but the class of a layer changes."""

import copy
import io
import random

import numpy as np
import pytest
import torch
from networks import NETS, count, randomize
from programs import PROGRAMS, build, observe
from torch import nn
from torch.nn.utils import parametrizations, prune

import bn


@pytest.fixture(params=NETS.values(), ids=NETS)
def case(request):
    """A network and an input for it."""
    make, shape = request.param
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64)
    return randomize(make(), x), x


def steps(net, x):
    """Outputs and gradients of a network, in training, then in inference, and its state after both."""
    torch.manual_seed(1)
    found = []
    for training in (True, False):
        leaf = x.clone().requires_grad_()
        y = net.train(training)(leaf)
        found += [y, *torch.autograd.grad(y, [leaf, *net.parameters()], torch.randn_like(y))]
    return found + list(net.state_dict().values())


def held(net) -> list:
    """Every object that a network's modules hold, and the name it has there."""
    return [
        (name, key, id(value), [id(item) for item in value.values()] if isinstance(value, dict) else None)
        for name, part in net.named_modules()
        for key, value in vars(part).items()
    ]


def test_convert_changes_the_class_of_layers_and_nothing_else(case):
    net, x = case
    twin, before = copy.deepcopy(net), held(net)
    layers = count(net, nn.BatchNorm1d, nn.BatchNorm2d)
    states = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state()
    assert bn.convert(net) is net
    assert states[:2] == (random.getstate(), np.random.get_state()[1].tobytes())
    assert torch.equal(states[2], torch.get_rng_state())
    assert held(net) == before
    assert count(net, bn.BatchNorm1d, bn.BatchNorm2d) == layers and count(net, nn.BatchNorm1d, nn.BatchNorm2d) == 0
    others = [(type(a), type(b)) for a, b in zip(net.modules(), twin.modules(), strict=True)]
    assert all(a is b or issubclass(a, b) for a, b in others)
    torch.testing.assert_close(steps(net, x), steps(twin, x), rtol=0, atol=0)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda cls: cls.__name__)
def test_whatever_a_program_does_is_done_as_before(program):
    want = observe(build(program))
    torch.testing.assert_close(observe(bn.convert(build(program))), want, rtol=0, atol=0)


def test_convert_calls_nothing():
    class Shy(nn.Module):
        def __init__(self):
            super().__init__()
            self.bn = nn.BatchNorm1d(3)

        def forward(self, x):
            raise AssertionError("forward was called")

        def __call__(self, *args):
            raise AssertionError("the module was called")

    assert type(bn.convert(Shy()).bn) is bn.BatchNorm1d


def test_convert_twice_is_convert_once(case):
    net, _ = case
    once, before = repr(bn.convert(net)), held(net)
    assert repr(bn.convert(net)) == once and held(net) == before


def test_there_and_back(case):
    net, x = case
    twin, before = copy.deepcopy(net), held(net)
    assert repr(bn.revert(bn.convert(net))) == repr(twin)
    assert [type(part) for part in net.modules()] == [type(part) for part in twin.modules()]
    assert held(net) == before
    torch.testing.assert_close(steps(net, x), steps(twin, x), rtol=0, atol=0)


def test_an_optimizer_made_before_steps_the_right_parameters(case):
    net, x = case
    twin = copy.deepcopy(net)
    optimizers = [torch.optim.SGD(part.parameters(), 0.1, momentum=0.9) for part in (net, twin)]
    bn.convert(net)
    start = copy.deepcopy(twin.state_dict())
    for _ in range(2):
        for part, optimizer in zip((net, twin), optimizers, strict=True):
            optimizer.zero_grad()
            part(x).square().mean().backward()
            optimizer.step()
    torch.testing.assert_close(net.state_dict(), twin.state_dict(), rtol=0, atol=0)
    assert all((start[name] != value).any() for name, value in net.named_parameters() if name.endswith("weight"))


def test_copies_and_files_of_a_converted_network_go_back_too(case):
    net, x = case
    plain = repr(net)
    file = io.BytesIO()
    torch.save(bn.convert(net), file)
    file.seek(0)
    for twin in (copy.deepcopy(net), torch.load(file, weights_only=False)):
        torch.testing.assert_close(steps(twin, x)[0], steps(copy.deepcopy(net), x)[0], rtol=0, atol=0)
        assert repr(bn.revert(twin)) == plain


HOOKS = {
    "forward": lambda part, hook: part.register_forward_hook(lambda module, inputs, output: hook(output)),
    "before": lambda part, hook: part.register_forward_pre_hook(lambda module, inputs: hook(inputs[0])),
    "backward": lambda part, hook: part.register_full_backward_hook(lambda module, gi, go: hook(go[0])),
}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("register", HOOKS.values(), ids=HOOKS)
@pytest.mark.parametrize("place", [0, 1])
def test_hooks_see_what_they_saw(register, place, late):
    seen = []
    for change in (lambda net: net, bn.convert):
        torch.manual_seed(0)
        net, mine = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()), []
        for step in (register, change) if not late else (change, register):
            step(net) if step is change else step(net[place], lambda value, mine=mine: mine.append(value.clone()))
        net(torch.randn(4, 3).requires_grad_()).square().sum().backward()
        seen.append(mine)
    assert len(seen[0]) == 1
    torch.testing.assert_close(*seen, rtol=0, atol=0)


def test_shared_layers_stay_shared_and_lists_stay_good():
    layer = nn.BatchNorm1d(3)
    net = nn.Sequential(nn.Sequential(layer, nn.ReLU()), nn.Sequential(layer, nn.Linear(3, 3)))
    net.extra = [layer]
    bn.convert(net)
    assert net[0][0] is net[1][0] is net.extra[0] is layer and type(layer) is bn.BatchNorm1d


def test_a_root_is_converted_in_place():
    layer = nn.BatchNorm3d(2).eval()
    assert bn.convert(layer) is layer and type(layer) is bn.BatchNorm3d and not layer.training
    assert type(bn.revert(layer)) is nn.BatchNorm3d


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit is, and it is still met
@pytest.mark.parametrize("training", [True, False])
def test_a_scripted_part_is_left_alone(training):
    part = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).train(training)
    net = nn.Sequential(torch.jit.trace(part, torch.randn(2, 3)), nn.BatchNorm1d(3), nn.ReLU())
    kinds = [type(part) for part in net.modules()]
    bn.convert(net)
    assert type(net[1]) is bn.BatchNorm1d and (net[0].training, net.training) == (training, True)
    assert [type(part) for part in bn.revert(net).modules()] == kinds


def test_what_is_not_exactly_torchs_is_left_alone():
    class Mine(nn.BatchNorm1d):
        pass

    own = nn.BatchNorm1d(3)
    own.forward = lambda x: x
    parametrized = parametrizations.weight_norm(nn.BatchNorm1d(3), dim=0)
    parts = [Mine(3), nn.LazyBatchNorm1d(), nn.SyncBatchNorm(3), nn.InstanceNorm1d(3), own, parametrized]
    kinds = [type(part) for part in parts]
    net = bn.convert(nn.Sequential(*parts))
    assert [type(part) for part in net] == kinds
    assert [type(part) for part in bn.revert(net)] == kinds


def test_pruned_layers_are_converted_with_what_prunes_them():
    nets, x = [], torch.randn(5, 4)
    for _ in range(2):
        torch.manual_seed(0)
        layer = nn.BatchNorm1d(4)
        nn.init.normal_(layer.weight)
        prune.l1_unstructured(layer, "weight", 0.5)
        nets.append(nn.Sequential(layer))
    net, twin = nets
    for _ in range(2):
        bn.convert(net)
        for part in (net, twin):
            part(x).square().sum().backward()
        torch.testing.assert_close(net[0].weight_orig.grad, twin[0].weight_orig.grad, rtol=0, atol=0)


def test_a_compiled_network_follows():
    net, x = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), torch.randn(5, 3)
    compiled = torch.compile(net, backend="eager")
    torch.testing.assert_close(compiled(x), net(x), rtol=0, atol=0)
    bn.convert(net)
    torch.testing.assert_close(compiled(x), net(x), rtol=0, atol=0)
    bn.convert(compiled)
    torch.testing.assert_close(compiled(x), net(x), rtol=0, atol=0)


def test_revert_refuses_what_torchs_layer_cannot_do_and_changes_nothing():
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(bn.BatchNorm1d(3, activation="relu")), bn.BatchNorm1d(3))
    before, state = repr(net), held(net)
    with pytest.raises(ValueError, match=r"^1\.0 has activation='relu', and torch's layer has none"):
        bn.revert(net)
    assert repr(net) == before and held(net) == state
    with pytest.raises(ValueError, match=r"^the module itself has activation='relu'"):
        bn.revert(net[1][0])


@pytest.mark.parametrize("change", [bn.convert, bn.revert])
@pytest.mark.parametrize("wrong", [None, [nn.BatchNorm1d(3)], {}, nn.BatchNorm1d])
def test_another_module_is_refused(change, wrong):
    with pytest.raises(TypeError, match=r"^module must be an nn\.Module, but it is of type (NoneType|list|dict|type)$"):
        change(wrong)
