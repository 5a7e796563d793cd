"""In how many of the seeds something happened, in words: for tables, figures and their alternative texts alike.

Where one seed has no value no mean is shown: a mean over the seeds that are left would flatter the network.
"""

import numpy as np
from numpy.typing import ArrayLike

from bn.lab.judge import statistics
from bn.lab.show import numbers
from bn.lab.show.words import N_, words


def diverged(hits: ArrayLike, language: str) -> str:
    """Such as "diverged (1/3)", of hits of any shape; empty where there is none."""
    return _counted(N_("diverged ({seeds})"), hits, language)


def never(hits: ArrayLike, language: str) -> str:
    """Such as "never (1/3)": in so many of them an accuracy was not reached; empty where there is none."""
    return _counted(N_("never ({seeds})"), hits, language)


def mean(values: ArrayLike, language: str, digits: int, unit: str = "") -> str:
    """Mean over the seeds (n,) in percent with its interval, or in how many a network diverged, whose value is NaN.

    Of few seeds the interval may reach beyond what is possible, and is cut there.
    """
    found = statistics.mean(values, bounds=(0, 100))
    return diverged(np.isnan(values), language) or numbers.with_interval(found, digits, unit=unit)


def mean_steps(steps: ArrayLike, language: str) -> str:
    """Mean over the seeds (n,) with its interval, or in how many there are none, which are infinitely many."""
    return never(np.isinf(steps), language) or numbers.with_interval(statistics.mean(steps), 0)


def _counted(sentence: str, hits: ArrayLike, language: str) -> str:
    hits = np.asarray(hits, bool)
    return words(language)(sentence).format(seeds=numbers.ratio(hits.sum(), hits.size)) if hits.any() else ""
