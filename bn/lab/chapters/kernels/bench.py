"""The kernel benchmark: every case, the CUDA graph, the training step; kept as it goes, then one record.

`python -m bn.lab.chapters.kernels.bench` measures at scale `gpu` where there is CUDA and writes book/records/kernels/gpu.json,
else at scale `cpu`. How is said in `bn.lab.chapters.kernels.measure`. What is finished is kept in runs/kernels, so that a
second call goes on where the first ended.
"""

import argparse
import json
import platform
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from bn.lab.chapters.kernels import cases as kernel_cases
from bn.lab.chapters.kernels import precision as kernel_precision
from bn.lab.chapters.kernels import step as kernel_step
from bn.lab.chapters.kernels import targets as kernel_targets
from bn.lab import paths
from bn.lab.store import records
from bn.lab.train import runs
from bn.lab.spec import NO_CUDA, Kernels, ParameterError
from bn.lab.chapters.kernels.measure import BrokenDevice, attempt, measure

SCALES = ("smoke", "cpu", "gpu")
PACKAGES = ("triton", "attorch", "jax", "flax", "torchvision")
RECORD = paths.RECORDS / "kernels" / "gpu.json"
_HERE = Path(__file__).parent
_CODE = sorted(_HERE.parents[2].glob("*.py"))
_CODE += [_HERE / f"{name}.py" for name in ("cases", "measure", "step", "precision")]


def answer(ask: Kernels) -> dict:
    """The record of notebook 11, measured now or found finished."""
    scale = "gpu" if ask.scale == "paper" else ask.scale
    # Silent: a line of progress would stand in the book the first time and not the second.
    record = run(scale, steps=ask.steps, report=lambda sentence: None)
    path = paths.runs() / "records" / f"kernels-{scale}.json"
    runs.write_atomically(path, _text(record))
    return record


def committed() -> dict | None:
    """The record of the GPU benchmark that is part of the book, if there is one."""
    return records.read(RECORD) if RECORD.exists() else None


def run(scale: str, quick: bool = False, steps: int | None = None, minutes: float | None = None, report=print) -> dict:
    """Measure what is not measured yet, and return the record, whole or, after `minutes`, as far as it got."""
    if scale == "gpu" and not torch.cuda.is_available():
        raise ParameterError(NO_CUDA.format(scale=scale))
    device = "cuda" if scale == "gpu" else "cpu"
    begun, kept = time.monotonic(), _Kept(scale, device, steps)
    for name, work in _parts(scale, device, quick, steps).items():
        if name in kept.parts:
            continue
        if minutes is not None and time.monotonic() - begun > 60 * minutes:
            report(f"{minutes:g} minutes are over; the same command goes on from here.")
            break
        start = time.monotonic()
        try:
            result = work()
        except BrokenDevice as error:
            kept.add(name, {"not_run": str(error)[:200]}, 0)
            raise SystemExit(f"{name}: {error}. What is measured is kept; the same command goes on after it.") from None
        kept.add(name, result, time.monotonic() - start)
        report(line(name, result))
    return _record(scale, quick, steps, kept, device)


def _parts(scale: str, device: str, quick: bool, steps: int | None) -> dict[str, Callable[[], dict]]:
    """The pieces of work by name, those without which no target can be judged first."""
    parts = {"precision": lambda: kernel_precision.measured(interpreter=scale == "cpu")}
    if scale == "gpu":
        parts["graph"] = lambda: attempt("graph", kernel_step.graphs)
    if scale != "smoke":
        parts["step"] = lambda: attempt("step", lambda: kernel_step.training_step(scale, steps))
    for case in kernel_cases.plan(scale, quick):
        parts[case.name] = lambda case=case: measure(case, device, scale)
    return parts


