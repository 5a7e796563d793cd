"""The identities of section 3, measured: no network is trained for them."""

import time

from bn.lab import paths
from bn.lab.chapters.algorithm import identities
from bn.lab.chapters.algorithm.spec import Algorithm
from bn.lab.store import cache, code, files, provenance, records


def record(spec: Algorithm) -> dict:
    """`measured`: every identity for each seed."""
    identity = _identities(spec)
    return records.finish("algorithm", spec, [identity["meta"]], {"measured": identity["measured"]})


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
