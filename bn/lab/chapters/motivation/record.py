"""What sections 1 and 2 are measured by: trained networks, untrained ones, a regression, times, and identities."""

from itertools import product

import numpy as np

from bn.lab.chapters.motivation import costs, identities, regression, toys
from bn.lab.chapters.motivation.spec import CHOOSING, EVALUATIONS, GAIN, OUTSIDE_DEPTH, OUTSIDE_RATES, Motivation
from bn.lab.chapters.motivation.study import PERCENTILES, Stack
from bn.lab.store import measurements, records
from bn.lab.train import runs

NETWORKS = ("plain", "bn")
SECTION_2 = ("both_inside", "both_outside", "mean_inside", "mean_outside")
ACTIVATIONS = ("sigmoid", "relu")
FOLLOWED = 4  # hidden layers of the network whose lower half is watched
SHOWN = 8  # units of it
LOOKS = tuple(sorted({round(10 ** (k / 4)) for k in range(21)} | {0}))  # steps of the regression, to 100,000

Cell = tuple[str, int]


def record(spec: Motivation) -> dict:
    """The parts of the chapter, each with all its networks.

    `depth`: by depth; `moving`: the lower half of one; `change`: of untrained ones; `outside`: by the way that they are
    normalized, and `slower` at the lower rate; `regression`, `toy`, `cost`, `batch`, `derivative`; `measured`: the
    identities.
    """
    cells = list(product(NETWORKS, spec.size.depths))
    tried = {cell: [spec.stack(*cell, rate) for rate in spec.size.rates] for cell in cells}
    trained = runs.run(product([s for settings in tried.values() for s in settings], CHOOSING), "Rates")
    rates = {cell: _best(settings, trained).learning_rate for cell, settings in tried.items()}
    stacks = {
        (name, depth): spec.stack(name, depth, rate, EVALUATIONS if depth == FOLLOWED else 1)
        for (name, depth), rate in rates.items()
    }
    low, high = OUTSIDE_RATES
    outside = {name: spec.stack(name, OUTSIDE_DEPTH, high, EVALUATIONS) for name in SECTION_2}
    slower = {name: spec.stack(name, OUTSIDE_DEPTH, low) for name in SECTION_2}
    followed = {pair: spec.followed(*pair) for pair in product(NETWORKS, ACTIVATIONS)}
    small = [spec.small(depth) for depth in spec.size.depths]
    reported = [*stacks.values(), *outside.values(), *slower.values(), *followed.values(), *small]
    trained |= runs.run(product(reported, spec.seeds), "What was chosen")
    computed = _computed(spec)
    results = {
        "depth": {
            "depths": list(spec.size.depths),
            "gain": GAIN,
            "rates": list(spec.size.rates),
            **{name: _depths(name, stacks, spec, trained) for name in NETWORKS},
            "small": [_ratios_of_gradients(setting, spec, trained) for setting in small],
        },
        "moving": {name: _moving(stacks[name, FOLLOWED], spec, trained) for name in NETWORKS},
        "change": _change(followed, spec, trained),
        "outside": {
            "gain": GAIN,
            "networks": {name: _curves(setting, spec, trained) for name, setting in outside.items()},
            "slower": {name: _curves(setting, spec, trained) for name, setting in slower.items()},
        },
        **{name: kept["measured"] for name, kept in computed.items()},
    }
    metas = [run["meta"] for run in trained.values()]
    return records.finish("motivation", spec, metas, results, [kept["meta"] for kept in computed.values()])


# ---- Which networks ------------------------------------------------------------------------------


def _best(settings: list[Stack], trained: dict) -> Stack:
    """The one that ends with the lowest loss on validation images, mean over seeds; one that diverged has none."""
    losses = [np.mean([trained[setting, seed]["validation_loss"][-1] for seed in CHOOSING]) for setting in settings]
    return settings[int(np.argmin(np.nan_to_num(losses, nan=np.inf)))]


# ---- What is kept of them ------------------------------------------------------------------------


def _all(setting: Stack, spec: Motivation, trained: dict) -> list[dict]:
    return [trained[setting, seed] for seed in spec.seeds]


def _depths(network: str, stacks: dict[Cell, Stack], spec: Motivation, trained: dict) -> list[dict]:
    """For each depth and seed, at the start and at the end: the share of saturated inputs, in the mean over layers and
    in each, and the ratio of the gradients at the first and the last layer; and the final accuracy."""
    found = []
    for depth in spec.size.depths:
        setting = stacks[network, depth]
        seeds = _all(setting, spec, trained)
        found.append(
            {
                "learning_rate": setting.learning_rate,
                "saturated": [records.numbers(run["saturated"][[0, -1]].mean(1)) for run in seeds],
                "gradient_ratio": _ratios_of_gradients(setting, spec, trained),
                "test": records.numbers([run["test"][-1] for run in seeds]),
            }
        )
    return found


def _ratios_of_gradients(setting: Stack, spec: Motivation, trained: dict) -> list[list[float | None]]:
    """For each seed at the start and at the end, first layer over last."""
    of_ends = [run["gradient"][[0, -1]] for run in _all(setting, spec, trained)]
    return [records.numbers(ends[:, 0] / ends[:, -1]) for ends in of_ends]


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


def _change(followed: dict, spec: Motivation, trained: dict) -> dict:
    """By activation and network the change of each layer's input, (seeds, layers): of all weights, of the first."""
    return {
        activation: {
            name: {
                key: [records.numbers(run[key][0]) for run in _all(followed[name, activation], spec, trained)]
                for key in ("change", "change_of_first", "spread", "gradient")
            }
            for name in NETWORKS
        }
        for activation in ACTIVATIONS
    }


def _curves(setting: Stack, spec: Motivation, trained: dict) -> dict:
    """For each seed at each evaluation: the size of the weights over the first, and the loss on validation images by
    their own statistics (`loss`) and by moving averages (`inference_loss`); and at the end both accuracies."""
    seeds = _all(setting, spec, trained)
    return {
        "learning_rate": setting.learning_rate,
        "looks": seeds[0]["steps"].tolist(),
        "growth": [records.numbers(run["size"] / run["size"][0]) for run in seeds],
        "loss": [records.numbers(run["own_loss"]) for run in seeds],
        "inference_loss": [records.numbers(run["validation_loss"]) for run in seeds],
        "accuracy": records.numbers([run["own_accuracy"][-1] for run in seeds]),
        "inference_accuracy": records.numbers([run["validation"][-1] for run in seeds]),
    }


# ---- Without a training --------------------------------------------------------------------------


def _computed(spec: Motivation) -> dict[str, dict]:
    seeds, size = list(spec.seeds), spec.size
    data = runs.data_of(spec.small(spec.size.depths[0]))
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
