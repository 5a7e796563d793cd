"""One case of the kernel benchmark: time, bandwidth beside a copy, peak memory and error of every candidate.

On CUDA a time is the GPU's own, between two events; before every forward and backward pass, and before the copy, the
L2 cache is filled with something else, which also gives Python time to put the launches in line. Where it was not long
enough, the GPU waited for Python within the time: the share of rounds where that may be stands beside it as `late`.
On a CPU a time is the wall clock, caches warm. The candidates and a copy of the same tensor take turns, round by
round, and a ratio is taken within a round; numbers are [median, 10th, 90th percentile]. "wall" times are of many
passes in a row, caches warm, Python included: what small inputs cost.
"""

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import torch

from bn.lab.chapters.kernels import cases as kernel_cases
from bn.lab.chapters.kernels import plan
from bn.lab.chapters.kernels.cases import Case, digits
from bn.lab.store.files import RunError

ROUNDS = {"smoke": 3, "cpu": 9, "gpu": 20}
WALL_CALLS = {"smoke": 2, "cpu": 5, "gpu": 30}
WALL_ROUNDS = 5
WARM_UP = 3
FLUSHES, FLUSH_BYTES = 4, 2**28  # readings of so much, or of four times the L2 cache where that is more


class BrokenDevice(RunError):
    """The device does not answer any more, and with this process it never will; what was measured is kept.

    `by`: the candidate or the part that was at work.
    """

    def __init__(self, sentence: str, by: str = ""):
        super().__init__(sentence)
        self.by = by


class Timed(NamedTuple):
    """Two looks at the clock, and whether the device was there before Python had put all work in line."""

    start: object
    end: object
    late: bool


