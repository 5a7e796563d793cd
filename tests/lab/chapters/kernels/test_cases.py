"""The cases of the kernel benchmark: byte counts by hand, the plan, the true values, and errors against them."""

import re

import pytest
import torch

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
    true = kernel_cases.truth(case, given)
    right = kernel_cases.candidates(case, given, False)["bn"]
    checked = kernel_measure.check(lambda: 1.01 * right(), given, true)
    assert checked["error"]["y"] == pytest.approx(0.01, rel=1e-3)


def test_a_candidate_that_fails_is_recorded_in_one_line():
    def fail():
        raise RuntimeError("first\nsecond")

    assert kernel_measure.attempt("x", fail) == {"not_run": "RuntimeError: first"}


@pytest.mark.parametrize("told", ["CUDA error: an illegal access", "Triton Error [CUDA]: an illegal access"])
def test_a_broken_device_is_not_recorded_but_raised(told):
    def fail():
        raise RuntimeError(f"{told}\nsecond")

    with pytest.raises(kernel_measure.BrokenDevice, match=rf"^x: {re.escape(told)}$"):
        kernel_measure.attempt("x", fail)
