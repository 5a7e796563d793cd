"""Figure 1 at the asked setting and at each network's best, the grid behind it, and what BN gives beside it."""

from collections.abc import Callable, Iterable
from itertools import product

import numpy as np

from bn.lab.chapters.activations import distributions
from bn.lab.chapters.activations.estimates import final
from bn.lab.chapters.activations.spec import MIDDLE, Activations
from bn.lab.store import records
from bn.lab.train import runs
from bn.lab.train.mlp import MOMENTA
from bn.lab.train.replicas import PERCENTILES, POOLED
from bn.lab.train.settings import Setting

NETWORKS = ("plain", "bn")
START = 0.02  # of the training: where the shift of a mean and the growth of a deviation are measured from
CHOOSING = 2  # of the grid's seeds choose the rate of an optimizer


def record(spec: Activations) -> dict:
    """The parts, each with both networks.

    - `figure1` at the asked setting and `tuned` at each network's best of the grid.
    - `grid`, `ladder` (rates), `spread` (first weights, each network at its own best rate) and `optimizers`.
    """
    lists, seeds = spec.lists, spec.size.grid_seeds
    choosing, others = seeds[:CHOOSING], spec.seeds[: len(seeds)]
    grid = {name: [spec.brief(name, *cell) for cell in spec.cells()] for name in NETWORKS}
    ladder = {name: [spec.brief(name, rate, MIDDLE) for rate in lists.ladder] for name in NETWORKS}
    tried = {
        (optimizer, name): [spec.brief(name, rate, MIDDLE, optimizer) for rate in rates]
        for optimizer, rates in lists.optimizers.items()
        for name in NETWORKS
    }
    of_choice = [*product(_all(grid) + _all(ladder), seeds), *product(_all(tried), choosing)]
    trained = runs.run(of_choice, "Grid, ladder and rates of optimizers")

    best = {name: _best(grid[name], seeds, trained) for name in NETWORKS}
    asked = {name: spec.setting(name, spec.steps, spec.learning_rate, spec.weight_std) for name in NETWORKS}
    tuned = {name: spec.setting(name, spec.steps, s.learning_rate, s.weight_std) for name, s in best.items()}
    # Of seeds that had no part in the choice of the rates, as many as the grid has.
    spread = {name: [spec.brief(name, best[name].learning_rate, std) for std in lists.spread] for name in NETWORKS}
    chosen = {pair: _best(settings, choosing, trained) for pair, settings in tried.items()}
    figures = [*asked.values(), *tuned.values(), *chosen.values()]
    trained |= runs.run([*product(figures, spec.seeds), *product(_all(spread), others)], "Figure 1 and what was chosen")

    own_rates = {name: setting.learning_rate for name, setting in best.items()}
    results = {
        "figure1": {name: _network(asked[name], spec, trained) for name in NETWORKS},
        "tuned": {name: _network(tuned[name], spec, trained) for name in NETWORKS},
        "grid": {"rates": list(spec.rates), "weight_stds": list(spec.weight_stds)} | _table(grid, seeds, trained),
        "ladder": {"rates": list(lists.ladder), "weight_std": MIDDLE} | _table(ladder, seeds, trained),
        "spread": {"weight_stds": list(lists.spread), "own_rates": own_rates} | _table(spread, others, trained),
        "optimizers": _optimizers(tried, chosen, choosing, spec, trained),
    }
    return records.finish("activations", spec, [run["meta"] for run in trained.values()], results)


def _all(settings: dict[object, list[Setting]]) -> list[Setting]:
    return [setting for of_one in settings.values() for setting in of_one]


def _best(settings: list[Setting], seeds: Iterable[int], trained: dict) -> Setting:
    """The one with the best final accuracy on validation images, mean over the seeds."""
    return settings[np.argmax([np.mean(_of(s, seeds, trained, _final_validation)) for s in settings])]


def _of(setting: Setting, seeds: Iterable[int], trained: dict, measure: Callable[[dict], float]) -> list[float]:
    return [measure(trained[setting, seed]) for seed in seeds]


def _final_validation(run: dict) -> float:
    return final(run["validation"])


def _final_test(run: dict) -> float:
    return final(run["test"])


def _area(run: dict) -> float:
    """The area under the curve of the validation accuracy, in shares: 1 is an accuracy of 1 from the first step on."""
    return float(np.trapezoid(run["validation"], run["steps"]) / run["steps"][-1])


MEASURES = {"test": _final_test, "validation": _final_validation, "area": _area}


def _table(settings: dict[str, list[Setting]], seeds: tuple[int, ...], trained: dict) -> dict:
    """Of each network each of MEASURES, (settings, seeds)."""
    found = {
        name: {
            key: [records.numbers(_of(setting, seeds, trained, measure)) for setting in settings[name]]
            for key, measure in MEASURES.items()
        }
        for name in NETWORKS
    }
    return {"steps": settings["plain"][0].steps, "seeds": list(seeds), **found}


