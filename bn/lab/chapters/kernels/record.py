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
from bn.lab.chapters.kernels import cases, precision, step
from bn.lab.chapters.kernels.measure import BrokenDevice, attempt, measure
from bn.lab.chapters.kernels.spec import NO_CUDA, Kernels
from bn.lab.spec import ParameterError
from bn.lab.store import claims, files, provenance

PACKAGES = ("triton", "attorch", "jax", "flax", "torchvision")  # another version of one of them is another measurement
EXTRAS = ("precision", "graph", "step")  # the parts of a record beside its cases
_HERE = Path(__file__).parent
_CODE = sorted(_HERE.parents[2].glob("*.py"))  # those of bn, not of bn.lab; a change in any of these measures again
_CODE += [_HERE / f"{name}.py" for name in ("cases", "measure", "step", "precision")]


@dataclass(frozen=True)
class Work:
    """What is to be measured; `quick`: of the cases those in bfloat16 and of the large shapes only."""

    scale: str  # "smoke", "cpu" or "gpu"
    quick: bool = False
    steps: int | None = None  # of the two loss curves; None for the scale's own

    @property
    def device(self) -> str:
        """Of torch: "cuda" or "cpu"."""
        return "cuda" if self.scale == "gpu" else "cpu"

    def parts(self) -> dict[str, Callable[[], dict]]:
        """The pieces of work by name, those without which no target can be judged first."""
        parts = {"precision": lambda: precision.measured(interpreter=self.scale == "cpu")}
        if self.scale == "gpu":
            parts["graph"] = lambda: attempt("graph", step.graphs)
        if self.scale != "smoke":
            parts["step"] = lambda: attempt("step", lambda: step.training_step(self.scale, self.steps))
        for case in cases.plan(self.scale, self.quick):
            parts[case.name] = lambda case=case: measure(case, self.device, self.scale)
        return parts


def record(spec: Kernels) -> dict:
    """The record of notebook 11, measured now or found finished, and written to runs/records."""
    work = Work("gpu" if spec.scale == "paper" else spec.scale, steps=spec.steps)
    # Silent: a line of progress would stand in the book the first time and not the second.
    measured = run(work, report=lambda line: None)
    write(measured)
    return measured


def run(work: Work, minutes: float | None = None, report: Callable[[str], None] = print) -> dict:
    """Measure what is not measured yet, and return the record, whole or, after `minutes`, as far as it got.

    Raises ParameterError without the GPU that the scale needs, and BrokenDevice.
    """
    if work.device == "cuda" and not torch.cuda.is_available():
        raise ParameterError(NO_CUDA.format(scale=work.scale))
    begun, kept = time.monotonic(), _Kept(work)
    for name, part in work.parts().items():
        if name in kept.parts:
            continue
        if minutes is not None and time.monotonic() - begun > 60 * minutes:
            report(f"{minutes:g} minutes are over; the same command goes on from here.")
            break
        report(line(name, _measured(name, part, kept)))
    return _assembled(work, kept)


def _measured(name: str, part: Callable[[], dict], kept: "_Kept") -> dict:
    start = time.monotonic()
    try:
        result = part()
    except BrokenDevice as error:
        kept.add(name, {"not_run": str(error)[:200]}, 0)
        sentence = f"{name}: {error}. What is measured is kept; the same command goes on after it."
        raise BrokenDevice(sentence) from None
    kept.add(name, result, time.monotonic() - start)
    return result


class _Kept:
    """What is measured, in a file of its own for each device, set of versions and code; `rules` as in a record."""

    def __init__(self, work: Work):
        versions, devices = _versions(work.device), [provenance.device_name(work.device)]
        self.about = {"code": files.logic_digest(_CODE), "devices": devices, "versions": versions}
        self.path = paths.runs() / "kernels" / f"{work.scale}-{files.digest([self.about, work.steps])}.json"
        kept = json.loads(self.path.read_text("utf-8")) if self.path.exists() else {}
        self.parts, self.seconds = kept.get("parts", {}), kept.get("seconds", 0.0)
        self.finished, self.rules = kept.get("finished", ""), kept.get("rules", {})

    def add(self, name: str, result: dict, seconds: float) -> None:
        """Keep a result, at once."""
        now = {claim.id: claim.digest for claim in claims.of_chapter("kernels")}
        before = self.rules if self.parts else now
        # A rule that changed between two parts is none of the record's, so that its verdict is marked.
        self.rules = {rule: digest if before.get(rule) == digest else None for rule, digest in now.items()}
        self.parts[name], self.seconds = json.loads(json.dumps(result)), self.seconds + seconds
        self.finished = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        kept = {key: getattr(self, key) for key in ("parts", "seconds", "finished", "rules")}
        files.write_atomically(self.path, json.dumps(kept).encode())


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


def _assembled(work: Work, kept: _Kept) -> dict:
    """Everything that is measured so far, and where it comes from."""
    wanted = cases.plan(work.scale, work.quick)
    assembled = {
        "experiment": "kernels",
        "scale": work.scale,
        "dataset": "random tensors",
        "asked": asdict(work),
        "rules": kept.rules,
        "complete": not work.quick and all(name in kept.parts for name in work.parts()),
        "cases_planned": len(cases.plan(work.scale)),
        "l2_bytes": torch.cuda.get_device_properties(0).L2_cache_size if work.device == "cuda" else None,
        "provenance": {
            **provenance.source(),
            **kept.about,
            "threads": torch.get_num_threads(),
            "measuring_seconds": round(kept.seconds),
            "finished": kept.finished,
            "command": f"python -m bn.lab.chapters.kernels --scale {work.scale}{' --quick' if work.quick else ''}",
        },
        "cases": [case.as_dict() | kept.parts[case.name] for case in wanted if case.name in kept.parts],
        **{name: kept.parts.get(name, {"not_run": f"not part of scale {work.scale}"}) for name in EXTRAS},
    }
    return json.loads(json.dumps(assembled))  # the same types as a record read back


def line(name: str, result: dict) -> str:
    """What is printed as a part ends."""
    if "not_run" in result:
        return f"{name}: {result['not_run']}"
    if "candidates" not in result:
        return f"{name}: ratio {result['ratio'][0]:.2f}" if "ratio" in result else name
    candidates, ours = result["candidates"], result["candidates"]["bn"]
    rivals = {rival: candidates[rival].get("both", {}) for rival in ("eager", "compile") if rival in candidates}
    share = f"{ours['both']['of_copy'][0]:.2f} of a copy" if "both" in ours else ours["not_run"]
    ratios = [f"{rival} / bn {both.get('ratio', [math.nan])[0]:.2f}" for rival, both in rivals.items()]
    return f"{name}: {share}; {', '.join(ratios)}"


def write(record: dict, path: Path | None = None) -> Path:
    """Write a record, by default to runs/records, with a case a line: 150 cases stay readable, and small."""
    path = path or paths.runs() / "records" / f"kernels-{record['scale']}.json"
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in record["cases"])
    rest = json.dumps(record | {"cases": []}, ensure_ascii=False, indent=1)
    files.write_atomically(path, rest.replace('"cases": []', f'"cases": [\n{lines}\n]', 1).encode())
    return path
