"""The counts of the network of Figure 5 by hand."""

import pytest
import torch
from figure5 import BUILT, convolutions
from torch import nn

from bn.lab.architectures import FIGURE_5
from bn.lab.chapters.inception import counts
from bn.lab.data import datasets
from bn.lab.judge import verdicts
from bn.lab.store import claims


@pytest.fixture(scope="module")
def readings():
    return counts.readings()


@pytest.fixture(scope="module")
def measured(readings):
    return counts.measure(readings)


def test_parameters_and_multiply_adds_of_every_row_by_arithmetic(readings):
    rows = {row["name"]: row for row in readings["figure 5 bn"]}
    for name in BUILT:
        mine = [c for c in convolutions() if c[0] == name]
        assert rows[name]["parameters"] == sum(i * o * k * k + 2 * o for _, i, o, k, _ in mine), name
        assert rows[name]["multiply_adds"] == sum(i * o * k * k * p * p for _, i, o, k, p in mine), name
        assert tuple(rows[name]["shape"]) == BUILT[name]
    assert (rows["softmax"]["parameters"], rows["softmax"]["multiply_adds"]) == (1_025_000, 1_024_000)


def test_narrowed_projections_make_the_printed_channels(readings):
    assert [row["shape"][0] for row in readings["narrowed"][:-1]] == [row.channels for row in FIGURE_5]


def test_the_depth_of_every_row_by_hand(readings):
    assert [row["depth"] for row in readings["figure 5 bn"]] == [1, 0, 2, 0, *[3] * 10, 0, 1]


def test_the_longest_path_counts_the_longer_branch():
    deep = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 3, padding=1))
    x = torch.randn(1, 2, 4, 4)
    joined = torch.cat([deep(x), nn.Conv2d(2, 2, 1)(x), x], 1)
    assert counts.weight_layers(x) == 0
    assert counts.weight_layers(joined) == 2
    assert counts.weight_layers(nn.Linear(6, 2)(joined.mean((2, 3)))) == 3


def test_every_claim_by_hand(measured):
    found = {claim: {name: value for name, (value,) in values.items()} for claim, values in measured.items()}
    weights = sum(i * o * k * k for _, i, o, k, _ in convolutions())
    most = weights + 2 * sum(o for _, _, o, _, _ in convolutions()) + 1_025_000
    assert found["inception-params"]["missing"] == 13_600_000 - most
    assert found["inception-5x5-split"] == {"widest": 256}
    assert found["no-fc-layers"] == {"others": 0, "outputs": 1000}
    assert found["bn-all-nonlinearities"] == {"without_bn": 0, "layers": len(convolutions()), "changed": 0}
    assert found["app-depth9"] == {"deeper": 9}
    assert found["app-28x28-modules"] == {"before": 2, "after": 3}
    assert found["app-pooling"] == {"kinds": 2, "between": 0, "astray": 0}
    assert found["fig5-channel-sums"] == {"differ": 2, "modules": 10, "built": 3, "narrowed": 0}
    separable = 7 * 7 * 3 * 8 + 3 * 8 * 64
    saved = (7 * 7 * 3 * 64 - separable) * 112 * 112
    expected = {"saved": saved, "kept_more": 3 * 8 * 112 * 112, "weights": 9408, "weights_separable": separable}
    assert found["app-separable-first"] == expected


def test_what_replacing_the_5x5_costs_by_arithmetic(measured):
    """GoogLeNet's nine modules: two 3×3 of width c after r reduced channels, in the place of one 5×5."""
    fives = [(16, 32), (32, 96), (16, 48), (24, 64), (24, 64), (32, 64), (32, 128), (32, 128), (48, 128)]
    more = sum(9 * r * c + 9 * c * c + c - 25 * r * c for r, c in fives)
    (growth,) = measured["app-cost"]["parameters_same"]
    assert growth == pytest.approx(100 * more / 6_998_552)


REFUTED = {"inception-5x5-split", "inception-params", "app-cost", "fig5-channel-sums"}
STATED = {"no-fc-layers", "bn-all-nonlinearities"}


def test_the_verdicts(measured):
    assert set(measured) == {claim.id for claim in claims.of_chapter("inception")}
    record = {"scale": "smoke", "papers_own_size": False, "rules": claims.rule_digests(), "measured": measured}
    judged = {name: verdicts.judge(name, record).verdict for name in measured}
    usual = dict.fromkeys(measured, "consistent") | dict.fromkeys(STATED, "stated")
    assert judged == usual | dict.fromkeys(REFUTED, "inconsistent")


def test_a_trial_is_the_same_again_and_its_loss_falls():
    split = datasets.load("digits").train
    options = {"width": 1 / 16, "size": 8}
    first, again = (counts.trial(split, 4, 2, **options) for _ in range(2))
    assert {k: v for k, v in first.items() if k != "seconds"} == {k: v for k, v in again.items() if k != "seconds"}
    assert first["after"] < first["before"] and first["reached"] == 1.0
    assert counts.trial(split, 5, 2, **options)["before"] != first["before"]
