"""Runs of section 4.2: train once, keep the curves and the weights, predict once for each kind of crops.

A run is one (recipe, seed): two files in `runs/`, curves and weights, whose names are a digest of the recipe, the
seed, the images and the code that trains. The rest is as in `bn.lab.train.runs`: what is finished is read, what was
interrupted goes on from its checkpoint.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import asdict
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from bn.lab import paper, paths
from bn.lab.data import augment, folders, images
from bn.lab.data.datasets import Images, Split
from bn.lab.store import claims, files, provenance, workers
from bn.lab.store.workers import device
from bn.lab.train import inception, loop
from bn.lab.train.loop import CHUNK, ImageTrainer, TrainingError, watched
from bn.lab.train.recipes import Recipe

Pair = tuple[Recipe, int]
CODE = (augment, folders, images, inception, loop, paper)  # a change in these retrains
SAVE_EVERY = 10  # seconds of training between two checkpoints, which are written after an evaluation: what a kill costs
SAVE_BETWEEN = 600  # seconds after which one is written between two evaluations: at scale paper these are hours apart


def run(wanted: Iterable[Pair], title: str = "training") -> dict[Pair, dict]:
    """Finished runs of the wanted (recipe, seed) pairs, training those that are missing.

    Each run is a dict of arrays, evaluations first: steps (E,), validation and test accuracy (E,) in shares, NaN from
    a divergence on; diverged, the step at which the loss was first not finite, or -1; and `meta`, a dict.
    Raises RunError, TrainingError, DataError.
    """

    def train(missing: list[Pair]) -> None:
        workers.in_processes(train_pair, missing, [recipe.steps for recipe, _ in missing], title)

    return files.finished({pair: run_file(*pair) for pair in wanted}, train)


def train_pair(pair: Pair, report: Callable[[int], None] = lambda steps: None, synchronized: bool = False) -> None:
    """Train what is still missing of one run, from its checkpoint if there is one, and write its two files.

    In a group of processes all train together, and the first one writes.
    """
    path = run_file(*pair)
    first = not dist.is_initialized() or dist.get_rank() == 0
    with workers.lock(path.stem) if first else nullcontext():
        if of_the_first(path.exists()):
            return
        claims.ledger()  # read now and kept, so that the rules of the run are those at its start
        recipe, seed = pair
        trainer = ImageTrainer(recipe, seed, images_of(recipe), device(), synchronized)
        checkpoint = paths.runs() / "checkpoints" / f"{path.stem}.pt"
        if of_the_first(checkpoint.exists()):
            trainer.restore(load_checkpoint(checkpoint, pair, trainer.device))
        if dist.is_initialized():
            dist.barrier()  # before the first process may write another checkpoint
        saved = time.monotonic()

        def save(seconds: float) -> None:
            """Write a checkpoint if the last one is so old."""
            nonlocal saved
            # After a divergence no more: who goes on from before it finds it at the same step again.
            if first and time.monotonic() - saved >= seconds and trainer.finite():
                files.save(_asked(pair) | trainer.state(), checkpoint)
                saved = time.monotonic()

        def after_step(trainer: ImageTrainer) -> None:
            report(trainer.step)
            save(SAVE_BETWEEN)

        def after_evaluation(trainer: ImageTrainer) -> None:
            save(SAVE_EVERY)
            report(trainer.step)
            workers.end_if_orphaned()

        report(trainer.step)
        trainer.run(after_evaluation, after_step)
        if first:
            files.save(_asked(pair) | {"net": trainer.net.state_dict()}, path.with_suffix(".pt"))
            arrays = trainer.curves() | {"diverged": np.array(trainer.diverged)}
            files.write_arrays(path, arrays, _meta(trainer) | {"synchronized": synchronized})
            checkpoint.unlink(missing_ok=True)
        report(recipe.steps)


def of_the_first(exists: bool) -> bool:
    """Whether the first process of a group found a file: later ones may look when it has already written."""
    told = [exists]
    if dist.is_initialized():
        dist.broadcast_object_list(told)
    return told[0]


def load_checkpoint(path: Path, pair: Pair, device: torch.device) -> dict:
    """What a trainer saved for this recipe and seed; TrainingError where it was another recipe or seed."""
    state, asked = torch.load(path, map_location=device, weights_only=False), _asked(pair)
    for name, value in asked["recipe"].items():
        if state["recipe"].get(name) != value:
            raise TrainingError(
                f"The checkpoint {path} is of another network: its {name} is {state['recipe'].get(name)!r}, "
                f"and {value!r} is asked for. Ask for the same, or delete that file."
            )
    if state["seed"] != asked["seed"]:
        raise TrainingError(
            f"The checkpoint {path} is of seed {state['seed']}, not {asked['seed']}: ask for that, or delete that file."
        )
    return state


def predictions(wanted: Iterable[Pair], crops: int, title: str = "predicting") -> dict[Pair, np.ndarray]:
    """Class probabilities (n, classes) float32 of the test images, the mean over so many crops (1, 10 or 144).

    By networks that are trained; one that diverged predicts NaN. Raises RunError.
    """

    def predict_all(missing: list[Pair]) -> None:
        recipe = missing[0][0]
        size = len(test_images(recipe).y) * views_of(recipe.dataset, crops)
        jobs = [(pair, crops) for pair in missing]
        workers.in_processes(predict, jobs, [size] * len(jobs), title, unit="image")

    return files.finished({pair: _prediction_file(pair, crops) for pair in wanted}, predict_all, np.load)


@torch.no_grad()
def predict(job: tuple[Pair, int], report: Callable[[int], None] = lambda images: None) -> None:
    """Write the predictions of one trained network for one number of crops; `report` counts crops of images."""
    pair, crops = job
    recipe, seed = pair
    trainer = ImageTrainer(recipe, seed, images_of(recipe), device())
    trainer.net.load_state_dict(load_checkpoint(run_file(*pair).with_suffix(".pt"), pair, trainer.device)["net"])
    chunks, done, count = [], 0, views_of(recipe.dataset, crops)
    for x in trainer.watched["test"].x.split(CHUNK):
        views = islice(augment.crops(x.to(trainer.device), crops), 0, None, crops // count)
        chunks.append(sum(trainer.probabilities(view) for view in views).div(count).cpu())
        done += count * len(x)
        report(done)
    with files.whole_or_not(_prediction_file(pair, crops)) as file:
        np.save(file, torch.cat(chunks).numpy())


def views_of(dataset: str, crops: int) -> int:
    """How many of an image's crops are used: digits, which were not trained on mirrored, leave every second one out."""
    return crops if crops == 1 or dataset in images.PHOTOGRAPHS else crops // 2


