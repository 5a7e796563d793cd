"""A record without a notebook: the command that makes it, and what it says to wrong words."""

import json
import sys
from dataclasses import replace

import pytest

from bn.lab import registry
from bn.lab.chapters import __main__ as command
from bn.lab.store import records


def call(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["chapters", *arguments])
    command.main()


def test_it_makes_the_record(fresh_runs, monkeypatch, capsys):
    call(monkeypatch, "inception", "--scale", "smoke", "--dataset", "digits")
    (path,) = (fresh_runs / "records").glob("*.json")
    assert records.read(path)["experiment"] == "inception"
    assert str(path.parent) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("activation",), "invalid choice: 'activation'"),
        (("algorithm", "--scale", "huge"), "error: scale must be one of 'smoke', 'cpu', 'gpu', 'paper'"),
        (("ensemble", "--dataset", "imagenet"), "error: at scale 'cpu' the data set must be one of digits, mnist"),
        (
            ("algorithm", "--learning-rate", "0.1"),
            "error: algorithm has no parameter 'learning_rate'; its parameters are",
        ),
        (("training_speed", "--steps", "few"), "error: steps must be a whole number from 1 to"),
        (("training_speed", "--batch", "1"), "error: batch must be a whole number from 2 to"),
        (("training_speed", "--seeds", "0,0"), "error: seeds must be different numbers, but it is [0, 0]"),
        (("training_speed", "--minutes", "0"), "error: minutes must be a number above 0, but it is 0"),
        (("training_speed", "--minutes", "soon"), "error: minutes must be a number above 0, but it is 'soon'"),
        (("algorithm", "--minutes", "3"), "error: algorithm does not end after so many minutes: leave --minutes out"),
    ],
)
def test_wrong_words_are_refused_in_a_sentence(monkeypatch, capsys, arguments, sentence):
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, *arguments)
    assert sentence in capsys.readouterr().err and ended.value.code == 2


@pytest.mark.parametrize(("seeds", "expected"), [("2", (0, 1)), ("[4, 2]", (4, 2)), ("4,2", (4, 2))])
def test_what_is_given_is_what_a_notebook_is_given(monkeypatch, seeds, expected, tmp_path, capsys):
    asked = []

    def record(spec, minutes=None):
        asked.append((spec, minutes))
        about = {"experiment": "training_speed", "scale": "smoke", "dataset": "digits", "asked": {}}
        return about | {"complete": False, "runs_planned": 9, "provenance": {"runs": 4}}

    experiment = registry.experiment("training_speed")
    monkeypatch.setattr(registry, "experiment", lambda name: replace(experiment, record=record))
    switches = {"seeds": seeds, "steps": "40", "batch": "16", "learning-rate": "0.05", "scale": "smoke"}
    given = [word for name, value in switches.items() for word in (f"--{name}", value)]
    call(monkeypatch, "training_speed", *given, "--minutes", "1.5", "--out", str(tmp_path / "out" / "gpu.json"))
    expected = experiment.spec(scale="smoke", seeds=expected, steps=40, batch=16, learning_rate=0.05)
    assert asked == [(expected, 1.5)]
    assert json.loads((tmp_path / "out" / "gpu.json").read_text())["runs_planned"] == 9
    said = capsys.readouterr().out
    assert "gpu.json" in said and "not complete, with 4 of 9 trainings: the same command goes on" in said
