"""SyncBatchNorm: two processes of the gloo backend against one process on the joined mini-batch."""

import copy
import inspect
import pickle
from contextlib import nullcontext
from datetime import timedelta
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from test_layers import REFUSED
from torch import nn
from torch.autograd import forward_ad
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parametrize, prune

import bn

SPLITS = {"equal": (4, 4), "unequal": (5, 2), "one example": (6, 1), "one each": (1, 1), "none": (3, 0)}


def changed(layer, **attributes):
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


LAYERS = {  # of the joined mini-batch; momentum 0.1 or a plain average, with and without parameters and statistics
    "1d": lambda: bn.BatchNorm1d(3, activation="relu"),
    "2d": lambda: bn.BatchNorm2d(3, momentum=None),
    "bare": lambda: bn.BatchNorm2d(3, affine=False, track_running_stats=False, activation="relu"),
    "no counter": lambda: changed(bn.BatchNorm1d(3), num_batches_tracked=None),
    "no counter, plain average": lambda: changed(bn.BatchNorm1d(3, momentum=None), num_batches_tracked=None),
    "switched off": lambda: changed(bn.BatchNorm1d(3, momentum=None), track_running_stats=False),
    "switched on": lambda: changed(bn.BatchNorm1d(3, track_running_stats=False), track_running_stats=True),
}
if "bias" in inspect.signature(nn.BatchNorm1d).parameters:  # newer than the oldest torch that bn runs on
    LAYERS["no bias"] = lambda: bn.BatchNorm2d(3, bias=False)


FAR = {torch.float32: 1e-3, torch.bfloat16: 1e-2}


def far_from_0(dtype):
    """Values of which float32 could not take E[x^2] - E[x]^2."""
    return data("1d", 8, far=1000.0)[0][0].to(dtype)


def data(kind, n, far=10.0):
    """Mini-batches with means far from 0, residuals and upstream gradients for two steps."""
    generator = torch.Generator().manual_seed(n)
    shape = (2, 3, n, 3, 2) if type(LAYERS[kind]()) is bn.BatchNorm1d else (2, 3, n, 3, 3, 2)
    x, r, dy = torch.randn(shape, generator=generator, dtype=torch.float64).unbind(1)
    return far + x, r, dy


def network(kind):
    """The layer between two parameters, all of them at random."""
    torch.manual_seed(0)
    net = Net(LAYERS[kind]()).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_()
    return net


class Net(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.before, self.layer, self.after = nn.Parameter(torch.ones(2)), layer, nn.Parameter(torch.ones(()))

    def forward(self, x, r):
        return self.after * self.layer(self.before * x, r)


def two_steps(net, kind, n, rows, share=1.0):
    """Outputs and gradients of the inputs over `rows` of the joined mini-batches, then what the network holds."""
    x, r, dy = (values[:, rows] for values in data(kind, n))
    found = []
    for step in range(2):
        leaves = [x[step].clone().requires_grad_(), r[step].clone().requires_grad_()]
        y = net(*leaves)
        (y * dy[step]).sum().mul(share).backward()
        found += [y.detach(), *(leaf.grad / share for leaf in leaves)]
    return found, [p.grad for p in net.parameters()], [b.clone() for b in net.buffers()]


def process(rank, address, folder):
    """One of the two processes: every case, its results written to a file."""
    torch.set_num_threads(1)
    patience = timedelta(seconds=60)  # then a sum that the other process does not join raises
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2, timeout=patience)
    found = {}
    for split, sizes in SPLITS.items():
        rows = slice(0, sizes[0]) if rank == 0 else slice(sizes[0], None)
        for kind in LAYERS:
            net = bn.SyncBatchNorm.convert_sync_batchnorm(network(kind))
            # DistributedDataParallel averages over the processes; the joined loss is a sum over them
            found[split, kind] = two_steps(DistributedDataParallel(net), kind, sum(sizes), rows, share=2.0)
    found |= {case.__name__: case(rank) for case in CASES}
    (folder / f"{rank}.pkl").write_bytes(pickle.dumps(found))
    dist.destroy_process_group()


