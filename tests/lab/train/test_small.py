"""Small networks of any kind: what a chapter builds is trained, measured, stopped and gone on with."""

import sys
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

import bn
from bn.lab.store import code
from bn.lab.train import runs, small, stacks
from bn.lab.train.small import Small, Trainer

STUDY = "bn.lab.chapters.made_up.study"
SETTING = Small(study=STUDY, network="bn", dataset="tiny", steps=12, every=4, batch=16, learning_rate=0.1, momentum=0.9)


@dataclass(frozen=True, kw_only=True)
class Deep(Small):
    depth: int


@pytest.fixture(autouse=True)
def study(monkeypatch):
    """A study with dropout, which draws in each step, and a measurement that draws as well."""
    module = ModuleType(STUDY)

    def network(setting):
        norm = bn.BatchNorm1d if setting.network == "bn" else None
        return stacks.mlp((784, 12, 12, 10), norm, dropout=0.3)

    def measure(trainer):
        return {"drawn": torch.rand(2).numpy(), "norm": trainer.net.softmax.weight.norm().item()}

    module.network, module.measure = network, measure
    monkeypatch.setitem(sys.modules, STUDY, module)
    return module


def trained(tiny, setting=SETTING, seed=0):
    trainer = Trainer(setting, seed, tiny)
    trainer.run()
    return trainer


def test_it_learns_and_is_measured_at_the_first_and_at_every_fourth_step(tiny, one_thread):
    found = trained(tiny, replace(SETTING, steps=60, every=25)).results()
    assert found["steps"].tolist() == [0, 25, 50, 60] and found["finite"].all()
    assert found["drawn"].shape == (4, 2) and found["test_loss"].shape == (4,)
    assert found["test"][0] < 0.4 < 0.7 < found["test"][-1]


def test_a_seed_gives_the_same_bytes_whatever_else_draws(tiny, one_thread):
    first = trained(tiny).results()
    torch.rand(5)
    again = trained(tiny).results()
    other = trained(tiny, seed=1).results()
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["norm"], other["norm"])


def test_it_leaves_the_generator_of_others_alone(tiny):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    trained(tiny)
    assert torch.equal(torch.rand(3), expected)


def test_what_measures_draws_has_no_part_in_the_training(tiny, study, one_thread):
    first = trained(tiny).results()["norm"]
    study.measure = lambda trainer: {"norm": trainer.net.softmax.weight.norm().item(), "more": torch.rand(9).numpy()}
    assert np.array_equal(first, trained(tiny).results()["norm"])


