"""Identities: what mathematics claims, measured on data drawn from a seed, against another way to compute the same.

A chapter with such claims has a module `identities` with `CLAIMS`, a function for each claim by its id. It takes a
case, which is drawn from a seed, and returns named numbers, mostly the error of what the claim is about against a
computation that shares no code with it. It does not judge them: the rules are in book/claims. Everything is float64.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

Case = TypeVar("Case")
Numbers = dict[str, float]  # by the names in the rules


def error(got: ArrayLike, expected: ArrayLike) -> float:
    """Largest difference, relative to the largest expected value, or to 1 where that is smaller."""
    got, expected = np.asarray(got), np.asarray(expected)
    return np.abs(got - expected).max() / max(1, np.abs(expected).max())


def of_cases(
    claims: Mapping[str, Callable[[Case], Numbers]], cases: Sequence[Case]
) -> dict[str, dict[str, list[float]]]:
    """Measure every claim on each case: {claim id: {name: [a number for each case]}}."""
    return {claim: _by_name([function(case) for case in cases]) for claim, function in claims.items()}


def named(*functions: Callable[[Case], Numbers]) -> dict[str, Callable[[Case], Numbers]]:
    """Each function under the id of its claim: it is called as the claim is, but for the sign between the words."""
    return {function.__name__.replace("_", "-"): function for function in functions}


def _by_name(results: list[Numbers]) -> dict[str, list[float]]:
    return {name: [float(result[name]) for result in results] for name in results[0]}
