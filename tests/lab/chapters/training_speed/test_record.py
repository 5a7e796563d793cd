"""What the record of notebook 08 holds."""

import json
from dataclasses import asdict

import made_up

from bn.lab.train import recipes


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
