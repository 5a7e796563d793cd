"""A process under watch: with all that it starts it ends at its limit, whatever it does."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

LOOK = 0.1  # seconds between two looks at a process
OFTEN = 3.0  # seconds between two calls of `meanwhile`
LAST = 10.0  # seconds for a killed process to be gone: one that the driver holds may never be


@dataclass(frozen=True)
class Ended:
    """How a process ended: `state` is "done", "failed" or "stopped"; `why` says more of the last two."""

    state: str
    why: str
    seconds: float
    last: str


def watched(
    command: Sequence[str],
    seconds: float,
    log: TextIO,
    folder: Path,
    environment: Mapping[str, str],
    meanwhile: Callable[[], None] = lambda: None,
) -> Ended:
    """Run a command for so many seconds at most; its output goes to a log and to our own.

    At the limit, or when this call is interrupted, the whole process group is killed, so that no child of it keeps
    the GPU.
    """
    start, told = time.monotonic(), [""]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    reader = threading.Thread(target=_copy, args=(process.stdout, log, told), daemon=True)
    reader.start()
    try:
        status = _wait(process, start + seconds, meanwhile)
    finally:
        with suppress(ProcessLookupError):  # also what a process that ended by itself has left behind
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(LAST)
        reader.join(1)
    took = time.monotonic() - start
    if status is None:
        return Ended("stopped", f"killed at its limit of {seconds:.0f} s", took, told[0])
    return Ended("failed" if status else "done", _how(status) if status else "", took, told[0])


def _wait(process: subprocess.Popen, end: float, meanwhile: Callable[[], None]) -> int | None:
    """The exit status, or None at the end of the time."""
    looked = time.monotonic()
    while (status := process.poll()) is None and time.monotonic() < end:
        time.sleep(LOOK)
        if time.monotonic() - looked > OFTEN:
            meanwhile()
            looked = time.monotonic()
    return status


def _how(status: int) -> str:
    return f"ended by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _copy(output: TextIO, log: TextIO, told: list[str]) -> None:
    """Pass on each line as it comes, and keep the last that says something."""
    for line in output:
        for copy in (log, sys.stdout):
            copy.write(line)
            copy.flush()
        told[0] = line.strip() or told[0]
