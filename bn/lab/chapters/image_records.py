"""Records of section 4.2: `training_speed(ask)`, `ablations(ask)` and `ensemble(ask)` answer notebooks 08, 09, 10.

Without a notebook, for a machine that has no papermill (it goes on where an earlier call ended):

    timeout 10m python -m bn.lab.chapters.image_records training_speed --scale gpu
"""

import argparse
from collections.abc import Iterable
from dataclasses import asdict, replace

import numpy as np

from bn.lab.judge import image_claims
from bn.lab.train import image_runs
from bn.lab.chapters.training_speed import throughput as image_speed
from bn.lab import paths
from bn.lab.train import recipes
from bn.lab.store import records
from bn.lab.train import cli as train_images
from bn.lab.data.datasets import DataError
from bn.lab.spec import ParameterError, Photographs
from bn.lab.train.image_runs import Pair
from bn.lab.train.loop import TrainingError
from bn.lab.train.recipes import Recipe
from bn.lab.store.workers import RunError


def training_speed(ask: Photographs) -> dict:
    """Figures 2 and 3: five networks and three controls, a set with equal schedules, and each at its own best rate."""
    sweep, found = _sweep(ask, ("plain", "bn"))
    base = ask.base(sweep["chosen"]["plain"])
    best = {name: _swept(ask, name, sweep["chosen"][name]) for name in ("plain", "bn")}
    parts = {"networks": recipes.networks(base), "equal": recipes.equal(base), "best": best}
    found |= _run(ask, _pairs(ask, *parts.values()), "Figures 2 and 3")
    results = {part: _curves(ask, found, networks) for part, networks in parts.items()}
    results |= {"sweep": sweep, "measured": image_claims.arithmetic()}
    results["throughput"] = image_speed.throughput(base)
    return records.finish("training_speed", ask, list(found.values()), results)


def ablations(ask: Photographs) -> dict:
    """Each of the seven changes of section 4.2.1: alone on BN-Baseline, and left out of BN-x5."""
    sweep, found = _sweep(ask, ("plain",))
    base = ask.base(sweep["chosen"]["plain"])
    parts = {
        "networks": {name: recipes.networks(base)[name] for name in ("inception", "bn_baseline", "bn_x5")},
        "alone": recipes.alone(base),
        "left_out": recipes.left_out(base),
        "plain": {"shuffling": recipes.changed(base, ("shuffling",))},  # does it help without BN too?
    }
    found |= _run(ask, _pairs(ask, *parts.values()), "Ablations")
    results = {part: _curves(ask, found, networks) for part, networks in parts.items()}
    return records.finish("ablations", ask, list(found.values()), results | {"sweep": sweep})


def ensemble(ask: Photographs) -> dict:
    """Figure 4: one crop, many crops and six networks, top-1 and top-5; one ensemble for each seed."""
    sweep, found = _sweep(ask, ("plain",))
    members = recipes.members(ask.base(sweep["chosen"]["plain"]))
    pairs = _pairs(ask, members)
    found |= _run(ask, pairs, "Ensemble members")
    y = image_runs.test_images(members["member_1"]).y.numpy()
    predicted, errors = {}, {}
    for crops in (1, ask.size.crops):
        count = image_runs.views_of(ask.dataset, crops)
        predicted[count] = image_runs.predictions(pairs, crops, f"{count} crops")
        by_seed = [[predicted[count][recipe, seed] for recipe in members.values()] for seed in ask.seeds]
        errors[str(count)] = [_member_errors(probabilities, y) for probabilities in by_seed]
    results = {
        "members": {name: asdict(recipe) for name, recipe in members.items()},
        "curves": _curves(ask, found, members),
        "crops": list(predicted),
        "errors": errors,
        "images": len(y),
        "sweep": sweep,
        "measured": image_claims.ensemble_arithmetic(predicted[1].values()),
    }
    return records.finish("ensemble", ask, list(found.values()), results)


