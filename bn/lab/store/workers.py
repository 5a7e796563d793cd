"""Work that takes long, in processes of one thread each, two at a time, with one progress bar over all of it."""

import errno
import multiprocessing
import os
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from bn.lab import paths

WORKERS = 2  # jobs at a time, a thread and a copy of the images each: cores beyond the second stay idle
_LOOK = 0.2  # seconds between two looks at the workers: the bar lags, and a failure is told, by at most as much
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # also a quota, or a limit on the size of a file


class RunError(Exception):
    """A run could not be finished; the message says why and what to do. What was finished is kept."""


def device() -> str:
    """Where networks are trained: "cuda", the GPU of this process, if there is one, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def in_processes(train: Callable, jobs: Sequence, steps: Sequence[int], title: str, unit: str = "step") -> None:
    """Call `train(job, report)` for each job, two at a time; `report(n)` tells how many of its `steps` a job has done.

    `train` is a function of a module, since another process must find it. `title` and `unit` are the progress bar's.
    Raises RunError with the first failure's sentence, and then ends the other process.
    """
    context = multiprocessing.get_context("forkserver")
    # What takes seconds to import is imported once, and not by each worker.
    context.set_forkserver_preload([train.__module__, "sklearn.datasets", "sklearn.model_selection"])
    progress, taken = context.Array("q", len(jobs)), context.Value("q", 0)
    failures = context.Queue()
    # The fork server keeps the environment of the moment it was started, so the folders are told to each worker.
    folders = {"BN_RUNS": str(paths.runs().resolve()), "BN_DATA": str(paths.data().resolve())}
    arguments = (train, list(jobs), taken, progress, failures, folders)
    processes = [context.Process(target=_worker, args=arguments, daemon=True) for _ in jobs[:WORKERS]]
    try:
        for process in processes:
            process.start()
        with tqdm(total=sum(steps), desc=title, unit=unit, unit_scale=True, mininterval=1) as bar:
            while processes:
                time.sleep(_LOOK)
                running = [process for process in processes if process.is_alive()]
                done = sum(progress)
                if done > bar.n:
                    bar.update(done - bar.n)
                _raise_failure(failures, [process for process in processes if process not in running])
                processes = running
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()


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


def _worker(train: Callable, jobs: list, taken, progress, failures, folders: dict[str, str]) -> None:
    """Do one job after the other in this process; a failure becomes one sentence for the parent."""
    os.environ.update(folders)
    torch.set_num_threads(1)  # one thread a process: the same bytes every time, and no fight over cores
    try:
        while (i := _next(taken)) < len(jobs):
            train(jobs[i], partial(progress.__setitem__, i))
    except Exception as error:
        failures.put(sentence(error))
        raise SystemExit(1) from error


def _next(taken) -> int:
    """The number of the next job that nobody has taken."""
    with taken.get_lock():
        taken.value += 1
        return taken.value - 1


def sentence(error: Exception) -> str:
    """One sentence about a failure, with what to do if the disk is full."""
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return (
            f"The disk is full: {error.filename or paths.runs()} could not be written. "
            "Free some space and run the same command again: it goes on from the last checkpoint."
        )
    return f"{type(error).__name__}: {error}"


def end_if_orphaned() -> None:
    """End a worker whose parent is gone: nobody waits for its run, which goes on from its last checkpoint."""
    asking = multiprocessing.parent_process()
    if asking and not asking.is_alive():
        raise SystemExit("the process that asked for this run is gone; it goes on from here next time")


@contextmanager
def lock(name: str) -> Iterator[None]:
    """One process at a time trains what has this name; the second waits, then finds it finished."""
    path = paths.runs() / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(path).acquire(timeout=0)
    except Timeout:
        print(f"Another process is training the same network ({path.name}); waiting for it.", flush=True)
        held = FileLock(path).acquire()
    with held:
        yield
