"""The training loop against torch's own optimizer, NumPy and bn.reference; stopping and going on; divergence."""

import io
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bn import reference
from bn.lab.data import datasets
from bn.lab.train import replicas, sgd
from bn.lab.train.mlp import SigmoidMLP
from bn.lab.train.optimizers import OPTIMIZERS, TORCHS
from bn.lab.train.replicas import PERCENTILES, POOLED, Trainer
from bn.lab.train.settings import Setting

SETTING = Setting("bn", "tiny", steps=24, every=8, batch=20, learning_rate=0.5, weight_std=0.1)
REPLICAS = [(0, 0.5, 0.1), (1, 2.0, 0.03)]  # seed, rate, standard deviation of the first weights
RATES = {"sgd": 0.5, "momentum": 0.05, "adagrad": 0.02, "adam": 0.002}
OF_TORCH = {
    "momentum": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.9),
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
}
EACH_OPTIMIZER = pytest.mark.parametrize("optimizer", OPTIMIZERS)
NETWORKS = pytest.mark.parametrize("network", ["plain", "bn"])
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


class Stop(Exception):
    """Raised by a test in the middle of a training."""


def trainer_of(setting, data, replicas=REPLICAS) -> Trainer:
    pairs = [(replace(setting, learning_rate=rate, weight_std=std), seed) for seed, rate, std in replicas]
    return Trainer(pairs, data)


def trained(setting, data, replicas=REPLICAS) -> Trainer:
    trainer = trainer_of(setting, data, replicas)
    trainer.run()
    return trainer


def assert_same_bytes(first: Trainer, second: Trainer) -> None:
    for name, value in first.net.state_dict().items():
        assert torch.equal(value, second.net.state_dict()[name]), name
    for replica in range(len(first.seeds)):
        curves, others = first.curves(replica), second.curves(replica)
        assert list(curves) == list(others)
        assert all(curves[name].tobytes() == others[name].tobytes() for name in curves)


# ---- Steps ---------------------------------------------------------------------------------------


@NETWORKS
def test_a_step_is_torchs_sgd_with_each_replicas_own_rate(network, tiny):
    trainer = trainer_of(replace(SETTING, network=network), tiny)
    singles = [SigmoidMLP(network == "bn", (seed,), (std,)) for seed, _, std in REPLICAS]
    optimizers = [torch.optim.SGD(n.parameters(), lr=rate) for n, (_, rate, _) in zip(singles, REPLICAS, strict=True)]
    for step in range(10):
        for replica, (net, optimizer) in enumerate(zip(singles, optimizers, strict=True)):
            i = trainer.batch(step)[replica]
            optimizer.zero_grad()
            logits, _ = net(tiny.train.x[i][None].float())
            cross_entropy(logits[0], tiny.train.y[i]).backward()
            optimizer.step()
        trainer.advance()
    for replica, net in enumerate(singles):
        for ours, theirs in zip(trainer.net.parameters(), net.parameters(), strict=True):
            torch.testing.assert_close(ours[replica], theirs[0], rtol=1e-4, atol=1e-5)


