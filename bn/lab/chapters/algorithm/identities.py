"""The mathematical claims of sections 3 to 3.3: a function measures each on data drawn from a seed.

>>> sorted(measure(seeds=[0], m=60, features=8, eps=1e-5)["grad-input"])
['autograd', 'finite_difference']

The error is that of `bn.reference` against long double, finite differences, torch or enumeration. Everything is
dimensionless and, where not said otherwise, float64.
"""

import itertools
import statistics
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import integrate, stats
from scipy.special import expit
from torch import Tensor, nn

from bn import reference
from bn.lab.chapters.algorithm import gradients
from bn.lab.chapters.algorithm.case import Case, draw, normalize
from bn.lab.judge.identities import Numbers, error, named, of_cases
from bn.layers import BatchNorm1d, BatchNorm2d

_NODES = 250  # of the quadrature: R² at variance 25 is then off by 7e-8


def measure(seeds: Sequence[int], m: int, features: int, eps: float) -> dict[str, dict[str, list[float]]]:
    """Measure every claim for each seed: {claim id: {name: [a number for each seed]}}.

    A mini-batch has `m` examples of `features` numbers, `eps` is the constant under the root. ValueError where m is 1.
    """
    cases = [draw(seed, m, features, eps) for seed in seeds]
    return of_cases(CLAIMS, cases)


# ---- Section 3: what Algorithm 1 does to a mini-batch, and what it leaves as it is ---------------


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
    """R² of the best line through the logistic function under N(0, 1) and N(0, 25), by two ways of integration."""
    r2 = {std: [_r2(std, expectation) for expectation in (_gauss_hermite, _adaptive)] for std in (1.0, 5.0)}
    apart = max(abs(a - b) for a, b in r2.values())
    return {"r2_unit": r2[1.0][0], "r2_wide": r2[5.0][0], "apart": apart}


def _r2(std: float, expectation: Callable[[Callable], float]) -> float:
    """Squared correlation of x from N(0, std²) and g(x), which is 1/2 on average because g - 1/2 is odd."""

    def g(z):
        return expit(std * z) - 1 / 2

    return expectation(lambda z: z * g(z)) ** 2 / expectation(lambda z: g(z) ** 2)


def _gauss_hermite(f: Callable) -> float:
    """Mean of f(z) over N(0, 1)."""
    z, weight = np.polynomial.hermite_e.hermegauss(_NODES)
    return weight @ f(z) / weight.sum()


def _adaptive(f: Callable) -> float:
    """The same by subdivision, up to where the density is below 1e-33."""
    return integrate.quad(lambda z: f(z) * stats.norm.pdf(z), -12, 12, epsabs=1e-13, limit=200)[0]


# ---- Sections 3.1 to 3.3: Algorithm 2 and its affine map, feature maps, the bias, scale -----------


def m_greater_1(case: Case) -> Numbers:
    """One example: the output is beta and no gradient reaches x (3.1)."""
    x = torch.tensor(case.x[:1], requires_grad=True)
    gamma, beta, dy = torch.tensor(case.gamma), torch.tensor(case.beta), torch.tensor(case.dy[:1])
    y = gamma * (x - x.mean(0)) / torch.sqrt(x.var(0, correction=0) + case.eps) + beta
    (dx,) = torch.autograd.grad(y, x, dy)
    return {"output": (y - beta).abs().max().item(), "gradient": dx.abs().max().item()}


def unbiased_variance(case: Case) -> Numbers:
    """Over all m-tuples of a law with three equally likely values, m/(m-1) sigma2_B is Var on average."""
    values = np.random.default_rng(case.seed).normal(size=3)
    variance = ((values - values.mean()) ** 2).mean()
    with_factor, without_factor = [], []
    for m in (2, 3, 5):
        tuples = np.array(list(itertools.product(values, repeat=m)))[..., None]
        _, estimate = reference.population_statistics(tuples)
        with_factor.append(error(estimate / variance, 1.0))
        without_factor.append(error(tuples.var(axis=1).mean() / variance, (m - 1) / m))
    return {"error": max(with_factor), "without_factor": max(without_factor)}


def population_statistics(case: Case) -> Numbers:
    """E[x] and Var[x] of several mini-batches against the averages by Python's own exact sums."""
    rng = np.random.default_rng(case.seed)
    batches = [case.x + rng.normal(size=case.x.shape) for _ in range(10)]
    mean, var = reference.population_statistics(batches)
    columns = [batch.T.tolist() for batch in batches]
    means = [statistics.fmean(itertools.chain(*column)) for column in zip(*columns, strict=True)]
    variances = [statistics.fmean(map(statistics.variance, column)) for column in zip(*columns, strict=True)]
    return {"mean": error(mean, means), "variance": error(var, variances)}


