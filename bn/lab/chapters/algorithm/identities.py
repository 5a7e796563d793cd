"""The mathematical claims of sections 3 to 3.3: a function measures each on data drawn from a seed.

>>> sorted(measure(seeds=[0], m=60, features=8, eps=1e-5)["grad-input"])
['autograd', 'finite_difference']

A function takes a `Case` and returns named numbers, mostly the error of `bn.reference` against a computation
that shares no code with it: long double, finite differences, torch, enumeration. It does not judge them: the
rules are in book/claims.yml. Everything is dimensionless and, where not said otherwise, float64. The order is
the paper's: the transform and its gradients (section 3), inference (3.1), convolution and scale (3.2, 3.3).
"""

import itertools
import statistics
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from bn import reference
from bn.layers import BatchNorm1d, BatchNorm2d


class Case(NamedTuple):
    """A mini-batch x of Algorithm 1, its parameters, and dy, a gradient that arrives from above."""

    seed: int
    eps: float
    x: np.ndarray  # (m, d)
    gamma: np.ndarray  # (d,)
    beta: np.ndarray  # (d,)
    dy: np.ndarray  # (m, d)


def draw(seed, m, features, eps):
    """Draw a case: each feature has a mean and a scale of its own."""
    rng = np.random.default_rng(seed)
    mean, scale = rng.normal(size=features), rng.uniform(0.5, 2, features)
    x = mean + scale * rng.normal(size=(m, features))
    gamma, beta = rng.uniform(0.5, 2, features), rng.normal(size=features)
    return Case(seed, eps, x, gamma, beta, rng.normal(size=(m, features)))


def measure(seeds, m, features, eps):
    """Measure every claim for each seed: {claim id: {name: [a number for each seed]}}."""
    cases = [draw(seed, m, features, eps) for seed in seeds]
    return {claim: _lists([function(case) for case in cases]) for claim, function in CLAIMS.items()}


def _lists(results):
    return {name: [float(result[name]) for result in results] for name in results[0]}


def _error(got, expected):
    """Largest difference, relative to the largest expected value, or to 1 where that is smaller."""
    got, expected = np.asarray(got), np.asarray(expected)
    return np.abs(got - expected).max() / max(1, np.abs(expected).max())


def _forward(case):
    return reference.batch_norm(case.x, case.gamma, case.beta, case.eps)


def _normalize(x, eps):
    """Lines 1 to 3 of Algorithm 1: statistics and x_hat, where no output is wanted."""
    _, d = x.shape
    return reference.batch_norm(x, np.ones(d), np.zeros(d), eps)[1]


def alg1_transform(case):
    """Algorithm 1 against the same four lines in long double."""
    x = case.x.astype(np.longdouble)
    centred = x - x.mean(0)
    expected = case.gamma * centred / np.sqrt((centred**2).mean(0) + case.eps) + case.beta
    return {"error": _error(_forward(case)[0], expected)}


def eps_role(case):
    """Where a feature is constant, eps keeps output and gradient finite; else it shrinks the variance."""
    m, d = case.x.shape
    # Small integers: their sum is exact, so that the mean is the constant itself
    constant = np.tile(np.random.default_rng(case.seed).integers(-9, 10, d), (m, 1))
    y, cache = reference.batch_norm(constant, case.gamma, case.beta, case.eps)
    dx, _, _ = reference.batch_norm_backward(case.dy, cache)
    limit = case.gamma / np.sqrt(case.eps) * (case.dy - case.dy.mean(0))
    x_hat, v = _normalize(case.x, case.eps).x_hat, case.x.var(0)
    variance = _error((x_hat**2).mean(0), v / (v + case.eps))
    return {"constant": _error(y, case.beta), "gradient": _error(dx, limit), "variance": variance}


def zero_sum_unit_square(case):
    """Without eps the normalized values of a feature have sum zero and mean square one."""
    x_hat = _normalize(case.x, eps=0.0).x_hat
    return {"mean": np.abs(x_hat.mean(0)).max(), "mean_square": _error((x_hat**2).mean(0), 1.0)}


