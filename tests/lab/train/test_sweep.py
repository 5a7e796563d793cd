"""The rate chosen by a sweep, and what a record keeps of runs: of made-up runs, so that every number is known."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from bn.lab.train import cli, recipes, runs, sweep
from bn.lab.train.specs import ImageSpec

NAN = math.nan


def test_a_final_accuracy_is_the_mean_of_five_and_none_after_a_divergence():
    assert sweep.final([0.9, 0.1, 0.2, 0.3, 0.4, 0.5]) == pytest.approx(0.3)
    assert sweep.final([0.25, 0.75]) == 0.5
    assert math.isnan(sweep.final([0.1, 0.2, 0.3, 0.4, 0.5, None]))


def test_the_sweep_chooses_the_best_rate_and_never_one_that_diverged(monkeypatch):
    """At 0.3 one of two seeds diverges after it was best of all; with BN 0.1 is the best."""
    rates = (0.003, 0.01, 0.03, 0.1, 0.3)
    sizes = {("cpu", "digits"): replace(recipes.SIZES["cpu", "digits"], rates=rates, choosing=(7, 9))}
    monkeypatch.setattr(ImageSpec, "sizes", sizes)
    finals = {"plain": {0.003: 0.3, 0.01: 0.5, 0.03: 0.7, 0.1: 0.6, 0.3: 0.9}}
    finals["bn"] = {0.003: 0.3, 0.01: 0.5, 0.03: 0.7, 0.1: 0.8, 0.3: 0.75}

    def run(pairs, title, until):
        found = {}
        for recipe, seed in pairs:
            accuracy = np.full(41, finals["bn" if recipe.batch_norm else "plain"][round(recipe.learning_rate, 5)])
            if recipe.learning_rate == 0.3 and not recipe.batch_norm and seed == 9:
                accuracy[-1] = NAN
            found[recipe, seed] = {"validation": accuracy}
        return found

    monkeypatch.setattr(runs, "run", run)
    spec = ImageSpec(scale="cpu", dataset="digits")
    rates, trained = sweep.sweep(spec, ("plain", "bn"))
    assert rates["chosen"] == {"plain": 0.03, "bn": 0.1}
    assert rates["plain"][-1] == [0.9, None] and len(trained) == 20
    assert rates["rates"] == [0.003, 0.01, 0.03, 0.1, 0.3] and rates["seeds"] == [7, 9]
    assert (sweep.swept(spec, "plain", 0.03), 9) in trained and (sweep.swept(spec, "bn", 0.1), 7) in trained
    assert not {seed for _, seed in trained} & set(spec.seeds)


def test_the_two_networks_of_a_sweep_are_inception_and_bn_with_all_changes_at_the_same_rate():
    spec = ImageSpec(scale="cpu", dataset="digits")
    base = spec.base(0.1)
    assert sweep.swept(spec, "plain", 0.1) == base
    assert sweep.swept(spec, "bn", 0.1) == replace(recipes.bn_x5(base), learning_rate=0.1)


def test_where_the_rate_is_given_nothing_is_swept(monkeypatch):
    monkeypatch.setattr(runs, "run", None)  # a call would fail
    spec = ImageSpec(scale="smoke", dataset="digits", learning_rate=0.02)
    assert sweep.sweep(spec, ("plain", "bn")) == ({"rates": [], "chosen": {"plain": 0.02, "bn": 0.02}}, {})


def test_runs_of_the_papers_size_are_expected_and_those_of_others_trained(monkeypatch):
    expected = []
    monkeypatch.setattr(runs, "run", lambda wanted, title, until: (wanted, title))
    monkeypatch.setattr(cli, "expect_finished", lambda spec, wanted: expected.append((spec, wanted)))
    paper, smoke = ImageSpec(scale="paper", seeds=(4, 2)), ImageSpec(scale="smoke")
    base = paper.base(0.0015)
    wanted = sweep.pairs(paper, {"a": base}, {"b": recipes.bn_x5(base)})
    assert wanted == [(base, 4), (recipes.bn_x5(base), 4), (base, 2), (recipes.bn_x5(base), 2)]
    assert sweep.trained(paper, wanted, "title") == sweep.trained(smoke, wanted, "title") == (wanted, "title")
    assert expected == [(paper, wanted)]


def test_where_some_networks_have_a_few_seeds_no_more_are_trained_kept_or_missed():
    spec = ImageSpec(scale="cpu", dataset="tiny-imagenet", learning_rate=0.03)
    networks = recipes.networks(spec.base(0.03))
    wanted = sweep.pairs(spec, networks)
    assert len(wanted) == len(set(wanted)) == 8 * 12 + 20 + 5
    assert [seed for _, seed in wanted] == sorted(seed for _, seed in wanted)
    curve = {"validation": np.zeros(51), "diverged": np.array(-1), "infinite": np.array(False)}
    curve |= {"final_test": np.array(0.1), "final_train": np.array(0.2)}
    curve["meta"] = {"training_seconds": 1.0, "parameters": 3}
    found = sweep.curves(spec, dict.fromkeys(wanted[:-1], curve), networks)
    assert {name: len(network["seeds"]) for name, network in found.items()} == {
        name: {"plain_x5": 19, "plain_x30": 5}.get(name, 12) for name in networks
    }
    missing = sweep.lacking(spec, dict.fromkeys(wanted[:-1]), {"networks": networks})
    assert missing == [{"part": "networks", "network": "plain_x5", "seeds": [4019]}]


def test_a_diverged_run_has_none_where_it_was_not_evaluated():
    spec = ImageSpec(scale="smoke", dataset="digits", seeds=1, learning_rate=0.03)
    recipe = replace(spec.base(0.03), every=2)
    run = {"validation": np.array([0.1, 0.2, NAN]), "diverged": np.array(3), "infinite": np.array(True)}
    run |= {"final_test": np.array(NAN), "final_train": np.array(NAN)}
    run["meta"] = {"training_seconds": 1.0, "parameters": 3}
    found = sweep.curves(spec, {(recipe, 0): run}, {"wild": recipe})["wild"]
    assert found["steps"] == [0, 2, 4, 6, 8] and found["diverged"] == [3]
    assert found["validation"] == [[0.1, 0.2, None, None, None]] and found["infinite"] == [True]
    assert found["final_test"] == found["final_train"] == [None]
    assert (found["recipe"], found["seconds"], found["parameters"]) == (asdict(recipe), [1.0], 3)