def in_inference(rank):
    return bn.SyncBatchNorm(3).eval()(torch.full((2, 3), float(rank)))


def far_from_zero(rank):
    return {dtype: bn.SyncBatchNorm(3)(far_from_0(dtype)[mine(rank)]).detach() for dtype in FAR}


def mine(rank):
    return slice(4 * rank, 4 * rank + 4)


# ---- Inputs that are refused, by both processes or by one --------------------------------------------------------

DIMENSIONS = {"dimensions": torch.randn(3), "no batch": torch.tensor(1.0)}  # for a layer that takes two or more
ONE_VALUE = ("one value", "one pixel", "one value, no memory")


def outcome(layer, *inputs):
    """What a call raises, by name, and whether the layer's buffers are those of before."""
    before = copy.deepcopy(layer.state_dict())
    try:
        layer(*inputs)
        raised = None, None
    except (ValueError, RuntimeError, AttributeError) as error:
        raised = type(error).__name__, str(error)
    same = all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    return *raised, same


def refused(rank):
    """The table of the other layers, both processes given the same; of one value in all, one is given none."""
    found = {}
    for name, (_, options, x, modes) in REFUSED.items():
        for training in modes:
            none = name in ONE_VALUE and training and rank
            layer = bn.SyncBatchNorm(3, **options).train(training)
            found[name, training] = outcome(layer, x[:0] if none else DIMENSIONS.get(name, x))
    return found


def residual_refused(rank):
    x = torch.randn(4, 3)
    wrong = [torch.randn(1, 3), torch.randn(3), torch.randn(5, 3), x.double(), x.to("meta")]
    return [outcome(bn.SyncBatchNorm(3), x, residual) for residual in wrong]


def changed_afterwards(rank):
    """Attributes and parameters that no argument of the class would let through."""
    x, parameter = torch.randn(4, 3), nn.Parameter(torch.ones(4))
    wrong = {"activation": "gelu", "eps": -1.0, "weight": parameter, "running_var": None}
    return {name: outcome(changed(bn.SyncBatchNorm(3), **{name: value}), x) for name, value in wrong.items()}


def refused_by_one(rank):
    """Process 0 goes on to its next mini-batch, and so does process 1, which was told."""
    found, layer = [], bn.SyncBatchNorm(3, dtype=torch.float64)
    for bad in (torch.randn(4, 2).double(), torch.randn(4, 3), [[1.0]], torch.randn(4, 3, dtype=torch.complex128)):
        found.append(outcome(layer, torch.randn(4, 3).double() if rank else bad))
    x = data("1d", 8)[0][0]
    return found, layer(x[mine(rank)]).detach(), layer.state_dict()


# ---- Inputs of which no number may be lost -----------------------------------------------------------------------


def empty(rank):
    """A layer that has seen a mini-batch is given none: the output, gradients, and whether a buffer moved."""
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        for momentum in (0.1, None):
            layer = bn.SyncBatchNorm(3, momentum=momentum, activation="relu")
            layer(torch.randn(4, 3))
            before = copy.deepcopy(layer.state_dict())
            x, r = (torch.empty(0, 3, 2, dtype=dtype, requires_grad=True) for _ in range(2))
            y = layer(x, r)
            y.sum().backward()
            gradients = [x.grad, r.grad, layer.weight.grad, layer.bias.grad]
            found.append((y.detach(), gradients, before, layer.state_dict()))
    return found


FORMATS = {
    "contiguous": lambda x: x,
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(2, 3),
    "examples last": lambda x: x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2),
    "every second": lambda x: x.repeat_interleave(2, 1)[:, ::2],
    "every second, channels_last": lambda x: FORMATS["channels_last"](x.repeat_interleave(2, 1))[:, ::2],
    "expanded": lambda x: x[:, :, :1, :1].expand_as(x),
    "3d, channels_last": lambda x: x[..., None].contiguous(memory_format=torch.channels_last_3d),
    "no examples, channels_last": lambda x: FORMATS["channels_last"](x)[:0],
}


