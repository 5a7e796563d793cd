"""The schedule of the kernels, their offsets, their tuning, and how they compile for a GPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import triton
import triton.language as tl

import bn
from bn import kernels, launch, tiles
from bn.functional import batch_norm

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = pytest.mark.usefixtures("quick_interpreter")


@triton.jit
def _one_offset(out, n, c, s, N, C, S, stride_n, stride_c):
    view = (N, C, S, stride_n, stride_c)
    tl.store(out, tiles.offsets_of(tl.full((1,), n, tl.int32), tl.full((1,), c, tl.int32), s, view).sum(0))


def test_offsets_beyond_two_to_the_31st():
    out = torch.zeros(1, dtype=torch.int64, device=DEVICE)
    _one_offset[(1,)](out, 70_000, 3, 11, 70_001, 64, 3_136, 64 * 3_136, 3_136)
    assert out.item() == 70_000 * 64 * 3_136 + 3 * 3_136 + 11 > 2**33


def test_more_examples_than_a_grid_axis_holds(monkeypatch):
    """65,535 is the limit of a grid's second axis; one axis is all that is used."""
    torch.manual_seed(0)
    monkeypatch.setattr(launch, "RESIDENT", 2**18)
    x = torch.randn(66_000, 2, device=DEVICE)
    y = batch_norm(x, None, None, training=True, backend="triton")
    torch.testing.assert_close(y, batch_norm(x, None, None, training=True, backend="reference"), rtol=1e-4, atol=1e-4)


def test_tuning_leaves_the_running_statistics_alone(monkeypatch):
    """Every trial launches the kernel on the user's own buffers; afterwards they have moved once."""
    trials = []

    def measure(call, quantiles):
        for _ in range(3):
            call()
        trials.append(len(trials))
        return [float(len(trials))] * len(quantiles)

    tiles = [triton.Config({"BLOCK": size}, num_warps=1) for size in (512, 1024)]
    tuned = triton.autotune(
        tiles, ["N", "C", "S"], pre_hook=kernels._before_trial, post_hook=kernels._after_trial, do_bench=measure
    )
    monkeypatch.setattr(kernels, "window_forward", tuned(kernels.window_forward.fn))
    monkeypatch.setattr(launch, "RESIDENT", 0)
    x = torch.randn(20, 3, 8, 8, device=DEVICE) + 5
    for tracked in (True, False):
        mean, var = torch.zeros(3, device=DEVICE), torch.ones(3, device=DEVICE)
        running, twins = (mean, var), (mean.clone(), var.clone())
        y = batch_norm(x, *(running if tracked else (None, None)), training=True, backend="triton")
        want = batch_norm(x, *twins, training=True, backend="reference")
        torch.testing.assert_close(y, want, rtol=1e-4, atol=1e-4)
        if tracked:
            torch.testing.assert_close(running, twins, rtol=1e-4, atol=1e-5)
    assert len(trials) >= 2
    assert not kernels._kept


@pytest.mark.parametrize("shape", [(32, 64, 112, 112), (256, 1024, 14, 14), (2, 19, 512, 512), (60, 100), (1, 3, 7)])
@pytest.mark.parametrize("fused", [False, True])
def test_tiles_are_whole_and_slices_few(shape, fused):
    """What the kernels take for granted, at the sizes a GPU would see; nothing is allocated."""
    view = launch.view(torch.empty(shape, device="meta"))
    bits = object() if fused else None
    channels, places = launch._block(view, bits)
    examples = kernels.SMALLEST // (channels * places)
    assert examples >= (8 if fused else 1) and examples * channels * places == kernels.SMALLEST
    assert launch._splits(view, channels) * channels <= launch.SLICES
    assert torch.Size(shape).numel() == view.N * view.C * view.S


COMPILED = (
    "window_forward,bf16,planes,2048,4,fused",
    "window_backward,bf16,planes,2048,4,fused",
    "window_forward,fp32,rows,2048,4,alone",
    "window_backward,bf16,rows,2048,4,alone",
    "resident_forward,bf16,planes,16384,16,fused",
    "resident_backward,bf16,planes,16384,16,alone",
    "inference_forward,bf16,rows,2048,4,fused",
)


@pytest.mark.skipif(sys.platform != "linux", reason="Triton's assembler is there on Linux only")
def test_kernels_compile_for_a_gpu_without_one(monkeypatch):
    """For an H200 (sm_90): no register goes to memory, and values are read 16 bytes at a time."""
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    script = Path(__file__).parent / "compile_kernels.py"
    monkeypatch.setenv("PYTHONPATH", str(Path(bn.__file__).parents[1]))  # where bn is not installed
    result = subprocess.run([sys.executable, script, *COMPILED], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2_000:]
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [kernel["asked"] for kernel in found] == list(COMPILED)
    for kernel in found:
        assert kernel["spilled"] == 0, kernel
        assert kernel["registers"] <= 128, kernel
        assert kernel["vectors"] >= 2, kernel
