"""Records: what an experiment found, as a small dict of plain numbers with its provenance, kept as JSON."""

import json
import math
from pathlib import Path

import numpy as np
import yaml

from bn.lab import paths, registry
from bn.lab.spec import SCALES, Spec
from bn.lab.store import claims, files, provenance

_COMMON = {"experiment", "scale", "dataset", "asked", "rules", "provenance"}  # what every record holds


def finish(experiment: str, spec: Spec, metas: list[dict], results: dict) -> dict:
    """Add to the results where they come from, `metas` being that of each run, and write the record to runs/records."""
    record = {
        "experiment": experiment,
        "scale": spec.scale,
        "dataset": spec.dataset,
        "papers_own_size": spec.papers_own_size,
        "asked": spec.as_dict(),
        "rules": _rules(metas),
        "provenance": _provenance(experiment, spec, metas),
        **results,
    }
    record = json.loads(json.dumps(record))  # the same types as a record read back
    write(record)
    return record


def write(record: dict) -> Path:
    """Write a record to runs/records/, and return its file."""
    path = paths.runs() / "records" / "{experiment}-{scale}-{dataset}.json".format(**record)
    files.write_atomically(path, json.dumps(record, ensure_ascii=False, indent=1).encode())
    return path


class RecordError(ValueError):
    """A record's file is not in order; the message names the file and what is wrong."""


def read(path: Path) -> dict:
    """A record from its file. Raises RecordError."""
    try:
        record = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"the record {path} is damaged: {error}") from None
    if missing := sorted(_COMMON - set(record if isinstance(record, dict) else ())):
        raise RecordError(f"the record {path} has no {', '.join(missing)}")
    return record


def deciding(experiment: str) -> dict | None:
    """The record that decides the claims of an experiment: the committed one of the largest scale, if there is any."""
    candidates = [paths.RECORDS / experiment / f"{scale}.json" for scale in reversed(SCALES) if scale != "smoke"]
    return next((read(path) for path in candidates if path.exists()), None)


def carried(code: str) -> dict | None:
    """What book/records/carried.yml says of the digest of earlier code that computes the same as today's, if it does.

    `now`: today's digest; `commit`: the change between the two; `why`: how it is known that both compute the same.
    """
    path = paths.RECORDS / "carried.yml"
    return (yaml.safe_load(path.read_text("utf-8")) or {}).get(code) if path.exists() else None


def numbers(values) -> list[float | None]:
    """Plain numbers with five significant digits; what is not finite becomes None, as JSON has no NaN."""
    return [float(f"{v:.5g}") if math.isfinite(v) else None for v in np.asarray(values, float)]


def _rules(metas: list[dict]) -> dict[str, str]:
    """The digest of each rule as the runs knew it; where they differ, none, so that the ledger marks it."""
    digests = {}
    for name in claims.ledger():
        known = {meta["rules"].get(name) for meta in metas}
        digests[name] = known.pop() if len(known) == 1 else None
    return digests


def _provenance(experiment: str, spec: Spec, metas: list[dict]) -> dict:
    """Where the numbers come from, and the command that makes them again."""
    return {
        **provenance.source(),
        "code": metas[0]["code"],
        "data_sha256": metas[0]["data_sha256"],
        "devices": sorted({meta["device"] for meta in metas}),
        "versions": metas[0]["versions"],
        "compiled": sorted({meta["compiled"] for meta in metas}),
        "seeds": list(spec.seeds),
        "runs": len(metas),
        "training_seconds": round(_core_seconds(metas)),
        "finished": max(meta["finished"] for meta in metas),
        "command": command(experiment, spec),
    }


def _core_seconds(metas: list[dict]) -> float:
    """Seconds of one core: the runs of a group share theirs."""
    return sum(meta["training_seconds"] / meta["trained_together"] for meta in metas)


def command(experiment: str, spec: Spec) -> str:
    """The papermill command that asks the same again, with every parameter that is not the scale's own."""
    usual = type(spec)(scale=spec.scale, dataset=spec.dataset).as_dict()
    changed = {name: value for name, value in spec.as_dict().items() if value != usual[name]}
    asked = {"scale": spec.scale, "dataset": spec.dataset} | changed
    options = " ".join(f"-y '{_yaml(name, value)}'" for name, value in asked.items())
    return f"papermill notebooks/{registry.notebook(experiment).name} out.ipynb {options}"


def _yaml(name: str, value: object) -> str:
    return yaml.safe_dump({name: value}, default_flow_style=True, width=math.inf).strip()
