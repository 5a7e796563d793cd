"""What the compiler says of the kernels, without a GPU: registers, spills, widths of loads, instructions a value.

    python -m bn.lab.chapters.kernels.compiled

compiles every case of the benchmark for an H100 or H200 (sm_90), as `bn.launch` would launch it, with Triton's own
assembler, and writes book/records/kernels/compiled.json, a line a case. `bn.lab.chapters.kernels.predicted` has what
follows from it for the time.

Instructions are those of a thread for each of its values, counted in the machine code: in the loop that reads what is
reduced, and in the loop that writes. A kernel that keeps its values in registers has no loop; all of it is counted.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import torch

from bn.lab import paths
from bn.lab.chapters.kernels.cases import DTYPES, INFERENCE, LAYOUTS, Case
from bn.lab.chapters.kernels.plan import SHAPES
from bn.lab.store import code, files, provenance, records

RECORD = paths.RECORDS / "kernels" / "compiled.json"
PROCESSES = 2
OPERATIONS = ("bn_relu", "bn_add_relu", INFERENCE)
TARGET = "cuda", 90, 32  # an H100 or H200: sm_90, warps of 32 threads

_BRANCH = re.compile(r"\bBRA\b.*`\((\.L_x_\w+)\)")
_LABEL, _LINE = re.compile(r"^(\.L_x_\w+):"), re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(.*?)\s*;")
_WIDTHS = {"U8": 1, "U16": 2, "64": 8, "128": 16}  # bytes of an access, by its suffix; without one, 4


def plan() -> list[Case]:
    """Every shape, type and layout of the benchmark, in training with and without a residual, and in inference."""
    return [
        Case(shape, dtype, layout, operation)
        for dtype, operation, shape in product(DTYPES, OPERATIONS, SHAPES)
        for layout in (LAYOUTS if len(shape) > 2 else ("NC",))
    ]


def found(cases: Iterable[Case], processes: int = PROCESSES) -> dict[str, dict]:
    """By the name of each case, of "forward" and, in training, "backward", what the compiler says; see `said`."""
    shares = [list(cases)[k::processes] for k in range(processes)]
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_begin) as pool:
        return {name: result for share in pool.map(_all, shares) for name, result in share.items()}


def _begin() -> None:
    """In each process: compile, instead of interpreting."""
    os.environ.pop("TRITON_INTERPRET", None)
    torch.set_num_threads(1)


def _all(cases: list[Case]) -> dict[str, dict]:
    known: dict[int, dict] = {}  # many cases are of one kernel, which Triton compiles once
    results = {}
    for case in cases:
        results[case.name] = {}
        for direction, (launched, kernel) in zip(("forward", "backward"), compiled(case), strict=False):
            if id(kernel) not in known:
                known[id(kernel)] = said(launched, kernel, DTYPES[case.dtype].itemsize)
            results[case.name][direction] = known[id(kernel)]
    return results


# ---- Compiling -----------------------------------------------------------------------------------------------------


class _Launched:
    """A kernel in the place of one that would be launched: compiled with the arguments it is given, and kept."""

    def __init__(self, kernel, kept: list) -> None:
        self.kernel, self.kept = kernel, kept

    def __getitem__(self, grid):
        def compile_it(*arguments, **options) -> None:
            named = dict(zip(self.kernel.arg_names, arguments, strict=False)) | options
            self.kept.append((named, self.kernel.warmup(*arguments, grid=grid, **options)))

        return compile_it


class _Kernels:
    """`bn.kernels` as the launch code sees it, with kernels that are compiled and not launched."""

    def __init__(self, kernels, kept: list) -> None:
        self.kernels, self.kept = kernels, kept

    def __getattr__(self, name: str):
        found = getattr(self.kernels, name)
        return _Launched(found, self.kept) if hasattr(found, "arg_names") else found


class _Driver:
    """The driver of a GPU that is not there, as far as a compiler asks it."""

    def get_current_target(self):
        """What is compiled for."""
        from triton.backends.compiler import GPUTarget

        return GPUTarget(*TARGET)

    def get_current_device(self) -> int:
        """Its number."""
        return 0

    def get_current_stream(self, device: int) -> int:
        """The default one."""
        return 0


@contextlib.contextmanager
def compiling() -> Iterator[list]:
    """Within a `with` statement kernels are compiled and not launched; yields arguments by name and kernel of each."""
    import triton

    from bn import kernels, launch

    kept: list[tuple[dict, object]] = []
    if not torch.cuda.is_available():
        triton.runtime.driver.set_active(_Driver())
    launch.kernels, usual = _Kernels(kernels, kept), triton.knobs.runtime.interpret
    triton.knobs.runtime.interpret = True  # for the launch code, which wants tensors on a GPU; kernels are made by now
    try:
        yield kept
    finally:
        launch.kernels, triton.knobs.runtime.interpret = kernels, usual


def compiled(case: Case) -> list[tuple[dict, object]]:
    """Arguments and kernel of the forward and, in training, the backward pass of a case; nothing is allocated."""
    with compiling() as kept:
        x = torch.empty(case.shape, dtype=DTYPES[case.dtype], device="meta")
        x = x.contiguous(memory_format=torch.channels_last) if case.layout == "NHWC" else x
        _launch(x, relu=case.operation != "bn", residual=case.operation == "bn_add_relu", training=case.training)
    return kept


def _launch(x: torch.Tensor, relu: bool, residual: bool, training: bool) -> None:
    """Launch the kernels that the operators would launch, with outputs and vectors of no values."""
    from bn import launch

    weight, bias, mean, rstd, running_mean, running_var = torch.empty(6, x.shape[1], device="meta")
    y, r = torch.empty_like(x), torch.empty_like(x) if residual else None
    if not training:
        launch.inference(x, running_mean, running_var, weight, bias, r, 1e-5, relu, y, mean, rstd, None)
        return
    bits = torch.empty(launch.bytes_of_bits(x), dtype=torch.uint8, device="meta") if residual else None
    launch.training(x, running_mean, running_var, weight, bias, r, 0.1, 1e-5, relu, y, mean, rstd, bits)
    launch.backward(y, x, weight, bias, mean, rstd, bits, relu, True, torch.empty_like(x), weight, bias, r)


# ---- Reading machine code ------------------------------------------------------------------------------------------


def said(launched: dict, kernel, itemsize: int) -> dict:
    """What the machine code of a kernel tells.

    - `kernel`: its name. `registers` of a thread, and `spilled`: how many instructions bring one to memory or back.
    - `load` and `possible`: bytes that are read at a time of the tensors that are as large as x, and how many would be
      possible: neighbours begin at multiples of so many.
    - `instructions`: for each value, "reduce" and "write", or "all" without a loop.
    """
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder, "kernel.cubin")
        binary.write_bytes(kernel.asm["cubin"])
        listing, usage = _tool("nvdisasm", "-c", binary), _tool("cuobjdump", "-res-usage", binary)
    instructions, loops = parsed(listing)
    counted = _counted(instructions, loops, itemsize, launched)
    each = launched["ROWS"] * launched["LANES"] / (32 * launched["num_warps"])
    return {
        "kernel": kernel.metadata.name,
        "registers": int(re.search(r"REG:(\d+)", usage)[1]),
        "spilled": sum(re.match(r"(LDL|STL)\b", i) is not None for i in instructions),
        "load": min(_width(i) for i in instructions if _reads(i)),
        "possible": min(16, launched["ALIGN"] * itemsize),
        "instructions": counted or {"all": round(len(instructions) / each, 1)},
    }


def _tool(name: str, *arguments: object) -> str:
    """What one of the programs that come with Triton prints."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=True).stdout