def inference_deterministic(case: Case) -> Numbers:
    """Spread of one example's output over 100 mini-batches, with fixed statistics and with their own."""
    rng = np.random.default_rng(case.seed)
    fixed, training = [], []
    for _ in range(100):
        others = case.x[1:] + rng.normal(size=case.x[1:].shape)
        batch = np.concatenate([case.x[:1], others])
        fixed.append(_inference(case, batch)[0])
        training.append(reference.batch_norm(batch, case.gamma, case.beta, case.eps)[0][0])
    return {"inference_spread": np.ptp(fixed, 0).max(), "training_spread": np.ptp(training, 0).min()}


def _inference(case: Case, x: np.ndarray) -> np.ndarray:
    """Algorithm 2, line 11, with the case's mini-batch in the role of the population."""
    mean, var = reference.population_statistics([case.x])
    return reference.batch_norm_inference(x, case.gamma, case.beta, mean, var, case.eps)


def inference_linear(case: Case) -> Numbers:
    """With fixed statistics: the map in one step equals line 3 then line 4, and keeps weighted means."""
    mean, var = case.x.mean(0), case.x.var(0, ddof=1)
    unfolded = case.gamma * ((case.x - mean) / np.sqrt(var + case.eps)) + case.beta
    a, b, t = case.x, case.dy, 0.3
    mixed = t * _inference(case, a) + (1 - t) * _inference(case, b)
    return {
        "folded": error(_inference(case, case.x), unfolded),
        "superposition": error(_inference(case, t * a + (1 - t) * b), mixed),
    }


def fold_into_previous_layer(case: Case) -> Numbers:
    """Scale the weights and move the bias of the layer before: the layer after it has nothing left to do."""
    u, d = torch.tensor(case.x), len(case.gamma)

    def largest(dtype: torch.dtype) -> float:
        linear = nn.Linear(d, 16), BatchNorm1d(16, eps=case.eps), u
        convolution = nn.Conv2d(1, 16, 3, padding=1), BatchNorm2d(16, eps=case.eps), u[:, None, None]
        return max(_folding_error(*(part.to(dtype) for part in parts)) for parts in (linear, convolution))

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(case.seed)
        return {"float32": largest(torch.float32), "float64": largest(torch.float64)}


def _folding_error(layer: nn.Linear | nn.Conv2d, norm: BatchNorm1d | BatchNorm2d, u: Tensor) -> float:
    norm.weight.uniform_(0.5, 2), norm.bias.normal_()
    norm.train()(layer(u))  # so that the running statistics are not those of the start
    expected = norm.eval()(layer(u))
    affine = reference.affine_map(norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.eps)
    slope, offset = (torch.tensor(part, dtype=u.dtype) for part in affine)
    layer.weight.mul_(slope.reshape(-1, *[1] * (layer.weight.dim() - 1)))
    layer.bias.mul_(slope).add_(offset)
    return error(layer(u).numpy(), expected.numpy())


def conv_effective_batch(case: Case) -> Numbers:
    """Statistics over mini-batch and spatial positions: torch's 4-D transform is Algorithm 1 on m' = N p q rows."""
    n, p, q, d = 5, 4, 3, len(case.gamma)
    images = np.random.default_rng(case.seed).normal(case.x[0, :, None, None], size=(n, d, p, q))
    rows = [images[i, :, j, k] for i in range(n) for j in range(p) for k in range(q)]
    y, cache = reference.batch_norm(np.array(rows), case.gamma, case.beta, case.eps)
    x, gamma, beta = (torch.tensor(value) for value in (images, case.gamma, case.beta))
    mean, var = torch.zeros(d).double(), torch.zeros(d).double()
    expected = nn.functional.batch_norm(x, mean, var, gamma, beta, training=True, momentum=1.0, eps=case.eps)
    m = n * p * q
    return {
        "output": error(y, expected.permute(0, 2, 3, 1).reshape(m, d)),
        "variance": error(var, m / (m - 1) * cache.sigma2_B),
    }


def bias_redundant(case: Case) -> Numbers:
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
    return {"output": error(with_b, without_b), "gradient": np.abs(gradient.numpy() / size).max()}


def scale_invariance(case: Case) -> Numbers:
    """BN((aW)u) = BN(Wu) for a > 0, without eps."""
    weight = np.random.default_rng(case.seed).normal(size=(len(case.gamma),) * 2)
    expected, _ = reference.batch_norm(case.x @ weight.T, case.gamma, case.beta, eps=0.0)
    scaled = (case.x @ (a * weight).T for a in (1e-3, 7.3, 1e3))
    outputs = (reference.batch_norm(x, case.gamma, case.beta, eps=0.0)[0] for x in scaled)
    return {"error": max(error(output, expected) for output in outputs)}


CLAIMS = gradients.GRADIENTS | named(
    alg1_transform,
    eps_role,
    zero_sum_unit_square,
    joint_not_fixed,
    identity_recoverable,
    gradients.bn_couples_examples,
    gradients.grad_compact,
    gradients.grad_input_sums_zero,
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