class _Kept:
    """What is measured, in a file of its own for each device, set of versions and code."""

    def __init__(self, scale: str, device: str, steps: int | None):
        self.devices = [runs.device_name(device)]
        self.versions = {"python": platform.python_version(), "torch": torch.__version__, **_versions()}
        if device == "cuda":
            self.versions |= {"cuda": torch.version.cuda, "driver": _driver()}
        self.code = runs.logic_digest(_CODE)
        key = runs.digest([self.devices, self.versions, self.code, steps])
        self.path = paths.runs() / "kernels" / f"{scale}-{key}.json"
        kept = json.loads(self.path.read_text("utf-8")) if self.path.exists() else {}
        self.parts, self.seconds = kept.get("parts", {}), kept.get("seconds", 0.0)
        self.finished = kept.get("finished", "")

    def add(self, name: str, result: dict, seconds: float) -> None:
        """Keep a result, at once."""
        self.parts[name], self.seconds = json.loads(json.dumps(result)), self.seconds + seconds
        self.finished = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        kept = {"parts": self.parts, "seconds": self.seconds, "finished": self.finished}
        runs.write_atomically(self.path, json.dumps(kept).encode())


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _record(scale: str, quick: bool, steps: int | None, kept: _Kept, device: str) -> dict:
    """Everything that is measured so far, the targets judged by it, and where it comes from."""
    wanted = kernel_cases.plan(scale, quick)
    cases = [kept.parts[case.name] for case in wanted if case.name in kept.parts]
    cuda = device == "cuda"
    record = {
        "experiment": "kernels",
        "scale": scale,
        "dataset": "random tensors",
        "asked": {"scale": scale, "quick": quick, "steps": steps},
        "complete": all(name in kept.parts for name in _parts(scale, device, quick, steps)),
        "cases_planned": len(wanted),
        "l2_bytes": torch.cuda.get_device_properties(0).L2_cache_size if cuda else None,
        "provenance": {
            **records.source(),
            "code": kept.code,
            "devices": kept.devices,
            "threads": torch.get_num_threads(),
            "versions": kept.versions,
            "measuring_seconds": round(kept.seconds),
            "finished": kept.finished,
            "command": f"python -m bn.lab.chapters.kernels.bench --scale {scale}{' --quick' if quick else ''}",
        },
        "cases": cases,
        **{name: kept.parts.get(name, {"not_run": f"not part of scale {scale}"}) for name in EXTRAS},
    }
    record["targets"] = kernel_targets.judge(record)
    return json.loads(json.dumps(record))


EXTRAS = ("precision", "graph", "step")


def line(name: str, result: dict) -> str:
    """What is printed as a part ends."""
    if "not_run" in result:
        return f"{name}: {result['not_run']}"
    if "candidates" not in result:
        return f"{name}: ratio {result['ratio'][0]:.2f}" if "ratio" in result else name
    found = {
        other: result["candidates"][other].get("both", {}).get("ratio", [float("nan")])[0]
        for other in ("eager", "compile")
        if other in result["candidates"]
    }
    ours = result["candidates"]["bn"]
    said = f"{ours['both']['of_copy'][0]:.2f} of a copy" if "both" in ours else ours["not_run"]
    return f"{name}: {said}; " + ", ".join(f"{other} / bn {value:.2f}" for other, value in found.items())


def _text(record: dict) -> bytes:
    """JSON with a case a line: a hundred and fifty cases stay readable, and small."""
    cases = ",\n".join(json.dumps(case, ensure_ascii=False) for case in record["cases"])
    rest = json.dumps(record | {"cases": []}, ensure_ascii=False, indent=1)
    return rest.replace('"cases": []', f'"cases": [\n{cases}\n]', 1).encode()


def main() -> None:
    """Measure the kernels, print a line a case and the targets, and write the record."""
    parser = argparse.ArgumentParser(description=main.__doc__, prog="python -m bn.lab.chapters.kernels.bench")
    usual = "gpu" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--scale", choices=SCALES, default=usual, help=f"here by default {usual}")
    parser.add_argument("--quick", action="store_true", help="on a GPU: bfloat16 and the seven large shapes only")
    parser.add_argument("--minutes", type=float, help="stop between two cases after so long")
    parser.add_argument("--out", type=Path, help="where the record goes; at scale gpu book/records/kernels/gpu.json")
    options = parser.parse_args()
    if options.minutes is not None and not options.minutes > 0:
        parser.error(f"--minutes must be more than 0, but it is {options.minutes:g}")
    try:
        record = run(options.scale, options.quick, None, options.minutes, lambda said: print(said, flush=True))
    except ParameterError as error:
        parser.exit(2, f"{error}\n")
    for target in record["targets"]:
        print(kernel_targets.sentence(target))
    out = options.out or (
        RECORD if options.scale == "gpu" else paths.runs() / "records" / f"kernels-{options.scale}.json"
    )
    runs.write_atomically(out, _text(record))
    print(f"{len(record['cases'])} of {record['cases_planned']} cases are in {out}")


if __name__ == "__main__":
    main()
