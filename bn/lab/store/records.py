"""Records: what a question found, as a small dict of plain numbers with its provenance, kept as JSON.

`algorithm(ask)`, `activations(ask)` and `inception(ask)` answer notebooks 01, 03 and 07; `committed(name)` reads a
record of a larger run that is part of the book.
"""

import json
import math
import subprocess
from itertools import chain
from pathlib import Path

import numpy as np
import yaml

import bn
from bn.lab.judge import claims
from bn.lab.data import datasets as data
from bn.lab.chapters.algorithm import identities
from bn.lab.chapters.inception import counts as inception_counts
from bn.lab import paths
from bn.lab.train import runs
from bn.lab.train import inception as inception_network
from bn.lab.spec import Activations, Algorithm, Inception, Question
from bn.lab.train.replicas import PERCENTILES

NETWORKS = ("plain", "bn")
_EVERY = (1, 2, 5, 10, 20, 50)  # evaluations between two looks at a distribution
_START = 0.02  # of the training: where the drift of a distribution is measured from


def algorithm(ask: Algorithm) -> dict:
    """The identities of section 3, measured, and a small network whose statistics Algorithm 2 replaces."""
    measured = identities.measure(ask.seeds, ask.m, ask.features, ask.eps)
    pairs = [(ask.setting("bn", ask.steps, 0.5, 0.1), seed) for seed in ask.seeds]
    found = runs.run(pairs, "Algorithm 2")
    inference = {
        "moving": [float(found[pair]["test"][-1]) for pair in pairs],
        "population": [float(found[pair]["population"]) for pair in pairs],
    }
    return finish("algorithm", ask, list(found.values()), {"measured": measured, "inference": inference})


def activations(ask: Activations) -> dict:
    """Figure 1 at the asked setting, a grid of settings, and each network at the best of its grid."""
    at = (ask.learning_rate, ask.weight_std)
    asked = {name: ask.setting(name, ask.steps, *at) for name in NETWORKS}
    grid_steps = min(ask.steps, ask.size.grid_steps)
    # The grid is read at its end only, where ten evaluations out of forty are a quarter of the training.
    grid = {(n, cell): ask.setting(n, grid_steps, *cell, evaluations=40) for n in NETWORKS for cell in ask.cells()}
    grid_seeds = ask.seeds[: ask.size.grid_seeds]
    wanted = [(setting, seed) for setting in asked.values() for seed in ask.seeds]
    wanted += [(setting, seed) for setting in grid.values() for seed in grid_seeds]
    found = runs.run(wanted, "Figure 1 and grid")

    def finals(name: str, cell: tuple[float, float], split: str) -> list[float]:
        return [claims.final(found[grid[name, cell], seed][split]) for seed in grid_seeds]

    cells = ask.cells()
    best = {name: max(cells, key=lambda c: np.mean(finals(name, c, "validation"))) for name in NETWORKS}
    tuned = {name: ask.setting(name, ask.steps, *best[name]) for name in NETWORKS}
    found |= runs.run([(s, seed) for s in tuned.values() for seed in ask.seeds], "Each at its best")
    curves = {
        title: {name: _network(settings[name], ask, found) for name in NETWORKS}
        for title, settings in (("figure1", asked), ("tuned", tuned))
    }
    table = {
        "rates": list(ask.rates),
        "weight_stds": list(ask.weight_stds),
        "steps": grid_steps,
        "seeds": list(grid_seeds),
        **{name: [numbers(finals(name, cell, "test")) for cell in cells] for name in NETWORKS},
    }
    return finish("activations", ask, list(found.values()), curves | {"grid": table})


def inception(ask: Inception) -> dict:
    """The network of Figure 5 counted at full size, and a narrow one that takes a few steps."""
    rows, tried = inception_counts.readings(), _tried(ask)
    results = {
        "rows": rows["figure 5 bn"],
        "totals": inception_counts.totals(rows),
        "measured": inception_counts.measure(rows),
        "trials": tried["trials"],
    }
    return finish("inception", ask, tried["found"], results)


