"""What the second opinions on the verdicts share: claims, records, intervals and how a verdict follows from them.

Written from the words of book/claims/*.yml and book/how_to_read.md alone, without a look at the book's own statistics.
"""

import json
from collections.abc import Iterable

import numpy as np
import pytest
import yaml
from scipy.stats import t

from bn.lab import paths

FOUR_DIGITS = 5e-5  # relative; a record holds five


def claims(chapter: str, ids: Iterable[str]) -> list[dict]:
    """Those claims of a chapter's file."""
    entries = yaml.safe_load((paths.CLAIMS / f"{chapter}.yml").read_text("utf-8"))["claims"]
    return [entry for entry in entries if entry["id"] in ids]


def record(chapter: str, scale: str) -> dict:
    """The book's record of a chapter; the test that asks is skipped where none is committed."""
    path = paths.RECORDS / chapter / f"{scale}.json"
    if not path.exists():
        pytest.skip(f"the record book/records/{chapter}/{scale}.json is not committed")
    return json.loads(path.read_text("utf-8"))


def interval_of_mean(values, error=None):
    """Mean, and both ends of its 95% t-interval; its standard error is that of the values, or given."""
    mean, n = np.mean(values), len(values)
    error = np.std(values, ddof=1) / np.sqrt(n) if error is None else error
    half = t.ppf(0.975, n - 1) * error
    return mean, mean - half, mean + half


KEEPS = {
    "at_most": lambda end, limit: end <= limit,
    "at_least": lambda end, limit: end >= limit,
    "more_than": lambda end, limit: end > limit,
    "within": lambda end, limit: abs(end) <= limit,
}


def sides(line, low, high):
    """Whether the whole interval keeps to the limit of one line of a rule, and whether it is wholly beyond."""
    ((relation, limit),) = ((name, value) for name, value in line.items() if name != "estimate")
    ends = [KEEPS[relation](end, limit) for end in (low, high)]
    if low == high == limit:  # book/how_to_read.md: where all seeds agree on the limit itself nothing is decided
        return False, False
    around = relation == "within" and low < 0 < high  # with both ends beyond, what lies between them is not
    return all(ends), not any(ends) and not around


def verdict(rule, found):
    """Reproduced where each line of `rule` holds, not where any is broken."""
    kept, broken = zip(*(sides(line, *found[line["estimate"]][1:3]) for line in rule), strict=True)
    return "reproduced" if all(kept) else "not" if any(broken) else "inconclusive"
