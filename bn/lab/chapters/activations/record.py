"""Figure 1 at the asked setting, a grid of settings, and each network at the best of its grid."""

from itertools import product

import numpy as np

from bn.lab.chapters.activations.estimates import final
from bn.lab.chapters.activations.spec import Activations
from bn.lab.store import records
from bn.lab.train import runs
from bn.lab.train.replicas import PERCENTILES, Setting

NETWORKS = ("plain", "bn")
EVERY = (1, 2, 5, 10, 20, 50)  # evaluations between two looks at a distribution
START = 0.02  # of the training: where the drift of a distribution is measured from


def record(spec: Activations) -> dict:
    """`figure1` at the asked setting, `tuned` at each network's best, and `grid`, test accuracies at all settings."""
    asked = {name: spec.setting(name, spec.steps, spec.learning_rate, spec.weight_std) for name in NETWORKS}
    grid, grid_seeds = _grid(spec), spec.seeds[: spec.size.grid_seeds]
    wanted = [*product(asked.values(), spec.seeds), *product(grid["plain"] + grid["bn"], grid_seeds)]
    trained = runs.run(wanted, "Figure 1 and grid")

    def finals(name: str, split: str) -> list[list[float]]:
        return [[final(trained[setting, seed][split]) for seed in grid_seeds] for setting in grid[name]]

    best = {name: grid[name][np.mean(finals(name, "validation"), 1).argmax()] for name in NETWORKS}
    tuned = {name: spec.setting(name, spec.steps, s.learning_rate, s.weight_std) for name, s in best.items()}
    trained |= runs.run(product(tuned.values(), spec.seeds), "Each at its best")
    results = {
        "figure1": {name: _network(asked[name], spec, trained) for name in NETWORKS},
        "tuned": {name: _network(tuned[name], spec, trained) for name in NETWORKS},
        "grid": {
            "rates": list(spec.rates),
            "weight_stds": list(spec.weight_stds),
            "steps": grid["plain"][0].steps,
            "seeds": list(grid_seeds),
            **{name: [records.numbers(of_seeds) for of_seeds in finals(name, "test")] for name in NETWORKS},
        },
    }
    return records.finish("activations", spec, [run["meta"] for run in trained.values()], results)


def _grid(spec: Activations) -> dict[str, list[Setting]]:
    """Each network's settings, one for each of `spec.cells()`."""
    steps = min(spec.steps, spec.size.grid_steps)
    # The grid is read at its end only, where ten evaluations out of forty are a quarter of the training.
    return {name: [spec.setting(name, steps, *cell, evaluations=40) for cell in spec.cells()] for name in NETWORKS}


def _network(setting: Setting, spec: Activations, trained: dict) -> dict:
    """One network's curves over all seeds, and one unit of the last hidden layer followed in the first seed."""
    replicas = [trained[setting, seed] for seed in spec.seeds]
    median = PERCENTILES.index(50)
    drifts = [_drift(replica["percentiles"]) for replica in replicas]
    unit = spec.unit if spec.unit is not None else typical(drifts[0])
    start = int(np.searchsorted(replicas[0]["steps"], round(START * setting.steps)))
    ends = [(r["mean"][start], r["mean"][-1], r["std"][start], r["std"][-1]) for r in replicas]
    return {
        "learning_rate": setting.learning_rate,
        "weight_std": setting.weight_std,
        "steps": replicas[0]["steps"].tolist(),
        "validation": [records.numbers(r["validation"]) for r in replicas],
        "test": [records.numbers(r["test"]) for r in replicas],
        "diverged": [None if r["finite"].all() else int(r["steps"][~r["finite"]][0]) for r in replicas],
        "unit": {"seed": spec.seeds[0], "index": unit},
        "unit_percentiles": _outer(replicas[0]["percentiles"][:, :, unit]),
        "pooled_percentiles": _outer(np.mean([r["pooled"] for r in replicas], axis=0)),
        "drift": [records.numbers(drift[:, median]) for drift in drifts],
        "drift_every": [every * setting.every for every in EVERY],
        "drift_by_interval": [records.numbers(_drift_of_median_unit(r["percentiles"])) for r in replicas],
        "mean_shift": [records.numbers(abs(m1 - m0) / np.maximum(s0, s1)) for m0, m1, s0, s1 in ends],
        "std_growth": [records.numbers(s1 / s0) for _, _, s0, s1 in ends],
    }


def _drift(percentiles: np.ndarray, every: int = 1) -> np.ndarray:
    """Of percentiles (E, 5, units): total variation over training / mean interquartile range, (units, 5).

    With `every` > 1 only each `every`-th evaluation is looked at: movement back and forth in between is not counted.
    """
    iqr = percentiles[:, PERCENTILES.index(75)] - percentiles[:, PERCENTILES.index(25)]
    return (abs(np.diff(percentiles[::every], axis=0)).sum(0) / iqr.mean(0)).T


def _drift_of_median_unit(percentiles: np.ndarray) -> list[float]:
    """The drift of the median, for the median unit, at each of the intervals EVERY."""
    return [np.median(_drift(percentiles, every)[:, PERCENTILES.index(50)]) for every in EVERY]


def typical(drift: np.ndarray) -> int:
    """The unit whose drift is nearest to the median over the layer: typical by a rule, not by choice."""
    of_median = drift[:, PERCENTILES.index(50)]
    return int(abs(of_median - np.median(of_median)).argmin())


def _outer(percentiles: np.ndarray) -> list[list[float]]:
    """The 15th, 50th and 85th percentile at each evaluation, (E, 3)."""
    return [records.numbers(row) for row in percentiles[:, [PERCENTILES.index(p) for p in (15, 50, 85)]]]
