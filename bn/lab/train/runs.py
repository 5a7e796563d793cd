"""Runs of section 4.1: train once, keep whatever is finished, go on with whatever was interrupted.

A run is one (setting, seed), a file in `runs/` whose name is a digest of the setting, the seed, the pixels and
the code that trains. What is finished is read; what was interrupted goes on from its checkpoint; what was never
started trains together with the others of its group, one process and one thread a group.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path

import torch

from bn.lab import paths
from bn.lab.data import datasets
from bn.lab.store import claims, files, provenance, workers
from bn.lab.train import mlp, replicas
from bn.lab.train.replicas import Pair, Setting, Trainer

CODE = (datasets, mlp, replicas)  # a change in these retrains


def run(wanted: Iterable[Pair], title: str = "training") -> dict[Pair, dict]:
    """Finished runs of the wanted (setting, seed) pairs, training those that are missing.

    Each run is a dict of arrays, evaluations first: steps (E,), validation and test accuracy (E,) in shares,
    percentiles (E, 5, 100), pooled (E, 5), mean and std (E, 100), finite (E,), population, the final test accuracy
    with Algorithm 2's statistics (), and `meta`, a dict. Raises RunError, DataError.
    """
    wanted = list(wanted)
    data = {name: datasets.load(name) for name in {setting.dataset for setting, _ in wanted}}

    def train(missing: list[Pair]) -> None:
        jobs = list(groups(missing))
        steps = [len(group) * group[0][0].steps for group in jobs]
        workers.in_processes(train_group, jobs, steps, title, unit="net-step")

    return files.finished({pair: _run_file(*pair, data[pair[0].dataset].checksum) for pair in wanted}, train)


def groups(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    """Pairs that may train as replicas of one trainer: alike but for seed, rate and initial weights."""
    alike: dict[str, list[Pair]] = {}
    for pair in pairs:
        alike.setdefault(_shared(pair[0]), []).append(pair)
    yield from alike.values()


def _shared(setting: Setting) -> str:
    """Digest of what the replicas of one trainer have in common."""
    return files.digest({**asdict(setting), "learning_rate": None, "weight_std": None})


def train_group(group: list[Pair], report: Callable[[int], None] = lambda steps: None) -> None:
    """Train what is still missing of a group, from its checkpoint if there is one, and write a file for each run."""
    with workers.lock(_shared(group[0][0])):  # whoever comes second finds the runs finished
        _train_missing(group, report)


def _train_missing(group: list[Pair], report: Callable[[int], None]) -> None:
    claims.ledger()  # read now and kept, so that the rules of the run are those at its start
    data = datasets.load(group[0][0].dataset)
    targets = {pair: _run_file(*pair, data.checksum) for pair in group}
    missing = {pair: path for pair, path in targets.items() if not path.exists()}
    if not missing:
        return
    trainer = Trainer(list(missing), data, workers.device())
    checkpoint = paths.runs() / "checkpoints" / f"{files.digest([path.stem for path in missing.values()])}.pt"
    if checkpoint.exists():
        trainer.restore(torch.load(checkpoint, map_location=trainer.device, weights_only=False))

    def after_evaluation(trainer: Trainer) -> None:
        files.save(trainer.state(), checkpoint)
        report(len(missing) * trainer.step)
        workers.end_if_orphaned()

    report(len(missing) * trainer.step)
    trainer.run(after_evaluation)
    population = trainer.population_accuracy()
    about = {"compiled": trainer.compiled, "trained_together": len(missing)}
    meta = provenance.meta(data.checksum, code_digest(), round(trainer.seconds, 1), trainer.device, **about)
    for replica, ((setting, seed), path) in enumerate(missing.items()):
        arrays = trainer.curves(replica) | {"population": population[replica]}
        files.write_arrays(path, arrays, meta | {"setting": asdict(setting), "seed": seed})
    checkpoint.unlink(missing_ok=True)


def _run_file(setting: Setting, seed: int, checksum: str) -> Path:
    key = files.digest([asdict(setting), seed, checksum, code_digest()])
    return paths.runs() / setting.dataset / f"{setting.network}-seed{seed}-{key}.npz"


@cache
def code_digest() -> str:
    """Digest of the code that trains: a run is valid for the code that made it."""
    return files.logic_digest(Path(module.__file__) for module in CODE)
