"""The mathematical claim of section 3.4, measured: what one example becomes depends on its company in training alone.

How much it varies has an exact law where the company is normal. Let a mini-batch have m examples, one of which is `a`
and the others independent of N(0, 1). Its normalized value depends on their mean and deviation alone, whose joint law
is known: independent, one normal, the other's square a χ² with m − 2 degrees of freedom. So its variance is a
quadrature in two variables, and it is (1 + a²/2) / m but for terms in 1/m². Everything is float64.
"""

import itertools
from math import comb
from typing import NamedTuple

import numpy as np
from scipy.special import roots_genlaguerre

from bn import reference
from bn.lab.judge.identities import Numbers, error, named

EXAMPLES = 12  # of the population whose mini-batches are all listed
_COMPANY = 4, 7  # examples of its mini-batches
_TUPLES = (2, 3, 5, 10)  # examples of mini-batches of two values
_LAW = (64, 128, 256)  # examples of mini-batches with normal company
_AT = (0.0, 1.0, 2.0)  # what the example is, in deviations of its company
_NODES = 40  # of each quadrature: the variance at m = 64 is then off by less than 1e-11 of itself


class Case(NamedTuple):
    """A population and the parameters of a transform."""

    x: np.ndarray  # (EXAMPLES,)
    gamma: float
    beta: float
    eps: float


def draw(seed: int, eps: float = 1e-5) -> Case:
    """Draw a case."""
    rng = np.random.default_rng(seed)
    return Case(rng.normal(rng.normal(), rng.uniform(0.5, 2), EXAMPLES), rng.uniform(0.5, 2), rng.normal(), eps)


def training_nondeterministic(case: Case) -> Numbers:
    """The spread of an example's output over its company, in training and at inference, and its law."""
    enumeration = max(error(*_of_two_values(case, m)) for m in _TUPLES)
    # In units of 1/m: a variance that fell by another power of m, or with another factor, would lie 15 of them off.
    law = max(m * abs(m * _variance(a, m) / (1 + a**2 / 2) - 1) for a in _AT for m in _LAW)
    return _spreads(case) | {"enumeration": enumeration, "law": law}


def _spreads(case: Case) -> Numbers:
    """Over all mini-batches of some sizes that an example is in: the smallest range of them all in training, and the
    largest at inference."""
    training, inference = [], []
    for m, k in itertools.product(_COMPANY, range(EXAMPLES)):
        others = itertools.combinations(np.delete(case.x, k), m - 1)
        batches = np.array([(case.x[k], *company) for company in others])
        n = len(batches)
        fixed = (np.full(n, value) for value in (case.gamma, case.beta, case.x.mean(), case.x.var(ddof=1)))
        training.append(np.ptp(_first(batches, case)))
        inference.append(np.ptp(reference.batch_norm_inference(batches.T, *fixed, case.eps)[0]))
    return {"training_spread": min(training), "inference_spread": max(inference)}


def _first(batches: np.ndarray, case: Case) -> np.ndarray:
    """What Algorithm 1 makes of the first example of each of many mini-batches, (batches, m) to (batches,)."""
    n = len(batches)
    return reference.batch_norm(batches.T, np.full(n, case.gamma), np.full(n, case.beta), case.eps)[0][0]


def _of_two_values(case: Case, m: int) -> tuple[float, float]:
    """The variance of an example's output where each of the others is one of two values, with equal chances.

    Over all mini-batches, listed; and over the number k of the others that have its own value, which is binomial.
    """
    same, other = case.x[:2]
    listed = np.array([(same, *company) for company in itertools.product((same, other), repeat=m - 1)])
    k = np.arange(m)
    weights = np.array([comb(m - 1, int(count)) for count in k], np.longdouble) / 2 ** (m - 1)
    share = np.longdouble(m - 1 - k) / m  # of the mini-batch that has the other value
    gap = np.longdouble(same) - np.longdouble(other)
    y = case.gamma * share * gap / np.sqrt(share * (1 - share) * gap**2 + case.eps)
    return _first(listed, case).var(), float(weights @ y**2 - (weights @ y) ** 2)


def _variance(a: float, m: int) -> float:
    """Of the normalized value of `a` among m - 1 of N(0, 1): by nodes for their mean and variance, and Algorithm 1."""
    z, of_z = np.polynomial.hermite_e.hermegauss(_NODES)
    half, of_half = roots_genlaguerre(_NODES, (m - 2) / 2 - 1)  # half a χ² of m - 2 degrees of freedom
    weights = np.outer(of_z / of_z.sum(), of_half / of_half.sum()).ravel()
    mean, std = np.meshgrid(z / np.sqrt(m - 1), np.sqrt(2 * half / (m - 1)), indexing="ij")
    pattern = np.linspace(-1, 1, m - 1)  # any company of that mean and deviation
    company = mean.ravel()[:, None] + std.ravel()[:, None] * pattern / pattern.std()
    batches = np.column_stack([np.full(len(company), a), company])
    x_hat = _first(batches, Case(pattern, gamma=1.0, beta=0.0, eps=0.0))
    return float(weights @ (x_hat - weights @ x_hat) ** 2)


CLAIMS = named(training_nondeterministic)
