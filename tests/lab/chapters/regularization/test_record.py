"""The record of section 3.4: which networks it trains, and what it keeps of them."""

import numpy as np
import pytest

from bn.lab.chapters.regularization.record import LAST
from bn.lab.chapters.regularization.spec import CHOOSING, FEW, GROUPS, NETWORKS, WHOLE, Regularization
from bn.lab.spec import ParameterError
from bn.lab.train import runs

SPEC = Regularization(scale="smoke", dataset="digits")


@pytest.fixture
def kept(smoke_records):
    return smoke_records["regularization"]


def run_of(setting, seed: int) -> dict:
    return runs.run([(setting, seed)])[setting, seed]


def best(candidates: dict[float, object]) -> float:
    (seed,) = CHOOSING[:1]
    score = {rate: run_of(setting, seed)["validation"][-LAST:].mean() for rate, setting in candidates.items()}
    return max(score, key=score.get)


def test_each_network_has_the_best_of_its_own_rates_by_a_seed_that_is_not_reported(kept):
    assert kept["tried"]["seeds"] == [2100] and not {*kept["asked"]["seeds"]} & {*CHOOSING}
    for name in NETWORKS:
        chosen = best({rate: SPEC.network(name, rate) for rate in SPEC.size.rates})
        assert kept["own_rates"][name]["rate"] == chosen
        assert kept["same_rate"][name]["rate"] == kept["own_rates"]["plain"]["rate"]
    for size in (FEW, WHOLE):
        assert kept["own_groups"][str(size)]["rate"] == best({r: SPEC.grouped(size, r) for r in SPEC.size.rates})


def test_all_groups_have_the_rate_that_is_best_for_few_and_whole_together(kept):
    both = np.add(kept["tried"][str(FEW)], kept["tried"][str(WHOLE)])
    rate = SPEC.size.rates[both.argmax()]
    assert {network["rate"] for network in kept["groups"].values()} == {rate}
    assert list(kept["groups"]) == [str(size) for size in GROUPS]


def test_the_curves_are_those_of_the_runs(kept):
    setting = SPEC.network("bn", kept["own_rates"]["bn"]["rate"], probed=True)
    found, network = run_of(setting, 1), kept["own_rates"]["bn"]
    assert network["steps"] == found["steps"].tolist()
    for name in ("test", "train", "test_loss"):
        np.testing.assert_allclose(network[name][1], found[name], rtol=1e-4)
    np.testing.assert_allclose(kept["noise"]["std"][1], found["noise"][-1], rtol=1e-4)
    off = abs(found["var"][-1] - 1).max(1)
    np.testing.assert_allclose(kept["population"]["bn"]["variance_worst"][1], off, rtol=1e-4)


def test_groups_differ_in_their_statistics_alone():
    few, whole = SPEC.grouped(FEW, 0.3), SPEC.grouped(WHOLE, 0.3)
    assert (few.norm, whole.norm, few.batch, whole.batch) == (16, 240, 240, 240)
    assert whole.batch % 60 == 0 and all(whole.batch % size == 0 for size in GROUPS)
    assert (few.steps, few.dropout) == (whole.steps, 0.0)


def test_a_training_is_looked_at_six_times_and_at_its_start():
    setting = Regularization(scale="cpu", dataset="digits", steps=800).network("plain", 0.1)
    assert len(range(0, setting.steps, setting.every)) + 1 == 7 and setting.steps == 800


def test_it_is_never_called_the_papers_own_size():
    assert not Regularization(scale="gpu", dataset="mnist", steps=50_000).papers_own_size


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"examples": 100}, "examples must be a whole number from 1,024 to 1,257, the training images of digits"),
        ({"dropout": 1}, "dropout must be a number from 0.01 to 0.99, but it is 1"),
        ({"seeds": (1, 2101)}, "seeds must leave out 2100 and 2101, by which rates are chosen, but 2101 is among them"),
    ],
)
def test_a_wrong_parameter_is_one_sentence(given, sentence):
    with pytest.raises(ParameterError) as caught:
        Regularization(scale="smoke", dataset="digits", **given)
    assert str(caught.value).startswith(sentence)
