"""The arithmetic of the errata, each number once more by other means; and an altered number of the paper is noticed."""

import math

import numpy as np
import pytest

from bn.lab import paper, quoted
from bn.lab.judge import errata

# Each sum in figures as printed: what a reader would type into a calculator, and what it must show.
SUMS = {
    "fewer_baseline": (31.0 / 13.3, "2.33"),
    "fewer_x5": (31.0 / 2.1, "14.76"),
    "fewer_x30": (31.0 / 2.7, "11.48"),
    "fewer_peak": (31 / 6, "5.17"),
    "share_baseline": (13.3 / 31.0, "42.9%"),
    "share_x5": (2.1 / 31.0, "6.8%"),
    "share_x30": (2.7 / 31.0, "8.7%"),
    "from_baseline": (13.3 / 2.1, "6.3"),
    "margin": (4.94 - 4.82, "0.12"),
    "source_fewer_baseline": (31.0 / 2.1, "14.76"),
    "source_fewer_x30": (31.0 / 1.1, "28.2"),
    "source_share_x30": (1.1 / 31.0, "3.5%"),
    "source_reduction": (2.1 - 2.1, "0.0"),
    "source_l2": (0.001 / 0.0002, "5"),
    "rate_x5": (0.0075, "0.0075"),
    "rate_x30": (0.045, "0.045"),
    "channels_4c": (160 + 160 + 160 + 128, "608"),
    "channels_4d": (96 + 192 + 192 + 128, "608"),
    "narrow_4c": (576, "576"),
    "narrow_4d": (576, "576"),
    "channels_4e": (1024, "1024"),
    "missing": (13.6 - 11.285224, "2.31"),
}
VALUES = {
    "inception": 31.0,
    "bn_baseline": 13.3,
    "bn_x5": 2.1,
    "bn_x30": 2.7,
    "peak": 6,
    "acc_inception": 0.722,
    "acc_bn_baseline": 0.727,
    "acc_bn_x5": 0.73,
    "acc_bn_x30": 0.748,
    "acc_bn_x5_sigmoid": 0.698,
    "single_top1": 0.252,
    "single_top5": 0.0782,
    "multicrop_top1": 0.2199,
    "multicrop_top5": 0.0582,
    "ensemble_top1": 0.201,
    "ensemble_top5": 0.049,
    "googlenet_top5": 0.0667,
    "deep_image": 0.0598,
    "server": 0.0482,
    "l2_factor": 5,
    "double_at_most": 128,
    "source_bn_baseline": 2.1,
    "source_bn_x5": 2.1,
    "source_bn_x30": 1.1,
    "source_acc_bn_baseline": 0.73,
    "source_steps_2": 100,
    "source_members": 6,
    "source_test": 0.0482,
    "source_validation": 0.049,
    "source_l2_before": 0.001,
    "source_l2_after": 0.0002,
    "printed_channels": 576,
    "widest": 256,
    "printed_parameters": 13.6,
    "printed_growth": 0.25,
    "fewest_parameters": 11.185032,
    "most_parameters": 11.285224,
    "googlenet_parameters": 6.998552,
    "growth_same": 7_284_232 / 6_998_552 - 1,
    "growth_whole": 11_275_208 / 6_998_552 - 1,
    "standard_error": 100 * math.sqrt(0.0482 * 0.9518 / 100_000),
    "z": 0.12 / (100 * math.sqrt((0.0482 * 0.9518 + 0.0494 * 0.9506) / 100_000)),
    "human": 0.051,
    "human_images": 1500,
    "human_error": 100 * math.sqrt(0.051 * 0.949 / 1500),
    "scale": 5,
    "jacobian_ratio": 1 / 5,
    "small": 0.01,
    "eps": 1e-5,
    # By hand, of a feature with variance v: x̂ = x / √(v + ε), and of a times the feature a x / √(a² v + ε).
    "small_deviation": 1 - 0.01 * math.sqrt(1 + 1e-5) / math.sqrt(1e-4 + 1e-5),
    "identity_error": 1 - 1 / math.sqrt(1 + 1e-5),
}


def test_no_number_is_without_a_test():
    assert set(errata.sums()) == set(SUMS)
    assert set(errata.values()) - {"correlation"} == set(VALUES)


