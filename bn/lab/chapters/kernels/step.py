"""The kernels at work: the layer of section 4.1 inside a CUDA graph, and training steps of two Inception networks."""

import copy
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import bn
from bn.fuse import fused_layers
from bn.lab.chapters.kernels import cases as kernel_cases
from bn.lab.chapters.kernels.cases import Case, digits
from bn.lab.chapters.kernels.measure import summary
from bn.lab.data import datasets
from bn.lab.train.inception import Inception
from bn.layers import Layer

GRAPH_CASE = Case((60, 100), "fp32", "NC", "bn_relu")
ROUNDS, REPLAYS = 20, 200  # of the graph
TIMED = 2  # training steps in a time
SIDES = ("torch", "bn")
# Mini-batch, width of the image, classes, steps of the loss curve and rounds of the timing, by scale.
SIZES = {"cpu": (2, 64, 10, 5, 3), "gpu": (128, 224, 1000, 50, 12)}


def graphs() -> dict:
    """Microseconds of forward and backward of a 60x100 input in a CUDA graph, by candidate; the ratio of two of them.

    That of torch eager and the kernels, asked for by name if need be.
    """
    given = kernel_cases.inputs(GRAPH_CASE, "cuda")
    wanted = ("bn", "triton", "eager")
    calls = {name: call for name, call in kernel_cases.candidates(GRAPH_CASE, given, ()).items() if name in wanted}
    captured = {name: _captured(_both(call, given)) for name, call in calls.items()}
    times = {name: [] for name in captured}
    for _ in range(ROUNDS):
        for name, graph in captured.items():
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            for _ in range(REPLAYS):
                graph.replay()
            end.record()
            end.synchronize()
            times[name].append(1e3 * start.elapsed_time(end) / REPLAYS)
    times = {name: np.array(taken) for name, taken in times.items()}
    ratio = summary(times["eager"] / times["triton" if "triton" in times else "bn"])
    return {"case": GRAPH_CASE.name, "both_us": {name: summary(t) for name, t in times.items()}, "ratio": ratio}


def _both(call: Callable, given: kernel_cases.Inputs) -> Callable[[], None]:
    """Forward and backward."""
    return lambda: torch.autograd.grad(call(), given.wanted, given.dy)


def _captured(work: Callable[[], object]) -> torch.cuda.CUDAGraph:
    """A piece of work as a graph; the warm-up runs on a side stream, as torch's guide to CUDA graphs asks."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


def training_step(name: str, scale: str, steps: int | None = None, way: str = "eager") -> dict:
    """A network with torch's layers and the same with ours: milliseconds a step, their ratio, and both loss curves.

    - `name`: "GoogLeNet" (torchvision's) or "Inception" (the paper's Figure 5).
    - `way`: of both sides. "eager": ours is made of torch's by `bn.convert` and `bn.fuse`; "graph": the same, each
      whole step as one CUDA graph, without Python's part; "compiled": by torch.compile, which joins the ReLUs of what
      `bn.convert` made.

    Same first weights, same random images, SGD with momentum; bfloat16 autocast and channels_last on CUDA, float32 on
    a CPU. The sides take turns, so that whatever else the machine does meets both.
    """
    batch, width, classes, usual, rounds = SIZES[scale]
    cuda = scale == "gpu"
    device = "cuda" if cuda else "cpu"
    generator = torch.Generator(device).manual_seed(0)
    x = torch.randn(batch, 3, width, width, generator=generator, device=device)
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.randint(classes, (batch,), generator=generator, device=device)
    networks = _sides(NETWORKS[name](classes, width).to(device, memory_format=torch.channels_last), x, way)
    advance = {side: _trainer(network, x, y, cuda) for side, network in networks.items()}
    losses = {side: [digits(advance[side]()) for _ in range(steps or usual)] for side in SIDES}  # also the warm-up
    what = {"network": name, "way": way, "batch": batch, "width": width, "type": "bf16" if cuda else "fp32"}
    if way != "compiled":
        what["fused"] = len(fused_layers(networks["bn"]))
    if way == "graph":
        advance = {side: _captured(step).replay for side, step in advance.items()}
    return what | _compared(advance, rounds, cuda) | {"losses": losses}


def _sides(network: nn.Module, x: torch.Tensor, way: str) -> dict[str, nn.Module]:
    converted = bn.convert(copy.deepcopy(network))
    if way == "compiled":
        return {"torch": torch.compile(network), "bn": torch.compile(converted)}
    return {"torch": network, "bn": bn.fuse(converted, x[:2])}


def _compared(advance: dict[str, Callable], rounds: int, cuda: bool) -> dict:
    """Milliseconds a step of both sides, and the ratio within a round: [median, 10th, 90th percentile]."""
    times = [[_milliseconds(advance[side], cuda) for side in SIDES] for _ in range(rounds)]
    torchs, ours = np.array(times).T
    return {"step_ms": {"torch": summary(torchs), "bn": summary(ours)}, "ratio": summary(torchs / ours)}


def _googlenet(classes: int, width: int) -> nn.Module:
    datasets.torchvision_datasets()  # makes torchvision importable beside a CPU build of torch
    from torchvision import models

    torch.manual_seed(0)
    return models.googlenet(weights=None, num_classes=classes, aux_logits=False, init_weights=False, dropout=0.0)


def _inception(classes: int, width: int) -> nn.Module:
    return _with_torchs_layers(Inception(classes, size=width))


def _with_torchs_layers(module: nn.Module) -> nn.Module:
    """Put torch's BatchNorm and ReLU, two layers, in the place of ours, which are one."""
    for name, child in module.named_children():
        if isinstance(child, Layer):
            setattr(module, name, nn.Sequential(nn.BatchNorm2d(child.num_features), nn.ReLU(inplace=True)))
        else:
            _with_torchs_layers(child)
    return module


NETWORKS = {"GoogLeNet": _googlenet, "Inception": _inception}


def _trainer(network: nn.Module, x: torch.Tensor, y: torch.Tensor, cuda: bool) -> Callable[[], torch.Tensor]:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)

    def advance() -> torch.Tensor:
        optimizer.zero_grad()
        with torch.autocast(x.device.type, torch.bfloat16, enabled=cuda):
            loss = cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return advance


def _milliseconds(advance: Callable, cuda: bool) -> float:
    if cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(TIMED):
        advance()
    if cuda:
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start) / TIMED