@pytest.mark.parametrize("stop", [3, 4, 9])
def test_a_stopped_training_ends_with_the_same_bytes(tiny, stop, tmp_path, one_thread):
    class Stopped(Exception):
        pass

    def look():
        if trainer.step == stop:
            raise Stopped

    trainer = Trainer(SETTING, 0, tiny)
    with pytest.raises(Stopped):
        trainer.run(look, look)
    torch.save(trainer.state(), tmp_path / "state.pt")
    after = Trainer(SETTING, 0, tiny)
    after.restore([torch.load(tmp_path / "state.pt")])
    after.run()
    whole = trained(tiny)
    assert all(np.array_equal(whole.results()[name], after.results()[name]) for name in whole.results())
    pairs = zip(whole.net.state_dict().values(), after.net.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_step_is_torchs_own_with_decay_of_weights_alone(tiny, study, one_thread):
    study.network = lambda setting: stacks.draw(stacks.mlp((784, 5, 10), bn.BatchNorm1d), 0.1)
    setting = replace(SETTING, weight_decay=0.5, steps=1, momentum=0.0)
    trainer = Trainer(setting, 0, tiny)
    x, y = trainer.batch(0)
    net, rate = trainer.net, setting.learning_rate
    loss = nn.functional.cross_entropy(net(x), y)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    gradients = dict(zip(before, torch.autograd.grad(loss, list(net.parameters())), strict=True))
    trainer.advance()
    for name, p in net.named_parameters():
        decay = 0.5 if p.dim() > 1 else 0.0
        expected = before[name] - rate * (gradients[name] + decay * before[name])
        assert torch.allclose(p, expected, atol=1e-6), name


def test_each_epoch_has_every_image_once_in_an_order_of_the_seed(tiny):
    trainer, other = (Trainer(replace(SETTING, batch=13), seed, tiny) for seed in (0, 1))
    epochs = [torch.cat([trainer.batch(step)[0] for step in range(start, start + 10)]) for start in (0, 10)]
    everything = tiny.train.x.float()
    for epoch in epochs:
        assert torch.equal(epoch.sum(0), everything.sum(0)) and not torch.equal(epoch, everything)
    assert not torch.equal(*epochs) and not torch.equal(other.batch(0)[0], trainer.batch(0)[0])


def test_examples_and_watched_take_a_part_spread_evenly(tiny):
    trainer = Trainer(replace(SETTING, examples=40, watched=20, batch=64), 0, tiny)
    assert (len(trainer.train.y), len(trainer.validation.y), len(trainer.test.y)) == (40, 20, 20)
    assert len(trainer.batch(0)[1]) == 40  # no more than there are


def test_a_network_that_diverged_is_evaluated_and_not_trained_on(tiny, one_thread):
    trainer = Trainer(replace(SETTING, network="plain", learning_rate=1e30), 0, tiny)
    trainer.run()
    found = trainer.results()
    assert not trainer.finite() and found["finite"].tolist() == [True, False, False, False] and len(found["test"]) == 4


def test_runs_keep_it_under_the_code_of_its_study(tiny, fresh_runs, monkeypatch):
    monkeypatch.setattr(runs, "data_of", lambda setting: tiny)
    asked = []
    monkeypatch.setattr(code, "digest", lambda *modules, kernels: asked.append((modules, kernels)) or "digest")
    setting = Deep(**vars(SETTING), depth=3)
    shallow, same = (runs.run_file(replace(setting, depth=depth), 4) for depth in (2, 3))
    assert asked[0] == (("bn.lab.train.small", STUDY), False)
    assert shallow != same == runs.run_file(setting, 4) and same.name.startswith("made_up-bn-seed4-")
    assert runs.trainer_class(setting) is small.Trainer


def test_runs_train_what_is_missing_once(tiny, fresh_runs, monkeypatch):
    monkeypatch.setattr(runs, "data_of", lambda setting: tiny)
    monkeypatch.setattr(code, "digest", lambda *modules, kernels: "digest")
    job = runs.job((SETTING, 0))
    runs.train(job)
    found = runs.run([(SETTING, 0)])
    assert found[SETTING, 0]["test"].shape == (4,) and found[SETTING, 0]["meta"]["setting"]["study"] == STUDY


@pytest.mark.parametrize("place", stacks.PLACES)
@pytest.mark.parametrize("build", ["mlp", "convnet"])
def test_stacks_are_what_their_names_say(build, place):
    norm = bn.BatchNorm1d if build == "mlp" else bn.BatchNorm2d
    net = (
        stacks.mlp((784, 6, 5, 10), norm, "tanh", place)
        if build == "mlp"
        else stacks.convnet((6, 5), 10, norm, "tanh", place)
    )
    names = [name for name, _ in net.named_children()]
    assert (names.index("norm1") < names.index("act1")) is (place == "before")
    first = net.linear1 if build == "mlp" else net.conv1
    assert (first.bias is None) is (place == "before")
    assert net(torch.zeros(3, 784)).shape == (3, 10)


@pytest.mark.parametrize(("std", "expected"), [(0.3, 0.3), ("he", (2 / 400) ** 0.5), ("glorot", (2 / 700) ** 0.5)])
def test_first_weights_are_drawn_as_asked(std, expected):
    net = stacks.draw(nn.Sequential(nn.Linear(400, 300)), std)
    assert net[0].weight.std().item() == pytest.approx(expected, rel=0.03) and not net[0].bias.any()


def test_orthogonal_weights_keep_lengths():
    weight = stacks.draw(nn.Sequential(nn.Linear(50, 50)), "orthogonal")[0].weight
    assert torch.allclose(weight @ weight.T, torch.eye(50), atol=1e-5)
