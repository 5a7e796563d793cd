"""Distances of distributions from their percentiles, against scipy, closed forms and large samples."""

import numpy as np
import pytest
from scipy import stats

from bn.lab.chapters.activations import distributions
from bn.lab.chapters.activations.distributions import between_looks, kolmogorov, looks, wasserstein

RANKS = np.arange(1, 100) / 100


def test_wasserstein_is_scipys():
    rng = np.random.default_rng(0)
    first, second = np.sort(rng.normal(size=(99, 5)), 0), np.sort(rng.normal(1, 3, size=(99, 5)), 0)
    expected = [stats.wasserstein_distance(a, b) for a, b in zip(first.T, second.T, strict=True)]
    np.testing.assert_allclose(wasserstein(first, second), expected, rtol=1e-12)


def test_a_shift_is_the_distance_and_a_growth_is_the_mean_absolute_deviation():
    normal = stats.norm.ppf(RANKS)[:, None]
    assert wasserstein(normal, normal + 0.7)[0] == pytest.approx(0.7)
    assert wasserstein(normal, 3 * normal)[0] == pytest.approx(2 * abs(normal).mean())


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.5, 1.0), (0.0, 3.0), (-2.0, 0.5)])
def test_kolmogorov_is_that_of_the_distributions(shift, scale):
    normal = stats.norm.ppf(RANKS)[:, None]
    grid = np.linspace(-10, 10, 100_001)
    expected = abs(stats.norm.cdf(grid) - stats.norm.cdf(grid, shift, scale)).max()
    assert kolmogorov(normal, shift + scale * normal)[0] == pytest.approx(expected, abs=0.012)
    assert kolmogorov(shift + scale * normal, normal)[0] == kolmogorov(normal, shift + scale * normal)[0]


def test_distributions_that_do_not_meet_are_as_far_apart_as_can_be():
    normal = stats.norm.ppf(RANKS)[:, None]
    assert kolmogorov(normal, normal + 100)[0] == pytest.approx(0.99)


def run(steps: np.ndarray, means: np.ndarray, stds: np.ndarray) -> dict:
    """A run whose inputs are normal, (E, units) each."""
    percentiles = means[:, None] + stds[:, None] * stats.norm.ppf(RANKS)[:, None]
    return {"steps": steps, "percentiles": percentiles, "std": stds}


def test_looks_are_tenths_of_the_training():
    assert looks(np.arange(0, 50_001, 500)) == list(range(0, 101, 10))
    assert looks(np.array([0, 24, 61, 100])) == [0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3]  # the nearest evaluations there are


def test_movement_between_looks_is_in_pooled_deviations():
    """One unit moves by 1 a look, one grows, one stays: evaluations between the looks do not count."""
    steps = np.arange(0, 101)
    means = np.stack([steps / 10, 0 * steps, 0 * steps], axis=1) + 5 * (steps % 10 != 0)[:, None]
    stds = np.stack([np.full(101, 2.0), 2.0 ** (steps / 10), np.full(101, 1.0)], axis=1)
    found = between_looks(run(steps, means, stds))
    assert {name: value.shape for name, value in found.items()} == dict.fromkeys(
        ("wasserstein", "kolmogorov", "to_final"), (10, 3)
    )
    np.testing.assert_allclose(found["wasserstein"][:, 0], 1 / 2)
    absolute = abs(stats.norm.ppf(RANKS)).mean()
    np.testing.assert_allclose(found["wasserstein"][:, 1], absolute / np.sqrt(5 / 2))
    np.testing.assert_allclose(found["to_final"][:, 0], np.arange(10, 0, -1) / 2)
    assert found["to_final"][-1, 1] == pytest.approx(found["wasserstein"][-1, 1])
    for distances in found.values():
        assert (distances[:, 2] == 0).all()


def test_a_network_that_diverged_has_no_distances_and_is_no_error():
    steps = np.arange(0, 101)
    means = np.where(steps[:, None] < 35, 0.0, np.nan) * np.ones((1, 2))
    found = between_looks(run(steps, means, np.ones((101, 2))))
    assert np.isnan(found["wasserstein"][3:]).all() and (found["wasserstein"][:3] == 0).all()
    assert np.isnan(found["kolmogorov"][3:]).all() and np.isnan(found["to_final"]).all()
    assert distributions.PAIRS == 10
