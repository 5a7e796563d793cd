"""Records: what an experiment found, as a small dict of plain numbers with its provenance, kept as JSON."""

import hashlib
import json
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml

from bn.lab import paths, registry
from bn.lab.spec import SCALES, Spec
from bn.lab.store import claims, files, workers

_COMMON = {"experiment", "scale", "dataset", "asked", "rules", "provenance"}  # what every record holds


def finish(experiment: str, spec: Spec, metas: list[dict], results: dict, computed: Sequence[dict] = ()) -> dict:
    """Add to the results where they come from, and write the record to runs/records.

    `metas` is that of each run, `computed` of what was computed without a training.
    """
    record = {
        "experiment": experiment,
        "scale": spec.scale,
        "dataset": spec.dataset,
        "papers_own_size": spec.papers_own_size,
        "asked": spec.as_dict(),
        "rules": rules([*metas, *computed]),
        "provenance": _provenance(experiment, spec, metas, computed),
        **results,
    }
    record = sealed(record)
    write(record)
    return record


def sealed(record: dict) -> dict:
    """A record as it is read back, with the SHA-256 of all else that it holds as `sha256`."""
    record = json.loads(json.dumps(record))  # the same types as a record read back
    return record | {"sha256": _sha256(record)}


def _sha256(record: dict) -> str:
    content = {name: value for name, value in record.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write(record: dict, path: Path | None = None) -> Path:
    """Write a record, by default to runs/records under a name that says its question, and return its file."""
    path = path or run_record(record["experiment"], record["scale"], record["dataset"], record["asked"])
    with workers.lock(path.stem):  # or one process would clear away what another has half written
        files.clear_parts(path)
        files.write_atomically(path, json.dumps(record, ensure_ascii=False, indent=1).encode())
    return path


def run_record(experiment: str, scale: str, dataset: str, asked: dict) -> Path:
    """The file in runs/records of one question: fewer seeds or steps are another, and take the place of no more."""
    return paths.runs() / "records" / f"{experiment}-{scale}-{dataset}-{files.digest(asked)[:8]}.json"


class RecordError(ValueError):
    """A record's file is not in order; the message names the file and what is wrong."""


def read(path: Path) -> dict:
    """A record from its file. Raises RecordError."""
    try:
        text = path.read_text("utf-8")
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"the record {path} is damaged: {error}") from None
    if missing := sorted((_COMMON | {"sha256"}) - set(record if isinstance(record, dict) else ())):
        raise RecordError(f"the record {path} has no {', '.join(missing)}")
    if record["sha256"] != _sha256_of_text(text):
        raise RecordError(f"the record {path} is damaged, or was changed by hand: its sha256 is not that of the rest")
    return record


@lru_cache(maxsize=32)  # a page asks for the record of its chapter at each figure
def _sha256_of_text(text: str) -> str:
    return _sha256(json.loads(text))


def deciding(experiment: str) -> dict | None:
    """The record that decides the claims of an experiment: the committed one of the largest scale, if there is any."""
    path = deciding_file(experiment)
    if path is None:
        return None
    record = read(path)
    if (record["experiment"], record["scale"]) != (experiment, path.stem):
        raise RecordError(f"{path} holds the record of {record['experiment']} at scale {record['scale']}")
    return record


def deciding_file(experiment: str) -> Path | None:
    """Where that record is."""
    candidates = (paths.RECORDS / experiment / f"{scale}.json" for scale in reversed(SCALES) if scale != "smoke")
    return next((path for path in candidates if path.exists()), None)


def carried(code: str) -> dict | None:
    """What book/records/carried.yml says of the digest of earlier code, or of an earlier rule, that computes the same.

    `now`: today's digest; `commit`: the change between the two; `bytes`: whether both compute the same to the last
    byte, or the same but for rounding and random numbers, or None: another thing, which has not been measured; `why`:
    how that is known.
    """
    path = paths.RECORDS / "carried.yml"
    try:
        entry = (_yaml_of_text(path.read_text("utf-8")) or {}).get(code) if path.exists() else None
        return entry and {name: entry[name] for name in ("now", "commit", "bytes", "why")}
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError, KeyError) as error:
        raise RecordError(f"{path} is not in order: {type(error).__name__}: {error}") from None


@lru_cache(maxsize=1)  # asked at each verdict
def _yaml_of_text(text: str) -> object:
    return yaml.safe_load(text)


def later(digest: str) -> str:
    """Today's digest of a rule that computes the same as that of this digest; of any other, this."""
    same = carried(digest)
    return same["now"] if same and same["bytes"] is not None else digest


def numbers(values) -> list[float | None]:
    """Plain numbers with five significant digits; what is not finite becomes None, as JSON has no NaN."""
    return [float(f"{v:.5g}") if math.isfinite(v) else None for v in np.asarray(values, float)]


def rules(metas: Sequence[dict]) -> dict[str, str]:
    """The digest of each rule as the runs knew it; where they differ, none, so that the ledger marks it.

    Runs from before and after a change that is carried over do not differ: they have the later digest.
    """
    digests = {}
    for name in claims.ledger():
        known = {meta["rules"].get(name) for meta in metas}
        if len(known) > 1:
            known = {digest and later(digest) for digest in known}
        digests[name] = known.pop() if len(known) == 1 else None
    return digests


def _provenance(experiment: str, spec: Spec, metas: Sequence[dict], computed: Sequence[dict]) -> dict:
    """Where the numbers come from, and the command that makes them again."""
    return {
        **source((*metas, *computed)),
        "code": ", ".join(sorted({meta["code"] for meta in (*metas, *computed)})),
        "data_sha256": metas[0]["data_sha256"],
        "devices": sorted({meta["device"] for meta in (*metas, *computed)}),
        "versions": _versions([meta["versions"] for meta in (*metas, *computed)]),
        "compiled": sorted({meta["compiled"] for meta in metas}),
        "seeds": list(spec.seeds),
        "runs": len(metas),
        "training_seconds": round(_training_seconds(metas)),
        "finished": max(meta["finished"] for meta in metas),
        "command": command(experiment, spec),
    }


def source(metas: Sequence[dict]) -> dict:
    """Of which commits the files were at the beginning, and whether they were changed: None if that is unknown."""
    sources = [meta["source"] for meta in metas]
    changed = {found["dirty"] for found in sources}
    return {
        "version": ", ".join(sorted({found["version"] for found in sources})),
        "commit": ", ".join(sorted({found["commit"] for found in sources})),
        "dirty": True if True in changed else None if None in changed else False,
    }


def _versions(found: Sequence[dict]) -> dict[str, str]:
    """Of each library the versions, several where runs were made before an update and after it."""
    names = dict.fromkeys(name for versions in found for name in versions)
    return {name: ", ".join(sorted({v[name] for v in found if name in v})) for name in names}


def _training_seconds(metas: Sequence[dict]) -> float:
    """Seconds by the clock that the runs were trained for, all together: those of a group share theirs."""
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
