"""The networks of chapter 04: where BN stands in each, what they have in common, and that looking changes nothing."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from bn.lab.chapters.convolution import study
from bn.lab.chapters.convolution.study import CHANNELS, NETWORKS, Placed, seen
from bn.lab.train.small import Trainer

MINIMAL = {"dataset": "tiny", "steps": 2, "every": 1, "batch": 10, "learning_rate": 0.1}


def build(network: str, seed: int = 0, **fields) -> nn.Sequential:
    torch.manual_seed(seed)
    return study.network(Placed(network=network, **MINIMAL | fields))


def names(net: nn.Sequential) -> list[str]:
    return [name for name, _ in net.named_children() if name[:-1] in ("linear", "norm", "act")]


def order(*kinds: str) -> list[str]:
    return [f"{kind}{k}" for k in (1, 2, 3) for kind in kinds]


def test_bn_stands_where_the_name_says():
    assert names(build("none")) == order("linear", "act")
    assert names(build("before")) == order("linear", "norm", "act")
    assert names(build("after")) == order("linear", "act", "norm")
    assert names(build("input")) == order("norm", "linear", "act")
    assert [build("input").get_submodule(f"norm{k}").num_features for k in (1, 2, 3)] == [784, 100, 100]


def test_only_bn_right_behind_w_takes_the_bias_away():
    biased = {name: build(name).linear2.bias is not None for name in NETWORKS}
    assert biased == {"none": True, "before": False, "after": True, "input": True}


@pytest.mark.parametrize("fields", [{}, {"activation": "sigmoid"}, {"channels": CHANNELS}])
def test_the_first_weights_of_a_seed_are_the_same_wherever_bn_is(fields):
    networks = [build(name, 3, **fields) for name in (("none", "before") if "channels" in fields else NETWORKS)]
    weights = [[p for p in net.parameters() if p.dim() > 1] for net in networks]
    for others in weights[1:]:
        assert all(torch.equal(a, b) for a, b in zip(weights[0], others, strict=True))
    assert not torch.equal(weights[0][0], next(build("none", 4, **fields).parameters()))


def test_what_is_seen_is_normalized_by_all_images_and_the_network_is_as_it_was():
    net, images = build("before"), torch.rand(40, 784)
    before = copy.deepcopy(net.state_dict())
    found = seen(net.eval(), images)
    assert not net.training and all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    torch.testing.assert_close(found["norm2"][1].mean(0), torch.zeros(100), atol=1e-5, rtol=0)
    torch.testing.assert_close(found["norm2"][1].var(0, correction=0), torch.ones(100), atol=1e-2, rtol=0)
    assert torch.equal(found["linear2"][1], found["norm2"][0]) and torch.equal(found["act1"][1], found["linear2"][0])


def test_distributions_are_measured_only_where_images_are_asked_for(tiny):
    usual = {"steps", "finite", "validation", "validation_loss", "test", "test_loss"}
    bare = Trainer(Placed(network="before", **MINIMAL), 0, tiny)
    bare.run()
    assert set(bare.curves()) == usual
    full = Trainer(Placed(network="before", images=30, **MINIMAL), 0, tiny)
    full.run()
    curves = full.curves()
    assert curves["u_skewness"].shape == (3, 2, 100) and curves["input_near"].shape == (3, 3)
    for name in usual:  # to look is to change nothing
        np.testing.assert_array_equal(curves[name], bare.curves()[name])


def test_a_convolutional_network_is_measured_by_its_places(tiny):
    trainer = Trainer(Placed(network="before", channels=(2, 3, 3), images=20, **MINIMAL), 0, tiny)
    trainer.run()
    curves = trainer.curves()
    assert [curves[f"places_{k}"][0].tolist() for k in (1, 2, 3)] == [
        [784, 196, 49, 16, 4, 1],
        [196, 49, 9, 4, 1],
        [49, 9, 4, 1],
    ]
    assert curves["mean_1"].shape == (3, 6) and curves["neighbours_2"].shape == (3,)
