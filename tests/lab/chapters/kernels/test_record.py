"""The kernel benchmark as it runs: resuming, provenance, the rules it ran under, and its errors."""

import subprocess
import sys
from pathlib import Path

import made_up as networks
import pytest
import torch

from bn.lab.chapters.kernels import __main__ as command
from bn.lab.chapters.kernels import cases as kernel_cases
from bn.lab.chapters.kernels import measure as kernel_measure
from bn.lab.chapters.kernels.measure import BrokenDevice
from bn.lab.chapters.kernels.record import Work, record, run, write
from bn.lab.chapters.kernels.spec import Kernels
from bn.lab.spec import ParameterError
from bn.lab.store import claims, code, files, records

ON_CPU = pytest.mark.skipif(torch.cuda.is_available(), reason="about a machine without CUDA")
SMOKE = Work("smoke")


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
    first, second, third = (case.name for case in kernel_cases.plan("smoke"))
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
            raise BrokenDevice("bn: CUDA error")
        return made_up(case, device, scale)

    monkeypatch.setattr(kernel_measure, "measure", measure)
    with pytest.raises(BrokenDevice, match=r"bn: CUDA error\. What is measured is kept; the same command goes on"):
        run(SMOKE, report=silent)
    broken = run(SMOKE, report=silent)["cases"][1]
    assert broken == kernel_cases.plan("smoke")[1].as_dict() | {"shape": [8, 16, 14, 14], "not_run": "bn: CUDA error"}
    assert len(calls) == len(set(calls)) == 3


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
    assert [line.split()[:2] for line in said[-11:-1]] == [["not", "run"]] * 10
