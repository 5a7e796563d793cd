"""Runs: train once, keep whatever is finished, go on with whatever was interrupted.

A run is one (setting, seed), a file in `runs/` whose name is a digest of the setting, the seed, the pixels and
the code that trains. What is finished is read; what was interrupted goes on from its checkpoint; what was never
started trains together with the others of its group, one process and one thread a group.
"""

import ast
import errno
import hashlib
import io
import json
import multiprocessing
import os
import platform
import queue
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

import bn.lab.data
import bn.lab.models
import bn.lab.train
from bn.lab import claims, paths
from bn.lab.train import Replica, Setting, Trainer

_WORKERS = 2
_CODE = (bn.lab.data, bn.lab.models, bn.lab.train)  # a change in these retrains
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class RunError(Exception):
    """A run could not be finished; the message says why and what to do. What was finished is kept."""


def run(wanted: Iterable[tuple[Setting, int]], title: str = "training") -> dict[tuple[Setting, int], dict]:
    """Finished runs of the wanted (setting, seed) pairs, training those that are missing.

    Each run is a dict of arrays, evaluations first: steps (E,), validation and test accuracy (E,), percentiles
    (E, 5, 100), pooled (E, 5), mean and std (E, 100), finite (E,), population, the final test accuracy with
    Algorithm 2's statistics (), and `meta`, a dict. Raises RunError, DataError.
    """
    wanted = list(dict.fromkeys(wanted))
    data = {name: bn.lab.data.load(name) for name in {setting.dataset for setting, _ in wanted}}
    files = {pair: _run_file(*pair, data[pair[0].dataset].checksum) for pair in wanted}
    missing = [pair for pair in wanted if not files[pair].exists()]
    if missing:
        _train(list(_groups(missing)), title)
    return {pair: _read(path) for pair, path in files.items()}


def _groups(pairs: list[tuple[Setting, int]]) -> Iterator[list[tuple[Setting, int]]]:
    """Pairs that may train as replicas of one trainer: alike but for seed, rate and initial weights."""
    groups: dict[tuple, list] = {}
    for setting, seed in pairs:
        common = {**asdict(setting), "learning_rate": None, "weight_std": None}
        groups.setdefault(tuple(common.items()), []).append((setting, seed))
    yield from groups.values()


def _train(groups: list[list[tuple[Setting, int]]], title: str) -> None:
    """Train the groups in worker processes, two at a time, with a progress bar over all of them."""
    context = multiprocessing.get_context("forkserver")  # torch is imported once, and not by each worker
    context.set_forkserver_preload([__name__])
    progress = context.Array("q", len(groups))
    failures = context.Queue()
    # The fork server keeps the environment of the moment it was started, so the folders are told to each worker.
    folders = {"BN_RUNS": str(paths.runs().resolve()), "BN_DATA": str(paths.data().resolve())}
    waiting, running = list(enumerate(groups)), []
    total = sum(_work(group, group[0][0].steps) for group in groups)
    try:
        with tqdm(total=total, desc=title, unit="net-step", unit_scale=True, mininterval=1) as bar:
            while waiting or running:
                while waiting and len(running) < _WORKERS:
                    i, group = waiting.pop(0)
                    arguments = (group, i, progress, failures, folders)
                    running.append(context.Process(target=_worker, args=arguments, daemon=True))
                    running[-1].start()
                time.sleep(0.2)
                done = sum(_work(group, step) for group, step in zip(groups, progress, strict=True))
                if done > bar.n:
                    bar.update(done - bar.n)
                _raise_failure(failures, [p for p in running if not p.is_alive()])
                running = [p for p in running if p.is_alive()]
    finally:
        for process in running:
            process.terminate()


def _work(group: list, step: int) -> int:
    return len(group) * step


def _raise_failure(failures, ended: list) -> None:
    """Tell of a worker that failed; of one that was killed too, which could not tell itself."""
    failed = [process for process in ended if process.exitcode]
    if not failed:
        return
    try:
        message = failures.get(timeout=1)
    except queue.Empty:
        message = (
            f"A training process was killed (exit status {failed[0].exitcode}), perhaps for want of memory. "
            "Run the same command again: it goes on from the last checkpoint."
        )
    raise RunError(message)


def _worker(group: list[tuple[Setting, int]], i: int, progress, failures, folders: dict[str, str]) -> None:
    """Train one group in this process; a failure becomes one sentence for the parent."""
    os.environ.update(folders)
    torch.set_num_threads(1)  # one thread a process: the same bytes every time, and no fight over cores
    try:
        with _lock(group):
            train_group(group, lambda step: progress.__setitem__(i, step))
    except Exception as error:
        failures.put(_sentence(error))
        raise SystemExit(1) from error


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return (
            f"The disk is full: {error.filename or paths.runs()} could not be written. "
            "Free some space and run the same command again: it goes on from the last checkpoint."
        )
    return f"{type(error).__name__}: {error}"


@contextmanager
def _lock(group: list[tuple[Setting, int]]) -> Iterator[None]:
    """One trainer at a time for the runs that a group might write; the second waits, then finds them finished."""
    common = {**asdict(group[0][0]), "learning_rate": None, "weight_std": None}
    path = paths.runs() / "locks" / f"{_digest(common)}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"Another process is training the same network ({path.name}); waiting for it.", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def train_group(group: list[tuple[Setting, int]], report=lambda step: None) -> None:
    """Train what is still missing of a group, from its checkpoint if there is one, and write a file for each run."""
    setting = group[0][0]
    data = bn.lab.data.load(setting.dataset)
    group = [pair for pair in group if not _run_file(*pair, data.checksum).exists()]
    if not group:
        return
    replicas = [Replica(seed, s.learning_rate, s.weight_std) for s, seed in group]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    trainer = Trainer(setting, replicas, data, device)
    names = [_run_file(*pair, data.checksum).stem for pair in group]
    checkpoint = paths.runs() / "checkpoints" / f"{_digest(names)}.pt"
    if checkpoint.exists():
        trainer.restore(torch.load(checkpoint, map_location=device, weights_only=False))

    def after_evaluation(trainer: Trainer) -> None:
        _save_checkpoint(trainer, checkpoint)
        report(trainer.step)
        asking = multiprocessing.parent_process()
        if asking and not asking.is_alive():
            raise SystemExit("the process that asked for this run is gone; it goes on from here next time")

    report(trainer.step)
    trainer.run(after_evaluation)
    population = trainer.population_accuracy()
    for replica, pair in enumerate(group):
        arrays = trainer.curves(replica) | {"population": population[replica]}
        meta = _meta(trainer, pair, data.checksum)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, meta=np.array(json.dumps(meta)), **arrays)
        write_atomically(_run_file(*pair, data.checksum), buffer.getvalue())
    checkpoint.unlink(missing_ok=True)


def _save_checkpoint(trainer: Trainer, path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(trainer.state(), buffer)
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
        "device": _device_name(trainer.device),
        "compiled": trainer.compiled,
        "trained_together": len(trainer.replicas),
        "training_seconds": round(trainer.seconds, 1),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "finished": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def _read(path: Path) -> dict:
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
    key = _digest([asdict(setting), seed, checksum, code_digest()])
    return paths.runs() / setting.dataset / f"{setting.network}-seed{seed}-{key}.npz"


def code_digest() -> str:
    """Digest of the code that trains, comments and docstrings aside: a run is valid for the code that made it."""
    return _digest([_logic(Path(module.__file__)) for module in _CODE])


def _logic(path: Path) -> str:
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.dump(tree)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _device_name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return "CPU"
