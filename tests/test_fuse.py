"""Networks with BatchNorm and ReLU fused, against the same networks unfused: bit for bit, whatever is done to them."""

import copy
import io
import itertools
import random
import sys

import numpy as np
import pytest
import torch
from networks import Branches, Residual, randomize, torchvision_models
from programs import PROGRAMS, Caught, Checkpointed, Program, Twice, build, calls, observe
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

import bn
from bn import functional, ops
from bn.fuse import Fused, fused_layers

REFUSED = {Caught, Twice, Checkpointed}
exact = {"rtol": 0, "atol": 0}


@pytest.fixture(autouse=True)
def empty_caches():
    """TorchDynamo keeps its graphs for the life of a process."""
    yield
    torch._dynamo.reset()


def sequential():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1))
    return randomize(net)


X = torch.randn(4, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def gradients(net, *arguments):
    torch.manual_seed(1)
    y = net(*arguments)
    wanted = [p for p in net.parameters() if p.requires_grad]
    return [y, *torch.autograd.grad(y, wanted, torch.randn_like(y), allow_unused=True), *net.buffers()]


def test_both_are_one_call_in_training_and_in_inference(monkeypatch):
    net, called = bn.convert(sequential()), []

    def recorded(*args, activation, **kwargs):
        called.append((args[5], activation))  # whether it is training
        return functional.batch_norm_act(*args, activation=activation, **kwargs)

    monkeypatch.setattr(sys.modules["bn.fuse"], "batch_norm_act", recorded)
    assert bn.fuse(net, X) is net
    called.clear()
    for training in (True, False):
        net.train(training)(X)
    assert called == [(True, "relu"), (False, "relu")] and fused_layers(net) == {"1"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "first"),
    [*((cls, nn.Module.train) for cls in PROGRAMS), *((cls, bn.convert) for cls in PROGRAMS[:4])],
    ids=lambda value: value.__name__,
)
def test_whatever_a_program_does_is_done_as_before(program, first):
    """With other arguments, other attributes, other flags, kept values, and random numbers of three kinds."""
    net = first(build(program))
    before, states = copy.deepcopy(net.state_dict()), (random.getstate(), np.random.get_state()[1].tobytes())
    if program in REFUSED:
        with pytest.raises(ValueError, match="no BatchNorm layer"):
            bn.fuse(net, calls()[0])
        assert net._compiled_call_impl is None
    else:
        bn.fuse(net, calls()[0])
    torch.testing.assert_close(net.state_dict(), before, **exact)
    assert net.training and states == (random.getstate(), np.random.get_state()[1].tobytes())
    torch.testing.assert_close(observe(net), observe(first(build(program))), **exact)
    assert program in REFUSED or fused_layers(net)


@pytest.mark.parametrize(("make", "count"), [(Residual, 1), (Branches, 2)])
def test_blocks_with_branches(make, count):
    torch.manual_seed(0)
    net, x = randomize(make()), torch.randn(3, 4, 6, 6, dtype=torch.float64)
    twin = copy.deepcopy(net)
    bn.fuse(net, x)
    for training in (True, False):
        net.train(training), twin.train(training)
        torch.testing.assert_close(gradients(net, x), gradients(twin, x), **exact)
    assert len(fused_layers(net)) == count


def test_resnet18():
    torch.manual_seed(0)
    net, x = torchvision_models().resnet18(weights=None), torch.randn(2, 3, 32, 32)
    twin = copy.deepcopy(net)
    bn.fuse(bn.convert(net), x)
    torch.testing.assert_close(gradients(net, x), gradients(twin, x), **exact)
    assert (
        fused_layers(net) == {"bn1", *(f"layer{i}.{j}.bn1" for i in range(1, 5) for j in range(2))}
        or len(fused_layers(net)) == 9
    )


# ---- What is done to a fused network -------------------------------------------------------------------------------


def synchronized(net):
    nn.SyncBatchNorm.convert_sync_batchnorm(net)


def folded_by_torch(net):
    net.eval()
    net[0], net[1] = fuse_conv_bn_eval(net[0], net[1]), nn.Identity()


def relu_replaced(net):
    net[2] = nn.GELU()


