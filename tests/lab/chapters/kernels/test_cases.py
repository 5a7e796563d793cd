"""The cases of the kernel benchmark: byte counts by hand, true values, candidates, and errors against the truth."""

import dataclasses

import pytest
import torch

from bn import functional
from bn.lab.chapters.kernels import cases as kernel_cases
from bn.lab.chapters.kernels import measure as kernel_measure
from bn.lab.chapters.kernels.cases import Case


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
    inference = Case((32, 64, 112, 112), "fp16", "NCHW", kernel_cases.INFERENCE)
    assert inference.moved("two") == inference.moved("one") == (102_760_448,)
    assert inference.moved("eager") == (4 * 51_380_224,)


TRAINING = [operation for operation in kernel_cases.OPERATIONS if operation != kernel_cases.INFERENCE]


@pytest.mark.parametrize("operation", TRAINING)
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


def test_the_true_value_of_inference_is_by_the_running_statistics():
    case = Case((5, 3, 4, 2), "fp32", "NHWC", kernel_cases.INFERENCE)
    given = kernel_cases.inputs(case, "cpu")
    running = given.running_mean.uniform_(-1, 1), given.running_var.uniform_(1, 2)
    double = [t.double() for t in (given.x, *running, given.weight, given.bias)]
    y = torch.nn.functional.batch_norm(*double, False, 0.1, kernel_cases.EPS).relu()
    true = kernel_cases.truth(case, given)
    assert list(true) == ["y"] and kernel_cases.errors(true, (y,))["y"] < 1e-13


@pytest.mark.parametrize("operation", kernel_cases.OPERATIONS)
@pytest.mark.parametrize("dtype", kernel_cases.DTYPES)
def test_the_candidates_compute_what_is_true(operation, dtype):
    case = Case((5, 3, 4, 2), dtype, "NHWC", operation)
    given = kernel_cases.inputs(case, "cpu")
    true = kernel_cases.truth(case, given)
    calls = kernel_cases.candidates(case, given, ())
    assert list(calls) == ["bn", "eager"]
    for call in calls.values():
        found = kernel_measure.check(call, given, true)["error"]
        assert set(found) == set(true) and max(found.values()) < {"fp32": 1e-5, "bf16": 2e-2, "fp16": 2e-3}[dtype]


class OnCuda:
    """A tensor as far as `candidates` asks, on a GPU that there is not."""

    is_cuda = True

    def __init__(self, numel: int):
        self.numel = lambda: numel


@pytest.mark.parametrize(("numel", "named"), [(functional.LAUNCH_BOUND - 1, True), (functional.LAUNCH_BOUND, False)])
def test_the_kernels_are_asked_for_by_name_only_where_auto_takes_others(numel, named):
    case = Case((60, 100), "fp32", "NC", "bn_relu")
    given = dataclasses.replace(kernel_cases.inputs(case, "cpu"), x=OnCuda(numel))
    assert ("triton" in kernel_cases.candidates(case, given, ())) is named


def test_each_mode_of_torch_compile_is_a_candidate_of_its_own(monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda function, **options: asked.append(options) or function)
    case = Case((60, 100), "fp32", "NC", "bn_relu")
    calls = kernel_cases.candidates(case, kernel_cases.inputs(case, "cpu"), kernel_cases.MODES)
    assert {"compile", "compile-max"} < set(calls)
    modes = ["default", "max-autotune-no-cudagraphs"]
    assert asked == [{"dynamic": False, "mode": mode} for mode in modes]


def test_a_wrong_result_has_a_large_error():
    case = Case((5, 3, 4, 2), "fp32", "NCHW", "bn_relu")
    given = kernel_cases.inputs(case, "cpu")
    true = kernel_cases.truth(case, given)
    right = kernel_cases.candidates(case, given, ())["bn"]
    checked = kernel_measure.check(lambda: 1.01 * right(), given, true)
    assert checked["error"]["y"] == pytest.approx(0.01, rel=1e-3)
