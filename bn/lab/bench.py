"""How fast: training for Figure 1, for Figures 2 and 3, the layers themselves, and the book in one language and in two.

`python -m bn.lab.bench` takes a few minutes for the training and as long as two editions for the book; `--quick`
leaves the book out, and `--only` measures one thing. A training for Figure 1 is measured beside a plain PyTorch loop
and beside its own matrix products, in steps per second of one CPU core; one for Figures 2 and 3 beside a plain loop.
Of Batch Normalization alone, beside torch's: inputs that lie channels last, which `bn.eager` looks at; what Python
takes around the kernels; the layers on a CPU; and, on a GPU, from which size on the kernels win. Rounds are
interleaved, so that a busy machine slows all sides alike; the median counts, the range is shown.
"""

import argparse
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from unittest import mock

import torch
from torch import nn
from torch.nn.functional import batch_norm, cross_entropy

import bn
from bn import functional
from bn.lab import paper, paths
from bn.lab.chapters.training_speed import throughput
from bn.lab.data import datasets
from bn.lab.data.splits import Data
from bn.lab.spec import SCALES
from bn.lab.train import recipes, runs
from bn.lab.train.mlp import CLASSES, FEATURES, HIDDEN
from bn.lab.train.replicas import Trainer
from bn.lab.train.settings import Setting

BATCH, RATE, STD = paper.MNIST_BATCH, 0.5, 0.01  # as Figure 1 is trained
ROUNDS, STEPS = 9, 1_000  # a second or less of each side in a round
LAST = ((60, 100), (32, 64, 14, 14), (32, 64, 56, 56))  # shapes of inputs that lie channels last
VALUES = {"mean 0": (0.0, 1.0), "mean 5e5, deviation 8": (5e5, 8.0)}  # looked at; and normalized a second time
STEP_VALUES = 2**22  # values in the steps of one side in a round, of which there are ten or more
SMALL = (60, 100)  # a mini-batch of Figure 1: the passes over memory take less than Python does
LAYERS = {"60 x 100": (SMALL, False), "32 x 64 x 14 x 14": (LAST[1], False), "the same, channels last": (LAST[1], True)}
SIZES = [2**k for k in range(14, 27)]  # values of the inputs by which the kernels' launch is measured on a GPU
LAUNCHES = 50  # calls of one side in a round there
OUT = "build/bench"  # emptied first: the English edition is then trained and printed from nothing


def plain_loop(batch_norm: bool, data: Data) -> Callable[[], None]:
    """One SGD step of one network as one would first write it: layers of torch.nn, images as floats in memory."""
    layers = []
    for inputs, outputs in pairwise((FEATURES, *HIDDEN)):
        layers += [nn.Linear(inputs, outputs), *([nn.BatchNorm1d(outputs)] * batch_norm), nn.Sigmoid()]
    net = nn.Sequential(*layers, nn.Linear(HIDDEN[-1], CLASSES))
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    x, y, batches = data.train.x.float(), data.train.y, _batches(len(data.train.y))

    def advance() -> None:
        i = next(batches)
        optimizer.zero_grad()
        cross_entropy(net(x[i]), y[i]).backward()
        optimizer.step()

    return advance


