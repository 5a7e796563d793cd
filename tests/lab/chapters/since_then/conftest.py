"""A record of chapter 12 made up by hand, in which every claim holds, for its tests to change."""

import copy

import pytest

STEPS = [0, 10, 20, 30, 40]


def _seeds(*values: float) -> list[list[float]]:
    """A curve that stands still, for each of three seeds."""
    return [[value] * len(STEPS) for value in values]


def _curve(reached: float) -> list[float]:
    """From 0 on a straight line that is at the target after so many steps."""
    return [0.9 * step / reached for step in STEPS]


def _deep(rate: float, reached: float, test: float, **curves) -> dict:
    usual = {"shift": 1.0, "cosine": 0.5, "moved": 0.1, "range": 1.0, "turned": 2.0, "smoothness": 4.0} | curves
    spread = (0.99, 1.0, 1.01)
    return {
        "rate": rate,
        "steps": STEPS,
        "validation": [_curve(reached * k) for k in spread],
        "test": _seeds(*(test * k for k in (0.999, 1.0, 1.001))),
        **{name: _seeds(*(value * k for k in spread)) for name, value in usual.items()},
    }


def _errors(two: float, four: float, full: float) -> dict:
    by_batch = {"2": two, "4": four, "32": full}
    return {
        batch: {"rate": 0.1, "tried": [0.03, 0.1, 0.3], "steps": 10, "error": [error * k for k in (0.98, 1.0, 1.02)]}
        for batch, error in by_batch.items()
    }


def _two(two: float, full: float) -> dict:
    return {batch: found for batch, found in _errors(two, full, full).items() if batch != "4"}


def _product(rate: float, weight_decay: float, effective: float, test: float) -> dict:
    ends = [effective * k for k in (0.99, 1.0, 1.02)]
    return {
        "rate": rate,
        "weight_decay": weight_decay,
        "steps": STEPS,
        "effective": _seeds(*ends),
        "test": _seeds(*(test + k for k in (-0.001, 0.0, 0.0012))),
    }


def _averages(corrected: float) -> dict:
    early = [corrected + k for k in (-0.01, 0.0, 0.01)]
    return {
        "steps": STEPS,
        "moving": [[0.1, low / 2, 0.9, 0.9, 0.9] for low in early],
        "corrected": [[0.1, low, 0.9, 0.9, 0.9] for low in early],
        "recomputed": [[0.1, 0.8, 0.9, 0.9, 0.9]] * 3,
    }


_RECORD = {
    "experiment": "since_then",
    "scale": "cpu",
    "dataset": "digits",
    "papers_own_size": False,
    "asked": {"seeds": [0, 1, 2], "steps": 40},
    "deep": {
        "plain": _deep(0.1, 30, 0.80),
        "bn_equal": _deep(0.1, 12, 0.82, shift=1.1, cosine=0.4, moved=0.001, range=0.5, turned=1.0, smoothness=2.0),
        "bn": _deep(0.3, 10, 0.90, moved=0.002),
        "noisy": _deep(0.3, 11, 0.90, moved=0.2),
    },
    "ladder": {
        "rates": [0.1, 0.3, 1.0],
        "seeds": [2100],
        "plain": [[0.8], [0.5], [0.1]],
        "bn": [[0.82], [0.9], [0.8]],
        "noisy": [[0], [0], [0]],
    },
    "small": {
        "bn": _errors(50, 20, 10),
        "renorm": _errors(20, 12, 10),
        "layer": _errors(10, 10, 10),
        "group": _errors(10.5, 10, 10),
    },
    "maps": {"bn": _two(15, 10), "group": _two(12, 12), "instance": _two(12, 10)},
    "separate": {
        "small": {"32": _errors(50, 50, 51)["32"]},
        "maps": {"32": _errors(50, 50, 12)["32"]},
    },
    "products": {
        "slow": _product(0.1, 0.05, 0.01, 0.9),
        "fast": _product(0.4, 0.0125, 0.0102, 0.901),
        "more": _product(0.4, 0.05, 0.03, 0.8),
    },
    "scaling": {"losses": [1e-14, 2e-14, 1e-14], "weights": [1e-13, 1e-13, 3e-13]},
    "averages": {"0.1": _averages(0.79), "0.01": _averages(0.6)},
    "shifted": {
        "pale": {"clean": [0.9, 0.9, 0.9], "old": [0.7, 0.7, 0.7], "new": [0.9, 0.9, 0.9]},
        "thick": {"clean": [0.9, 0.9, 0.9], "old": [0.7, 0.7, 0.7], "new": [0.8, 0.81, 0.79]},
        "noisy": {"clean": [0.9, 0.9, 0.9], "old": [0.5, 0.5, 0.5], "new": [0.4, 0.4, 0.4]},
    },
}


@pytest.fixture
def made_up() -> dict:
    """A fresh copy."""
    return copy.deepcopy(_RECORD)
