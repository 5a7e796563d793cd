"""Every interval and every test of the book: numbers over seeds in, an estimate that says what its ends are out.

Seeds are the sample: a run is one observation, and what two networks share (seed, data, order) makes them a pair.
Where no interval can be had, of one seed or of numbers that are not finite, the ends are NaN and `interval` is "none".
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

# "bootstrap" is only of verdicts by rules that were replaced: of 5 seeds it covers some 84%.
INTERVALS = ("t", "log-ratio t", "bootstrap", "Clopper-Pearson", "range", "none")
LEVEL = 0.95  # of every interval but the range
MOST_FLIPPED = 20  # differences in a sign-flip test: a million flips
_OF_COMMON = 999  # resamples for a standard error, which is then known to 2%


@dataclass(frozen=True)
class Estimate:
    """A value over `n` seeds, from `low` to `high`, and in `interval` what these two are: one of INTERVALS.

    "range" is the smallest and the largest over the seeds, "none" is NaN at both ends, all others are 95% intervals.
    `values`: of each seed, for a mean and a ratio. ValueError where `interval` is unknown, or does not go with the
    ends.
    """

    value: float
    low: float
    high: float
    n: int
    interval: str = "none"  # so that ends without a word on what they are cannot be written down
    values: tuple[float, ...] = ()

    def __post_init__(self):
        if self.interval not in INTERVALS:
            raise ValueError(f"an estimate's interval is one of {', '.join(INTERVALS)}, not {self.interval!r}")
        if {math.isnan(self.low), math.isnan(self.high)} != {self.interval == "none"}:
            ends = f"{self.low} to {self.high}"
            raise ValueError(
                f"the ends are NaN where the interval is 'none' and only there, not {ends} with {self.interval!r}"
            )


def without_interval(value: float, n: int) -> Estimate:
    """A value over `n` seeds that has no interval."""
    return Estimate(float(value), math.nan, math.nan, n, "none")


def mean(values: Sequence[float], bounds: tuple[float, float] = (-math.inf, math.inf)) -> Estimate:
    """Mean over seeds (n,) with its 95% t-interval (Student 1908), in the unit of the values.

    One seed has no interval. NaN or infinity among the values goes on into the mean, which then has none either. The
    ends are cut at `bounds`, as in `mean_curve`.
    """
    values = np.asarray(values, float)
    value, half = values.mean(), _half_width(values)
    return _between(value, *np.clip([value - half, value + half], *bounds), len(values), "t", values)


def mean_curve(values: Sequence[Sequence[float]], bounds: tuple[float, float] = (-math.inf, math.inf)) -> np.ndarray:
    """Mean over seeds at each point, and the ends of its 95% t-interval: (seeds, points) to (3, points).

    The mean is over the seeds that are finite there, NaN where none is. The ends are NaN unless all are, and of one
    seed; they are cut at `bounds`, because the t-interval of a few shares may reach beyond what is possible.
    """
    values = np.asarray(values, float)
    centre, half = np.ma.masked_invalid(values).mean(0).filled(np.nan), _half_width(values)
    return np.stack([centre, np.clip(centre - half, *bounds), np.clip(centre + half, *bounds)])


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Estimate:
    """Geometric mean of the ratios of paired seeds, with the 95% t-interval of their logarithms.

    Of few seeds this covers what it says, where the bootstrap does not. It takes numbers above 0: a zero or an
    infinity makes the value 0, infinity or NaN, without an interval. ValueError where the two are not as many.
    """
    a, b = _paired(numerators, denominators)
    with np.errstate(all="ignore"):
        logs = mean(np.log(a) - np.log(b))
        value, low, high = np.exp([logs.value, logs.low, logs.high])
        return _between(value, low, high, logs.n, "log-ratio t", np.exp(logs.values))


def ratio_of_common(logs: Callable[[np.ndarray], np.ndarray], n: int) -> Estimate:
    """Geometric mean of the ratios of n paired seeds that all depend on one number taken from the same seeds.

    Such a number is the accuracy to which steps are counted. `logs` gives of some seeds, indices (n,) with repetition,
    the logarithms of their ratios (n,), with that number taken from these seeds. The interval is the t-interval of the
    logarithms, its standard error that of resamples of the seeds (Efron 1979), so that what is uncertain of the common
    number counts; where there is no such number it is the interval of `ratio`, up to chance.
    """
    all_of_them = np.asarray(logs(np.arange(n)), float)
    value = all_of_them.mean()
    if n < 2 or not np.isfinite(all_of_them).all():
        with np.errstate(all="ignore"):
            return without_interval(np.exp(value), n)
    draw = np.random.default_rng(0)
    means = [np.mean(logs(draw.integers(n, size=n))) for _ in range(_OF_COMMON)]
    half = _quantile(n) * np.std(means) * math.sqrt(n / (n - 1))  # a resample varies by so much less than a sample
    return _between(*np.exp([value, value - half, value + half]), n, "log-ratio t", np.exp(all_of_them))


def p_value(estimate: Estimate, limit: float) -> float:
    """Two-sided p-value of the true value being `limit`: below 0.05 just where the 95% interval leaves `limit` out.

    NaN where the estimate has no such interval.
    """
    e = estimate
    if e.interval == "Clopper-Pearson":
        return _binomial_p(round(e.value * e.n), e.n, limit)
    if e.interval not in ("t", "log-ratio t"):
        return math.nan
    scale = np.log if e.interval == "log-ratio t" else float
    distance, half = abs(scale(e.value) - scale(limit)), _half_of(e, scale)
    if half == 0:  # all seeds agree to the last digit
        return float(distance == 0)
    return float(2 * stats.t.sf(_quantile(e.n) * distance / half, e.n - 1))


def sign_flip(differences: Sequence[float]) -> float:
    """Exact two-sided p-value of paired differences (n,) by all 2^n flips of their signs (Fisher 1935, section 21).

    It asks whether the differences are symmetric about 0, and no more. No p-value is below 2 / 2^n: 0.0625 of 5
    seeds, 0.0005 of 12. NaN of fewer than two differences, or if one is not finite. ValueError above MOST_FLIPPED.
    """
    differences = np.asarray(differences, float)
    n = len(differences)
    if n > MOST_FLIPPED:
        raise ValueError(f"an exact sign-flip test takes at most {MOST_FLIPPED} differences, not {n}")
    if n < 2 or not np.isfinite(differences).all():  # scipy would give a p-value of 0 to NaN
        return math.nan
    flips = {"permutation_type": "samples", "n_resamples": np.inf, "batch": 2**14}  # all 2^20 at once take a gigabyte
    return float(stats.permutation_test((differences,), np.mean, **flips).pvalue)


def share(hits: Iterable[bool]) -> Estimate:
    """Share of seeds in which something happened, with its exact 95% interval (Clopper and Pearson 1934).

    ValueError where there is no seed.
    """
    hits = list(hits)
    found = stats.binomtest(sum(hits), len(hits))
    return Estimate(found.statistic, *found.proportion_ci(LEVEL, method="exact"), len(hits), "Clopper-Pearson")


def extremes(values: Sequence[float]) -> Estimate:
    """The largest value over the seeds, from the smallest to the largest; NaN if one is NaN."""
    low, high = np.min(values), np.max(values)  # not Python's, for which NaN is sometimes the larger
    return _between(high, low, high, len(values), "range")


def holm(p_values: Iterable[float]) -> list[float]:
    """P-values adjusted for being several (Holm 1979), in the order given: below 0.05, one holds among all of them.

    NaN, a test that could not be made, stays NaN and counts among the tests.
    """
    p = np.array(list(p_values), float)
    order, adjusted = np.argsort(p), np.empty(len(p))  # which puts NaN last
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted.tolist()


def _between(value: float, low: float, high: float, n: int, interval: str, values: Sequence[float] = ()) -> Estimate:
    if np.isnan([low, high]).any():
        return without_interval(value, n)
    return Estimate(float(value), float(low), float(high), n, interval, tuple(map(float, values)))


def _quantile(n: int) -> float:
    """Of Student's t, so many of whose standard errors a two-sided interval of n seeds reaches to either side."""
    return stats.t.ppf((1 + LEVEL) / 2, n - 1)


def _half_of(estimate: Estimate, scale: Callable) -> float:
    """Half its interval on a scale; of a mean whose ends may be cut, as it was before."""
    if estimate.interval == "t" and estimate.values:
        return float(_half_width(np.array(estimate.values)))
    return float(scale(estimate.high) - scale(estimate.low)) / 2


def _binomial_p(hits: int, n: int, share: float) -> float:
    """Twice the smaller tail: the test whose interval is that of Clopper and Pearson."""
    tails = stats.binom.cdf(hits, n, share), stats.binom.sf(hits - 1, n, share)
    return float(min(1.0, 2 * min(tails)))


def _half_width(values: np.ndarray) -> np.ndarray:
    """Half the t-interval of the mean over the first axis; NaN for one seed, and where any seed is not finite."""
    n = len(values)
    if n < 2:
        return np.full(values.shape[1:], np.nan)
    whole = np.where(np.isfinite(values), values, np.nan)
    return _quantile(n) * stats.sem(whole)


def _paired(first: Sequence[float], second: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(first, float), np.asarray(second, float)
    if len(a) != len(b):  # numpy would repeat a single one for all
        raise ValueError(f"paired seeds are as many on both sides, not {len(a)} and {len(b)}")
    return a, b
