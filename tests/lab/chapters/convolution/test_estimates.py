"""The estimates and verdicts of chapter 04 from records made up by hand."""

from functools import cache

import numpy as np
import pytest
from scipy import stats

from bn.lab.chapters.convolution import estimates
from bn.lab.judge import verdicts
from bn.lab.store import claims


def found(claim_id: str, record: dict) -> dict:
    return verdicts.estimates(claims.ledger()[claim_id], record)


@cache
def rules() -> dict:
    return claims.rule_digests()


def verdict(claim_id: str, record: dict) -> str:
    usual = {"scale": "cpu", "papers_own_size": False, "rules": rules()}
    return verdicts.judge(claim_id, usual | record).verdict


def accuracy(**finals) -> dict:
    return {name: {"final_test": final} for name, final in finals.items()}


def test_gains_are_paired_points():
    networks = accuracy(none=[0.9, 0.8, 0.85], before=[0.95, 0.93, 0.96], after=[0.96, 0.93, 0.96], input=[0.9] * 3)
    of = found("bn-before-nonlinearity", {"accuracy": {"relu": networks, "sigmoid": networks}})
    assert (of["after_relu"].value, of["none_sigmoid"].value) == (pytest.approx(-1 / 3), pytest.approx(29 / 3))
    expected = stats.t.interval(0.95, 2, np.mean([5, 13, 11]), stats.sem([5, 13, 11]))
    assert (of["none_relu"].low, of["none_relu"].high) == pytest.approx(expected)


def shaped(wu: list, u: list) -> dict:
    """Both moments at two evaluations, of which the last counts."""

    def of(values: list) -> dict:
        curves = [[9.0, value] for value in values]
        return {"skewness": curves, "kurtosis": curves, "moved": values}

    return {"wu": of(wu), "u": of(u)}


@pytest.mark.parametrize("kind", ["relu", "sigmoid"])
@pytest.mark.parametrize(
    ("wu", "expected"),
    [([0.5, 0.6, 0.55], "smaller"), ([1.5, 1.6, 1.55], "not"), ([0.5, 1.9, 1.0], "inconclusive")],
)
def test_wu_is_nearer_to_a_gaussian_where_its_moments_are_smaller(kind, wu, expected):
    """With BN; without it they always are."""
    good, tried = shaped([0.2, 0.3, 0.25], [1.0] * 3), shaped(wu, [1.0] * 3)
    name = "preact-more-gaussian" + ("" if kind == "relu" else "-sigmoid")
    other = "sigmoid" if kind == "relu" else "relu"
    bad = {network: shaped([3.0] * 3, [1.0] * 3) for network in ("none", "before")}
    assert verdict(name, {"shapes": {kind: {"none": good, "before": tried}, other: bad}}) == expected
    assert verdict(name, {"shapes": {kind: {"none": tried, "before": good}, other: bad}}) == expected


def test_the_ratio_of_moments_is_geometric_and_what_is_missing_leaves_it_open():
    of = {"shapes": {"relu": {"none": shaped([1.0, 4.0], [2.0, 2.0]), "before": shaped([None, 1.0], [1.0, 1.0])}}}
    assert found("preact-more-gaussian", of)["skewness_plain"].value == pytest.approx(1.0)
    assert found("preact-more-gaussian", of)["skewness_plain_wu"].value == pytest.approx(2.5)
    assert verdict("preact-more-gaussian", of) == "inconclusive"


def test_shapes_move_of_u_where_bn_is_on_u_and_of_wu_where_it_is_on_wu():
    networks = {
        "none": shaped([1.0, 1.0], [2.0, 2.0]),
        "after": shaped([50.0, 50.0], [6.0, 6.0]),
        "before": shaped([2.0, 2.0], [70.0, 70.0]),
    }
    record = {"shapes": {"relu": networks, "sigmoid": networks}}
    of = {name: e.value for name, e in found("normalizing-u-insufficient", record).items()}
    assert of["plain_relu_ratio"] == pytest.approx(2) and of["normalized_sigmoid_ratio"] == pytest.approx(3)
    assert (of["normalized_relu_u"], of["normalized_relu_wu"]) == (6, 2)
    assert verdict("normalizing-u-insufficient", record) == "open"


