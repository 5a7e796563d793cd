"""bn.reference against finite differences, torch, direct averages and complete enumeration."""

import doctest
import inspect
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from bn import reference

SHAPES = st.one_of(
    st.tuples(st.integers(2, 7), st.integers(1, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(2, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(2, 3)),
)
EPS = st.sampled_from([0.0, 1e-5, 1e-3, 0.5])
SEED = st.integers(0, 2**32 - 1)


def draw(shape, seed):
    """x, gamma, beta and a random upstream gradient: a loss like y.sum() has no gradient through BN."""
    rng = np.random.default_rng(seed)
    n, d, *places = shape
    # Spread out, because central differences in float64 need room to move
    values = rng.permuted(np.tile(np.linspace(-1, 3, n * int(np.prod(places))), (d, 1)), axis=1)
    x = np.moveaxis(values.reshape(d, n, *places), 0, 1) + 0.1 * rng.normal(size=shape)
    return x, rng.normal(size=shape[1]), rng.normal(size=shape[1]), rng.normal(size=shape)


def central_difference(loss, value, h=1e-5):
    gradient = np.empty_like(value)
    for index in np.ndindex(value.shape):
        up, down = value.copy(), value.copy()
        up[index] += h
        down[index] -= h
        gradient[index] = (loss(up) - loss(down)) / (2 * h)
    return gradient


def gradient_errors(module, shape, seed, eps):
    x, gamma, beta, dy = draw(shape, seed)
    _, cache = module.batch_norm(x, gamma, beta, eps)
    dx, dgamma, dbeta = module.batch_norm_backward(dy, cache)
    expected = (
        central_difference(lambda x: (module.batch_norm(x, gamma, beta, eps)[0] * dy).sum(), x),
        central_difference(lambda gamma: (module.batch_norm(x, gamma, beta, eps)[0] * dy).sum(), gamma),
        central_difference(lambda beta: (module.batch_norm(x, gamma, beta, eps)[0] * dy).sum(), beta),
    )
    pairs = zip((dx, dgamma, dbeta), expected, strict=True)
    return [np.abs(got - want).max() / max(1, np.abs(want).max()) for got, want in pairs]


@settings(deadline=None, max_examples=40)
@given(SHAPES, SEED, EPS)
def test_gradients_match_finite_differences(shape, seed, eps):
    assert max(gradient_errors(reference, shape, seed, eps)) < 1e-6


@pytest.mark.parametrize(
    ("term", "replacement"),
    [
        ("dx_hat = dy * gamma", "dx_hat = dy"),
        (" + dmu_B / m", ""),
        (" + dsigma2_B * 2 * (x - mu_B) / m", ""),
        ("(-1 / 2) * ", ""),
        ("(dy * x_hat).sum(0)", "dy.sum(0)"),
        ("dbeta = dy.sum(0)", "dbeta = dy.mean(0)"),
    ],
)
def test_a_wrong_equation_is_noticed(term, replacement):
    source = inspect.getsource(reference)
    assert source.count(term) == 1
    mutant = type(reference)("mutant")
    exec(source.replace(term, replacement), mutant.__dict__)
    assert max(gradient_errors(mutant, (5, 3), 0, 1e-3)) > 1e-2


@settings(deadline=None, max_examples=40)
@given(SHAPES, SEED, EPS.filter(bool))  # torch refuses eps = 0
def test_transform_and_gradients_match_torch(shape, seed, eps):
    x, gamma, beta, dy = draw(shape, seed)
    y, cache = reference.batch_norm(x, gamma, beta, eps)
    leaves = [torch.tensor(value, requires_grad=True) for value in (x, gamma, beta)]
    expected = functional.batch_norm(leaves[0], None, None, *leaves[1:], training=True, eps=eps)
    gradients = torch.autograd.grad(expected, leaves, torch.tensor(dy))
    np.testing.assert_allclose(y, expected.detach(), rtol=0, atol=1e-12)
    for got, want in zip(reference.batch_norm_backward(dy, cache), gradients, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-11 * max(1, want.abs().max()))


def test_intermediate_gradients_match_the_chain_rule_of_torch():
    x, gamma, beta, dy = draw((6, 3), seed=1)
    leaf = torch.tensor(x, requires_grad=True)
    mu_B = leaf.mean(0)
    sigma2_B = (leaf - mu_B).square().mean(0)
    x_hat = (leaf - mu_B) / (sigma2_B + 1e-3).sqrt()
    y = torch.tensor(gamma) * x_hat + torch.tensor(beta)
    expected = torch.autograd.grad(y, (x_hat, sigma2_B, mu_B), torch.tensor(dy))
    got = reference.batch_norm_gradients(dy, reference.batch_norm(x, gamma, beta, 1e-3)[1])
    for field, want in zip(("dx_hat", "dsigma2_B", "dmu_B"), expected, strict=True):
        np.testing.assert_allclose(getattr(got, field), want, rtol=0, atol=1e-12)


def test_normalized_values_have_mean_zero_and_the_variance_that_eps_leaves():
    x, gamma, beta, _ = draw((50, 3), seed=2)
    for eps in (0.0, 1e-3, 10.0):
        _, cache = reference.batch_norm(x, gamma, beta, eps)
        np.testing.assert_allclose(cache.x_hat.mean(0), 0, atol=1e-14)
        np.testing.assert_allclose(cache.x_hat.var(0), x.var(0) / (x.var(0) + eps), rtol=1e-13)


def test_eps_keeps_a_constant_feature_finite():
    dy = np.random.default_rng(0).normal(size=(4, 1))
    y, cache = reference.batch_norm(np.full((4, 1), 7.0), [3.0], [2.0], eps=1e-5)
    dx, dgamma, _ = reference.batch_norm_backward(dy, cache)
    assert (y == 2.0).all() and (dgamma == 0.0).all()
    np.testing.assert_allclose(dx, 3 / np.sqrt(1e-5) * (dy - dy.mean()), rtol=1e-12)


def test_a_feature_map_is_one_feature_seen_at_every_place():
    x, gamma, beta, _ = draw((4, 3, 2, 5), seed=3)
    y, cache = reference.batch_norm(x, gamma, beta)
    assert cache.x.shape == (4 * 2 * 5, 3)
    for c in range(3):
        values = x[:, c]
        expected = gamma[c] * (values - values.mean()) / np.sqrt(values.var() + 1e-5) + beta[c]
        np.testing.assert_allclose(y[:, c], expected, atol=1e-13)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_population_statistics_are_right_on_average_over_all_mini_batches(m):
    values = np.array([-1.0, 0.5, 4.0])
    mini_batches = [np.reshape(draws, (m, 1)) for draws in itertools.product(values, repeat=m)]
    mean, var = reference.population_statistics(mini_batches)
    np.testing.assert_allclose(mean, values.mean(), rtol=1e-13)
    np.testing.assert_allclose(var, ((values - values.mean()) ** 2).mean(), rtol=1e-13)


def test_population_statistics_are_averages_over_mini_batches():
    batches = np.random.default_rng(4).normal(size=(5, 6, 2, 3))
    mean, var = reference.population_statistics(list(batches))
    channels = batches.transpose(0, 2, 1, 3).reshape(5, 2, 18)
    np.testing.assert_allclose(mean, channels.mean((0, 2)), rtol=1e-12)
    np.testing.assert_allclose(var, channels.var(2, ddof=1).mean(0), rtol=1e-12)


@pytest.mark.parametrize("shape", [(1, 3), (7, 3), (2, 3, 4), (2, 3, 4, 5)])
def test_inference_matches_torch_and_is_affine(shape):
    rng = np.random.default_rng(5)
    x, (gamma, beta, mean) = rng.normal(size=shape), rng.normal(size=(3, 3))
    var = rng.uniform(0.1, 2, size=3)
    got = reference.batch_norm_inference(x, gamma, beta, mean, var, 1e-3)
    expected = functional.batch_norm(*map(torch.tensor, (x, mean, var, gamma, beta)), training=False, eps=1e-3)
    np.testing.assert_allclose(got, expected, atol=1e-13)
    slope, offset = reference.affine_map(gamma, beta, mean, var, 1e-3)
    places = (1, 3, *[1] * (len(shape) - 2))
    np.testing.assert_allclose(got, slope.reshape(places) * x + offset.reshape(places), atol=1e-14)


def test_any_real_numbers_are_taken_and_left_alone():
    x = np.array([[1, 2], [3, 5]], dtype=np.int32)
    y, cache = reference.batch_norm(x, [1, 1], [0, 0], 0)
    x[:] = 0
    assert y.dtype == np.float64
    assert y.tolist() == [[-1, -1], [1, 1]]
    assert cache.x.tolist() == [[1, 2], [3, 5]]


ONES, X = np.ones(2), np.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reference.batch_norm(X[:1], ONES, ONES), "m > 1.*m is 1"),
        (lambda: reference.batch_norm(X[:, 0], ONES, ONES), r"shape \(m, d\) or \(N, C, \*\)"),
        (lambda: reference.batch_norm(X, np.ones(3), ONES), r"gamma must have shape \(2,\)"),
        (lambda: reference.batch_norm(X, ONES, 0.0), r"beta must have shape \(2,\)"),
        (lambda: reference.batch_norm(X, ONES, ONES, -1e-9), "eps must be 0 or more"),
        (lambda: reference.batch_norm(X, ONES, ONES, float("nan")), "eps must be 0 or more"),
        (lambda: reference.batch_norm(X * [0, 1], ONES, ONES, 0.0), r"variance \+ eps must be positive"),
        (lambda: reference.batch_norm(X + 1j, ONES, ONES), "x must hold real numbers"),
        (lambda: reference.batch_norm_backward(X.T, reference.batch_norm(X, ONES, ONES)[1]), "dy must have"),
        (lambda: reference.population_statistics([]), "at least one"),
        (lambda: reference.population_statistics([X, X[:2]]), "all of one size"),
        (lambda: reference.population_statistics([X[:1]]), "m > 1"),
        (
            lambda: reference.batch_norm_inference(X, ONES, ONES, np.ones(3), ONES),
            r"mean must have shape \(2,\)",
        ),
        (lambda: reference.batch_norm_inference(X, *np.ones((4, 3))), r"gamma must have shape \(2,\)"),
        (lambda: reference.batch_norm_inference(X, ONES, ONES, ONES, -ONES), "must be positive"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_examples_in_the_docstrings():
    assert doctest.testmod(reference).attempted > 8
    assert doctest.testmod(reference).failed == 0
