"""The record of notebook 07: the steps of its narrow networks are kept like any run."""

import made_up
import pytest

from bn.lab.chapters.inception import EXPERIMENT, counts
from bn.lab.chapters.inception.spec import Counted
from bn.lab.data import datasets
from bn.lab.store import code


def asked(seeds=(3,), **options) -> dict:
    spec = Counted(scale="smoke", dataset="digits", seeds=seeds, steps=1, width=1 / 32, pixels=8, **options)
    return EXPERIMENT.record(spec)


@pytest.fixture
def tried(fresh_runs, monkeypatch):
    """The seed and the network of each trial that is made."""
    calls, trial = [], counts.trial

    def noted(split, seed, steps, **options):
        calls.append((options["batch_norm"], seed))
        return trial(split, seed, steps, **options)

    monkeypatch.setattr(counts, "trial", noted)
    return calls


def test_each_network_takes_its_steps_once_with_each_seed(tried):
    first = asked((0, 3))
    assert tried == [(False, 0), (False, 3), (True, 0), (True, 3)]
    assert {name: len(trials) for name, trials in first["trials"].items()} == {"plain": 2, "bn": 2}
    assert asked((0, 3), language="ar") == first and len(tried) == 4


def test_damaged_trials_are_made_again(tried, fresh_runs, capsys):
    asked()
    (path,) = fresh_runs.glob("digits/inception-*.json")
    path.write_bytes(b"")
    assert asked()["trials"] and len(tried) == 4
    assert f"{path} is damaged" in capsys.readouterr().out


def test_a_record_says_where_its_trials_come_from(tried, monkeypatch):
    made_up.at("aaaaaaaaaa", monkeypatch)
    asked()
    made_up.at("bbbbbbbbbb", monkeypatch)
    found = asked()["provenance"]
    assert (found["commit"], found["runs"], found["seeds"]) == ("aaaaaaaaaa", 2, [3])
    assert found["code"] == code.digest(counts.__name__)
    assert found["data_sha256"] == datasets.load("digits").checksum