def layer_replaced(net):
    net[1] = nn.InstanceNorm2d(4)


def hook_on_the_layer(net):
    net.seen = []
    net[1].register_forward_hook(lambda part, inputs, output: net.seen.append(output.min().item()))


def hook_that_changes(net):
    net[1].register_forward_hook(lambda part, inputs, output: output + 1)


def hook_on_the_relu(net):
    net[2].register_forward_pre_hook(lambda part, inputs: (inputs[0] - 0.5,))


def hook_backward(net):
    net[2].inplace = False  # torch allows no other after such a hook
    net[1].register_full_backward_hook(lambda part, gi, go: (2 * gi[0],))


def frozen_layer(net):
    net[1].eval()


def other_eps(net):
    net[1].eps = 0.3


def no_statistics(net):
    net[1].track_running_stats, net[1].running_mean, net[1].running_var = False, None, None


def other_forward(net):
    net[1].forward = lambda x: -x


def extended(net):
    net.append(nn.BatchNorm2d(2).double())
    net.append(nn.ReLU())


def converted(net):
    bn.convert(net)


def reverted(net):
    bn.revert(net)


def residual_hook(net):
    net[2].register_forward_hook(lambda part, inputs, output: output + inputs[0])


LATER = [
    *(folded_by_torch, relu_replaced, layer_replaced, hook_on_the_layer, hook_that_changes, hook_on_the_relu),
    *(hook_backward, frozen_layer, other_eps, no_statistics, other_forward, extended, converted, reverted),
    residual_hook,
]


@pytest.mark.parametrize("before", [False, True], ids=["not yet called", "called"])
@pytest.mark.parametrize("later", LATER, ids=lambda f: f.__name__)
def test_what_is_done_to_a_fused_network_counts(later, before):
    net, twin = sequential(), sequential()
    bn.fuse(net, X)
    for part in (net, twin):
        if before:
            part(X)
        later(part)
    for _ in range(2):
        torch.testing.assert_close(gradients(net, X), gradients(twin, X), **exact)
    torch.testing.assert_close(getattr(net, "seen", 0), getattr(twin, "seen", 0))


def test_parts_slices_copies_and_files_are_what_they_were():
    net, twin = sequential(), sequential()
    bn.fuse(net, X).eval(), twin.eval()
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    for part, other in [
        (net[:2], twin[:2]),
        (net[1:], twin[1:]),
        (nn.Sequential(*list(net)[2:]), twin[2:]),
        (copy.deepcopy(net)[:2], twin[:2]),
        (torch.load(file, weights_only=False), twin),
        (copy.copy(net), twin),
        (torch.fx.symbolic_trace(net), twin),
        (nn.Sequential(net, nn.ReLU()), nn.Sequential(twin, nn.ReLU())),
    ]:
        x = X if next(part.parameters()).dim() == 4 and next(part.parameters()).shape[1] == 3 else twin[0](X)
        torch.testing.assert_close(part(x), other(x), **exact)
    x = X
    torch.testing.assert_close([x := layer(x) for layer in net][-1], twin(X), **exact)


def test_synchronized_by_torch_it_is_no_longer_fused():
    net = sequential()
    bn.fuse(net, X)(X)
    synchronized(net)
    assert type(net[1]) is nn.SyncBatchNorm and type(net[2]) is nn.ReLU
    torch.testing.assert_close(net.eval()(X), sequential_with_one_step().eval()(X), **exact)


def sequential_with_one_step():
    net = sequential()
    net(X)
    return net


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_traces_or_transforms_sees_the_module_itself():
    net, twin = sequential(), sequential()
    bn.fuse(net, X).eval(), twin.eval()
    v = torch.randn_like(X)
    for transform in (
        lambda part: torch.jit.trace(part, X)(X),
        lambda part: torch.export.export(part, (X,)).module()(X),
        lambda part: torch.compile(part, backend="aot_eager")(X),
        lambda part: torch.func.jvp(part, (X,), (v,)),
        lambda part: torch.func.vmap(part)(X[None]),
    ):
        torch.testing.assert_close(transform(net), transform(twin), **exact)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(X, v)
        tangents = [torch.autograd.forward_ad.unpack_dual(part(dual)).tangent for part in (net, twin)]
    torch.testing.assert_close(*tangents, **exact)


