"""The parameters of notebook 05 and the record at smoke scale."""

import importlib

import numpy as np
import pytest

from bn.lab.chapters.learning_rates.spec import CHOOSING, LearningRates
from bn.lab.chapters.learning_rates.study import Net
from bn.lab.spec import ParameterError
from bn.lab.store import claims

module = importlib.import_module("bn.lab.chapters.learning_rates.record")  # the package has the function by that name


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"width": 1}, "width must be a whole number from 2 to 1,000, but it is 1"),
        ({"depths": (1, 2)}, "every number of depths must be a number from 2 to 100, but it is 1"),
        ({"depths": (2.5,)}, "every depth must be a whole number from 2 to 100, but it is 2.5"),
        ({"depths": [5, 2]}, "depths must rise from one to the next, but it is [5, 2]"),
        ({"rates": (1.0, 1.0)}, "rates must rise from one to the next, but it is [1.0, 1.0]"),
        ({"rates": (0.0,)}, "every number of rates must be a number from 1e-09 to 1,000,000, but it is 0.0"),
        ({"seeds": (0, 3101)}, "seeds must leave out 3100 and 3101, by which rates are chosen, but 3101 is among them"),
    ],
)
def test_a_wrong_parameter_is_told_in_one_sentence(asked, sentence):
    with pytest.raises(ParameterError) as caught:
        LearningRates(scale="smoke", dataset="digits", **asked)
    assert str(caught.value) == sentence


def test_it_is_never_the_papers_own_size():
    assert not LearningRates(scale="smoke", dataset="digits", steps=10**6).papers_own_size


def test_the_best_rate_is_by_validation_images_of_the_seeds_that_choose():
    spec = LearningRates(scale="smoke", dataset="digits", rates=(0.1, 0.2, 0.4))
    nets = [spec.net("bn", 2, rate, "he") for rate in spec.rates]
    ends = dict(zip(nets, ((0.5, 0.5), (0.3, 0.8), (0.8, 0.3)), strict=True))
    trained = {
        (net, seed): {"validation": np.array([0.99, end])}
        for net, pair in ends.items()
        for seed, end in zip(CHOOSING, pair, strict=True)
    }
    assert module._best(nets, trained) == 0.2  # the smaller of two alike


def test_the_share_near_1_is_from_a_half_to_two():
    assert module._near(np.array([0.49, 0.5, 1.0, 2.0, 2.01])) == pytest.approx(0.6)
    assert np.isnan(module._near(np.array([1.0, np.nan])))


def test_the_smoke_record_has_all_that_is_estimated_and_shown(smoke_records):
    record = smoke_records["learning_rates"]
    identities = {claim.id for claim in claims.of_chapter("learning_rates") if claim.kind == "mathematics"}
    assert set(record["measured"]) == identities
    ladder, looked, growth = record["rates"], record["looked"], record["growth"]
    shape = len(ladder["depths"]), len(ladder["rates"]), len(ladder["seeds"])
    for network in ("plain", "bn"):
        for first in ladder["firsts"]:
            assert np.shape(ladder[network][first]["test"]) == np.shape(ladder[network][first]["finite"]) == shape
        assert all(rate in ladder["rates"] for rate in looked[network]["rates"])
        for moment in ("first", "last"):
            assert np.shape(looked[network][moment]["activations"]) == (shape[0], shape[2])
            below = np.array(looked[network][moment]["linear"]["below"], float)
            assert below.shape == (shape[0], len(looked["shares"])) and (np.diff(below) >= 0).all()
        for scale in growth["scales"]:
            assert np.shape(growth[network][str(scale)]["norm"]) == (shape[2], len(growth["at"]))
        assert np.shape(record["deepest"][network]["gradient"]) == (shape[2], record["deepest"]["depth"])
    assert set(looked["chosen_by"]).isdisjoint(record["asked"]["seeds"])
    first = [growth["bn"][str(scale)]["norm"][0][0] for scale in growth["scales"]]
    assert first[1] / first[0] == pytest.approx(growth["scales"][1] / growth["scales"][0], rel=1e-3)


def test_a_network_is_of_the_chapters_own_study():
    net = LearningRates(scale="smoke", dataset="digits").deepest("bn")
    assert isinstance(net, Net) and (net.study, net.name) == (Net.study, "learning_rates-bn")
    assert (net.steps, net.depth, net.looked) == (0, 30, True)