def _batches(images: int) -> Iterator[torch.Tensor]:
    while True:
        yield from torch.randperm(images)[: images // BATCH * BATCH].view(-1, BATCH)


def products() -> Callable[[], None]:
    """The matrix products of one step, forward and backward, and nothing else: no trainer on one core is faster."""
    widths = (FEATURES, *HIDDEN, CLASSES)
    u, g, result = ([torch.randn(BATCH, d) for d in widths] for _ in range(3))
    weights = [torch.randn(inputs, outputs) for inputs, outputs in pairwise(widths)]
    moves = [torch.empty_like(W) for W in weights]

    def advance() -> None:
        for layer, W in enumerate(weights):
            torch.mm(u[layer], W, out=result[layer + 1])
        for layer, W in reversed(list(enumerate(weights))):
            torch.mm(u[layer].mT, g[layer + 1], out=moves[layer])
            if layer:  # nobody needs the gradient of the images
                torch.mm(g[layer + 1], W.mT, out=result[layer])

    return advance


def speed(advance: Callable[[], None], steps: int) -> float:
    """Steps per second of processor time."""
    start = time.process_time()
    for _ in range(steps):
        advance()
    return steps / (time.process_time() - start)


def training() -> None:
    """Print the speed of the trainer of Figure 1 beside a plain loop's and beside that of its matrix products."""
    torch.set_num_threads(1)
    data = datasets.load(datasets.resolve("auto"))
    settings = {n: Setting(n, data.name, paper.MNIST_STEPS, 1_000, BATCH, RATE, STD) for n in ("plain", "bn")}
    trainers = {name: Trainer([(setting, 0)], data) for name, setting in settings.items()}
    sides = {"matrix products": products()}
    sides |= {name: trainer.advance for name, trainer in trainers.items()}
    sides |= {f"{name}, plain loop": plain_loop(name == "bn", data) for name in settings}
    for advance in sides.values():
        speed(advance, 50)  # compiles, and warms the caches
    rounds = [{name: speed(advance, STEPS) for name, advance in sides.items()} for _ in range(ROUNDS)]
    compiled = "compiled" if trainers["bn"].compiled else "not compiled"
    print(f"Figure 1 on {data.name}, batch {BATCH}, one thread, {compiled}, {ROUNDS} rounds")
    print(f"{'steps per core second':24}{'median':>8}   of the matrix products   times a plain loop")
    for name in sides:
        beside = ("matrix products", f"{name}, plain loop") if name in settings else ()
        shares = [_median_and_range([r[name] / r[other] for r in rounds]) for other in beside]
        print(f"{name:24}{median(r[name] for r in rounds):8,.0f}   {'     '.join(shares)}")


def images() -> None:
    """Print how many times the eager loop's the speed of the trainer of Figures 2 and 3 is, at the laptop's sizes."""
    named = ["digits", *(["mnist"] if datasets.resolve("auto") == "mnist" else [])]
    print(f"\n{'Figures 2 and 3, batch 32':36}{'steps a second':>15}   times an eager loop")
    for dataset in named:
        base = recipes.inception(recipes.SIZES["cpu", dataset], dataset, learning_rate=0.03)
        for name, recipe in (("Inception", base), ("BN-x5", recipes.bn_x5(base))):
            found = throughput.measured(recipe, runs.data_of(recipe), "cpu")
            first = found["rivals"]["first"]
            low, high = first["range"]
            title = f"{name} on {dataset}, {recipe.pixels} pixels"
            print(f"{title:36}{found['steps_per_second']:15,.1f}   {first['ratio']:.2f} ({low:.2f} to {high:.2f})")


def normalization(function: Callable, shape: tuple[int, ...], mean: float, deviation: float) -> Callable[[], None]:
    """Forward and backward, in training, of an input that lies channels last, by a function with torch's signature."""
    values = torch.randn(shape) * deviation + mean
    x = values.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else values
    running_mean, bias, running_var, weight = (t.expand(shape[1]).clone() for t in (*torch.zeros(2), *torch.ones(2)))
    wanted, dy = tuple(t.requires_grad_() for t in (x, weight, bias)), torch.randn_like(x)

    def advance() -> None:
        y = function(x, running_mean, running_var, weight, bias, training=True)
        torch.autograd.grad(y, wanted, dy)

    return advance


def means() -> None:
    """Print how many times torch's own time bn takes where it looks at the mean, and where that is far from 0."""
    print(f"\n{'Channels last, times torch':28}" + "".join(f"{name:26}" for name in VALUES).rstrip())
    for shape in LAST:
        found = [_median_and_range(_times(shape, *VALUES[name])) for name in VALUES]
        print(f"{' x '.join(map(str, shape)):28}" + "".join(f"{text:26}" for text in found).rstrip())


def _times(shape: tuple[int, ...], mean: float, deviation: float) -> list[float]:
    """In each round, the time of bn over torch's."""
    steps = max(10, STEP_VALUES // math.prod(shape))
    ours, theirs = (normalization(f, shape, mean, deviation) for f in (functional.batch_norm, batch_norm))
    for advance in (ours, theirs):
        speed(advance, 3)  # warms the caches
    return [speed(theirs, steps) / speed(ours, steps) for _ in range(ROUNDS)]


@contextmanager
def without_kernels() -> Iterator[None]:
    """Have every call take the kernels, on any device, and launch none: what is left is Python, autograd and memory."""
    from bn import launch  # Triton is not on every platform

    nothing = dict.fromkeys(("training", "backward", "inference"), lambda *arguments: None)
    with mock.patch.multiple(launch, **nothing), mock.patch.object(functional, "_suits", lambda x: True):
        yield


def passes(layer: nn.Module, shape: tuple[int, ...], last: bool = False, relu: bool = False) -> Callable[[], None]:
    """A call of a layer and, where it trains, the gradients of all; `relu`: with torch's own ReLU after it."""
    x = torch.randn(shape)
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    if not layer.training:
        return torch.no_grad()(lambda: layer(x))
    wanted, dy = [x.requires_grad_(), *layer.parameters()], torch.randn_like(x)

    def advance() -> None:
        y = layer(x)
        torch.autograd.grad(torch.relu(y) if relu else y, wanted, dy)

    return advance


def overhead() -> None:
    """Print what calls take around the kernels, and what the layers take on a CPU, beside torch's own layers."""
    print(f"\n{'Microseconds of one core':52}{'bn':>8}{'torch':>9}   times torch")
    if functional.HAS_TRITON:
        with without_kernels():
            ours, theirs = bn.BatchNorm1d(SMALL[1], activation="relu"), nn.BatchNorm1d(SMALL[1])
            title = "BN + ReLU, forward + backward, no kernel launched"
            _print_beside(title, passes(ours, SMALL), passes(theirs, SMALL, relu=True), SMALL)
    for name, (shape, last) in LAYERS.items():
        kind = f"BatchNorm{max(len(shape) - 2, 1)}d"
        for training, does in ((True, "forward + backward"), (False, "inference")):
            pair = [getattr(module, kind)(shape[1]).train(training) for module in (bn, nn)]
            _print_beside(f"{name}, {does}", *[passes(layer, shape, last) for layer in pair], shape)


def _print_beside(title: str, ours: Callable, theirs: Callable, shape: tuple[int, ...]) -> None:
    steps = max(10, STEP_VALUES // math.prod(shape))
    for advance in (ours, theirs):
        speed(advance, 3)
    rounds = [[1e6 / speed(advance, steps) for advance in (ours, theirs)] for _ in range(ROUNDS)]
    mine, torchs = (median(side) for side in zip(*rounds, strict=True))
    print(f"{title:52}{mine:8.1f}{torchs:9.1f}   {_median_and_range([a / b for a, b in rounds])}")


def launches(device: str) -> None:
    """Print the time of BN + ReLU, forward + backward, by the kernels and by torch, from small to large inputs."""
    print(f"\n{'Values, bfloat16':18}{'bn, us':>10}{'torch, us':>12}   times torch")
    found = {}
    for size in SIZES:
        sides = [both_passes(size, device, backend) for backend in ("triton", None)]
        for advance in sides:
            _elapsed(advance, 3, device)  # the kernels are compiled and tuned
        rounds = [[1e6 * _elapsed(advance, LAUNCHES, device) for advance in sides] for _ in range(ROUNDS)]
        found[size] = [median(side) for side in zip(*rounds, strict=True)]
        ratio = _median_and_range([ours / theirs for ours, theirs in rounds])
        print(f"{size:<18,}{found[size][0]:10.1f}{found[size][1]:12.1f}   {ratio}")
    bound = crossover(found)
    said = "at no size" if bound is None else f"from {bound:,} values on"
    print(f"The kernels are faster {said}; LAUNCH_BOUND in bn.functional is {functional.LAUNCH_BOUND:,}")


def both_passes(size: int, device: str, backend: str | None) -> Callable[[], None]:
    """Forward and backward of BN + ReLU on (N, 64, 8, 8), by a backend of `bn.functional`; None: by torch's own."""
    x = torch.randn((size // 4_096, 64, 8, 8), dtype=torch.bfloat16, device=device)
    vectors = [torch.ones(64, device=device) for _ in range(4)]
    wanted, dy = [t.requires_grad_() for t in (x, *vectors[2:])], torch.randn_like(x)

    def advance() -> None:
        if backend is None:
            y = torch.relu(batch_norm(x, *vectors, training=True))
        else:
            y = functional.batch_norm_act(x, *vectors, training=True, backend=backend)
        torch.autograd.grad(y, wanted, dy)

    return advance


def crossover(found: dict[int, list[float]]) -> int | None:
    """The size from which on the first of two times is the shorter at every size; None where it is not at the last."""
    slower = [size for size, (ours, theirs) in found.items() if ours >= theirs]
    return next((size for size in found if not slower or size > slower[-1]), None)


def _elapsed(advance: Callable[[], None], steps: int, device: str) -> float:
    """Seconds of one step, until the device has done it."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    for _ in range(steps):
        advance()
    wait()
    return (time.perf_counter() - start) / steps


def _median_and_range(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def book(scale: str) -> None:
    """Print the seconds for the English edition from nothing, the Arabic one after it, and once more for no change."""
    shutil.rmtree(paths.ROOT / OUT, ignore_errors=True)
    english = _snakemake(f"{OUT}/html/en", scale)
    arabic = _snakemake("book", scale)
    nothing = _snakemake("book", scale)
    print(f"\nThe book at scale {scale}, 2 cores")
    print(f"English, trained and printed{english:10.1f} s")
    print(f"Arabic, after it            {arabic:10.1f} s, {arabic / english:.1%} of the first")
    print(f"again, nothing changed      {nothing:10.1f} s")


def _snakemake(target: str, scale: str) -> float:
    """Seconds that Snakemake takes for a target, in a folder and with runs of its own."""
    tools = Path(sys.executable).parent
    runs = {"BN_RUNS": str(paths.ROOT / OUT / "runs"), "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--nolock", target]
    command += ["--config", f"scale={scale}", f"out={OUT}"]
    start = time.perf_counter()
    result = subprocess.run(command, cwd=paths.ROOT, env=os.environ | runs, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"The book could not be printed:\n{result.stdout[-2_000:]}{result.stderr[-2_000:]}")
    return time.perf_counter() - start


def main() -> None:
    """Measure the training, the layers, then the book."""
    tables = {"training": training, "images": images, "means": means, "overhead": overhead}
    if torch.cuda.is_available():
        tables["launches"] = lambda: launches("cuda")
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="leave the book out")
    parser.add_argument("--only", choices=tables, help="measure this and nothing else")
    parser.add_argument("--scale", choices=SCALES, default="cpu", help="of the book")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name, table in tables.items():
        if options.only in (None, name):
            table()
    if not options.quick and options.only is None:
        book(options.scale)


if __name__ == "__main__":
    main()