def parsed(listing: str) -> tuple[list[str], list[tuple[int, int]]]:
    """The instructions of a listing by nvdisasm, without what they depend on, and first and last of each loop."""
    instructions, labels, loops = [], {}, []
    for line in listing.splitlines():
        if label := _LABEL.match(line):
            labels[label[1]] = len(instructions)
        elif found := _LINE.match(line):
            target = _BRANCH.search(found[1])
            if target and target[1] in labels and labels[target[1]] < len(instructions):
                loops.append((labels[target[1]], len(instructions)))
            instructions.append(re.sub(r"^@!?U?P\w+\s+", "", found[1]))
    return instructions, loops


def _counted(instructions: list[str], loops: list[tuple[int, int]], itemsize: int, launched: dict) -> dict[str, float]:
    """Instructions a value of the loops over the values; where one is unrolled, of the copy that reads the most."""
    counts: dict[str, tuple[int, float]] = {}
    for first, last in loops:
        body = instructions[first : last + 1]
        read = sum(_width(i) for i in body if _reads(i))
        written = sum(_width(i) for i in body if i.startswith("STG") and ".U8" not in i)
        if not read:
            continue  # it merges, or waits
        name = "write" if written else "reduce"
        tensors = 1 + (launched.get("dresidual") is not None) if written else 1 + ("dy" in launched)
        values = (written or read) / itemsize / tensors
        if values > counts.get(name, (0, 0))[0]:
            counts[name] = values, round(len(body) / values, 1)
    return {name: count for name, (_, count) in sorted(counts.items())}


def _reads(instruction: str) -> bool:
    """Whether it reads a tensor as large as x: bits are bytes, and what other programs write is read past the L1."""
    return instruction.startswith("LDG") and ".U8" not in instruction and ".STRONG" not in instruction


def _width(instruction: str) -> int:
    """Bytes that an access moves for a thread."""
    return next((_WIDTHS[part] for part in instruction.split()[0].split(".") if part in _WIDTHS), 4)


# ---- The table -----------------------------------------------------------------------------------------------------


def table() -> dict:
    """The committed record: `cases` has what `found` returns."""
    return records.read(RECORD)


def record() -> dict:
    """Compile everything, and make a record of it, with its provenance."""
    start, origin = time.monotonic(), provenance.source()
    results = found(plan())
    where = {
        **origin,
        "code": code.digest("bn.launch", kernels=True),
        "devices": ["sm_90 (H100, H200), compiled for, not run"],
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "triton": version("triton")},
        "threads": PROCESSES,
        "measuring_seconds": round(time.monotonic() - start),
        "finished": provenance.now(),
        "command": "python -m bn.lab.chapters.kernels.compiled",
    }
    about = {"experiment": "kernels", "scale": RECORD.stem, "dataset": "no tensors", "asked": {}, "rules": {}}
    return records.sealed(about | {"provenance": where, "cases": results})


def write(made: dict, path: Path) -> Path:
    """Write a line a case."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(result)}" for name, result in made["cases"].items())
    rest = json.dumps(made | {"cases": {}}, ensure_ascii=False, indent=1)
    files.write_atomically(path, rest.replace('"cases": {}', f'"cases": {{\n{lines}\n}}', 1).encode())
    return path


def main() -> None:
    """Compile the kernels for every case of the benchmark, and write what the compiler says."""
    argparse.ArgumentParser(prog="python -m bn.lab.chapters.kernels.compiled", description=main.__doc__).parse_args()
    print(f"{len(plan())} cases are in {write(record(), RECORD)}")


if __name__ == "__main__":
    main()
