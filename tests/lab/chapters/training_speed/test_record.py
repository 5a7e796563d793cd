"""What the record of notebook 08 holds."""

import json
import time
from dataclasses import asdict, replace

import made_up
import pytest
import torch
from torch.nn.functional import cross_entropy

from bn.lab.chapters.training_speed import throughput as speed
from bn.lab.store import code, provenance
from bn.lab.train import recipes, runs
from bn.lab.train.loop import network


def test_a_record_has_each_network_with_all_its_seeds():
    speed = made_up.record("training_speed")
    base = recipes.inception(recipes.SIZES["cpu", "digits"], "digits", speed["sweep"]["chosen"]["plain"])
    for part, made in (("networks", recipes.networks), ("equal", recipes.equal)):
        assert list(speed[part]) == list(made(base))
        for name, recipe in made(base).items():
            found = speed[part][name]
            assert found["recipe"] == json.loads(json.dumps(asdict(recipe)))
            assert found["steps"][-1] == recipe.steps and len(found["validation"]) == len(found["final_test"]) == 3
            assert {len(seed) for seed in found["validation"]} == {len(found["steps"])}
    assert set(speed["best"]) == {"plain", "bn"}


# ---- How fast ------------------------------------------------------------------------------------

BASE = recipes.inception(recipes.SIZES["smoke", "digits"], "digits", 0.03, 2)


@pytest.fixture
def measured(fresh_runs, monkeypatch):
    """The networks whose speed is measured, each time another."""
    calls = []

    def measure(recipe, data, device):
        calls.append(recipe)
        return {"ratio": len(calls)}

    monkeypatch.setattr(speed, "measured", measure)
    return calls


def test_the_speed_is_measured_once_so_that_a_second_language_shows_the_same(measured, fresh_runs, capsys):
    first = speed.throughput(BASE)
    assert speed.throughput(BASE) == first
    assert first["measured"] == {"inception": {"ratio": 1}, "bn_x5": {"ratio": 2}}
    assert measured == [BASE, recipes.bn_x5(BASE)]
    (path,) = fresh_runs.glob("digits/throughput-*.json")
    path.write_bytes(path.read_bytes() + b" ")
    assert speed.throughput(BASE)["measured"]["inception"] == {"ratio": 3}
    assert f"{path} is damaged" in capsys.readouterr().out


def test_the_speed_is_another_of_another_network_on_another_device_and_by_other_code(measured, monkeypatch):
    speed.throughput(BASE)
    speed.throughput(replace(BASE, width=1 / 16))
    for module, name in ((provenance, "device_name"), (code, "digest")):
        monkeypatch.setattr(module, name, lambda *arguments, **options: "another")
        speed.throughput(BASE)
    assert len(measured) == 8


def test_a_measured_speed_has_its_rivals_each_with_its_ratio_and_range():
    found = speed.measured(BASE, runs.data_of(BASE), "cpu")
    assert set(found) == {"steps_per_second", "images_per_second", "rivals"}
    assert set(found["rivals"]) == {"first", "tuned"}  # a CPU has no graph that could be left out
    assert set(speed._loops("cuda")) == {"ours", "no_graph", "first", "tuned"}
    for rival in found["rivals"].values():
        assert set(rival) == {"steps_per_second", "images_per_second", "ratio", "range"}
        assert 0 < rival["range"][0] <= rival["ratio"] <= rival["range"][1] and rival["steps_per_second"] > 0


def test_what_is_not_measured_yet_waits_where_the_time_is_over(measured):
    over = time.time() - 1
    assert speed.throughput(BASE, until=over) == {"measured": {}, "meta": {}} and measured == []
    first = speed.throughput(BASE)
    assert speed.throughput(BASE, until=over) == first


@pytest.mark.parametrize("recipe", [BASE, recipes.bn_x5(BASE)], ids=["inception", "bn_x5"])
def test_the_rivals_have_torchs_layers_and_compute_the_same(recipe):
    ours, theirs = network(recipe, 0, 1), speed.torchs(network(recipe, 0, 1))
    assert not any(type(layer).__module__ == "bn.layers" for layer in theirs.modules())
    assert sum(p.numel() for p in theirs.parameters()) == sum(p.numel() for p in ours.parameters())
    x = torch.rand(8, 1, 8, 8)
    for net in (ours, theirs):
        net.dropout.p = 0.0
    torch.testing.assert_close(theirs(x), ours(x))


@pytest.mark.parametrize("loop", [speed._first_written, speed._tuned])
def test_a_rival_learns(loop, one_thread, monkeypatch):
    recipe, losses = replace(recipes.bn_baseline(BASE), dropout=0.0), []

    def loss(logits, y):
        losses.append(cross_entropy(logits, y))
        return losses[-1]

    monkeypatch.setattr(speed, "cross_entropy", loss)
    advance = loop(recipe, runs.data_of(recipe), "cpu")
    for _ in range(30):
        advance()
    assert sum(losses[-5:]) < sum(losses[:5])
