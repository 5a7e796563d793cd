"""Runs: train once, keep whatever is finished, go on with whatever was interrupted.

A run is one (setting, seed), a file in `runs/` whose name is a digest of the setting, the seed, the pixels and
the code that trains. What is finished is read; what was interrupted goes on from its checkpoint; what was never
started trains together with the others of its group, one process and one thread a group.
"""

import ast
import hashlib
import io
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

import bn.lab.data.datasets
import bn.lab.train.mlp
import bn.lab.train.replicas
from bn.lab.judge import claims
from bn.lab import paths
from bn.lab.store import workers
from bn.lab.train.replicas import Replica, Setting, Trainer
from bn.lab.store.workers import RunError

_CODE = (bn.lab.data.datasets, bn.lab.train.mlp, bn.lab.train.replicas)  # a change in these retrains


def run(wanted: Iterable[tuple[Setting, int]], title: str = "training") -> dict[tuple[Setting, int], dict]:
    """Finished runs of the wanted (setting, seed) pairs, training those that are missing.

    Each run is a dict of arrays, evaluations first: steps (E,), validation and test accuracy (E,), percentiles
    (E, 5, 100), pooled (E, 5), mean and std (E, 100), finite (E,), population, the final test accuracy with
    Algorithm 2's statistics (), and `meta`, a dict. Raises RunError, DataError.
    """
    wanted = list(dict.fromkeys(wanted))
    data = {name: bn.lab.data.datasets.load(name) for name in {setting.dataset for setting, _ in wanted}}
    files = {pair: _run_file(*pair, data[pair[0].dataset].checksum) for pair in wanted}
    missing = [pair for pair in wanted if not files[pair].exists()]
    if missing:
        groups = list(_groups(missing))
        steps = [len(group) * group[0][0].steps for group in groups]
        workers.in_processes(train_group, groups, steps, title, unit="net-step")
    return {pair: read_arrays(path) for pair, path in files.items()}


def _groups(pairs: list[tuple[Setting, int]]) -> Iterator[list[tuple[Setting, int]]]:
    """Pairs that may train as replicas of one trainer: alike but for seed, rate and initial weights."""
    groups: dict[tuple, list] = {}
    for setting, seed in pairs:
        common = {**asdict(setting), "learning_rate": None, "weight_std": None}
        groups.setdefault(tuple(common.items()), []).append((setting, seed))
    yield from groups.values()


def train_group(group: list[tuple[Setting, int]], report: Callable[[int], None] = lambda steps: None) -> None:
    """Train what is still missing of a group, from its checkpoint if there is one, and write a file for each run."""
    common = {**asdict(group[0][0]), "learning_rate": None, "weight_std": None}
    with workers.lock(digest(common)):  # whoever comes second finds the runs finished
        _train_missing(group, report)


def _train_missing(group: list[tuple[Setting, int]], report: Callable[[int], None]) -> None:
    setting = group[0][0]
    data = bn.lab.data.datasets.load(setting.dataset)
    group = [pair for pair in group if not _run_file(*pair, data.checksum).exists()]
    if not group:
        return
    replicas = [Replica(seed, s.learning_rate, s.weight_std) for s, seed in group]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    trainer = Trainer(setting, replicas, data, device)
    names = [_run_file(*pair, data.checksum).stem for pair in group]
    checkpoint = paths.runs() / "checkpoints" / f"{digest(names)}.pt"
    if checkpoint.exists():
        trainer.restore(torch.load(checkpoint, map_location=device, weights_only=False))

    def after_evaluation(trainer: Trainer) -> None:
        save(trainer.state(), checkpoint)
        report(len(group) * trainer.step)
        workers.end_if_orphaned()

    report(len(group) * trainer.step)
    trainer.run(after_evaluation)
    population = trainer.population_accuracy()
    for replica, pair in enumerate(group):
        arrays = trainer.curves(replica) | {"population": population[replica]}
        write_arrays(_run_file(*pair, data.checksum), arrays, _meta(trainer, pair, data.checksum))
    checkpoint.unlink(missing_ok=True)


def save(state: dict, path: Path) -> None:
    """Write what torch.save takes, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def _meta(trainer: Trainer, pair: tuple[Setting, int], checksum: str) -> dict:
    """Where a run came from."""
    setting, seed = pair
    return {
        "setting": asdict(setting),
        "seed": seed,
        "data_sha256": checksum,
        "code": code_digest(),
        "rules": claims.rule_digests(),  # so that a rule changed after the run can be told
        "compiled": trainer.compiled,
        "trained_together": len(trainer.replicas),
        "training_seconds": round(trainer.seconds, 1),
        **surroundings(trainer.device),
    }


def surroundings(device: str) -> dict:
    """Device, versions and the time, as a run keeps them."""
    return {
        "device": device_name(device),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "finished": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def write_arrays(path: Path, arrays: dict, meta: dict) -> None:
    """Write a finished run: its arrays and where it came from."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, meta=np.array(json.dumps(meta)), **arrays)
    write_atomically(path, buffer.getvalue())


def read_arrays(path: Path) -> dict:
    """A finished run as `write_arrays` wrote it, its `meta` a dict again."""
    try:
        with np.load(path) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except Exception as error:
        raise RunError(
            f"The finished run {path} cannot be read ({error}). Delete that file; it will be trained again."
        ) from None
    return found | {"meta": json.loads(str(found["meta"]))}


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a kill or a full disk leaves what was there before."""
    with whole_or_not(path) as file:
        file.write(content)


@contextmanager
def whole_or_not(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name when all of it is written: `write_atomically`, for what is written in parts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _run_file(setting: Setting, seed: int, checksum: str) -> Path:
    key = digest([asdict(setting), seed, checksum, code_digest()])
    return paths.runs() / setting.dataset / f"{setting.network}-seed{seed}-{key}.npz"


def code_digest() -> str:
    """Digest of the code that trains, comments and docstrings aside: a run is valid for the code that made it."""
    return logic_digest(Path(module.__file__) for module in _CODE)


def logic_digest(files: Iterable[Path]) -> str:
    """Digest of what Python files do, comments and docstrings aside."""
    return digest([_logic(path) for path in files])


def _logic(path: Path) -> str:
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.dump(tree)


def digest(value: object) -> str:
    """A short name for any value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def device_name(device: str) -> str:
    """The GPU's or the processor's name."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return "CPU"
