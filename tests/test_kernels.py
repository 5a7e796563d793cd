"""The schedule of the kernels, their offsets, and the counters that they leave behind."""

import math

import pytest
import torch
import triton
import triton.language as tl

from bn import launch, partials, tiles
from bn.functional import batch_norm

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = pytest.mark.usefixtures("quick_interpreter")


@triton.jit
def _one_offset(out, index, row, lane, block, N, C, S, stride, PLANES: tl.constexpr):
    """Where the last value of a tile lies."""
    view = (N, C, S, stride)
    size: tl.constexpr = (4, 8, 1 if PLANES else 8, PLANES, 4, True)
    offsets, _ = tiles.tile_at(index, row, lane, tiles.lanes_of(view, size), block, view, size)
    tl.store(out, tl.max(tl.max(offsets, 1), 0))


@pytest.mark.parametrize("planes", [True, False])
def test_offsets_beyond_two_to_the_31st(planes):
    out = torch.zeros(1, dtype=torch.int64, device=DEVICE)
    N, C, S = 70_004, 64, 3_136
    _one_offset[(1,)](out, 5, 70_000, 16, 3, N, C, S, C * S, planes)
    last_row, last_lane = 70_000 + 3, 16 + 7
    # Tiles lie side by side in channel 3, or below each other.
    want = last_row * C * S + 3 * S + 5 * 8 + last_lane if planes else (last_row + 5 * 4) * C * S + last_lane
    assert out.item() == want > 2**33


def test_more_examples_than_a_grid_axis_holds(monkeypatch):
    """65,535 is the limit of a grid's second axis; one axis is all that is used."""
    torch.manual_seed(0)
    monkeypatch.setattr(launch, "RESIDENT", 2**20)
    launch.replan()
    x = torch.randn(66_000, 2, device=DEVICE)
    y = batch_norm(x, None, None, training=True, backend="triton")
    torch.testing.assert_close(y, batch_norm(x, None, None, training=True, backend="reference"), rtol=1e-4, atol=1e-4)


SHAPES = [
    *[(32, 64, 112, 112), (256, 64, 56, 56), (256, 512, 28, 28), (256, 1024, 14, 14), (256, 2048, 7, 7), (20, 5, 9, 9)],
    *[(2, 19, 512, 512), (3, 1, 64), (1, 3, 7), (60, 100), (2**20, 3), (33, 24, 7, 7), (128, 6, 35, 35), (66_000, 2)],
]


@pytest.mark.parametrize("itemsize", [2, 4, 8])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_value_is_in_one_tile_of_one_task(shape, channels_last, itemsize, monkeypatch):
    """What the kernels take for granted of a schedule, by counting, at the sizes of a GPU; nothing is allocated."""
    monkeypatch.setattr(launch, "BLOCK", 4_096)
    launch.replan()
    x = torch.empty(shape, device="meta")
    view = launch.view(x.movedim(1, -1).contiguous().movedim(-1, 1) if channels_last else x)
    assert math.prod(shape) == view.N * view.C * view.S
    plan = launch._window(view, itemsize, itemsize)
    blocks, tasks, length, lag = plan.schedule
    options = plan.options
    rows, lanes, channels = (options[name] for name in ("ROWS", "LANES", "CHANNELS"))
    assert plan.grid == (2 * blocks * tasks,) and 1 <= lag <= blocks
    assert rows * lanes * itemsize <= 4_096 and lanes >= 8
    assert (blocks - 1) * channels < view.C <= blocks * channels
    down = -(-view.N // rows)
    if options["PLANES"]:
        pieces = -(-view.S // (length * lanes))
        assert channels == 1 and tasks == down * pieces and (pieces - 1) * length * lanes < view.S
        whole, splits = view.S % lanes == 0, tasks
    else:
        across = -(-channels * view.S // lanes)
        splits = tasks // across
        assert tasks == across * splits and (splits - 1) * length * rows < view.N <= splits * length * rows
        whole = view.C % channels == 0 and channels * view.S % lanes == 0
        assert blocks == 1 or channels * view.S % 8 == 0  # two blocks have no byte of bits together
    assert options["EVEN"] == (whole and view.N % rows == 0)
    starts = [view.stride, channels * view.S, lanes]
    assert all(start % options["ALIGN"] == 0 for start in starts)
    groups = -(-splits // partials.GROUP.value) if options["TREE"] else 0
    assert plan.shape == (splits + groups, view.C if options["PLANES"] else view.stride)
    assert plan.counters >= 1 + blocks * (2 + groups)


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_launch_leaves_the_counters_at_zero(channels_last, monkeypatch):
    """The next launch begins with them as they are."""
    monkeypatch.setattr(launch, "RESIDENT", 0)
    monkeypatch.setattr(launch, "ALONE", 2)  # groups, too
    launch.replan()
    seen, usual = [], launch._counters
    monkeypatch.setattr(launch, "_counters", lambda *given: seen.append(usual(*given)) or seen[-1])
    x = torch.randn(20, 24, 9, 9, device=DEVICE).requires_grad_()
    x = x.to(memory_format=torch.channels_last) if channels_last else x
    batch_norm(x, None, None, training=True, backend="triton").square().sum().backward()
    assert len(seen) == 2 and all(len(counters) > 1 and not counters.any() for counters in seen)
