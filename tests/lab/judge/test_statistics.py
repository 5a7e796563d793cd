"""Each interval and test against another way to the same number, and against what it promises, by simulation."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from bn.lab.judge import statistics
from bn.lab.judge.statistics import INTERVALS, Estimate

NAN, INF = math.nan, math.inf
NUMBERS = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))  # on a grid, so that rounding is far below a difference
SEEDS = st.integers(2, 8)


def _ends(estimate):
    return [estimate.low, estimate.high]


def _is_bare(estimate, n):
    return np.isnan(_ends(estimate)).all() and (estimate.n, estimate.interval) == (n, "none")


def _covered(low, high, truth):
    return np.mean((np.asarray(low) <= truth) & (truth <= np.asarray(high)))


class TestEstimate:
    @pytest.mark.parametrize("interval", [name for name in INTERVALS if name != "none"])
    def test_says_what_its_ends_are(self, interval):
        assert Estimate(1.0, 0.5, 2.0, 3, interval).interval == interval

    def test_an_unknown_interval_is_refused_with_those_that_are_known(self):
        with pytest.raises(ValueError, match=r"one of t, .*, none, not 'normal'"):
            Estimate(1.0, 0.5, 2.0, 3, "normal")

    @pytest.mark.parametrize("ends", [(0.5, 2.0), (NAN, 2.0), (0.5, NAN)])
    def test_ends_need_a_word_on_what_they_are(self, ends):
        with pytest.raises(ValueError, match="'none' and only there"):
            Estimate(1.0, *ends, 3)

    @pytest.mark.parametrize("ends", [(NAN, NAN), (NAN, 2.0), (0.5, NAN)])
    def test_no_interval_has_an_end_that_is_not_a_number(self, ends):
        with pytest.raises(ValueError, match=r"not .*nan.* with 't'"):
            Estimate(1.0, *ends, 3, "t")

    def test_without_interval(self):
        estimate = statistics.without_interval(0.8, 5)
        assert estimate.value == 0.8 and _is_bare(estimate, 5)


class TestMean:
    @pytest.mark.filterwarnings("ignore:Precision loss", "ignore:divide by zero", "ignore:invalid value")
    @given(st.lists(NUMBERS, min_size=2, max_size=12))  # all equal ones too, of which a t-test warns
    def test_is_the_interval_of_a_t_test(self, values):
        found = statistics.mean(values)
        interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        np.testing.assert_allclose(found.value, math.fsum(values) / len(values), atol=1e-9)
        np.testing.assert_allclose(_ends(found), interval, atol=1e-9)
        assert (found.n, found.interval) == (len(values), "t")

    def test_by_hand(self):
        found = statistics.mean([1, 2, 3])  # deviation 1, and Student's table has 4.303 at 2 degrees of freedom
        np.testing.assert_allclose([found.value, *_ends(found)], [2, 2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5], atol=1e-3)

    @pytest.mark.filterwarnings("error")
    def test_of_one_seed_has_no_interval(self):
        assert statistics.mean([7.0]).value == 7 and _is_bare(statistics.mean([7.0]), 1)

    @pytest.mark.parametrize(("odd", "value"), [(NAN, NAN), (INF, INF), (-INF, -INF)])
    def test_what_is_not_finite_goes_on_into_the_mean(self, odd, value):
        found = statistics.mean([1.0, odd, 3.0])
        np.testing.assert_equal(found.value, value)
        assert _is_bare(found, 3)

    def test_the_ends_are_cut_at_the_bounds(self):
        for values, ends in (([0.0, 0.1], [0, 0.685]), ([0.9, 1.0], [0.315, 1]), ([0.5, 0.51], [0.441, 0.569])):
            np.testing.assert_allclose(_ends(statistics.mean(values, bounds=(0, 1))), ends, atol=1e-3)
        assert _is_bare(statistics.mean([0.7], bounds=(0, 1)), 1)


class TestMeanCurve:
    def test_is_the_mean_of_each_column(self):
        values = np.random.default_rng(0).normal(size=(5, 7))
        columns = [statistics.mean(column) for column in values.T]
        expected = np.array([[c.value, c.low, c.high] for c in columns]).T
        np.testing.assert_allclose(statistics.mean_curve(values), expected, rtol=1e-13)

    def test_the_mean_goes_on_with_who_is_left_and_the_interval_does_not(self):
        curve = statistics.mean_curve([[1, 1, INF, None], [2, 3, 5, None], [3, None, 7, None]])
        assert curve.shape == (3, 4)
        np.testing.assert_array_equal(curve[0], [2, 2, 6, NAN])
        np.testing.assert_array_equal(np.isnan(curve[1:]), [[False, True, True, True]] * 2)

    @pytest.mark.filterwarnings("error")
    def test_of_one_seed_has_no_interval(self):
        np.testing.assert_array_equal(statistics.mean_curve([[0.2, 0.4]]), [[0.2, 0.4], [NAN] * 2, [NAN] * 2])

    def test_the_interval_is_cut_at_the_bounds(self):
        values = [[0.0, 0.4, 0.9], [0.1, 0.41, 1.0]]
        mean, low, high = statistics.mean_curve(values)
        assert low[0] < 0 and high[2] > 1
        cut = statistics.mean_curve(values, bounds=(0, 1))
        np.testing.assert_array_equal(cut, [mean, [0, *low[1:]], [*high[:2], 1]])

    def test_covers_95_percent_of_normal_data(self):
        curves = 20_000
        _, low, high = statistics.mean_curve(np.random.default_rng(1).normal(3, 2, size=(5, curves)))
        assert abs(_covered(low, high, 3) - 0.95) < 3 * math.sqrt(0.95 * 0.05 / curves)


def _pairs(rng, n=5, spread=0.3):
    """Paired numbers whose means, and whose geometric means, are as 2 to 1."""
    logs = rng.normal(0, spread, (2, n))
    return 2 * np.exp(logs[0]), np.exp(logs[1])


class TestRatio:
    @given(SEEDS, st.integers(0, 10**6))
    def test_is_the_interval_of_a_paired_t_test_of_logarithms(self, n, seed):
        a, b = _pairs(np.random.default_rng(seed), n)
        found = statistics.ratio(a, b)
        interval = stats.ttest_rel(np.log(a), np.log(b)).confidence_interval(0.95)
        np.testing.assert_allclose([found.value, *_ends(found)], [stats.gmean(a / b), *np.exp(interval)], rtol=1e-9)
        assert (found.n, found.interval) == (n, "log-ratio t")

    def test_upside_down_it_is_its_own_inverse(self):
        a, b = _pairs(np.random.default_rng(0))
        found, inverse = statistics.ratio(a, b), statistics.ratio(b, a)
        np.testing.assert_allclose([found.value, *_ends(found)], [1 / inverse.value, 1 / inverse.high, 1 / inverse.low])

    @pytest.mark.parametrize(
        ("a", "b", "value"),
        [([6], [2], 3), ([1, 0], [1, 1], 0), ([1, 1], [1, 0], INF), ([1, 0], [1, 0], NAN), ([1, 1], [1, INF], 0)],
    )
    def test_of_one_seed_or_of_zeros_and_infinities_has_no_interval(self, a, b, value):
        found = statistics.ratio(a, b)
        np.testing.assert_allclose(found.value, value)
        assert _is_bare(found, len(a))

    def test_covers_less_of_few_seeds_whose_values_double_from_one_to_the_next(self):
        """As the highest rates do: where all agree by chance, the interval has no width. The book says so."""
        rng, shape = np.random.default_rng(4), (4_000, 5)
        bn, plain = (2.0 ** (rng.random(shape) < 0.2), 0.5 ** (rng.random(shape) < 0.2))
        low, high = np.array([_ends(statistics.ratio(a, b)) for a, b in zip(bn, plain, strict=True)]).T
        assert 0.86 < _covered(low, high, 2**0.4) < 0.90
        assert np.mean(low == high) == pytest.approx(0.64**5 + 0.32**5 + 0.04**5, abs=0.015)

    def test_covers_95_percent_of_five_seeds_where_the_bootstrap_does_not(self):
        rng = np.random.default_rng(2)
        found = [_ends(statistics.ratio(*_pairs(rng))) for _ in range(2_000)]
        resamples = {"paired": True, "method": "percentile", "n_resamples": 999, "rng": 0}
        means = lambda a, b, axis=-1: a.mean(axis) / b.mean(axis)  # noqa: E731
        plain = [stats.bootstrap(_pairs(rng), means, **resamples).confidence_interval for _ in range(500)]
        assert _covered(*np.array(plain).T, 2) < 0.90 < 0.935 < _covered(*np.array(found).T, 2) < 0.965


def _after_target(rng, n, spread=0.2):
    """Two networks that climb as 1 - exp(-t / tau), n seeds each: the peaks of the slow one, and logarithmic steps.

    The steps of both are to the mean peak, of the seeds that are chosen: as far as that goes they are all of one kind.
    """
    peaks, tau = 0.8 + 0.02 * rng.normal(size=n), np.exp(spread * rng.normal(size=(2, n))) * [[300], [100]]

    def logs(chosen):
        rise = -np.log1p(-peaks[chosen].mean() / np.array([[1.0], [0.9]]))
        slow, fast = np.log(tau[:, chosen] * rise)
        return slow - fast

    return logs


class TestRatioOfCommon:
    @given(st.integers(2, 12), st.integers(0, 10**6))
    @settings(max_examples=25, deadline=None)
    def test_where_nothing_is_in_common_it_is_the_ratio(self, n, seed):
        a, b = _pairs(np.random.default_rng(seed), n)
        found, plain = statistics.ratio_of_common(lambda chosen: np.log(a / b)[chosen], n), statistics.ratio(a, b)
        np.testing.assert_allclose([found.value, *found.values], [plain.value, *plain.values], rtol=1e-12)
        np.testing.assert_allclose(
            np.log(_ends(found)) - np.log(found.value), np.log(_ends(plain)) - np.log(plain.value), rtol=0.15
        )
        assert (found.n, found.interval) == (n, "log-ratio t")

    @pytest.mark.parametrize("n", [5, 12])
    def test_covers_95_percent_with_a_target_from_the_same_seeds(self, n):
        rng, rise = np.random.default_rng(5), -np.log1p(-0.8 / np.array([1.0, 0.9]))
        truth = 3 * rise[0] / rise[1]
        ends = np.array([_ends(statistics.ratio_of_common(_after_target(rng, n), n)) for _ in range(200)])
        assert 0.91 < _covered(*ends.T, truth) < 0.99  # of 200, three standard errors about 95%

    def test_one_seed_and_what_is_not_finite_have_no_interval(self):
        assert _is_bare(statistics.ratio_of_common(lambda chosen: np.zeros(1), 1), 1)
        found = statistics.ratio_of_common(lambda chosen: np.array([0.0, -INF])[chosen], 2)
        assert found.value == 0 and _is_bare(found, 2)


class TestPValue:
    @given(st.lists(NUMBERS, min_size=2, max_size=12), NUMBERS)
    @settings(deadline=None)
    def test_of_a_mean_is_that_of_a_t_test(self, values, limit):
        assume(np.ptp(values) > 0.01)
        expected = stats.ttest_1samp(values, limit).pvalue
        assert statistics.p_value(statistics.mean(values), limit) == pytest.approx(expected, rel=1e-6)
        cut = statistics.mean(values, bounds=(min(values), max(values)))
        assert statistics.p_value(cut, limit) == pytest.approx(expected, rel=1e-6)

    def test_of_a_ratio_is_that_of_a_t_test_of_logarithms(self):
        a, b = _pairs(np.random.default_rng(3))
        expected = stats.ttest_1samp(np.log(a / b), math.log(1.5)).pvalue
        assert statistics.p_value(statistics.ratio(a, b), 1.5) == pytest.approx(expected)

    @pytest.mark.parametrize(("hits", "n"), [(0, 5), (3, 12), (12, 12), (7, 20)])
    def test_of_a_share_is_twice_the_smaller_tail(self, hits, n):
        found = statistics.share([True] * hits + [False] * (n - hits))
        for limit in (0.1, 0.5, 0.9):
            lower, upper = (stats.binomtest(hits, n, limit, side).pvalue for side in ("less", "greater"))
            assert statistics.p_value(found, limit) == pytest.approx(min(1, 2 * min(lower, upper)))

    @given(st.integers(2, 12), st.integers(0, 10**6), st.floats(0.5, 6))
    @settings(deadline=None)
    def test_is_below_5_percent_just_where_the_interval_leaves_the_limit_out(self, n, seed, limit):
        rng = np.random.default_rng(seed)
        a, b = _pairs(rng, n)
        shares = statistics.share(rng.random(n) < 0.5)
        for found, at in ((statistics.ratio(a, b), limit), (statistics.mean(a), limit), (shares, limit / 6)):
            assert (statistics.p_value(found, at) < 0.05) == (not found.low <= at <= found.high)

    def test_without_such_an_interval_there_is_none(self):
        assert math.isnan(statistics.p_value(statistics.without_interval(1.0, 5), 0))
        assert math.isnan(statistics.p_value(statistics.extremes([1.0, 2.0]), 0))

    def test_where_all_seeds_agree_it_is_all_or_nothing(self):
        assert statistics.p_value(statistics.mean([0.5, 0.5]), 0.5) == 1
        assert statistics.p_value(statistics.mean([0.5, 0.5]), 0.4) == 0


def test_a_seed_without_its_pair_is_an_error():
    with pytest.raises(ValueError, match="not 3 and 1"):
        statistics.ratio([1, 2, 3], [1])


class TestSignFlip:
    @given(st.lists(st.integers(-20, 20), min_size=2, max_size=8))
    def test_is_the_share_of_flips_that_are_as_far_from_zero(self, differences):
        sums = [abs(np.dot(signs, differences)) for signs in product((-1, 1), repeat=len(differences))]
        expected = np.mean([flipped >= abs(sum(differences)) for flipped in sums])
        assert statistics.sign_flip(differences) == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize("n", [2, 5, 12])
    def test_the_smallest_p_value_is_two_flips_of_all(self, n):
        assert statistics.sign_flip(np.arange(1, n + 1)) == pytest.approx(2 / 2**n, rel=1e-12)

    @given(st.lists(NUMBERS.map(abs), min_size=5, max_size=5))
    def test_over_all_flips_of_any_data_a_p_value_is_no_smaller_than_it_says(self, sizes):
        p = np.array([statistics.sign_flip(np.multiply(signs, sizes)) for signs in product((-1, 1), repeat=5)])
        assert all(np.mean(p <= level + 1e-9) <= level + 1e-9 for level in p)

    def test_is_uniform_on_its_steps_where_there_is_no_effect(self):
        times, rng = 2_000, np.random.default_rng(4)
        p = np.array([statistics.sign_flip(rng.normal(size=6)) for _ in range(times)])
        assert np.mean(p <= 0.05) <= 0.05
        steps = np.arange(1, 33) / 32
        reached = np.array([np.mean(p <= step + 1e-9) for step in steps])
        assert (abs(reached - steps) < 4 * np.sqrt(steps * (1 - steps) / times) + 1e-9).all()

    @pytest.mark.parametrize("differences", [[], [1.0], [1.0, NAN, 2.0], [1.0, INF, 2.0]])
    def test_what_cannot_be_tested_is_not_a_number(self, differences):
        assert math.isnan(statistics.sign_flip(differences))

    def test_too_many_to_flip_is_an_error(self):
        with pytest.raises(ValueError, match="at most 20 differences, not 21"):
            statistics.sign_flip(np.ones(21))


class TestShare:
    @given(st.lists(st.booleans(), min_size=1, max_size=30))
    def test_at_each_end_what_was_seen_is_the_rarest_of_2_5_percent(self, hits):
        k, n = sum(hits), len(hits)
        found = statistics.share(iter(hits))
        assert (found.value, found.n, found.interval) == (k / n, n, "Clopper-Pearson")
        assert stats.binom.sf(k - 1, n, found.low) == pytest.approx(0.025 if k else 1) and (k or found.low == 0)
        assert stats.binom.cdf(k, n, found.high) == pytest.approx(0.025 if k < n else 1) and (k < n or found.high == 1)

    @pytest.mark.parametrize("n", [1, 5, 12])
    def test_covers_at_least_95_percent_at_every_truth(self, n):
        low, high = np.array([_ends(statistics.share([True] * k + [False] * (n - k))) for k in range(n + 1)]).T
        for truth in np.linspace(0.005, 0.995, 199):
            chances = stats.binom.pmf(np.arange(n + 1), n, truth)
            assert chances[(low <= truth) & (truth <= high)].sum() >= 0.95

    def test_of_no_seed_is_an_error(self):
        with pytest.raises(ValueError, match="not less than 1"):
            statistics.share([])


class TestExtremes:
    def test_is_the_largest_with_the_range(self):
        assert statistics.extremes([2.5, 3.0, 2.75]) == Estimate(3.0, 2.5, 3.0, 3, "range")
        assert statistics.extremes([2.5]) == Estimate(2.5, 2.5, 2.5, 1, "range")

    @pytest.mark.parametrize("values", [[NAN, 1.0], [1.0, NAN]])
    def test_one_nan_is_enough(self, values):
        found = statistics.extremes(values)
        assert math.isnan(found.value) and _is_bare(found, 2)


class TestHolm:
    def test_by_hand(self):
        np.testing.assert_allclose(statistics.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
        np.testing.assert_allclose(statistics.holm({"a": 0.6, "b": 0.7}.values()), [1, 1])
        assert statistics.holm([]) == []

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.999))
    def test_rejects_what_stepping_down_rejects(self, p_values, level):
        rejected, left = set(), len(p_values)
        for k in sorted(range(len(p_values)), key=p_values.__getitem__):
            if p_values[k] * left > level:
                break
            rejected.add(k)
            left -= 1
        adjusted = statistics.holm(p_values)
        assert {k for k, p in enumerate(adjusted) if p <= level} == rejected
        assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))

    def test_a_test_that_could_not_be_made_counts(self):
        np.testing.assert_allclose(statistics.holm([NAN, 0.01, 0.02]), [NAN, 0.03, 0.04])
