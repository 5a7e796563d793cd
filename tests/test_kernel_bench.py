"""The kernel benchmark: its byte counts by hand, its targets on made-up records, resuming, and its errors."""

import json
import subprocess
import sys

import pytest
import torch

from bn.lab.chapters.kernels import bench as kernel_bench
from bn.lab.chapters.kernels import cases as kernel_cases
from bn.lab.chapters.kernels import figures as kernel_figures
from bn.lab.chapters.kernels import measure as kernel_measure
from bn.lab.chapters.kernels import tables as kernel_show
from bn.lab.chapters.kernels import targets as kernel_targets
from bn.lab.spec import Kernels, ParameterError
from bn.lab.chapters.kernels.cases import Case

ON_CPU = pytest.mark.skipif(torch.cuda.is_available(), reason="about a machine without CUDA")


def spread(value: float) -> list[float]:
    return [value, 0.95 * value, 1.05 * value]


def candidate(ratio: float, share: float) -> dict:
    timed = {"us": spread(100.0), "ratio": spread(ratio), "of_copy": spread(share)}
    return {"error": {"y": 1e-3, "dx": 2e-3}, "wall_us": spread(9.0), "wall_ratio": spread(ratio)} | dict.fromkeys(
        ("forward", "backward", "both"), timed
    )


def synthetic(eager: float = 2.5, compiled: float = 1.5, share: float = 1.2, graph: float = 2.2, step: float = 1.2):
    """A record as a GPU might write it. Made up: no GPU was measured."""
    found = {"bn": candidate(1.0, share), "eager": candidate(eager, 0.4), "compile": candidate(compiled, 0.7)}
    rest = {"torch_backend": "Native", "copy_us": spread(10.0)}
    cases = [case.as_dict() | rest | {"candidates": dict(found)} for case in kernel_cases.plan("gpu")]
    provenance = {"devices": ["made up"], "version": "0", "commit": "none", "dirty": False, "versions": {}}
    provenance |= {"code": "0", "threads": 1, "measuring_seconds": 0, "finished": "never", "command": "none"}
    return {
        "experiment": "kernels", "scale": "gpu", "complete": True, "asked": {"quick": False}, "cases": cases,
        "cases_planned": len(cases), "l2_bytes": 50 * 2**20, "graph": {"ratio": spread(graph)},
        "step": {"ratio": spread(step)}, "provenance": provenance,
    }  # fmt: skip


def verdicts(record: dict) -> dict[str, str]:
    return {target["name"]: target["verdict"] for target in kernel_targets.judge(record)}


# ---- Cases -----------------------------------------------------------------------------------------


def test_bytes_by_hand():
    """T of 32x64x112x112 in bfloat16 is 51,380,224 bytes; its mask has 3,211,264."""
    relu, add = (Case((32, 64, 112, 112), "bf16", "NCHW", operation) for operation in ("bn_relu", "bn_add_relu"))
    assert relu.tensor_bytes == 51_380_224
    assert relu.moved("two") == (154_140_672, 256_901_120)
    assert relu.moved("one") == (102_760_448, 154_140_672)
    assert relu.moved("eager") == (256_901_120, 411_041_792)
    assert add.moved("two") == (4 * 51_380_224 + 3_211_264, 6 * 51_380_224 + 2 * 3_211_264)
    assert add.moved("eager") == (8 * 51_380_224, 8 * 51_380_224)
    assert Case((60, 100), "fp32", "NC", "bn").tensor_bytes == 24_000


def test_the_plan_has_every_case_once():
    names = [case.name for case in kernel_cases.plan("gpu")]
    assert len(names) == len(set(names)) == (12 * 2 + 1) * 2 * 3
    assert {len(case.shape) for case in kernel_cases.plan("gpu") if case.layout == "NC"} == {2}
    assert set(kernel_cases.plan("gpu", quick=True)) < set(kernel_cases.plan("gpu"))


@pytest.mark.parametrize("operation", kernel_cases.OPERATIONS)
def test_the_true_values_are_those_of_autograd(operation):
    case = Case((5, 3, 4, 2), "fp32", "NHWC", operation)
    given = kernel_cases.inputs(case, "cpu")
    double = [None if t is None else t.detach().double().requires_grad_() for t in (
        given.x, given.weight, given.bias, given.residual)]  # fmt: skip
    x, weight, bias, residual = double
    y = torch.nn.functional.batch_norm(x, None, None, weight, bias, True, 0.1, kernel_cases.EPS)
    y = y if residual is None else y + residual
    y = y if operation == "bn" else y.relu()
    gradients = torch.autograd.grad(y, [t for t in double if t is not None], given.dy.double())
    assert max(kernel_cases.errors(kernel_cases.truth(case, given), (y, *gradients)).values()) < 1e-13


