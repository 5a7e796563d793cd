"""How fast: training for Figure 1 beside a plain PyTorch loop, and printing the book in one language and in two.

`python -m bn.lab.bench` takes a few minutes for the training and as long as two editions for the book; `--quick`
leaves the book out. Training is measured in net-steps (one step of one network) per second of one CPU core, in
interleaved rounds, so that a busy machine slows both sides alike; the median counts, the range is shown.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from statistics import harmonic_mean, median

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bn.lab import paper, paths
from bn.lab.data import datasets
from bn.lab.data.splits import Data
from bn.lab.spec import SCALES
from bn.lab.train.mlp import CLASSES, FEATURES, HIDDEN
from bn.lab.train.replicas import Trainer
from bn.lab.train.settings import Setting

SEEDS, BATCH, RATE, STD = 5, paper.MNIST_BATCH, 0.5, 0.01  # as Figure 1 is trained; more seeds at once cost less each
ROUNDS, STEPS = 9, 250  # STEPS of the trainer, SEEDS times as many of the plain loop: the same work, seconds a round
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


def speed(advance: Callable[[], None], steps: int, networks: int) -> float:
    """Net-steps per second of processor time."""
    start = time.process_time()
    for _ in range(steps):
        advance()
    return networks * steps / (time.process_time() - start)


def training() -> None:
    """Print the speed of the trainer beside that of the plain loop, for each network and for both together."""
    torch.set_num_threads(1)
    data = datasets.load(datasets.resolve("auto"))
    settings = {n: Setting(n, data.name, paper.MNIST_STEPS, 1_000, BATCH, RATE, STD) for n in ("plain", "bn")}
    trainers = {name: Trainer([(setting, seed) for seed in range(SEEDS)], data) for name, setting in settings.items()}
    loops = {name: plain_loop(name == "bn", data) for name in settings}
    for advance in (*(trainer.advance for trainer in trainers.values()), *loops.values()):
        speed(advance, 50, 1)  # compiles, and warms the caches
    rounds = []
    for _ in range(ROUNDS):
        ours = {name: speed(trainers[name].advance, STEPS, SEEDS) for name in settings}
        theirs = {name: speed(loops[name], STEPS * SEEDS, 1) for name in settings}
        rounds.append({name: (ours[name], theirs[name]) for name in settings})
        rounds[-1]["both"] = (harmonic_mean(ours.values()), harmonic_mean(theirs.values()))  # a step of each in turn
    compiled = "compiled" if trainers["bn"].compiled else "not compiled"
    print(f"Figure 1 on {data.name}, {SEEDS} seeds, batch {BATCH}, one thread, {compiled}, {ROUNDS} rounds")
    print(f"{'net-steps per core second':27}{'bn.lab':>9}{'torch.nn loop':>15}{'ratio':>8}  (range)")
    for name in rounds[0]:
        ratios = [ours / theirs for ours, theirs in (r[name] for r in rounds)]
        ours, theirs = (median(r[name][side] for r in rounds) for side in (0, 1))
        spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{name:27}{ours:9,.0f}{theirs:15,.0f}{median(ratios):8.2f}  {spread}")


def book(scale: str) -> None:
    """Print the seconds for the English edition from nothing, the Arabic one after it, and once more for no change."""
    shutil.rmtree(paths.ROOT / OUT, ignore_errors=True)
    english = _snakemake(f"{OUT}/html/en", scale)
    arabic = _snakemake("book", scale)
    nothing = _snakemake("book", scale)
    print(f"\nThe book at scale {scale}, {len(os.sched_getaffinity(0))} cores")
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
    """Measure the training, then the book."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="leave the book out")
    parser.add_argument("--scale", choices=SCALES, default="cpu", help="of the book")
    options = parser.parse_args()
    training()
    if not options.quick:
        book(options.scale)


if __name__ == "__main__":
    main()
