"""The kernel benchmark as it runs: resuming, provenance, the rules it ran under, and its errors."""

import subprocess
import sys
import time
from pathlib import Path

import made_up as networks
import pytest
import torch

from bn.lab import paths
from bn.lab.chapters.kernels import __main__ as command
from bn.lab.chapters.kernels import measure as kernel_measure
from bn.lab.chapters.kernels import plan
from bn.lab.chapters.kernels.measure import BrokenDevice
from bn.lab.chapters.kernels.record import Work, record, run, write
from bn.lab.chapters.kernels.spec import Kernels
from bn.lab.spec import ParameterError
from bn.lab.store import claims, code, files, records

ON_CPU = pytest.mark.skipif(torch.cuda.is_available(), reason="about a machine without CUDA")
SMOKE = Work("smoke")
pytestmark = pytest.mark.usefixtures("precision_once")


def silent(line: str) -> None:
    pass


def made_up(case, device, scale) -> dict:
    return case.as_dict() | {"not_run": "made up"}


def test_it_resumes_and_says_where_it_comes_from(fresh_runs, monkeypatch):
    calls = []

    def measure(case, device, scale):
        calls.append(case.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return made_up(case, device, scale)

    monkeypatch.setattr(kernel_measure, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        run(SMOKE, report=silent)
    whole = run(SMOKE, report=silent)
    first, second, third = (case.name for case in plan.plan("smoke"))
    assert calls == [first, second, second, third]
    assert whole["complete"] and whole == run(SMOKE, report=silent)
    assert {"commit", "dirty", "devices", "versions", "finished", "command", "code"} <= set(whole["provenance"])
    measuring = (f"bn.lab.chapters.kernels.{name}" for name in ("cases", "measure", "precision", "step"))
    assert whole["provenance"]["code"] == code.digest(*measuring, kernels=True)
    assert records.read(write(whole)) == whole


def parts(runs: Path) -> dict[str, Path]:
    return {path.stem: path for path in runs.glob("kernels/smoke-*/*.json")}


def test_each_part_is_kept_as_soon_as_it_is_measured_in_a_sealed_file(fresh_runs, monkeypatch):
    kept = []

    def measure(case, device, scale):
        kept.append(set(parts(fresh_runs)))
        return made_up(case, device, scale)

    monkeypatch.setattr(kernel_measure, "measure", measure)
    run(SMOKE, report=silent)
    names = [name.replace(" ", "-") for name in SMOKE.parts()]
    assert kept == [set(names[:1]), set(names[:2]), set(names[:3])] and set(parts(fresh_runs)) == set(names)
    for path in parts(fresh_runs).values():
        assert set(files.read_json(path)) == {"source", "rules", "result", "seconds", "finished"}


def test_a_part_that_was_damaged_is_said_and_measured_again_alone(fresh_runs, monkeypatch, capsys):
    calls = []

    def measure(case, device, scale):
        calls.append(case.name)
        return made_up(case, device, scale)

    monkeypatch.setattr(kernel_measure, "measure", measure)
    whole = run(SMOKE, report=silent)
    second = parts(fresh_runs)[calls[1].replace(" ", "-")]
    second.write_bytes(second.read_bytes().replace(b"made up", b"made  up"))
    again = run(SMOKE, report=silent)
    assert calls[3:] == calls[1:2] and f"{second} is damaged" in capsys.readouterr().out
    assert again["cases"] == whole["cases"] and second.with_name(f"{second.name}.damaged").exists()


def test_parts_of_all_scales_have_files_of_their_own():
    for scale in ("smoke", "cpu", "gpu"):
        names = Work(scale).parts()
        assert len({name.replace(" ", "-") for name in names}) == len(names)


def test_where_the_parts_were_measured_is_their_own_origin(fresh_runs, monkeypatch):
    """The commit of the time of writing says nothing of them."""

    def measure(case, device, scale):
        networks.at("0000000002", monkeypatch)
        return made_up(case, device, scale)

    monkeypatch.setattr(kernel_measure, "measure", measure)
    networks.at("0000000001", monkeypatch)
    run(SMOKE, report=silent)
    networks.at("0000000003", monkeypatch)
    found = run(SMOKE, report=silent)["provenance"]
    assert (found["commit"], found["dirty"]) == ("0000000001, 0000000002", False)


def test_the_notebook_s_record_is_written(fresh_runs, monkeypatch, capsys):
    monkeypatch.setattr(kernel_measure, "measure", made_up)
    answer = record(Kernels(scale="smoke", dataset="digits"))
    (path,) = (fresh_runs / "records").iterdir()
    assert path == records.run_record("kernels", "smoke", "tensors", answer["asked"])
    assert records.read(path) == answer
    assert capsys.readouterr().out == ""


def test_a_quick_run_is_never_complete(fresh_runs, monkeypatch):
    monkeypatch.setattr(kernel_measure, "measure", made_up)
    quick = run(Work("smoke", quick=True), report=silent)
    assert not quick["complete"] and quick["asked"]["quick"] and len(quick["cases"]) == quick["cases_planned"]
    whole = run(SMOKE, report=silent)
    assert whole["complete"] and write(whole) != write(quick), "a quick one would take the place of the whole"


def test_it_keeps_the_rules_that_it_ran_under(fresh_runs, monkeypatch):
    monkeypatch.setattr(kernel_measure, "measure", made_up)
    assert run(SMOKE, report=silent)["rules"] == {claim.id: claim.digest for claim in claims.ledger().values()}


def test_a_rule_that_changed_between_two_parts_is_none_of_the_record(fresh_runs, monkeypatch):
    now = claims.rule_digests()

    def measure(case, device, scale):
        monkeypatch.setattr(claims, "rule_digests", lambda: now)  # of the last parts; before, one was another
        return made_up(case, device, scale)

    monkeypatch.setattr(kernel_measure, "measure", measure)
    monkeypatch.setattr(claims, "rule_digests", lambda: now | {"kernel-graph": "another"})
    assert run(SMOKE, report=silent)["rules"] == now | {"kernel-graph": None}


def test_a_broken_device_ends_the_run_and_what_is_measured_is_kept(fresh_runs, monkeypatch):
    calls = []

    def measure(case, device, scale):
        calls.append(case.name)
        if len(calls) == 2:
            raise BrokenDevice("bn: CUDA error", by="bn")
        return made_up(case, device, scale)

    monkeypatch.setattr(kernel_measure, "measure", measure)
    handed_on = []
    with pytest.raises(BrokenDevice, match=r"bn: CUDA error\. What is measured is kept; the same command goes on"):
        run(SMOKE, report=silent, keep=handed_on.append)
    assert handed_on[-1]["cases"][1]["broken_by"] == "bn"
    broken = run(SMOKE, report=silent)["cases"][1]
    lost = {"shape": [8, 16, 14, 14], "not_run": "bn: CUDA error", "broken_by": "bn"}
    assert broken == plan.plan("smoke")[1].as_dict() | lost
    assert len(calls) == len(set(calls)) == 3


# ---- The minutes -------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """A clock that `measure` moves on: a case takes as many seconds as the list says, the last one from then on."""
    now, takes = [0.0], [5.0]

    def measure(case, device, scale):
        now[0] += takes.pop(0) if len(takes) > 1 else takes[0]
        return made_up(case, device, scale)

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(kernel_measure, "measure", measure)
    return now, takes


def test_no_part_is_begun_that_would_not_end_in_time(fresh_runs, clock):
    now, _ = clock
    said = []
    part = run(SMOKE, minutes=11 / 60, report=said.append)
    assert len(part["cases"]) == 2 and not part["complete"] and now[0] == 10
    assert said[-1] == "Parts that do not fit into 0.183333 minutes: 1. The same command goes on from here."
    assert run(SMOKE, minutes=11 / 60, report=said.append)["complete"]


def test_where_parts_take_longer_than_expected_the_next_are_expected_to(fresh_runs, clock):
    now, takes = clock
    takes[:] = [20.0]
    part = run(SMOKE, minutes=0.49, report=silent)  # precision takes none of this clock's seconds, of five expected
    assert len(part["cases"]) == 1 and now[0] == 20


def test_a_part_that_is_too_long_leaves_its_time_to_shorter_ones(fresh_runs, clock, monkeypatch):
    monkeypatch.setattr(Work, "seconds", lambda work: dict.fromkeys(work.parts(), 5) | {"precision": 1000})
    part = run(SMOKE, minutes=0.5, report=silent)
    assert len(part["cases"]) == 3 and part["precision"] == {"not_run": "not part of scale smoke"}


def test_the_record_so_far_is_handed_on_after_each_part(fresh_runs, monkeypatch):
    monkeypatch.setattr(kernel_measure, "measure", made_up)
    kept = []
    whole = run(SMOKE, report=silent, keep=kept.append)
    assert [len(record["cases"]) for record in kept] == [0, 1, 2, 3] and kept[-1] == whole
    assert [record["complete"] for record in kept] == [False, False, False, True]


def test_the_command_keeps_its_file_after_each_part(fresh_runs, monkeypatch, tmp_path):
    out, seen = tmp_path / "here.json", []

    def measure(case, device, scale):
        seen.append(len(records.read(out)["cases"]))
        return made_up(case, device, scale)

    monkeypatch.setattr(kernel_measure, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["kernels", "--scale", "smoke", "--out", str(out)])
    command.main()
    assert seen == [0, 1, 2] and records.read(out)["complete"]


# ---- Which record is the book's ------------------------------------------------------------------------------------


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A folder in the place of the book's records, and the file in it that decides."""
    monkeypatch.setattr(paths, "RECORDS", tmp_path)
    return tmp_path / "kernels" / "gpu.json"


def test_a_part_takes_the_place_of_none_that_judges_more(synthetic, book):
    part = {"complete": False}
    whole = synthetic() | {"dataset": "random tensors"}
    some = whole | part
    fewer = some | {"cases": some["cases"][:10]}
    assert command._decides(fewer) == book  # where there is none
    write(records.sealed(some), book)
    assert command._decides(fewer) is None
    assert command._decides(some) == command._decides(whole) == book
    write(records.sealed(whole), book)
    assert command._decides(some) is None and command._decides(whole | {"scale": "cpu"}) is None


@ON_CPU
def test_without_cuda_a_gpu_is_refused_in_one_sentence(fresh_runs):
    for call in (lambda: Kernels(scale="gpu", dataset="digits"), lambda: run(Work("gpu"))):
        with pytest.raises(ParameterError, match=r"^scale 'gpu' measures on a GPU.*make gpu"):
            call()
    assert not fresh_runs.exists()


@ON_CPU
def test_the_command_refuses_a_gpu_without_cuda_as_it_refuses_a_wrong_parameter(fresh_runs, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["kernels", "--scale", "gpu"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2 and capsys.readouterr().err.startswith("error: scale 'gpu' measures on a GPU")


def test_the_command_line(monkeypatch, capsys):
    wrong = subprocess.run(
        [sys.executable, "-m", "bn.lab.chapters.kernels", "--minutes", "-1"], capture_output=True, text=True
    )
    assert wrong.returncode == 2 and "--minutes must be more than 0, but it is -1" in wrong.stderr
    monkeypatch.setattr(sys, "argv", ["kernels", "--help"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 0 and "--quick" in capsys.readouterr().out


def test_the_command_writes_the_record_and_says_each_target(fresh_runs, monkeypatch, capsys):
    monkeypatch.setattr(kernel_measure, "measure", made_up)
    monkeypatch.setattr(sys, "argv", ["kernels", "--scale", "smoke"])
    command.main()
    said, (path,) = capsys.readouterr().out.splitlines(), (fresh_runs / "records").iterdir()
    assert said[-1] == f"3 of 3 cases are in {path}" and records.read(path)["complete"]
    targets = len(claims.of_chapter("kernels"))
    assert [line.split()[:2] for line in said[-1 - targets : -1]] == [["not", "run"]] * targets