@NETWORKS
@pytest.mark.parametrize("optimizer", list(TORCHS))
@pytest.mark.parametrize("device", ["cpu", "as cuda"])
def test_other_optimizers_are_torchs_on_its_own_layers(network, optimizer, device, tiny, monkeypatch):
    """Each replica trained by hand; also by the one network of all that a GPU steps, here on a CPU."""
    setting, rate = replace(SETTING, network=network, optimizer=optimizer, steps=8), RATES[optimizer]
    if device == "as cuda":
        monkeypatch.setattr(Trainer, "_apart", property(lambda trainer: False))
    trainer = trainer_of(setting, tiny, [(0, rate, 0.1), (1, rate, 0.03)])
    by_hand = [layers_of(trainer.net, k) for k in range(2)]
    optimizers = [OF_TORCH[optimizer](layers.parameters(), lr=rate) for layers in by_hand]
    for step in range(8):
        for k, (layers, of_layers) in enumerate(zip(by_hand, optimizers, strict=True)):
            i = trainer.batch(step)[k]
            of_layers.zero_grad()
            cross_entropy(layers(tiny.train.x[i].float()), tiny.train.y[i]).backward()
            of_layers.step()
        if step == 4:  # and a kill in the middle changes nothing
            states = [trainer.state(k) for k in range(2)]
            trainer = trainer_of(setting, tiny, [(0, rate, 0.1), (1, rate, 0.03)])
            trainer.restore(states)
        trainer.advance()
    for k, layers in enumerate(by_hand):
        expected = [layer for layer in layers if isinstance(layer, nn.Linear)]
        for ours, theirs in zip(trainer.net.weights, expected, strict=True):
            torch.testing.assert_close(ours[k], theirs.weight, rtol=1e-3, atol=1e-4)
        norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm1d)]
        for norm, theirs in zip(trainer.net.norms, norms, strict=True):
            torch.testing.assert_close(norm.beta[k, 0], theirs.bias, rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(norm.running_mean[k, 1], theirs.running_mean, rtol=1e-3, atol=1e-4)


def test_an_epoch_is_a_permutation_and_the_next_one_another(tiny):
    trainer = trainer_of(SETTING, tiny)
    epochs = [torch.cat([trainer.batch(6 * e + k) for k in range(6)], dim=1) for e in range(2)]
    for order in (*epochs[0], *epochs[1]):
        assert len(set(order.tolist())) == 6 * SETTING.batch  # of 130 images, the ten left over wait
        assert order.min() >= 0 and order.max() < len(tiny.train.y)
    assert not torch.equal(*epochs)


def test_batches_depend_on_the_seed_alone(tiny):
    both = trainer_of(SETTING, tiny)
    plain_alone = trainer_of(replace(SETTING, network="plain"), tiny, [(1, 9.0, 0.3)])
    for step in (0, 7, 40, 3):  # also backwards, as a resumed trainer starts in the middle
        assert torch.equal(both.batch(step)[1], plain_alone.batch(step)[0])
        assert not torch.equal(both.batch(step)[0], both.batch(step)[1])


@NETWORKS
def test_it_learns(network, tiny):
    trainer = trained(replace(SETTING, network=network, steps=300, every=300), tiny, [(0, 0.5, 0.1)])
    first, last = trainer.curves(0)["test"]
    assert first < 0.4 and last > 0.9


# ---- Measuring -----------------------------------------------------------------------------------


def layers_of(net: SigmoidMLP, replica: int) -> nn.Sequential:
    """One replica as layers of torch.nn, with the second momentum where it normalizes."""
    layers, biases = [], [b[replica, 0] for b in net.biases]
    for weight in net.weights:
        normalized = bool(net.norms) and weight is not net.weights[-1]
        linear = nn.Linear(weight.shape[2], weight.shape[1], bias=not normalized)
        linear.weight.data = weight[replica].detach().clone()
        if not normalized:
            linear.bias.data = biases.pop(0).detach().clone()
        layers += [linear, nn.BatchNorm1d(weight.shape[1], momentum=0.01), nn.Sigmoid()] if normalized else [linear]
        if not normalized and weight is not net.weights[-1]:
            layers.append(nn.Sigmoid())
    norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm1d)]
    for layer, norm in zip(norms, net.norms, strict=True):
        layer.weight.data, layer.bias.data = norm.gamma[replica, 0].clone(), norm.beta[replica, 0].clone()
        layer.running_mean, layer.running_var = (
            norm.running_mean[replica, 1].clone(),
            norm.running_var[replica, 1].clone(),
        )
    return nn.Sequential(*layers)


@NETWORKS
def test_distributions_are_those_of_the_network_in_training(network, tiny):
    """By layers of torch in training mode: mini-batches of 20 of the 50 images, the last ten left over."""
    trainer = trained(replace(SETTING, network=network), tiny)
    found = trainer.measure()
    for k in range(2):
        layers = layers_of(trainer.net, k).train()[:-2]
        with torch.no_grad():
            h = np.concatenate([layers(x.float()).numpy() for x in tiny.validation.x[:40].split(20)])
        close = {"rtol": 1e-4, "atol": 1e-4}
        np.testing.assert_allclose(found["percentiles"][k], np.percentile(h, PERCENTILES, axis=0), **close)
        np.testing.assert_allclose(found["pooled"][k], np.percentile(h, POOLED), **close)
        np.testing.assert_allclose(found["mean"][k], h.mean(0), **close)
        np.testing.assert_allclose(found["std"][k], h.std(0), **close)


@NETWORKS
def test_accuracies_are_those_of_the_network_at_inference(network, tiny):
    trainer = trained(replace(SETTING, network=network), tiny)
    found, net = trainer.measure(), trainer.net.eval()
    with torch.no_grad():
        logits, _ = (t.numpy() for t in net(tiny.validation.x.float().expand(2, -1, -1)))
    right = (logits.argmax(2) == tiny.validation.y.numpy()).mean(1)
    np.testing.assert_allclose(found["validation"], right, rtol=1e-6)
    assert found["finite"].tolist() == [True, True]


def test_a_mini_batch_larger_than_the_watched_images_is_of_all_of_them(tiny):
    trainer = trainer_of(replace(SETTING, batch=60), tiny)
    with torch.no_grad():
        _, h = trainer.net(tiny.validation.x.float().expand(2, -1, -1))
    np.testing.assert_allclose(trainer.measure()["mean"], h.mean(1), atol=1e-5)