def _tried(ask: Inception) -> dict:
    """The steps of the narrow networks, kept like any run: the second language then shows the very same."""
    images, trials = data.load(ask.dataset), {}
    code = runs.logic_digest(Path(module.__file__) for module in (inception_network, inception_counts))
    key = runs.digest([ask.as_dict(), images.checksum, code, claims.rule_digests()])
    path = paths.runs() / ask.dataset / f"inception-{key}.json"
    if not path.exists():
        for name in NETWORKS:
            options = {"width": ask.width, "size": ask.pixels, "batch_norm": name == "bn"}
            trials[name] = [inception_counts.trial(images.train, seed, ask.steps, **options) for seed in ask.seeds]
        seconds = [trial.pop("seconds") for trial in chain(*trials.values())]
        tried = {"trials": trials, "found": [{"meta": _meta(images.checksum, s)} for s in seconds]}
        runs.write_atomically(path, json.dumps(tried).encode())
    return read(path)


def _network(setting, ask: Activations, found: dict) -> dict:
    """One network's curves over all seeds, and one unit of the last hidden layer followed in the first seed."""
    replicas = [found[setting, seed] for seed in ask.seeds]
    median = PERCENTILES.index(50)
    drifts = [_drift(replica["percentiles"]) for replica in replicas]
    unit = ask.unit if ask.unit is not None else _typical(drifts[0])
    start = int(np.searchsorted(replicas[0]["steps"], round(_START * setting.steps)))
    ends = [(r["mean"][start], r["mean"][-1], r["std"][start], r["std"][-1]) for r in replicas]
    return {
        "learning_rate": setting.learning_rate,
        "weight_std": setting.weight_std,
        "steps": replicas[0]["steps"].tolist(),
        "validation": [numbers(r["validation"]) for r in replicas],
        "test": [numbers(r["test"]) for r in replicas],
        "diverged": [None if r["finite"].all() else int(r["steps"][~r["finite"]][0]) for r in replicas],
        "unit": {"seed": ask.seeds[0], "index": unit},
        "unit_percentiles": _outer(replicas[0]["percentiles"][:, :, unit]),
        "pooled_percentiles": _outer(np.mean([r["pooled"] for r in replicas], axis=0)),
        "drift": [numbers(drift[:, median]) for drift in drifts],
        "drift_every": [every * setting.every for every in _EVERY],
        "drift_by_interval": [
            numbers([np.median(_drift(r["percentiles"], every)[:, median]) for every in _EVERY]) for r in replicas
        ],
        "mean_shift": [numbers(abs(m1 - m0) / np.maximum(s0, s1)) for m0, m1, s0, s1 in ends],
        "std_growth": [numbers(s1 / s0) for _, _, s0, s1 in ends],
    }


def _drift(percentiles: np.ndarray, every: int = 1) -> np.ndarray:
    """Of percentiles (E, 5, units): total variation over training / mean interquartile range, (units, 5).

    With `every` > 1, the variation between every so manieth evaluation: movement back and forth in between is
    not counted.
    """
    iqr = percentiles[:, PERCENTILES.index(75)] - percentiles[:, PERCENTILES.index(25)]
    return (abs(np.diff(percentiles[::every], axis=0)).sum(0) / iqr.mean(0)).T


def _typical(drift: np.ndarray) -> int:
    """The unit whose drift is nearest to the median over the layer: typical by a rule, not by choice."""
    of_median = drift[:, PERCENTILES.index(50)]
    return int(abs(of_median - np.median(of_median)).argmin())


def _outer(percentiles: np.ndarray) -> list[list[float]]:
    """The 15th, 50th and 85th percentile at each evaluation, (E, 3)."""
    return [numbers(row) for row in percentiles[:, [PERCENTILES.index(p) for p in (15, 50, 85)]]]


