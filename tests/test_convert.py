"""Networks converted and reverted, against the networks they come from."""

import copy
import io

import pytest
import torch
from networks import NETS, Net, Residual, count, randomize
from torch import nn

import bn
from bn.layers import FusedReLU


@pytest.fixture(params=NETS.values(), ids=NETS)
def case(request):
    """A network, an input for it, and how many of its ReLUs can be fused."""
    build, shape, fusible = request.param
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64)
    return randomize(build(), x), x, fusible


def steps(net, x):
    """Outputs and gradients of a network, in training, then in inference, and its state after both."""
    torch.manual_seed(1)
    found = []
    for training in (True, False):
        leaf = x.clone().requires_grad_()
        y = net.train(training)(leaf)
        found += [y, *torch.autograd.grad(y, [leaf, *net.parameters()], torch.randn_like(y))]
    return found + list(net.state_dict().values())


def test_convert_changes_no_number_and_no_name(case):
    net, x, fusible = case
    twin, keys = copy.deepcopy(net), list(net.state_dict())
    held = {id(tensor) for tensor in (*net.parameters(), *net.buffers())}
    layers = count(net, nn.BatchNorm1d, nn.BatchNorm2d)
    assert bn.convert(net) is net
    assert count(net, bn.BatchNorm1d, bn.BatchNorm2d) == layers and count(net, nn.BatchNorm1d, nn.BatchNorm2d) == 0
    assert count(net, FusedReLU) == fusible
    assert list(net.state_dict()) == keys
    assert {id(tensor) for tensor in (*net.parameters(), *net.buffers())} == held
    torch.testing.assert_close(steps(net, x), steps(twin, x), rtol=0, atol=0)


def test_convert_twice_is_convert_once(case):
    net, _, _ = case
    once = repr(bn.convert(net))
    assert repr(bn.convert(net)) == once


def test_there_and_back(case):
    net, x, _ = case
    twin, before = copy.deepcopy(net), {name: set(vars(part)) for name, part in net.named_modules()}
    assert repr(bn.revert(bn.convert(net))) == repr(twin)
    assert [type(part) for part in net.modules()] == [type(part) for part in twin.modules()]
    assert {name: set(vars(part)) for name, part in net.named_modules()} == before
    torch.testing.assert_close(steps(net, x), steps(twin, x), rtol=0, atol=0)


def test_an_optimizer_made_before_steps_the_right_parameters(case):
    net, x, _ = case
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
    net, x, _ = case
    plain = repr(net)
    file = io.BytesIO()
    torch.save(bn.convert(net), file)
    file.seek(0)
    for twin in (copy.deepcopy(net), torch.load(file, weights_only=False)):
        torch.testing.assert_close(steps(twin, x)[0], steps(copy.deepcopy(net), x)[0], rtol=0, atol=0)
        assert repr(bn.revert(twin)) == plain


def test_a_converted_network_compiles_in_one_graph():
    torch.manual_seed(0)
    net, x = bn.convert(randomize(Residual())), torch.randn(3, 4, 6, 6).double()
    torch.testing.assert_close(torch.compile(net, fullgraph=True, backend="eager")(x), copy.deepcopy(net)(x))


def twice(net, x, flag):
    return net.relu(net.relu(net.bn(x)) - 0.5)


def bn_twice(net, x, flag):
    return net.relu(net.bn(x)) + net.bn(-x)


def read_before(net, x, flag):
    y = net.bn(x)
    return y.sum() + net.relu(y)


def as_the_sum(net, x, flag):
    return net.relu(net.bn(x) + x)


def only_in_training(net, x, flag):
    y = net.bn(x)
    return net.relu(y) if net.training else y


def only_without_the_flag(net, x, flag):
    y = net.bn(x)
    return y if flag is not None else net.relu(y)


def only_with_the_flag(net, x, flag):
    y = net.bn(x)
    return y if flag is None else net.relu(y)


def on_the_values(net, x, flag):
    y = net.bn(x)
    return net.relu(y) if x.sum() > 0 else y


def on_a_residual(net, x, flag):
    return net.relu(bn.BatchNorm1d.forward(net.bn, x, x)) if hasattr(net.bn, "activation") else net.relu(net.bn(x) + x)


UNSAFE = [
    twice,
    bn_twice,
    read_before,
    as_the_sum,
    only_in_training,
    only_without_the_flag,
    only_with_the_flag,
    on_the_values,
    on_a_residual,
]


@pytest.mark.parametrize("how", UNSAFE, ids=lambda how: how.__name__)
def test_a_relu_is_left_where_fusing_would_change_a_number(how):
    torch.manual_seed(0)
    net, x = randomize(Net(how)), torch.randn(5, 3, dtype=torch.float64)
    twin = copy.deepcopy(net)
    bn.convert(net)
    assert count(net, FusedReLU) == 0 and count(net, bn.BatchNorm1d) == 2
    for training in (True, False):
        for flag in (None, 1):
            for sign in (1, -1):
                net.train(training), twin.train(training)
                torch.testing.assert_close(net(sign * x, flag), twin(sign * x, flag), rtol=0, atol=0)


def with_a_counter(net, x, flag):
    net.seen = x
    net.log.append(x)
    return net.relu(net.bn(x))


