"""What trained networks of section 4.2 predict of the test images, on one crop of each or the mean over many."""

import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from bn.lab.data import augment, folders
from bn.lab.data.splits import Split
from bn.lab.store import cache, code, files, provenance, workers
from bn.lab.store.files import RunError
from bn.lab.train import runs
from bn.lab.train.loop import CHUNK
from bn.lab.train.settings import Recipe

Pair = tuple[Recipe, int]


class Job(NamedTuple):
    """A trained network, the number of crops, the file that its predictions become, and what they begin from."""

    pair: Pair
    crops: int
    path: Path
    origin: dict


def predictions(wanted: Iterable[Pair], crops: int, title: str = "predicting") -> dict[Pair, dict]:
    """`probabilities` of the classes (n, classes) float32 of the test images, the mean over so many crops, and `meta`.

    `crops` is 1, 10 or 144; all networks have seen the same data set. One that diverged predicts NaN. Raises RunError.
    """
    files_of = {pair: _file(pair, crops) for pair in wanted}

    def predict_all(missing: list[Pair]) -> None:
        runs.run(missing)  # here, so that no worker has to train
        recipe, origin = missing[0][0], provenance.origin()
        size = len(test_images(recipe).y) * views_of(recipe.dataset, crops)
        jobs = [Job(pair, crops, files_of[pair], origin) for pair in missing]
        workers.in_processes(predict, jobs, [size] * len(jobs), title, unit="image")

    return cache.finished(files_of, predict_all)


def predict(job: Job, report: Callable[[int], None] = lambda images: None) -> None:
    """Write the predictions of one trained network for one number of crops; `report` counts crops of images."""
    pair, crops, path, origin = job
    if _file(pair, crops).name != path.name:
        raise RunError(runs.CHANGED)
    made_by, begun, device = code_digest(), time.perf_counter(), workers.device()
    with workers.lock(path.stem):
        if cache.present(path) is None:
            files.clear_parts(path)
            found = {"probabilities": _predicted(pair, crops, report)}
            checksum, seconds = runs.data_of(pair[0]).checksum, time.perf_counter() - begun
            files.write_arrays(path, found, provenance.meta(origin, checksum, made_by, seconds, device, crops=crops))


@torch.no_grad()
def _predicted(pair: Pair, crops: int, report: Callable[[int], None]) -> np.ndarray:
    trainer = runs.trainer_of([pair])
    trainer.load_weights(files.read_arrays(runs.run_file(*pair)))
    chunks, done, count = [], 0, views_of(pair[0].dataset, crops)
    for x in test_images(pair[0]).x.split(CHUNK):
        views = islice(augment.crops(x.to(trainer.device), crops), 0, None, crops // count)
        chunks.append(sum(trainer.probabilities(view) for view in views).div(count).cpu())
        done += count * len(x)
        report(done)
    return torch.cat(chunks).numpy()


def views_of(dataset: str, crops: int) -> int:
    """How many of an image's crops are used: digits, which were not trained on mirrored, leave every second one out."""
    return crops if crops == 1 or dataset in folders.NAMES else crops // 2


def test_images(recipe: Recipe) -> Split:
    """The images that `predictions` are of."""
    return runs.data_of(recipe).test.spread(recipe.watched)


def code_digest() -> str:
    """Digest of the code that predicts. Raises RunError."""
    return code.digest(__name__, kernels=workers.device() == "cuda")


def _file(pair: Pair, crops: int) -> Path:
    path = runs.run_file(*pair)
    return path.with_name(f"{path.stem}-{views_of(pair[0].dataset, crops)}crops-{code_digest()}.npz")
