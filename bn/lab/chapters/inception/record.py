"""The network of Figure 5 counted at full size, and a narrow one that takes a few steps."""

import json
from itertools import chain
from pathlib import Path

from bn.lab import paper, paths
from bn.lab.chapters.inception import counts
from bn.lab.chapters.inception.spec import Counted
from bn.lab.data import datasets
from bn.lab.store import claims, files, provenance, records
from bn.lab.train import inception, runs

NETWORKS = ("plain", "bn")


def record(spec: Counted) -> dict:
    """`rows` of the network as built, `totals` of every reading, the claims `measured`, and the `trials` by network."""
    rows, tried = counts.readings(), _tried(spec)
    results = {
        "rows": rows["figure 5 bn"],
        "totals": counts.totals(rows),
        "measured": counts.measure(rows),
        "trials": tried["trials"],
    }
    return records.finish("inception", spec, tried["metas"], results)


def _tried(spec: Counted) -> dict:
    """The steps of the narrow networks, kept like any run: the second language then shows the very same."""
    images, trials = datasets.load(spec.dataset), {}
    code = files.logic_digest(Path(module.__file__) for module in (paper, inception, counts))
    key = files.digest([spec.as_dict(), images.checksum, code, claims.rule_digests()])
    path = paths.runs() / spec.dataset / f"inception-{key}.json"
    if not path.exists():
        for name in NETWORKS:
            options = {"width": spec.width, "size": spec.pixels, "batch_norm": name == "bn"}
            trials[name] = [counts.trial(images.train, seed, spec.steps, **options) for seed in spec.seeds]
        seconds = [trial.pop("seconds") for trial in chain(*trials.values())]
        metas = [provenance.meta(images.checksum, runs.code_digest(), s) for s in seconds]
        files.write_atomically(path, json.dumps({"trials": trials, "metas": metas}).encode())
    return json.loads(path.read_text("utf-8"))
