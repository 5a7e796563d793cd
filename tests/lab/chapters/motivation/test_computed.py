"""What chapter 02 computes without a training: the regression, the toys, the costs."""

import numpy as np
import pytest
import torch

from bn.lab.chapters.motivation import costs, regression, toys
from bn.lab.data.splits import Split

# ---- Regression ----------------------------------------------------------------------------------


def problem(seed=0, n=80) -> tuple[np.ndarray, np.ndarray]:
    """Four correlated features of different sizes, two classes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)) @ rng.normal(size=(4, 4)) * [1, 3, 1, 0.5] + [5, 0, 1, 0]
    return x, np.eye(2)[rng.integers(2, size=n)]


def descent(x: np.ndarray, y: np.ndarray, rate: float, steps: int) -> list[float]:
    """The excess loss before each step of plain gradient descent, over the first."""
    inputs = np.hstack([np.ones((len(x), 1)), x])
    best = inputs @ np.linalg.lstsq(inputs, y, rcond=None)[0]
    w, losses = np.zeros((inputs.shape[1], y.shape[1])), []
    for _ in range(steps):
        losses.append(((inputs @ w - best) ** 2).sum())
        w -= rate * inputs.T @ (inputs @ w - y) / len(x)
    return [loss / losses[0] for loss in losses]


@pytest.mark.parametrize("kind", regression.KINDS)
def test_the_course_is_that_of_gradient_descent(kind):
    x, y = problem()
    x = regression.KINDS[kind](x)
    values, excess = regression.spectrum(x, y)
    rate, steps = regression.best_rate(values, excess)
    losses = descent(x, y, rate, min(steps, 3_000) + 1)
    looked = [0, 1, len(losses) // 2, len(losses) - 1]
    expected = [regression.after(values, excess, rate, look) for look in looked]
    np.testing.assert_allclose([losses[look] for look in looked], expected, rtol=1e-6, atol=1e-12)
    if steps < 3_000:
        assert losses[steps] <= regression.TARGET < losses[steps - 1]


def test_no_other_rate_is_faster():
    values, excess = regression.spectrum(regression.standardized(problem()[0]), problem()[1])
    rate, steps = regression.best_rate(values, excess)
    for factor in (0.8, 0.9, 1.02):
        assert regression.after(values, excess, factor * rate, steps - 1) > regression.TARGET


def test_whitened_inputs_need_one_step_and_have_no_correlations():
    x, y = problem()
    white = regression.whitened(x)
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(4), atol=1e-12)
    assert regression.best_rate(*regression.spectrum(white, y)) == (pytest.approx(1, abs=0.05), 1)
    standard = regression.standardized(x)
    np.testing.assert_allclose(np.cov(standard.T, bias=True), np.corrcoef(x.T), atol=1e-12)


def test_it_is_measured_on_the_block_means_of_images_that_each_seed_draws():
    generator = torch.Generator().manual_seed(0)
    images = (torch.rand(60, 784, generator=generator) < 0.3).to(torch.uint8)
    images[:, :4] = 0  # the first row of the first block; all others vary
    split = Split(images, torch.arange(60) % 10)
    x = regression.features(images.double().numpy())
    assert x.shape == (60, 49)
    square = images.reshape(60, 28, 28).double()
    assert x[7, 8] == pytest.approx(square[7, 4:8, 4:8].mean().item())
    images[:, :] = torch.where(torch.arange(784) % 28 < 4, 0, 1) * images
    assert regression.features(images.double().numpy()).shape == (60, 42)  # a column of blocks without ink
    found = regression.measure(split, [0, 1], 55, [0, 10])
    assert set(found) == {"raw", "standardized", "whitened"}
    assert found["raw"]["excess"][0][0] == pytest.approx(1)
    assert found["raw"]["steps"][0] != found["raw"]["steps"][1]
    assert found["whitened"]["steps"] == [1, 1]


# ---- Toys ----------------------------------------------------------------------------------------


def test_the_bias_grows_by_rate_times_mean_target_and_not_where_the_mean_is_seen():
    u, targets = np.array([1.0, 2.0, 6.0]), np.array([0.0, 3.0, 6.0])
    blind, seeing = (toys.bias(u, targets, 10, seen, rate=0.5) for seen in (False, True))
    np.testing.assert_allclose(blind.parameter, 1.5 * np.arange(11))
    np.testing.assert_allclose(seeing.parameter, 0, atol=1e-12)
    np.testing.assert_allclose(blind.loss, ((u - 3 - targets) ** 2).mean() / 2)


def test_the_weight_grows_with_the_root_of_the_steps():
    """w² grows by 2 η E[(t - u) u] a step, up to the square of a step."""
    u = np.array([-1.0, 1.0])
    course = toys.scale(u, 2 * u, 10_000, rate=1e-3)
    np.testing.assert_allclose(course.parameter**2, 1 + 2e-3 * np.arange(10_001), rtol=1e-3)
    np.testing.assert_allclose(course.loss, 0.5)


def test_between_the_steps_all_is_undone_and_inside_it_is_learned():
    u, targets = np.array([-1.0, 1.0]), np.array([1.0, 5.0])
    between, inside = toys.between(u, targets, 30), toys.inside(u, targets, 30)
    np.testing.assert_allclose(between[::2], 5)  # x_hat = u, off by 2 and 4: half of their mean square
    assert (between[1::2] < 5).all() and np.ptp(between[1::2]) < 1e-12
    assert inside[0] == 5 and (np.diff(inside) < 0).all() and inside[-1] < 0.1


def test_the_course_that_is_drawn():
    found = toys.measure([3, 4])
    assert len(found["loss"]) == 2 and max(found["loss"]) < 1e-12 and min(found["step"]) > 0
    course = found["course"]
    assert course["bias"][-1] == pytest.approx(toys.RATE * toys.STEPS) and max(course["bias_seen"]) < 1e-9
    assert course["loss"][0] == pytest.approx(course["loss"][-1], abs=1e-12)
    assert len(course["between"]) == 2 * len(course["inside"])


# ---- Costs ---------------------------------------------------------------------------------------


def test_what_is_timed_is_whitening():
    x, mixing = torch.randn(206, 6, generator=torch.Generator().manual_seed(1)).double().split([200, 6])
    white = costs.whiten(x @ mixing)
    torch.testing.assert_close(white.T @ white / 200, torch.eye(6).double())


def test_the_products_are_counted_as_torch_counts_them():
    """The covariance and the two products with the eigenvectors; those are found by a first step of 2/3 d³ or more."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        costs.whiten(torch.randn(50, 6))
    assert costs.whitening_adds(50, 6) == counter.get_total_flops() // 2 + 2 * 6**3 // 3
    assert costs.bn_adds(50, 6) == 4 * 300


