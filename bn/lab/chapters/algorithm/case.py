"""What the identities of section 3 are measured on: a mini-batch drawn from a seed."""

from typing import NamedTuple

import numpy as np

from bn import reference
from bn.reference import Cache


class Case(NamedTuple):
    """A mini-batch x of Algorithm 1, its parameters, and dy, a gradient that arrives from above."""

    seed: int
    eps: float
    x: np.ndarray  # (m, d)
    gamma: np.ndarray  # (d,)
    beta: np.ndarray  # (d,)
    dy: np.ndarray  # (m, d)

    def forward(self) -> tuple[np.ndarray, Cache]:
        """Algorithm 1 by the reference: y (m, d), and what its backward pass needs."""
        return reference.batch_norm(self.x, self.gamma, self.beta, self.eps)


def draw(seed: int, m: int, features: int, eps: float) -> Case:
    """Draw a case: each feature has a mean and a scale of its own."""
    rng = np.random.default_rng(seed)
    mean, scale = rng.normal(size=features), rng.uniform(0.5, 2, features)
    x = mean + scale * rng.normal(size=(m, features))
    gamma, beta = rng.uniform(0.5, 2, features), rng.normal(size=features)
    return Case(seed, eps, x, gamma, beta, rng.normal(size=(m, features)))


def normalize(x: np.ndarray, eps: float) -> Cache:
    """Lines 1 to 3 of Algorithm 1: statistics and x_hat, where no output is wanted."""
    _, d = x.shape
    return reference.batch_norm(x, np.ones(d), np.zeros(d), eps)[1]
