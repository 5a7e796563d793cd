"""Compile the kernels for an H100 or H200 on any machine, and print what the assembler says of each, as JSON.

A script of its own, because under Triton's interpreter nothing is compiled. No GPU is needed.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from bn import kernels

VALUES = ("x", "dy", "dx", "y", "residual", "dresidual")
VECTORS = ("weight", "bias", "running_mean", "running_var", "mean", "rstd", "partial", "dweight", "dbias")
COUNTS = {"N": 0, "C": 16, "S": 16, "stride_n": 16, "stride_c": 16, "blocks": 0, "SPLITS": 0, "LAG": 0}  # divisible by
ROWS = {"S": 1, "stride_c": 1, "BLOCK_C": 32, "BLOCK_S": 1}
PLANES = {"BLOCK_C": 1, "BLOCK_S": 64}


def compile_kernel(name, dtype, layout, block, warps, fused):
    """Registers, bytes spilled and the kinds of memory access of one kernel."""
    kernel = getattr(kernels, name)
    while not hasattr(kernel, "params"):
        kernel = kernel.fn
    absent = {} if fused else dict.fromkeys(("residual", "bits", "dresidual"))
    constants = {"RELU": True, "TRAINING": True, "MERGE": 64, "BLOCK": block, **layout, **absent}
    if name.startswith("resident"):
        constants["BLOCK_N"] = block // (layout["BLOCK_C"] * layout["BLOCK_S"])
    types = dict.fromkeys(VALUES, (f"*{dtype}", 16)) | dict.fromkeys(VECTORS, ("*fp32", 16))
    types |= {"bits": ("*u8", 16), "counters": ("*i32", 16), **{key: ("i32", by) for key, by in COUNTS.items()}}
    signature, values, attributes = {}, {}, {}
    for place, parameter in enumerate(kernel.params):
        if parameter.name in constants:
            signature[parameter.name], values[(place,)] = "constexpr", constants[parameter.name]
        else:
            signature[parameter.name], by = types.get(parameter.name, ("fp32", 0))
            if by:
                attributes[(place,)] = [["tt.divisibility", by]]
    source = ASTSource(fn=kernel, signature=signature, constexprs=values, attrs=attributes)
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps})
    ptx = compiled.asm["ptx"]
    said = assemble(ptx)
    return {
        "kernel": name,
        "registers": int(re.search(r"Used (\d+) registers", said)[1]),
        "spilled": int(re.search(r"(\d+) bytes spill stores", said)[1]),
        "vectors": len(re.findall(r"ld\.global\S*\.v4\.b32", ptx)),
    }


def assemble(ptx):
    ptxas = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "kernel.ptx")
        source.write_text(ptx)
        command = [ptxas, "-v", "--gpu-name", "sm_90a", source, "-o", os.devnull]
        return subprocess.run(command, capture_output=True, text=True, check=True).stderr


if __name__ == "__main__":
    layouts = {"planes": PLANES, "rows": ROWS}
    for line in sys.argv[1:]:
        name, dtype, layout, block, warps, fused = line.split(",")
        found = compile_kernel(name, dtype, layouts[layout], int(block), int(warps), fused == "fused")
        print(json.dumps({"asked": line, **found}), flush=True)
