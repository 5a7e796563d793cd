"""Networks given population statistics: Algorithm 2 by `bn.reference`, and whatever keeps a mini-batch from a layer."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import randomize
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import bn
from bn import reference


def close(got, want):
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


def changed(layer, **attributes):
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


def held(net):
    """The state, and all else that recomputing must leave: flags, momenta, hooks and attributes of every module."""
    rest = [{k: copy.copy(v) for k, v in vars(part).items() if k != "_buffers"} for part in net.modules()]
    return copy.deepcopy(net.state_dict()), rest


def same_state(got, want):
    torch.testing.assert_close(got, want, rtol=0, atol=0, equal_nan=True)


def seen_by(net, batches):
    """What the BatchNorm layers normalize in training, not empty: the inputs of torch's functions by layer."""
    state, flags, seen = copy.deepcopy(net.state_dict()), [part.training for part in net.modules()], {}

    def seeing(function, place):
        def call(x, *args, **kwargs):
            if x.numel():
                seen.setdefault(id(args[place]), []).append(x.numpy())
            return function(x, *args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        # Which argument the running mean is, behind x: torch's layers call the one, ours the other.
        patch.setattr(nn.functional, "batch_norm", seeing(nn.functional.batch_norm, 0))
        patch.setattr(torch, "native_batch_norm", seeing(torch.native_batch_norm, 2))
        for batch in batches:
            net.train()(batch)
    net.load_state_dict(state)
    for part, training in zip(net.modules(), flags, strict=True):
        part.training = training
    return {name: seen.get(id(layer.running_mean), []) for name, layer in net.named_modules() if is_layer(layer)}


def is_layer(part):
    return isinstance(part, _BatchNorm)


def recomputed(net, batches):
    """Recompute, and hold every layer against the reference, or against what it was where nothing reached it."""
    seen, (state, rest) = seen_by(net, batches), held(net)
    bn.recompute_statistics(net, batches)
    assert held(net)[1] == rest
    for name, inputs in seen.items():
        layer = net.get_submodule(name)
        if inputs:
            mean, var = (torch.from_numpy(found) for found in reference.population_statistics(inputs))
            close([layer.running_mean, layer.running_var], [mean, var])
            assert layer.num_batches_tracked is None or layer.num_batches_tracked == len(inputs)
        else:
            same_state(layer.state_dict(), {k: state[f"{name}.{k}"] for k in layer.state_dict()})
    return {name: len(inputs) for name, inputs in seen.items()}


# ---- What becomes of each layer ----------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [lambda net: net, bn.convert], ids=["torch's", "ours"])
def test_recomputed_statistics_are_those_of_algorithm_2(first):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(4, 3), nn.BatchNorm1d(3, momentum=0.3), nn.ReLU(), nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout(0.0)
    )
    net = first(randomize(net))
    net[4].eval()
    batches = 3 * torch.randn(5, 6, 4, dtype=torch.float64) + 1
    flags = [part.training for part in net.modules()]
    inputs = {layer: [] for layer in (net[1], net[4])}
    hooks = [
        layer.register_forward_pre_hook(lambda layer, args: inputs[layer].append(args[0].numpy())) for layer in inputs
    ]
    assert bn.recompute_statistics(net, [(batch, "label") for batch in batches]) is None
    for hook in hooks:
        hook.remove()
    for layer, seen in inputs.items():
        mean, var = reference.population_statistics(seen)
        close(layer.running_mean, torch.from_numpy(mean))
        close(layer.running_var, torch.from_numpy(var))
    # what the second layer saw was normalized by the mini-batch, not by running statistics
    normalized = nn.functional.batch_norm(net[0](batches[0]), None, None, net[1].weight, net[1].bias, True)
    close(torch.from_numpy(inputs[net[4]][0]), net[3](normalized.relu()).detach())
    assert flags == [part.training for part in net.modules()]
    assert (net[1].momentum, net[4].momentum) == (0.3, 0.1)


def test_recomputing_takes_a_generator_and_refuses_an_empty_one():
    net = nn.Sequential(nn.BatchNorm1d(2))
    bn.recompute_statistics(net, (batch for batch in torch.randn(3, 4, 2)))
    before = copy.deepcopy(net.state_dict())
    assert before["0.num_batches_tracked"] == 3
    for empty in ([], iter(())):
        with pytest.raises(ValueError, match="at least one mini-batch, but it is empty"):
            bn.recompute_statistics(net, empty)
    with pytest.raises(ValueError, match="must have a BatchNorm layer"):
        bn.recompute_statistics(nn.Linear(2, 2), torch.randn(3, 4, 2))
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


