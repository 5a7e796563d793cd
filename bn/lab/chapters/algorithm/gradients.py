"""Section 3, the gradients: the six equations against finite differences and torch, and what follows from them."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from bn import reference
from bn.lab.chapters.algorithm.case import Case, normalize
from bn.lab.judge.identities import Numbers, error


def bn_couples_examples(case: Case) -> Numbers:
    """dy_i/dx_j for j other than i is -gamma (1 + x_hat_i x_hat_j) / (m sqrt(Var + eps)), and not zero."""
    x, m = case.x[:, 0], len(case.x)
    gamma, x_hat = case.gamma[0], normalize(case.x, case.eps).x_hat[:, 0]
    formula = -gamma * (1 + np.outer(x_hat, x_hat)) / (m * np.sqrt(x.var() + case.eps))

    def transform(x: np.ndarray) -> np.ndarray:
        return gamma * (x - x.mean()) / np.sqrt(x.var() + np.longdouble(case.eps))

    jacobian = np.stack([_slope(lambda t, j=j: transform(_moved(x, j, t)), x.std()) for j in range(m)], 1)
    cross = ~np.eye(m, dtype=bool)
    return {"error": error(formula[cross], jacobian[cross]), "largest": np.abs(jacobian[cross]).max()}


def grad_mean(case: Case) -> Numbers:
    """Equation 3: the variance follows the mean. The second term is zero, as x - mu_B has sum zero."""
    _, cache = case.forward()
    dsigma2_B = reference.batch_norm_gradients(case.dy, cache).dsigma2_B
    second_term = dsigma2_B * (-2 * (case.x - cache.mu_B)).mean(0)
    return _gradient(case, "mu", "dmu_B") | {"second_term": np.abs(second_term).max()}


def _gradient(case: Case, name: str, field: str) -> Numbers:
    """Errors of the reference's gradient with respect to a variable of the chain, against two other ways to it."""
    got = getattr(reference.batch_norm_gradients(case.dy, case.forward()[1]), field)
    methods = {"finite_difference": _finite_difference, "autograd": _autograd}
    return {method: error(got, function(case, name)) for method, function in methods.items()}


GRADIENTS = {  # by claim, in the paper's order
    "grad-xhat": partial(_gradient, name="x_hat", field="dx_hat"),
    "grad-var": partial(_gradient, name="sigma2", field="dsigma2_B"),
    "grad-mean": grad_mean,
    "grad-input": partial(_gradient, name="x", field="dx"),
    "grad-gamma": partial(_gradient, name="gamma", field="dgamma"),
    "grad-beta": partial(_gradient, name="beta", field="dbeta"),
}


def grad_compact(case: Case) -> Numbers:
    """Equations 1 to 4 are together gamma/(m s) (m dy - sum dy - x_hat sum dy x_hat), s = sqrt(Var + eps)."""
    m, dy = len(case.x), case.dy
    _, cache = case.forward()
    x_hat, s = cache.x_hat, np.sqrt(case.x.var(0) + case.eps)
    compact = case.gamma / (m * s) * (m * dy - dy.sum(0) - x_hat * (dy * x_hat).sum(0))
    return {"error": error(compact, reference.batch_norm_backward(dy, cache)[0])}


def grad_input_sums_zero(case: Case) -> Numbers:
    """dx has sum zero over the mini-batch and, without eps, no component along x_hat."""
    _, cache = reference.batch_norm(case.x, case.gamma, case.beta, eps=0.0)
    dx, _, _ = reference.batch_norm_backward(case.dy, cache)
    # The size of what cancels, were the statistics constants
    size = np.abs(case.gamma * case.dy / case.x.std(0)).sum(0)
    along_x_hat = (dx * cache.x_hat).sum(0)
    return {"sum": np.abs(dx.sum(0) / size).max(), "along_x_hat": np.abs(along_x_hat / size).max()}


def _finite_difference(case: Case, name: str) -> np.ndarray:
    """Gradient of the loss with respect to the named variable of the chain, by moving its value.

    A feature has statistics of its own, so that a row can be moved in all features at once.
    """
    cache = normalize(case.x, case.eps)
    start = {"x": case.x, "x_hat": cache.x_hat, "mu": cache.mu_B, "sigma2": cache.sigma2_B}
    start = (start | {"gamma": case.gamma, "beta": case.beta})[name]
    scale = {"x": case.x.std(0), "mu": case.x.std(0), "sigma2": case.x.var(0)}.get(name, 1.0)
    rows = np.atleast_2d(start)

    def slope(i: int) -> np.ndarray:
        return _slope(lambda t: _loss(case, **{name: _moved(rows, i, t).reshape(start.shape)}), scale)

    return np.stack([slope(i) for i in range(len(rows))]).reshape(start.shape)


def _loss(case: Case, x=None, mu=None, sigma2=None, x_hat=None, gamma=None, beta=None) -> np.ndarray:
    """Loss of each feature (d,), sum_i dy_i y_i, in long double: what is given replaces what would be computed."""
    x = case.x.astype(np.longdouble) if x is None else x
    mu = x.mean(0) if mu is None else mu
    sigma2 = ((x - mu) ** 2).mean(0) if sigma2 is None else sigma2
    x_hat = (x - mu) / np.sqrt(sigma2 + case.eps) if x_hat is None else x_hat
    y = (case.gamma if gamma is None else gamma) * x_hat + (case.beta if beta is None else beta)
    return (case.dy * y).sum(0)


def _slope(function: Callable, scale: float | np.ndarray) -> np.ndarray:
    """Central difference of function(t) at t = 0; long double leaves rounding far below the step's error."""
    h = np.longdouble(1e-6) * scale
    return (function(h) - function(-h)) / (2 * h)


def _moved(values: np.ndarray, i: int, t: np.longdouble | np.ndarray) -> np.ndarray:
    """`values` in long double with t added to row i."""
    values = values.astype(np.longdouble)
    values[i] += t
    return values


def _autograd(case: Case, name: str) -> np.ndarray:
    """The same gradient by torch."""
    leaves = {key: torch.tensor(getattr(case, key), requires_grad=True) for key in ("x", "gamma", "beta")}
    x, gamma, beta = leaves.values()
    mu = x.mean(0)
    sigma2 = ((x - mu) ** 2).mean(0)
    x_hat = (x - mu) / torch.sqrt(sigma2 + case.eps)
    loss = (torch.tensor(case.dy) * (gamma * x_hat + beta)).sum()
    chain = leaves | {"mu": mu, "sigma2": sigma2, "x_hat": x_hat}
    return torch.autograd.grad(loss, chain[name])[0].numpy()
