"""Algorithms 1 and 2 and the gradient equations as the paper writes them: NumPy, float64, a line for each.

Slow and literal on purpose: this is the oracle that the layers and the experiments are held against.
Symbols are the paper's: `mu_B`, `sigma2_B`, `x_hat`, `gamma`, `beta`, `m`; a gradient of the loss with
respect to `v` is called `dv`. Everything is dimensionless. Source: Ioffe and Szegedy (2015), arXiv
1502.03167, sections 3, 3.1 and 3.2.

An input is (m, d), m examples of d features, or (N, C, *), N examples of C feature maps. A feature map is
one feature seen at every position: section 3.2 takes its statistics over a mini-batch of m' = N * positions rows.
"""

import math
from typing import NamedTuple

import numpy as np


class Cache(NamedTuple):
    """What the backward pass needs. The rows are the m (or m') values of each of the d features."""

    x: np.ndarray  # (m, d)
    x_hat: np.ndarray  # (m, d)
    mu_B: np.ndarray  # (d,)
    sigma2_B: np.ndarray  # (d,)
    gamma: np.ndarray  # (d,)
    eps: float
    shape: tuple[int, ...]  # of the input before it was laid out in rows


class Gradients(NamedTuple):
    """The six gradients of section 3, in the paper's order; `dx` and `dx_hat` have the shape of the input."""

    dx_hat: np.ndarray
    dsigma2_B: np.ndarray  # (d,)
    dmu_B: np.ndarray  # (d,)
    dx: np.ndarray
    dgamma: np.ndarray  # (d,)
    dbeta: np.ndarray  # (d,)


def batch_norm(x, gamma, beta, eps=1e-5):
    """Normalize a mini-batch by its own statistics, then scale and shift (Algorithm 1).

    >>> y, cache = batch_norm([[0.0], [2.0]], gamma=[3.0], beta=[10.0], eps=0.0)
    >>> y.tolist()
    [[7.0], [13.0]]

    Shapes: `x` (m, d) or (N, C, *), `gamma` and `beta` (d,) or (C,); `y` has the shape of `x`.
    Errors: ValueError where m < 2, eps < 0, a shape does not fit, or a variance is 0 while eps is 0.
    """
    rows = _rows("x", x)
    m, d = rows.shape
    if m < 2:
        raise ValueError(f"training needs more than one value for each feature (m > 1), but m is {m}")
    gamma, beta = _vector("gamma", gamma, d), _vector("beta", beta, d)

    mu_B = rows.sum(0) / m  # Algorithm 1, line 1
    sigma2_B = ((rows - mu_B) ** 2).sum(0) / m  # line 2
    _check_variance(sigma2_B, eps)
    x_hat = (rows - mu_B) / np.sqrt(sigma2_B + eps)  # line 3
    y = gamma * x_hat + beta  # line 4
    return _like(y, np.shape(x)), Cache(rows, x_hat, mu_B, sigma2_B, gamma, eps, np.shape(x))


def batch_norm_gradients(dy, cache):
    """Take the gradient of the loss through Algorithm 1, by the six equations of section 3.

    >>> y, cache = batch_norm([[0.0], [1.0], [5.0]], gamma=[1.0], beta=[0.0])
    >>> batch_norm_gradients([[1.0], [0.0], [0.0]], cache).dbeta.tolist()
    [1.0]

    Shapes: `dy`, the gradient with respect to y, has the shape of the input; see `Gradients` for the rest.
    Errors: ValueError where `dy` has another shape.
    """
    if np.shape(dy) != cache.shape:
        raise ValueError(f"dy must have the shape of the input, {cache.shape}, but it has {np.shape(dy)}")
    x, x_hat, mu_B, sigma2_B, gamma, eps, shape = cache
    dy, m = _rows("dy", dy), len(x)

    dx_hat = dy * gamma  # section 3, equation 1
    dsigma2_B = (dx_hat * (x - mu_B) * (-1 / 2) * (sigma2_B + eps) ** (-3 / 2)).sum(0)  # equation 2
    dmu_B = (-dx_hat / np.sqrt(sigma2_B + eps)).sum(0) + dsigma2_B * (-2 * (x - mu_B)).sum(0) / m  # 3
    dx = dx_hat / np.sqrt(sigma2_B + eps) + dsigma2_B * 2 * (x - mu_B) / m + dmu_B / m  # equation 4
    dgamma = (dy * x_hat).sum(0)  # equation 5
    dbeta = dy.sum(0)  # equation 6
    return Gradients(_like(dx_hat, shape), dsigma2_B, dmu_B, _like(dx, shape), dgamma, dbeta)


