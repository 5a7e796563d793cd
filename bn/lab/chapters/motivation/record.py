"""What sections 1 and 2 are measured by: trained networks, untrained ones, a regression, times, and identities."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import numpy as np

from bn.lab.chapters.motivation import costs, identities, regression, toys
from bn.lab.chapters.motivation.spec import CHOOSING, OUTSIDE_DEPTH, Motivation
from bn.lab.chapters.motivation.study import PERCENTILES, Stack
from bn.lab.store import measurements, records
from bn.lab.train import runs

NETWORKS = ("plain", "bn")
SECTION_2 = ("inside", "centred", "outside")
ACTIVATIONS = ("sigmoid", "relu")
FOLLOWED = 4  # hidden layers of the network whose lower half is watched
SHOWN = 8  # units of it
LOOKS = tuple(sorted({round(10 ** (k / 4)) for k in range(21)} | {0}))  # steps of the regression, to 100,000

Cell = tuple[str, int]


def record(spec: Motivation) -> dict:
    """The parts of the chapter, each with all its networks.

    `depth`: by depth; `moving`: the lower half of one; `change`: of untrained ones; `outside`: by the way that they are
    normalized, at the setting that is best inside; `regression`, `toy`, `cost`, `batch`, `derivative`; `measured`: the
    identities.
    """
    cells = [*product(NETWORKS, spec.size.depths), ("inside", OUTSIDE_DEPTH)]
    tried = {cell: [*_tried(spec, *cell)] for cell in cells}
    trained = runs.run([(s, CHOOSING) for settings in tried.values() for s in settings], "Rates and first weights")
    best = {cell: _best(settings, trained) for cell, settings in tried.items()}
    inside = best["inside", OUTSIDE_DEPTH]
    outside = {name: replace(inside, network=name) for name in SECTION_2}
    untrained = {pair: spec.untrained(*pair) for pair in product(NETWORKS, ACTIVATIONS)}
    reported = [best[cell] for cell in cells[:-1]] + [*outside.values(), *untrained.values()]
    trained |= runs.run(product(reported, spec.seeds), "What was chosen")
    computed = _computed(spec)
    results = {
        "depth": {name: _depths(name, best, spec, trained) for name in NETWORKS} | {"depths": list(spec.size.depths)},
        "moving": {name: _moving(best[name, FOLLOWED], spec, trained) for name in NETWORKS},
        "change": _change(untrained, spec, trained),
        "outside": {
            "steps": inside.steps,
            "networks": {name: _curves(setting, spec, trained) for name, setting in outside.items()},
        },
        **{name: kept["measured"] for name, kept in computed.items()},
    }
    metas = [run["meta"] for run in trained.values()]
    return records.finish("motivation", spec, metas, results, [kept["meta"] for kept in computed.values()])


# ---- Which networks ------------------------------------------------------------------------------


def _tried(spec: Motivation, network: str, depth: int) -> Iterable[Stack]:
    """At each rate and with each first weights; those of section 2 twice as long, since what grows takes its time."""
    steps = 2 * spec.steps if network in SECTION_2 else spec.steps
    return (spec.stack(network, depth, *pair, steps) for pair in product(spec.size.rates, spec.size.gains))


def _best(settings: list[Stack], trained: dict) -> Stack:
    """The one that ends with the lowest loss on validation images; one that diverged has none."""
    losses = [trained[setting, CHOOSING]["validation_loss"][-1] for setting in settings]
    return settings[int(np.argmin(np.nan_to_num(losses, nan=np.inf)))]


# ---- What is kept of them ------------------------------------------------------------------------


def _all(setting: Stack, spec: Motivation, trained: dict) -> list[dict]:
    return [trained[setting, seed] for seed in spec.seeds]


def _depths(network: str, best: dict[Cell, Stack], spec: Motivation, trained: dict) -> list[dict]:
    """For each depth and seed, at the start and at the end: the share of saturated inputs, in the mean over layers and
    in each, and the ratio of the gradients at the first and the last layer; and the final accuracy."""
    found = []
    for depth in spec.size.depths:
        setting = best[network, depth]
        seeds = _all(setting, spec, trained)
        of_ends = [run["gradient"][[0, -1]] for run in seeds]
        found.append(
            {
                "learning_rate": setting.learning_rate,
                "gain": setting.gain,
                "saturated": [records.numbers(run["saturated"][[0, -1]].mean(1)) for run in seeds],
                "gradient_ratio": [records.numbers(ends[:, 0] / ends[:, -1]) for ends in of_ends],
                "test": records.numbers([run["test"][-1] for run in seeds]),
            }
        )
    return found


def _moving(setting: Stack, spec: Motivation, trained: dict) -> dict:
    """The outputs of the lower half: some units of the first seed, and how far the median unit's move in each."""
    seeds = _all(setting, spec, trained)
    shown = np.linspace(0, seeds[0]["percentiles"].shape[-1] - 1, SHOWN).round().astype(int)
    medians = seeds[0]["percentiles"][:, PERCENTILES.index(50), shown]
    return {
        "learning_rate": setting.learning_rate,
        "looks": seeds[0]["steps"].tolist(),
        "units": shown.tolist(),
        "medians": [records.numbers(of_unit) for of_unit in medians.T],
        "moved": [records.numbers(moved(run["percentiles"])) for run in seeds],
    }


