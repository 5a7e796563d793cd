"""The mathematical claims of section 3.3: a function measures each on data drawn from a seed.

>>> sorted(measure(seeds=[0], m=12, inputs=4, outputs=3)["scale-invariance-sign"])
['error', 'unflipped']

The error is that of `bn.reference` against long double and finite differences in it, or of a matrix against its exact
property. Everything is dimensionless and float64; ε is 0 where not said otherwise.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from bn import reference
from bn.lab.judge.identities import Numbers, error, named, of_cases

SCALES = (1e-3, 7.3, 1e3)
EPS = (1e-3, 1e-5)
SMALL = 0.01  # the weights of which the deviation is told, at the second ε and a variance of 1


class Case(NamedTuple):
    """A mini-batch u before a linear map W with a BN behind it, and dy, a gradient that arrives from above."""

    u: np.ndarray  # (m, inputs)
    weight: np.ndarray  # (outputs, inputs)
    gamma: np.ndarray  # (outputs,)
    dy: np.ndarray  # (m, outputs)


def draw(seed: int, m: int, inputs: int, outputs: int) -> Case:
    """Draw a case: each input has a mean and a scale of its own."""
    rng = np.random.default_rng(seed)
    u = rng.normal(size=inputs) + rng.uniform(0.5, 2, inputs) * rng.normal(size=(m, inputs))
    weight, gamma = rng.normal(size=(outputs, inputs)), rng.uniform(0.5, 2, outputs)
    return Case(u, weight, gamma, rng.normal(size=(m, outputs)))


def measure(seeds: Sequence[int], m: int, inputs: int, outputs: int) -> dict[str, dict[str, list[float]]]:
    """Measure every claim for each seed: {claim id: {name: [a number for each seed]}}."""
    return of_cases(CLAIMS, [draw(seed, m, inputs, outputs) for seed in seeds])


# ---- The scale of the weights and the output -----------------------------------------------------


def scale_invariance_sign(case: Case) -> Numbers:
    """BN((aW)u) = -BN(Wu) for a < 0, before γ and β; `unflipped`: how far it is from BN(Wu)."""
    expected = _exact(case.u, case.weight)
    got = [_normalized(case.u @ (-a * case.weight).T) for a in SCALES]
    return {
        "error": max(error(x_hat, -expected) for x_hat in got),
        "unflipped": min(error(x_hat, expected) for x_hat in got),
    }


def scale_invariance_eps(case: Case) -> Numbers:
    """With ε, BN((aW)u) = r BN(Wu), r = a sqrt((v + ε) / (a²v + ε)), v the variance of Wu.

    `lost`: 1 - r where v is 1, a is SMALL and ε the second of EPS.
    """
    x = case.u @ case.weight.T
    v = x.astype(np.longdouble).var(0)
    errors = []
    for eps in EPS:
        expected = _normalized(x, eps)
        for a in (SMALL, *SCALES):
            factor = a * np.sqrt((v + eps) / (a**2 * v + eps))
            errors.append(error(_normalized(case.u @ (a * case.weight).T, eps), factor * expected))
    unit = x / x.std(0)
    whole, scaled = (np.abs(_normalized(a * unit, EPS[1])).sum(0) for a in (1, SMALL))
    return {"error": max(errors), "lost": np.max(1 - scaled / whole)}


def _normalized(x: np.ndarray, eps: float = 0.0) -> np.ndarray:
    """Lines 1 to 3 of Algorithm 1 by the reference."""
    _, d = x.shape
    return reference.batch_norm(x, np.ones(d), np.zeros(d), eps)[1].x_hat


def _exact(u: np.ndarray, weight: np.ndarray, gamma: np.ndarray | float = 1.0) -> np.ndarray:
    """γ times the normalized Wu in long double, without ε."""
    x = u.astype(np.longdouble) @ weight.astype(np.longdouble).T
    centred = x - x.mean(0)
    return gamma * centred / np.sqrt((centred**2).mean(0))


# ---- The scale of the weights and the gradients --------------------------------------------------


def jacobian_u_invariance(case: Case) -> Numbers:
    """∂BN((aW)u)/∂u by the backward pass, against finite differences at a = 1."""
    expected = _differences(lambda u: _exact(u, case.weight, case.gamma), case.u)
    jacobians = (_backward(case, a, lambda dx, a=a: dx @ (a * case.weight)) for a in SCALES)
    return {"error": max(error(jacobian, expected) for jacobian in jacobians)}


def jacobian_W_inverse_scale(case: Case) -> Numbers:
    """a ∂BN((aW)u)/∂(aW) by the backward pass, against finite differences of ∂BN(Wu)/∂W."""
    expected = _differences(lambda weight: _exact(case.u, weight, case.gamma), case.weight)
    jacobians = (a * _backward(case, a, lambda dx: dx.T @ case.u) for a in SCALES)
    return {"error": max(error(jacobian, expected) for jacobian in jacobians)}


def larger_weights_smaller_gradients(case: Case) -> Numbers:
    """The gradient of a unit's weights w is orthogonal to them and goes as 1/a; so |w|² grows by η²|g|² a step."""
    loss = _differences(lambda weight: (case.dy * _exact(case.u, weight, case.gamma)).sum()[None], case.weight)
    expected = np.linalg.norm(loss.reshape(case.weight.shape).astype(float), axis=1)
    inverse, orthogonal, growth = [], [], []
    for a in SCALES:
        w = a * case.weight
        g = _weight_gradient(case, w)
        w_size, g_size = np.linalg.norm(w, axis=1), np.linalg.norm(g, axis=1)
        orthogonal.append(np.abs((w * g).sum(1) / (w_size * g_size)).max())
        inverse.append(error(a * g_size, expected))
        rate = w_size / g_size  # at which both parts of the sum are alike
        after = np.linalg.norm(w - rate[:, None] * g, axis=1)
        growth.append(np.abs(after**2 / (w_size**2 + (rate * g_size) ** 2) - 1).max())
    return {"orthogonal": max(orthogonal), "inverse": max(inverse), "growth": max(growth)}


