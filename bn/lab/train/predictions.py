"""What trained networks of section 4.2 predict of the test images, on one crop of each or the mean over many."""

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from bn.lab.data import augment, folders
from bn.lab.data.splits import Split
from bn.lab.store import cache, code, files, workers
from bn.lab.train import runs
from bn.lab.train.loop import CHUNK, watched
from bn.lab.train.settings import Recipe

Pair = tuple[Recipe, int]


def predictions(wanted: Iterable[Pair], crops: int, title: str = "predicting") -> dict[Pair, np.ndarray]:
    """Class probabilities (n, classes) float32 of the test images, the mean over so many crops (1, 10 or 144).

    By networks that are trained; one that diverged predicts NaN. Raises RunError.
    """

    def predict_all(missing: list[Pair]) -> None:
        recipe = missing[0][0]
        size = len(test_images(recipe).y) * views_of(recipe.dataset, crops)
        jobs = [(pair, crops) for pair in missing]
        workers.in_processes(predict, jobs, [size] * len(jobs), title, unit="image")

    found = cache.finished({pair: _file(pair, crops) for pair in wanted}, predict_all)
    return {pair: kept["probabilities"] for pair, kept in found.items()}


def predict(job: tuple[Pair, int], report: Callable[[int], None] = lambda images: None) -> None:
    """Write the predictions of one trained network for one number of crops; `report` counts crops of images."""
    pair, crops = job
    path = _file(pair, crops)
    with workers.lock(path.stem):
        if cache.present(path) is None:
            files.clear_parts(path)
            files.write_arrays(path, {"probabilities": _predicted(pair, crops, report)}, {"crops": crops})


def _predicted(pair: Pair, crops: int, report: Callable[[int], None]) -> np.ndarray:
    trainer = runs.trainer_of([pair])
    trainer.load_weights(runs.run([pair])[pair])
    chunks, done, count = [], 0, views_of(pair[0].dataset, crops)
    for x in trainer.watched["test"].x.split(CHUNK):
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
    return watched(runs.data_of(recipe).test, recipe)


def _file(pair: Pair, crops: int) -> Path:
    path, made_by = runs.run_file(*pair), code.digest(__name__, kernels=workers.device() == "cuda")
    return path.with_name(f"{path.stem}-{views_of(pair[0].dataset, crops)}crops-{made_by}.npz")
