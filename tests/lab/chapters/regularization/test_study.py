"""The networks of section 3.4 and what is measured of them, against bn's own layer and by hand."""

import numpy as np
import pytest
import torch

import bn
from bn.lab.chapters.regularization import study
from bn.lab.chapters.regularization.spec import Regularization
from bn.lab.chapters.regularization.study import GroupNorm
from bn.lab.train.small import Trainer

SPEC = Regularization(scale="smoke", dataset="digits", examples=1_024)


@pytest.fixture
def x():
    return torch.randn(12, 5, generator=torch.Generator().manual_seed(0)) + 1


def alike(norm: GroupNorm) -> GroupNorm:
    with torch.no_grad():
        norm.weight.copy_(torch.arange(1, norm.num_features + 1))
        norm.bias.copy_(torch.arange(norm.num_features))
    return norm


@pytest.mark.parametrize("size", [3, 4, 12])
def test_each_group_is_normalized_as_a_mini_batch_of_its_own(x, size):
    norm, layers = alike(GroupNorm(5, size)), [alike(bn.BatchNorm1d(5)) for _ in range(12 // size)]
    u, v = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected = torch.cat([layer(group) for layer, group in zip(layers, v.split(size), strict=True)])
    torch.testing.assert_close(norm(u), expected)
    norm(u).square().sum().backward(), expected.square().sum().backward()
    torch.testing.assert_close(u.grad, v.grad)


def test_moving_averages_are_of_the_means_and_unbiased_variances_of_the_groups(x):
    norm = GroupNorm(5, 4)
    norm(x)
    groups = x.view(3, 4, 5)
    torch.testing.assert_close(norm.running_mean, 0.1 * groups.mean((0, 1)))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * groups.var(1).mean(0))


def test_without_momentum_they_are_those_of_algorithm_2(x):
    norm = GroupNorm(5, 4)
    norm.momentum = None
    norm(x), norm(2 * x)
    torch.testing.assert_close(norm.running_mean, 1.5 * x.mean(0))
    torch.testing.assert_close(norm.running_var, 2.5 * x.view(3, 4, 5).var(1).mean(0))
    expected = (x - norm.running_mean) / torch.sqrt(norm.running_var + 1e-5)
    torch.testing.assert_close(norm.eval()(x), expected)
    torch.testing.assert_close(alike(norm).normalized(x), expected)


def test_groups_that_do_not_make_up_the_mini_batch_are_refused(x):
    with pytest.raises(ValueError, match="12 examples are no whole number of groups of 5"):
        GroupNorm(5, 5)(x)


def test_a_network_has_what_its_setting_says():
    kinds = {name: study.network(SPEC.network(name, 0.1)) for name in ("plain", "plain_dropout", "bn", "bn_dropout")}
    assert [hasattr(net, "norm2") for net in kinds.values()] == [False, False, True, True]
    assert [hasattr(net, "dropout1") for net in kinds.values()] == [False, True, False, True]
    assert (kinds["bn"].norm2.size, study.network(SPEC.grouped(16, 0.1)).norm1.size) == (60, 16)
    assert kinds["plain_dropout"].dropout2.p == 0.25


@pytest.fixture
def trained(tiny, monkeypatch):
    """A network with BN after five steps, on made-up images."""
    monkeypatch.setattr(study, "SIZES", (2, 32, 128))
    trainer = Trainer(SPEC.network("bn", 0.3, probed=True), 0, tiny)
    for _ in range(5):
        trainer.advance()
    return trainer


def test_only_a_probed_network_is_probed_and_only_at_its_end(trained):
    assert set(study.measure(trained)) == {"train", "train_loss"}
    trained.step = trained.setting.steps
    assert {"mean", "var", "noise", "penalty", "margins"} <= set(study.measure(trained))


def test_mean_and_variance_are_those_at_inference_by_the_averages_of_an_epoch(trained):
    """The first layer by hand: two mini-batches of 60 of the 130 images."""
    torch.manual_seed(3)
    order = torch.randperm(130)
    torch.manual_seed(3)
    found = study.probe(trained)
    x = trained.train.x.float()
    a = (x @ trained.net.linear1.weight.T).detach().double()
    batches = a[order[:60]], a[order[60:120]]
    mean = sum(batch.mean(0) for batch in batches) / 2
    var = sum(batch.var(0) for batch in batches) / 2
    x_hat = ((a - mean) / torch.sqrt(var + 1e-5)).numpy()
    np.testing.assert_allclose(found["mean"][0], x_hat.mean(0), atol=1e-5)
    np.testing.assert_allclose(found["var"][0], x_hat.var(0), atol=1e-5)
    assert found["mean"].shape == (2, study.WIDTH)


def test_the_probe_leaves_the_network_as_it_was(trained):
    before = {name: value.clone() for name, value in trained.net.state_dict().items()}
    study.probe(trained)
    assert all(torch.equal(value, before[name]) for name, value in trained.net.state_dict().items())
    assert trained.net.norm1.size == 60 and trained.net.norm1.momentum == 0.1


def test_the_same_company_makes_no_noise_and_other_company_the_less_the_more_there_is(trained):
    net = trained.net
    probes, pool = trained.test.x[:3].float(), trained.train.x.float()
    assert study.noise(net, probes, pool[:1]).max() < 1e-5
    noise = study.noise(net, probes, pool)
    assert (noise[0] > noise[1]).all() and (noise[1] > noise[2]).all()
    assert noise[1, 0] / noise[2, 0] == pytest.approx(2, rel=0.3)  # the root of 128 / 32


def test_the_noise_adds_nothing_where_each_mini_batch_is_the_population(trained, monkeypatch):
    monkeypatch.setattr(study, "SIZES", (130,))
    net, x, y = trained.net, trained.train.x.float(), trained.train.y
    for norm in study.norms(net):
        norm.size = 130
    study.take_population(net, x, 130)
    with torch.no_grad():
        small = study.penalty(net, x, y)
        monkeypatch.setattr(study, "SIZES", (4,))
        large = study.penalty(net, x, y)
    assert abs(small[0]) < 0.02 * large[0]


def test_the_image_that_is_followed_is_the_one_nearest_to_the_border(trained):
    with torch.no_grad():
        found = study.company(trained.net, trained, 60)
        logits = trained.net.eval()(trained.test.x[:100].float())
    right = logits.gather(1, trained.test.y[:70, None])[:, 0]
    others = [
        max(v for k, v in enumerate(row) if k != y) for row, y in zip(logits.tolist(), trained.test.y, strict=True)
    ]
    margins = right.numpy() - np.array(others)
    assert found["image"] == abs(margins).argmin()
    assert found["margin"] == pytest.approx(margins[found["image"]], abs=1e-5)
    assert found["margins"].shape == (100,) and found["margins"].std() > 0
