"""Each of the seven changes of section 4.2.1: alone on BN-Baseline, and left out of BN-x5."""

from bn.lab.store import records
from bn.lab.train import recipes, sweep
from bn.lab.train.specs import ImageSpec


def record(spec: ImageSpec) -> dict:
    """`networks` for comparison, `alone`, `left_out` and `plain`: curves; `sweep`; `training_images`.

    All but Inception, which sets the target, train for as many steps: so BN × shuffling is `networks.bn_baseline` and
    `alone.shuffling` beside `plain.inception` and `plain.shuffling`.
    """
    rates, trained = sweep.sweep(spec, ("plain",))
    base = spec.base(rates["chosen"]["plain"])
    parts = {
        "networks": recipes.compared(base),
        "alone": recipes.alone(base),
        "left_out": recipes.left_out(base),
        "plain": recipes.shuffled_without_bn(base),
    }
    trained |= sweep.trained(spec, sweep.pairs(spec, *parts.values()), "Ablations")
    results = {part: sweep.curves(spec, trained, networks) for part, networks in parts.items()}
    results |= {"sweep": rates, **sweep.images(spec, base)}
    return records.finish("ablations", spec, [run["meta"] for run in trained.values()], results)
