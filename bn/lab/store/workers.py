"""Work that takes long, in processes of one thread each, with one progress bar over all of it.

As many processes as there are cores (`BN_CORES` says how many may be used) and memory, or some for each GPU
(`BN_PER_GPU` says how many): the steps of small networks leave most of a GPU idle, so several share it.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing import connection
from pathlib import Path
from types import ModuleType

import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from bn.lab import paths
from bn.lab.store.files import RunError, expect_folder

PER_GPU = 2  # processes that share a GPU: not measured yet, bn.lab.train.sharing does that
MEMORY = 1.5e9  # bytes for a process: torch, a copy of MNIST or of small images, and a network
_TURN = threading.Lock()
_LOOK = 0.2  # seconds between two looks at the workers: the bar lags by at most as much


def device() -> str:
    """Where networks are trained: "cuda", the GPU of this process, if there is one, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def processes() -> int:
    """How many processes work at a time. Raises RunError where BN_CORES or BN_PER_GPU is no whole number above 0."""
    if torch.cuda.is_available():
        return (_told("BN_PER_GPU") or PER_GPU) * torch.cuda.device_count()
    return max(1, int(min(_told("BN_CORES") or _cores(), _free_memory() / MEMORY)))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _told(name: str) -> int | None:
    """A number that an environment variable says, None where it says nothing."""
    told = os.environ.get(name)
    if told and (not told.isdecimal() or int(told) < 1):
        raise RunError(f"{name} must be a whole number above 0, but it is {told!r}")
    return int(told) if told else None


def _free_memory() -> float:
    """Bytes that can be taken without swapping; infinite where the system does not tell."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    return float("inf")


def in_processes(
    work: Callable, jobs: Sequence, steps: Sequence[int], title: str, unit: str = "step", at_once: int | None = None
) -> None:
    """Call `work(job, report)` for each job; `report(n)` tells how many `steps` are done.

    `at_once` jobs at a time, without it `processes()`. They are begun in their order. `work` is a function of a module,
    since another process must find it. `title` and `unit` are the progress bar's.
    What the first failure raised is raised here, with its traceback; RunError if a process was killed. Then the other
    processes are ended. Calls from several threads take turns.
    """
    with _TURN:
        _in_processes(work, jobs, steps, title, unit, min(len(jobs), at_once or processes()))


def _in_processes(work: Callable, jobs: Sequence, steps: Sequence[int], title: str, unit: str, at_once: int) -> None:
    context = multiprocessing.get_context("forkserver")
    # What takes seconds to import is imported once, and not by each worker.
    preloaded = [work.__module__, "sklearn.datasets", "sklearn.model_selection"]
    if device() == "cpu":  # torch's optimizers bring it; a process that has touched CUDA must not be forked
        preloaded.append("torch._dynamo")
    context.set_forkserver_preload(preloaded)
    done, taken = context.Array("q", len(jobs)), context.Value("q", 0)
    # The fork server keeps the environment of the moment it was started, so the folders are told to each worker.
    folders = {"BN_RUNS": str(paths.runs().resolve()), "BN_DATA": str(paths.data().resolve())}
    pool = ProcessPoolExecutor(at_once, context, _begin, (done, taken, folders))
    before, workers, waiting = set(multiprocessing.active_children()), set(), []
    try:
        with _without_main():
            for k, job in enumerate(jobs):
                waiting.append(pool.submit(_do, work, job, k))
                workers |= set(multiprocessing.active_children()) - before
        with tqdm(total=sum(steps), desc=title, unit=unit, unit_scale=True, mininterval=1) as bar:
            while waiting:
                ended, waiting = wait(waiting, _LOOK, FIRST_EXCEPTION)
                if (steps_done := sum(done[:])) > bar.n:
                    bar.update(steps_done - bar.n)
                for future in ended:
                    future.result()
                # The pool watches a process from its next answer on, and that of another may be hours away.
                if connection.wait([process.sentinel for process in workers], 0):
                    raise BrokenProcessPool
    except BaseException as error:
        for process in workers:
            process.terminate()
        pool.shutdown(cancel_futures=True)  # its thread is done: two that ask for an exit status do not both get it
        if isinstance(error, BrokenProcessPool):
            raise RunError(_how_they_ended(workers)) from error.__cause__
        raise
    pool.shutdown()


def _how_they_ended(workers: Iterable) -> str:
    """What can be said of a process that ended without a word; the others were then ended by SIGTERM."""
    statuses = {process.exitcode for process in workers}
    status = next(iter(statuses - {-signal.SIGTERM}), -signal.SIGTERM)
    if status < 0:
        how = f"was killed by {signal.Signals(-status).name}"
        how += ", perhaps for want of memory" if status == -signal.SIGKILL else ""
    else:
        how = f"ended without a word (exit status {status})"
    return f"A training process {how}. Run the same command again: it goes on from the last checkpoint."


@contextmanager
def _without_main() -> Iterator[None]:
    """Workers need nothing of the main script; one without `if __name__ == "__main__"` would start itself again."""
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


# ---- In the other process ------------------------------------------------------------------------


def _begin(done, taken, folders: dict[str, str]) -> None:
    """Make this process a worker: its folders, one thread, a GPU if there are any, and an end with its parent."""
    global _done
    _done = done
    os.environ.update(folders)
    torch.set_num_threads(1)  # one thread a process: the same bytes every time, and no fight over cores
    if torch.cuda.is_available():
        with taken.get_lock():
            torch.cuda.set_device(taken.value % torch.cuda.device_count())
            taken.value += 1
    threading.Thread(target=_end_with, args=[multiprocessing.parent_process()], daemon=True).start()


def _end_with(parent) -> None:
    """Nobody waits for the runs of an orphan; they go on from their checkpoints."""
    connection.wait([parent.sentinel])
    os._exit(1)


def _do(work: Callable, job: object, k: int) -> None:
    work(job, partial(_done.__setitem__, k))


# ---- One at a time -------------------------------------------------------------------------------


@contextmanager
def lock(*names: str) -> Iterator[None]:
    """One process at a time makes what has these names; the second waits, then finds it finished."""
    with ExitStack() as held:
        for name in sorted(set(names)):  # in the same order by all, so that no two wait for each other
            held.enter_context(_locked(paths.runs() / "locks" / f"{name}.lock"))
        yield


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    expect_folder(path.parent)
    held = FileLock(path)
    try:
        held.acquire(timeout=0)
    except Timeout:
        # Not to the output, which a notebook keeps: whether one has to wait is a matter of the moment.
        print(f"Another process is making the same ({path.name}); waiting for it.", file=sys.stderr, flush=True)
        held.acquire()
    try:
        yield
    finally:
        held.release()
