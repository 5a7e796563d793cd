"""How fast the networks of section 4.2 train here, beside loops as others would write them."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bn.convert import revert
from bn.lab import paths
from bn.lab.data import augment
from bn.lab.data.splits import Images
from bn.lab.store import cache, code, files, provenance, workers
from bn.lab.train import recipes, runs
from bn.lab.train.batches import BLOCK
from bn.lab.train.loop import ImageTrainer, network
from bn.lab.train.settings import Recipe
from bn.layers import BatchNorm2d

# Each round measures all loops, so that a busy machine slows all alike. On a GPU, which is lent by the minute, fewer.
_ROUNDS = {"cpu": 9, "cuda": 5}
_STEPS = {"cpu": 2 * BLOCK, "cuda": 20}  # of a loop in a round, a second or less: whole blocks of mini-batches
_WARM = {"cpu": BLOCK, "cuda": 10}  # before the first round, so that compiling and captured graphs are not in its time
Advance = Callable[[], None]


def throughput(base: Recipe, until: float = math.inf) -> dict:
    """`measured`, of `inception` and of `bn_x5`, and `meta`.

    Measured once for a device and kept, so that a second language shows the same numbers. Both are empty where that is
    still to be done and the time is over: `until`, as time.time() has it.
    """
    device = workers.device()
    place, made_by = provenance.device_name(device), code.digest(__name__, kernels=device == "cuda")
    path = paths.runs() / base.dataset / f"throughput-{files.digest([asdict(base), place, made_by])}.json"

    def make() -> dict:
        networks, data = {"inception": base, "bn_x5": recipes.bn_x5(base)}, runs.data_of(base)
        origin, begun = provenance.origin(), time.perf_counter()
        found = {name: measured(recipe, data, device) for name, recipe in networks.items()}
        meta = provenance.meta(origin, data.checksum, made_by, time.perf_counter() - begun, device)
        return {"measured": found, "meta": meta}

    if time.time() >= until and cache.present(path, files.read_json) is None:
        return {"measured": {}, "meta": {}}
    return cache.once(path, make)


def measured(recipe: Recipe, data: Images, device: str) -> dict:
    """Steps and images a second of our loop, and of its `rivals` the same and how many times theirs ours is.

    The `ratio` is the median of the rounds, `range` the smallest and the largest.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        advances = {name: loop(recipe, data, device) for name, loop in _loops(device).items()}
        for advance in advances.values():
            _speed(advance, _WARM[device], device)
        rounds = [
            {name: _speed(advance, _STEPS[device], device) for name, advance in advances.items()}
            for _ in range(_ROUNDS[device])
        ]
    finally:
        torch.set_num_threads(threads)
    speeds = {name: _speeds([r[name] for r in rounds], recipe.batch) for name in advances}
    rivals = {
        name: speeds[name] | _beside([r["ours"] / r[name] for r in rounds]) for name in advances if name != "ours"
    }
    return speeds["ours"] | {"rivals": rivals}


def _speeds(rounds: list[float], batch: int) -> dict:
    speed = median(rounds)
    return {"steps_per_second": round(speed, 1), "images_per_second": round(speed * batch)}


def _beside(ratios: list[float]) -> dict:
    return {"ratio": round(median(ratios), 2), "range": [round(min(ratios), 2), round(max(ratios), 2)]}


def _speed(advance: Advance, steps: int, device: str) -> float:
    """Steps a second, on a CPU of processor time: all loops have one thread, and other programs may take turns."""
    clock = time.perf_counter if device == "cuda" else time.process_time
    start = clock()
    for _ in range(steps):
        advance()
    if device == "cuda":
        torch.cuda.synchronize()
    return steps / (clock() - start)


# ---- The loops -----------------------------------------------------------------------------------


def _loops(device: str) -> dict[str, Callable[[Recipe, Images, str], Advance]]:
    """Ours and its rivals; a CPU has no graph that could be left out."""
    without = {"no_graph": _without_graph} if device == "cuda" else {}
    return {"ours": _ours, **without, "first": _first_written, "tuned": _tuned}


def _ours(recipe: Recipe, data: Images, device: str) -> Advance:
    return ImageTrainer(recipe, 0, data, device).advance


def _without_graph(recipe: Recipe, data: Images, device: str) -> Advance:
    return ImageTrainer(recipe, 0, data, device, graph=False).advance


def _first_written(recipe: Recipe, data: Images, device: str) -> Advance:
    """Torch as one would first write it: float32, images in the host's memory, one kernel after the other."""
    net, generator = torchs(network(recipe, 0, data.train.x.shape[1])).to(device), torch.Generator().manual_seed(0)
    optimizer, (x, y) = _optimizer(net, recipe), data.train

    def advance() -> None:
        i = torch.randint(len(y), (recipe.batch,), generator=generator)
        batch = augment.distort(augment.random_crop(x[i], generator, recipe.pixels // 8), generator)
        optimizer.zero_grad()
        cross_entropy(net(batch.to(device) / 128 - 1), y[i].to(device)).backward()
        optimizer.step()

    return advance


def _tuned(recipe: Recipe, data: Images, device: str) -> Advance:
    """Torch as its guides advise: channels last, our precision by autocast, fused SGD, and all on the device."""
    net = torchs(network(recipe, 0, data.train.x.shape[1])).to(device, memory_format=torch.channels_last)
    optimizer, (x, y) = _optimizer(net, recipe, fused=True), (part.to(device) for part in data.train)
    generator, half = torch.Generator(device).manual_seed(0), recipe.precision == "bfloat16"

    def advance() -> None:
        i = torch.randint(len(y), (recipe.batch,), generator=generator, device=device)
        batch = augment.augment(x[i], generator, recipe.distortion, data.photographs)
        optimizer.zero_grad()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=half):
            loss = cross_entropy(net(_centred(batch)), y[i])
        loss.backward()
        optimizer.step()

    return advance


def _centred(batch: Tensor) -> Tensor:
    return (batch / 128 - 1).to(memory_format=torch.channels_last)


def _optimizer(net: nn.Module, recipe: Recipe, **options) -> torch.optim.SGD:
    momentum = {"momentum": recipe.momentum, "weight_decay": recipe.l2}
    return torch.optim.SGD(net.parameters(), lr=recipe.learning_rate, **momentum, **options)


def torchs(net: nn.Module) -> nn.Module:
    """The network with torch's own layers in the place of ours, in place: BN, and behind it the nonlinearity."""
    for parent in list(net.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, BatchNorm2d) and layer.activation is not None:
                layer.activation = None
                setattr(parent, name, nn.Sequential(layer, nn.ReLU()))
    return revert(net)
