"""How fast the networks of section 4.2 train here, beside an eager loop as one would first write it."""

import time
from collections.abc import Callable
from dataclasses import asdict
from statistics import median

import torch
from torch.nn.functional import cross_entropy

from bn.lab import paths
from bn.lab.data import augment
from bn.lab.data.splits import Images
from bn.lab.store import cache, code, files, provenance, workers
from bn.lab.train import recipes, runs
from bn.lab.train.batches import BLOCK
from bn.lab.train.loop import ImageTrainer, network
from bn.lab.train.settings import Recipe

ROUNDS = 9  # each measures both loops, so that a busy machine slows both alike
_STEPS = {"cpu": 2 * BLOCK, "cuda": 200}  # of a loop in a round, a second or less: whole blocks of mini-batches
_WARM = {"cpu": BLOCK, "cuda": 40}  # before the first round, so that compiling and captured graphs are not in its time


def throughput(base: Recipe) -> dict[str, dict]:
    """`measured`, of `inception` and of `bn_x5`, and `meta`.

    Measured once for a device and kept, so that a second language shows the same numbers.
    """
    device = workers.device()
    place, made_by = provenance.device_name(device), code.digest(__name__, kernels=device == "cuda")
    key = files.digest([asdict(base), place, made_by])

    def make() -> dict:
        networks, data = {"inception": base, "bn_x5": recipes.bn_x5(base)}, runs.data_of(base)
        origin, begun = provenance.origin(), time.perf_counter()
        found = {name: measured(recipe, data, device) for name, recipe in networks.items()}
        meta = provenance.meta(origin, data.checksum, made_by, time.perf_counter() - begun, device)
        return {"measured": found, "meta": meta}

    return cache.once(paths.runs() / base.dataset / f"throughput-{key}.json", make)


def measured(recipe: Recipe, data: Images, device: str) -> dict:
    """Steps and images a second of both loops, and how many times the eager one's: median and range of the rounds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        loops = (ImageTrainer(recipe, 0, data, device).advance, _eager_loop(recipe, data, device))
        for advance in loops:
            _speed(advance, _WARM[device], device)
        pairs = [tuple(_speed(advance, _STEPS[device], device) for advance in loops) for _ in range(ROUNDS)]
    finally:
        torch.set_num_threads(threads)
    ratios = [ours / eager for ours, eager in pairs]
    ours, eager = (median(side) for side in zip(*pairs, strict=True))
    return {
        "steps_per_second": round(ours, 1),
        "images_per_second": round(ours * recipe.batch),
        "eager_steps_per_second": round(eager, 1),
        "ratio": round(median(ratios), 2),
        "range": [round(min(ratios), 2), round(max(ratios), 2)],
    }


def _speed(advance: Callable[[], None], steps: int, device: str) -> float:
    """Steps a second, on a CPU of processor time: both loops have one thread, and other programs may take turns."""
    clock = time.perf_counter if device == "cuda" else time.process_time
    start = clock()
    for _ in range(steps):
        advance()
    if device == "cuda":
        torch.cuda.synchronize()
    return steps / (clock() - start)


def _eager_loop(recipe: Recipe, data: Images, device: str) -> Callable[[], None]:
    """One step as one would first write it: float32, images in the host's memory, one kernel after the other."""
    net = network(recipe, 0, data.train.x.shape[1]).to(device)
    options = {"lr": recipe.learning_rate, "momentum": recipe.momentum, "weight_decay": recipe.l2}
    optimizer = torch.optim.SGD(net.parameters(), **options)
    generator = torch.Generator().manual_seed(0)
    x, y = data.train

    def advance() -> None:
        i = torch.randint(len(y), (recipe.batch,), generator=generator)
        batch = augment.distort(augment.random_crop(x[i], generator, recipe.pixels // 8), generator)
        optimizer.zero_grad()
        cross_entropy(net(batch.to(device) / 128 - 1), y[i].to(device)).backward()
        optimizer.step()

    return advance
