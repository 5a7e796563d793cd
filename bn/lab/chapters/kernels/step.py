"""The kernels at work: the layer of section 4.1 inside a CUDA graph, and a training step of an Inception network."""

import copy
import time
from statistics import median

import torch
from torch.nn.functional import cross_entropy

import bn
from bn.fuse import fused_layers
from bn.lab.chapters.kernels import cases as kernel_cases
from bn.lab.chapters.kernels.cases import Case, digits
from bn.lab.data import datasets

GRAPH_CASE = Case((60, 100), "fp32", "NC", "bn_relu")
ROUNDS, REPLAYS = 20, 200  # of the graph
TIMED = 2  # training steps in a time
SIDES = ("torch", "bn")
# Mini-batch, width of the image, classes, steps of the loss curve and rounds of the timing, by scale.
SIZES = {"cpu": (2, 64, 10, 5, 3), "gpu": (128, 224, 1000, 50, 12)}


def graphs() -> dict:
    """Microseconds of forward and backward of a 60x100 input in a CUDA graph: [median, least, most] by candidate."""
    given = kernel_cases.inputs(GRAPH_CASE, "cuda")
    wanted = ("bn", "triton", "eager")
    calls = {name: call for name, call in kernel_cases.candidates(GRAPH_CASE, given, False).items() if name in wanted}
    captured = {name: _captured(call, given) for name, call in calls.items()}
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
    ratio = _range([theirs / ours for theirs, ours in zip(times["eager"], times["triton"], strict=True)])
    return {"case": GRAPH_CASE.name, "both_us": {name: _range(t) for name, t in times.items()}, "ratio": ratio}


def _captured(call, given: kernel_cases.Inputs) -> torch.cuda.CUDAGraph:
    """Forward and backward as a graph; the warm-up runs on a side stream, as torch's guide to CUDA graphs asks."""

    def both() -> None:
        torch.autograd.grad(call(), given.wanted, given.dy)

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            both()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        both()
    return graph


def training_step(scale: str, steps: int | None = None) -> dict:
    """GoogLeNet with torch's layers and the same by `bn.convert` and `bn.fuse`: milliseconds a step, both loss curves.

    Same first weights, same random images, SGD with momentum; bfloat16 autocast and channels_last on CUDA, float32
    on a CPU. The sides take turns, so that whatever else the machine does meets both.
    """
    batch, width, classes, usual, rounds = SIZES[scale]
    cuda = scale == "gpu"
    device = "cuda" if cuda else "cpu"
    torch.manual_seed(0)
    network = _googlenet(classes).to(device, memory_format=torch.channels_last)
    generator = torch.Generator(device).manual_seed(0)
    x = torch.randn(batch, 3, width, width, generator=generator, device=device)
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.randint(classes, (batch,), generator=generator, device=device)
    networks = {"torch": network, "bn": bn.fuse(bn.convert(copy.deepcopy(network)), x[:2])}
    advance = {side: _trainer(net, x, y, cuda) for side, net in networks.items()}
    losses = {side: [digits(advance[side]()) for _ in range(steps or usual)] for side in SIDES}  # also the warm-up
    times = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side in SIDES:
            times[side].append(_milliseconds(advance[side], cuda))
    ratio = _range([theirs / ours for theirs, ours in zip(times["torch"], times["bn"], strict=True)])
    milliseconds = {side: _range(t) for side, t in times.items()}
    fused = len(fused_layers(networks["bn"]))
    what = {"network": "GoogLeNet", "fused": fused, "batch": batch, "width": width, "type": "bf16" if cuda else "fp32"}
    return what | {"step_ms": milliseconds, "ratio": ratio, "losses": losses}


def _googlenet(classes: int) -> torch.nn.Module:
    datasets.torchvision_datasets()  # makes torchvision importable beside a CPU build of torch
    from torchvision import models

    return models.googlenet(weights=None, num_classes=classes, aux_logits=False, init_weights=False, dropout=0.0)


def _trainer(network: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, cuda: bool):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)

    def advance() -> torch.Tensor:
        optimizer.zero_grad()
        with torch.autocast(x.device.type, torch.bfloat16, enabled=cuda):
            loss = cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return advance


def _milliseconds(advance, cuda: bool) -> float:
    if cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(TIMED):
        advance()
    if cuda:
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start) / TIMED


def _range(values: list[float]) -> list[float]:
    return [digits(value) for value in (median(values), min(values), max(values))]