class Clock:
    """Times of a device: CUDA events with the L2 cache filled with something else before each, or the wall clock."""

    def __init__(self, device: str):
        self.cuda, self.flushes = device == "cuda", FLUSHES
        if self.cuda:
            l2 = torch.cuda.get_device_properties(0).L2_cache_size
            self.other = torch.zeros(max(FLUSH_BYTES, 4 * l2) // 4, dtype=torch.int32, device=device)

    def time(self, work: Callable[[], object]) -> tuple[object, Timed]:
        """What `work` returns, and its time; before it the L2 cache is filled.

        By reading: what is written there, the next to come would pay for.
        """
        if self.cuda:
            for _ in range(self.flushes):
                self.other.amax()
        start = self.now()
        result = work()
        end = self.now()
        return result, Timed(start, end, self.cuda and start.query())

    def lengthen(self) -> None:
        """Fill the cache twice as often from now on, so that Python has twice the time."""
        self.flushes *= 2

    def now(self) -> object:
        """A look at the clock."""
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def microseconds(self, timed: Timed) -> float:
        """Between two looks."""
        if not self.cuda:
            return 1e6 * (timed.end - timed.start)
        timed.end.synchronize()
        return 1e3 * timed.start.elapsed_time(timed.end)

    def wait(self) -> None:
        """Wait until the device has finished."""
        if self.cuda:
            torch.cuda.synchronize()


def measure(case: Case, device: str, scale: str) -> dict:
    """Everything about one case; where memory is short or a candidate fails, that is what the record says."""
    try:
        with torch.set_grad_enabled(case.training):
            return case.as_dict() | attempt("measuring", lambda: _measure(case, device, scale))
    finally:
        if device == "cuda" and answers():
            torch.cuda.empty_cache()


def _measure(case: Case, device: str, scale: str) -> dict:
    given, clock = kernel_cases.inputs(case, device), Clock(device)
    calls = kernel_cases.candidates(case, given, _modes(case, scale))
    results = _checked(case, given, calls, scale)
    if device == "cuda" and "triton" not in calls:
        results["triton"] = {"same_as": "bn"}
    calls = {name: call for name, call in calls.items() if "error" in results[name]}
    result = {"torch_backend": torch_backend(case, given), "candidates": results}
    if "bn" not in calls:
        return result
    times, late, copies = _times(calls, given, clock, ROUNDS[scale])
    walls = _walls(calls, given, clock, WALL_CALLS[scale])
    for name in calls:
        results[name] |= _figures(case, times[name], times["bn"], copies) | {"late": late[name]}
        results[name] |= {"wall_us": summary(walls[name]), "wall_ratio": summary(walls[name] / walls["bn"])}
    if case in plan.COSTLY and case.training and find_spec("flax") and find_spec("jax"):
        results["flax"] = attempt("flax", lambda: _flax(case, given, walls["bn"], WALL_CALLS[scale]))
    return result | {"copy_us": summary(copies)}


def _modes(case: Case, scale: str) -> list[str]:
    """Which modes of torch.compile take part in a case."""
    if scale == "smoke":
        return []
    return list(kernel_cases.MODES) if case in plan.COSTLY else ["compile"]


def _checked(case: Case, given: kernel_cases.Inputs, calls: dict, scale: str) -> dict[str, dict]:
    """Errors and memory of each candidate; the true values are gone when the clock starts."""
    true = kernel_cases.truth(case, given)
    results = {name: attempt(name, lambda call=call: check(call, given, true)) for name, call in calls.items()}
    if scale != "gpu":  # the oracle: float64 inside, so that its error is the rounding of its result
        oracle = kernel_cases.ours(case, given, "reference")
        results["reference"] = attempt("reference", lambda: check(oracle, given, true))
    return results


def attempt(name: str, work: Callable[[], dict]) -> dict:
    """What `work` returns, or in one line why it did not work here. Raises BrokenDevice."""
    try:
        return work()
    except BrokenDevice:
        raise
    except torch.OutOfMemoryError:
        return {"not_run": "out of memory"}
    except Exception as error:
        sentence = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        if not answers():
            raise BrokenDevice(f"{name}: {sentence}", by=name) from error
        return {"not_run": sentence}


def answers() -> bool:
    """Whether the device still does what it is asked.

    It is asked, since errors come in many words, of CUDA, Triton, cuDNN and cuBLAS: one that ends a context is given
    in answer to all that is asked after it.
    """
    if not torch.cuda.is_initialized():
        return True
    try:
        torch.cuda.synchronize()
    except Exception:  # RuntimeError or torch.AcceleratorError, by the version of torch
        return False
    return True


def torch_backend(case: Case, given: kernel_cases.Inputs) -> str:
    """Which kernel torch's own layer takes: Native or Cudnn."""
    operands = (given.x, given.weight, given.bias, given.running_mean, given.running_var)
    try:
        chosen = torch._C._select_batch_norm_backend(*operands, case.training, kernel_cases.EPS)
    except AttributeError:  # not a public name
        return "unknown"
    return str(chosen).rpartition(".")[2]


def check(call: Callable, given: kernel_cases.Inputs, true: dict) -> dict:
    """Errors, and on CUDA the peak of memory over what was there before: output, gradients, what is saved between."""
    checked = {"error": kernel_cases.errors(true, _step(call, given))}
    if given.x.is_cuda:
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        _step(call, given)
        checked["peak_bytes"] = torch.cuda.max_memory_allocated() - before
        torch.cuda.synchronize()  # or the next candidate would be told of this one's error
    return checked


def _step(call: Callable, given: kernel_cases.Inputs) -> tuple[torch.Tensor, ...]:
    """The output and, in training, the gradients."""
    y = call()
    return (y, *torch.autograd.grad(y, given.wanted, given.dy)) if y.requires_grad else (y,)


def _times(calls: dict, given: kernel_cases.Inputs, clock: Clock, rounds: int) -> tuple[dict, dict, np.ndarray]:
    """Microseconds (rounds, 2) of each candidate, forward and backward, or (rounds, 1) of inference.

    Then of each the share of rounds in which the GPU may have waited for Python, and the microseconds of a copy
    (rounds,).
    """
    target, source = torch.empty_like(given.x, requires_grad=False), given.x.detach()
    taken, copies = {name: [] for name in calls}, []
    names = list(calls)
    for k in range(WARM_UP + rounds):
        copies.append(clock.time(lambda: target.copy_(source))[1])
        for name in names[k % len(names) :] + names[: k % len(names)]:  # nobody is always first
            taken[name].append(_passes(calls[name], given, clock))
        clock.wait()
        if k < WARM_UP and any(timed.late for passes in taken.values() for timed in passes[-1]):
            clock.lengthen()
    times = {name: np.array([[clock.microseconds(t) for t in p] for p in of[WARM_UP:]]) for name, of in taken.items()}
    late = {name: digits(np.mean([any(t.late for t in p) for p in of[WARM_UP:]])) for name, of in taken.items()}
    return times, late, np.array([clock.microseconds(timed) for timed in copies[WARM_UP:]])


def _passes(call: Callable, given: kernel_cases.Inputs, clock: Clock) -> list[Timed]:
    """The times of forward and, in training, backward."""
    y, forward = clock.time(call)
    if not y.requires_grad:
        return [forward]
    return [forward, clock.time(lambda: torch.autograd.grad(y, given.wanted, given.dy))[1]]


def _walls(calls: dict, given: kernel_cases.Inputs, clock: Clock, repeats: int) -> dict[str, np.ndarray]:
    """Microseconds of all passes together, Python included, by round."""
    rounds = [
        {name: _wall(lambda call=call: _step(call, given), clock, repeats) for name, call in calls.items()}
        for _ in range(WALL_ROUNDS)
    ]
    return {name: np.array([r[name] for r in rounds]) for name in calls}


def _wall(step: Callable, clock: Clock, repeats: int) -> float:
    clock.wait()
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    clock.wait()
    return 1e6 * (time.perf_counter() - start) / repeats


def _flax(case: Case, given: kernel_cases.Inputs, ours: np.ndarray, repeats: int) -> dict:
    """JAX has no events: the wall clock only."""
    step, clock = kernel_cases.flax_step(case, given), Clock("cuda" if given.x.is_cuda else "cpu")
    step()
    walls = np.array([_wall(step, clock, repeats) for _ in range(WALL_ROUNDS)])
    return {"wall_us": summary(walls), "wall_ratio": digits(np.median(walls) / np.median(ours))}


def _figures(case: Case, times: np.ndarray, ours: np.ndarray, copies: np.ndarray) -> dict:
    """Times, how many times ours they are, and the bandwidth as a share of the copy's.

    It is counted on the bytes of two passes, of inference on those of the one that it has.
    """
    needed, columns = case.moved("two"), {"forward": [0]}
    if case.training:
        columns |= {"backward": [1], "both": [0, 1]}
    figures = {}
    for part, taken in columns.items():
        theirs, bns = times[:, taken].sum(1), ours[:, taken].sum(1)
        figures[part] = {
            "us": summary(theirs),
            "ratio": summary(theirs / bns),
            "of_copy": summary(sum(needed[k] for k in taken) / theirs / (2 * case.tensor_bytes / copies)),
        }
    return figures


def summary(values: np.ndarray) -> list[float]:
    """Median, 10th and 90th percentile, four digits each."""
    return [digits(v) for v in np.percentile(values, (50, 10, 90))]
