"""Kernels compiled as they would be launched, for the processes of `bn.lab.gpu.precompile`."""

from itertools import product

from bn.lab.chapters.kernels import compiled
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
        with sweep.launched_with(constants):
            return len(compiled.compiled(case)), ""
    except Exception as error:
        return 0, f"{case.name}: {type(error).__name__}: {error}".splitlines()[0][:200]
