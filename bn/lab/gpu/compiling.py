"""Kernels compiled where they would be launched, for the processes of `bn.lab.gpu.precompile`.

The package is called as ever, with a kernel in the place of each that compiles all its configurations and launches
none. Without a GPU it compiles for an H100, which shows that it works and serves nobody.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import torch
import triton
from triton.backends.compiler import GPUTarget

from bn import kernels, launch
from bn.lab.chapters.kernels import cases
from bn.lab.chapters.kernels.cases import Case
from bn.lab.chapters.kernels.record import Work
from bn.lab.gpu import sweep


def jobs(tiny: bool) -> list[tuple[Case, dict]]:
    """Cases, each with the constants that it is launched with: those of the record, and those of the sweep."""
    swept, tensors = sweep.TINY if tiny else (sweep.SWEPT, sweep.CASES)
    if tiny:
        return [(tensors[0], {})]
    of_record = [_case(name) for name in Work("gpu", quick=True).parts() if len(name.split()) == 4]
    present = [(case, {}) for case in dict.fromkeys((*tensors, *of_record))]
    values = [(name, v) for name, of_name in sweep.there(swept).items() if name in sweep.COMPILED for v in of_name[1:]]
    return present + [(case, {name: value}) for (name, value), case in product(values, tensors)]


def _case(name: str) -> Case:
    """A case by its name, such as `256x64x56x56 bf16 NCHW bn_relu`."""
    shape, *rest = name.split()
    return Case(tuple(map(int, shape.split("x"))), *rest)


def compile_case(job: tuple[Case, dict]) -> tuple[int, str]:
    """Number of kernels compiled for a case, and why it did not work, if it did not."""
    case, constants = job
    try:
        with sweep.launched_with(constants), _compiling() as compiled:
            _call(case)
        return len(compiled), "" if compiled else f"{case.name}: no kernel was asked for"
    except Exception as error:
        return 0, f"{case.name}: {type(error).__name__}: {error}".splitlines()[0][:200]
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # others need the memory


def _call(case: Case) -> None:
    """Forward and, in training, backward pass; without kernels that run, of no values in particular."""
    given = cases.inputs(case, "cuda" if torch.cuda.is_available() else "cpu")
    y = cases.ours(case, given, "triton")()
    if y.requires_grad:
        torch.autograd.grad(y, given.wanted, given.dy)


@contextmanager
def _compiling() -> Iterator[list]:
    """For the launch code other kernels than those of bn.kernels; all that was compiled."""
    compiled = []
    launch.kernels = _Kernels(compiled)
    try:
        yield compiled
    finally:
        launch.kernels = kernels


class _Kernels:
    """bn.kernels as the launch code sees it, with kernels that are compiled and not launched."""

    def __init__(self, compiled: list) -> None:
        self.compiled = compiled

    def __getattr__(self, name: str):
        found = getattr(kernels, name)
        return _Compiled(found, self.compiled) if hasattr(found, "arg_names") else found


class _Compiled:
    """A kernel that is compiled in each of its configurations where it would be launched."""

    def __init__(self, kernel, compiled: list) -> None:
        self.kernel, self.compiled = kernel, compiled

    def __getitem__(self, grid):
        def compile_all(*arguments, **options) -> None:
            function, configs = self.kernel, [{}]
            while not hasattr(function, "params"):  # from the tuner to what it tunes
                configs = [config.all_kwargs() for config in getattr(function, "configs", ())] or configs
                function = function.fn
            for config in configs:
                self.compiled.append(function.warmup(*arguments, grid=grid, **options, **config))

        return compile_all


def begin() -> None:
    """In each process: one thread; where there is no GPU, Triton is told of one, and bn that it need not look."""
    torch.set_num_threads(1)
    if not torch.cuda.is_available():
        triton.runtime.driver.set_active(_Absent())
        triton.knobs.runtime.interpret = True


class _Absent:
    """The driver of an H100 that is not there, as far as a compiler asks it."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0
