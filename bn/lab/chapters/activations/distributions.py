"""How far the distribution of a unit's input moves between two looks, from its 99 percentiles."""

import numpy as np

from bn.lab.train.replicas import PERCENTILES

PAIRS = 10  # of looks, a tenth of the training apart: 5,000 of the paper's 50,000 steps
_AT = np.array(PERCENTILES) / 100


def wasserstein(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Wasserstein-1 distance (…) of distributions by their percentiles (99, …): the mean distance of equal ranks."""
    return abs(first - second).mean(0)


def kolmogorov(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Kolmogorov-Smirnov distance (units,) by percentiles (99, units): the largest difference of ranks."""
    pairs = zip(first.T, second.T, strict=True)
    return np.array([max(_rank_gap(a, b), _rank_gap(b, a)) for a, b in pairs])


def _rank_gap(of: np.ndarray, among: np.ndarray) -> float:
    """The largest distance of the ranks of some values, their own and those among others."""
    if not np.isfinite([of, among]).all():
        return np.nan
    return float(abs(np.interp(of, among, _AT, left=0, right=1) - _AT).max())


def pooled(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The deviation of two distributions together, from the deviation of each."""
    return np.sqrt((first**2 + second**2) / 2)


def looks(steps: np.ndarray) -> list[int]:
    """The evaluations at 0, 10%, 20% … 100% of a training."""
    return [int(abs(steps - part * steps[-1]).argmin()) for part in np.linspace(0, 1, PAIRS + 1)]


def between_looks(run: dict) -> dict[str, np.ndarray]:
    """Of each two looks that follow each other and of each unit, the distance in pooled deviations, (10, units).

    `wasserstein`; `kolmogorov`, a difference of ranks; and `to_final`, Wasserstein-1 from each look but the last to it.
    """
    at = looks(run["steps"])
    percentiles, std = run["percentiles"][at].astype(float), run["std"][at].astype(float)
    following, ends = [(k, k + 1) for k in range(PAIRS)], [(k, PAIRS) for k in range(PAIRS)]

    def distances(pairs: list[tuple[int, int]]) -> np.ndarray:
        with np.errstate(all="ignore"):  # of a network that diverged they are no numbers
            return np.stack([wasserstein(*percentiles[[*pair]]) / pooled(*std[[*pair]]) for pair in pairs])

    return {
        "wasserstein": distances(following),
        "kolmogorov": np.stack([kolmogorov(*percentiles[[*pair]]) for pair in following]),
        "to_final": distances(ends),
    }
