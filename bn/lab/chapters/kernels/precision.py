"""How many digits of the standard deviation are left where the mean is large: the formulas and the kernels.

`measured()` does it in a process of its own where the Triton kernels need the interpreter, which must be chosen before
Python starts.
"""

import json
import math
import os
import subprocess
import sys
from functools import partial
from itertools import product

import torch
import torch.nn.functional as F

from bn.functional import batch_norm
from bn.lab.chapters.kernels.measure import attempt

INPUTS = {"mean 100": (100.0, 0.1), "mean 5e5": (5e5, 8.0)}  # mean and standard deviation, in float32
SHAPE = (16, 4, 16, 16)
_INTERPRETER = "TRITON_INTERPRET"
_PRINT = "import json; from bn.lab.chapters.kernels import precision; print(json.dumps(precision.errors()))"


def measured(interpreter: bool = True) -> dict[str, dict[str, float | str]]:
    """For each input, the relative error of the standard deviation by each way; a string says what did not work.

    Without `interpreter`, which takes ten seconds to start and run, the kernels are measured on CUDA only.
    """
    if torch.cuda.is_available() or not interpreter or os.environ.get(_INTERPRETER) == "1":
        return errors()
    command = [sys.executable, "-c", _PRINT]
    done = subprocess.run(command, env=os.environ | {_INTERPRETER: "1"}, capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else errors()


def errors() -> dict[str, dict[str, float | str]]:
    """The same in this process: against the standard deviation of the same float32 values in float64."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    table = {}
    for name, (mean, std) in INPUTS.items():
        generator = torch.Generator(device).manual_seed(0)
        x = torch.randn(SHAPE, generator=generator, device=device) * std + mean
        layouts = {"NCHW": x, "NHWC": x.contiguous(memory_format=torch.channels_last)}
        ways = {"naive": partial(_naive, x)}
        for backend, layout in product(("torch", "triton"), layouts):
            ways[f"{backend} {layout}"] = partial(_by, layouts[layout], backend)
        table[name] = {way: _error(way, sigma, x) for way, sigma in ways.items()}
    return table


def _error(way: str, sigma, x: torch.Tensor) -> float | str:
    def found() -> dict:
        true = x.double().var((0, 2, 3), correction=0).sqrt()
        return {"error": float(f"{float((sigma() / true - 1).abs().max()):.3g}")}

    tried = attempt(way, found)
    return tried["error"] if "error" in tried else tried["not_run"]


def _naive(x: torch.Tensor) -> torch.Tensor:
    """The formula not to use: E[x^2] - E[x]^2, a small difference of two large numbers; below 0 it is taken as 0."""
    variance = x.square().mean((0, 2, 3)) - x.mean((0, 2, 3)).square()
    return variance.clamp(min=0).double().sqrt()


def _by(x: torch.Tensor, backend: str) -> torch.Tensor:
    """What batch_norm takes for the standard deviation: with momentum 1 it is left in the running variance."""
    mean, var = torch.zeros(x.shape[1], device=x.device), torch.ones(x.shape[1], device=x.device)
    if backend == "torch":
        F.batch_norm(x, mean, var, training=True, momentum=1.0)
    else:
        batch_norm(x, mean, var, training=True, momentum=1.0, backend=backend)
    m = math.prod(x.shape) / x.shape[1]
    return (var.double() * (m - 1) / m).clamp(min=0).sqrt()