def joint_not_fixed(case):
    """Two mini-batches with equal normalized features, one by one, and opposite correlation."""
    first = np.sort(case.x[:, 0])
    together, apart = (_normalize(np.stack([first, second], 1), case.eps) for second in (first, first[::-1]))
    correlations = [np.corrcoef(cache.x_hat.T)[0, 1] for cache in (together, apart)]
    marginals = _error(np.sort(apart.x_hat, 0), np.sort(together.x_hat, 0))
    return {"marginals": marginals, "correlation_change": abs(correlations[0] - correlations[1])}


def identity_recoverable(case):
    """With gamma = sqrt(Var + eps) and beta = E the transform returns its input, with eps and without."""
    errors = {}
    for name, eps in (("without_eps", 0.0), ("with_eps", case.eps)):
        y, _ = reference.batch_norm(case.x, np.sqrt(case.x.var(0) + eps), case.x.mean(0), eps)
        errors[name] = _error(y, case.x)
    return errors


def bn_couples_examples(case):
    """dy_i/dx_j for j other than i is -gamma (1 + x_hat_i x_hat_j) / (m sqrt(Var + eps)), and not zero."""
    x, m = case.x[:, 0], len(case.x)
    gamma, x_hat = case.gamma[0], _normalize(case.x, case.eps).x_hat[:, 0]
    formula = -gamma * (1 + np.outer(x_hat, x_hat)) / (m * np.sqrt(x.var() + case.eps))

    def transform(x):
        return gamma * (x - x.mean()) / np.sqrt(x.var() + np.longdouble(case.eps))

    jacobian = np.stack([_slope(lambda t, j=j: transform(_moved(x, j, t)), x.std()) for j in range(m)], 1)
    cross = ~np.eye(m, dtype=bool)
    return {"error": _error(formula[cross], jacobian[cross]), "largest": np.abs(jacobian[cross]).max()}


def _slope(function, scale):
    """Central difference of function(t) at t = 0; long double leaves rounding far below the step's error."""
    h = np.longdouble(1e-6) * scale
    return (function(h) - function(-h)) / (2 * h)


def _moved(values, i, t):
    """`values` in long double with t added to row i."""
    values = values.astype(np.longdouble)
    values[i] += t
    return values


def _loss(case, x=None, mu=None, sigma2=None, x_hat=None, gamma=None, beta=None):
    """Loss of each feature, sum_i dy_i y_i, in long double: what is given replaces what would be computed."""
    x = case.x.astype(np.longdouble) if x is None else x
    mu = x.mean(0) if mu is None else mu
    sigma2 = ((x - mu) ** 2).mean(0) if sigma2 is None else sigma2
    x_hat = (x - mu) / np.sqrt(sigma2 + case.eps) if x_hat is None else x_hat
    y = (case.gamma if gamma is None else gamma) * x_hat + (case.beta if beta is None else beta)
    return (case.dy * y).sum(0)


def _finite_difference(case, name):
    """Gradient of the loss with respect to the named variable of the chain, by moving its value.

    A feature has statistics of its own, so that a row can be moved in all features at once.
    """
    cache = _normalize(case.x, case.eps)
    start = {"x": case.x, "x_hat": cache.x_hat, "mu": cache.mu_B, "sigma2": cache.sigma2_B}
    start = (start | {"gamma": case.gamma, "beta": case.beta})[name]
    scale = {"x": case.x.std(0), "mu": case.x.std(0), "sigma2": case.x.var(0)}.get(name, 1.0)
    rows = np.atleast_2d(start)

    def slope(i):
        return _slope(lambda t: _loss(case, **{name: _moved(rows, i, t).reshape(start.shape)}), scale)

    return np.stack([slope(i) for i in range(len(rows))]).reshape(start.shape)


