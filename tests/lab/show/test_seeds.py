"""In how many seeds something happened, in words."""

import math

import numpy as np
import pytest
from seen import bare

from bn.lab.show import seeds


def test_hits_are_counted_and_nothing_is_said_where_there_are_none():
    assert bare(seeds.diverged([True, False, False], "en")) == "diverged (1/3)"
    assert bare(seeds.never(np.array([[True, True], [False, True]]), "en")) == "never (3/4)"
    assert seeds.diverged([False, False], "en") == seeds.never([], "en") == ""


def test_a_mean_has_its_interval_and_none_is_shown_where_a_seed_has_no_value():
    assert bare(seeds.mean([26.0, 28.0], "en", 2, unit="%")) == "27.00% [14.29%, 39.71%]"  # t = 12.706 standard errors
    assert bare(seeds.mean([6.0, 8.0], "en", 2)) == "7.00 [0.00, 19.71]"  # no accuracy is below 0
    assert bare(seeds.mean([93.0, 99.0], "en", 0)) == "96 [58, 100]"
    assert bare(seeds.mean([6.0, math.nan], "en", 2)) == "diverged (1/2)"
    assert bare(seeds.mean([6.0], "en", 1)) == "6.0"
    assert bare(seeds.mean_steps([20.0, 20.0], "en")) == "20 [20, 20]"
    assert bare(seeds.mean_steps([20.0, math.inf], "en")) == "never (1/2)"


@pytest.mark.parametrize(("count", "words"), [(seeds.diverged, "تباعدت"), (seeds.never, "لم تبلغها")])
def test_in_arabic_the_count_stands_in_an_isolate(count, words):
    assert count([True, False], "ar") == f"{words} (\u20661/2\u2069)"
