"""How a case is measured: the clock, what stands in the result, what does not work, and a device that is lost."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from bn import functional
from bn.lab.chapters.kernels import cases as kernel_cases
from bn.lab.chapters.kernels import measure as kernel_measure
from bn.lab.chapters.kernels import plan, precision, step
from bn.lab.chapters.kernels.cases import Case
from bn.lab.chapters.kernels.measure import BrokenDevice, Clock, attempt
from bn.layers import BatchNorm2d

SMALL = Case((8, 16, 6, 6), "fp32", "NCHW", "bn_relu")
TOLD = [
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("Triton Error [CUDA]: misaligned address"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("CUDA error: device-side assert triggered"),
    type("AcceleratorError", (RuntimeError,), {})("unspecified launch failure"),
    ValueError("a sentence that nobody knew"),
]


# ---- What does not work --------------------------------------------------------------------------------------------


@pytest.fixture
def device(monkeypatch):
    """A GPU that there is not; a list: what it says when it is waited for, nothing while the list is empty."""
    says = []

    def synchronize() -> None:
        if says:
            raise says[0]

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    return says


def failing(error: Exception):
    def work(*arguments) -> dict:
        raise error

    return work


def test_a_candidate_that_fails_is_recorded_in_one_line(device):
    assert attempt("x", failing(RuntimeError("first\nsecond"))) == {"not_run": "RuntimeError: first"}
    assert attempt("x", failing(torch.OutOfMemoryError("much"))) == {"not_run": "out of memory"}


@pytest.mark.parametrize("error", TOLD, ids=str)
def test_a_device_that_does_not_answer_any_more_is_raised_whatever_was_said(device, error):
    device.append(RuntimeError("CUDA error: unspecified launch failure"))
    with pytest.raises(BrokenDevice) as raised:
        attempt("x", failing(error))
    assert str(raised.value) == f"x: {type(error).__name__}: {error}" and raised.value.by == "x"


@pytest.mark.parametrize("error", TOLD, ids=str)
def test_a_device_that_answers_is_not_lost_whatever_was_said(device, error):
    assert attempt("x", failing(error)) == {"not_run": f"{type(error).__name__}: {error}"}


def test_the_name_of_what_broke_the_device_is_kept_from_within(device):
    device.append(RuntimeError("lost"))
    with pytest.raises(BrokenDevice) as raised:
        attempt("measuring", lambda: attempt("bn", failing(RuntimeError("misaligned"))))
    assert raised.value.by == "bn"


def test_without_cuda_nothing_is_asked_of_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "synchronize", failing(AssertionError()))
    assert kernel_measure.answers()


def test_a_device_that_breaks_while_a_case_is_timed_is_raised_and_an_error_of_ours_recorded(device, monkeypatch):
    monkeypatch.setattr(kernel_measure, "_times", failing(RuntimeError("misaligned address")))
    assert kernel_measure.measure(SMALL, "cpu", "smoke") == SMALL.as_dict() | {
        "not_run": "RuntimeError: misaligned address"
    }
    device.append(RuntimeError("lost"))
    with pytest.raises(BrokenDevice, match=r"^measuring: RuntimeError: misaligned address$"):
        kernel_measure.measure(SMALL, "cpu", "smoke")


def test_precision_on_a_device_that_is_lost_is_raised(device, monkeypatch):
    device.append(RuntimeError("lost"))
    monkeypatch.setattr(precision, "_by", lambda x, backend: failing(RuntimeError("misaligned"))())
    with pytest.raises(BrokenDevice, match=r"^torch NCHW: "):
        precision.errors()


# ---- The clock -----------------------------------------------------------------------------------------------------


class Gpu(Clock):
    """A GPU's clock as a list of what happened; Python needs as long as `python` readings of the cache."""

    def __init__(self, python: int):
        super().__init__("cpu")
        self.cuda, self.python, self.happened, self.other = True, python, [], self

    def amax(self) -> None:
        self.happened.append("read")

    def now(self) -> object:
        self.happened.append("look")
        late = self.flushes < self.python
        return type("Event", (), {"query": lambda event: late})()

    def microseconds(self, timed) -> float:
        return 1.0

    def wait(self) -> None:
        self.happened.append("wait")


