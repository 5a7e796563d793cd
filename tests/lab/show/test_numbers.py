"""Numbers as text: their digits, and the isolates that keep them in order."""

import math

import pytest

from bn.lab.judge.statistics import Estimate
from bn.lab.show import numbers

LRI, FSI, PDI = "\u2066", "\u2068", "\u2069"


def inside(text: str) -> str:
    """What stands in a single isolate."""
    assert text[0] in (LRI, FSI) and text[-1] == PDI and text[1:-1].count(PDI) == 0
    return text[1:-1].replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.12345, "0.123"),
        (5.09e-10, "5.1×10⁻¹⁰"),
        (0.0, "0"),
        (-0.0, "0"),
        (math.nan, "–"),
        (12.345, "12.3"),
        (1234.5, "1,234"),
        (1234567, "1,234,567"),
        (-3.5, "−3.5"),
        ("3×3", "3×3"),
    ],
)
def test_a_number_has_three_digits_or_all(value, shown):
    assert inside(numbers.number(value)) == shown


def test_shares_signs_ratios_pairs():
    assert inside(numbers.percent(0.9765)) == "97.7%" and inside(numbers.percent(0.5, 0)) == "50%"
    assert inside(numbers.signed(1.234)) == "+1.23" and inside(numbers.signed(-1.0, 1)) == "−1.0"
    assert inside(numbers.ratio(3, 5)) == "3/5" and inside(numbers.pair(28, 28)) == "28×28"
    assert numbers.isolated("صور") == f"{FSI}صور{PDI}"


def test_an_interval_stands_behind_its_value_or_not_at_all():
    estimate = Estimate(2.0, -1.234, 5.0, 3, "t")
    value, between = numbers.with_interval(estimate, 2).split(" ")
    assert inside(value) == "2.00" and inside(between) == "[−1.23, 5.00]"
    assert numbers.interval(Estimate(2.0, math.nan, math.nan, 1), 2) == ""
    assert inside(numbers.interval(Estimate(0.3, 0.25, 0.35, 5, "bootstrap"), 1, 100, "%").strip()) == "[25.0%, 35.0%]"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.98412, "0.984"),
        (0.0, "0"),
        (3e-16, "3.0×10⁻¹⁶"),
        (1321.4, "1,320"),
        (-9996.0, "−10,000"),
        (-2.5e7, "−2.5×10⁷"),
        (math.inf, "∞"),
        (math.nan, "–"),
    ],
)
def test_powers_of_ten_where_digits_are_many(value, shown):
    assert numbers.bare(value) == shown


@pytest.mark.parametrize(
    ("p", "shown"),
    [(0.04567, "p = 0.046"), (0.5, "p = 0.5"), (0.0001234, "p = 0.00012"), (9.9e-5, "p < 0.0001"), (0.996, "p = 1")],
)
def test_a_p_value_has_two_digits_as_far_as_they_say_anything(p, shown):
    assert inside(numbers.p_value(p)) == shown