def test_times_are_of_each_seed_and_width_and_above_zero():
    found = costs.cost([0, 1, 2], (4, 8), rows=16)
    assert {name: np.shape(of) for name, of in found["seconds"].items()} == {"whitening": (3, 2), "bn": (3, 2)}
    assert np.min(found["seconds"]["bn"]) > 0 and found["adds"]["bn"] == [256, 512]
    batch = costs.batch([0, 1], 6)
    assert np.shape(batch["together"]) == np.shape(batch["alone"]) == (2,)


def test_the_median_of_all_but_the_first_counts(monkeypatch):
    clock = iter(np.cumsum([0, 90, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6]))
    monkeypatch.setattr(costs.time, "process_time", lambda: next(clock))
    assert costs._side_by_side(lambda: None) == [3.5]


def test_the_derivative_grows_as_the_eigenvalue_to_the_power_of_minus_three_halves():
    found = costs.derivative([0])
    np.testing.assert_allclose(found["size"][0], np.array(costs.SMALLEST) ** -1.5 / 2, rtol=1e-5)
    assert found["there"] == [pytest.approx(0.5, rel=1e-5)]
    assert found["by_eigenvectors"] == [False]
    assert costs._through_eigenvectors(torch.diag(torch.arange(1.0, 5.0)).double())
