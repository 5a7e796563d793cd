"""What the record of notebook 08 holds."""

import json
from dataclasses import asdict, replace

import made_up
import pytest

from bn.lab.chapters.training_speed import throughput as speed
from bn.lab.store import code, provenance
from bn.lab.train import recipes, runs


def test_a_record_has_each_network_with_all_its_seeds():
    speed = made_up.record("training_speed")
    base = recipes.inception(recipes.SIZES["cpu", "digits"], "digits", speed["sweep"]["chosen"]["plain"])
    for part, made in (("networks", recipes.networks), ("equal", recipes.equal)):
        assert list(speed[part]) == list(made(base))
        for name, recipe in made(base).items():
            found = speed[part][name]
            assert found["recipe"] == json.loads(json.dumps(asdict(recipe)))
            assert found["steps"][-1] == recipe.steps and len(found["validation"]) == len(found["test"]) == 3
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


def test_a_measured_speed_has_its_ratio_and_range():
    found = speed.measured(BASE, runs.data_of(BASE), "cpu")
    assert set(found) == {"steps_per_second", "images_per_second", "eager_steps_per_second", "ratio", "range"}
    assert 0 < found["range"][0] <= found["ratio"] <= found["range"][1] and found["steps_per_second"] > 0
