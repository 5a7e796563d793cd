"""The estimates of chapter 12 from a record made up by hand, and each of its verdicts in each way."""

import math

import numpy as np
import pytest
from scipy import stats

from bn.lab.chapters.since_then import estimates
from bn.lab.judge import verdicts
from bn.lab.store import claims

LATER = [claim.id for claim in claims.of_chapter("since_then") if claim.kind == "later"]


def verdict(claim_id: str, found: dict) -> str:
    return verdicts.judge(claim_id, found | {"rules": {}}).verdict


def t_interval(values) -> tuple[float, float]:
    return stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))


@pytest.mark.parametrize("claim_id", LATER)
def test_each_claim_holds_in_the_made_up_record(claim_id, made_up):
    assert verdict(claim_id, made_up) == "smaller"


def _scaled(factor, *way):
    """Multiply what lies at the end of a way by a factor, seed by seed."""

    def change(found):
        for key in way[:-1]:
            found = found[key]
        found[way[-1]] = (factor * np.array(found[way[-1]], float)).tolist()

    return change


BROKEN = {
    "later-shift-not-reduced": [
        _scaled(0.5, "deep", "bn_equal", "shift"),
        _scaled(2.0, "deep", "bn_equal", "cosine"),
    ],
    "later-noise-as-fast": [
        _scaled(1.5, "deep", "bn", "validation"),
        _scaled(2.5, "deep", "plain", "validation"),
        _scaled(0.1, "deep", "noisy", "moved"),
    ],
    "later-smoother": [_scaled(3, "deep", "bn_equal", "range"), _scaled(3, "deep", "bn_equal", "turned")],
    "later-effective-smoothness": [_scaled(4, "deep", "bn_equal", "smoothness")],
    "later-small-batches": [
        _scaled(0.2, "small", "bn", "2", "error"),
        _scaled(0.4, "small", "bn", "4", "error"),
        _scaled(0.5, "maps", "bn", "2", "error"),
    ],
    "later-other-normalizers": [
        _scaled(1.2, "small", "layer", "2", "error"),
        _scaled(1.1, "small", "group", "2", "error"),
        _scaled(0.8, "maps", "group", "32", "error"),
        _scaled(0.6, "maps", "bn", "2", "error"),
        _scaled(5, "small", "renorm", "2", "error"),
    ],
    "later-gain-by-rates": [_scaled(1.09, "deep", "bn_equal", "test")],
    "later-scaled-trajectory": [_scaled(1e6, "scaling", "losses"), _scaled(1e6, "scaling", "weights")],
    "later-one-product": [
        _scaled(0.8, "products", "fast", "effective"),
        _scaled(1.3, "products", "fast", "effective"),
        _scaled(0.9, "products", "fast", "test"),
    ],
    "later-joined-statistics": [
        _scaled(0.2, "separate", "small", "32", "error"),
        _scaled(0.8, "separate", "maps", "32", "error"),
    ],
    "later-averages-lag": [_scaled(1.5, "averages", "0.01", "corrected")],
}


@pytest.mark.parametrize(("claim_id", "k"), [(name, k) for name, ways in BROKEN.items() for k in range(len(ways))])
def test_each_line_of_a_rule_can_fail(claim_id, k, made_up):
    BROKEN[claim_id][k](made_up)
    assert verdict(claim_id, made_up) == "not"


def test_each_claim_is_broken_in_as_many_ways_as_its_rule_has_lines():
    assert {name: len(ways) for name, ways in BROKEN.items()} == {
        name: len(claims.ledger()[name].rule) for name in LATER
    }


def test_where_the_seeds_disagree_it_is_open(made_up):
    for seed, factor in zip(made_up["deep"]["bn_equal"]["range"], (0.1, 1, 10), strict=True):
        seed[:] = [factor * value for value in seed]
    assert verdict("later-smoother", made_up) == "inconclusive"


def test_steps_are_counted_on_a_straight_line_and_to_the_end_where_it_is_not_reached():
    network = {"steps": [0, 10, 20], "validation": [[0.1, 0.8, 1.0], [0.95, 0.95, 0.95], [0.1, 0.2, 0.3]]}
    np.testing.assert_allclose(estimates.steps_to_target(network), [15, 0, 20])


def test_ratios_are_of_geometric_means_seed_by_seed(made_up):
    made_up["deep"]["plain"]["shift"] = [[1, 4], [1, 1], [2, 2]]
    made_up["deep"]["bn_equal"]["shift"] = [[2, 2], [1, 1], [8, 2]]
    ratio = estimates.shift_of_gradients(made_up)["shift_ratio"]
    logs = np.log([1, 1, 2])
    assert ratio.value == pytest.approx(math.exp(logs.mean()))
    assert np.log([ratio.low, ratio.high]) == pytest.approx(t_interval(logs))


