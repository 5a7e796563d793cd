"""Figure 1 with one network and with 64 at once: steps a second, and what that makes of chapter 03's work."""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch

from bn.lab import paper
from bn.lab.chapters.activations.spec import FULL, Activations
from bn.lab.data.splits import Data, Split
from bn.lab.gpu.finding import tell
from bn.lab.train.mlp import CLASSES, FEATURES
from bn.lab.train.replicas import COMPILE_FROM, Trainer
from bn.lab.train.settings import Setting

AT_ONCE = (1, 64)
SECONDS = 2.0  # of a measurement
WARM, BLOCK = 10, 100 if torch.cuda.is_available() else 10  # steps before the first look at the clock, and the next
IMAGES = (55_000, 5_000, 10_000)  # as many as MNIST has: what they show costs no time


def network_steps() -> int:
    """Steps of a network that chapter 03 asks at scale `gpu`: Figure 1, each at its best, and the grid."""
    size = Activations.sizes["gpu", "mnist"]
    cells = len(FULL.rates) * len(FULL.weight_stds)
    return 2 * (2 * size.seeds * size.steps + cells * len(size.grid_seeds) * size.grid_steps)


def random_images(share: float = 1.0) -> Data:
    """Images of MNIST's size in noise."""
    generator = torch.Generator().manual_seed(0)

    def split(n: int) -> Split:
        x = torch.randint(2, (n, FEATURES), generator=generator, dtype=torch.uint8)
        return Split(x, torch.randint(CLASSES, (n,), generator=generator))

    return Data("noise", *(split(int(share * n)) for n in IMAGES), "noise")


def trainer_of(network: str, networks: int, data: Data, compiled: bool) -> Trainer:
    """So many networks at once."""
    steps = paper.MNIST_STEPS if compiled else COMPILE_FROM - 1
    setting = Setting(network, "mnist", steps, steps, paper.MNIST_BATCH, 0.5, 0.01)
    settings = [(replace(setting, learning_rate=0.5 / (1 + k)), k) for k in range(networks)]
    return Trainer(settings, data, "cuda" if torch.cuda.is_available() else "cpu")


def speed(trainer: Trainer, least: float = SECONDS) -> float:
    """Steps a second, from at least so many seconds."""
    for _ in range(WARM):
        trainer.advance()
    done, start = 0, _now()
    while (seconds := _now() - start) < least or not done:
        for _ in range(BLOCK):
            trainer.advance()
        done += BLOCK
    return done / seconds


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    """Measure both networks, eager first: compiling takes long."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--finding", type=Path)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    data, least = (random_images(0.01), 0.0) if options.tiny else (random_images(), SECONDS)
    speeds: dict[str, float] = {}
    for compiled in (False,) if options.tiny else (False, True):
        for network in ("bn", "plain"):
            for networks in (1, 2) if options.tiny else AT_ONCE:
                trainer = trainer_of(network, networks, data, compiled)
                name = f"{network} {networks}{' compiled' if trainer.compiled else ''}"
                speeds[name] = round(speed(trainer, least), 1)
                tell(options.finding, sentence(speeds), steps_per_second=speeds, network_steps=network_steps())


def sentence(speeds: dict[str, float]) -> str:
    """Steps a second, and minutes for chapter 03 with each network as fast as it was: half of its steps are of each."""
    fastest: dict[str, float] = {}
    for name, steps in speeds.items():
        network, at_once, *_ = name.split()
        fastest[network] = max(steps * int(at_once), fastest.get(network, 0.0))
    minutes = sum(network_steps() / len(fastest) / speed for speed in fastest.values()) / 60
    listed = ", ".join(f"{name} {steps:,.0f}" for name, steps in speeds.items())
    return f"steps/s: {listed}; chapter 03's {network_steps():,} steps of a network take {minutes:.1f} min at the best"


if __name__ == "__main__":
    main()
