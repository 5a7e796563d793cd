"""A record of chapter 02 whose numbers were made up: by default every claim holds."""

import copy
from functools import cache

import numpy as np
import pytest

from bn.lab.chapters.motivation import toys
from bn.lab.chapters.motivation.record import LOOKS
from bn.lab.store import claims

PROVENANCE = {"version": "0", "commit": "0" * 10, "dirty": False, "code": "", "data_sha256": "", "devices": []}
PROVENANCE |= {"versions": {}, "compiled": [], "seeds": [0, 1, 2], "runs": 1, "training_seconds": 0}
PROVENANCE |= {"finished": "", "command": ""}
SPREAD = np.array([0.9, 1.0, 1.1])  # of three seeds


def seeds(*values: float) -> list[list[float]]:
    """Three seeds, a row each, that differ by a tenth."""
    return [[float(v * s) for v in values] for s in SPREAD]


def cell(start: float, end: float, ratio: float, test: float) -> dict:
    """A depth: saturated share at both ends, ratio of the gradients, and final accuracy."""
    of = {"saturated": seeds(start, end), "gradient_ratio": seeds(ratio, ratio), "test": [test, test, test + 0.001]}
    return {"learning_rate": 1.0} | of


def network(rate: float, growth: float, loss: float, accuracy: float) -> dict:
    """One of section 2 at its end; by moving averages its loss is twice as large and its accuracy half."""
    curves = {"growth": seeds(1, growth), "loss": seeds(2.5, loss), "inference_loss": seeds(2.5, 2 * loss)}
    accuracies = {"accuracy": [accuracy] * 3, "inference_accuracy": [accuracy / 2] * 3}
    return {"learning_rate": rate, "looks": [0, 100]} | curves | accuracies


def of_kind(steps: int) -> dict:
    """Inputs with which gradient descent needs about so many steps."""
    excess = [float(0.001 ** (look / steps)) for look in LOOKS]
    counted = [steps - 1, steps, steps + 1] if steps > 1 else [1, 1, 1]
    return {"steps": counted, "condition": [1.0] * 3, "largest": [0.5, 0.6, 0.7], "excess": [excess] * 3}


def changed(last: float) -> dict:
    """A change of the first layer from a thousandth to `last` of the spread, which halves, and one of all layers to
    three times as much; the gradient falls from the last layer to the first."""
    changes = {"change_of_first": seeds(0.001, last), "change": seeds(0.001, 3 * last)}
    return changes | {"spread": seeds(2, 1), "gradient": seeds(0.5, 1)}


def moving(distance: float) -> dict:
    return {"learning_rate": 1.0, "looks": [0, 50, 100], "units": [3, 9]} | {
        "medians": [[0.1, 0.5, 0.9], [0.5, 0.5, 0.4]],
        "moved": seeds(distance, 2 * distance),
    }


@cache
def record() -> dict:
    """With plain networks that get worse with depth, and BN that does not."""
    found = {
        "depth": {
            "depths": [2, 4, 16],
            "gain": 4.0,
            "rates": [0.5, 1.0],
            "plain": [cell(0.1, 0.2, 1.0, 0.9), cell(0.1, 0.25, 0.5, 0.5), cell(0.1, 0.5, 0.01, 0.2)],
            "bn": [cell(0.0, 0.01, 1.0, 0.9), cell(0.0, 0.01, 1.0, 0.9), cell(0.0, 0.01, 2.0, 0.8)],
            "small": [seeds(1, 1), seeds(0.1, 0.1), seeds(1e-4, 1e-4)],
        },
        "moving": {"plain": moving(0.4), "bn": moving(0.1)},
        "change": {
            name: {"plain": changed(plain), "bn": changed(bn)}
            for name, plain, bn in (("sigmoid", 1.0, 0.006), ("relu", 0.01, 0.05))
        },
        "outside": {
            "gain": 4.0,
            "networks": {
                "both_inside": network(1.0, 1.1, 0.3, 0.9),
                "both_outside": network(1.0, 9, 6, 0.1),
                "mean_inside": network(1.0, 1.2, 0.4, 0.85),
                "mean_outside": network(1.0, 2, 3.2, 0.3),
            },
            "slower": {
                "both_inside": network(0.3, 1, 0.5, 0.8),
                "both_outside": network(0.3, 1, 0.7, 0.8),
                "mean_inside": network(0.3, 1, 0.45, 0.8),
                "mean_outside": network(0.3, 1, 0.6, 0.8),
            },
        },
        "regression": {"raw": of_kind(1000), "standardized": of_kind(20), "whitened": of_kind(1)},
        "toy": toys.measure([0, 1, 2]),
        "cost": {
            "widths": [64, 256],
            "rows": 512,
            "seconds": {"whitening": seeds(0.01, 0.32), "bn": [[0.001, 0.004]] * 3},
            "adds": {"whitening": [1_000, 20_000], "bn": [100, 400]},
        },
        "batch": {"together": [0.001, 0.001, 0.001], "alone": [0.02, 0.021, 0.022]},
        "derivative": {
            "eigenvalues": [1.0, 0.01],
            "size": seeds(0.5, 500.0),
            "there": [0.5, 0.5, 0.5],
            "by_eigenvectors": [False, False, True],
        },
        "measured": {},
    }
    about = {"experiment": "motivation", "scale": "cpu", "dataset": "digits", "papers_own_size": False}
    asked = {"steps": 500, "seeds": [0, 1, 2]}
    return about | {"asked": asked, "rules": claims.rule_digests(), "provenance": PROVENANCE} | found


@pytest.fixture
def made_up() -> dict:
    """`record`, to be changed at will."""
    return copy.deepcopy(record())
