"""Faults that a hostile reading of the kernels has found: none may come back."""

import os
import subprocess
import sys

import pytest
import torch
import triton
import triton.language as tl

from bn import launch, tiles
from bn.functional import batch_norm, batch_norm_act

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
pytestmark = pytest.mark.usefixtures("quick_interpreter")


# ---- Resident tiles of 8 lanes in a tensor (N, C) whose rows begin at multiples of 16 ------------------------------


@pytest.mark.parametrize("itemsize", [2, 4, 8])
@pytest.mark.parametrize("shape", [(6, 16), (8, 16), (60, 112), (1024, 4096)], ids=str)
def test_resident_blocks_begin_where_they_are_aligned_to(shape, itemsize):
    """`tiles.aligned` takes off what is no multiple of ALIGN: two blocks would be one, and a block's end its start."""
    launched = launch._resident(launch.View(*shape, 1, shape[1]), itemsize)
    assert not launched or launched.options["CHANNELS"] % launched.options["ALIGN"] == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(6, 16), (8, 32)], ids=str)  # masked, and not
def test_resident_channels_in_sixteens(shape, dtype):
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=dtype, device=DEVICE).requires_grad_()
    y, want = (batch_norm(x, None, None, training=True, backend=name) for name in ("triton", "reference"))
    torch.testing.assert_close(y, want, rtol=1e-4, atol=1e-4)
    dy = torch.randn_like(x)
    (dx,), (true,) = torch.autograd.grad(y, x, dy), torch.autograd.grad(want, x, dy)
    torch.testing.assert_close(dx, true, rtol=1e-3, atol=1e-3)


# ---- The wait of the second phase ----------------------------------------------------------------------------------

