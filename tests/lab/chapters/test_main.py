"""A record without a notebook: the command that makes it, and what it says to wrong words."""

import sys

import pytest

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
    ],
)
def test_wrong_words_are_refused_in_a_sentence(monkeypatch, capsys, arguments, sentence):
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, *arguments)
    assert sentence in capsys.readouterr().err and ended.value.code == 2
