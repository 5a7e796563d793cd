"""SyncBatchNorm: two processes of the gloo backend against one process on the joined mini-batch."""

import copy
import pickle
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import bn

SPLITS = {"equal": (4, 4), "unequal": (5, 2), "one example": (6, 1), "one each": (1, 1), "none": (3, 0)}
LAYERS = {  # of the joined mini-batch; momentum 0.1 or a plain average, with and without parameters and statistics
    "1d": lambda: bn.BatchNorm1d(3, activation="relu"),
    "2d": lambda: bn.BatchNorm2d(3, momentum=None),
    "bare": lambda: bn.BatchNorm2d(3, affine=False, track_running_stats=False, activation="relu"),
}


FAR = {torch.float32: 1e-3, torch.bfloat16: 1e-2}


def far_from_0(dtype):
    """Values of which float32 could not take E[x^2] - E[x]^2."""
    return data("1d", 8, far=1000.0)[0][0].to(dtype)


def data(kind, n, far=10.0):
    """Mini-batches with means far from 0, residuals and upstream gradients for two steps."""
    generator = torch.Generator().manual_seed(n)
    shape = (2, 3, n, 3, 2) if kind == "1d" else (2, 3, n, 3, 3, 2)
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
    found["eval"] = bn.SyncBatchNorm(3).eval()(torch.full((2, 3), float(rank)))
    for dtype in FAR:
        found[dtype] = bn.SyncBatchNorm(3)(far_from_0(dtype)[4 * rank : 4 * rank + 4]).detach()
    found["refused"] = [refusal(bn.SyncBatchNorm(3), *inputs) for inputs in refused(rank)]
    (folder / f"{rank}.pkl").write_bytes(pickle.dumps(found))
    dist.destroy_process_group()


def refused(rank):
    """Inputs with too few dimensions, wrong channels, a wrong residual, and one value in all."""
    yield (torch.randn(3),)
    yield (torch.randn(4, 2),)
    yield torch.randn(4, 3), torch.randn(1, 3)
    yield (torch.randn(1 - rank, 3),)


def refusal(layer, *inputs):
    try:
        layer(*inputs)
    except (ValueError, RuntimeError) as error:
        return type(error).__name__, str(error), layer.num_batches_tracked.item(), layer.running_mean.sum().item()


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
    got = torch.cat([result[dtype] for result in processes])
    assert got.dtype == dtype
    want = bn.BatchNorm1d(3, dtype=torch.float64)(x.double()).detach()
    torch.testing.assert_close(got.double(), want, rtol=FAR[dtype], atol=FAR[dtype])


def test_nothing_is_exchanged_in_inference(processes):
    for rank, result in enumerate(processes):
        torch.testing.assert_close(result["eval"], torch.full((2, 3), float(rank)), rtol=1e-4, atol=0)


def test_what_is_refused_leaves_no_trace(processes):
    for result in processes:
        kinds, sentences, counts, means = zip(*result["refused"], strict=True)
        assert kinds == ("ValueError", "RuntimeError", "RuntimeError", "ValueError")
        for sentence, part in zip(sentences, ("at least 2D", "3 channels", "residual", "more than 1"), strict=True):
            assert part in sentence
        assert set(counts) == {0} and set(means) == {0.0}


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
