"""The identities of section 3, measured, and a small network whose statistics Algorithm 2 replaces."""

import time

from bn.lab import paths
from bn.lab.chapters.algorithm import identities
from bn.lab.chapters.algorithm.spec import Algorithm
from bn.lab.store import cache, code, files, provenance, records
from bn.lab.train import runs

RATE, WEIGHT_STD = 0.5, 0.1  # of the one network: it learns within the few steps of every scale but `smoke`


def record(spec: Algorithm) -> dict:
    """`measured`: every identity for each seed; `inference`: test accuracy by moving and by population statistics."""
    pairs = [(spec.setting("bn", spec.steps, RATE, WEIGHT_STD), seed) for seed in spec.seeds]
    identity, trained = _identities(spec), runs.run(pairs, "Algorithm 2")
    inference = {
        "moving": [float(trained[pair]["test"][-1]) for pair in pairs],
        "population": [float(trained[pair]["population"]) for pair in pairs],
    }
    metas = [run["meta"] for run in trained.values()]
    results = {"measured": identity["measured"], "inference": inference}
    return records.finish("algorithm", spec, metas, results, computed=[identity["meta"]])


def _identities(spec: Algorithm) -> dict:
    """What is measured without a training, kept like any run."""
    made_by = code.digest(identities.__name__, kernels=True)
    key = files.digest([list(spec.seeds), spec.m, spec.features, spec.eps, made_by])

    def make() -> dict:
        origin, begun = provenance.origin(), time.perf_counter()
        measured = identities.measure(spec.seeds, spec.m, spec.features, spec.eps)
        meta = provenance.meta(origin, "", made_by, time.perf_counter() - begun)
        return {"measured": measured, "meta": meta}

    return cache.once(paths.runs() / "identities" / f"{key}.json", make)