def sparse(near: list, zero: float = 0.5) -> dict:
    return {"input_near": near, "output_zero": [[zero, zero]] * len(near), "given_near": near}


def networks(**of) -> dict:
    usual = {name: sparse([[0.0008, 0.0006]] * 3) for name in ("none", "before", "after")}
    return usual | of


@pytest.mark.parametrize("kind", ["relu", "maps"])
@pytest.mark.parametrize("name", ["none", "before"])
@pytest.mark.parametrize(
    ("near", "expected"),
    [
        ([[0.0008, 0.0007]] * 3, "smaller"),
        ([[0.0008, 0.3], [0.0008, 0.31], [0.0, 0.32]], "not"),
        ([[0.0, 0.014], [0.0, 0.015], [0.0, 0.016]], "not"),  # the layers together would have less than the limit
        ([[0.0, 0.001], [0.0, 0.018], [0.0, 0.009]], "inconclusive"),
    ],
)
def test_one_sparse_layer_of_one_network_is_enough(kind, name, near, expected):
    record = {"sparsity": {"relu": networks(), "maps": networks()}}
    record["sparsity"][kind][name] = sparse(near)
    assert verdict("no-sparse-preactivations", record) == expected


def test_zeros_before_and_after_the_norm():
    record = {"sparsity": {"relu": networks(after=sparse([[0.0, 0.1], [0.1, 0.2]], 0.4))}}
    of = found("standardization-layer", record)
    assert (of["zeros_after"].value, of["given_after"].value) == (pytest.approx(0.4), pytest.approx(0.1))
    assert of["zeros_before"].value == 0.5


COUNTS = {
    "units": {
        "activations": 300,
        "added": 600,
        "removed": 300,
        "parameters": 1_200,
        "layers": [{"maps": 5, "added": 10}],
    },
    "figure5": {"norms": 2, "maps": 30, "added": 60, "activations": 1_000, "parameters": 600},
}


@pytest.mark.parametrize(
    ("claim_id", "expected"),
    [
        ("per-dimension-pair", {"units": 5, "added": 10, "each": 2}),
        ("two-params-per-activation", {"each": 2, "net_each": 1, "activations": 300, "share": 0.5}),
        (
            "conv-params-per-map",
            {
                "norms": 2,
                "maps": 30,
                "added": 60,
                "activations": 1_000,
                "share": 0.1,
                "each": 2,
                "per_activation": 2_000,
            },
        ),
    ],
)
def test_counts_beside_what_is_only_stated(claim_id, expected):
    of = {name: e.value for name, e in found(claim_id, {"counts": COUNTS}).items()}
    assert of == pytest.approx(expected)
    assert verdict(claim_id, {"counts": COUNTS}) == "stated"


def test_what_a_map_is_worth_is_of_its_whole_grid_and_geometric():
    layers = [{"mean": [[100.0, 7.0], [400.0, 7.0]], "variance": [[50.0, 1.0], [50.0, 1.0]]}]
    record = {"places": {"trained": layers, "first": layers}}
    assert estimates.worth(record, "mean").value == pytest.approx(200)
    assert estimates.worth(record, "variance", "first").value == pytest.approx(50)


def exact(**changed) -> dict:
    good = {"shifted": 0.0, "undone": 0.0, "removed": 300.0, "added": 600.0} | changed
    return {"measured": {"bias-subsumed-by-beta": {name: [value] for name, value in good.items()}}}


@pytest.mark.parametrize(
    "changed", [{"shifted": 1e-12}, {"undone": 1e-12}, {"removed": 299.0}, {"removed": 301.0}, {"added": 599.0}]
)
def test_the_bias_is_subsumed_only_up_to_rounding_and_with_these_counts(changed):
    assert verdict("bias-subsumed-by-beta", exact()) == "verified"
    assert verdict("bias-subsumed-by-beta", exact(**changed)) == "not"
