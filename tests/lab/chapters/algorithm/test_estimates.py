"""The one estimate of section 3, by hand."""

import math

import pytest

from bn.lab.judge import verdicts
from bn.lab.store import claims


def test_the_gap_of_moving_averages_is_the_largest_of_any_seed():
    record = {"inference": {"moving": [0.97, 0.95], "population": [0.971, 0.948]}}
    found = verdicts.estimates(claims.ledger()["moving-averages"], record)["gap"]
    assert (found.value, found.n) == pytest.approx((0.2, 2))
    assert math.isnan(found.low) and math.isnan(found.high), "the largest of all is no estimate with an interval"