def test_a_mini_batch_that_raises_leaves_everything_as_it_was():
    net = nn.Sequential(nn.BatchNorm1d(2, momentum=0.7), nn.BatchNorm1d(2).eval())
    net(torch.randn(4, 2))
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(RuntimeError):
        bn.recompute_statistics(net, [torch.randn(4, 2), torch.randn(4, 5)])
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert (net.training, net[1].training, net[0].momentum) == (True, False, 0.7)


class Heads(nn.Module):
    """A network with an auxiliary head: `how` says which layers a mini-batch reaches."""

    def __init__(self, how, make=nn.BatchNorm1d):
        super().__init__()
        self.stem, self.bn, self.head, self.how = nn.Linear(4, 3), make(), make(), how

    def forward(self, x):
        return self.how(self, self.stem(x), x.numel() and x.mean() > 0)


WAYS = {  # of a forward, and how many mini-batches with values reach the layer and the head
    "never": (lambda net, x, positive: net.bn(x), 3, 0),
    "for some": (lambda net, x, positive: net.head(net.bn(x)) if positive else net.bn(x), 3, 2),
    "emptied": (lambda net, x, positive: net.head(net.bn(x)[: len(x) * bool(positive)]), 3, 2),
    "twice": (lambda net, x, positive: net.head(net.bn(net.bn(x) - x)), 6, 3),
    "by its forward": (lambda net, x, positive: net.head.forward(net.bn(x)), 3, 3),
    "by keyword": (lambda net, x, positive: net.head(input=net.bn(x)), 3, 3),
}


class Mine(nn.BatchNorm1d):
    def forward(self, input):
        return super().forward(input) + 1


def with_a_forward():
    layer = nn.BatchNorm1d(3)
    return changed(layer, forward=lambda input: nn.BatchNorm1d.forward(layer, 2 * input))


MADE = {
    "torch's": lambda: nn.BatchNorm1d(3, momentum=0.3),
    "ours": lambda: bn.BatchNorm1d(3, activation="relu"),
    "a subclass": lambda: Mine(3),
    "torch's Sync": lambda: nn.SyncBatchNorm(3),
    "our Sync": lambda: bn.SyncBatchNorm(3),
    "plain average": lambda: nn.BatchNorm1d(3, momentum=None),
    "no counter": lambda: changed(bn.BatchNorm1d(3), num_batches_tracked=None),
    "no parameters": lambda: nn.BatchNorm1d(3, affine=False),
    "a forward of its own": with_a_forward,
    "frozen": lambda: nn.BatchNorm1d(3).eval(),
}
SHIFTS = [(0, 0), (5, 3), (0, 0), (5, -3), (5, 3), (0, 0)]  # sizes, and means of which the heads see the sign


def batches_of(shifts=SHIFTS, d=4):
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(m, d, generator=generator, dtype=torch.float64) + shift for m, shift in shifts]


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
@pytest.mark.parametrize(("how", "times", "times_of_head"), WAYS.values(), ids=WAYS)
def test_every_layer_gets_the_statistics_of_what_reaches_it(make, how, times, times_of_head):
    torch.manual_seed(0)
    net = Heads(how, make).double()
    for layer in net.bn, net.head:
        layer.running_mean.fill_(7), layer.running_var.fill_(9)
    assert recomputed(net, batches_of()) == {"bn": times, "head": times_of_head}


def test_old_statistics_that_are_no_numbers_do_not_come_back():
    net = Heads(WAYS["for some"][0], MADE["ours"]).double()
    for layer in net.bn, net.head:
        layer.running_mean.fill_(torch.nan), layer.running_var.fill_(torch.inf)
    recomputed(net, batches_of())
    net.head.running_var.fill_(torch.nan)
    assert recomputed(net, batches_of([(5, -3)])) == {"bn": 1, "head": 0} and net.head.running_var.isnan().all()


@pytest.mark.parametrize("make", [MADE["torch's"], MADE["ours"]])
def test_a_mini_batch_without_variance_counts(make):
    net = nn.Sequential(make()).double()
    assert recomputed(net, [torch.zeros(4, 3).double(), torch.randn(4, 3).double()]) == {"0": 2}
    assert recomputed(net, [torch.zeros(4, 3).double()]) == {"0": 1}


def test_each_mini_batch_counts_the_same():
    net, batches = nn.Sequential(nn.BatchNorm1d(4)).double(), batches_of([(2, 0), (9, 5)])
    bn.recompute_statistics(net, batches)
    close(net[0].running_mean, (batches[0].mean(0) + batches[1].mean(0)) / 2)
    close(net[0].running_var, (batches[0].var(0) + batches[1].var(0)) / 2)


def test_a_shared_layer_counts_each_of_its_places():
    layer = nn.BatchNorm1d(4).double()
    assert recomputed(nn.Sequential(layer, nn.Sequential(nn.Hardtanh(), layer)), batches_of()) == {"0": 6}


