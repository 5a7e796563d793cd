"""Figures 2 and 3: five networks and three controls, a set with equal schedules, and each at its own best rate."""

from bn.lab import paper
from bn.lab.chapters.training_speed.throughput import throughput
from bn.lab.store import records
from bn.lab.train import recipes, sweep
from bn.lab.train.specs import ImageSpec

KINDS = ("plain", "bn")


def record(spec: ImageSpec) -> dict:
    """`networks`, `equal` and `best`: curves; `sweep`; `measured`: the paper's arithmetic; `throughput`."""
    rates, trained = sweep.sweep(spec, KINDS)
    base = spec.base(rates["chosen"]["plain"])
    best = {name: sweep.swept(spec, name, rates["chosen"][name]) for name in KINDS}
    parts = {"networks": recipes.networks(base), "equal": recipes.equal(base), "best": best}
    trained |= sweep.trained(spec, sweep.pairs(spec, *parts.values()), "Figures 2 and 3")
    results = {part: sweep.curves(spec, trained, networks) for part, networks in parts.items()}
    speed = throughput(base)
    results |= {"sweep": rates, "measured": arithmetic(), "throughput": speed["measured"]}
    metas = [run["meta"] for run in trained.values()]
    return records.finish("training_speed", spec, metas, results, computed=[speed["meta"]])


def arithmetic() -> dict[str, dict[str, list[float]]]:
    """What the paper says of its own Figure 3, computed from it."""
    steps = {name: million for name, (million, _) in paper.FIGURE_3.items()}
    return {
        "seven-percent-steps": {"share_of_steps": [100 * steps["bn_x5"] / steps["inception"]]},
        "abstract-14x": {"times_fewer": [steps["inception"] / steps["bn_x5"]]},
        "bnx30-6M": {"times_fewer": [steps["inception"] / paper.PEAK]},
    }
