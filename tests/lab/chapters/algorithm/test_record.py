"""The record of notebook 01: what is measured without a training is kept like any run."""

import made_up
import pytest

from bn.lab.chapters.algorithm import EXPERIMENT, identities
from bn.lab.chapters.algorithm.spec import Algorithm
from bn.lab.store import code


def asked(**options) -> dict:
    return EXPERIMENT.record(Algorithm(scale="smoke", dataset="digits", steps=2, seeds=(0, 1), **options))


@pytest.fixture
def measured(fresh_runs, monkeypatch):
    """What the identities were measured of, a tuple for each time."""
    calls, measure = [], identities.measure

    def noted(*arguments):
        calls.append(arguments)
        return measure(*arguments)

    monkeypatch.setattr(identities, "measure", noted)
    return calls


def test_the_identities_are_measured_once_for_each_question_and_language_is_none(measured):
    first = asked(m=4)
    assert asked(m=4, language="ar") == first and measured == [((0, 1), 4, 8, 1e-5)]
    asked(m=5)
    assert len(measured) == 2


def test_damaged_identities_are_measured_again(measured, fresh_runs, capsys):
    first = asked(m=4)
    (path,) = fresh_runs.glob("identities/*.json")
    path.write_bytes(path.read_bytes()[:-50])
    again = asked(m=4)
    assert again["measured"] == first["measured"] and len(measured) == 2
    assert f"{path} is damaged" in capsys.readouterr().out


def test_the_identities_have_the_code_of_the_kernels_and_the_commit_of_their_own_time(measured, monkeypatch):
    made_up.at("aaaaaaaaaa", monkeypatch)
    asked(m=4)
    made_up.at("bbbbbbbbbb", monkeypatch)
    assert asked(m=4)["provenance"]["commit"] == "aaaaaaaaaa"
    found = asked(m=5)["provenance"]
    assert (found["commit"], found["runs"], found["data_sha256"]) == ("bbbbbbbbbb", 1, "")
    assert found["code"] == code.digest(identities.__name__, kernels=True)
