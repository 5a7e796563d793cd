"""Kernels compiled as they would be launched, for the processes of `bn.lab.gpu.precompile`."""

from itertools import product

from bn.lab.chapters.kernels import compiled, plan
from bn.lab.chapters.kernels.cases import Case
from bn.lab.gpu import sweep


def jobs(tiny: bool) -> list[tuple[Case, dict]]:
    """Cases, each with the constants that it is launched with: those of the record, and those of the sweep."""
    swept, tensors = sweep.TINY if tiny else (sweep.SWEPT, sweep.CASES)
    if tiny:
        return [(tensors[0], {})]
    present = [(case, {}) for case in dict.fromkeys((*tensors, *plan.plan("gpu", quick=True)))]
    values = [(name, v) for name, of_name in sweep.there(swept).items() if name in sweep.COMPILED for v in of_name[1:]]
    return present + [(case, {name: value}) for (name, value), case in product(values, tensors)]


def compile_case(job: tuple[Case, dict]) -> tuple[int, str]:
    """Number of kernels compiled for a case, and why it did not work, if it did not."""
    case, constants = job
    try:
        with sweep.launched_with(constants):
            return len(compiled.compiled(case)), ""
    except Exception as error:
        return 0, f"{case.name}: {type(error).__name__}: {error}".splitlines()[0][:200]
