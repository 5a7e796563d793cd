"""One case of the kernel benchmark: time, bandwidth beside a copy, peak memory and error of every candidate.

On CUDA a time is the GPU's own, between two events; before every forward and backward pass the L2 cache is filled
with something else, which also gives Python time to put the launches in line. On a CPU it is the wall clock, caches
warm. The candidates and a copy of the same tensor take turns, round by round, and a ratio is taken within a round;
numbers are [median, 10th, 90th percentile]. "wall" times are of many passes in a row, caches warm, Python included:
what small inputs cost.
"""

import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch

from bn.lab.chapters.kernels import cases as kernel_cases
from bn.lab.chapters.kernels.cases import Case, digits
from bn.lab.store.files import RunError

ROUNDS = {"smoke": 3, "cpu": 9, "gpu": 20}
WALL_CALLS = {"smoke": 2, "cpu": 5, "gpu": 30}
WALL_ROUNDS = 5
WARM_UP = 3
FLUSHES, FLUSH_BYTES = 4, 2**28  # or four times the L2 cache, where that is more
_LOST = ("CUDA error", "Triton Error [CUDA]")  # the context is lost, and with it every later measurement


class BrokenDevice(RunError):
    """CUDA reported an error that this process cannot recover from; what was measured is kept."""


class Clock:
    """Times of a device: CUDA events with the L2 cache filled with something else before each, or the wall clock."""

    def __init__(self, device: str):
        self.cuda = device == "cuda"
        if self.cuda:
            l2 = torch.cuda.get_device_properties(0).L2_cache_size
            self.other = torch.zeros(max(FLUSH_BYTES, 4 * l2) // 4, dtype=torch.int32, device=device)

    def start(self) -> object:
        """Fill the L2 cache by reading (what is written there, the next to come would pay for); look at the clock."""
        if self.cuda:
            for _ in range(FLUSHES):
                self.other.amax()
        return self.now()

    def now(self) -> object:
        """A look at the clock."""
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def microseconds(self, start: object, end: object) -> float:
        """Between two looks."""
        if not self.cuda:
            return 1e6 * (end - start)
        end.synchronize()
        return 1e3 * start.elapsed_time(end)

    def wait(self) -> None:
        """Wait until the device has finished."""
        if self.cuda:
            torch.cuda.synchronize()


def measure(case: Case, device: str, scale: str) -> dict:
    """Everything about one case; where memory is short or a candidate fails, that is what the record says."""
    try:
        return _measure(case, device, scale)
    except torch.OutOfMemoryError:
        return case.as_dict() | {"not_run": "out of memory"}
    finally:
        if device == "cuda":
            torch.cuda.empty_cache()


def _measure(case: Case, device: str, scale: str) -> dict:
    given, clock = kernel_cases.inputs(case, device), Clock(device)
    calls = kernel_cases.candidates(case, given, compiled=scale != "smoke")
    results = _checked(case, given, calls, scale)
    calls = {name: call for name, call in calls.items() if "error" in results[name]}
    result = case.as_dict() | {"torch_backend": _torch_backend(given), "candidates": results}
    if "bn" not in calls:
        return result
    times, copies = _times(calls, given, clock, ROUNDS[scale])
    walls = _walls(calls, given, clock, WALL_CALLS[scale])
    for name in calls:
        results[name] |= _figures(case, times[name], times["bn"], copies)
        results[name] |= {"wall_us": summary(walls[name]), "wall_ratio": summary(walls[name] / walls["bn"])}
    if find_spec("flax") and find_spec("jax"):
        results["flax"] = attempt("flax", lambda: _flax(case, given, walls["bn"], WALL_CALLS[scale]))
    return result | {"copy_us": summary(copies)}


def _checked(case: Case, given: kernel_cases.Inputs, calls: dict, scale: str) -> dict[str, dict]:
    """Errors and memory of each candidate; the true values are gone when the clock starts."""
    true = kernel_cases.truth(case, given)
    results = {name: attempt(name, lambda call=call: check(call, given, true)) for name, call in calls.items()}
    if scale != "gpu":  # the oracle: float64 inside, so that its error is the rounding of its result
        oracle = kernel_cases.ours(case, given, "reference")
        results["reference"] = attempt("reference", lambda: check(oracle, given, true))
    return results


def attempt(name: str, work: Callable[[], dict]) -> dict:
    """What `work` returns, or in one line why it did not work here."""
    try:
        return work()
    except torch.OutOfMemoryError:
        return {"not_run": "out of memory"}
    except Exception as error:
        if any(sign in str(error) for sign in _LOST):
            raise BrokenDevice(f"{name}: {str(error).splitlines()[0]}") from error
        return {"not_run": f"{type(error).__name__}: {error}".splitlines()[0][:200]}


def _torch_backend(given: kernel_cases.Inputs) -> str:
    """Which kernel torch's own layer takes: Native or Cudnn."""
    arguments = (given.x, given.weight, given.bias, given.running_mean, given.running_var, True, kernel_cases.EPS)
    try:
        return str(torch._C._select_batch_norm_backend(*arguments)).rpartition(".")[2]
    except AttributeError:  # not a public name
        return "unknown"


def check(call: Callable, given: kernel_cases.Inputs, true: dict) -> dict:
    """Errors, and on CUDA the peak of memory over what was there before: output, gradients, what is saved between."""
    y = call()
    gradients = torch.autograd.grad(y, given.wanted, given.dy)
    checked = {"error": kernel_cases.errors(true, (y, *gradients))}
    if y.is_cuda:
        del y, gradients
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        y = call()
        gradients = torch.autograd.grad(y, given.wanted, given.dy)
        checked["peak_bytes"] = torch.cuda.max_memory_allocated() - before
    return checked


def _times(calls: dict, given: kernel_cases.Inputs, clock: Clock, rounds: int) -> tuple[dict, np.ndarray]:
    """Microseconds (rounds, 2), forward and backward, of each candidate, and of a copy (rounds,)."""
    target, source = torch.empty_like(given.x, requires_grad=False), given.x.detach()
    marks, copies = {name: [] for name in calls}, []
    names = list(calls)
    for k in range(WARM_UP + rounds):
        start = clock.start()
        target.copy_(source)
        copies.append((start, clock.now()))
        for name in names[k % len(names) :] + names[: k % len(names)]:  # nobody is always first
            start = clock.start()
            y = calls[name]()
            middle = clock.now()
            again = clock.start()
            torch.autograd.grad(y, given.wanted, given.dy)
            marks[name].append((start, middle, again, clock.now()))
            del y
        clock.wait()
    between = clock.microseconds
    times = {
        name: np.array([(between(a, b), between(c, d)) for a, b, c, d in m[WARM_UP:]]) for name, m in marks.items()
    }
    return times, np.array([between(*pair) for pair in copies[WARM_UP:]])


def _walls(calls: dict, given: kernel_cases.Inputs, clock: Clock, repeats: int) -> dict[str, np.ndarray]:
    """Microseconds of forward and backward together, Python included, by round."""

    def step(call: Callable) -> Callable[[], None]:
        return lambda: torch.autograd.grad(call(), given.wanted, given.dy)

    rounds = [{name: _wall(step(call), clock, repeats) for name, call in calls.items()} for _ in range(WALL_ROUNDS)]
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
    """Times, how many times ours they are, and the bandwidth as a share of the copy's, on two-pass bytes."""
    figures = {}
    needed = case.moved("two")
    parts = {"forward": (0, needed[0]), "backward": (1, needed[1]), "both": (slice(None), sum(needed))}
    for part, (column, moved) in parts.items():
        theirs, bns = (t[:, column].reshape(len(t), -1).sum(1) for t in (times, ours))
        figures[part] = {
            "us": summary(theirs),
            "ratio": summary(theirs / bns),
            "of_copy": summary(moved / theirs / (2 * case.tensor_bytes / copies)),
        }
    return figures


def summary(values: np.ndarray) -> list[float]:
    """Median, 10th and 90th percentile, four digits each."""
    return [digits(v) for v in np.percentile(values, (50, 10, 90))]