_COMPILE = """
import torch
from bn.lab.chapters.kernels import compiled
from bn.lab.chapters.kernels.cases import Case
for _, kernel in compiled.compiled(Case((256, 64, 56, 56), "bf16", "NCHW", "bn_relu")):
    print("// next", kernel.asm["ptx"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Triton's assembler is there on Linux only")
def test_no_thread_takes_from_ready_before_all_have_seen_it():
    """Each thread polls by itself (a scalar load is made by all), but one of them subtracts 1 for the program.

    Where it is the last to do so, the counter is 0 again, and a warp that has not seen it in between polls without end.
    """
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", _COMPILE], env=environment, capture_output=True, text=True, check=True)
    kernels = done.stdout.split("// next")[1:]
    assert len(kernels) == 2
    for text in kernels:
        poll = text.index("ld.volatile.global")
        subtract = text.index("atom.global.gpu.acquire.add", poll)
        assert "bar.sync" in text[poll:subtract] or "barrier.sync" in text[poll:subtract]


# ---- Counters that are kept, in memory that is not theirs to keep ---------------------------------------------------


@pytest.mark.skipif(not CUDA, reason="needs CUDA")
def test_cuda_graphs_of_torch_compile(monkeypatch):
    """Inductor's warm-up runs on a stream of its own with all memory from the graphs' pool, and asks for it back.

    `torch._inductor.cudagraph_trees.check_memory_pool` raises where something is kept.
    """
    monkeypatch.setattr(launch, "RESIDENT", 0)
    launch.replan()
    x = torch.randn(16, 8, 16, 16, device=DEVICE)
    running = torch.zeros(8, device=DEVICE), torch.ones(8, device=DEVICE)

    def step(x, *running):
        return batch_norm_act(x, *running, training=True, backend="triton")

    compiled = torch.compile(step, mode="reduce-overhead")
    for _ in range(4):
        y = compiled(x, *running)
        want = batch_norm_act(x, None, None, training=True, backend="reference")
        torch.testing.assert_close(y, want, rtol=1e-4, atol=1e-4)


def test_what_is_kept_lies_in_no_pool_of_others(monkeypatch):
    """The same without a GPU: a launch while all memory is from a pool, as `cudagraph_trees` warms up, keeps none."""
    handed_out = []

    class Mean:
        is_cuda, device = True, torch.device("cuda", 0)

        def get_device(self):
            return 0

    class Stream:
        cuda_stream = 12345  # that of the warm-up, which nobody else has

    def zeros(n, **_):  # memory of the pool, alive while anybody holds it
        import weakref

        made = torch.empty(n, dtype=torch.int32).zero_()
        handed_out.append(weakref.ref(made))
        return made

    monkeypatch.setattr(launch, "_clear", {})
    monkeypatch.setattr(torch, "zeros", zeros)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: Stream())
    monkeypatch.setattr(torch.cuda, "default_stream", lambda device=None: "another")
    plan = launch._window(launch.View(256, 64, 3136, 64 * 3136), 2, 2)
    launch._counters(plan, Mean())
    assert handed_out
    assert not [made for made in handed_out if made() is not None]  # as check_memory_pool counts


# ---- A running variance that is replaced -----------------------------------------------------------------------------


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("std", [1e-3, 1e-4])
def test_a_momentum_of_one_gives_the_variance_itself(std, resident, monkeypatch):
    """So does the first step of a cumulative average: old + 1 * (new - old) is 0 where old is 1 and new below 3e-8."""
    monkeypatch.setattr(launch, "RESIDENT", 2**20 if resident else 0)
    launch.replan()
    torch.manual_seed(0)
    x = torch.randn(8, 3, 4, 4, device=DEVICE) * std
    mean, var = torch.zeros(3, device=DEVICE), torch.ones(3, device=DEVICE)
    batch_norm(x, mean, var, training=True, momentum=1.0, backend="triton")
    torch.testing.assert_close(var.double(), x.double().var((0, 2, 3)), rtol=1e-4, atol=0)


# ---- Numbers of tasks near and beyond 2**31 -------------------------------------------------------------------------


@triton.jit
def _one_task(out, task, N, C, S, stride, LENGTH, ROWS: tl.constexpr, LANES: tl.constexpr, PLANES: tl.constexpr):
    size: tl.constexpr = (ROWS, LANES, 1 if PLANES else LANES, PLANES, 1, False)
    row, lane, number = tiles.task_at(task, tl.program_id(0), (N, C, S, stride), size, LENGTH)
    tl.store(out, row.to(tl.int64))
    tl.store(out + 1, lane.to(tl.int64))
    tl.store(out + 2, number.to(tl.int64))


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_rows_beyond_two_to_the_31st():
    """(N, 2, H, W), channels last: 8.6 GB in bfloat16 at 2**31 positions, 13 GB here."""
    view = launch.View(3 * 2**30, 2, 1, 2)
    plan = launch._window(view, 2, 2)
    _, tasks, length, _ = plan.schedule
    rows, lanes = plan.options["ROWS"], plan.options["LANES"]
    out = torch.zeros(3, dtype=torch.int64, device=DEVICE)
    _one_task[(1,)](out, tasks - 1, *view, length, rows, lanes, False)
    row = (tasks - 1) * length * rows
    assert out.tolist() == [row, 0, min(-(-(view.N - row) // rows), length)]


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_positions_just_below_two_to_the_31st():
    """One channel: 4.3 GB in bfloat16. The sum in `tl.cdiv` has 32 bits where S has."""
    view = launch.View(1, 1, 2**31 - 64, 2**31 - 64)
    plan = launch._window(view, 2, 2)
    _, tasks, length, _ = plan.schedule
    rows, lanes = plan.options["ROWS"], plan.options["LANES"]
    out = torch.zeros(3, dtype=torch.int64, device=DEVICE)
    _one_task[(1,)](out, tasks - 1, *view, length, rows, lanes, True)
    lane = (tasks - 1) * length * lanes
    assert out.tolist() == [0, lane, -(-(view.S - lane) // lanes)]
