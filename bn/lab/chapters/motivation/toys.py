"""Section 2 in its smallest form: gradient descent on a bias and on a weight whose normalization it does not see.

Everything is float64 and runs as it is written, without any help of automatic differentiation.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RATE = 0.1
STEPS = 200
SHOWN = 20  # steps that are normalized between, each with two losses
EXAMPLES = 60
_DIGITS = 12  # of the numbers that are kept, so that a change of the loss would be seen


class Course(NamedTuple):
    """The parameter and the loss before each step and after the last, (steps + 1,) each."""

    parameter: np.ndarray
    loss: np.ndarray


def bias(u: np.ndarray, targets: np.ndarray, steps: int, seen: bool, rate: float = RATE) -> Course:
    """x_hat = u + b - E[u + b], and half the mean square of x_hat - targets.

    The gradient follows E[u + b], which is then zero, where `seen`, and else takes it for a constant.
    """
    b, course = 0.0, []
    for _ in range(steps + 1):
        x = u + b
        x_hat = x - x.mean()
        dx_hat = (x_hat - targets) / len(u)
        course.append((b, _loss(x_hat, targets)))
        dx = dx_hat - dx_hat.mean() if seen else dx_hat
        b -= rate * dx.sum()
    return Course(*np.array(course).T)


def scale(u: np.ndarray, targets: np.ndarray, steps: int, rate: float = RATE) -> Course:
    """x_hat = w u / sqrt(Var[w u]), and the same loss; the gradient with respect to w takes the root for a constant."""
    w, course = 1.0, []
    for _ in range(steps + 1):
        std = (w * u).std()
        x_hat = w * u / std
        dx_hat = (x_hat - targets) / len(u)
        course.append((w, _loss(x_hat, targets)))
        w -= rate * (dx_hat * u / std).sum()
    return Course(*np.array(course).T)


def between(u: np.ndarray, targets: np.ndarray, steps: int, rate: float = RATE) -> np.ndarray:
    """x = a u + b, normalized between the steps on a and b: the loss after each normalization and step, (2 steps,)."""
    a, b, losses = 1.0, 0.0, []
    for _ in range(steps):
        x = a * u + b
        a, b = a / x.std(), (b - x.mean()) / x.std()
        losses.append(_loss(a * u + b, targets))
        dx = (a * u + b - targets) / len(u)
        a, b = a - rate * (dx * u).sum(), b - rate * dx.sum()
        losses.append(_loss(a * u + b, targets))
    return np.array(losses)


def inside(u: np.ndarray, targets: np.ndarray, steps: int, rate: float = RATE) -> np.ndarray:
    """y = gamma x_hat + beta, with the normalization within: the loss before each step on gamma and beta, (steps,)."""
    x_hat = (u - u.mean()) / u.std()
    gamma, beta, losses = 1.0, 0.0, []
    for _ in range(steps):
        y = gamma * x_hat + beta
        losses.append(_loss(y, targets))
        dy = (y - targets) / len(u)
        gamma, beta = gamma - rate * (dy * x_hat).sum(), beta - rate * dy.sum()
    return np.array(losses)


def _loss(y: np.ndarray, targets: np.ndarray) -> float:
    return ((y - targets) ** 2).mean() / 2


def measure(seeds: Sequence[int]) -> dict:
    """Of `scale` for each seed: `loss`, its largest change, `step`, the smallest growth of w in a step, and `growth`.

    `course`: of the first seed, at each step the bias and the loss where the gradient sees the mean and where not, the
    weight, and the losses of `between` and `inside`.
    """
    found: dict[str, list[float]] = {"loss": [], "step": [], "growth": []}
    for seed in seeds:
        u, targets = _drawn(seed)
        course = scale(u, targets + 2 * u, STEPS)
        found["loss"].append(float(np.ptp(course.loss)))
        found["step"].append(float(np.diff(course.parameter).min()))
        found["growth"].append(float(course.parameter[-1] / course.parameter[0]))
    return found | {"course": _course(*_drawn(seeds[0]))}


def _drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs u with mean 0 and variance 1, and noise of half that size."""
    rng = np.random.default_rng(seed)
    u, noise = rng.normal(size=(2, EXAMPLES))
    return (u - u.mean()) / u.std(), noise / 2


def _course(u: np.ndarray, noise: np.ndarray) -> dict[str, list[float]]:
    """To targets of mean 1, which no x_hat with mean 0 can reach."""
    constant, seen = (bias(u, u + noise - noise.mean() + 1, STEPS, seen) for seen in (False, True))
    curves = {
        "bias": constant.parameter,
        "loss": constant.loss,
        "bias_seen": seen.parameter,
        "loss_seen": seen.loss,
        "weight": scale(u, noise + 2 * u, STEPS).parameter,
        "between": between(u, noise + 2 * u + 1, SHOWN),
        "inside": inside(u, noise + 2 * u + 1, SHOWN),
    }
    return {name: [float(f"{value:.{_DIGITS}g}") for value in curve] for name, curve in curves.items()}