@pytest.mark.parametrize("name", SUMS)
def test_a_sum_comes_out(name):
    found, (value, shown) = errata.sums()[name], SUMS[name]
    assert found.value == pytest.approx(value, abs=1e-9)
    assert format(found.value, found.outcome) == shown


@pytest.mark.parametrize("name", SUMS)
def test_a_sum_is_right_as_it_is_written(name):
    """The terms as they are printed, read again, give what is printed behind the sign of equality."""
    found = errata.sums()[name]
    terms = [float(format(term, found.term)) for term in found.terms]
    signs = {"/": lambda a, b: a / b, "×": np.multiply, "+": np.add, "−": np.subtract}
    total = terms[0]
    for term in terms[1:]:
        total = signs[found.sign](total, term)
    shown = format(found.value, found.outcome)
    digits = len(shown.partition(".")[2].rstrip("%"))
    said = float(shown.rstrip("%")) / (100 if shown.endswith("%") else 1)
    assert abs(total - said) <= 0.5001 * 10 ** -(digits + 2 * shown.endswith("%")), (terms, shown)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_what_is_computed_apart(name):
    assert errata.values()[name] == pytest.approx(VALUES[name], rel=1e-9)


def test_the_correlation_is_where_the_lead_is_significant():
    p, q, rho = 0.0482, 0.0494, errata.values()["correlation"]
    variance = p * (1 - p) + q * (1 - q) - 2 * rho * math.sqrt(p * (1 - p) * q * (1 - q))
    assert (q - p) / math.sqrt(variance / 100_000) == pytest.approx(1.959964, abs=1e-5)


def test_the_jacobian_by_finite_differences():
    """Of the first output by the first input, for x and for 5 x; BN written out here."""

    def first(x):
        return (x[0] - x.mean()) / x.std()

    def slope(scale, h=1e-6):
        ends = [scale * np.array([0.0, 1.0, 5.0]) + np.array([d, 0, 0]) for d in (-h, h)]
        return (first(ends[1]) - first(ends[0])) / (2 * h)

    assert errata.values()["jacobian_ratio"] == pytest.approx(slope(5) / slope(1), rel=1e-6)


def test_the_errata_hold_only_for_what_is_printed():
    """The statements without a number of their own that rest on arithmetic."""
    sums, values = errata.sums(), errata.values()
    assert sums["share_baseline"].value < 0.5 < 2 * sums["share_baseline"].value  # "less than half", and not far below
    assert round(sums["source_fewer_baseline"].value) != 5 and math.floor(sums["fewer_peak"].value) == 5
    assert math.floor(sums["fewer_x5"].value) == 14 != math.floor(sums["source_fewer_x30"].value)
    assert round(sums["share_x5"].value, 2) == 0.07 != round(sums["source_share_x30"].value, 2)
    assert sums["channels_4c"].value != values["printed_channels"] == sums["narrow_4c"].value
    assert sums["source_l2"].value == pytest.approx(quoted.L2_FACTOR)
    assert values["human_error"] > 100 * (values["human"] - values["server"])
    assert values["widest"] > values["double_at_most"]


@pytest.mark.parametrize(
    ("place", "name", "altered", "sum_"),
    [
        (paper.FIGURE_3, "bn_baseline", (12.3, 72.7), "fewer_baseline"),
        (paper.FIGURE_3, "inception", (30.0, 72.2), "fewer_peak"),
        (paper.FIGURE_3, "bn_x5", (2.2, 73.0), "fewer_x5"),
        (paper.FIGURE_3, "bn_x30", (2.8, 74.8), "fewer_x30"),
        (paper.SERVER, "he", 4.95, "margin"),
        (quoted.FACTORS, "bn_x5", 6, "rate_x5"),
        (quoted.FACTORS, "bn_x30", 31, "rate_x30"),
        (errata.SOURCE_TABLE_1, "bn_x30", (1.2, None), "source_fewer_x30"),
    ],
)
def test_an_altered_number_of_the_paper_changes_its_sum(monkeypatch, place, name, altered, sum_):
    monkeypatch.setitem(place, name, altered)
    assert format(errata.sums()[sum_].value, errata.sums()[sum_].outcome) != SUMS[sum_][1]


def test_the_printed_rates_are_the_products():
    for name, rate in quoted.RATES.items():
        assert errata.sums()[f"rate_{name.removeprefix('bn_')}"].value == pytest.approx(rate)
