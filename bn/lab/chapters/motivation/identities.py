"""The mathematical claims of sections 1 and 2: a function measures each on data drawn from a seed.

>>> sorted(measure([0])["whitening-formula"])
['identity', 'mean']

Everything is dimensionless and, where not said otherwise, float64.
"""

from collections.abc import Callable, Sequence
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
import torch
from scipy import linalg
from torch import nn
from torch.nn.functional import cross_entropy

from bn import reference
from bn.lab.chapters.motivation import toys
from bn.lab.judge.identities import Numbers, error, named, of_cases
from bn.layers import BatchNorm1d

_EXAMPLES, _FEATURES, _CLASSES = 40, 6, 3
_FEW = 6  # examples whose mini-batches are all listed
_EPS = 1e-5
_RATE, _SMALL = 0.1, 0.01  # a small one leaves the sign of a scale alone
_STEPS = 1_000  # of the bias that grows
_FAR = np.array([0.0, 5.0, 10.0])  # where the paper's figure of speech, |x| large, is looked at


class Case(NamedTuple):
    """Examples u of a layer with weights W and bias b, their labels, and a gradient dy that arrives from above."""

    seed: int
    u: np.ndarray  # (m, d): features with a mean and a scale of their own, and correlated
    labels: np.ndarray  # (m,)
    W: np.ndarray  # (d, d)
    b: np.ndarray  # (d,)
    dy: np.ndarray  # (m, d)


def draw(seed: int) -> Case:
    """Draw a case."""
    rng, d = np.random.default_rng(seed), _FEATURES
    mixing = rng.normal(size=(d, d)) + 2 * np.eye(d)
    u = rng.normal(size=d) + rng.normal(size=(_EXAMPLES, d)) @ mixing
    labels = rng.integers(_CLASSES, size=_EXAMPLES)
    return Case(seed, u, labels, rng.normal(size=(d, d)), rng.normal(size=d), rng.normal(size=(_EXAMPLES, d)))


def measure(seeds: Sequence[int]) -> dict[str, dict[str, list[float]]]:
    """Measure every claim for each seed: {claim id: {name: [a number for each seed]}}."""
    return of_cases(CLAIMS, [draw(seed) for seed in seeds])


def sigmoid(x: np.ndarray) -> np.ndarray:
    """The logistic function g(x), in the precision of x."""
    return 1 / (1 + np.exp(-x))


# ---- Section 1: mini-batches ---------------------------------------------------------------------


def minibatch_grad_unbiased(case: Case) -> Numbers:
    """The mean over all mini-batches of each size is the gradient of the whole set."""
    each, whole = _gradients(case, range(_FEW)), _gradient(case, range(_FEW))
    means = [np.mean([each[list(i)].mean(0) for i in combinations(range(_FEW), m)], 0) for m in range(1, _FEW + 1)]
    one = list(next(iter(combinations(range(_FEW), 2))))
    return {
        "bias": max(error(mean, whole) for mean in means),
        "of_batches": error(each[one].mean(0), _gradient(case, one)),
    }


def minibatch_grad_variance(case: Case) -> Numbers:
    """Total variance over all draws of m from n, listed: V/m with replacement, V/m (n - m)/(n - 1) without."""
    n = 4
    each = _gradients(case, range(n))
    single = each.var(0).sum()
    errors: dict[str, list[float]] = {"with_replacement": [], "without_replacement": []}
    for m in range(1, n + 1):
        lists = {"with_replacement": product(range(n), repeat=m), "without_replacement": combinations(range(n), m)}
        expected = {"with_replacement": single / m, "without_replacement": single / m * (n - m) / (n - 1)}
        for name, draws in lists.items():
            found = np.array([each[list(i)].mean(0) for i in draws]).var(0).sum()
            errors[name].append(error(found, expected[name]))
    return {name: max(found) for name, found in errors.items()}


def _gradients(case: Case, examples: Sequence[int]) -> np.ndarray:
    """The gradient of each example's loss with respect to all parameters of a small network, (n, parameters)."""
    return np.stack([_gradient(case, [i]) for i in examples])


def _gradient(case: Case, examples: Sequence[int]) -> np.ndarray:
    """That of the mean loss over some examples."""
    lower, upper = _halves(case)
    i = list(examples)
    loss = cross_entropy(upper(lower(torch.tensor(case.u[i]))), torch.tensor(case.labels[i]))
    gradients = torch.autograd.grad(loss, [*lower.parameters(), *upper.parameters()])
    return torch.cat([gradient.flatten() for gradient in gradients]).numpy()


