"""The targets of the kernels, judged by made-up records."""

import copy
import math

import pytest

from bn.lab.chapters.kernels import plan
from bn.lab.chapters.kernels.__main__ import sentence
from bn.lab.chapters.kernels.estimates import ESTIMATES, judged_by, times_as_long
from bn.lab.judge.statistics import Estimate
from bn.lab.judge.verdicts import judge
from bn.lab.store import claims, records


def verdicts(record: dict) -> dict[str, str]:
    return {name.removeprefix("kernel-"): judge(name, record).verdict for name in ESTIMATES}


def case_of(record: dict, wanted) -> dict:
    return next(case for case in record["cases"] if case["name"] == wanted.name)


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
        ({"share": 0.94}, {"nchw-floor"}),
        ({"share": 0.85}, {"nchw-floor", "nchw-forward", "inference"}),
        ({"share": 0.8}, {"nchw-floor", "nchw-forward", "inference", "bandwidth"}),
        ({"graph": 1.9}, {"graph"}),
        ({"step": 1.09}, {"step", "inception-step"}),
        ({"compiled": 0.9}, {"relu-compile", "add-relu-compile", "never-slower", "never-slower-wall"}),
    ],
)
def test_targets_that_are_not_met(synthetic, change, missed):
    """The ends of a made-up interval are 5% below and above: the upper one misses too."""
    judged = verdicts(synthetic(**change))
    assert {name for name, verdict in judged.items() if verdict == "notmet"} == missed


@pytest.mark.parametrize(
    ("change", "between"),
    [
        ({"eager": 2.1}, {"relu-eager", "add-relu-eager"}),
        ({"compiled": 1.15}, {"relu-compile", "add-relu-compile"}),
        ({"share": 0.99}, {"nchw-floor"}),
        ({"graph": 1.91}, {"graph"}),
        ({"step": 1.2}, {"step", "inception-step"}),
    ],
)
def test_a_limit_within_the_interval_leaves_it_open(synthetic, change, between):
    judged = verdicts(synthetic(**change))
    assert {name for name, verdict in judged.items() if verdict == "inconclusive"} == between
    assert {verdict for name, verdict in judged.items() if name not in between} == {"met"}


def test_at_its_limit_a_target_is_met_but_the_floor_is_not_beaten(synthetic):
    record = synthetic()
    record["graph"] = {"ratio": [2.1, 2.0, 2.2]}
    assert verdicts(record)["graph"] == "met"
    for case in record["cases"]:
        case["candidates"]["bn"] |= {d: {"of_copy": [1.1, 1.0, 1.2]} for d in ("forward", "backward")}
    assert verdicts(record)["nchw-floor"] == "inconclusive"  # 1 is not more than 1
    for case in record["cases"]:
        case["candidates"]["bn"] |= {d: {"of_copy": [0.9, 0.8, 1.0]} for d in ("forward", "backward")}
    assert verdicts(record)["nchw-floor"] == "notmet"


@pytest.mark.parametrize("change", [{"scale": "cpu"}, {"cases": []}])
def test_targets_that_were_not_run(synthetic, change):
    record = synthetic() | change
    judged = verdicts(record)
    if "cases" in change:
        assert {judged.pop(name) for name in ("graph", "step", "inception-step")} == {"met"}
    assert set(judged.values()) == {"notrun"}
    for name in judged:
        target = ESTIMATES[f"kernel-{name}"]
        assert target(record) == {} and target.missing(record) == len(target.needs)


# ---- Judged from the cases that a target names, whatever else is missing -------------------------------------------


def test_a_record_of_the_decisive_cases_alone_judges_all_targets(synthetic):
    record = synthetic() | {"complete": False}
    part = record | {"cases": record["cases"][: len(plan.DECISIVE)]}
    assert set(verdicts(part).values()) == {"met"}
    for name in ESTIMATES:
        assert judged_by(judge(name, part)) == judged_by(judge(name, record)), "the other cases decide nothing"


def test_each_case_that_is_missing_leaves_open_the_targets_that_name_it_and_no_others(synthetic):
    whole = synthetic()
    for case in plan.DECISIVE:
        record = whole | {"cases": [found for found in whole["cases"] if found["name"] != case.name]}
        naming = {name.removeprefix("kernel-") for name, target in ESTIMATES.items() if case.name in target.needs}
        judged = verdicts(record)
        assert {name for name, verdict in judged.items() if verdict == "notrun"} == naming and naming
        assert {ESTIMATES[f"kernel-{name}"].missing(record) for name in naming} == {1}


def test_how_many_cases_are_missing_is_said(synthetic):
    record = synthetic()
    record["cases"] = record["cases"][:7]
    target = ESTIMATES["kernel-relu-eager"]
    assert target.missing(record) == 3
    assert sentence(judge("kernel-relu-eager", record), target.missing(record)).startswith(
        "not run           - (limit 2, cases 10, 3 missing)  BN+ReLU, forward and backward"
    )


@pytest.mark.parametrize("rival", ["eager", "compile"])
def test_a_rival_that_did_not_work_leaves_its_targets_open(synthetic, rival):
    record = synthetic()
    case_of(record, plan.RELU[3])["candidates"][rival] = {"not_run": "RuntimeError: broken"}
    judged = verdicts(record)
    expected = {f"relu-{rival}", "never-slower", "never-slower-wall"}
    assert {name for name, verdict in judged.items() if verdict == "notrun"} == expected


def test_a_part_that_did_not_work_is_not_run(synthetic):
    record = synthetic() | {"graph": {"not_run": "out of memory"}}
    assert judge("kernel-graph", record).verdict == "notrun"
    del record["inception"]  # of a record from before it was measured
    assert judge("kernel-inception-step", record).verdict == "notrun"


