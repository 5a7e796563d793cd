"""How many small networks a GPU trains best at once: so many processes share it, and their steps are counted.

    BN_PER_GPU=$(python -m bn.lab.train.sharing)

Few kernels of a small network fill a GPU, so that several trainings at once may get more done. How many, depends on
the card and on whether its kernels of two processes run at the same time: that is measured, not assumed.
"""

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch

from bn.lab import paper
from bn.lab.data.disk import DataError
from bn.lab.spec import ParameterError
from bn.lab.store import files, workers
from bn.lab.store.files import RunError
from bn.lab.train import recipes, runs
from bn.lab.train.loop import TrainingError
from bn.lab.train.settings import Recipe
from bn.lab.train.specs import ImageSpec

COUNTS = (1, 2, 4, 8)
WARM = 40  # steps before the others are waited for: the algorithms are chosen and the graph is captured
PATIENCE = 120  # seconds in which all must have come so far
_LOOK = 0.02  # seconds


class Job(NamedTuple):
    """One of `count` trainings that are measured together: it leaves files in a folder."""

    recipe: Recipe
    k: int
    count: int
    seconds: float
    folder: Path


def steps_per_second(recipe: Recipe, counts: tuple[int, ...] = COUNTS, seconds: float = 4.0) -> dict[int, float]:
    """The steps a second of so many trainings at once, of all of them together.

    Each count takes `seconds`, and what its processes take to start. Raises RunError, DataError, TrainingError.
    """
    return {count: _together(recipe, count, seconds) for count in counts}


def best(speeds: dict[int, float]) -> int:
    """The smallest number of trainings at once that is within 3% of the fastest."""
    return min(count for count, speed in speeds.items() if speed >= 0.97 * max(speeds.values()))


def _together(recipe: Recipe, count: int, seconds: float) -> float:
    with TemporaryDirectory() as folder:
        jobs = [Job(recipe, k, count, seconds, Path(folder)) for k in range(count)]
        workers.in_processes(_measure, jobs, [1] * count, f"{count} at once", unit="training", at_once=count)
        return sum(files.read_json(Path(folder) / f"speed-{k}") for k in range(count))


def _measure(job: Job, report) -> None:
    """Train some steps, wait for the others, and count the steps of the same seconds."""
    trainer = runs.trainer_of([(job.recipe, job.k)])
    _steps(trainer, WARM)
    (job.folder / f"ready-{job.k}").touch()
    last = time.monotonic() + PATIENCE
    while len(list(job.folder.glob("ready-*"))) < job.count:
        if time.monotonic() > last:
            raise RunError(f"{job.count} trainings at once did not all begin within {PATIENCE} seconds")
        time.sleep(_LOOK)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < job.seconds:
        steps += _steps(trainer, WARM // 4)
    files.write_json(job.folder / f"speed-{job.k}", steps / (time.perf_counter() - start))
    report(1)


def _steps(trainer, count: int) -> int:
    for _ in range(count):
        trainer.advance()
    if trainer.device.type == "cuda":
        torch.cuda.synchronize()
    return count


def main() -> None:
    """Print how many trainings at once are best, of Inception with BN at scale gpu; the speeds go to stderr.

    More are tried as long as they get more done: a lent GPU is paid by the minute.
    """
    parser = argparse.ArgumentParser(prog="python -m bn.lab.train.sharing", description=main.__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128, help="images in a mini-batch, as they are to be trained")
    speeds = {}
    try:
        recipe = recipes.bn_baseline(ImageSpec(scale="gpu", batch=parser.parse_args().batch).base(paper.RATE))
        for count in COUNTS:
            speeds |= steps_per_second(recipe, (count,))
            print(f"{count} at once: {speeds[count]:.0f} steps a second", file=sys.stderr, flush=True)
            if best(speeds) != count:
                break
    except (ParameterError, DataError, TrainingError, RunError) as error:
        raise SystemExit(f"error: {error}") from None
    print(best(speeds))


if __name__ == "__main__":
    main()