def test_images(recipe: Recipe) -> Split:
    """The images that `predictions` are of."""
    return watched(images_of(recipe).test, recipe)


def run_file(recipe: Recipe, seed: int) -> Path:
    """The finished run of a pair, whether it is there yet or not; the weights lie beside it."""
    key = files.digest([asdict(recipe), seed, images_of(recipe).checksum, code_digest()])
    kind = "bn" if recipe.batch_norm else "plain"
    return paths.runs() / recipe.dataset / f"inception-{kind}-seed{seed}-{key}.npz"


def _prediction_file(pair: Pair, crops: int) -> Path:
    path = run_file(*pair)
    return path.with_name(f"{path.stem}-{views_of(pair[0].dataset, crops)}crops.npy")


@cache
def code_digest() -> str:
    """Digest of the code that trains: a run is valid for the code that made it."""
    return files.logic_digest(Path(module.__file__) for module in CODE)


def _asked(pair: Pair) -> dict:
    return {"recipe": asdict(pair[0]), "seed": pair[1]}


def images_of(recipe: Recipe) -> Images:
    """The data set of a recipe at its number of pixels. Raises DataError."""
    return _loaded(recipe.dataset, recipe.pixels, paths.data())


@lru_cache(maxsize=2)
def _loaded(dataset: str, pixels: int, folder: Path) -> Images:
    """A data set, read once by a process from the data folder of the moment."""
    return images.load(dataset, pixels)


def _meta(trainer: ImageTrainer) -> dict:
    """Where a run came from."""
    checksum, seconds = images_of(trainer.recipe).checksum, round(trainer.seconds, 1)
    parameters = sum(p.numel() for p in trainer.net.parameters())
    more = _asked((trainer.recipe, trainer.seed)) | {"parameters": parameters, "processes": trainer.ranks}
    return provenance.meta(checksum, code_digest(), seconds, trainer.device.type, **more)
