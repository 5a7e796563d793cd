"""Section 3, the transform: what Algorithm 1 does to a mini-batch, and what it leaves as it is."""

import numpy as np
import torch

from bn import reference
from bn.lab.chapters.algorithm.case import Case, Numbers, error, normalize
from bn.layers import BatchNorm1d

_NODES = 150  # of the quadrature: R² at variance 25 is then off by 5e-6


def alg1_transform(case: Case) -> Numbers:
    """Algorithm 1 against the same four lines in long double."""
    x = case.x.astype(np.longdouble)
    centred = x - x.mean(0)
    expected = case.gamma * centred / np.sqrt((centred**2).mean(0) + case.eps) + case.beta
    return {"error": error(case.forward()[0], expected)}


def eps_role(case: Case) -> Numbers:
    """Where a feature is constant, eps keeps output and gradient finite; else it shrinks the variance."""
    m, d = case.x.shape
    # Small integers: their sum is exact, so that the mean is the constant itself
    constant = np.tile(np.random.default_rng(case.seed).integers(-9, 10, d), (m, 1))
    y, cache = reference.batch_norm(constant, case.gamma, case.beta, case.eps)
    dx, _, _ = reference.batch_norm_backward(case.dy, cache)
    limit = case.gamma / np.sqrt(case.eps) * (case.dy - case.dy.mean(0))
    x_hat, v = normalize(case.x, case.eps).x_hat, case.x.var(0)
    variance = error((x_hat**2).mean(0), v / (v + case.eps))
    return {"constant": error(y, case.beta), "gradient": error(dx, limit), "variance": variance}


def zero_sum_unit_square(case: Case) -> Numbers:
    """Without eps the normalized values of a feature have sum zero and mean square one."""
    x_hat = normalize(case.x, eps=0.0).x_hat
    return {"mean": np.abs(x_hat.mean(0)).max(), "mean_square": error((x_hat**2).mean(0), 1.0)}


def joint_not_fixed(case: Case) -> Numbers:
    """Two mini-batches with equal normalized features, one by one, and opposite correlation."""
    first = np.sort(case.x[:, 0])
    together, apart = (normalize(np.stack([first, second], 1), case.eps) for second in (first, first[::-1]))
    correlations = [np.corrcoef(cache.x_hat.T)[0, 1] for cache in (together, apart)]
    marginals = error(np.sort(apart.x_hat, 0), np.sort(together.x_hat, 0))
    return {"marginals": marginals, "correlation_change": abs(correlations[0] - correlations[1])}


def identity_recoverable(case: Case) -> Numbers:
    """With gamma = sqrt(Var + eps) and beta = E the transform returns its input, with eps and without."""
    errors = {}
    for name, eps in (("without_eps", 0.0), ("with_eps", case.eps)):
        y, _ = reference.batch_norm(case.x, np.sqrt(case.x.var(0) + eps), case.x.mean(0), eps)
        errors[name] = error(y, case.x)
    return errors


def sigmoid_linear_regime(case: Case) -> Numbers:
    """R² of the best line through the logistic function under N(0, 1) and N(0, 25), by Gauss-Hermite quadrature."""
    z, weight = np.polynomial.hermite_e.hermegauss(_NODES)
    weight = weight / weight.sum()

    def r2(std: float) -> float:
        x, g = std * z, 1 / (1 + np.exp(-std * z))
        x, g = x - weight @ x, g - weight @ g
        return (weight @ (x * g)) ** 2 / ((weight @ x**2) * (weight @ g**2))

    return {"r2_unit": r2(1.0), "r2_wide": r2(5.0)}


def m_greater_1(case: Case) -> Numbers:
    """One example: the output is beta and no gradient reaches x, so that reference and layer refuse it (3.1)."""
    d = len(case.gamma)
    x = torch.tensor(case.x[:1], requires_grad=True)
    gamma, beta, dy = torch.tensor(case.gamma), torch.tensor(case.beta), torch.tensor(case.dy[:1])
    y = gamma * (x - x.mean(0)) / torch.sqrt(x.var(0, correction=0) + case.eps) + beta
    (dx,) = torch.autograd.grad(y, x, dy)
    trials = (lambda: normalize(case.x[:1], case.eps), lambda: BatchNorm1d(d, dtype=torch.float64)(x))
    refused = np.mean([_refuses(trial) for trial in trials])
    return {"output": (y - beta).abs().max().item(), "gradient": dx.abs().max().item(), "refused": refused}


def _refuses(trial) -> bool:
    try:
        trial()
    except ValueError:
        return True
    return False