def test_autocast_and_other_types():
    net, twin = sequential().float(), sequential().float()
    bn.fuse(net, X.float())
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(gradients(net, X.float()), gradients(twin, X.float()), **exact)
    net.double(), twin.double()
    torch.testing.assert_close(gradients(net, X), gradients(twin, X), **exact)


def test_more_networks_than_torchdynamo_keeps_of_one_function():
    for _ in range(10):
        net = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU())
        bn.fuse(net, torch.randn(4, 3))(torch.randn(4, 3))
        assert fused_layers(net) == {"0"}


def test_the_kernels_are_fused_too(monkeypatch):
    """Where our layer calls the operators of the kernels, they get the ReLU."""
    pytest.importorskip("triton")
    monkeypatch.setattr(functional, "_choose", lambda backend, *rest: "triton")
    asked, usual = [], ops.launch.training
    monkeypatch.setattr(ops.launch, "training", lambda *args: (asked.append(args[8]), usual(*args)))
    net = bn.convert(nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()))
    twin, x = copy.deepcopy(net), torch.randn(6, 3)
    want = gradients(twin, x)
    assert asked == [False]
    bn.fuse(net, x)
    asked.clear()
    torch.testing.assert_close(gradients(net, x), want)
    assert asked == [True]


def test_revert_takes_the_fusion_back():
    net = sequential()
    bn.revert(bn.fuse(bn.convert(net), X))
    assert net._compiled_call_impl is None and type(net[1]) is nn.BatchNorm2d
    inner = nn.Sequential(bn.fuse(sequential(), X))
    assert bn.revert(inner)[0]._compiled_call_impl is None


# ---- Who calls, and from where ---------------------------------------------------------------------------------------


class Careless(nn.Sequential):
    """Its copies take over all that it holds, how it is called included."""

    def __deepcopy__(self, memo):
        new = type(self).__new__(type(self))
        new.__dict__ = {**self.__dict__, "_modules": copy.deepcopy(self._modules, memo)}
        return new


def test_a_copy_that_takes_over_how_it_is_called_calls_itself():
    torch.manual_seed(0)
    net = Careless(nn.BatchNorm1d(3), nn.ReLU())
    bn.fuse(net, torch.randn(4, 3))
    twin = copy.deepcopy(net)
    assert twin._compiled_call_impl is not None
    nn.init.constant_(twin[0].bias, 7.0)
    x = torch.randn(4, 3)
    assert twin(x).mean() > 5 > net(x).mean()


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, gradient):
        return 3 * gradient * ctx.saved_tensors[0] ** 2


class WithFunction(nn.Sequential):
    def forward(self, x):
        return Cube.apply(super().forward(x))


def test_what_has_a_gradient_of_its_own_is_left_to_the_code():
    """TorchDynamo's graph of such a function has one gradient, and the gradient of that would be another number."""
    torch.manual_seed(0)
    net = WithFunction(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.ReLU()).double()
    twin, x = copy.deepcopy(net), torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    with pytest.raises(ValueError, match="no BatchNorm layer"):
        bn.fuse(net, x)
    net._compiled_call_impl = Fused(net)
    found = []
    for part in (net, twin):
        (gradient,) = torch.autograd.grad(part(x).square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(gradient.square().sum(), [*part.parameters()]))
    torch.testing.assert_close(*found, **exact)


@pytest.mark.parametrize("inside", [torch.no_grad, torch.inference_mode])
def test_gradients_are_compared_wherever_fuse_is_called(inside):
    class Stopped(nn.Sequential):
        def forward(self, x):
            y = self[0](x)
            with torch.no_grad():
                z = self[1](y)
            return z + y.sigmoid() * 0 + x

    net, x = Stopped(nn.BatchNorm1d(3), nn.ReLU()), torch.randn(4, 3)
    with inside(), pytest.raises(ValueError, match="no BatchNorm layer"):
        bn.fuse(net, x)


