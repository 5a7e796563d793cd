"""The identities of section 3, measured, and a small network whose statistics Algorithm 2 replaces."""

from bn.lab.chapters.algorithm import identities
from bn.lab.chapters.algorithm.spec import Algorithm
from bn.lab.store import records
from bn.lab.train import runs

RATE, WEIGHT_STD = 0.5, 0.1  # of the one network: it learns within the few steps of every scale but `smoke`


def record(spec: Algorithm) -> dict:
    """`measured`: every identity for each seed; `inference`: test accuracy by moving and by population statistics."""
    measured = identities.measure(spec.seeds, spec.m, spec.features, spec.eps)
    pairs = [(spec.setting("bn", spec.steps, RATE, WEIGHT_STD), seed) for seed in spec.seeds]
    trained = runs.run(pairs, "Algorithm 2")
    inference = {
        "moving": [float(trained[pair]["test"][-1]) for pair in pairs],
        "population": [float(trained[pair]["population"]) for pair in pairs],
    }
    metas = [run["meta"] for run in trained.values()]
    return records.finish("algorithm", spec, metas, {"measured": measured, "inference": inference})
