"""Shapes of distributions against scipy, shares of zeros by hand, and what places are worth where it is known."""

import numpy as np
import pytest
import torch
from scipy import stats

from bn.lab.chapters.convolution import places, shapes


def test_moments_are_scipys_whatever_the_scale():
    rng = np.random.default_rng(0)
    values = np.stack([rng.normal(5, 3, 500), rng.exponential(2, 500), np.maximum(rng.normal(size=500), 0)], 1)
    found = shapes.moments(torch.tensor(values))
    np.testing.assert_allclose(found["skewness"], stats.skew(values), rtol=1e-5)
    np.testing.assert_allclose(found["kurtosis"], stats.kurtosis(values), rtol=1e-5)
    moved = shapes.moments(torch.tensor(7 * values - 2))
    for name in ("skewness", "kurtosis", "percentiles"):
        np.testing.assert_allclose(moved[name], found[name], rtol=1e-4, atol=1e-5)
    assert (np.diff(found["percentiles"], axis=0) >= 0).all() and found["percentiles"].shape == (49, 3)


def test_the_typical_unit_has_the_median_skewness_and_its_density_is_one():
    rng = np.random.default_rng(1)
    values = np.stack([rng.exponential(size=2_000), rng.normal(size=2_000), rng.gamma(4, size=2_000)], 1)
    found = shapes.moments(torch.tensor(values))
    assert found["typical"] == 2
    assert found["density"] @ np.diff(shapes.BINS) == pytest.approx(1, abs=0.01)


def test_a_unit_that_never_changes_has_no_shape_and_is_not_typical():
    values = torch.stack([torch.zeros(50), torch.linspace(0, 1, 50), torch.linspace(0, 1, 50) ** 4], 1)
    found = shapes.moments(values)
    assert np.isnan(found["skewness"]).tolist() == [True, False, False] and found["typical"] in (1, 2)
    assert shapes.nearest_to_median(np.array([np.nan, np.nan])) == 0


def test_a_distance_is_a_shift_in_deviations():
    first = np.linspace(-2, 2, 49)[:, None]
    assert shapes.distance(first, first + np.array([0.5, -0.25])) == pytest.approx([0.5, 0.25])


def test_sparsity_by_hand():
    """Two layers; the second of them is given what a norm made of the output of the first."""
    u = torch.tensor([[0.0, 1.0], [2.0, -1.0], [1e-4, 1.0], [-2.0, -1.0]])
    out = torch.tensor([[0.0, 1.0], [2.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    found = {"linear1": (u, u), "act1": (u, out), "linear2": (out - 5, u), "act2": (u - 9, out), "softmax": (out, u)}
    measured = {name: value.tolist() for name, value in shapes.sparsity(found, "linear").items()}
    # Near 0 are the exact zero and 1e-4, which is less than a thousandth of the deviation of its column.
    assert measured == {"input_near": [0.25, 0.0], "output_zero": [0.625, 0.625], "given_near": [0.0, 0.625]}


def test_the_deviation_of_a_map_is_over_all_its_places():
    maps = torch.zeros(4, 1, 3, 3)
    maps[0, 0, 0, 0] = 1.0
    assert shapes.near_zero(maps) == pytest.approx(35 / 36)


@pytest.fixture
def drawn():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield torch.randn(1_000, 9, 25).double()


def test_independent_places_are_worth_what_they_are(drawn):
    for values in (drawn, drawn**3):  # its fourth moment is far from a Gaussian's
        assert places.worth(values, 60) == pytest.approx((1_500, 1_500), rel=0.15)


def test_places_that_are_alike_are_worth_one(drawn):
    alike = drawn[:, :, :1].expand(-1, -1, 25)
    assert places.worth(alike, 60) == pytest.approx((60, 60), rel=0.15)
    assert places.worth(drawn[:, :, :1], 20) == pytest.approx((20, 20), rel=0.15)


def test_the_worth_is_that_of_the_variance_of_image_means(drawn):
    """Without drawing: the mean of m images strays by the variance of their means over m."""
    mixed = drawn + 0.5 * drawn[:, :, :1]
    of_images = mixed.mean(2).var(0, correction=0)
    expected = (60 * (mixed.var((0, 2), correction=0) / of_images)).median().item()
    assert places.worth(mixed, 60)[0] == pytest.approx(expected, rel=0.06)


def test_what_all_images_have_in_common_is_no_chance(drawn):
    """A place that is brighter in each image adds to the spread, and to no mini-batch's mean."""
    lit = drawn + 3 * torch.linspace(-1, 1, 25)
    assert places.worth(lit, 60)[0] > 2 * places.worth(drawn, 60)[0]


def test_neighbours_are_correlated_as_numpy_has_it(drawn):
    a, b = drawn, drawn + 2 * drawn.roll(1, 2)
    expected = np.median([np.corrcoef(a[:, k].flatten(), b[:, k].flatten())[0, 1] for k in range(9)])
    assert places.correlation(a, b) == pytest.approx(expected)


def test_parts_of_a_grid_are_every_second_place_and_so_on():
    maps = torch.rand(30, 2, 28, 28)
    found = places.of_layers({"image": (maps, maps), "conv1": (maps, maps), "act1": (maps, maps)}, 10)
    assert found["places_1"].tolist() == [784, 196, 49, 16, 4, 1]
    assert set(found) == {"places_1", "mean_1", "variance_1", "neighbours_1"}
