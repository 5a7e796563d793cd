"""Figure 1's networks at once: what is measured, and what is made of it."""

import pytest

from bn.lab.chapters.activations.spec import Activations
from bn.lab.gpu import many


def test_chapter_03_asks_for_so_many_steps():
    spec = Activations(scale="gpu", dataset="mnist")
    of_grid = len(spec.cells()) * len(spec.size.grid_seeds) * spec.size.grid_steps
    assert many.network_steps() == 2 * (2 * len(spec.seeds) * spec.steps + of_grid)
    assert many.network_steps() == 4_400_000


def test_minutes_are_those_of_the_fastest_way_of_each_network():
    said = many.sentence({"bn 1": 1_000.0, "bn 64": 500.0, "plain 1": 2_000.0, "plain 64 compiled": 1_000.0})
    minutes = (2_200_000 / (64 * 500) + 2_200_000 / (64 * 1_000)) / 60
    assert said.endswith(f"chapter 03's 4,400,000 steps of a network take {minutes:.1f} min at the best")
    assert said.startswith("steps/s: bn 1 1,000, bn 64 500, plain 1 2,000, plain 64 compiled 1,000; ")


@pytest.mark.parametrize("networks", [1, 2])
def test_so_many_networks_train_at_once(networks):
    trainer = many.trainer_of("bn", networks, many.random_images(0.01), compiled=False)
    assert many.speed(trainer, 0.0) > 0
    assert trainer.step == many.WARM + many.BLOCK and len(trainer.seeds) == networks
