"""Figures 2 and 3: five networks and three controls, a set with equal schedules, and each at its own best rate."""

import math
import time
from itertools import chain

from bn.lab.chapters.training_speed.throughput import throughput
from bn.lab.store import records
from bn.lab.store.files import RunError
from bn.lab.train import recipes, sweep
from bn.lab.train.specs import ImageSpec

KINDS = ("plain", "bn")
MEASURING = 30  # seconds that it takes, about, to measure the speed: of a first call they are set aside
AGAIN = "The same command goes on from here."


def record(spec: ImageSpec, minutes: float | None = None) -> dict:
    """`networks`, `equal` and `best`: curves; `sweep`; `throughput`.

    After so many `minutes` nothing more is trained, and the record has what is finished; the next call goes on. First
    comes what the others wait for, the sweep, then seed by seed Figures 2 and 3, equal schedules, and each at its best;
    the speed is measured at the end.
    `complete` says whether all is there, `missing` what is not, as `sweep.lacking` has it, `runs_planned` of how many
    runs; `training_images`, how many are `used` of the `whole` data set. Raises RunError where not even Inception is
    trained.
    """
    until = math.inf if minutes is None else time.time() + 60 * minutes
    rates, trained = sweep.sweep(spec, KINDS, until)
    if "plain" not in rates["chosen"]:
        raise RunError(
            f"{len(trained)} runs of the sweep of learning rates are finished, too few for a record. {AGAIN}"
        )
    base = spec.base(rates["chosen"]["plain"])
    best = {name: sweep.swept(spec, name, rate) for name, rate in rates["chosen"].items()}
    parts = {"networks": recipes.networks(base), "equal": recipes.equal(base), "best": best}
    reserved = 0 if throughput(base, until=0)["measured"] else MEASURING
    wanted = sweep.pairs(spec, *parts.values())
    trained |= sweep.trained(spec, wanted, "Figures 2 and 3", until - reserved)
    speed = throughput(base, until - MEASURING / 2)
    results = {part: sweep.curves(spec, trained, networks) for part, networks in parts.items()}
    if "inception" not in results["networks"]:
        raise RunError(f"Inception is not trained yet, and without it there is nothing to compare with. {AGAIN}")
    results |= {"sweep": rates, "throughput": speed["measured"]}
    missing = sweep.lacking(spec, trained, parts) + _of_bn(spec, rates)
    planned = {*wanted, *chain.from_iterable(sweep.tried(spec, KINDS).values())}
    results |= {
        "complete": not missing and bool(speed["measured"]),
        "missing": missing,
        "runs_planned": len(planned) + ("bn" not in best) * len(spec.seeds_of("bn")),
        **sweep.images(spec, base),
    }
    metas = [run["meta"] for run in trained.values()]
    return records.finish("training_speed", spec, metas, results, computed=[speed["meta"]] if speed["measured"] else [])


def _of_bn(spec: ImageSpec, rates: dict) -> list[dict]:
    """What is missing where BN's own best rate is not known yet."""
    if "bn" in rates["chosen"]:
        return []
    of_part = {"sweep": rates["seeds"], "best": list(spec.seeds_of("bn"))}
    return [{"part": part, "network": "bn", "seeds": seeds} for part, seeds in of_part.items()]