def test_tracing_leaves_the_module_as_it_was():
    torch.manual_seed(0)
    net = Net(with_a_counter)
    net.other.eval()
    state, random = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    bn.convert(net)
    assert type(net.relu) is FusedReLU
    assert net.seen is None and net.log == []
    assert (net.training, net.bn.training, net.other.training) == (True, True, False)
    torch.testing.assert_close(net.state_dict(), state, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit is, and it is still met
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("change", [bn.convert, lambda net: bn.recompute_statistics(net, [torch.randn(4, 3)])])
def test_training_flags_are_kept_where_the_module_is_not_python(change, training):
    net = nn.Sequential(torch.jit.trace(nn.Linear(3, 3), torch.randn(2, 3)), nn.BatchNorm1d(3), nn.ReLU())
    net[0].train(training)
    change(net)
    assert (net[0].training, net.training, net[1].training) == (training, True, True)


def in_a_buffer(net, x, flag):
    net.calls += 1
    return net.relu(net.bn(x))


def test_tracing_does_not_count_as_a_call():
    net = bn.convert(Net(in_a_buffer))
    assert net.calls == 0
    net(torch.randn(4, 3))
    assert net.calls == 1


HOOKS = {
    "forward": lambda part, hook: part.register_forward_hook(lambda module, inputs, output: hook(output)),
    "before": lambda part, hook: part.register_forward_pre_hook(lambda module, inputs: hook(inputs[0])),
    "backward": lambda part, hook: part.register_full_backward_hook(lambda module, gi, go: hook(go[0])),
}


@pytest.mark.parametrize("register", HOOKS.values(), ids=HOOKS)
@pytest.mark.parametrize("place", [0, 1])
def test_hooks_stay_and_hold_off_fusion(register, place):
    net, seen = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()), []
    register(net[place], lambda value: seen.append(value.clone()))
    twin = copy.deepcopy(net)
    bn.convert(net)
    assert not seen and type(net[0]) is bn.BatchNorm1d and type(net[1]) is nn.ReLU
    x = torch.randn(4, 3)
    net(x.requires_grad_()).square().sum().backward()
    twin(x).square().sum().backward()
    assert len(seen) == 2 and torch.equal(*seen)


def test_a_hook_on_a_container_still_sees_what_the_layer_gives():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.relu = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), nn.ReLU()

        def forward(self, x):
            return self.relu(self.body(x))

    assert type(bn.convert(Two()).relu) is FusedReLU
    hooked, seen = Two(), []
    hooked.body.register_forward_hook(lambda module, inputs, output: seen.append(output))
    bn.convert(hooked)(torch.randn(5, 3))
    assert len(seen) == 1 and (seen[0] < 0).any()


class Untraceable(nn.Module):
    """Its forward looks at the values, so that only the Sequentials tell what follows what."""

    def __init__(self):
        super().__init__()
        shared = nn.ReLU()
        self.a = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.ReLU())
        self.b = nn.Sequential(nn.BatchNorm1d(3), shared)
        self.c = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.0), shared)

    def forward(self, x):
        y = self.c(self.b(self.a(x)))
        return -y if y.sum() > 1e9 else y


def test_neighbours_in_a_sequential_are_fused_where_forward_cannot_be_traced():
    torch.manual_seed(0)
    net, x = randomize(Untraceable()), torch.randn(5, 3, dtype=torch.float64)
    twin = copy.deepcopy(net)
    bn.convert(net)
    assert [type(net.a[2]), type(net.b[1]), type(net.c[2])] == [FusedReLU, nn.ReLU, nn.ReLU]
    torch.testing.assert_close(steps(net, x), steps(twin, x), rtol=0, atol=0)


def test_shared_layers_stay_shared_and_lists_stay_good():
    layer = nn.BatchNorm1d(3)
    net = nn.Sequential(nn.Sequential(layer, nn.ReLU()), nn.Sequential(layer, nn.Linear(3, 3)))
    bn.convert(net)
    assert net[0][0] is net[1][0] is layer and type(layer) is bn.BatchNorm1d
    assert layer.activation is None  # a ReLU follows in one of its two places


def test_a_root_is_converted_in_place():
    layer = nn.BatchNorm3d(2).eval()
    assert bn.convert(layer) is layer and type(layer) is bn.BatchNorm3d and not layer.training
    assert type(bn.revert(layer)) is nn.BatchNorm3d


def test_what_is_not_exactly_torchs_is_left_alone():
    class Mine(nn.BatchNorm1d):
        pass

    parts = [Mine(3), nn.ReLU(), nn.LazyBatchNorm1d(), nn.SyncBatchNorm(3), nn.InstanceNorm1d(3)]
    net = bn.convert(nn.Sequential(*parts))
    assert [type(part) for part in net] == [Mine, nn.ReLU, nn.LazyBatchNorm1d, nn.SyncBatchNorm, nn.InstanceNorm1d]


def test_revert_refuses_what_it_cannot_restore_and_changes_nothing():
    net = bn.convert(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU()))
    whole = nn.Sequential(net, nn.Sequential(bn.BatchNorm1d(3, activation="relu")))
    before = repr(whole)
    with pytest.raises(ValueError, match=r"^1\.0 has activation='relu', but no ReLU that convert fused"):
        bn.revert(whole)
    assert repr(whole) == before
    with pytest.raises(ValueError, match=r"^the module itself has activation='relu'"):
        bn.revert(net[1])
    with pytest.raises(ValueError, match=r"^2 is a fused ReLU, but the layer it was fused into is not in the module"):
        bn.revert(net[2:])
    assert repr(bn.revert(net)).count("ReLU()") == 1
