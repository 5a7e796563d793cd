"""The life of a run: trained once, kept with its curves and weights, gone on with after a kill.

A run is a `Setting` of section 4.1, a `Recipe` of section 4.2 or a `Small` network of a chapter, with a seed. It is one
file in `runs/`, whose name is a digest of the setting, the seed, the pixels, the code that trains and whether a GPU
does; while it trains, its checkpoint has the same name. What is finished is read, what was interrupted goes on from its
checkpoint, what is damaged is trained again.

On a CPU each run trains alone, in one thread: its bytes depend on nothing else that is asked for. On a GPU small
networks of one shape train together, as one step costs as much for many of them as for one.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.distributed as dist

from bn.lab import paths
from bn.lab.data import datasets, images
from bn.lab.data.splits import Data
from bn.lab.store import cache, code, files, provenance, workers
from bn.lab.store.files import RunError
from bn.lab.train import loop, replicas, small
from bn.lab.train.settings import Recipe, Setting
from bn.lab.train.small import Small

Asked = Setting | Recipe | Small
Run = tuple[Asked, int]
SAVE_EVERY = 10  # seconds of training between two checkpoints, which are written after an evaluation: what a kill costs
SAVE_BETWEEN = 600  # seconds after which one is written between two evaluations: at scale paper these are hours apart


class Trainer(Protocol):
    """What trains some runs at once; `k` is one of them."""

    device: torch.device
    step: int
    seconds: float  # of training, evaluations aside
    compiled: bool

    def run(self, after_evaluation: Callable[[], None], after_step: Callable[[], None]) -> None:
        """Train to the last step from wherever it stands."""

    def finite(self) -> bool:
        """Whether a checkpoint would be of use."""

    def state(self, k: int) -> dict:
        """Everything that a killed run needs to end with the same bytes: tensors, numbers and words."""

    def restore(self, states: list[dict]) -> None:
        """Go on from the states of all its runs, of one step."""

    def results(self, k: int) -> dict[str, np.ndarray]:
        """What is kept of a finished run: curves, evaluations first, and what else there is."""

    def about(self, k: int) -> dict:
        """What is kept in its `meta` beside that of every run."""


class Job(NamedTuple):
    """Runs that may train at once, the files that they become, and what their training begins from.

    `until`: the time, as time.time() has it, at which they stop, to be gone on with another day.
    """

    wanted: dict[Run, Path]
    origin: dict
    until: float = math.inf


CHANGED = (
    "The code or the data was changed between the start of the process that asks for this and that of the one that "
    "does it: start again; in a notebook, restart the kernel."
)


def run(wanted: Iterable[Run], title: str = "training", until: float = math.inf) -> dict[Run, dict]:
    """Finished runs of the wanted settings and seeds, training those that are missing.

    `until`: a time, as time.time() has it, from which on nothing more is trained: then only the runs that are finished
    are returned, and those that were begun have a checkpoint. Each run is a dict of arrays, as its trainer's `results`
    says, and `meta`, a dict. Raises RunError, TrainingError, DataError.
    """
    files.expect_folder(paths.runs())
    files_of = {pair: run_file(*pair) for pair in wanted}
    finished = {pair: found for pair, path in files_of.items() if (found := cache.present(path)) is not None}
    if (missing := [pair for pair in files_of if pair not in finished]) and time.time() < until:
        _train_all({pair: files_of[pair] for pair in missing}, title, until)
        trained = [pair for pair in missing if until == math.inf or files_of[pair].exists()]
        finished |= {pair: files.read_arrays(files_of[pair]) for pair in trained}
    for pair in finished:  # what a kill has left beside a run just after it was written
        _checkpoint_file(files_of[pair]).unlink(missing_ok=True)
        files.clear_parts(files_of[pair])
    return {pair: finished[pair] for pair in files_of if pair in finished}


def _train_all(missing: dict[Run, Path], title: str, until: float) -> None:
    origin, device = provenance.origin(), workers.device()
    jobs = [Job({pair: missing[pair] for pair in group}, origin, until) for group in groups(missing, device)]
    steps = [sum(setting.steps for setting, _ in job.wanted) for job in jobs]
    workers.in_processes(train, jobs, steps, title)


def groups(missing: Iterable[Run], device: str) -> list[list[Run]]:
    """Runs that train at once: on a GPU small networks that are alike but for seed, rate and initial weights."""
    alike: dict[object, list[Run]] = {}
    for setting, seed in missing:
        shared = setting.alike if device == "cuda" and isinstance(setting, Setting) else (setting, seed)
        alike.setdefault(shared, []).append((setting, seed))
    return list(alike.values())


def job(*wanted: Run) -> Job:
    """A job of runs, to be trained from here on."""
    return Job({pair: run_file(*pair) for pair in wanted}, provenance.origin())


def train(job: Job, report: Callable[[int], None] = lambda steps: None, synchronized: bool = False) -> None:
    """Train what is still missing of a job, from checkpoints if there are any, and write a file for each run.

    In a group of processes all train together, and the first one writes. Where the job's time is over, what was begun
    is left with a checkpoint. Raises RunError where the code is not that of the process that asked.
    """
    if any(run_file(*pair).name != path.name for pair, path in job.wanted.items()):
        raise RunError(CHANGED)
    made_by = code_digest(next(iter(job.wanted))[0])  # now: what is loaded trains on, whatever happens to the files
    with workers.lock(*(path.stem for path in job.wanted.values())) if _first() else nullcontext():
        done = 0
        with suppress(_TimeIsOver):
            for group, states in _resumed(job):
                _train(group, states, job, made_by, lambda steps, before=done: report(before + steps), synchronized)
                done += sum(setting.steps for setting, _ in group)


class _TimeIsOver(Exception):
    """It is: what was begun has a checkpoint."""


def _resumed(job: Job) -> Iterator[tuple[list[Run], list[dict]]]:
    """The runs that are missing, those that may train at once and stopped at one step together, with their states."""
    missing = _of_the_first([pair for pair, path in job.wanted.items() if _first() and not cache.present(path)])
    stopped: dict[tuple, list[tuple[Run, dict]]] = {}
    for k, group in enumerate(groups(missing, workers.device())):
        for pair in group:
            state = _of_the_first(_checkpoint(job.wanted[pair])) or {}
            begun = k, state.get("step", 0), *state.get("made_as", {}).values()
            stopped.setdefault(begun, []).append((pair, state))
    for pairs in stopped.values():
        yield [pair for pair, _ in pairs], [state for _, state in pairs]


def _train(
    group: list[Run],
    states: list[dict],
    job: Job,
    made_by: str,
    report: Callable[[int], None],
    synchronized: bool,
) -> None:
    if time.time() >= job.until:
        raise _TimeIsOver
    trainer = trainer_of(group, synchronized)
    restored = all(states) and _goes_on(trainer, states[0], synchronized)
    if restored:
        trainer.restore(states)
    origins = [state["origin"] for state in states] if restored else [job.origin] * len(group)
    saved = time.monotonic()

    def save(seconds: float) -> None:
        """Write checkpoints if the last ones are so old."""
        nonlocal saved
        # After a divergence no more: who goes on from before it finds it at the same step again.
        if _first() and time.monotonic() - saved >= seconds and trainer.finite():
            for k, pair in enumerate(group):
                state = trainer.state(k) | {"origin": origins[k], "made_as": _made_as(trainer, synchronized)}
                files.save(_checkpoint_file(job.wanted[pair]), state)
            saved = time.monotonic()

    def stop() -> None:
        """Stop if the time is over; not after a divergence, which is found soon, nor where nothing is left to do."""
        if time.time() >= job.until and trainer.step < group[0][0].steps and trainer.finite():
            save(0)
            raise _TimeIsOver

    def after_evaluation() -> None:
        save(SAVE_EVERY)
        report(len(group) * trainer.step)
        stop()

    def after_step() -> None:
        report(len(group) * trainer.step)
        save(SAVE_BETWEEN)
        stop()

    report(len(group) * trainer.step)
    trainer.run(after_evaluation, after_step)
    if _first():
        for k, pair in enumerate(group):
            meta = _meta(trainer, k, pair, origins[k], made_by)
            meta |= {"trained_together": len(group)} | _made_as(trainer, synchronized)
            files.write_arrays(job.wanted[pair], trainer.results(k), meta)
            _checkpoint_file(job.wanted[pair]).unlink(missing_ok=True)


def _made_as(trainer: Trainer, synchronized: bool) -> dict:
    """What a training is from its first step to its last; one that changed on the way would be of two kinds."""
    processes = dist.get_world_size() if _grouped() else 1
    return {"compiled": trainer.compiled, "processes": processes, "synchronized": synchronized}


def _goes_on(trainer: Trainer, state: dict, synchronized: bool) -> bool:
    """Whether a state can be gone on with here as it was begun. Raises RunError where the command is another."""
    then = state["made_as"]
    if then["compiled"] and not trainer.compiled:
        print("A training that was begun with torch.compile begins again: it does not work here.", flush=True)
        return False
    trainer.compiled = then["compiled"]
    for name, value in _made_as(trainer, synchronized).items():
        if then[name] != value:
            raise RunError(
                f"The training was begun with {name} {then[name]}, and here it is {value}: give the same command "
                f"again, or delete its checkpoint in {paths.runs() / 'checkpoints'}."
            )
    return True


def _meta(trainer: Trainer, k: int, pair: Run, origin: dict, made_by: str) -> dict:
    """Where a run came from."""
    setting, seed = pair
    asked = {"setting": asdict(setting), "seed": seed}
    checksum = data_of(setting).checksum
    return provenance.meta(origin, checksum, made_by, trainer.seconds, trainer.device.type, **asked, **trainer.about(k))


# ---- A group of processes ------------------------------------------------------------------------


def _grouped() -> bool:
    return dist.is_available() and dist.is_initialized()


def _first() -> bool:
    return not _grouped() or dist.get_rank() == 0


def _of_the_first(found: object) -> object:
    """What the first process of a group found: later ones may look when it has already written."""
    told = [found]
    if _grouped():
        dist.broadcast_object_list(told)
    return told[0]


# ---- Its files -----------------------------------------------------------------------------------


def run_file(setting: Asked, seed: int) -> Path:
    """The file of a run, whether it is there yet or not. Raises RunError, DataError."""
    key = files.digest([asdict(setting), seed, data_of(setting).checksum, code_digest(setting), workers.device()])
    return paths.runs() / setting.dataset / f"{setting.name}-seed{seed}-{key}.npz"


def light(path: Path) -> bytes:
    """The file of a finished run without its weights, which are nearly all of it: what goes home from a lent machine.

    It may take the place of the run for all but `bn.lab.train.predictions`. Raises Damaged.
    """
    found = files.read_arrays(path)
    curves = {name: array for name, array in found.items() if name != "meta" and not name.startswith(loop.WEIGHTS)}
    with TemporaryDirectory() as folder:
        file = Path(folder) / path.name  # the seal is of the name too
        files.write_arrays(file, curves, found["meta"])
        return file.read_bytes()


def _checkpoint_file(path: Path) -> Path:
    return paths.runs() / "checkpoints" / f"{path.stem}.pt"


def _checkpoint(path: Path) -> dict | None:
    """The state that a run stopped in, on the CPU; what a kill has left of one that was being written is cleared."""
    if not _first():
        return None
    files.clear_parts(path)
    files.clear_parts(_checkpoint_file(path))
    state = cache.present(_checkpoint_file(path), files.load)
    return state if state and {"step", "origin", "made_as"} <= set(state) else None  # else of an earlier laboratory


def code_digest(setting: Asked) -> str:
    """Digest of the code that trains: a run is valid for the code that made it. Raises RunError."""
    studies = [setting.study] if isinstance(setting, Small) else []
    return code.digest(trainer_class(setting).__module__, *studies, kernels=workers.device() == "cuda")


def trainer_class(setting: Asked) -> type:
    """What trains it."""
    return {Setting: replicas.Trainer, Recipe: loop.ImageTrainer}.get(type(setting), small.Trainer)


def trainer_of(group: list[Run], synchronized: bool = False) -> Trainer:
    """A trainer at the first step of some runs that may train at once. Raises TrainingError, DataError."""
    setting, seed = group[0]
    if isinstance(setting, Setting):
        return replicas.Trainer(group, data_of(setting), workers.device())
    if isinstance(setting, Small):
        return small.Trainer(setting, seed, data_of(setting), workers.device())
    return loop.ImageTrainer(setting, seed, data_of(setting), workers.device(), synchronized)


def data_of(setting: Asked) -> Data:
    """The data set of a setting, of a recipe at its pixels and of its classes. Raises DataError."""
    asked = (setting.pixels, setting.classes) if isinstance(setting, Recipe) else ()
    return _loaded(setting.dataset, asked, paths.data())


@lru_cache(maxsize=3)
def _loaded(dataset: str, asked: tuple[int, ...], folder: Path) -> Data:
    """A data set, read once by a process from the data folder of the moment."""
    return images.load(dataset, *asked) if asked else datasets.load(dataset)
