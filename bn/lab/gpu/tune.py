"""The best values of the launch code's constants on this card, one constant after the other.

Forward and backward pass of each tensor beside a copy of it, the L2 cache filled with something else before both; all
values of a constant take turns, round by round. Another value is taken only where it is faster in nine of ten rounds,
over all tensors together, and by LEAST: less is noise, or not worth a change.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from bn.lab.chapters.kernels import cases
from bn.lab.chapters.kernels.cases import Case
from bn.lab.gpu.finding import tell
from bn.lab.gpu.sweep import CASES, SWEPT, TINY, launched_with, there
from bn.lab.gpu.tree import written

ROUNDS = 20
LEAST = 0.01  # of the time: what a change must save
ENOUGH = 0.7  # of the time that is given, after which no other constant is begun
CUDA = torch.cuda.is_available()


def main() -> None:
    """Sweep the constants, and keep the best values after each of them."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--finding", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    swept, tensors = TINY if options.tiny else (SWEPT, CASES)
    tuned(swept, tensors, 2 if options.tiny else ROUNDS, options.seconds, options.finding)


def tuned(swept: dict, tensors: Sequence[Case], rounds: int, seconds: float, finding: Path | None) -> dict:
    """`constants`: those that should change, by name; `table`: what was measured of each value."""
    end, found, sentences = time.monotonic() + ENOUGH * seconds, {"constants": {}, "table": {}}, []
    values_of = there(swept)
    sentences += [f"bn.launch has no {name}" for name in swept if name not in values_of]
    tell(finding, "; ".join(sentences) or "nothing so far", **found)
    for name, values in values_of.items():
        if time.monotonic() > end:
            sentences.append(f"no time for {name}")
            continue
        choices = [found["constants"] | {name: value} for value in values]
        times, failed = measured(choices, tensors, rounds)
        best, saved = choice(times)
        found["table"][name] = [row(v, t, times[:, 0]) for v, t in zip(values, np.moveaxis(times, 1, 0), strict=True)]
        if best:
            found["constants"][name] = values[best]
        sentences += [verdict(name, values, best, saved), *dict.fromkeys(failed)]
        tell(finding, "; ".join(sentences), **found)
    return found


def verdict(name: str, values: Sequence, best: int, saved: float) -> str:
    """What becomes of a constant, in words."""
    if not best:
        return f"{name} stays {written(values[0])}"
    return f"{name} {written(values[0])} -> {written(values[best])}, {100 * saved:.1f}% faster"


def measured(choices: Sequence[dict], tensors: Sequence[Case], rounds: int) -> tuple[np.ndarray, list[str]]:
    """Times over a copy's (rounds, choices, tensors), NaN where a choice does not work, and why it does not."""
    times, failed = np.full((rounds, len(choices), len(tensors)), np.nan), []
    for t, case in enumerate(tensors):
        given = cases.inputs(case, "cuda" if CUDA else "cpu")
        step, works = _step(case, given), []
        for c, constants in enumerate(choices):
            try:
                with launched_with(constants):
                    for _ in range(3):  # compiles, warms
                        step()
                works.append(c)
            except Exception as error:
                failed.append(f"{constants}: {type(error).__name__}: {str(error)[:80]}")
        target, source = torch.empty_like(given.x, requires_grad=False), given.x.detach()
        for r in range(rounds):
            copy = _copy(target, source)
            for c in works[r % len(works) :] + works[: r % len(works)]:  # nobody is always first
                with launched_with(choices[c]):
                    times[r, c, t] = _seconds(step) / copy
    return times, failed


def _step(case: Case, given: cases.Inputs) -> Callable[[], None]:
    forward = cases.ours(case, given, "triton")
    return lambda: torch.autograd.grad(forward(), given.wanted, given.dy)


def _copy(target: torch.Tensor, source: torch.Tensor) -> float:
    return _seconds(lambda: target.copy_(source))


def _seconds(work: Callable[[], object]) -> float:
    """Of the GPU, with something else in its L2 cache; on a CPU of the clock."""
    if not CUDA:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    _other().amax()  # read: what is written there, the work would pay for; and Python gets time to put it in line
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


_others = []


def _other() -> torch.Tensor:
    """A GiB, larger than any L2 cache."""
    if not _others:
        _others.append(torch.zeros(2**28, dtype=torch.int32, device="cuda"))
    return _others[0]


def choice(times: np.ndarray) -> tuple[int, float]:
    """Which choice is the best, 0 for the first one, and what part of the first one's time it saves.

    >>> present, other = [1.0, 1.01, 0.99], [0.9, 0.92, 0.91]
    >>> choice(np.array([present, other]).T[:, :, None])[0]
    1
    """
    with np.errstate(invalid="ignore"):
        ratios = np.exp(np.log(times / times[:, :1]).mean(2))  # (rounds, choices), the mean of all tensors
    middle, high = np.percentile(ratios, (50, 90), axis=0)
    better = (high < 1) & (middle < 1 - LEAST)  # of what is not a number neither holds
    if not better.any():
        return 0, 0.0
    best = int(np.where(better, middle, np.inf).argmin())
    return best, float(1 - middle[best])


def row(value: int | str, times: np.ndarray, first: np.ndarray) -> dict:
    """One value of a constant: per tensor the median of its time over a copy's and over the first value's time."""

    def medians(values: np.ndarray) -> list[float | None]:
        return [None if np.isnan(v) else round(float(v), 4) for v in np.median(values, axis=0)]

    return {"value": value, "over_copy": medians(times), "over_present": medians(times / first)}


if __name__ == "__main__":
    main()