def numbers(values) -> list[float | None]:
    """Plain numbers with five significant digits; what is not finite becomes None, as JSON has no NaN."""
    return [float(f"{v:.5g}") if math.isfinite(v) else None for v in np.asarray(values, float)]


def finish(experiment: str, ask: Question, found: list[dict], results: dict) -> dict:
    """Add the provenance and write the record to runs/records/."""
    metas = [run["meta"] for run in found]
    record = {
        "experiment": experiment,
        "scale": ask.scale,
        "dataset": ask.dataset,
        "papers_own_size": ask.papers_own_size,
        "asked": ask.as_dict(),
        "rules": _rules(metas),
        "provenance": _provenance(experiment, ask, metas),
        **results,
    }
    record = json.loads(json.dumps(record))  # the same types as a record read back
    write(record)
    return record


def write(record: dict) -> Path:
    """Write a record to runs/records/, and return its file."""
    path = paths.runs() / "records" / "{experiment}-{scale}-{dataset}.json".format(**record)
    runs.write_atomically(path, json.dumps(record, ensure_ascii=False, indent=1).encode())
    return path


def _meta(checksum: str, seconds: float) -> dict:
    """What `finish` wants to know of a training that is too short to be kept as a run."""
    return {
        "rules": claims.rule_digests(),
        "code": runs.code_digest(),
        "data_sha256": checksum,
        "compiled": False,
        "trained_together": 1,
        "training_seconds": seconds,
        **runs.surroundings("cpu"),
    }


def _rules(metas: list[dict]) -> dict[str, str]:
    """The digest of each rule as the runs knew it; where they differ, none, so that the ledger marks it."""
    digests = {}
    for name in claims.ledger():
        known = {meta["rules"].get(name) for meta in metas}
        digests[name] = known.pop() if len(known) == 1 else None
    return digests


def source() -> dict:
    """Which version of this repository: its number, commit, and whether there were changes on top of it."""
    return {
        "version": bn.__version__,
        "commit": _git("rev-parse", "--short=10", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def _provenance(experiment: str, ask: Question, metas: list[dict]) -> dict:
    """Where the numbers come from, and the command that makes them again."""
    return {
        **source(),
        "code": metas[0]["code"],
        "data_sha256": metas[0]["data_sha256"],
        "devices": sorted({meta["device"] for meta in metas}),
        "versions": metas[0]["versions"],
        "compiled": sorted({meta["compiled"] for meta in metas}),
        "seeds": list(ask.seeds),
        "runs": len(metas),
        "training_seconds": round(_wall_seconds(metas)),
        "finished": max(meta["finished"] for meta in metas),
        "command": _command(experiment, ask),
    }


def _wall_seconds(metas: list[dict]) -> float:
    """Seconds of one core: the runs of a group share theirs."""
    return sum(meta["training_seconds"] / meta["trained_together"] for meta in metas)


def _command(experiment: str, ask: Question) -> str:
    (notebook,) = (path.stem for path in sorted((paths.ROOT / "notebooks").glob(f"??_{experiment}.ipynb")))
    usual = type(ask)(scale=ask.scale, dataset=ask.dataset).as_dict()
    changed = {name: value for name, value in ask.as_dict().items() if value != usual[name]}
    asked = {"scale": ask.scale, "dataset": ask.dataset} | changed
    options = " ".join(f"-y '{_yaml(name, value)}'" for name, value in asked.items())
    return f"papermill notebooks/{notebook}.ipynb out.ipynb {options}"


def _yaml(name: str, value: object) -> str:
    return yaml.safe_dump({name: value}, default_flow_style=True, width=math.inf).strip()


def _git(*arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(paths.ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def committed(name: str) -> dict:
    """A record that is part of the book, such as `activations/paper`."""
    return read(paths.RECORDS / f"{name}.json")


def read(path: Path) -> dict:
    """A record from its file."""
    return json.loads(path.read_text("utf-8"))
