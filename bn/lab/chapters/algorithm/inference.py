"""Sections 3.1 to 3.3: Algorithm 2 and its affine map; then feature maps, the bias before the transform, and scale."""

import itertools
import statistics

import numpy as np
import torch
from torch import Tensor, nn

from bn import reference
from bn.lab.chapters.algorithm.case import Case, Numbers, error
from bn.layers import BatchNorm1d, BatchNorm2d

# ---- Section 3.1 ---------------------------------------------------------------------------------


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


# ---- Sections 3.2 and 3.3 ------------------------------------------------------------------------


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
