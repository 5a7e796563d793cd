"""The targets of the kernels, judged by made-up records."""

import math

import pytest

from bn.lab.chapters.kernels.__main__ import sentence
from bn.lab.chapters.kernels.estimates import ESTIMATES, judged_by
from bn.lab.judge.statistics import Estimate
from bn.lab.judge.verdicts import judge
from bn.lab.store import claims


def verdicts(record: dict) -> dict[str, str]:
    return {name.removeprefix("kernel-"): judge(name, record).verdict for name in ESTIMATES}


def test_every_target_has_an_estimate():
    targets = claims.of_chapter("kernels")
    assert [target.id for target in targets] == list(ESTIMATES)
    assert {(target.kind, target.scale, len(target.rule)) for target in targets} == {("target", "gpu", 1)}


def test_targets_that_are_met(synthetic):
    assert set(verdicts(synthetic()).values()) == {"met"}


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({"eager": 1.9}, {"relu-eager", "add-relu-eager"}),
        ({"compiled": 1.1}, {"relu-compile", "add-relu-compile"}),
        ({"share": 0.9}, {"nchw-floor"}),
        ({"share": 0.8}, {"nchw-floor", "bandwidth"}),
        ({"graph": 1.9}, {"graph"}),
        ({"step": 1.14}, {"step"}),
        ({"compiled": 0.9}, {"relu-compile", "add-relu-compile", "never-slower", "never-slower-wall"}),
    ],
)
def test_targets_that_are_not_met(synthetic, change, missed):
    judged = verdicts(synthetic(**change))
    assert {name for name, verdict in judged.items() if verdict == "notmet"} == missed
    assert {verdict for name, verdict in judged.items() if name not in missed} == {"met"}


def test_at_its_limit_a_target_is_met_but_the_floor_is_not_beaten(synthetic):
    judged = verdicts(synthetic(eager=2.0, compiled=1.2, share=1.0, graph=2.0, step=1.15))
    assert {name for name, verdict in judged.items() if verdict != "met"} == {"nchw-floor"}
    assert verdicts(synthetic(share=0.85))["bandwidth"] == "met"


@pytest.mark.parametrize("change", [{"scale": "cpu"}, {"cases": []}])
def test_targets_that_were_not_run(synthetic, change):
    record = synthetic() | change
    judged = verdicts(record)
    if "cases" in change:
        assert judged.pop("graph") == judged.pop("step") == "met"
    assert set(judged.values()) == {"notrun"}
    assert {str(ESTIMATES[f"kernel-{name}"](record)) for name in judged} == {"{}"}


def test_a_part_of_the_benchmark_shows_what_it_measured_and_decides_nothing(synthetic):
    whole, part = synthetic(), synthetic() | {"complete": False}
    assert set(verdicts(part).values()) == {"notrun"}
    assert judged_by(judge("kernel-relu-eager", part)) == judged_by(judge("kernel-relu-eager", whole))
    assert sentence(judge("kernel-relu-eager", part)).startswith("not run     2.5 (limit 2, 50 cases)  ")


def test_a_case_where_bn_fails_misses_and_one_out_of_memory_is_left_out(synthetic):
    record = synthetic()
    record["cases"][0] = {k: v for k, v in record["cases"][0].items() if k != "candidates"} | {"not_run": "memory"}
    assert verdicts(record)["bandwidth"] == "met"
    assert judged_by(judge("kernel-relu-eager", record)).n == 2 * 25 - 1
    record["cases"][2]["candidates"]["bn"] = {"not_run": "RuntimeError: broken"}
    assert verdicts(record)["bandwidth"] == verdicts(record)["relu-eager"] == "notmet"
    failed = judged_by(judge("kernel-relu-eager", record))
    assert math.isnan(failed.value) and failed.n == 2 * 25 - 1


def test_a_part_that_did_not_work_is_not_run(synthetic):
    record = synthetic() | {"graph": {"not_run": "out of memory"}}
    assert judge("kernel-graph", record).verdict == "notrun"


def test_a_median_and_the_worst_case(synthetic):
    record = synthetic()
    slow = record["cases"][0]["candidates"]["eager"]  # an operation with ReLU, NCHW, larger than the cache
    record["cases"][0]["candidates"]["eager"] = slow | {"both": slow["both"] | {"ratio": [0.5, 0.4, 0.6]}}
    assert judged_by(judge("kernel-relu-eager", record)) == Estimate(2.5, 0.5, 2.5, 50, "range")
    assert judged_by(judge("kernel-never-slower", record)).value == 0.6  # the upper end of its spread
    assert judge("kernel-never-slower-wall", record).verdict == "met"


def test_a_rule_that_changed_is_told(synthetic):
    record = synthetic()
    assert not judge("kernel-graph", record).rule_changed
    record["rules"]["kernel-graph"] = None
    assert judge("kernel-graph", record).rule_changed


def test_the_sentence_of_a_target(synthetic):
    record = synthetic()
    assert sentence(judge("kernel-bandwidth", record)) == (
        "met         1.2 (limit 0.85, 72 cases)  "
        "share of a copy's bandwidth on two-pass bytes, tensors larger than L2, worst case and direction"
    )
    record["cases"][2]["candidates"]["bn"] = {"not_run": "RuntimeError: broken"}
    assert sentence(judge("kernel-nchw-floor", record)).startswith("NOT MET       - (limit 1, ")
    assert sentence(judge("kernel-step", record | {"step": {"not_run": "out of memory"}})) == (
        "not run       - (limit 1.15, 0 cases)  training step of GoogLeNet, torch's layers / bn.convert and bn.fuse"
    )
