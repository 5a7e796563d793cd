"""The kernel benchmark: every case, the CUDA graph, the training step; kept as it goes, then one record.

What is finished is kept in runs/kernels, so that a second call goes on where the first ended. How it is measured is
said in `bn.lab.chapters.kernels.measure`; `python -m bn.lab.chapters.kernels` does it without a notebook.
"""

import json
import math
import platform
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from bn.lab import paths
from bn.lab.chapters.kernels import cases, measure, plan, precision, step
from bn.lab.chapters.kernels.measure import BrokenDevice
from bn.lab.chapters.kernels.spec import NO_CUDA, Kernels
from bn.lab.spec import ParameterError
from bn.lab.store import cache, code, files, provenance, records

PACKAGES = ("triton", "attorch", "jax", "flax", "torchvision")  # another version of one of them is another measurement
# The parts of a record beside its cases, and the seconds that an H100 takes for each, estimated.
EXTRAS = {"precision": 5, "graph": 10, "step": 30, "inception": 30, "inception_graph": 30, "inception_compiled": 120}


@dataclass(frozen=True)
class Work:
    """What is to be measured; `quick`: on a GPU of the cases those alone that decide the targets."""

    scale: str  # "smoke", "cpu" or "gpu"
    quick: bool = False
    steps: int | None = None  # of the two loss curves; None for the scale's own

    @property
    def device(self) -> str:
        """Of torch: "cuda" or "cpu"."""
        return "cuda" if self.scale == "gpu" else "cpu"

    def parts(self) -> dict[str, Callable[[], dict]]:
        """The pieces of work by name, those that decide the targets first."""
        parts = {"precision": lambda: precision.measured(interpreter=self.scale == "cpu")}
        if self.scale == "gpu":
            parts["graph"] = lambda: measure.attempt("graph", step.graphs)
            parts |= {case.name: self._case(case) for case in plan.DECISIVE}
        if self.scale != "smoke":
            parts["step"] = self._step("step", "GoogLeNet")
        if self.scale == "gpu":
            parts["inception"] = self._step("inception", "Inception")
            parts["inception_graph"] = self._step("inception_graph", "Inception", "graph")
            parts["inception_compiled"] = self._step("inception_compiled", "Inception", "compiled")
        return parts | {case.name: self._case(case) for case in plan.plan(self.scale, self.quick)}

    def _case(self, case: cases.Case) -> Callable[[], dict]:
        return lambda: measure.measure(case, self.device, self.scale)

    def _step(self, name: str, network: str, way: str = "eager") -> Callable[[], dict]:
        return lambda: measure.attempt(name, lambda: step.training_step(network, self.scale, self.steps, way))

    def seconds(self) -> dict[str, float]:
        """About how long an H100 takes for each part."""
        return EXTRAS | {case.name: plan.seconds(case) for case in plan.plan(self.scale, self.quick)}


def record(spec: Kernels) -> dict:
    """The record of notebook 11, measured now or found finished, and written to runs/records."""
    work = Work("gpu" if spec.scale == "paper" else spec.scale, steps=spec.steps)
    # Silent: a line of progress would stand in the book the first time and not the second.
    measured = run(work, report=lambda line: None)
    write(measured)
    return measured


def run(
    work: Work,
    minutes: float | None = None,
    report: Callable[[str], None] = print,
    keep: Callable[[dict], object] = lambda record: None,
) -> dict:
    """Measure what is not measured yet, and return the record, whole or as far as it got in so many `minutes`.

    No part is begun that would not end in time, by `Work.seconds` and by how much longer the parts before it took than
    that. `keep` is called with the record after each part, in case that nothing comes after it. Raises ParameterError
    without the GPU that the scale needs, and BrokenDevice.
    """
    if work.device == "cuda" and not torch.cuda.is_available():
        raise ParameterError(NO_CUDA.format(scale=work.scale))
    begun, about, expected = time.monotonic(), _about(work.device), work.seconds()
    files_of = {name: _file(work, about, name) for name in work.parts()}
    kept = {name: part for name, path in files_of.items() if (part := cache.present(path, files.read_json)) is not None}
    over, taken = [], {}
    for name, part in work.parts().items():
        if name in kept:
            continue
        pace = max(1, sum(taken.values()) / sum(expected[other] for other in taken)) if taken else 1
        if minutes is not None and time.monotonic() - begun + pace * expected[name] > 60 * minutes:
            over.append(name)
            continue
        kept[name], lost = _measured(part, files_of[name])
        taken[name] = kept[name]["seconds"]
        report(line(name, kept[name]["result"]))
        keep(_assembled(work, about, kept))
        if lost:
            sentence = f"{name}: {lost}. What is measured is kept; the same command goes on after it."
            raise BrokenDevice(sentence, lost.by)
    if over:
        report(f"Parts that do not fit into {minutes:g} minutes: {len(over)}. The same command goes on from here.")
    return _assembled(work, about, kept)