def test_hooks_on_all_modules_come_late_and_are_called():
    net, seen = sequential(), []
    net[2].inplace = False
    bn.fuse(net, X)(X)
    hook = nn.modules.module.register_module_full_backward_hook(lambda part, gi, go: seen.append(part))
    try:
        net(X).sum().backward()
    finally:
        hook.remove()
    assert net[1] in seen and net[2] in seen


def test_values_far_from_0_are_torchs_where_the_layer_is_and_ours_where_it_is():
    torch.manual_seed(0)
    x = torch.randn(2000, 4) + 1e6
    far_before_relu = [nn.BatchNorm1d(4), nn.ReLU()]
    far_alone = [nn.BatchNorm1d(4), nn.Sigmoid(), nn.BatchNorm1d(4), nn.ReLU()]
    for change, layers in itertools.product((nn.Module.train, bn.convert), (far_before_relu, far_alone)):
        net = change(nn.Sequential(*copy.deepcopy(layers)))
        twin = copy.deepcopy(net)
        bn.fuse(net, x)
        torch.testing.assert_close(gradients(net, x), gradients(twin, x), **exact)


def test_an_input_that_forward_writes_over_is_no_reason_to_refuse():
    net, x = nn.Sequential(nn.ReLU(inplace=True), nn.BatchNorm1d(3), nn.ReLU()), torch.randn(4, 3)
    before = x.clone()
    bn.fuse(net, x)
    assert torch.equal(x, before)
    torch.testing.assert_close(bn.fold(net, x)(x.clone()), net.eval()(x.clone()))


# ---- What is refused ----------------------------------------------------------------------------------------------


class Forgetful(nn.Module):
    """A layer whose ReLU is TorchDynamo's alone to see: compiled, it gives another number."""

    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm1d(3)

    def forward(self, x):
        y = torch.relu(self.bn(x))
        return y + 1 if torch.compiler.is_compiling() else y


def test_what_the_examples_disprove_is_refused_by_name():
    net, x = Forgetful(), torch.randn(4, 3)
    with pytest.raises(ValueError, match="in training these are not what they were with the example_inputs: the outp"):
        bn.fuse(net, x)
    assert net._compiled_call_impl is None and torch.equal(net(x), Forgetful()(x))


def test_refusals_name_what_is_wrong():
    net, x = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()), torch.randn(4, 3)
    with pytest.raises(TypeError, match=r"^module must be an nn\.Module, but it is of type function"):
        bn.fuse(lambda x: x, x)
    for wrong in (None, 3, "x", {1: x}):
        with pytest.raises(TypeError, match="example_inputs must be a tensor, a tuple of the arguments"):
            bn.fuse(net, wrong)
    with pytest.raises(ValueError, match=r"in training the module raises with these example_inputs: ValueError\('Exp"):
        bn.fuse(net, x[:1])
    with pytest.raises(ValueError, match=r"in training the module raises .* missing 1 required positional argument"):
        bn.fuse(net, ())
    with pytest.raises(ValueError, match="no BatchNorm layer whose output goes to a ReLU and nowhere else"):
        bn.fuse(nn.Sequential(nn.BatchNorm1d(3), nn.Sigmoid(), nn.ReLU()), x)
    with pytest.raises(ValueError, match="module is compiled"):
        bn.fuse(torch.compile(net), x)
    net.compile(backend="eager")
    with pytest.raises(ValueError, match="module is compiled"):
        bn.fuse(net, x)
    holder = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU())
    holder.act = lambda x: holder[1](x)
    with pytest.raises(ValueError, match=r"^act is a function that leads to a module, and would lead to it in"):
        bn.fuse(holder, x)
    assert holder._compiled_call_impl is None
    net = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU())
    net.source = random.Random(1)
    with pytest.raises(ValueError, match=r"^module holds a random\.Random, whose numbers TorchDynamo draws but once"):
        bn.fuse(net, x)


def test_arguments_by_name_and_in_lists():
    net = build(Program)
    x, other = calls()[0][0], calls()[2][1]
    for example in ({"x": x}, [x], (x, other), {"x": x, "skip": other}):
        bn.fuse(net, example)
    torch.testing.assert_close(net(x=x), build(Program)(x), **exact)