def test_half_precision_is_averaged_in_float32():
    x = torch.randn(50, 8, 3).bfloat16() + 1
    net = nn.Sequential(nn.BatchNorm1d(3, dtype=torch.bfloat16))
    bn.recompute_statistics(net, x)
    want = x.float().mean(1).bfloat16().float().mean(0).bfloat16()
    torch.testing.assert_close(net[0].running_mean, want, rtol=0, atol=0)


def test_a_layer_that_keeps_no_statistics_stays_as_it_was():
    off, bare = nn.BatchNorm1d(4), nn.BatchNorm1d(4, track_running_stats=False)
    off(torch.randn(4, 4) + 3)
    off.track_running_stats = False
    before = copy.deepcopy(off.state_dict())
    net = nn.Sequential(off, bare, nn.BatchNorm1d(4)).double()
    bn.recompute_statistics(net, batches_of())
    same_state(off.float().state_dict(), before)
    close(net[2].running_mean, torch.zeros(4).double())
    with pytest.raises(ValueError, match="must have a BatchNorm layer with running statistics"):
        bn.recompute_statistics(net[:2], batches_of())


def test_a_layer_that_the_network_itself_keeps_frozen_normalizes_by_what_it_holds():
    class Frozen(nn.Sequential):
        def train(self, mode=True):
            super().train(mode)
            self[0].eval()

    net = Frozen(nn.BatchNorm1d(4), nn.BatchNorm1d(4)).double()
    net[0].running_mean.fill_(7), net[0].running_var.fill_(9)
    before, batches = copy.deepcopy(net[0].state_dict()), batches_of()
    bn.recompute_statistics(net, batches)
    same_state(net[0].state_dict(), before)
    mean = torch.stack([batch.mean(0) for batch in batches if len(batch)]).mean(0)
    torch.testing.assert_close(net[1].running_mean, (mean - 7) / 3, rtol=1e-5, atol=0)  # but for eps


def test_a_lazy_layer_is_measured_from_its_first_mini_batch_on():
    net = nn.Sequential(nn.LazyBatchNorm1d(dtype=torch.float64), nn.LazyBatchNorm1d(dtype=torch.float64))
    batches = batches_of()
    bn.recompute_statistics(net, batches)
    assert [type(layer) for layer in net] == [nn.BatchNorm1d] * 2
    assert recomputed(copy.deepcopy(net), batches) == {"0": 3, "1": 3}
    again = copy.deepcopy(net)
    bn.recompute_statistics(again, batches)
    same_state(again.state_dict(), net.state_dict())


def test_random_numbers_are_drawn_as_by_forward():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(4)).double()
    start = torch.get_rng_state()
    inputs = [net[0](batch) for batch in batches_of()]
    after = torch.get_rng_state()
    torch.set_rng_state(start)
    bn.recompute_statistics(net, batches_of())
    assert torch.equal(torch.get_rng_state(), after)
    mean, var = reference.population_statistics([x.numpy() for x in inputs if len(x)])
    close([net[1].running_mean, net[1].running_var], [torch.from_numpy(mean), torch.from_numpy(var)])


def test_a_compiled_network_is_measured_and_stays_good():
    torch.manual_seed(0)
    net, batches = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU()).double(), batches_of()
    twin = copy.deepcopy(net)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    for change in (compiled, lambda x: bn.recompute_statistics(compiled, batches), compiled):
        change(batches[1])
    twin(batches[1]), bn.recompute_statistics(twin, batches), twin(batches[1])
    same_state(net.state_dict(), twin.state_dict())


def test_hooks_see_each_mini_batch_and_the_statistics_of_before():
    net, seen = nn.Sequential(nn.BatchNorm1d(4)).double(), []
    net[0].register_forward_pre_hook(lambda layer, args: seen.append(args[0]))
    net[0].register_forward_hook(lambda layer, args, y: seen.append(layer.running_mean.clone()))
    batches = batches_of()
    bn.recompute_statistics(net, batches)
    same_state(seen, [item for batch in batches for item in (batch, torch.zeros(4).double())])


@given(st.data())
def test_any_network_on_any_mini_batches(data):
    parts = data.draw(st.lists(st.sampled_from(PARTS), min_size=1, max_size=7), label="parts")
    sizes = st.sampled_from([0, data.draw(st.sampled_from([2, 3, 5]))])
    shifts = data.draw(st.lists(st.tuples(sizes, st.sampled_from([-1, 1])), max_size=5))
    torch.manual_seed(0)
    shared = bn.BatchNorm1d(3)
    net = nn.Sequential(*(part(shared) for part in parts)).double()
    for layer in filter(is_layer, net.modules()):
        layer.running_mean.fill_(7)
        layer.momentum = data.draw(st.sampled_from([0.1, None]))
    batches = batches_of(shifts, d=3)
    if any(seen_by(net, batches).values()):
        recomputed(net, batches)
    else:
        before, rest = held(net)
        with pytest.raises(ValueError, match="must"):
            bn.recompute_statistics(net, batches)
        same_state(net.state_dict(), before)
        assert held(net)[1] == rest