def batch_norm_backward(dy, cache):
    """Return (dx, dgamma, dbeta), the gradients that leave the layer; see `batch_norm_gradients`.

    >>> y, cache = batch_norm([[0.0], [1.0], [5.0]], gamma=[1.0], beta=[0.0])
    >>> dx, dgamma, dbeta = batch_norm_backward([[1.0], [0.0], [0.0]], cache)
    """
    gradients = batch_norm_gradients(dy, cache)
    return gradients.dx, gradients.dgamma, gradients.dbeta


def population_statistics(batches):
    """Estimate E[x] and Var[x] of each feature from training mini-batches (Algorithm 2, line 10).

    >>> mean, var = population_statistics([[[0.0], [2.0]], [[1.0], [5.0]]])
    >>> mean.tolist(), var.tolist()
    ([2.0], [5.0])

    Shapes: each mini-batch (m, d) or (N, C, *), all of one size; `mean` and `var` (d,) or (C,).
    `var` is unbiased where the m values of a mini-batch are independent; neighbouring pixels are not.
    Errors: ValueError where there is no mini-batch, m < 2, or the sizes differ.
    """
    batches = [_rows("every mini-batch", batch) for batch in batches]
    sizes = sorted({batch.shape for batch in batches})
    if len(sizes) != 1:
        raise ValueError(f"the mini-batches must be at least one and all of one size, but (m, d) is {sizes}")
    ((m, _),) = sizes
    if m < 2:
        raise ValueError(f"a variance needs more than one value for each feature (m > 1), but m is {m}")

    mu_B = np.stack([batch.mean(0) for batch in batches])
    sigma2_B = np.stack([batch.var(0) for batch in batches])
    mean = mu_B.mean(0)  # Algorithm 2: E[x] = E_B[mu_B]
    var = m / (m - 1) * sigma2_B.mean(0)  # Algorithm 2: Var[x] = m/(m-1) E_B[sigma2_B]
    return mean, var


def batch_norm_inference(x, gamma, beta, mean, var, eps=1e-5):
    """Apply the one affine map that is left once the statistics are fixed (Algorithm 2, line 11).

    >>> batch_norm_inference([[4.0]], gamma=[3.0], beta=[10.0], mean=[2.0], var=[4.0], eps=0.0).tolist()
    [[13.0]]

    Shapes: `x` (m, d) or (N, C, *) with any m, the four others (d,) or (C,); the result has the shape of `x`.
    Errors: ValueError where eps < 0, a shape does not fit, or var + eps is not positive.
    """
    slope, offset = affine_map(gamma, beta, mean, var, eps)
    rows = _rows("x", x)
    _vector("gamma", gamma, rows.shape[1])
    return _like(slope * rows + offset, np.shape(x))  # Algorithm 2, line 11


def affine_map(gamma, beta, mean, var, eps=1e-5):
    """Return slope and offset of that map, each (d,), for folding it into the layer before (section 3.1).

    >>> slope, offset = affine_map(gamma=[3.0], beta=[10.0], mean=[2.0], var=[4.0], eps=0.0)
    >>> slope.tolist(), offset.tolist()
    ([1.5], [7.0])

    Errors: as `batch_norm_inference`.
    """
    d = np.asarray(gamma).size
    gamma, beta = _vector("gamma", gamma, d), _vector("beta", beta, d)
    mean, var = _vector("mean", mean, d), _vector("var", var, d)
    _check_variance(var, eps)
    slope = gamma / np.sqrt(var + eps)
    return slope, beta - slope * mean


def _rows(name, x):
    """Lay (m, d) or (N, C, *) out as (m', d): channels last, every place of a feature map a row."""
    x = _float64(name, x)
    if x.ndim < 2:
        raise ValueError(f"{name} must have shape (m, d) or (N, C, *), but its shape is {x.shape}")
    m, d, positions = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    return np.moveaxis(x, 1, -1).reshape(m * positions, d)


def _like(rows, shape):
    """Undo `_rows`."""
    channels_last = (shape[0], *shape[2:], shape[1])
    return np.moveaxis(rows.reshape(channels_last), -1, 1)


def _vector(name, value, d):
    value = _float64(name, value)
    if value.shape != (d,):
        raise ValueError(f"{name} must have shape ({d},), a value for each feature, not {value.shape}")
    return value


def _float64(name, value):
    value = np.asarray(value)
    if value.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold real numbers, but its dtype is {value.dtype}")
    return value.astype(np.float64)


def _check_variance(variance, eps):
    if not eps >= 0:  # also refuses nan
        raise ValueError(f"eps must be 0 or more, but it is {eps}")
    if np.any(variance + eps <= 0):
        raise ValueError("variance + eps must be positive, but a feature does not vary and eps is too small")