def _optimizers(tried: dict, chosen: dict, choosing: tuple[int, ...], spec: Activations, trained: dict) -> dict:
    """Of each optimizer and network the rates that were tried, the one that was chosen, and MEASURES of all seeds."""

    def of_network(pair: tuple[str, str]) -> dict:
        setting = chosen[pair]
        ends = [np.mean(_of(other, choosing, trained, _final_validation)) for other in tried[pair]]
        return {
            "rate": setting.learning_rate,
            "tried": {"rates": [other.learning_rate for other in tried[pair]], "validation": records.numbers(ends)},
            **{key: records.numbers(_of(setting, spec.seeds, trained, measure)) for key, measure in MEASURES.items()},
        }

    return {
        "steps": next(iter(chosen.values())).steps,
        "weight_std": MIDDLE,
        "chosen_by": list(choosing),
        "by_name": {name: {net: of_network((name, net)) for net in NETWORKS} for name in spec.lists.optimizers},
    }


# ---- Figure 1 ------------------------------------------------------------------------------------


def _network(setting: Setting, spec: Activations, trained: dict) -> dict:
    """One network's curves over all seeds, and one unit of the last hidden layer followed in the first seed."""
    replicas = [trained[setting, seed] for seed in spec.seeds]
    moved = [distributions.between_looks(replica) for replica in replicas]
    drifts = [between["wasserstein"].mean(0) for between in moved]
    unit = spec.unit if spec.unit is not None else typical(drifts[0])
    return {
        "learning_rate": setting.learning_rate,
        "weight_std": setting.weight_std,
        "steps": replicas[0]["steps"].tolist(),
        "validation": [records.numbers(r["validation"]) for r in replicas],
        "test": [records.numbers(r["test"]) for r in replicas],
        "diverged": [None if r["finite"].all() else int(r["steps"][~r["finite"]][0]) for r in replicas],
        "unit": {"seed": spec.seeds[0], "index": unit},
        "unit_percentiles": _outer(replicas[0]["percentiles"][:, :, unit]),
        "pooled_percentiles": [records.numbers(row) for row in np.mean([r["pooled"] for r in replicas], axis=0)],
        **_drift(moved, drifts),
        **_start_to_end(replicas, setting.steps),
        **(_looks(replicas) if setting.network == "bn" else {}),
    }


def _drift(moved: list[dict], drifts: list[np.ndarray]) -> dict:
    """For each seed: the mean distance of each unit, that of the median unit between each two looks, and others."""

    def of_median_unit(distances: np.ndarray) -> float:
        return float(np.median(distances.mean(0)))

    return {
        "drift": [records.numbers(of_units) for of_units in drifts],
        "drift_by_look": [records.numbers(np.median(m["wasserstein"], axis=1)) for m in moved],
        "drift_later": records.numbers([of_median_unit(m["wasserstein"][1:]) for m in moved]),
        "drift_kolmogorov": records.numbers([of_median_unit(m["kolmogorov"]) for m in moved]),
        "drift_to_final": records.numbers([of_median_unit(m["to_final"]) for m in moved]),
    }


def _start_to_end(replicas: list[dict], steps: int) -> dict:
    """For each seed and unit, from START to the end: shift of the mean in starting deviations, and growth of these."""
    start = int(np.searchsorted(replicas[0]["steps"], round(START * steps)))
    ends = [(r["mean"][start], r["mean"][-1], r["std"][start], r["std"][-1]) for r in replicas]
    with np.errstate(all="ignore"):
        return {
            "mean_shift": [records.numbers(abs(m1 - m0) / s0) for m0, m1, s0, _ in ends],
            "std_growth": [records.numbers(s1 / s0) for _, _, s0, s1 in ends],
        }


def _looks(replicas: list[dict]) -> dict:
    """For each seed and look, test accuracy by the population's statistics and by moving averages of each momentum."""
    return {
        "look_steps": replicas[0]["look_steps"].tolist(),
        "momenta": list(MOMENTA),
        "population": [records.numbers(r["population"]) for r in replicas],
        "moving": [[records.numbers(by_momentum) for by_momentum in r["moving"].T] for r in replicas],
    }


def typical(drift: np.ndarray) -> int:
    """The unit (units,) whose drift is nearest to the median over the layer: typical by a rule, not by choice."""
    return int(abs(drift - np.median(drift)).argmin())


def _outer(percentiles: np.ndarray) -> list[list[float]]:
    """Those that the paper draws at each evaluation, (E, 3)."""
    return [records.numbers(row) for row in percentiles[:, [PERCENTILES.index(p) for p in POOLED]]]