def formats(rank):
    """Outputs and their strides."""
    x = data("2d", 8)[0][0][mine(rank)]
    outputs = {name: bn.SyncBatchNorm(3).double()(lay(x)).detach() for name, lay in FORMATS.items()}
    return {name: (y, y.stride()) for name, y in outputs.items()}


TYPES = {  # of the input, of the layer, of autocast: and how near float64 must be
    (torch.float64, torch.float64, None): 1e-12,
    (torch.float64, torch.float64, torch.bfloat16): 1e-12,
    (torch.float32, torch.float32, None): 1e-5,
    (torch.float32, torch.float32, torch.bfloat16): 1e-5,
    (torch.bfloat16, torch.bfloat16, None): 2e-2,
    (torch.bfloat16, torch.float32, None): 2e-2,
    (torch.bfloat16, torch.float32, torch.bfloat16): 2e-2,
    (torch.float16, torch.float16, None): 2e-3,
    (torch.float16, torch.float32, None): 2e-3,
}


def types(rank):
    """Outputs and running statistics."""
    found = {}
    for dtype, held, autocast in TYPES:
        layer, x = bn.SyncBatchNorm(3, activation="relu", dtype=held), data("1d", 8)[0][0].to(dtype)
        with torch.autocast("cpu", autocast) if autocast else nullcontext():
            y = layer(x[mine(rank)], -x[mine(rank)] / 10).detach()
        found[dtype, held, autocast] = y, layer.running_mean, layer.running_var
    return found


def not_a_number(rank):
    x = data("1d", 8)[0][0][mine(rank)]
    x[2 * rank, 1] = torch.nan if rank else 1.0
    layer = bn.SyncBatchNorm(3).double()
    return layer(x).detach(), layer.running_mean, layer.running_var


def population(rank):
    """Statistics recomputed from mini-batches of which processes have none, and at the end no one."""
    net, x = nn.Sequential(bn.SyncBatchNorm(3, dtype=torch.float64)), data("1d", 8)[0][0]
    shares = [[x[:5], x[5:]], [x[:0], x[3:]], [x, x[:0]], [x[:0], x[:0]]]
    bn.recompute_statistics(net, [share[rank] for share in shares])
    return net.state_dict()


# ---- Derivatives -------------------------------------------------------------------------------------------------


def smooth(join, x, *parameters):
    """The layer without its memory, as a function of all that it reads."""
    layer = join(bn.BatchNorm1d(3, track_running_stats=False, dtype=torch.float64))
    return torch.func.functional_call(layer, dict(zip(("weight", "bias"), parameters, strict=True)), (x,))


def at_random():
    """Values and tangents of input, weight and bias."""
    generator = torch.Generator().manual_seed(1)
    shapes = (8, 3, 2), (3,), (3,)
    return [[torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes] for _ in range(2)]


def derivatives(join, rows):
    """Tangents, tangents of gradients, and gradients of gradients of the layer; per-example values over `rows`."""
    values, tangents = at_random()
    for both in values, tangents:
        both[0] = both[0][rows]
    leaves = [value.clone().requires_grad_() for value in values]
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(*pair) for pair in zip(leaves, tangents, strict=True)]
        y = smooth(join, *duals)
        slopes = torch.autograd.grad(y.pow(3).sum(), leaves, create_graph=True)
        found = [forward_ad.unpack_dual(value).tangent.detach() for value in (y, *slopes)]
    slopes = torch.autograd.grad(smooth(join, *leaves).pow(3).sum(), leaves, create_graph=True)
    inner = sum((slope * tangent).sum() for slope, tangent in zip(slopes, tangents, strict=True))
    found += torch.autograd.grad(inner, leaves)
    return [*found, torch.func.jvp(lambda *given: smooth(join, *given), tuple(values), tuple(tangents))[1]]


def both_directions(rank):
    return derivatives(bn.SyncBatchNorm.convert_sync_batchnorm, mine(rank))


def tangent_of_a_buffer(rank):
    layer = bn.SyncBatchNorm(3).double()
    with forward_ad.dual_level():
        layer(forward_ad.make_dual(torch.randn(4, 3).double(), torch.randn(4, 3).double()))
        return forward_ad.unpack_dual(layer.running_mean).tangent


