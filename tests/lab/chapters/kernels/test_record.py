"""The kernel benchmark as it runs: resuming, provenance, the rules it ran under, and its errors."""

import importlib
import json
import subprocess
import sys

import pytest
import torch

from bn.lab.chapters.kernels import __main__ as command
from bn.lab.chapters.kernels import cases as kernel_cases
from bn.lab.chapters.kernels.measure import BrokenDevice
from bn.lab.chapters.kernels.record import Work, record, run, write
from bn.lab.chapters.kernels.spec import Kernels
from bn.lab.spec import ParameterError
from bn.lab.store import claims

ON_CPU = pytest.mark.skipif(torch.cuda.is_available(), reason="about a machine without CUDA")
kernel_record = importlib.import_module("bn.lab.chapters.kernels.record")  # the package has a function of that name
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

    monkeypatch.setattr(kernel_record, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        run(SMOKE, report=silent)
    whole = run(SMOKE, report=silent)
    first, second, third = (case.name for case in kernel_cases.plan("smoke"))
    assert calls == [first, second, second, third]
    assert whole["complete"] and whole == run(SMOKE, report=silent)
    assert {"commit", "dirty", "devices", "versions", "finished", "command", "code"} <= set(whole["provenance"])
    assert json.loads(write(whole).read_text("utf-8")) == whole


def test_the_notebook_s_record_is_written(fresh_runs, monkeypatch, capsys):
    monkeypatch.setattr(kernel_record, "measure", made_up)
    answer = record(Kernels(scale="smoke", dataset="digits"))
    assert json.loads((fresh_runs / "records" / "kernels-smoke.json").read_text("utf-8")) == answer
    assert capsys.readouterr().out == ""


def test_a_quick_run_is_never_complete(fresh_runs, monkeypatch):
    monkeypatch.setattr(kernel_record, "measure", made_up)
    quick = run(Work("smoke", quick=True), report=silent)
    assert not quick["complete"] and quick["asked"]["quick"] and len(quick["cases"]) == quick["cases_planned"]
    assert run(SMOKE, report=silent)["complete"]


def test_it_keeps_the_rules_that_it_ran_under(fresh_runs, monkeypatch):
    monkeypatch.setattr(kernel_record, "measure", made_up)
    now = {claim.id: claim.digest for claim in claims.of_chapter("kernels")}
    assert run(SMOKE, report=silent)["rules"] == now


def test_a_rule_that_changed_between_two_parts_is_none_of_the_record(fresh_runs, monkeypatch):
    now = claims.of_chapter("kernels")

    def measure(case, device, scale):
        monkeypatch.setattr(claims, "of_chapter", lambda name: now)  # of the last parts; before, one was missing
        return made_up(case, device, scale)

    monkeypatch.setattr(kernel_record, "measure", measure)
    monkeypatch.setattr(claims, "of_chapter", lambda name: now[1:])
    rules = run(SMOKE, report=silent)["rules"]
    assert rules == {now[0].id: None} | {claim.id: claim.digest for claim in now[1:]}


def test_a_broken_device_ends_the_run_and_what_is_measured_is_kept(fresh_runs, monkeypatch):
    calls = []

    def measure(case, device, scale):
        calls.append(case.name)
        if len(calls) == 2:
            raise BrokenDevice("bn: CUDA error")
        return made_up(case, device, scale)

    monkeypatch.setattr(kernel_record, "measure", measure)
    with pytest.raises(BrokenDevice, match=r"bn: CUDA error\. What is measured is kept; the same command goes on"):
        run(SMOKE, report=silent)
    broken = run(SMOKE, report=silent)["cases"][1]
    assert broken == kernel_cases.plan("smoke")[1].as_dict() | {"shape": [8, 16, 14, 14], "not_run": "bn: CUDA error"}
    assert len(calls) == len(set(calls)) == 3


@ON_CPU
def test_without_cuda_a_gpu_is_refused_in_one_sentence(fresh_runs):
    for call in (lambda: Kernels(scale="gpu", dataset="digits"), lambda: run(Work("gpu"))):
        with pytest.raises(ParameterError, match=r"^scale 'gpu' measures on a GPU.*make bench-gpu"):
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
    monkeypatch.setattr(kernel_record, "measure", made_up)
    monkeypatch.setattr(sys, "argv", ["kernels", "--scale", "smoke"])
    command.main()
    said, path = capsys.readouterr().out.splitlines(), fresh_runs / "records" / "kernels-smoke.json"
    assert said[-1] == f"3 of 3 cases are in {path}" and path.exists()
    assert [line.split()[:2] for line in said[-11:-1]] == [["not", "run"]] * 10
