"""Tuning: which differences count, which constants there are, and how kernels are asked for ahead of time."""

import json
from functools import lru_cache

import numpy as np
import pytest

from bn import launch
from bn.lab.chapters.kernels.record import Work
from bn.lab.gpu import compiling, sweep, tune

pytestmark = pytest.mark.usefixtures("quick_interpreter")


def times(*factors: float, rounds: int = 20, tensors: int = 3, noise: float = 0.02) -> np.ndarray:
    """Times over a copy's of some choices: their factors, each tensor's own time, and noise."""
    generator = np.random.default_rng(0)
    size = (rounds, len(factors), tensors)
    return np.array(factors)[:, None] * np.arange(1, tensors + 1) * np.exp(noise * generator.standard_normal(size))


@pytest.mark.parametrize(
    ("factors", "best"),
    [
        ((1.0, 0.8, 0.9), 1),
        ((1.0, 1.2, 0.9), 2),
        ((1.0, 1.2), 0),
        ((1.0, 0.995), 0),  # less than what counts
        ((1.0, 0.98), 0),  # within the noise
        ((1.0, np.nan, 0.8), 2),  # one that does not work
        ((np.nan, 0.5), 0),  # nothing to hold it against
    ],
)
def test_another_value_is_taken_only_beyond_the_noise(factors, best):
    found, saved = tune.choice(times(*factors, noise=0.03))
    assert found == best
    assert saved == pytest.approx(1 - factors[best] if best else 0, abs=0.02)


def test_constants_that_the_launch_code_does_not_have_are_left_out_and_said(monkeypatch, tmp_path):
    monkeypatch.setattr(launch, "WINDOW", 7)
    assert sweep.there({"WINDOW": lambda now: (0, now), "NONE": lambda now: (now,)}) == {"WINDOW": (7, 0)}
    finding = tmp_path / "finding.json"
    _, tensors = sweep.TINY
    tune.tuned({"NONE": lambda now: (1, 2)}, tensors, 2, 60.0, finding)
    assert json.loads(finding.read_text()) == {"finding": "bn.launch has no NONE", "constants": {}, "table": {}}


def test_other_values_hold_within_their_statement_only(monkeypatch):
    planned = lru_cache(lambda: launch.TASK)
    monkeypatch.setattr(launch, "replan", planned.cache_clear)
    before = planned()
    with pytest.raises(KeyError), sweep.launched_with({"TASK": 1}):
        assert planned() == launch.TASK == 1
        raise KeyError
    assert planned() == launch.TASK == before


def test_a_value_that_does_not_work_is_no_choice_and_is_said(monkeypatch, tmp_path):
    """A faster one is taken, by the clock as it is."""
    monkeypatch.setattr(launch, "WINDOW", 20)

    def step(case, given):
        def advance():
            if launch.WINDOW == 0:
                raise RuntimeError("too little")

        return advance

    monkeypatch.setattr(tune, "_seconds", lambda work: {20: 5.0, 4: 1.0}[launch.WINDOW])
    monkeypatch.setattr(tune, "_step", step)
    monkeypatch.setattr(tune, "_copy", lambda target, source: 1.0)
    found = tune.tuned({"WINDOW": lambda now: (0, 4)}, sweep.TINY[1], 10, 60.0, tmp_path / "finding.json")
    assert found["constants"] == {"WINDOW": 4}
    sentence = json.loads((tmp_path / "finding.json").read_text())["finding"]
    assert sentence == "WINDOW 20 -> 4, 80.0% faster; {'WINDOW': 0}: RuntimeError: too little"
    assert [row["over_present"] for row in found["table"]["WINDOW"]] == [[1.0], [None], [0.2]]


def test_what_is_compiled_ahead_is_what_is_measured_and_what_is_swept(monkeypatch):
    found = compiling.jobs(tiny=False)
    names = {case.name for case, constants in found if not constants}
    assert {name for name in Work("gpu", quick=True).parts() if "x" in name} <= names
    assert {case.name for case in sweep.CASES} <= names
    monkeypatch.setattr(launch, "EVICT", "evict_first", raising=False)
    assert {"EVICT": ""} in [constants for _, constants in compiling.jobs(tiny=False)]