CASES = (in_inference, far_from_zero, refused, residual_refused, changed_afterwards, refused_by_one)
CASES += (empty, formats, types, not_a_number, population, both_directions, tangent_of_a_buffer)


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """What each of the two processes found."""
    folder = tmp_path_factory.mktemp("sync")
    torch.multiprocessing.spawn(process, args=(f"file://{folder / 'meeting'}", folder), nprocs=2)
    return [pickle.loads((folder / f"{rank}.pkl").read_bytes()) for rank in range(2)]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("split", SPLITS)
def test_two_processes_are_one_on_the_joined_mini_batch(processes, split, kind):
    n = sum(SPLITS[split])
    per_example, parameters, buffers = two_steps(network(kind), kind, n, slice(None))
    found = [result[split, kind] for result in processes]
    joined = [torch.cat(pair) for pair in zip(found[0][0], found[1][0], strict=True)]
    torch.testing.assert_close(joined, per_example, rtol=1e-11, atol=1e-11)
    for _, got, held in found:
        torch.testing.assert_close(got, parameters, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(held, buffers, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", FAR)
def test_statistics_of_values_far_from_0_keep_their_digits(processes, dtype):
    x = far_from_0(dtype)
    got = torch.cat([result["far_from_zero"][dtype] for result in processes])
    assert got.dtype == dtype
    want = bn.BatchNorm1d(3, dtype=torch.float64)(x.double()).detach()
    torch.testing.assert_close(got.double(), want, rtol=FAR[dtype], atol=FAR[dtype])


def test_nothing_is_exchanged_in_inference(processes):
    for rank, result in enumerate(processes):
        torch.testing.assert_close(result["in_inference"], torch.full((2, 3), float(rank)), rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_other_layers_refuse_is_refused_and_leaves_no_trace(processes, name):
    ours, options, x, modes = REFUSED[name]
    for training in modes:
        with pytest.raises((ValueError, RuntimeError, AttributeError)) as error:
            ours(3, **options).train(training)(DIMENSIONS.get(name, x))
        for result in processes:
            kind, _, same = result["refused"][name, training]
            assert (kind, same) == (error.type.__name__, True)


def test_a_residual_that_does_not_fit_is_refused(processes):
    for result in processes:
        for kind, sentence, same in result["residual_refused"]:
            assert kind == "RuntimeError" and sentence.startswith("residual must match the input") and same


def test_what_was_changed_after_the_layer_was_made_is_refused(processes):
    for result in processes:
        found = {name: (kind, same) for name, (kind, _, same) in result["changed_afterwards"].items()}
        assert found.pop("weight") == ("RuntimeError", True)
        assert found == dict.fromkeys(("activation", "eps", "running_var"), ("ValueError", True))


def test_what_one_process_refuses_stops_the_others_and_the_next_mini_batch_is_joined_right(processes):
    (first, *_), (second, *_) = (result["refused_by_one"] for result in processes)
    assert [kind for kind, *_ in first] == ["RuntimeError", "RuntimeError", "AttributeError", "NotImplementedError"]
    assert all(kind == "RuntimeError" and "another process" in sentence for kind, sentence, _ in second)
    assert all(same for *_, same in first + second)
    twin = bn.BatchNorm1d(3).double()
    want = twin(data("1d", 8)[0][0]).detach()
    for rank, (_, y, state) in enumerate(result["refused_by_one"] for result in processes):
        torch.testing.assert_close(y, want[mine(rank)])
        torch.testing.assert_close(state, twin.state_dict())


def test_a_joined_mini_batch_without_values_changes_nothing(processes):
    for result in processes:
        assert [y.dtype for y, *_ in result["empty"]] == [torch.float32] * 2 + [torch.bfloat16] * 2
        for y, gradients, before, after in result["empty"]:
            assert y.shape == (0, 3, 2) and before["num_batches_tracked"] == 1
            assert [gradient.shape for gradient in gradients] == [(0, 3, 2), (0, 3, 2), (3,), (3,)]
            assert not any(gradient.any() for gradient in gradients)
            torch.testing.assert_close(after, before, rtol=0, atol=0)


@pytest.mark.parametrize("name", FORMATS)
def test_an_output_is_laid_out_as_that_of_the_other_layers(processes, name):
    x = data("2d", 8)[0][0]
    plain = bn.BatchNorm3d(3) if name.startswith("3d") else bn.BatchNorm2d(3)
    whole = plain.double()(FORMATS[name](x)).detach()
    for rank, result in enumerate(processes):
        y, strides = result["formats"][name]
        torch.testing.assert_close(y, whole[mine(rank)], rtol=1e-11, atol=1e-11)
        assert strides == plain(FORMATS[name](x[mine(rank)])).stride()


@pytest.mark.parametrize(("which", "tolerance"), TYPES.items(), ids=str)
def test_every_type_that_the_other_layers_take(processes, which, tolerance):
    dtype, held, _ = which
    x, twin = data("1d", 8)[0][0].to(dtype), bn.BatchNorm1d(3, activation="relu", dtype=torch.float64)
    want = twin(x.double(), (-x / 10).double()).detach()
    for rank, result in enumerate(processes):
        y, mean, var = result["types"][which]
        assert (y.dtype, mean.dtype, var.dtype) == (dtype, held, held)
        torch.testing.assert_close(y.double(), want[mine(rank)], rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(mean.double(), twin.running_mean, rtol=tolerance, atol=0)
        torch.testing.assert_close(var.double(), twin.running_var, rtol=tolerance, atol=0)


def test_a_nan_of_one_process_reaches_all(processes):
    for result in processes:
        y, mean, var = result["not_a_number"]
        for values in (y.movedim(1, 0).flatten(1).T, mean, var):
            assert values[..., 1].isnan().all() and values[..., [0, 2]].isfinite().all()


def test_population_statistics_are_those_of_the_joined_mini_batches(processes):
    x, twin = data("1d", 8)[0][0], nn.Sequential(bn.BatchNorm1d(3, dtype=torch.float64))
    bn.recompute_statistics(twin, [x, x[3:], x])
    for result in processes:
        assert result["population"]["0.num_batches_tracked"] == 3
        torch.testing.assert_close(result["population"], twin.state_dict(), rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's forward mode uses torch.jit
def test_derivatives_in_both_directions_are_those_of_the_joined_mini_batch(processes):
    found, want = (result["both_directions"] for result in processes), derivatives(lambda layer: layer, slice(None))
    for first, second, right in zip(*found, want, strict=True):
        got = torch.cat([first, second]) if right.dim() == 3 else first + second  # the losses are summed
        torch.testing.assert_close(got, right, rtol=1e-10, atol=1e-10)


def test_running_statistics_have_no_tangents(processes):
    assert [result["tangent_of_a_buffer"] for result in processes] == [None, None]


ON_CUDA = SimpleNamespace(is_cuda=True)
LEFT_TO_TORCH = {  # the layer, whether a process has no values, and whether torch's kernels are right then
    "as it is made": (bn.SyncBatchNorm(3), 0, True),
    "an empty process": (bn.SyncBatchNorm(3), 1, False),
    "in half precision": (bn.SyncBatchNorm(3, dtype=torch.float16), 0, False),
    "in half precision, no memory": (bn.SyncBatchNorm(3, track_running_stats=False, dtype=torch.float16), 0, True),
    "no counter": (changed(bn.SyncBatchNorm(3), num_batches_tracked=None), 0, False),
    "switched off": (changed(bn.SyncBatchNorm(3), track_running_stats=False, num_batches_tracked=None), 0, True),
}


@pytest.mark.parametrize(("layer", "empty", "right"), LEFT_TO_TORCH.values(), ids=LEFT_TO_TORCH)
def test_torch_is_given_on_cuda_what_it_does_right(layer, empty, right):
    assert layer._torch_can(ON_CUDA, empty) is right
    assert not layer._torch_can(torch.randn(2, 3), 0)


@pytest.mark.parametrize("activation", [None, "relu"])
def test_what_torch_normalizes_gets_residual_and_activation(activation):
    layer, (x, r) = bn.SyncBatchNorm(3, activation=activation), torch.randn(2, 4, 3)
    twin = copy.deepcopy(layer)  # in one process, where torch's layer runs on CPU too
    for residual in (None, r):
        torch.testing.assert_close(layer._by_torch(x, residual), twin(x, residual), rtol=0, atol=0)
    torch.testing.assert_close(layer.state_dict(), twin.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("training", [True, False])
def test_in_one_process_it_is_the_plain_layer(training):
    torch.manual_seed(0)
    layer = bn.BatchNorm2d(3, activation="relu").train(training)
    twin = bn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(layer))
    x, r = torch.randn(2, 4, 3, 2, 2)
    torch.testing.assert_close(twin(x, r), layer(x, r), rtol=0, atol=0)
    torch.testing.assert_close(twin.state_dict(), layer.state_dict(), rtol=0, atol=0)
    with pytest.raises(ValueError, match="more than 1 value"):
        twin.train()(torch.randn(1, 3))
    assert twin.num_batches_tracked == training


def test_conversion_keeps_activation_objects_and_sharing():
    shared = bn.BatchNorm1d(3, activation="relu")
    layers = [nn.BatchNorm1d(3, affine=False), shared, nn.Sequential(shared, nn.SyncBatchNorm(3), nn.ReLU())]
    net = nn.Sequential(*layers)
    held = [id(tensor) for tensor in (*net.parameters(), *net.buffers())]
    assert bn.SyncBatchNorm.convert_sync_batchnorm(net, process_group="a group") is net
    assert [layer.activation for layer in (net[0], net[1], net[2][1])] == [None, "relu", None]
    assert all(type(layer) is bn.SyncBatchNorm for layer in (net[0], net[1], net[2][1])) and net[1] is net[2][0]
    assert all(layer.process_group == "a group" for layer in (net[0], net[1], net[2][1]))
    assert [id(tensor) for tensor in (*net.parameters(), *net.buffers())] == held


def test_a_converted_network_is_synchronized_with_its_relus_and_goes_back():
    net = bn.convert(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU()))
    bn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert (net(torch.randn(5, 2)) >= 0).all()
    assert [type(part) for part in bn.revert(net)] == [nn.Linear, nn.SyncBatchNorm, nn.ReLU]


def test_conversion_leaves_what_is_not_plain():
    class Mine(nn.BatchNorm1d):
        pass

    parametrized = nn.BatchNorm1d(3)
    parametrize.register_parametrization(parametrized, "weight", nn.Softplus())
    parts = [Mine(3), nn.LazyBatchNorm1d(), parametrized, changed(nn.BatchNorm1d(3), forward=lambda x: 2 * x)]
    net, kinds = nn.Sequential(*parts), [type(part) for part in parts]
    assert [type(part) for part in bn.SyncBatchNorm.convert_sync_batchnorm(net)] == kinds
    assert net[3](3) == 6


def test_conversion_keeps_a_pruned_layer_and_takes_no_activation_of_others():
    torch.manual_seed(0)
    pruned, x = nn.BatchNorm1d(3), torch.randn(4, 3)
    prune.l1_unstructured(pruned, "weight", amount=1)
    net = nn.Sequential(pruned, changed(nn.BatchNorm1d(3), activation="relu"))
    want = net(x)
    bn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert [type(part) for part in net] == [bn.SyncBatchNorm] * 2
    torch.testing.assert_close(net(x), want, rtol=0, atol=0)
    assert (want < 0).any() and not net[0].weight.all()


@pytest.mark.parametrize("layer", [nn.SyncBatchNorm, bn.SyncBatchNorm])
@pytest.mark.parametrize("group", ["another", None])
def test_conversion_gives_the_group_as_torchs_does(layer, group):
    net = nn.Sequential(layer(3, process_group="a group"))
    want = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(net), group)[0].process_group
    assert bn.SyncBatchNorm.convert_sync_batchnorm(net, group)[0].process_group == want == group