class Keep(nn.Module):
    """Give a mini-batch on if the sum of its values has a sign, else none of it."""

    def __init__(self, sign):
        super().__init__()
        self.sign = sign

    def forward(self, x):
        return x if x.sum() * self.sign > 0 else x[:0]


PARTS = [
    lambda shared: shared,
    lambda shared: bn.BatchNorm1d(3, activation="relu"),
    lambda shared: nn.BatchNorm1d(3),
    lambda shared: nn.Linear(3, 3),
    lambda shared: nn.Tanh(),
    lambda shared: Keep(1),
    lambda shared: Keep(-1),
]


# ---- What is refused, and changes nothing ------------------------------------------------------------------------


class Moody(nn.Module):
    """A forward that raises at a mini-batch with a mean below 0, after its first layer."""

    def __init__(self, error):
        super().__init__()
        self.first, self.second, self.error = bn.BatchNorm1d(4, momentum=0.7), nn.BatchNorm1d(4).eval(), error

    def forward(self, x):
        y = self.first(x)
        if x.mean() < 0:
            raise self.error("a mood")
        return self.second(y)


def some(net):
    """A network that has seen a mini-batch."""
    net(torch.randn(4, 4).double() + 3)
    return net


GOOD = batches_of([(5, 3)])[0]
REFUSED = {
    "empty": ([], ValueError, "at least one mini-batch"),
    "an iterator at its end": (iter(()), ValueError, "at least one mini-batch"),
    "no values": ([GOOD[:0], GOOD[:0]], ValueError, "none of them does"),
    "one value": ([GOOD, GOOD[:1]], ValueError, "more than 1 value"),
    "another width": ([GOOD, GOOD[:, :3]], RuntimeError, "running_mean should contain 3 elements"),
    "another type": ([GOOD, GOOD.long()], (RuntimeError, NotImplementedError), None),
    "an empty tuple": ([GOOD, ()], ValueError, r"first item, but it is \(\)"),
    "an empty list": ([[]], ValueError, r"first item, but it is \[\]"),
    "a string": ("ab", TypeError, "but it is a str"),
    "a dictionary": ({"x": GOOD}, TypeError, "but it is a dict"),
    "a number": (3, TypeError, "iterable"),
    "nothing": (None, TypeError, "iterable"),
    "a mini-batch": (GOOD, ValueError, r"\(K, m, \*\), but its shape is \(5, 4\)"),
    "an example": (GOOD[0], ValueError, r"\(4,\)"),
}


@pytest.mark.parametrize(("batches", "error", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_leaves_everything_as_it_was(batches, error, sentence):
    net = some(nn.Sequential(nn.BatchNorm1d(4, momentum=0.7), bn.BatchNorm1d(4), nn.Dropout().eval()).double())
    before, rest = held(net)
    with pytest.raises(error, match=sentence):
        bn.recompute_statistics(net, batches)
    same_state(net.state_dict(), before)
    assert held(net)[1] == rest


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_forward_that_raises_leaves_everything_as_it_was(error):
    net = some(Moody(error).double())
    before, rest = held(net)
    with pytest.raises(error, match="a mood"):
        bn.recompute_statistics(net, batches_of([(5, 3), (5, -3)]))
    same_state(net.state_dict(), before)
    assert held(net)[1] == rest


def test_a_generator_that_raises_leaves_everything_as_it_was():
    def batches():
        yield GOOD
        raise OSError("the disk")

    net = some(nn.Sequential(nn.BatchNorm1d(4)).double())
    before, rest = held(net)
    with pytest.raises(OSError, match="the disk"):
        bn.recompute_statistics(net, batches())
    same_state(net.state_dict(), before)
    assert held(net)[1] == rest


@pytest.mark.parametrize("module", [None, [nn.BatchNorm1d(4)], nn.BatchNorm1d, GOOD])
def test_what_is_no_module_is_refused(module):
    with pytest.raises(TypeError, match=r"^module must be an nn\.Module, but it is of type"):
        bn.recompute_statistics(module, [GOOD])


def test_an_input_may_be_anything_that_forward_takes():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.bn = nn.BatchNorm1d(4)

        def forward(self, batch):
            return self.bn(batch["x"])

    net = Named().double()
    bn.recompute_statistics(net, [{"x": GOOD}, [{"x": GOOD}, "label"]])
    close(net.bn.running_mean, GOOD.mean(0))
    assert net.bn.num_batches_tracked == 2
