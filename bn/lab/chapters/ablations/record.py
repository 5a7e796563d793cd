"""Each of the seven changes of section 4.2.1: alone on BN-Baseline, and left out of BN-x5."""

from bn.lab.store import records
from bn.lab.train import recipes, sweep
from bn.lab.train.specs import ImageSpec


def record(spec: ImageSpec) -> dict:
    """`networks` for comparison, `alone`, `left_out` and `plain`: curves; `sweep`."""
    rates, trained = sweep.sweep(spec, ("plain",))
    base = spec.base(rates["chosen"]["plain"])
    parts = {
        "networks": {name: recipes.networks(base)[name] for name in ("inception", "bn_baseline", "bn_x5")},
        "alone": recipes.alone(base),
        "left_out": recipes.left_out(base),
        "plain": {"shuffling": recipes.changed(base, ("shuffling",))},  # does it help without BN too?
    }
    trained |= sweep.trained(spec, sweep.pairs(spec, *parts.values()), "Ablations")
    results = {part: sweep.curves(spec, trained, networks) for part, networks in parts.items()}
    return records.finish("ablations", spec, [run["meta"] for run in trained.values()], results | {"sweep": rates})