def test_a_wrong_result_has_a_large_error():
    case = Case((5, 3, 4, 2), "fp32", "NCHW", "bn_relu")
    given = kernel_cases.inputs(case, "cpu")
    found = kernel_measure._check(lambda: 1.01 * kernel_cases.candidates(case, given, False)["bn"](), given,
                                  kernel_cases.truth(case, given))  # fmt: skip
    assert found["error"]["y"] == pytest.approx(0.01, rel=1e-3)


# ---- Targets ---------------------------------------------------------------------------------------


def test_targets_that_are_met():
    assert set(verdicts(synthetic()).values()) == {"met"}


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({"eager": 1.9}, {"relu_eager", "add_relu_eager"}),
        ({"compiled": 1.1}, {"relu_compile", "add_relu_compile"}),
        ({"share": 0.9}, {"nchw_floor"}),
        ({"share": 0.8}, {"nchw_floor", "bandwidth"}),
        ({"graph": 1.9}, {"graph"}),
        ({"step": 1.14}, {"step"}),
        ({"compiled": 0.9}, {"relu_compile", "add_relu_compile", "never_slower", "never_slower_wall"}),
    ],
)
def test_targets_that_are_not_met(change, missed):
    found = verdicts(synthetic(**change))
    assert {name for name, verdict in found.items() if verdict == "notmet"} == missed


@pytest.mark.parametrize("change", [{"complete": False}, {"scale": "cpu"}, {"asked": {"quick": True}}, {"cases": []}])
def test_targets_that_were_not_run(change):
    found = verdicts(synthetic() | change)
    if "cases" in change:
        assert found.pop("graph") == found.pop("step") == "met"
    assert set(found.values()) == {"notrun"}


def test_a_case_where_bn_fails_misses_and_one_out_of_memory_is_left_out():
    record = synthetic()
    record["cases"][0] = {k: v for k, v in record["cases"][0].items() if k != "candidates"} | {"not_run": "memory"}
    assert verdicts(record)["bandwidth"] == "met"
    record["cases"][2]["candidates"]["bn"] = {"not_run": "RuntimeError: broken"}
    assert verdicts(record)["bandwidth"] == verdicts(record)["relu_eager"] == "notmet"


# ---- Running ---------------------------------------------------------------------------------------


def test_it_resumes_and_says_where_it_comes_from(fresh_runs, monkeypatch):
    calls = []

    def measure(case, device, scale):
        calls.append(case.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return case.as_dict() | {"not_run": "made up"}

    monkeypatch.setattr(kernel_bench, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        kernel_bench.run("smoke", report=lambda sentence: None)
    record = kernel_bench.run("smoke", report=lambda sentence: None)
    first, second, third = (case.name for case in kernel_cases.plan("smoke"))
    assert calls == [first, second, second, third]
    assert record["complete"] and record == kernel_bench.run("smoke", report=lambda sentence: None)
    assert {"commit", "dirty", "devices", "versions", "finished", "command", "code"} <= set(record["provenance"])
    assert json.loads(kernel_bench._text(record)) == record


def test_a_candidate_that_fails_is_recorded_in_one_line():
    def fail():
        raise RuntimeError("first\nsecond")

    assert kernel_measure.attempt("x", fail) == {"not_run": "RuntimeError: first"}


@ON_CPU
def test_without_cuda_a_gpu_is_refused_in_one_sentence(fresh_runs):
    for call in (lambda: Kernels(scale="gpu", dataset="digits"), lambda: kernel_bench.run("gpu")):
        with pytest.raises(ParameterError, match=r"^scale 'gpu' measures on a GPU.*make bench-gpu"):
            call()
    assert not fresh_runs.exists()


def test_the_command_line(monkeypatch, capsys):
    wrong = subprocess.run(
        [sys.executable, "-m", "bn.lab.chapters.kernels.bench", "--minutes", "-1"], capture_output=True, text=True
    )
    assert wrong.returncode == 2 and "--minutes must be more than 0, but it is -1" in wrong.stderr
    monkeypatch.setattr(sys, "argv", ["kernel_bench", "--help"])
    with pytest.raises(SystemExit) as ended:
        kernel_bench.main()
    assert ended.value.code == 0 and "--quick" in capsys.readouterr().out


# ---- Showing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_figures_show_the_record(language):
    record = synthetic()
    drawing = kernel_figures.speedup(record, language)
    assert "2.5" in drawing.title and "1.5" in drawing.title and len(drawing.panels) == 2
    labels = [text.get_text() for text in drawing.panels[0][0].axes[0].get_yticklabels()]
    assert labels[0] == "32×64×112² NCHW" and labels[-1] == "60×100" and len(labels) == 25
    assert "1.2" in kernel_figures.bandwidth(record, language).title
    record["targets"] = kernel_targets.judge(record)
    assert kernel_show.targets(record, language).data.count("<tr>") == 1 + len(kernel_targets.LIMITS)
    assert kernel_show.cases(record, language).data.count("<tr>") == 1 + 150
    assert "make bench-gpu" in kernel_show.status(None, language).data
