"""Figure 4: one crop, many crops and six networks, top-1 and top-5; one ensemble for each seed."""

from collections.abc import Iterable
from dataclasses import asdict

import numpy as np

from bn.lab.store import records
from bn.lab.train import predictions, recipes, sweep
from bn.lab.train.settings import Recipe
from bn.lab.train.specs import ImageSpec


def record(spec: ImageSpec) -> dict:
    """`members`: recipes; `curves`; `errors` by number of crops, for each seed; `sweep`; `measured`: of averaging."""
    rates, trained = sweep.sweep(spec, ("plain",))
    base = spec.base(rates["chosen"]["plain"])
    members = recipes.members(base)
    pairs = sweep.pairs(spec, members)
    trained |= sweep.trained(spec, pairs, "Ensemble members")
    y = predictions.test_images(members["member_1"]).y.numpy()
    predicted, by_crops = {}, {}
    for crops in (1, spec.size.crops):
        count = predictions.views_of(spec.dataset, crops)
        predicted[count] = predictions.predictions(pairs, crops, f"{count} crops")
        by_seed = [[_of(predicted[count], recipe, seed) for recipe in members.values()] for seed in spec.seeds]
        by_crops[str(count)] = [_member_errors(probabilities, y) for probabilities in by_seed]
    results = {
        "members": {name: asdict(recipe) for name, recipe in members.items()},
        "curves": sweep.curves(spec, trained, members),
        "crops": list(predicted),
        "errors": by_crops,
        "images": len(y),
        **sweep.images(spec, base),
        "sweep": rates,
        "measured": averaged(kept["probabilities"] for kept in predicted[1].values()),
    }
    metas = [run["meta"] for run in trained.values()]
    computed = [kept["meta"] for found in predicted.values() for kept in found.values()]
    return records.finish("ensemble", spec, metas, results, computed)


def _of(predicted: dict, recipe: Recipe, seed: int) -> np.ndarray:
    return predicted[recipe, seed]["probabilities"]


def _member_errors(probabilities: Iterable[np.ndarray], y: np.ndarray) -> dict:
    """Errors in percent of each member and of the mean of their class probabilities."""
    members = list(probabilities)
    joined = np.mean(members, axis=0)
    return {"members": [errors(p, y) for p in members], "ensemble": errors(joined, y)}


def errors(probabilities: np.ndarray, y: np.ndarray) -> list[float]:
    """Top-1 and top-5 error in percent of class probabilities (n, classes) for labels (n,); NaN is an error."""
    known = np.isfinite(probabilities).all(1)
    order = np.argsort(-np.where(known[:, None], probabilities, 0), axis=1, kind="stable")
    hits = (order == y[:, None]) & known[:, None]
    return [float(100 * (1 - hits[:, :k].any(1).mean())) for k in (1, 5)]


def averaged(probabilities: Iterable[np.ndarray]) -> dict[str, dict[str, list[float]]]:
    """What averaging does to class probabilities (n, classes)."""
    joined = np.mean(list(probabilities), axis=0)
    return {"ensemble-6-mean-is-probability": {"sum_error": [float(abs(joined.sum(1) - 1).max())]}}