def _autograd(case, name):
    """The same gradient by torch."""
    leaves = {key: torch.tensor(getattr(case, key), requires_grad=True) for key in ("x", "gamma", "beta")}
    x, gamma, beta = leaves.values()
    mu = x.mean(0)
    sigma2 = ((x - mu) ** 2).mean(0)
    x_hat = (x - mu) / torch.sqrt(sigma2 + case.eps)
    loss = (torch.tensor(case.dy) * (gamma * x_hat + beta)).sum()
    chain = leaves | {"mu": mu, "sigma2": sigma2, "x_hat": x_hat}
    return torch.autograd.grad(loss, chain[name])[0].numpy()


def _gradient(case, name, field):
    got = getattr(reference.batch_norm_gradients(case.dy, _forward(case)[1]), field)
    methods = {"finite_difference": _finite_difference, "autograd": _autograd}
    return {method: _error(got, function(case, name)) for method, function in methods.items()}


def grad_mean(case):
    """Equation 3: the variance follows the mean. The second term is zero, as x - mu_B has sum zero."""
    _, cache = _forward(case)
    dsigma2_B = reference.batch_norm_gradients(case.dy, cache).dsigma2_B
    second_term = dsigma2_B * (-2 * (case.x - cache.mu_B)).mean(0)
    return _gradient(case, "mu", "dmu_B") | {"second_term": np.abs(second_term).max()}


def grad_compact(case):
    """Equations 1 to 4 are together gamma/(m s) (m dy - sum dy - x_hat sum dy x_hat), s = sqrt(Var + eps)."""
    m, dy = len(case.x), case.dy
    _, cache = _forward(case)
    x_hat, s = cache.x_hat, np.sqrt(case.x.var(0) + case.eps)
    compact = case.gamma / (m * s) * (m * dy - dy.sum(0) - x_hat * (dy * x_hat).sum(0))
    return {"error": _error(compact, reference.batch_norm_backward(dy, cache)[0])}


def grad_input_sums_zero(case):
    """dx has sum zero over the mini-batch and, without eps, no component along x_hat."""
    _, cache = reference.batch_norm(case.x, case.gamma, case.beta, eps=0.0)
    dx, _, _ = reference.batch_norm_backward(case.dy, cache)
    # The size of what cancels, were the statistics constants
    size = np.abs(case.gamma * case.dy / case.x.std(0)).sum(0)
    along_x_hat = (dx * cache.x_hat).sum(0)
    return {"sum": np.abs(dx.sum(0) / size).max(), "along_x_hat": np.abs(along_x_hat / size).max()}


def m_greater_1(case):
    """One example: the output is beta and no gradient reaches x, so that reference and layer refuse it."""
    d = len(case.gamma)
    x = torch.tensor(case.x[:1], requires_grad=True)
    gamma, beta, dy = torch.tensor(case.gamma), torch.tensor(case.beta), torch.tensor(case.dy[:1])
    y = gamma * (x - x.mean(0)) / torch.sqrt(x.var(0, correction=0) + case.eps) + beta
    (dx,) = torch.autograd.grad(y, x, dy)
    trials = (lambda: _normalize(case.x[:1], case.eps), lambda: BatchNorm1d(d, dtype=torch.float64)(x))
    refused = np.mean([_refuses(trial) for trial in trials])
    return {"output": (y - beta).abs().max().item(), "gradient": dx.abs().max().item(), "refused": refused}


def _refuses(trial):
    try:
        trial()
    except ValueError:
        return True
    return False


def unbiased_variance(case):
    """Over all m-tuples of a law with three equally likely values, m/(m-1) sigma2_B is Var on average."""
    values = np.random.default_rng(case.seed).normal(size=3)
    variance = ((values - values.mean()) ** 2).mean()
    with_factor, without_factor = [], []
    for m in (2, 3, 5):
        tuples = np.array(list(itertools.product(values, repeat=m)))[..., None]
        _, estimate = reference.population_statistics(tuples)
        with_factor.append(_error(estimate / variance, 1.0))
        without_factor.append(_error(tuples.var(axis=1).mean() / variance, (m - 1) / m))
    return {"error": max(with_factor), "without_factor": max(without_factor)}


