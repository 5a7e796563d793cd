"""The record of section 4.1: what it keeps of its runs."""

import json
from itertools import pairwise

import numpy as np

from bn.lab.chapters.activations import spec as parameters
from bn.lab.chapters.activations.record import NETWORKS, record, typical
from bn.lab.chapters.activations.spec import Activations
from bn.lab.judge import verdicts
from bn.lab.store import claims
from bn.lab.train import runs
from bn.lab.train.replicas import PERCENTILES


def test_figure_1_comes_from_its_runs(smoke_records):
    """The curves in the record are those of the runs, followed by hand for one seed."""
    spec, kept = Activations(scale="smoke", dataset="digits"), smoke_records["activations"]
    pair = (spec.setting("bn", 60, 0.5, 0.01), 1)
    found, network = runs.run([pair])[pair], kept["figure1"]["bn"]
    assert network["steps"] == found["steps"].tolist()
    np.testing.assert_allclose(network["test"][1], found["test"], rtol=1e-4)
    median = found["percentiles"][:, PERCENTILES.index(50)]
    spread = found["percentiles"][:, PERCENTILES.index(75)] - found["percentiles"][:, PERCENTILES.index(25)]
    travelled = [sum(abs(b - a) for a, b in pairwise(unit)) for unit in median.T]
    np.testing.assert_allclose(network["drift"][1], travelled / spread.mean(0), rtol=1e-4)


def test_the_typical_unit_is_the_one_in_the_middle():
    drift = np.zeros((5, 5))
    drift[:, PERCENTILES.index(50)] = [9.0, 1.0, 2.2, 3.0, 2.0]
    assert typical(drift) == 2


def test_each_network_at_its_best_is_the_best_of_its_grid(smoke_records):
    kept = smoke_records["activations"]
    spec = Activations(scale="smoke", dataset="digits")
    for name in NETWORKS:
        settings = {cell: spec.setting(name, 20, *cell, evaluations=40) for cell in spec.cells()}
        found = runs.run([(setting, 0) for setting in settings.values()])
        score = {cell: found[setting, 0]["validation"][-10:].mean() for cell, setting in settings.items()}
        best = (kept["tuned"][name]["learning_rate"], kept["tuned"][name]["weight_std"])
        assert score[best] == max(score.values())
        test = [found[settings[cell], 0]["test"][-10:].mean() for cell in spec.cells()]
        np.testing.assert_allclose([cell[0] for cell in kept["grid"][name]], test, rtol=1e-4)


def test_a_network_that_diverges_is_recorded_as_such(monkeypatch):
    monkeypatch.setattr(
        parameters, "RATE", (0, 1e38)
    )  # at those that may be asked for, weights stay finite for 20 steps
    options = {"rates": (1e38,), "weight_stds": (0.1,), "learning_rate": 1e38, "steps": 20, "seeds": 1}
    found = record(Activations(scale="smoke", dataset="digits", **options))
    json.dumps(found, allow_nan=False)
    assert all(step > 0 for name in NETWORKS for step in found["figure1"][name]["diverged"])
    judged = [verdicts.judge(claim.id, found | {"scale": "cpu"}) for claim in claims.of_chapter("activations")]
    assert {verdict.verdict for verdict in judged} == {"not"}
