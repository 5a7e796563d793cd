"""Networks folded for inference, against the networks they come from in inference mode."""

import copy
import pickle
import random
import warnings
import weakref

import numpy as np
import pytest
import torch
import torch.distributed as dist
from networks import NETS, Branches, Net, Residual, count, randomize, sequential
from programs import PROGRAMS, build, calls, calls_of
from torch import nn
from torch.nn.utils import parametrizations, prune

import bn
from bn import reference
from bn.fold import Fixed
from bn.trace import InferenceGraph

REFUSALS = (ValueError, TypeError, AttributeError, AssertionError)


def close(got, want):
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


def fixed_in(net):
    return sum(isinstance(part, Fixed) for part in net.modules())


def quietly(net, *example):
    """Fold where it is known, and proved elsewhere, that a warning comes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return bn.fold(net, *example)


@pytest.fixture(params=NETS.values(), ids=NETS)
def case(request):
    make, shape = request.param
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64)
    return randomize(make(), x), x


@pytest.mark.parametrize("with_example", [False, True])
@pytest.mark.parametrize("first", [lambda net: net, bn.convert], ids=["torch's", "ours"])
def test_folded_is_inference_to_rounding_and_the_original_is_left(case, first, with_example):
    net, x = case
    net = first(net)
    before, text = copy.deepcopy(net.state_dict()), repr(net)
    folded = bn.fold(net, x) if with_example else quietly(net)
    assert repr(net) == text and net.training
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    layers = [part for part in folded.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    assert all(isinstance(part, Fixed) for part in layers)
    assert not folded.training and (not with_example or isinstance(folded, InferenceGraph))
    close(folded(x), net.eval()(x))
    close(folded(x[:1]), net(x[:1]))
    shared = {id(tensor) for tensor in net.parameters()} & {id(tensor) for tensor in folded.parameters()}
    assert not shared


def test_fold_takes_in_what_it_can_and_fixes_the_rest():
    torch.manual_seed(0)
    x = torch.randn(3, 4, 6, 6, dtype=torch.float64)
    folded = bn.fold(randomize(sequential(), x))
    # taken in by Conv2d; not by a ConvTranspose2d in groups; by one without, and by two Linears; not by a Sigmoid
    assert fixed_in(folded) == 2 and isinstance(folded, InferenceGraph)
    assert all(isinstance(folded.get_submodule(name), Fixed) for name in ("4", "14"))
    assert fixed_in(bn.fold(randomize(Branches()), x)) == 1
    assert count(bn.fold(randomize(nn.Sequential(Residual(), Residual())), x), Fixed) == 0


def test_without_examples_code_of_its_own_is_not_followed():
    net, x = randomize(Residual()), torch.randn(3, 4, 6, 6, dtype=torch.float64)
    with pytest.warns(UserWarning, match="forward of Residual cannot be made a graph.*code of its own, which is foll"):
        folded = bn.fold(net)
    assert type(folded) is Residual and fixed_in(folded) == 2
    close(folded(x), net.eval()(x))


def seen(net, given_to, ways=("eval", "no_grad", "epoch")):
    """Outputs, kept tensors and gradients in every way of calling a program in inference, or what was raised."""
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    found = []
    for way in ways:
        try:
            if way == "epoch":
                net.epoch = 5
        except REFUSALS as error:
            found += [type(error)] * len(given_to)
            continue
        for arguments in given_to:
            x = arguments[0].clone().requires_grad_()
            try:
                with torch.set_grad_enabled(way != "no_grad"):
                    y = net(x, *arguments[1:])
            except REFUSALS as error:
                found.append(type(error))
                continue
            given = [*(y if isinstance(y, list | tuple) else [y]), getattr(net, "pre", None)]
            given = [value for value in given if value is not None]
            gradient = None
            if given[0].requires_grad:
                gradient = torch.autograd.grad(given, x, [value.cos() for value in given])[0]
            found.append(([value.detach().clone() for value in given], gradient))
            if hasattr(net, "pre"):
                net.pre = None
    return found


@pytest.mark.parametrize(
    ("program", "example"),
    [(cls, example) for cls in PROGRAMS for example in (None, *range(len(calls_of(cls)))) if example not in (1, 2, 5)],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_program_folded_gives_its_numbers_or_raises(program, example):
    net = build(program)
    before, state = copy.deepcopy(net.state_dict()), random.getstate()
    given = calls_of(program)
    folded = quietly(net, None if example is None else given[example])
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert net.training and net.log == [] and net.pre is None and random.getstate() == state
    got, want = seen(folded, given), seen(build(program).eval(), given)
    graph = isinstance(folded, InferenceGraph)
    for mine, right in zip(got, want, strict=True):
        if isinstance(mine, type):
            assert graph and mine in REFUSALS
        else:
            close(mine, right)
    assert not graph or not isinstance(got[example], type)  # the call that it was made for is served


GRAPHS = {"Program", "Optional", "Flag", "OnEpoch", "OnTraining", "Twice", "Both", "Summed", "Viewed", "Weights"}
GRAPHS |= {"Methods", "Listed", "OnType", "Checkpointed", "Asks", "NoGrad"}


def test_which_programs_become_a_graph():
    made = {cls.__name__ for cls in PROGRAMS if isinstance(quietly(build(cls), calls()[0]), InferenceGraph)}
    assert made == GRAPHS


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("Kept", "it changes pre"),
        ("KeptDeep", r"it changes helper\.calls, helper\.seen\.0\.0"),
        ("Features", "TraceError: symbolically traced variables cannot be used as inputs to control flow"),
        ("Counting", r"it changes calls .*, epoch, log\.0"),
        ("Scaling", "it changes scale"),
        ("Drawing", "it draws random numbers"),
        ("Sources", "it changes count, slots, source"),
        ("Outside", "it keeps values outside of the module"),
        ("OnGrad", "it depends on whether gradients are computed, or on autocast"),
        ("Caught", "it looks at values"),
        ("Inner", "it changes seq.0.last"),
    ],
)
def test_why_a_program_is_no_graph(program, reason):
    cls = next(cls for cls in PROGRAMS if cls.__name__ == program)
    with pytest.warns(UserWarning, match=f"forward of {program} cannot be made a graph, so each .*: {reason}"):
        folded = bn.fold(build(cls), calls()[0])
    assert type(folded) is cls and fixed_in(folded) == 2


def test_a_graph_refuses_what_it_was_not_made_for():
    x, y = calls()[2]
    folded = bn.fold(build(next(cls for cls in PROGRAMS if cls.__name__ == "Optional")), (x, y))
    with pytest.raises(TypeError, match=r"^skip must be a tensor, as when the network was folded, but it is None"):
        folded(x, None)
    with pytest.raises(TypeError, match="skip"):
        folded(x)
    with pytest.raises(ValueError, match=r"^mask must be None, as when the network was folded, but it is a tensor"):
        folded(x, y, mask=y)
    with pytest.raises(AttributeError, match=r"^epoch cannot be set on a folded network, which is a graph of what was"):
        folded.epoch = 3
    with pytest.raises(ValueError, match=r"^a folded network stays in inference mode"):
        folded.train()
    for again in (copy.copy(folded), copy.deepcopy(folded), pickle.loads(pickle.dumps(folded))):
        torch.testing.assert_close(again(x, y), folded(x, y), rtol=0, atol=0)
        for name in ("epoch", "body", "of_my_own"):
            with pytest.raises(AttributeError, match=f"^{name} cannot be set on a folded network"):
                setattr(again, name, 1)
        with pytest.raises(ValueError, match=r"^a folded network stays in inference mode"):
            again.train()
    assert folded.eval() is folded and not folded.training


def test_fixed_layers_stay_in_inference():
    torch.manual_seed(0)
    net, x = randomize(Residual()), torch.randn(3, 4, 6, 6, dtype=torch.float64)
    folded, want = quietly(net), net.eval()(x)
    before = copy.deepcopy(folded.state_dict())
    close(folded.train()(x), want)
    torch.testing.assert_close(folded.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"eps": 0.3}], ids=str)
def test_fold_keeps_activation_and_residual(activation, options):
    torch.manual_seed(0)
    x, r = torch.randn(2, 5, 3, 4, 4, dtype=torch.float64)
    layer = randomize(bn.BatchNorm2d(3, activation=activation, **options))
    conv = nn.Conv2d(3, 3, 3).double()
    close(bn.fold(layer)(x), layer.eval()(x))
    close(bn.fold(layer)(x, r), layer(x, r))
    net = nn.Sequential(conv, layer).eval()
    close(bn.fold(net)(x), net(x))
    assert bn.fold(layer)(x.contiguous(memory_format=torch.channels_last)).is_contiguous(
        memory_format=torch.channels_last
    )


def test_fixed_is_line_11_of_algorithm_2():
    torch.manual_seed(0)
    layer, x = randomize(bn.BatchNorm1d(3)), torch.randn(5, 3, dtype=torch.float64)
    gamma, beta, mean, var = (
        t.detach().numpy() for t in (layer.weight, layer.bias, layer.running_mean, layer.running_var)
    )
    want = reference.batch_norm_inference(x.numpy(), gamma, beta, mean, var, layer.eps)
    close(bn.fold(layer)(x), torch.from_numpy(want))


# ---- Precision -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("before", [None, nn.Conv1d, nn.Linear])
@pytest.mark.parametrize("mean", [100.0, 0.0])
def test_folded_is_as_near_to_float64_as_torch(dtype, before, mean):
    torch.manual_seed(0)
    layer = nn.BatchNorm1d(8)
    with torch.no_grad():
        layer.running_mean.fill_(mean), layer.weight.normal_(), layer.bias.normal_()
    parts = [] if before is None else [before(8, 8, 1) if before is nn.Conv1d else nn.Linear(8, 8)]
    for part in parts:
        nn.init.constant_(part.bias, mean)
    net = nn.Sequential(*parts, layer).to(dtype).eval()
    x = torch.randn(64, 8, 5) if before is nn.Conv1d else torch.randn(64, 8)
    x = (x + (mean if before is None else 0)).to(dtype)
    truth = copy.deepcopy(net).double()(x.double())
    torchs, ours = ((part(x).double() - truth).abs().max() for part in (net, bn.fold(net, x)))
    assert ours <= torchs
    assert bn.fold(net)(x).dtype == dtype


def test_folding_before_casting_takes_in():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    assert count(bn.fold(net).half(), Fixed) == 0 and fixed_in(bn.fold(net.half())) == 1


# ---- What is left alone --------------------------------------------------------------------------------------------


def weights_are_read(net, x, flag):
    return net.bn(net.before(x)) + net.before.weight.sum()


def called_twice(net, x, flag):
    return net.bn(net.before(x)) + net.before(-x)


def taken_apart(net, x, flag):
    y = net.before(x)
    return net.bn(y) + y


@pytest.mark.parametrize("how", [weights_are_read, called_twice, taken_apart], ids=lambda how: how.__name__)
def test_fold_leaves_a_layer_that_is_used_elsewhere(how):
    torch.manual_seed(0)
    net, x = Net(how), torch.randn(5, 3, dtype=torch.float64)
    net.before = nn.Linear(3, 3)
    net = randomize(net)
    want = copy.deepcopy(net).eval()(x)
    folded = bn.fold(net, x)
    assert isinstance(folded, InferenceGraph) and isinstance(folded.bn, Fixed)
    close(folded(x), want)


@pytest.mark.parametrize("how", [lambda bn, y, x: bn(y, x), lambda bn, y, x: bn(y, residual=y)], ids=["other", "same"])
def test_fold_leaves_a_layer_that_adds_a_residual(how):
    torch.manual_seed(0)
    net, x = Net(lambda net, x, flag: how(net.bn, net.before(x), x)), torch.randn(5, 3, dtype=torch.float64)
    net.bn, net.before = bn.BatchNorm1d(3, activation="relu"), nn.Linear(3, 3)
    net = randomize(net)
    folded = bn.fold(net, x)
    assert isinstance(folded, InferenceGraph) and isinstance(folded.bn, Fixed)
    close(folded(x), net.eval()(x))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_fold_leaves_alone_what_hooks_or_parametrizes_weights():
    torch.manual_seed(0)
    x = torch.randn(4, 3, dtype=torch.float64)
    tied = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3), nn.BatchNorm1d(3))
    tied[2].weight = tied[0].weight
    normed = nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 3)), nn.BatchNorm1d(3))
    hooked = nn.Sequential(nn.utils.spectral_norm(nn.Linear(3, 3)), nn.BatchNorm1d(3))
    pruned = nn.Sequential(prune.l1_unstructured(nn.Linear(3, 3), "weight", 0.5), nn.BatchNorm1d(3))
    watched = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    watched[0].register_forward_hook(lambda part, inputs, output: output + 1)
    for net, fixed in ((tied, 0), (normed, 1), (hooked, 1), (pruned, 1), (watched, 1)):
        randomize(net)
        net.train()(x).square().sum().backward()  # after a step, tensors with a history stand where the weights were
        folded = bn.fold(net)
        assert fixed_in(folded) == fixed
        close(folded(x), net.eval()(x))


def test_a_hook_on_the_network_itself_is_kept():
    net, x = randomize(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))), torch.randn(4, 3, dtype=torch.float64)
    net.register_forward_hook(lambda part, inputs, output: output + 1)
    with pytest.warns(UserWarning, match="it has hooks or a forward of its own"):
        folded = bn.fold(net, x)
    close(folded(x), net.eval()(x))


class Held(nn.Module):
    """Holds what cannot be copied, or must not be."""

    def __init__(self, **held):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        for name, value in held.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.body(x)


def test_what_cannot_be_copied_is_shared(tmp_path):
    x = torch.randn(4, 3, dtype=torch.float64)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    try:
        group = dist.new_group([0])
        kept = (torch.ones(3, requires_grad=True) * 2, [torch.ones(2, requires_grad=True).exp()])
        net = randomize(Held(group=group, kept=kept, lock=(line for line in "ab"), device=x.device))
        net.body[1] = randomize(nn.SyncBatchNorm(3, process_group=group))
        folded = bn.fold(net.eval(), x)
        close(folded(x), net(x))
        same = quietly(net)
        assert same.group is group and same.lock is net.lock and same.body[1].process_group is group
        torch.testing.assert_close(same.kept, net.kept)
        close(same(x), net(x))
    finally:
        dist.destroy_process_group()


def test_what_autograd_computed_is_copied_with_nothing_shared():
    net = Held(h=(torch.ones(3, requires_grad=True) * 2))
    net.register_buffer("ema", torch.zeros(3))
    net.ema = net.ema * 0.9 + net.body[1].weight * 0.1
    folded = quietly(net)
    for name in ("h", "ema"):
        mine, theirs = getattr(folded, name), getattr(net, name)
        torch.testing.assert_close(mine, theirs.detach(), rtol=0, atol=0)
        assert mine.data_ptr() != theirs.data_ptr() and not mine.requires_grad
    assert set(folded.state_dict()) == set(net.state_dict())


def test_a_weak_reference_or_a_function_with_attributes_that_leads_to_the_original_is_refused():
    net = Held()
    net.body.parent = weakref.ref(net)
    with pytest.raises(ValueError, match=r"^body\.parent is a weak reference that leads to a module"):
        bn.fold(net)
    del net.body.parent

    def act(x, *, part=None):
        return x

    act.part, net.act = net.body, act
    with pytest.raises(ValueError, match=r"^act is a function that leads to a module"):
        bn.fold(net)
    del act.part
    act.__kwdefaults__ = {"part": net.body}
    with pytest.raises(ValueError, match=r"^act is a function that leads to a module"):
        bn.fold(net)
    act.__kwdefaults__, net.library = None, torch.nn.functional
    assert quietly(net).library is torch.nn.functional


def test_names_that_python_cannot_write_down_are_no_graph():
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    net.add_module("graph", nn.ReLU())
    x = torch.randn(4, 3)
    torch.testing.assert_close(quietly(net, x)(x), net.eval()(x))


def test_an_activation_that_somebody_else_put_on_a_layer_is_not_carried_out():
    net, x = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3), nn.BatchNorm1d(3)), torch.randn(4, 3)
    net[0].activation = net[2].activation = "relu"
    want = net.eval()(x)
    for change in (bn.convert, bn.SyncBatchNorm.convert_sync_batchnorm, bn.fold, lambda net: bn.fold(net, x)):
        other = change(copy.deepcopy(net))
        torch.testing.assert_close(other(x), want)


def test_a_function_that_would_call_the_original_is_refused_by_name():
    net = Held()
    for name, value in {"act": lambda x: net.body[1](x), "acts": [lambda x, part=net.body: part(x)]}.items():
        setattr(net, name, value)
        with pytest.raises(ValueError, match=rf"^{name}.* is a function that leads to a module, and would lead"):
            bn.fold(net)
        delattr(net, name)
    net.act = torch.nn.functional.relu
    assert quietly(net).act is net.act


def test_methods_lists_and_objects_of_a_copy_are_the_copys():
    net, x = randomize(build(next(cls for cls in PROGRAMS if cls.__name__ == "Listed"))), calls()[0][0]
    net.act = net.forward  # bound to the network
    folded = quietly(net)
    assert folded.list[1] is folded.bn is not net.bn and folded.box.bn is folded.seq[1]
    assert folded.act.__self__ is folded
    close(folded(x), net.eval()(x))


# ---- What is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folded_of", [lambda net, x: bn.fold(net), bn.fold], ids=["alone", "with an example"])
def test_the_refusals_are_the_layers_own(folded_of):
    """Rank and type: what the layer refuses, the folded one refuses, with the same kind of error."""
    nets = {
        (4, 3, 5, 5): [nn.Sequential(nn.BatchNorm2d(3)), nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))],
        (4, 3, 5): [nn.Sequential(nn.BatchNorm1d(3)), nn.Sequential(nn.Conv1d(3, 3, 1), nn.BatchNorm1d(3))],
        (4, 3): [nn.Sequential(nn.BatchNorm1d(3)), nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))],
    }
    for shape, pair in nets.items():
        for net in pair:
            folded = folded_of(net.eval(), torch.randn(shape))
            y = torch.randn(shape)
            for x in (y.double(), y.long(), y[0], torch.randn(2, 7, 5), y[..., None], y.half()):
                try:
                    want = net(x)
                except ValueError:
                    with pytest.raises(ValueError, match="expected"):
                        folded(x)
                except RuntimeError:
                    with pytest.raises((ValueError, RuntimeError)):  # a rank is looked at before the channels are
                        folded(x)
                else:
                    close(folded(x), want)


def test_a_folded_linear_refuses_the_input_that_folding_cannot_serve():
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).eval()
    assert net(torch.randn(2, 3, 3)).shape == (2, 3, 3)  # its channels are the second axis, Linear's the last
    with pytest.raises(ValueError, match=r"^expected 2D input \(got 3D input\)"):
        bn.fold(net)(torch.randn(2, 3, 3))


def test_fold_refuses_what_it_cannot_do():
    x = torch.randn(4, 3)
    net = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False)))
    with pytest.raises(ValueError, match=r"^1\.0 has no running statistics"):
        bn.fold(net)
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    with pytest.raises(TypeError, match=r"^module must be an nn\.Module, but it is of type list"):
        bn.fold([net])
    with pytest.raises(
        TypeError, match=r"^example_inputs must be a tensor, a tuple of the arguments of the module, or"
    ):
        bn.fold(net, 3)
    with pytest.raises(TypeError, match=r"^example_inputs must be the arguments of the module's forward, but too many"):
        bn.fold(net, (x, x))
    raised = pytest.raises(ValueError, match="in inference the module raises with these example_inputs: TypeError")
    with pytest.warns(UserWarning, match="its argument input is of type list"), raised:
        bn.fold(net, ([x],))


# ---- Citizens ------------------------------------------------------------------------------------------------------


def test_a_folded_network_compiles_and_is_traced():
    torch.manual_seed(0)
    x = torch.randn(3, 4, 6, 6, dtype=torch.float64)
    for net in (bn.fold(randomize(Branches()), x), quietly(randomize(Branches()))):
        close(torch.compile(net, fullgraph=True, backend="eager")(x), net(x))
        close(torch.fx.symbolic_trace(net)(x), net(x))
        close(torch.export.export(net, (x,)).module()(x), net(x))
        close(copy.deepcopy(net)(x), net(x))


def test_folding_a_folded_network_changes_nothing():
    net, x = randomize(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))), torch.randn(4, 3, dtype=torch.float64)
    once = bn.fold(net)
    close(quietly(once)(x), once(x))
    close(quietly(quietly(once), x)(x), once(x))