def population_statistics(case):
    """E[x] and Var[x] of several mini-batches against the averages by Python's own exact sums."""
    rng = np.random.default_rng(case.seed)
    batches = [case.x + rng.normal(size=case.x.shape) for _ in range(10)]
    mean, var = reference.population_statistics(batches)
    columns = [batch.T.tolist() for batch in batches]
    means = [statistics.fmean(itertools.chain(*column)) for column in zip(*columns, strict=True)]
    variances = [statistics.fmean(map(statistics.variance, column)) for column in zip(*columns, strict=True)]
    return {"mean": _error(mean, means), "variance": _error(var, variances)}


def inference_deterministic(case):
    """Spread of one example's output over 100 mini-batches, with fixed statistics and with their own."""
    rng = np.random.default_rng(case.seed)
    fixed, training = [], []
    for _ in range(100):
        others = case.x[1:] + rng.normal(size=case.x[1:].shape)
        batch = np.concatenate([case.x[:1], others])
        fixed.append(_inference(case, batch)[0])
        training.append(reference.batch_norm(batch, case.gamma, case.beta, case.eps)[0][0])
    return {"inference_spread": np.ptp(fixed, 0).max(), "training_spread": np.ptp(training, 0).min()}


def _inference(case, x):
    """Algorithm 2, line 11, with the case's mini-batch in the role of the population."""
    mean, var = reference.population_statistics([case.x])
    return reference.batch_norm_inference(x, case.gamma, case.beta, mean, var, case.eps)


def inference_linear(case):
    """With fixed statistics: the map in one step equals line 3 then line 4, and keeps weighted means."""
    mean, var = case.x.mean(0), case.x.var(0, ddof=1)
    unfolded = case.gamma * ((case.x - mean) / np.sqrt(var + case.eps)) + case.beta
    a, b, t = case.x, case.dy, 0.3
    mixed = t * _inference(case, a) + (1 - t) * _inference(case, b)
    return {
        "folded": _error(_inference(case, case.x), unfolded),
        "superposition": _error(_inference(case, t * a + (1 - t) * b), mixed),
    }


def fold_into_previous_layer(case):
    """Scale the weights and move the bias of the layer before: the layer after it has nothing left to do."""
    u, d = torch.tensor(case.x), len(case.gamma)

    def error(dtype):
        linear = nn.Linear(d, 16), BatchNorm1d(16, eps=case.eps), u
        convolution = nn.Conv2d(1, 16, 3, padding=1), BatchNorm2d(16, eps=case.eps), u[:, None, None]
        return max(_folding_error(*(part.to(dtype) for part in parts)) for parts in (linear, convolution))

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(case.seed)
        return {"float32": error(torch.float32), "float64": error(torch.float64)}


def _folding_error(layer, norm, u):
    norm.weight.uniform_(0.5, 2), norm.bias.normal_()
    norm.train()(layer(u))  # so that the running statistics are not those of the start
    expected = norm.eval()(layer(u))
    affine = reference.affine_map(norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.eps)
    slope, offset = (torch.tensor(part, dtype=u.dtype) for part in affine)
    layer.weight.mul_(slope.reshape(-1, *[1] * (layer.weight.dim() - 1)))
    layer.bias.mul_(slope).add_(offset)
    return _error(layer(u).numpy(), expected.numpy())


def sigmoid_linear_regime(case):
    """R^2 of the best line through the logistic function under N(0, 1) and N(0, 25), by quadrature."""
    z, weight = np.polynomial.hermite_e.hermegauss(150)
    weight = weight / weight.sum()

    def r2(std):
        x, g = std * z, 1 / (1 + np.exp(-std * z))
        x, g = x - weight @ x, g - weight @ g
        return (weight @ (x * g)) ** 2 / ((weight @ x**2) * (weight @ g**2))

    return {"r2_unit": r2(1.0), "r2_wide": r2(5.0)}