def _halves(case: Case) -> tuple[nn.Sequential, nn.Sequential]:
    """F1 and F2: two layers of a network, with weights drawn from the case's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(case.seed)
        lower = nn.Sequential(nn.Linear(_FEATURES, 5), nn.Sigmoid()).double()
        upper = nn.Sequential(nn.Linear(5, 4), nn.Sigmoid(), nn.Linear(4, _CLASSES)).double()
    return lower, upper


def subnetwork_equivalence(case: Case) -> Numbers:
    """The step of F2 within the whole network, and that of F2 alone on x = F1(u), by hand and in long double."""
    lower, upper = _halves(case)
    before = [p.detach().numpy().astype(np.longdouble) for p in upper.parameters()]
    u, labels = torch.tensor(case.u), torch.tensor(case.labels)
    optimizer = torch.optim.SGD([*lower.parameters(), *upper.parameters()], lr=_RATE)
    x = lower(u).detach().numpy()
    cross_entropy(upper(lower(u)), labels).backward()
    optimizer.step()
    alone = _alone(before, x.astype(np.longdouble), case.labels)
    steps = zip(upper.parameters(), before, alone, strict=True)
    return {"step": max(error((b - p.detach().numpy()) / _RATE, g) for p, b, g in steps)}


def _alone(parameters: list[np.ndarray], x: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Gradients of the mean cross-entropy of F2 with respect to its parameters, by the chain rule."""
    W1, b1, W2, b2 = parameters
    z = sigmoid(x @ W1.T + b1)
    logits = z @ W2.T + b2
    p = np.exp(logits - logits.max(1, keepdims=True))
    dlogits = (p / p.sum(1, keepdims=True) - np.eye(_CLASSES)[labels]) / len(x)
    dhidden = dlogits @ W2 * z * (1 - z)
    return [dhidden.T @ x, dhidden.sum(0), dlogits.T @ z, dlogits.sum(0)]


# ---- Section 1: saturation -----------------------------------------------------------------------


def sigmoid_gradient_vanishes(case: Case) -> Numbers:
    """The derivative of g by torch against g (1 - g) in long double, and how it falls as |x| grows.

    `over_bound`: g'(x) over exp(-|x|), an upper bound that goes to zero; `rise`: between neighbours outwards.
    """
    x = np.sort(np.append(np.random.default_rng(case.seed).uniform(0, 30, 200), _FAR))
    slope, mirrored = _slope(x), _slope(-x)
    g = sigmoid(-x.astype(np.longdouble))  # 1 - g(x), which g(x) itself would round away
    expected = g * (1 - g)
    return {
        "error": float(max(abs(found / expected - 1).max() for found in (slope, mirrored))),
        "over_bound": float((slope * np.exp(x)).max()),
        "rise": float(np.diff(slope).max()),
        "at_0": _slope(_FAR)[0],
        "at_10": _slope(_FAR)[-1],
    }


def _slope(x: np.ndarray) -> np.ndarray:
    """g'(x) by torch, which takes it from g: on the side where g is small, so that nothing is rounded away."""
    leaf = torch.tensor(-abs(x), requires_grad=True)
    return torch.autograd.grad(torch.sigmoid(leaf).sum(), leaf)[0].numpy()


def saturated_dims_block_gradient(case: Case) -> Numbers:
    """dz/du of z = g(Wu + b) is diag(g'(x)) W: against torch; and what comes through where |x| is large.

    `through`: the gradient of a coordinate with |x| = 10, over that which it would have at x = 0.
    """
    W, u = case.W, case.u[0]
    x = W @ u + case.b
    g = sigmoid(x.astype(np.longdouble))
    jacobian = torch.autograd.functional.jacobian(lambda v: _layer(W, case.b, v), torch.tensor(u)).numpy()
    # Biases that bring the first coordinate to 10 and to 0
    rows = [_row(W, case.b - x * np.eye(len(x))[0] + np.eye(len(x))[0] * at, u) for at in (10.0, 0.0)]
    return {
        "error": error(jacobian, (g * (1 - g))[:, None] * W),
        "through": np.linalg.norm(rows[0]) / np.linalg.norm(rows[1]),
    }


