"""What chapter 03 says on the first page, from its committed record and from changed ones."""

import numpy as np
import pytest
import seen

from bn.lab.chapters.activations.findings import findings
from bn.lab.store import records


@pytest.fixture
def record() -> dict:
    return records.deciding("activations")


def at_its_best(record: dict) -> str:
    return seen.plain(findings(record, "en")[1])


def test_where_all_seeds_get_there_at_the_same_look_it_says_who_is_ahead_at_the_first(record):
    first = {name: np.array(record["tuned"][name]["validation"])[:, 1] for name in ("bn", "plain")}
    lead = 100 * np.mean(first["bn"] - first["plain"])
    said = at_its_best(record)
    assert "evaluations 500 steps apart show no difference in the steps to 95%" in said
    assert f"at the first of them BN is ahead by +{lead:.2f} [" in said
    assert "100.0%" not in said


def test_of_one_seed_nothing_is_called_a_tie(record):
    """It has no interval, and so none without width."""
    for network in record["tuned"].values():
        network |= {name: network[name][:1] for name in ("validation", "test")}
    assert "no clear difference" in at_its_best(record)


@pytest.mark.parametrize(("early", "late", "words"), [("bn", "plain", "still faster"), ("plain", "bn", "slower one")])
def test_where_the_interval_leaves_out_one_it_says_who_is_faster(record, early, late, words):
    """One network gets there at its first look, the other after three to five."""
    for k in range(len(record["tuned"]["bn"]["validation"])):
        record["tuned"][early]["validation"][k] = [0.1, *[0.97] * (len(record["tuned"][early]["validation"][k]) - 1)]
        wait = 3 + k % 3
        record["tuned"][late]["validation"][k][1 : wait + 1] = [0.1] * wait
    assert words in at_its_best(record)