def conv_effective_batch(case):
    """Statistics over mini-batch and places: torch's 4-D transform is Algorithm 1 on m' = N p q rows."""
    n, p, q, d = 5, 4, 3, len(case.gamma)
    images = np.random.default_rng(case.seed).normal(case.x[0, :, None, None], size=(n, d, p, q))
    rows = [images[i, :, j, k] for i in range(n) for j in range(p) for k in range(q)]
    y, cache = reference.batch_norm(np.array(rows), case.gamma, case.beta, case.eps)
    x, gamma, beta = (torch.tensor(value) for value in (images, case.gamma, case.beta))
    mean, var = torch.zeros(d).double(), torch.zeros(d).double()
    expected = nn.functional.batch_norm(x, mean, var, gamma, beta, training=True, momentum=1.0, eps=case.eps)
    m = n * p * q
    return {
        "output": _error(y, expected.permute(0, 2, 3, 1).reshape(m, d)),
        "variance": _error(var, m / (m - 1) * cache.sigma2_B),
    }


def bias_redundant(case):
    """BN(Wu + b) = BN(Wu), and the gradient with respect to b is zero (relative to what cancels in it)."""
    d = len(case.gamma)
    rng = np.random.default_rng(case.seed)
    weight, b = rng.normal(size=(d, d)), rng.normal(size=d)
    x = case.x @ weight.T
    with_b, cache = reference.batch_norm(x + b, case.gamma, case.beta, case.eps)
    without_b, _ = reference.batch_norm(x, case.gamma, case.beta, case.eps)

    bias, gamma = torch.tensor(b, requires_grad=True), torch.tensor(case.gamma)
    y = nn.functional.batch_norm(torch.tensor(x) + bias, None, None, gamma, training=True, eps=case.eps)
    (gradient,) = torch.autograd.grad(y, bias, torch.tensor(case.dy))
    size = np.abs(case.gamma * case.dy / np.sqrt(cache.sigma2_B + case.eps)).sum(0)
    return {"output": _error(with_b, without_b), "gradient": np.abs(gradient.numpy() / size).max()}


def scale_invariance(case):
    """BN((aW)u) = BN(Wu) for a > 0, without eps."""
    weight = np.random.default_rng(case.seed).normal(size=(len(case.gamma),) * 2)
    expected, _ = reference.batch_norm(case.x @ weight.T, case.gamma, case.beta, eps=0.0)
    scaled = (case.x @ (a * weight).T for a in (1e-3, 7.3, 1e3))
    outputs = (reference.batch_norm(x, case.gamma, case.beta, eps=0.0)[0] for x in scaled)
    return {"error": max(_error(output, expected) for output in outputs)}


GRADIENTS = {
    "grad-xhat": partial(_gradient, name="x_hat", field="dx_hat"),
    "grad-var": partial(_gradient, name="sigma2", field="dsigma2_B"),
    "grad-mean": grad_mean,
    "grad-input": partial(_gradient, name="x", field="dx"),
    "grad-gamma": partial(_gradient, name="gamma", field="dgamma"),
    "grad-beta": partial(_gradient, name="beta", field="dbeta"),
}

CLAIMS = GRADIENTS | {
    function.__name__.replace("_", "-"): function
    for function in (
        alg1_transform,
        eps_role,
        zero_sum_unit_square,
        joint_not_fixed,
        identity_recoverable,
        bn_couples_examples,
        grad_compact,
        grad_input_sums_zero,
        m_greater_1,
        unbiased_variance,
        population_statistics,
        inference_deterministic,
        inference_linear,
        fold_into_previous_layer,
        sigmoid_linear_regime,
        conv_effective_batch,
        bias_redundant,
        scale_invariance,
    )
}