def _layer(W: np.ndarray, b: np.ndarray, u: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(torch.tensor(W) @ u + torch.tensor(b))


def _row(W: np.ndarray, b: np.ndarray, u: np.ndarray) -> np.ndarray:
    """The gradient of the layer's first coordinate with respect to u."""
    return torch.autograd.functional.jacobian(lambda v: _layer(W, b, v), torch.tensor(u)).numpy()[0]


def bn_fixes_mean_var(case: Case) -> Numbers:
    """In a deep network the input of each sigmoid keeps mean 0 and mean square v/(v + eps) when earlier weights change.

    `moved_without`: what the same change does in the network without BN, over the spread.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(case.seed)
        layers = [nn.Linear(_FEATURES, _FEATURES).double() for _ in range(5)]
        seen = [_through(layers, case, normalized=True)]
        plain = [_through(layers, case, normalized=False)]
        layers[0].weight.mul_(3).add_(torch.randn(_FEATURES, _FEATURES))
        seen.append(_through(layers, case, normalized=True))
        plain.append(_through(layers, case, normalized=False))
    inputs = [pair for of_network in seen for pair in of_network]
    moves = [(abs(b.mean(0) - a.mean(0)) / a.std(0)).max() for (_, a), (_, b) in zip(*plain, strict=True)]
    return {
        "mean": max(abs(x.mean(0)).max() for _, x in inputs),
        "mean_square": max(error((x**2).mean(0), v.var(0) / (v.var(0) + _EPS)) for v, x in inputs),
        "moved_without": min(moves),
    }


def _through(layers: list[nn.Linear], case: Case, normalized: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each layer what comes into its normalization and what comes into its sigmoid, (m, d) each."""
    norm = BatchNorm1d(_FEATURES, eps=_EPS, affine=False).double()
    u, found = torch.tensor(case.u), []
    for layer in layers:
        v = layer(u)
        x = norm(v) if normalized else v
        found.append((v.numpy(), x.numpy()))
        u = torch.sigmoid(x)
    return found


# ---- Section 2: normalization outside the gradient step ------------------------------------------


def interleaved_normalization_wasted(case: Case) -> Numbers:
    """x = a u + b is normalized by setting a and b, then they take a step of gradient descent, and again.

    `undone`: how far the next normalization leaves x from where the last had put it; `stepped`: how far the step went.
    """
    u = case.u[:, 0]
    a, b = _normalizing(u, 1.0, case.b[0])
    x = a * u + b
    dx = (x - 2 * case.dy[:, 0] - 1) / len(u)
    stepped = a - _SMALL * (dx * u).sum(), b - _SMALL * dx.sum()
    again_a, again_b = _normalizing(u, *stepped)
    return {"undone": error(again_a * u + again_b, x), "stepped": float(abs(stepped[0] * u + stepped[1] - x).max())}


def _normalizing(u: np.ndarray, a: float, b: float) -> tuple[float, float]:
    """The parameters with which a u + b has mean 0 and variance 1, from those that it has."""
    x = a * u + b
    return a / x.std(), (b - x.mean()) / x.std()


def _centred(u: np.ndarray, b: float) -> np.ndarray:
    """x_hat = x - E[x] of x = u + b."""
    x = u + b
    return x - x.mean()


def bias_blowup_identity(case: Case) -> Numbers:
    """(u + b + δ) - E[u + b + δ] = (u + b) - E[u + b], for small and for large δ."""
    u, b = case.u[:, 0], case.b[0]
    return {"output": max(error(_centred(u, b + delta), _centred(u, b)) for delta in (-1e3, -1.0, 0.1, 1e3))}


def bias_unbounded_growth(case: Case) -> Numbers:
    """1,000 steps on b: it is η times the number of steps times the mean of the targets, and the loss stays."""
    targets = case.dy[:, 0] + 2
    course = toys.bias(case.u[:, 0], targets, _STEPS, seen=False)
    line = toys.RATE * targets.mean() * np.arange(_STEPS + 1)
    return {
        "loss_spread": float(np.ptp(course.loss)),
        "line": error(course.parameter, line),
        "tenfold": _tenfold(course),
    }


def _tenfold(course: toys.Course) -> float:
    """How far ten times as many steps are from ten times the bias."""
    return float(abs(course.parameter[_STEPS] / course.parameter[_STEPS // 10] - 10))


def bias_true_gradient_zero(case: Case) -> Numbers:
    """dl/db of l = sum dy x_hat where E[x] depends on b: by torch, over what cancels, and by differences; and a run."""
    u, dy = case.u[:, 0], case.dy[:, 0]
    b = torch.tensor(case.b[0], requires_grad=True)
    x = torch.tensor(u) + b
    (gradient,) = torch.autograd.grad((torch.tensor(dy) * (x - x.mean())).sum(), b)
    h = np.longdouble(1e-3)
    ends = [(dy * _centred(u.astype(np.longdouble), case.b[0] + t)).sum() for t in (h, -h)]
    size = abs(dy).sum()
    return {
        "autograd": float(abs(gradient.item()) / size),
        "differences": float(abs(ends[0] - ends[1]) / (2 * h) / size),
        "moved": float(abs(toys.bias(u, dy + 2, _STEPS, seen=True).parameter).max()),
    }


# ---- Section 2: both Jacobians, whitening, one example -------------------------------------------


def norm_two_jacobians(case: Case) -> Numbers:
    """The gradient with respect to x of the normalized x: the term of x itself, and that of the set of all x.

    Against differences in long double; `first_alone` is how far off the gradient is without the second term.
    """
    ones, zeros = np.ones(_FEATURES), np.zeros(_FEATURES)
    cache = reference.batch_norm(case.u, ones, zeros, _EPS)[1]
    found = reference.batch_norm_gradients(case.dy, cache)
    first = found.dx_hat / np.sqrt(cache.sigma2_B + _EPS)
    second = found.dsigma2_B * 2 * (case.u - cache.mu_B) / _EXAMPLES + found.dmu_B / _EXAMPLES
    expected = _differences(lambda x: (case.dy * _normalized(x)).sum(0), case.u)
    return {"both": error(first + second, expected), "first_alone": error(first, expected)}


def _normalized(x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(0)
    return centred / np.sqrt((centred**2).mean(0) + _EPS)


def _differences(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """Derivatives (m, d) of a function of x (m, d) whose value for each feature depends on that feature alone."""
    h, rows = np.longdouble(1e-6), []
    for i in range(len(x)):
        ends = []
        for t in (h, -h):
            moved = x.astype(np.longdouble)
            moved[i] += t
            ends.append(function(moved))
        rows.append((ends[0] - ends[1]) / (2 * h))
    return np.array(rows)


def whitening_formula(case: Case) -> Numbers:
    """Cov[x]^(-1/2) (x - E[x]), with Cov[x] = E[x x^T] - E[x] E[x]^T, has mean 0 and covariance 1."""
    x = np.random.default_rng(case.seed).normal(size=(1_000, len(case.W))) @ case.W + case.b
    mean = x.mean(0)
    covariance = x.T @ x / len(x) - np.outer(mean, mean)
    white = (x - mean) @ linalg.inv(linalg.sqrtm(covariance).real)
    return {"identity": error(np.cov(white.T, bias=True), np.eye(len(mean))), "mean": float(abs(white.mean(0)).max())}


def single_example_loses_scale(case: Case) -> Numbers:
    """Statistics of one example's features give a x and x the same output, for a > 0; those of a mini-batch do not."""
    x = case.u[0]
    scaled = case.u.copy()
    scaled[0] *= 3
    ones, zeros = np.ones(_FEATURES), np.zeros(_FEATURES)
    over_batch = [reference.batch_norm(rows, ones, zeros, eps=0.0)[0][0] for rows in (case.u, scaled)]
    return {
        "alone": max(error(_over_features(a * x), _over_features(x)) for a in (1e-3, 3.0, 1e3)),
        "in_a_batch": error(over_batch[1], over_batch[0]),
    }


def _over_features(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / x.std()


CLAIMS = named(
    minibatch_grad_unbiased,
    minibatch_grad_variance,
    subnetwork_equivalence,
    sigmoid_gradient_vanishes,
    saturated_dims_block_gradient,
    bn_fixes_mean_var,
    interleaved_normalization_wasted,
    bias_blowup_identity,
    bias_unbounded_growth,
    bias_true_gradient_zero,
    norm_two_jacobians,
    whitening_formula,
    single_example_loses_scale,
)