def test_the_cache_is_filled_by_reading_before_every_time_and_the_copy_is_timed_alike():
    clock = Gpu(python=0)
    given = kernel_cases.inputs(SMALL, "cpu")
    calls = {"bn": kernel_cases.ours(SMALL, given, "auto")}
    times, late, copies = kernel_measure._times(calls, given, clock, 2)
    timed = [*["read"] * kernel_measure.FLUSHES, "look", "look"]
    assert clock.happened == [*timed * 3, "wait"] * (kernel_measure.WARM_UP + 2)  # a copy, forward, backward
    assert times["bn"].shape == (2, 2) and copies.shape == (2,) and late == {"bn": 0.0}


def test_where_python_is_late_it_gets_more_time_and_where_that_is_not_enough_it_is_said():
    given = kernel_cases.inputs(SMALL, "cpu")
    calls = {"bn": kernel_cases.ours(SMALL, given, "auto")}
    slow, slowest = Gpu(python=10), Gpu(python=10**6)
    assert kernel_measure._times(calls, given, slow, 2)[1] == {"bn": 0.0} and slow.flushes == 16
    assert kernel_measure._times(calls, given, slowest, 2)[1] == {"bn": 1.0}
    assert slowest.flushes == kernel_measure.FLUSHES * 2**kernel_measure.WARM_UP


# ---- What a result holds -------------------------------------------------------------------------------------------


def test_a_case_in_training_and_one_in_inference():
    trained = kernel_measure.measure(SMALL, "cpu", "smoke")
    ours = trained["candidates"]["bn"]
    assert {"forward", "backward", "both", "late", "wall_us", "wall_ratio", "error"} <= set(ours)
    assert set(ours["error"]) == {"y", "dx", "dgamma", "dbeta"}
    inferred = kernel_measure.measure(Case(SMALL.shape, "fp32", "NCHW", kernel_cases.INFERENCE), "cpu", "smoke")
    ours, eager = inferred["candidates"]["bn"], inferred["candidates"]["eager"]
    assert "forward" in ours and not {"backward", "both"} & set(ours) and set(ours["error"]) == {"y"}
    assert ours["error"]["y"] < 1e-6 and len(eager["wall_ratio"]) == 3


def test_the_share_of_a_copy_is_on_the_bytes_of_the_passes():
    times, copies = np.array([[30.0, 50.0]] * 3), np.full(3, 20.0)
    found = kernel_measure._figures(SMALL, times, times, copies)
    assert [found[part]["of_copy"][0] for part in ("forward", "backward", "both")] == [1.0, 1.0, 1.0]
    inference = Case(SMALL.shape, "fp32", "NCHW", kernel_cases.INFERENCE)
    found = kernel_measure._figures(inference, times[:, :1], times[:, :1], copies)
    assert list(found) == ["forward"] and found["forward"]["of_copy"][0] == pytest.approx(0.6667)


def test_the_kernel_that_torch_takes_stands_beside_a_case_of_every_type():
    for dtype in kernel_cases.DTYPES:
        case = Case((4, 3, 4, 4), dtype, "NCHW", "bn_relu")
        assert kernel_measure.measure(case, "cpu", "smoke")["torch_backend"] == "Native"  # as on every CPU
    given = kernel_cases.inputs(case, "cpu")
    with pytest.MonkeyPatch.context() as patch:
        asked = []
        patch.setattr(torch._C, "_select_batch_norm_backend", lambda *a: asked.append(a) or "_BatchNormBackend.Cudnn")
        half = Case((4, 3, 4, 4), "fp16", "NCHW", "bn_relu")
        assert kernel_measure.torch_backend(half, kernel_cases.inputs(half, "cpu")) == "Cudnn"
        assert asked[0][0].dtype == torch.float16 and asked[0][-2:] == (True, kernel_cases.EPS)
        patch.delattr(torch._C, "_select_batch_norm_backend")
        assert kernel_measure.torch_backend(case, given) == "unknown"