def _weight_gradient(case: Case, weight: np.ndarray) -> np.ndarray:
    """Of the loss Σ dy y with respect to the weights of the linear map."""
    _, cache = reference.batch_norm(case.u @ weight.T, case.gamma, np.zeros_like(case.gamma), eps=0.0)
    return reference.batch_norm_backward(case.dy, cache)[0].T @ case.u


def _backward(case: Case, a: float, to: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The Jacobian of γ x̂ at the weights aW, a row for each output: `to` leads the gradient dx of Wu further back."""
    _, cache = reference.batch_norm(case.u @ (a * case.weight).T, case.gamma, np.zeros_like(case.gamma), eps=0.0)
    outputs = np.eye(case.dy.size).reshape(-1, *case.dy.shape)
    return np.stack([to(reference.batch_norm_backward(dy, cache)[0]).ravel() for dy in outputs])


def _differences(function: Callable[[np.ndarray], np.ndarray], at: np.ndarray) -> np.ndarray:
    """The Jacobian of a function by central differences in long double, a row for each output."""
    at, h = at.astype(np.longdouble), np.longdouble(1e-6)
    columns = []
    for k in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[k] = h
        columns.append(((function(at + step) - function(at - step)) / (2 * h)).ravel())
    return np.stack(columns, 1)


# ---- Singular values -----------------------------------------------------------------------------


def orthogonal_preserves_gradient(case: Case) -> Numbers:
    """JJᵀ = I keeps |Jᵀg| = |g|, also of fewer outputs than inputs, of which |Jv| < |v|: `forward_loss`.

    `whitened`: distance of the singular values from 1 where the vectors on both sides are whitened, as the paper
    assumes. `normalized`: where those of the input are whitened and those of the output are normalized alone.
    """
    square = np.linalg.qr(case.u.T @ case.u)[0]
    wide, g, v = square[: len(case.weight)], case.dy[0], square.sum(0)
    whitened_u = case.u @ _whitening(case.u).T
    x = whitened_u @ case.weight.T
    return {
        "square": abs(_ratio(square.T @ case.u[0], case.u[0]) - 1),
        "rectangular": abs(_ratio(wide.T @ g, g) - 1),
        "forward_loss": 1 - _ratio(wide @ v, v),
        "whitened": _from_one(_whitening(x) @ case.weight),
        "normalized": _from_one(case.weight / x.std(0)[:, None]),
    }


def _whitening(x: np.ndarray) -> np.ndarray:
    """The symmetric map after which the covariance of the rows of x is the identity."""
    values, vectors = np.linalg.eigh(np.cov(x.T, ddof=0))
    return vectors * values**-0.5 @ vectors.T


def _ratio(after: np.ndarray, before: np.ndarray) -> float:
    return float(np.linalg.norm(after) / np.linalg.norm(before))


def _from_one(jacobian: np.ndarray) -> float:
    return float(np.abs(np.linalg.svd(jacobian, compute_uv=False) - 1).max())


CLAIMS = named(
    scale_invariance_sign,
    scale_invariance_eps,
    jacobian_u_invariance,
    jacobian_W_inverse_scale,
    larger_weights_smaller_gradients,
    orthogonal_preserves_gradient,
)
