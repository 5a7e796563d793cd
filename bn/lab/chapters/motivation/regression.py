"""Section 2: steps of gradient descent of the simplest network, a linear layer, by what is done to its inputs.

The least squares of digits on their pixels, averaged over blocks. Gradient descent at a constant rate shrinks the
excess loss along each eigenvector of the second moments by a factor of its own, so that its course is known without
running it, and each kind of inputs can have the rate that is best for it.
"""

from collections.abc import Iterable

import numpy as np

from bn.lab.data.splits import Split
from bn.lab.train.stacks import PIXELS

BLOCK = 4  # pixels to a side: 49 features
TARGET = 1e-3  # of the excess loss at the start: there the steps are counted
_RATES = np.linspace(0.5, 2, 301)[:-1]  # over the largest eigenvalue: from 2 on it diverges
_SMALLEST = 1e-10  # of the largest eigenvalue: what is below has no variance but rounding
_LONGEST = 2**40  # steps


def features(x: np.ndarray) -> np.ndarray:
    """Block means (n, 49) of binary images (n, 784); blocks that never differ are left out."""
    side = PIXELS // BLOCK
    means = x.reshape(len(x), side, BLOCK, side, BLOCK).mean((2, 4)).reshape(len(x), -1)
    return means[:, means.std(0) > 0]


def standardized(x: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1 of each feature."""
    return (x - x.mean(0)) / x.std(0)


def whitened(x: np.ndarray) -> np.ndarray:
    """No correlations either: the covariance is the identity."""
    centred = x - x.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(x))
    kept = values > _SMALLEST * values[-1]
    return centred @ vectors[:, kept] / np.sqrt(values[kept])


KINDS = {"raw": lambda x: x, "standardized": standardized, "whitened": whitened}


def measure(split: Split, seeds: Iterable[int], examples: int, looks: list[int]) -> dict[str, dict]:
    """Of each of KINDS for each seed, which draws the examples.

    `steps` to TARGET at the best rate; `condition`, the ratio of the largest and the smallest eigenvalue; `largest`,
    the correlation of two features that is farthest from 0; and `excess` at each of the `looks` (steps).
    """
    found = {name: {"steps": [], "condition": [], "largest": [], "excess": []} for name in KINDS}
    for seed in seeds:
        chosen = np.random.default_rng(seed).choice(len(split.y), min(examples, len(split.y)), replace=False)
        x, y = features(split.x[chosen].double().numpy()), np.eye(10)[split.y[chosen].numpy()]
        for name, prepare in KINDS.items():
            for key, value in _course(prepare(x), y, looks).items():
                found[name][key].append(value)
    return found


def _course(x: np.ndarray, y: np.ndarray, looks: list[int]) -> dict[str, object]:
    values, excess = spectrum(x, y)
    rate, steps = best_rate(values, excess)
    correlations = np.corrcoef(x.T) - np.eye(x.shape[1])
    return {
        "steps": steps,
        "condition": float(values[-1] / values[0]),
        "largest": float(abs(correlations).max()),
        "excess": [float(after(values, excess, rate, look)) for look in looks],
    }


def spectrum(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of the second moments of x and a constant 1 for the bias, ascending; and the share of the excess
    loss of weights 0 along each eigenvector."""
    inputs = np.hstack([np.ones((len(x), 1)), x])
    values, vectors = np.linalg.eigh(inputs.T @ inputs / len(x))
    kept = values > _SMALLEST * values[-1]
    values, gradient = values[kept], vectors[:, kept].T @ (inputs.T @ y / len(x))
    excess = (gradient**2).sum(1) / values
    return values, excess / excess.sum()


def after(values: np.ndarray, excess: np.ndarray, rate: float, steps: int) -> float:
    """The excess loss after so many steps, over that at the start."""
    return excess @ (1 - rate * values) ** (2 * steps)


def best_rate(values: np.ndarray, excess: np.ndarray) -> tuple[float, int]:
    """The constant rate that gets to TARGET first, and its number of steps."""
    steps = {rate: _steps(values, excess, rate) for rate in _RATES / values[-1]}
    rate = min(steps, key=steps.get)
    return rate, steps[rate]


def _steps(values: np.ndarray, excess: np.ndarray, rate: float) -> int:
    """The first step at which the excess loss is at most TARGET, by halving: it never rises."""
    low, high = 0, 1
    while after(values, excess, rate, high) > TARGET and high < _LONGEST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if after(values, excess, rate, middle) > TARGET else (low, middle)
    return high