def _sweep(ask: Photographs, names: tuple[str, ...]) -> tuple[dict, dict[Pair, dict]]:
    """For networks without BN and with it, the rate with the best final accuracy on validation images."""
    if ask.learning_rate is not None:
        return {"rates": [], "chosen": dict.fromkeys(names, ask.learning_rate)}, {}
    rates, seeds = ask.size.rates, ask.seeds[: ask.size.sweep_seeds]
    pairs = {(name, rate): [(_swept(ask, name, rate), seed) for seed in seeds] for name in names for rate in rates}
    found = image_runs.run([pair for of_rate in pairs.values() for pair in of_rate], "Learning rates")
    finals = {key: [image_claims.final(found[pair]["validation"]) for pair in value] for key, value in pairs.items()}
    # A rate at which any seed diverged is none to choose.
    scores = {key: float(np.nan_to_num(np.mean(values), nan=-1.0)) for key, values in finals.items()}
    chosen = {name: max(rates, key=lambda rate: scores[name, rate]) for name in names}
    table = {name: [records.numbers(finals[name, rate]) for rate in rates] for name in names}
    return {"rates": list(rates), "seeds": list(seeds), "chosen": chosen, **table}, found


def _run(ask: Photographs, pairs: list[Pair], title: str) -> dict[Pair, dict]:
    """Finished runs. A notebook does not start those of scale paper, but says how to."""
    if ask.scale == "paper":
        train_images.expect_finished(ask, pairs)
    return image_runs.run(pairs, title)


def _swept(ask: Photographs, name: str, rate: float) -> Recipe:
    """Inception, or BN with all changes of section 4.2.1, at a rate of the sweep."""
    base = ask.base(rate)
    return base if name == "plain" else replace(recipes.bn_x5(base), learning_rate=base.learning_rate)


def _pairs(ask: Photographs, *parts: dict[str, Recipe]) -> list[Pair]:
    return [(recipe, seed) for part in parts for recipe in part.values() for seed in ask.seeds]


def _curves(ask: Photographs, found: dict[Pair, dict], networks: dict[str, Recipe]) -> dict[str, dict]:
    """Of each network its recipe, and for each seed the accuracies at each evaluation, None after a divergence."""
    curves = {}
    for name, recipe in networks.items():
        steps = sorted({*range(0, recipe.steps, recipe.every), recipe.steps})
        seeds = [found[recipe, seed] for seed in ask.seeds]
        curves[name] = {
            "recipe": asdict(recipe),
            "steps": steps,
            **{split: [_filled(run[split], len(steps)) for run in seeds] for split in ("validation", "test")},
            "diverged": [int(run["diverged"]) if run["diverged"] >= 0 else None for run in seeds],
            "seconds": [run["meta"]["training_seconds"] for run in seeds],
            "parameters": seeds[0]["meta"]["parameters"],
        }
    return curves


def _filled(accuracy: np.ndarray, length: int) -> list[float | None]:
    """Evaluations that a diverged run did not come to are None."""
    return records.numbers(np.concatenate([accuracy, np.full(length - len(accuracy), np.nan)]))


def _member_errors(probabilities: Iterable[np.ndarray], y: np.ndarray) -> dict:
    """Errors in percent of each member and of the mean of their class probabilities."""
    members = list(probabilities)
    joined = np.mean(members, axis=0)
    return {
        "members": [image_claims.errors(p, y) for p in members],
        "ensemble": image_claims.errors(joined, y),
    }


def main() -> None:
    """Train what is missing of one notebook's networks and write its record to runs/records."""
    answers = {answer.__name__: answer for answer in (training_speed, ablations, ensemble)}
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("experiment", choices=answers)
    parser.add_argument("--scale", default="cpu")
    parser.add_argument("--dataset", default="auto")
    options = parser.parse_args()
    try:
        record = answers[options.experiment](Photographs(scale=options.scale, dataset=options.dataset))
    except (ParameterError, DataError, TrainingError, RunError) as error:
        raise SystemExit(f"error: {error}") from None
    print(f"{options.experiment}-{record['scale']}-{record['dataset']}.json is written to {paths.runs() / 'records'}")


if __name__ == "__main__":
    main()
