"""What the chapters of section 4.2 share: the learning rate chosen by a sweep, their runs, and the curves they keep.

rates, runs = sweep(spec, ("plain",))
networks = recipes.networks(spec.base(rates["chosen"]["plain"]))
runs |= trained(spec, pairs(spec, networks), "Figures 2 and 3")
results = {"networks": curves(spec, runs, networks), "sweep": rates}
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np

from bn.lab.store.records import numbers
from bn.lab.train import cli, recipes, runs
from bn.lab.train.runs import Run
from bn.lab.train.settings import Recipe
from bn.lab.train.specs import ImageSpec

LAST = 5  # evaluations in a final accuracy, an eighth of a training: one lucky evaluation counts a fifth


def final(accuracy: Sequence[float | None]) -> float:
    """Mean of the last five evaluations, a share; NaN for a network that diverged."""
    return float(np.mean(np.array(accuracy[-LAST:], float)))


def sweep(spec: ImageSpec, names: Iterable[str]) -> tuple[dict, dict[Run, dict]]:
    """The learning rate for networks "plain" and "bn", and the runs that it was chosen by; none where it is given.

    Chosen is the rate with the best final accuracy on validation images, mean over the seeds of the sweep. The first
    of the two results: `rates`, `seeds`, `chosen` (name to rate), and of each name the final accuracies, a list for
    each rate, None for a seed that diverged.
    """
    if spec.learning_rate is not None:
        return {"rates": [], "chosen": dict.fromkeys(names, spec.learning_rate)}, {}
    rates, seeds = spec.size.rates, spec.seeds[: spec.size.sweep_seeds]
    tried = {(name, rate): [(swept(spec, name, rate), seed) for seed in seeds] for name in names for rate in rates}
    trained = runs.run([pair for at_rate in tried.values() for pair in at_rate], "Learning rates")
    finals = {key: [final(trained[pair]["validation"]) for pair in at_rate] for key, at_rate in tried.items()}
    # A rate at which any seed diverged is none to choose.
    scores = {key: float(np.nan_to_num(np.mean(values), nan=-1.0)) for key, values in finals.items()}
    chosen = {name: max(rates, key=lambda rate: scores[name, rate]) for name in names}
    table = {name: [numbers(finals[name, rate]) for rate in rates] for name in names}
    return {"rates": list(rates), "seeds": list(seeds), "chosen": chosen, **table}, trained


def swept(spec: ImageSpec, name: str, rate: float) -> Recipe:
    """Inception for "plain", BN with all changes of section 4.2.1 for "bn", both at a rate of the sweep."""
    base = spec.base(rate)
    return base if name == "plain" else replace(recipes.bn_x5(base), learning_rate=base.learning_rate)


def pairs(spec: ImageSpec, *parts: Mapping[str, Recipe]) -> list[Run]:
    """Each network of the parts with each seed."""
    return [(recipe, seed) for part in parts for recipe in part.values() for seed in spec.seeds]


def trained(spec: ImageSpec, wanted: Sequence[Run], title: str) -> dict[Run, dict]:
    """Finished runs, as `runs.run` has them. A notebook does not start those of scale paper, but says how to.

    Raises RunError, TrainingError, DataError.
    """
    if spec.scale == "paper":
        cli.expect_finished(spec, wanted)
    return runs.run(wanted, title)


def curves(spec: ImageSpec, trained: Mapping[Run, dict], networks: Mapping[str, Recipe]) -> dict[str, dict]:
    """Of each network what a record keeps, in plain numbers; of each seed an entry in each of these lists.

    - `recipe`, and `steps`: at which it was evaluated (E,).
    - `validation` and `test`: accuracies in shares, (seeds, E), None after a divergence.
    - `diverged`: the step whose loss was first not finite, or None; `seconds` of training.
    - `parameters`: how many.
    """
    of_networks = {}
    for name, recipe in networks.items():
        steps = sorted({*range(0, recipe.steps, recipe.every), recipe.steps})
        seeds = [trained[recipe, seed] for seed in spec.seeds]
        of_networks[name] = {
            "recipe": asdict(recipe),
            "steps": steps,
            **{split: [_filled(run[split], len(steps)) for run in seeds] for split in ("validation", "test")},
            "diverged": [int(run["diverged"]) if run["diverged"] >= 0 else None for run in seeds],
            "seconds": [run["meta"]["training_seconds"] for run in seeds],
            "parameters": seeds[0]["meta"]["parameters"],
        }
    return of_networks


def _filled(accuracy: np.ndarray, length: int) -> list[float | None]:
    """Evaluations that a diverged run did not come to are None."""
    return numbers(np.concatenate([accuracy, np.full(length - len(accuracy), np.nan)]))
