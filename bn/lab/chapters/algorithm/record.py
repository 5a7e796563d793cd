"""The identities of section 3, measured: no network is trained for them."""

from bn.lab.chapters.algorithm import identities
from bn.lab.chapters.algorithm.spec import Algorithm
from bn.lab.store import measurements, records


def record(spec: Algorithm) -> dict:
    """`measured`: every identity for each seed."""
    question = [list(spec.seeds), spec.m, spec.features, spec.eps]
    kept = measurements.once(
        "identities",
        identities.__name__,
        question,
        lambda: identities.measure(spec.seeds, spec.m, spec.features, spec.eps),
    )
    return records.finish("algorithm", spec, [kept["meta"]], {"measured": kept["measured"]})