def test_only_accuracies_of_a_network_that_is_not_studied(tiny):
    curves = trained(replace(SETTING, studied=False), tiny).curves(0)
    assert set(curves) == {"steps", "validation", "test", "finite"}


def test_looks_are_evaluations_with_both_momenta_and_the_population(tiny):
    trainer = trained(replace(SETTING, steps=200, every=4), tiny)
    curves = trainer.curves(0)
    assert curves["look_steps"].tolist() == [4, 8, *range(20, 201, 20)]
    at = np.searchsorted(curves["steps"], curves["look_steps"])
    assert curves["moving"].shape == (12, 2)
    np.testing.assert_array_equal(curves["moving"][:, 0], curves["test"][at])
    with torch.no_grad():
        slow = layers_of(trainer.net, 0).eval()(tiny.test.x.float()).argmax(1) == tiny.test.y
    assert curves["moving"][-1, 1] == pytest.approx(slow.float().mean().item())
    assert curves["population"][-1] == trainer.population_accuracy()[0]


@pytest.mark.parametrize(("steps", "every"), [(1, 1), (7, 2), (24, 8), (60, 1), (251, 2)])
def test_each_look_is_at_an_evaluation_and_the_last_at_the_end(steps, every, tiny):
    curves = trained(replace(SETTING, steps=steps, every=every), tiny).curves(0)
    assert set(curves["look_steps"]) <= set(curves["steps"]) - {0} and curves["look_steps"][-1] == steps


def test_measuring_changes_nothing(tiny):
    often, seldom = (trained(replace(SETTING, every=every), tiny) for every in (1, 24))
    for name, value in often.net.state_dict().items():
        assert torch.equal(value, seldom.net.state_dict()[name]), name
    assert often.net.training


def test_evaluations_are_at_the_start_each_interval_and_the_end(tiny):
    assert trained(replace(SETTING, steps=20), tiny).curves(0)["steps"].tolist() == [0, 8, 16, 20]