# ---- Where bn does not work ----------------------------------------------------------------------------------------


def without_candidates(case: dict, **more) -> dict:
    return {name: value for name, value in case.items() if name != "candidates"} | more


def test_a_case_where_bn_fails_misses_and_one_out_of_memory_is_missing(synthetic):
    record = synthetic()
    record["cases"][0] = without_candidates(record["cases"][0], not_run="out of memory")
    judged = verdicts(record)
    assert judged["bandwidth"] == judged["relu-eager"] == "notrun" and judged["add-relu-eager"] == "met"
    record["cases"][2]["candidates"]["bn"] = {"not_run": "RuntimeError: broken"}
    judged = verdicts(record)
    assert judged["bandwidth"] == judged["relu-eager"] == "notmet", "whatever else is missing"
    failed = judged_by(judge("kernel-relu-eager", record))
    assert math.isnan(failed.value) and failed.n == 9 and failed.interval == "none"


@pytest.mark.parametrize(
    ("by", "verdict"), [("bn", "notmet"), ("triton", "notmet"), ("compile", "notrun"), ("measuring", "notrun")]
)
def test_a_case_where_bn_broke_the_device_misses(synthetic, by, verdict):
    record = synthetic()
    record["cases"][0] = without_candidates(record["cases"][0], not_run=f"{by}: lost", broken_by=by)
    assert verdicts(record)["relu-eager"] == verdict


def test_no_number_that_is_none_is_met(synthetic):
    record = synthetic(eager=math.nan)
    assert verdicts(record)["relu-eager"] == verdicts(record)["add-relu-eager"] == "notmet"


# ---- What the estimates are ----------------------------------------------------------------------------------------


def test_a_median_and_the_worst_case_with_the_ends_of_the_rounds(synthetic):
    record = synthetic()
    assert judged_by(judge("kernel-relu-eager", record)) == Estimate(2.5, 0.95 * 2.5, 1.05 * 2.5, 10, "range")
    slow = case_of(record, plan.RELU[0])["candidates"]
    slow["eager"] = slow["eager"] | {"both": slow["eager"]["both"] | {"ratio": [0.5, 0.4, 0.6]}}
    assert judged_by(judge("kernel-relu-eager", record)).value == 2.5  # one case of ten
    assert judged_by(judge("kernel-never-slower", record)) == Estimate(0.6, 0.6, 0.6, 26, "range")
    assert judge("kernel-never-slower-wall", record).verdict == "met"


def test_of_two_modes_of_torch_compile_the_faster_counts(synthetic):
    record = synthetic(compiled=1.5)
    case = case_of(record, plan.COSTLY[0])
    case["candidates"]["compile-max"] = copy.deepcopy(case["candidates"]["compile"])
    for ratio, expected in ((0.8, 0.8), (1.9, 1.5)):
        case["candidates"]["compile-max"] |= {"both": {"ratio": [ratio, ratio, ratio]}, "wall_ratio": [ratio] * 3}
        assert times_as_long(case, "compile")[0] == times_as_long(case, "compile", "wall")[0] == expected
        never = "met" if ratio > 1 else "notmet"
        assert verdicts(record)["never-slower"] == verdicts(record)["never-slower-wall"] == never
    case["candidates"]["compile-max"] = {"not_run": "RuntimeError: broken"}
    assert times_as_long(case, "compile")[0] == 1.5, "the other mode is measured"


def test_the_worse_direction_counts(synthetic):
    record = synthetic()
    ours = case_of(record, plan.RELU[0])["candidates"]["bn"]  # NCHW
    ours["backward"] = ours["backward"] | {"of_copy": [0.5, 0.4, 0.6]}
    judged = verdicts(record)
    assert {name for name, verdict in judged.items() if verdict == "notmet"} == {"bandwidth", "nchw-floor"}
    assert judged_by(judge("kernel-bandwidth", record)) == Estimate(0.5, 0.4, 0.6, 16, "range")


def test_a_rule_that_changed_is_told(synthetic):
    record = synthetic()
    assert not judge("kernel-graph", record).rule_changed
    record["rules"]["kernel-graph"] = None
    assert judge("kernel-graph", record).rule_changed


def test_the_sentence_of_a_target(synthetic):
    record = synthetic()
    assert sentence(judge("kernel-bandwidth", record), 0) == (
        "met             1.2 (limit 0.85, cases 16)  "
        "Tensors larger than L2: share of a copy's bandwidth on two-pass bytes, worst case"
    )
    case_of(record, plan.RELU[2])["candidates"]["bn"] = {"not_run": "RuntimeError: broken"}
    assert sentence(judge("kernel-nchw-floor", record), 0).startswith("NOT MET           - (limit 1, cases 8)")
    assert sentence(judge("kernel-step", synthetic(step=1.2)), 0).startswith(
        "inconclusive    1.2 (limit 1.15, cases 1)"
    )


def test_the_earlier_record_of_the_book_is_read_and_judges_what_it_holds():
    """24 cases of a benchmark that had other candidates, and no `late`: not what it lacks, and nothing is met."""
    record = records.deciding("kernels")
    if record["provenance"]["commit"] != "4361536d33":
        pytest.skip("a later record took its place")
    judged = verdicts(record)
    missing = {name: ESTIMATES[f"kernel-{name}"].missing(record) for name in judged}
    assert {name for name, n in missing.items() if n} == {name for name, v in judged.items() if v == "notrun"}
    assert missing["add-relu-eager"] == 4 and missing["inference"] == 4 and missing["inception-step"] == 1
    assert judged["relu-eager"] == judged["relu-compile"] == judged["graph"] == judged["step"] == "notmet"
    assert all(judge(name, record).rule_changed for name in ESTIMATES)