def _measured(part: Callable[[], dict], path: Path) -> tuple[dict, BrokenDevice | None]:
    """One part, kept at once; one that breaks the device is kept as not run, with what was at work, and the error."""
    broken = []

    def make() -> dict:
        start, origin = time.monotonic(), provenance.origin()
        try:
            result = part()
        except BrokenDevice as error:
            broken.append(error)
            result = {"not_run": str(error)[:200], "broken_by": error.by}
        return origin | {"result": result, "seconds": time.monotonic() - start, "finished": provenance.now()}

    return cache.once(path, make), next(iter(broken), None)


def _about(device: str) -> dict:
    """What a measurement is valid for: the code of the kernels and of the benchmark, the device, the versions."""
    measuring = (cases, measure, precision, step)
    made_by = code.digest(*(module.__name__ for module in measuring), kernels=True)
    return {"code": made_by, "devices": [provenance.device_name(device)], "versions": _versions(device)}


def _file(work: Work, about: dict, name: str) -> Path:
    folder = paths.runs() / "kernels" / f"{work.scale}-{files.digest([about, work.steps])}"
    return folder / f"{name.replace(' ', '-')}.json"


def _versions(device: str) -> dict[str, str]:
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions | ({"cuda": torch.version.cuda, "driver": _driver()} if device == "cuda" else {})


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _assembled(work: Work, about: dict, kept: dict[str, dict]) -> dict:
    """Everything that is measured so far, and where it comes from."""
    wanted = [case for case in plan.plan(work.scale, work.quick) if case.name in kept]
    results = {name: part["result"] for name, part in kept.items()}
    assembled = {
        "experiment": "kernels",
        "scale": work.scale,
        "dataset": "random tensors",
        "asked": asdict(work),
        "rules": records.rules(list(kept.values())),
        "complete": not work.quick and set(kept) == set(work.parts()),
        "cases_planned": len(plan.plan(work.scale)),
        "l2_bytes": torch.cuda.get_device_properties(0).L2_cache_size if work.device == "cuda" else None,
        "provenance": {
            **records.source(list(kept.values())),
            **about,
            "threads": torch.get_num_threads(),
            "measuring_seconds": round(sum(part["seconds"] for part in kept.values())),
            "finished": max((part["finished"] for part in kept.values()), default=""),
            "command": f"python -m bn.lab.chapters.kernels --scale {work.scale}{' --quick' if work.quick else ''}",
        },
        "cases": [case.as_dict() | results[case.name] for case in wanted],
        **{name: results.get(name, {"not_run": f"not part of scale {work.scale}"}) for name in EXTRAS},
    }
    return records.sealed(assembled)


def line(name: str, result: dict) -> str:
    """What is printed as a part ends."""
    if "not_run" in result:
        return f"{name}: {result['not_run']}"
    if "candidates" not in result:
        return f"{name}: ratio {result['ratio'][0]:.2f}" if "ratio" in result else name
    candidates, ours = result["candidates"], result["candidates"]["bn"]
    part = "both" if "both" in ours else "forward"
    rivals = {rival: candidates[rival].get(part, {}) for rival in ("eager", *cases.MODES) if rival in candidates}
    share = f"{ours[part]['of_copy'][0]:.2f} of a copy" if part in ours else ours["not_run"]
    ratios = [f"{rival} / bn {timed.get('ratio', [math.nan])[0]:.2f}" for rival, timed in rivals.items()]
    return f"{name}: {share}; {', '.join(ratios)}"


def write(record: dict, path: Path | None = None) -> Path:
    """Write a record, by default to runs/records, with a case a line: 150 cases stay readable, and small."""
    path = path or records.run_record("kernels", record["scale"], "tensors", record["asked"])
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in record["cases"])
    rest = json.dumps(record | {"cases": []}, ensure_ascii=False, indent=1)
    files.write_atomically(path, rest.replace('"cases": []', f'"cases": [\n{lines}\n]', 1).encode())
    return path