@pytest.mark.parametrize("bound", [0, 2**30])
def test_on_a_gpu_the_kernels_by_name_are_timed_or_said_to_be_the_same_call(monkeypatch, bound):
    """Of a GPU that there is not: its tensors lie on the CPU and only say that they do not."""
    inputs = kernel_cases.inputs
    monkeypatch.setattr(kernel_cases, "inputs", lambda case, device: inputs(case, "cpu"))
    monkeypatch.setattr(kernel_measure, "Clock", lambda device: Clock("cpu"))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(functional, "LAUNCH_BOUND", bound)
    candidates = kernel_cases.candidates

    def with_name(case, given, modes) -> dict:
        calls = candidates(case, given, modes)
        return calls | ({"triton": calls["bn"]} if given.x.numel() < functional.LAUNCH_BOUND else {})

    monkeypatch.setattr(kernel_cases, "candidates", with_name)
    by_name = kernel_measure.measure(SMALL, "cuda", "smoke")["candidates"]["triton"]
    assert by_name == {"same_as": "bn"} if bound == 0 else set(by_name) > {"both", "wall_ratio"}


def test_the_second_mode_of_torch_compile_takes_part_in_few_cases():
    modes = {case: kernel_measure._modes(case, "gpu") for case in plan.plan("gpu")}
    assert {case for case, found in modes.items() if found == ["compile", "compile-max"]} == set(plan.COSTLY)
    assert all(found == ["compile"] for case, found in modes.items() if case not in plan.COSTLY)
    assert kernel_measure._modes(plan.COSTLY[0], "smoke") == []


# ---- The training step ---------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch):
    """A network of a convolution and our layer with its ReLU, in the place of the paper's."""

    def network(classes: int, size: int) -> nn.Module:
        torch.manual_seed(0)
        convolved = nn.Sequential(nn.Conv2d(3, 4, 3), BatchNorm2d(4, activation="relu"))
        return step._with_torchs_layers(nn.Sequential(convolved, nn.Flatten(), nn.Linear(4 * (size - 2) ** 2, classes)))

    monkeypatch.setitem(step.NETWORKS, "Inception", network)
    monkeypatch.setitem(step.SIZES, "cpu", (4, 8, 10, 3, 2))


@pytest.mark.parametrize("way", ["eager", "compiled", "graph"])
def test_a_step_of_torchs_layers_and_ours_are_the_same_network(tiny, monkeypatch, way):
    captured = []
    if way == "compiled":  # the same without waiting for a compiler
        monkeypatch.setattr(torch, "compile", lambda module: module)
    monkeypatch.setattr(step, "_captured", lambda work: captured.append(work) or SimpleNamespace(replay=work))
    found = step.training_step("Inception", "cpu", way=way)
    losses = found["losses"]
    assert losses["torch"] == pytest.approx(losses["bn"], rel=1e-3) and len(losses["bn"]) == 3
    assert found["way"] == way and found.get("fused") == (None if way == "compiled" else 1)
    assert len(captured) == (2 if way == "graph" else 0)
    middle, low, high = found["ratio"]
    assert low <= middle <= high and set(found["step_ms"]) == {"torch", "bn"}


class Event:
    """A GPU's event whose graph took as many milliseconds as were replayed since the one before."""

    replayed = 0

    def __init__(self, enable_timing: bool):
        self.at = 0

    def record(self) -> None:
        self.at = Event.replayed

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end: "Event") -> float:
        return end.at - self.at


@pytest.mark.parametrize("named", [True, False])
def test_of_the_graph_torch_is_held_against_the_kernels_by_whatever_name(monkeypatch, named):
    inputs, milliseconds = kernel_cases.inputs, {"bn": 3 if named else 2, "triton": 2, "eager": 5}
    monkeypatch.setattr(kernel_cases, "inputs", lambda case, device: inputs(case, "cpu"))
    monkeypatch.setattr(torch.cuda, "Event", Event)
    names = ["bn", "triton", "eager"] if named else ["bn", "eager"]
    monkeypatch.setattr(kernel_cases, "candidates", lambda case, given, modes: {name: name for name in names})
    monkeypatch.setattr(step, "_both", lambda name, given: name)

    def capture(name: str):
        def replay() -> None:
            Event.replayed += milliseconds[name]

        return SimpleNamespace(replay=replay)

    monkeypatch.setattr(step, "_captured", capture)
    found = step.graphs()
    assert found["ratio"] == [2.5, 2.5, 2.5] and found["both_us"]["eager"] == [5000.0, 5000.0, 5000.0]


def test_torchs_side_of_the_papers_network_has_none_of_our_layers():
    network = step.NETWORKS["Inception"](10, 8)
    normalizing = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(normalizing) == 69 and {type(module) for module in normalizing} == {nn.BatchNorm2d}
    assert len([module for module in network.modules() if isinstance(module, nn.ReLU)]) == 69