def moved(percentiles: np.ndarray) -> np.ndarray:
    """How far the median of the typical unit moves between two evaluations, (E - 1,), of percentiles (E, 3, units).

    In the distance of the outer percentiles before, of the unit in the middle.
    """
    low, median, high = np.moveaxis(percentiles.astype(float), 1, 0)
    with np.errstate(all="ignore"):
        return np.median(abs(np.diff(median, axis=0)) / (high - low)[:-1], axis=1)


def _change(untrained: dict, spec: Motivation, trained: dict) -> dict:
    """By activation and network the change of each layer's input, (seeds, layers): of all weights, of the first."""
    return {
        activation: {
            name: {
                key: [records.numbers(run[key][0]) for run in _all(untrained[name, activation], spec, trained)]
                for key in ("change", "change_of_first", "gradient")
            }
            for name in NETWORKS
        }
        for activation in ACTIVATIONS
    }


def _curves(setting: Stack, spec: Motivation, trained: dict) -> dict:
    """For each seed at each evaluation: the loss on validation images, and the size of the weights over the first."""
    seeds = _all(setting, spec, trained)
    return {
        "learning_rate": setting.learning_rate,
        "gain": setting.gain,
        "looks": seeds[0]["steps"].tolist(),
        "loss": [records.numbers(run["validation_loss"]) for run in seeds],
        "growth": [records.numbers(run["size"] / run["size"][0]) for run in seeds],
        "test": records.numbers([run["test"][-1] for run in seeds]),
    }


# ---- Without a training --------------------------------------------------------------------------


def _computed(spec: Motivation) -> dict[str, dict]:
    seeds, size = list(spec.seeds), spec.size
    data = runs.data_of(spec.untrained("plain", "relu"))
    asked = [seeds, size.examples, list(LOOKS), spec.dataset]
    found = {
        "regression": measurements.once(
            "regressions",
            regression.__name__,
            asked,
            lambda: regression.measure(data.train, seeds, size.examples, list(LOOKS)),
            data.checksum,
        ),
        "measured": measurements.once("identities", identities.__name__, [seeds], lambda: identities.measure(seeds)),
        "toy": measurements.once("toys", toys.__name__, [seeds], lambda: toys.measure(seeds)),
    }
    widths = list(size.widths)
    timed = {
        "cost": ([seeds, widths, size.rows], lambda: costs.cost(seeds, widths, size.rows)),
        "batch": ([seeds, spec.batch], lambda: costs.batch(seeds, spec.batch)),
        "derivative": ([seeds], lambda: costs.derivative(seeds)),
    }
    for name, (question, make) in timed.items():
        found[name] = measurements.once("costs", costs.__name__, [name, *question], make)
    return found
