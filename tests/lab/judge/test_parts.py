"""Verdicts of a record that lacks runs: what needs none of them is judged, what needs one waits and says so."""

import copy

import made_up
import pytest

from bn.lab.judge import parts, verdicts
from bn.lab.judge.parts import Unfinished
from bn.lab.show import speech
from bn.lab.store import claims, records

LACKING = [
    {"part": "networks", "network": "bn_x30", "seeds": [2]},
    {"part": "equal", "network": "bn_x5", "seeds": [0, 1, 2]},
    {"part": "sweep", "network": "bn", "seeds": [0]},
]
WAITING = {"bnx30", "bnx30-slower-start", "lr-increase"}  # of bn_x30, or of the equal schedules


@pytest.fixture
def record():
    whole = copy.deepcopy(made_up.record("training_speed"))
    del whole["equal"]["bn_x5"]
    return whole | {"complete": False, "missing": LACKING}


def test_only_claims_whose_trainings_are_all_there_are_judged(record):
    whole = made_up.record("training_speed")
    for claim in claims.of_chapter("training_speed"):
        judged, before = verdicts.judge(claim.id, record), verdicts.judge(claim.id, whole)
        if claim.id in WAITING:
            assert (judged.verdict, judged.conditions, judged.unfinished) == ("notrun", (), True)
            (line,) = speech.found(judged, record, "en")["lines"]
            assert line == "Not all trainings that decide this are finished."
        else:
            assert judged == before and not judged.unfinished
    assert {claim.id for claim in claims.of_chapter("training_speed")} > WAITING


def test_a_network_with_some_of_its_seeds_is_not_there_for_who_judges(record):
    assert "bn_x30" in record["networks"]
    seen = parts.finished(record)
    assert "bn_x30" not in seen["networks"] and "bn_x5" in seen["networks"]
    with pytest.raises(Unfinished, match="bn_x30"):
        seen["networks"]["bn_x30"]
    assert parts.finished(made_up.record("training_speed")) == made_up.record("training_speed")


def test_a_part_has_its_own_steps_and_seeds_and_is_never_the_papers_size():
    record = {"papers_own_size": True, "asked": {"steps": 50_000, "seeds": [1, 2, 3], "batch": 60}}
    record |= {"grid": {"steps": 10_000, "seeds": [7]}, "optimizers": {"steps": 5_000}}
    assert parts.sized(record, None) == record
    assert parts.sized(record, "grid")["asked"] == {"steps": 10_000, "seeds": [7], "batch": 60}
    assert parts.sized(record, "optimizers")["asked"] == {"steps": 5_000, "seeds": [1, 2, 3], "batch": 60}
    assert not parts.sized(record, "grid")["papers_own_size"]


def test_what_a_smaller_part_shows_is_reproduced_at_smaller_scale():
    record = records.deciding("activations")
    found = {name: verdicts.judge(name, record).verdict for name in ("fig1a-accuracy", "ahead-at-most-settings")}
    assert found == {"fig1a-accuracy": "reproduced", "ahead-at-most-settings": "smaller"}
