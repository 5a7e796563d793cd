"""What the chapters of section 4.2 share: the learning rate chosen by a sweep, their runs, and the curves they keep.

rates, runs = sweep(spec, ("plain",))
networks = recipes.networks(spec.base(rates["chosen"]["plain"]))
runs |= trained(spec, pairs(spec, networks), "Figures 2 and 3")
results = {"networks": curves(spec, runs, networks), "sweep": rates}
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np

from bn.lab.store.records import numbers
from bn.lab.train import cli, recipes, runs
from bn.lab.train.runs import Run
from bn.lab.train.settings import Recipe
from bn.lab.train.specs import IMAGES, ImageSpec

LAST = 5  # evaluations in the accuracy by which a rate is chosen: one lucky evaluation counts a fifth


def final(accuracy: Sequence[float | None]) -> float:
    """Mean of the last five evaluations, a share; NaN for a network that diverged."""
    return float(np.mean(np.array(accuracy[-LAST:], float)))


def sweep(spec: ImageSpec, names: Iterable[str], until: float = math.inf) -> tuple[dict, dict[Run, dict]]:
    """The learning rate for networks "plain" and "bn", and the runs that it was chosen by; none where it is given.

    Chosen is the rate with the best final accuracy on validation images, mean over the seeds of the sweep. The first
    of the two results: `rates`, `seeds`, `chosen` (name to rate), and of each name the final accuracies, a list for
    each rate, None for a seed that diverged. A name whose runs are not all finished, `until` as `runs.run` has it, is
    in neither.
    """
    if spec.learning_rate is not None:
        return {"rates": [], "chosen": dict.fromkeys(names, spec.learning_rate)}, {}
    rates, seeds, wanted = spec.size.rates, spec.size.choosing, tried(spec, names)
    trained = runs.run([pair for at_rate in wanted.values() for pair in at_rate], "Learning rates", until)
    whole = [name for name in names if all(pair in trained for rate in rates for pair in wanted[name, rate])]
    finals = {key: [final(trained[p]["validation"]) for p in at] for key, at in wanted.items() if key[0] in whole}
    # A rate at which any seed diverged is none to choose.
    scores = {key: float(np.nan_to_num(np.mean(values), nan=-1.0)) for key, values in finals.items()}
    chosen = {name: max(rates, key=lambda rate: scores[name, rate]) for name in whole}
    table = {name: [numbers(finals[name, rate]) for rate in rates] for name in whole}
    return {"rates": list(rates), "seeds": list(seeds), "chosen": chosen, **table}, trained


def tried(spec: ImageSpec, names: Iterable[str]) -> dict[tuple[str, float], list[Run]]:
    """The runs of a sweep, by name and rate; none where the rate is given."""
    rates = spec.size.rates if spec.learning_rate is None else ()
    return {
        (name, rate): [(swept(spec, name, rate), seed) for seed in spec.size.choosing]
        for name in names
        for rate in rates
    }


def swept(spec: ImageSpec, name: str, rate: float) -> Recipe:
    """Inception for "plain", BN with all changes of section 4.2.1 for "bn", both at a rate of the sweep."""
    base = spec.base(rate)
    return base if name == "plain" else replace(recipes.bn_x5(base), learning_rate=base.learning_rate)


def pairs(spec: ImageSpec, *parts: Mapping[str, Recipe]) -> list[Run]:
    """Each network of the parts with each of its seeds, seed by seed."""
    named = [item for part in parts for item in part.items()]
    return [(recipe, seed) for seed in spec.seeds for name, recipe in named if seed in spec.seeds_of(name)]


def trained(spec: ImageSpec, wanted: Sequence[Run], title: str, until: float = math.inf) -> dict[Run, dict]:
    """Finished runs, as `runs.run` has them. A notebook does not start those of scale paper, but says how to.

    Raises RunError, TrainingError, DataError.
    """
    if spec.scale == "paper":
        cli.expect_finished(spec, wanted)
    return runs.run(wanted, title, until)


def curves(spec: ImageSpec, trained: Mapping[Run, dict], networks: Mapping[str, Recipe]) -> dict[str, dict]:
    """Of each network what a record keeps, in plain numbers; of each seed an entry in each of these lists.

    - `recipe`, and `steps`: at which it was evaluated (E,).
    - `seeds`: those of its runs that are finished; a network of which none is, is left out.
    - `validation`: accuracies in shares, (seeds, E), None after a divergence.
    - `final_test`, on all test images, and `final_train`, at most 4,000 training images: shares, None after one.
    - `diverged`: the step whose loss was first not finite, or None; `infinite`: whether it was, or a parameter is at
      the end; `seconds` of training.
    - `parameters`: how many.
    """
    of_networks = {}
    for name, recipe in networks.items():
        found = {seed: trained[recipe, seed] for seed in spec.seeds_of(name) if (recipe, seed) in trained}
        if found:
            of_networks[name] = _curves(recipe, found)
    return of_networks


def _curves(recipe: Recipe, found: dict[int, dict]) -> dict:
    steps, seeds = sorted({*range(0, recipe.steps, recipe.every), recipe.steps}), list(found.values())
    return {
        "recipe": asdict(recipe),
        "steps": steps,
        "seeds": list(found),
        "validation": [_filled(run["validation"], len(steps)) for run in seeds],
        **{name: numbers([run[name] for run in seeds]) for name in ("final_test", "final_train")},
        "diverged": [int(run["diverged"]) if run["diverged"] >= 0 else None for run in seeds],
        "infinite": [bool(run["infinite"]) for run in seeds],
        "seconds": [run["meta"]["training_seconds"] for run in seeds],
        "parameters": seeds[0]["meta"]["parameters"],
    }


def images(spec: ImageSpec, base: Recipe) -> dict:
    """How many images there are to train on; with a part of them no size is the paper's own."""
    used, complete = len(runs.data_of(base).train.spread(base.examples).y), IMAGES[spec.dataset]
    return {
        "training_images": {"used": used, "whole": complete},
        "papers_own_size": spec.papers_own_size and used >= complete,
    }


def lacking(spec: ImageSpec, trained: Mapping[Run, dict], parts: Mapping[str, Mapping[str, Recipe]]) -> list[dict]:
    """What a record of the parts still lacks: `part` and `network` by name, and the `seeds` that are not finished."""
    missing = [
        {"part": part, "network": name, "seeds": [s for s in spec.seeds_of(name) if (recipe, s) not in trained]}
        for part, networks in parts.items()
        for name, recipe in networks.items()
    ]
    return [lacks for lacks in missing if lacks["seeds"]]


def _filled(accuracy: np.ndarray, length: int) -> list[float | None]:
    """Evaluations that a diverged run did not come to are None."""
    return numbers(np.concatenate([accuracy, np.full(length - len(accuracy), np.nan)]))
