"""A record of section 3.4 made up by hand, whose numbers are known."""

import made_up
import pytest

STEPS = [0, 10, 20, 30]


def network(tests: list[float], trains: list[float], loss: float = 0.5, rate: float = 0.3) -> dict:
    """One that is at chance at first, and then at these accuracies, in percent, a number for each seed."""
    test, train = ([[0.1, *[end / 100] * 3] for end in ends] for ends in (tests, trains))
    losses = [[2.3, *[loss] * 3] for _ in tests]
    curves = {"test": test, "validation": test, "train": train, "test_loss": losses, "train_loss": losses}
    return {"rate": rate, "steps": STEPS, **curves}


def population(worst: float, variance: float) -> dict:
    """Three seeds, two layers: the second is `worst` from 0 and 1, the median unit a tenth of it."""
    seeds = range(3)
    off = {
        "mean_worst": [[0.0, worst + k / 1000] for k in seeds],
        "variance_worst": [[0.0, worst + k / 1000] for k in seeds],
    }
    median = {name.replace("worst", "median"): [[a / 10, b / 10] for a, b in of] for name, of in off.items()}
    return off | median | {"variance": [[1.0, variance + k / 1000] for k in seeds]}


@pytest.fixture
def made() -> dict:
    """Dropout gains 1 point without BN and loses half a point with it; statistics of 16 gain a point over 240."""
    known = [100.0] * 3
    four = {
        "plain": network([90.0, 91.0, 92.0], known),
        "plain_dropout": network([91.0, 92.1, 92.9], known),
        "bn": network([93.0, 94.0, 95.0], known, rate=1.0),
        "bn_dropout": network([92.5, 93.6, 94.4], known, rate=1.0),
    }
    groups = {
        "4": network([88.0, 89.0, 90.0], [98.0] * 3),
        "16": network([93.0, 94.1, 94.9], known, 0.4),
        "60": network([92.5, 93.5, 94.5], known),
        "240": network([92.0, 93.0, 94.0], known),
    }
    sizes = [2, 4, 16, 64, 256, 1024]
    std = [[[(1 + k / 100) / size**0.5] * 3 for size in sizes] for k in range(3)]
    added = [[(1 + k / 10 * (size == 16)) / size for size in sizes[:-1]] + [-1e-6] for k in range(3)]
    return made_up.finished(
        {
            "training_images": {"used": 1_200, "whole": 1_257},
            "batch": {"dropout": 60, "groups": 240},
            "own_rates": four,
            "same_rate": four,
            "groups": groups,
            "own_groups": {"16": network([92.0, 93.1, 93.9], known), "240": groups["240"]},
            "tried": {"rates": [0.3, 1.0], "seeds": [2100]},
            "noise": {"sizes": sizes, "std": std, "penalty": added},
            "company": {"seed": 0, "image": 7, "margins": [0.5, -0.5, 0.25, -1.0], "margin": 0.125},
            "population": {"bn": population(0.03, 0.99), "bn_dropout": population(0.4, 0.7)},
            "measured": {},
        }
    ) | {"asked": {"steps": 30, "seeds": [0, 1, 2], "examples": 1_200, "dropout": 0.25}}