def test_a_final_accuracy_is_of_the_last_evaluations():
    np.testing.assert_allclose(estimates.final([[0] * 16 + [1, 2, 3, 4, 5]]), [3])
    np.testing.assert_allclose(estimates.final([[7, 8, 9]]), [9])


def test_gains_by_hand(made_up):
    for name, test in {"plain": [0.8, 0.7, 0.8], "bn_equal": [0.81, 0.72, 0.82], "bn": [0.9, 0.9, 0.9]}.items():
        made_up["deep"][name]["test"] = [[value] * 5 for value in test]
    e = estimates.rates(made_up)
    assert e["gain_equal"].value == pytest.approx(5 / 3) and e["gain_own"].value == pytest.approx(40 / 3)
    assert (e["by_rate"].low, e["by_rate"].high) == pytest.approx(t_interval([10 - 2, 20 - 4, 10 - 4]))


def test_rises_and_costs_by_hand(made_up):
    made_up["small"]["bn"]["2"]["error"], made_up["small"]["bn"]["32"]["error"] = [20, 40, 40], [10, 10, 20]
    made_up["small"]["layer"]["2"]["error"], made_up["small"]["layer"]["32"]["error"] = [10, 10, 10], [10, 10, 10]
    made_up["small"]["renorm"]["2"]["error"], made_up["small"]["renorm"]["32"]["error"] = [20, 20, 20], [10, 10, 10]
    made_up["maps"]["bn"]["2"]["error"], made_up["maps"]["group"]["2"]["error"] = [10, 10, 10], [10, 20, 40]
    made_up["separate"]["small"]["32"]["error"] = [30, 31, 40]
    made_up["separate"]["maps"]["32"]["error"] = [11.8, 12, 12.2]
    assert estimates.small_batches(made_up)["rise_2"].value == pytest.approx(16 ** (1 / 3))
    others = estimates.other_normalizers(made_up)
    assert (others["bn_rise"].value, others["layer_rise"].value) == pytest.approx((16 ** (1 / 3), 1))
    assert others["renorm_to_bn"].value == pytest.approx(2 / 16 ** (1 / 3))
    assert others["group_to_bn_maps"].value == pytest.approx(2)
    assert others["group_rise_maps"].value == pytest.approx(2 * 10 / 12 / (0.98 * 1.02) ** (1 / 3))
    apart = estimates.separate(made_up)
    assert apart["separate_cost"].value == pytest.approx((20 + 21 + 20) / 3)
    assert apart["separate_cost_maps"].value == pytest.approx(2)


def test_the_first_weights_stand_beside_the_training(made_up):
    for network, factor in (("plain", 1.0), ("bn_equal", 3.0)):
        for name in ("shift", "range", "turned", "cosine"):
            made_up["deep"][network][name] = [[factor, 2.0, 2.0], [factor, 2.0, 2.0]]
    shift, smooth = estimates.shift_of_gradients(made_up), estimates.smoothness(made_up)
    assert (shift["first_shift"].value, shift["first_cosine"].value) == pytest.approx((3, 2))
    assert (smooth["first_range"].value, smooth["first_turned"].value) == pytest.approx((3, 3))
    assert shift["shift_ratio"].value == pytest.approx(3 ** (1 / 3))


def test_gaps_early_and_late_by_hand():
    part = {"steps": [0, 10, 20, 60, 100], "corrected": [[0, 0.5, 0.6, 0.9, 0.9]] * 2}
    part["moving"] = [[0, 0.1, 0.1, 0.9, 0.9]] * 2
    part["recomputed"] = [[0, 0.7, 0.7, 0.9, 0.91], [0, 0.7, 0.7, 0.9, 0.93]]
    found = estimates.averages({"averages": {"0.01": part, "0.1": part}})
    assert found["early_gap"].value == pytest.approx(15)  # at 10 and at 20 steps
    assert found["start_gap"].value == pytest.approx(60)
    assert found["late_gap"].value == pytest.approx(2)  # a third of five is the last one


def test_shares_of_what_was_lost(made_up):
    found = estimates.domains(made_up)
    assert found["pale_back"].value == pytest.approx(1) and found["thick_back"].value == pytest.approx(0.5)
    assert found["noisy_back"].value == pytest.approx(-0.25)  # new statistics may do harm
    assert found["noisy_lost"].value == pytest.approx(40)


def test_the_error_of_two_trainings_is_the_worst_of_the_seeds(made_up):
    assert estimates.scaling(made_up)["weights"].value == 3e-13
