"""The record of section 4.1: what it keeps of its runs."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from bn.lab.chapters.activations import spec as parameters
from bn.lab.chapters.activations.record import NETWORKS, record, typical
from bn.lab.chapters.activations.spec import Activations
from bn.lab.judge import verdicts
from bn.lab.store import claims
from bn.lab.train import runs

SPEC = Activations(scale="smoke", dataset="digits")


@pytest.fixture
def kept(smoke_records):
    return smoke_records["activations"]


def run_of(setting, seed: int) -> dict:
    return runs.run([(setting, seed)])[setting, seed]


def test_figure_1_comes_from_its_runs(kept):
    """The curves in the record are those of the runs, and the drift that of scipy, followed for one seed."""
    found, network = run_of(SPEC.setting("bn", 60, 0.5, 0.01), 1), kept["figure1"]["bn"]
    assert network["steps"] == found["steps"].tolist()
    np.testing.assert_allclose(network["test"][1], found["test"], rtol=1e-4)
    np.testing.assert_allclose(network["population"][1], found["population"], rtol=1e-4)
    np.testing.assert_allclose(network["moving"][1], found["moving"].T, rtol=1e-4)
    looks, distances = range(0, 61, 6), []
    for first, second in pairwise(looks):
        pairs = zip(found["percentiles"][first].T, found["percentiles"][second].T, strict=True)
        deviation = np.sqrt((found["std"][first] ** 2 + found["std"][second] ** 2) / 2)
        distances.append([stats.wasserstein_distance(a, b) for a, b in pairs] / deviation)
    np.testing.assert_allclose(network["drift"][1], np.mean(distances, axis=0), rtol=1e-3)
    np.testing.assert_allclose(network["drift_by_look"][1], np.median(distances, axis=1), rtol=1e-3)
    assert network["drift_later"][1] == pytest.approx(np.median(np.mean(distances[1:], axis=0)), rel=1e-3)


def test_the_shift_is_in_starting_deviations(kept):
    """From the evaluation at 2% of the training, which of 60 steps is the first."""
    found, network = run_of(SPEC.setting("plain", 60, 0.5, 0.01), 0), kept["figure1"]["plain"]
    shift = abs(found["mean"][-1] - found["mean"][1]) / found["std"][1]
    np.testing.assert_allclose(network["mean_shift"][0], shift, rtol=1e-3)
    np.testing.assert_allclose(network["std_growth"][0], found["std"][-1] / found["std"][1], rtol=1e-3)


def test_a_plain_network_has_no_moving_averages(kept):
    assert "moving" in kept["figure1"]["bn"] and "moving" not in kept["figure1"]["plain"]


def test_the_typical_unit_is_the_one_in_the_middle():
    assert typical(np.array([9.0, 1.0, 2.2, 3.0, 2.0])) == 2


def test_each_network_at_its_best_is_the_best_of_its_grid_by_seeds_that_are_not_reported(kept):
    (seed,) = kept["grid"]["seeds"]
    assert seed not in SPEC.seeds
    for name in NETWORKS:
        found = {cell: run_of(SPEC.brief(name, *cell), seed) for cell in SPEC.cells()}
        score = {cell: run["validation"][-10:].mean() for cell, run in found.items()}
        best = (kept["tuned"][name]["learning_rate"], kept["tuned"][name]["weight_std"])
        assert score[best] == max(score.values())
        assert kept["spread"]["own_rates"][name] == best[0]
        test = [found[cell]["test"][-10:].mean() for cell in SPEC.cells()]
        np.testing.assert_allclose([cell[0] for cell in kept["grid"][name]["test"]], test, rtol=1e-4)
        curves = [(run["validation"][1:] + run["validation"][:-1]) @ np.diff(run["steps"]) for run in found.values()]
        np.testing.assert_allclose([c[0] for c in kept["grid"][name]["area"]], np.array(curves) / 40, rtol=1e-4)


def test_ladder_and_spread_are_of_their_settings(kept):
    for name in NETWORKS:
        highest = run_of(SPEC.brief(name, 1.0, 0.1), 2100)
        assert kept["ladder"][name]["test"][1][0] == pytest.approx(highest["test"][-10:].mean(), rel=1e-4)
        widest = run_of(SPEC.brief(name, kept["spread"]["own_rates"][name], 1.0), 0)
        assert kept["spread"][name]["test"][1][0] == pytest.approx(widest["test"][-10:].mean(), rel=1e-4)
    assert (kept["ladder"]["seeds"], kept["spread"]["seeds"]) == ([2100], [0])


def test_each_optimizer_has_the_best_of_its_own_rates(kept):
    part = kept["optimizers"]
    assert (part["steps"], part["chosen_by"], list(part["by_name"])) == (
        10,
        [2100],
        ["sgd", "momentum", "adagrad", "adam"],
    )
    for name in NETWORKS:
        network = part["by_name"]["adam"][name]
        tried = {rate: run_of(SPEC.brief(name, rate, 0.1, "adam"), 2100) for rate in (0.001, 0.003)}
        score = {rate: run["validation"][-10:].mean() for rate, run in tried.items()}
        assert score[network["rate"]] == max(score.values())
        reported = run_of(replace(SPEC.brief(name, network["rate"], 0.1), optimizer="adam", steps=10), 1)
        assert network["test"][1] == pytest.approx(reported["test"][-10:].mean(), rel=1e-4)


def test_a_network_that_diverges_is_recorded_as_such(monkeypatch):
    monkeypatch.setattr(
        parameters, "RATE", (0, 1e38)
    )  # at those that may be asked for, weights stay finite for 20 steps
    options = {"rates": (1e38,), "weight_stds": (0.1,), "learning_rate": 1e38, "steps": 20, "seeds": 2}
    found = record(Activations(scale="smoke", dataset="digits", **options))
    json.dumps(found, allow_nan=False)
    assert all(step > 0 for name in NETWORKS for step in found["figure1"][name]["diverged"])
    judged = {c.id: verdicts.judge(c.id, found | {"scale": "cpu"}).verdict for c in claims.of_chapter("activations")}
    judged.pop("moving-averages")  # where both statistics are infinite both networks answer by chance, and agree
    assert set(judged.values()) - {"stated"} == {"inconclusive", "not"}
