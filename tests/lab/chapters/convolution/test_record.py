"""The record of chapter 04: its parameters, what it keeps of its runs, and what is counted."""

import dataclasses

import numpy as np
import pytest
import torch

from bn.lab.chapters.convolution import counts, shapes
from bn.lab.chapters.convolution.record import _best, final
from bn.lab.chapters.convolution.spec import CHOOSING, Convolution
from bn.lab.chapters.convolution.study import NETWORKS
from bn.lab.spec import ParameterError
from bn.lab.train import runs

SPEC = Convolution(scale="smoke", dataset="digits")


@pytest.fixture
def kept(smoke_records):
    return smoke_records["convolution"]


def run_of(setting, seed: int) -> dict:
    return runs.run([(setting, seed)])[setting, seed]


def test_seeds_that_choose_are_not_reported():
    with pytest.raises(ParameterError, match="seeds must leave out 2900 and 2901, by which learning rates are chosen"):
        Convolution(scale="cpu", dataset="digits", seeds=(1, CHOOSING[1]))
    with pytest.raises(ParameterError, match="batch must be a whole number from 2 to 1,257, the number of training"):
        Convolution(scale="smoke", dataset="digits", batch=1)


def test_no_size_is_the_papers_and_feature_maps_train_no_longer_than_the_rest():
    assert not any(Convolution(scale=scale, dataset=dataset).papers_own_size for scale, dataset in Convolution.sizes)
    assert Convolution(scale="cpu", dataset="digits").map_steps == 40
    assert Convolution(scale="cpu", dataset="digits", steps=7).map_steps == 7


def test_the_rate_with_the_best_end_is_chosen():
    settings = [SPEC.units("none", "relu", rate) for rate in (0.1, 0.2, 0.3)]
    ends = dict(zip(settings, ([0.9, 0.1, 0.5, 0.6], [0.1, 0.7, 0.8, 0.6], [0.1, 0.2, 0.3, 0.9]), strict=True))
    trained = {(setting, CHOOSING[0]): {"validation": np.array(end)} for setting, end in ends.items()}
    assert _best(settings, SPEC, trained).learning_rate == 0.2  # the mean of the last three


@pytest.mark.parametrize(("accuracy", "expected"), [([0.0, 0.3, 0.6, 0.9], 0.6), ([0.1, 0.8], 0.8), ([0.4], 0.4)])
def test_a_final_accuracy(accuracy, expected):
    assert final(accuracy) == pytest.approx(expected)


def test_accuracies_and_shapes_are_those_of_the_runs(kept):
    setting = SPEC.units("after", "sigmoid", 0.3, measured=True)
    found, network = run_of(setting, 1), kept["accuracy"]["sigmoid"]["after"]
    np.testing.assert_allclose(network["test"][1], found["test"], rtol=1e-4)
    assert network["final_test"][1] == pytest.approx(np.mean(found["test"][-3:]), rel=1e-4)
    wu = kept["shapes"]["sigmoid"]["after"]["wu"]
    assert wu["skewness"][1][-1] == pytest.approx(np.nanmedian(abs(found["wu_skewness"][-1])), rel=1e-4)
    early, late = found["wu_percentiles"][[1, -1]]
    assert wu["moved"][1] == pytest.approx(np.nanmedian(abs(early - late).mean(1)), rel=1e-3)
    unit = run_of(setting, 0)["wu_typical"][-1, -1]
    assert wu["unit"]["index"] == unit and len(wu["unit"]["density"]) == len(shapes.BINS) - 1
    assert set(kept["shapes"]["relu"]) == set(NETWORKS)


def test_places_are_those_of_the_network_with_bn_before_and_after_its_training(kept):
    found = run_of(SPEC.maps("before", 0.3, measured=True), 1)
    for state, at in (("first", 0), ("trained", -1)):
        layer = kept["places"][state][1]
        assert layer["counted"] == [196, 49, 9, 4, 1]
        np.testing.assert_allclose(layer["variance"][1], found["variance_2"][at], rtol=1e-4)
        assert layer["neighbours"][1] == pytest.approx(found["neighbours_2"][at], rel=1e-4)
    assert kept["draws"] == 2_000 and kept["images"]["maps"] == 60


def test_what_is_measured_of_no_training_comes_with_it(kept):
    assert set(kept["measured"]) == {"bias-subsumed-by-beta", "conv-inference-same-map"}
    assert all(len(values) == 2 for named in kept["measured"].values() for values in named.values())


def test_parameters_are_counted_by_hand():
    with torch.device("meta"):
        found = counts.counts()
    units, maps = found["units"], found["maps"]
    plain = 784 * 100 + 2 * 100 * 100 + 100 * 10 + 3 * 100 + 10
    assert (units["plain"], units["parameters"]) == (plain, plain - 300 + 600)
    assert (units["activations"], units["maps"], units["norms"]) == (300, 300, 3)
    assert [layer["places"] for layer in maps["layers"]] == [784, 196, 49]
    assert maps["activations"] == 8 * 784 + 16 * 196 + 16 * 49 and maps["added"] == 2 * (8 + 16 + 16)
    figure5 = found["figure5"]
    assert figure5["added"] == 2 * figure5["maps"] == figure5["parameters"] - figure5["plain"] + figure5["removed"]
    assert figure5["activations"] > 64 * 112 * 112  # the first layer alone


def test_a_setting_says_all_that_a_run_depends_on():
    names = {field.name for field in dataclasses.fields(SPEC.units("none", "relu", 0.1))}
    assert {"activation", "channels", "images", "batch", "watched"} <= names
    assert SPEC.units("none", "relu", 0.1).name == "convolution-none"