def algorithm_2(net: SigmoidMLP, replica: int, batches: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The population statistics of each hidden layer, by bn.reference alone."""
    statistics = []
    for weight, norm in zip(net.weights, net.norms, strict=False):
        w, gamma, beta = (p[replica].detach().numpy().astype(float) for p in (weight, norm.gamma, norm.beta))
        inputs = [u @ w.T for u in batches]
        statistics.append(reference.population_statistics(inputs))
        normalized = [reference.batch_norm(x, gamma[0], beta[0], norm.eps)[0] for x in inputs]
        batches = [1 / (1 + np.exp(-y)) for y in normalized]
    return statistics


def infer(net: SigmoidMLP, replica: int, u: np.ndarray, statistics) -> np.ndarray:
    for weight, norm, (mean, var) in zip(net.weights, net.norms, statistics, strict=False):
        w, gamma, beta = (p[replica].detach().numpy().astype(float) for p in (weight, norm.gamma, norm.beta))
        u = 1 / (1 + np.exp(-reference.batch_norm_inference(u @ w.T, gamma[0], beta[0], mean, var, norm.eps)))
    return u @ net.weights[-1][replica].detach().numpy().T + net.biases[-1][replica].detach().numpy()


def test_population_accuracy_is_algorithm_2(tiny, monkeypatch):
    trainer = trained(SETTING, tiny)
    moving = [norm.running_var.clone() for norm in trainer.net.norms]
    used, accuracy = [], trainer._accuracy
    monkeypatch.setattr(trainer, "_accuracy", lambda split: used.append(trainer.net) or accuracy(split))
    found = trainer.population_accuracy()
    for replica in range(2):
        batches = [tiny.train.x[trainer.batch(k)[replica]].numpy().astype(float) for k in range(6)]
        statistics = algorithm_2(trainer.net, replica, batches)
        for norm, (mean, var) in zip(used[0].norms, statistics, strict=True):
            np.testing.assert_allclose(norm.running_mean[replica, 0], mean, rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(norm.running_var[replica, 0], var, rtol=1e-3, atol=1e-6)
        logits = infer(trainer.net, replica, tiny.test.x.numpy().astype(float), statistics)
        right = (logits.argmax(1) == tiny.test.y.numpy()).mean()
        assert found[replica] == pytest.approx(right, abs=1.01 / len(tiny.test.y))  # a tie may round either way
    # It leaves the trained network as it was, with the moving averages of the training.
    assert all(torch.equal(a, norm.running_var) for a, norm in zip(moving, trainer.net.norms, strict=True))


def test_a_plain_network_has_no_statistics_to_look_at(tiny):
    assert not {"look_steps", "population", "moving"} & set(trained(replace(SETTING, network="plain"), tiny).curves(0))


# ---- Stopping, and what must not happen ----------------------------------------------------------


@NETWORKS
@EACH_OPTIMIZER
def test_a_resumed_training_ends_with_the_same_bytes(network, optimizer):
    digits, rate = datasets.load("digits"), RATES[optimizer]
    setting = Setting(network, "digits", 60, 10, batch=60, learning_rate=rate, weight_std=0.1, optimizer=optimizer)
    undisturbed = trained(setting, digits)
    saved = io.BytesIO()

    first = trainer_of(setting, digits)

    def stop_at_step_30():
        if first.step == 30:
            torch.save([first.state(k) for k in range(2)], saved)
            raise Stop

    with pytest.raises(Stop):
        first.run(stop_at_step_30)
    second, steps = trainer_of(setting, digits), []
    second.restore(torch.load(io.BytesIO(saved.getvalue()), weights_only=True))
    second.run(lambda: steps.append(second.step))
    assert steps == [40, 50, 60]
    assert_same_bytes(second, undisturbed)
    for ours, theirs in zip(second._torchs, undisturbed._torchs, strict=True):
        torch.testing.assert_close(ours.state(0), theirs.state(0), rtol=0, atol=0)


@NETWORKS
def test_a_diverged_replica_is_recorded_and_touches_no_other(network, tiny):
    setting = replace(SETTING, network=network, steps=40)
    calm = trained(setting, tiny, [(0, 0.5, 0.1), (1, 0.5, 0.1)])
    wild = trained(setting, tiny, [(0, 0.5, 0.1), (1, 1e38, 0.1)])
    finite = wild.curves(1)["finite"]
    assert finite[0] and not finite[-1]
    assert wild.curves(0)["finite"].all() and calm.curves(1)["finite"].all()
    for name, value in calm.curves(0).items():
        np.testing.assert_array_equal(value, wild.curves(0)[name])
    assert np.isfinite(wild.population_accuracy()).all()


def test_without_a_compiler_it_says_so_and_trains_the_same(tiny, monkeypatch, capsys):
    def no_compiler():
        raise RuntimeError("no C++ compiler")

    expected = trained(SETTING, tiny)
    monkeypatch.setattr(replicas, "COMPILE_FROM", 1)
    monkeypatch.setattr(sgd, "compiled", no_compiler)
    eager = trained(SETTING, tiny)
    assert not eager.compiled
    assert "torch.compile does not work here (RuntimeError)" in capsys.readouterr().out
    assert_same_bytes(eager, expected)


def test_a_trial_step_for_the_compiler_leaves_no_trace(tiny, monkeypatch):
    """The step that finds out whether compiling works is one of a copy."""
    expected = trained(SETTING, tiny)
    monkeypatch.setattr(replicas, "COMPILE_FROM", 1)
    monkeypatch.setattr(sgd, "compiled", lambda: sgd.descents)
    compiled = trained(SETTING, tiny)
    assert compiled.compiled
    assert_same_bytes(compiled, expected)


@NETWORKS
def test_a_compiled_training_is_the_eager_one_up_to_rounding_and_the_same_in_any_company(network, tiny, monkeypatch):
    setting = replace(SETTING, network=network)
    eager = trained(setting, tiny)
    monkeypatch.setattr(replicas, "COMPILE_FROM", 1)
    compiled = trained(setting, tiny)
    if not compiled.compiled:
        pytest.skip("torch.compile does not work on this machine")
    alone = [trained(setting, tiny, [one]) for one in REPLICAS[::-1]][::-1]
    for name, value in eager.net.state_dict().items():
        torch.testing.assert_close(compiled.net.state_dict()[name], value, rtol=1e-3, atol=1e-4)
        for replica, trainer in enumerate(alone):
            assert torch.equal(trainer.net.state_dict()[name][0], compiled.net.state_dict()[name][replica]), name


@NETWORKS
@EACH_OPTIMIZER
def test_the_bytes_of_a_replica_depend_on_no_other(network, optimizer, tiny):
    setting = replace(SETTING, network=network, optimizer=optimizer)
    three = [(seed, share * RATES[optimizer], std) for seed, share, std in ((0, 1, 0.1), (1, 4, 0.03), (7, 0.2, 0.3))]
    alone = {one: trained(setting, tiny, [one]).net.state_dict() for one in three}
    for order in permutations(three):
        together = trained(setting, tiny, list(order)).net.state_dict()
        for k, one in enumerate(order):
            assert all(torch.equal(value[k], alone[one][name][0]) for name, value in together.items())
