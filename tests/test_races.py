"""Races in the window schedule: every launch gives the same bits, and no program waits for one that may never come.

Partial results are merged in a fixed order, so a bit that changes from launch to launch is a race. On a GPU 200
launches for each LAG and number of slices, beside other work that changes their timing; in the interpreter, where
programs run one after the other, the same code with three. A step that hangs is ended with its traceback.
"""

import faulthandler
import itertools
import os

import pytest
import torch
import triton
import triton.language as tl

from bn import kernels, launch, ops  # noqa: F401 (ops: the operators)
from bn.functional import batch_norm_act

CUDA = torch.cuda.is_available()
DEVICE, DTYPE, LAUNCHES = ("cuda", torch.bfloat16, 200) if CUDA else ("cpu", torch.float32, 3)
GPU_SHAPES = {"NCHW": (16, 40, 56, 56), "NHWC": (64, 72, 28, 28)}
SHAPES = GPU_SHAPES if CUDA else {"NCHW": (1, 2, 32, 64), "NHWC": (4, 40, 4, 4)}
# LAG, and TASK in tiles: long tasks make one slice of a channel block or few, short ones many, some empty.
LAGS, TASKS = (0, 1, 2, 5), (4, 2, 1024, 1)
SCHEDULES = tuple(itertools.product(LAGS, TASKS) if CUDA else zip(LAGS, TASKS, strict=True))
NAMES = ("y", "mean", "rstd", "bits", "dx", "dweight", "dbias", "dresidual")
LONGEST = 40 if CUDA else 120  # seconds of a test; on a GPU most of them compile
on_a_gpu = pytest.mark.skipif(not CUDA, reason="needs CUDA")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_interpreter", "watchdog")]


@pytest.fixture
def watchdog(capfd):
    """End the process with a traceback where a test hangs: from a kernel that never ends nothing else gets out."""
    with capfd.disabled():
        errors = os.dup(2)  # where somebody reads it, and not what pytest captures
    faulthandler.dump_traceback_later(LONGEST, exit=True, file=errors)
    yield
    faulthandler.cancel_dump_traceback_later()
    os.close(errors)


# ---- A forced schedule: all that is taken for granted of how bn.launch calls the kernels ---------------------------


class WithLag:
    """A kernel of the window schedule that is launched with a LAG of our choice, and tells with which schedules."""

    def __init__(self, kernel, lag):
        self.kernel, self.lag, self.seen = kernel, lag, set()

    def __getitem__(self, grid):
        def launched(*arguments, **options):
            given = dict(zip(self.kernel.arg_names, arguments, strict=False)) | options
            given["LAG"] = min(self.lag, given["blocks"])
            self.seen.add((given["LAG"], grid[0] // (2 * given["blocks"])))  # of each block two phases
            self.kernel[grid](**given)

        return launched


def forced(monkeypatch, lag, task) -> list[WithLag]:
    """Both kernels with this LAG and tasks of so many smallest tiles, also for inputs that would be resident."""
    monkeypatch.setattr(launch, "RESIDENT", 0)
    monkeypatch.setattr(launch, "TASK", task)
    monkeypatch.setattr(launch, "PROGRAMS", 1)
    monkeypatch.setattr(launch, "ALONE", 8)  # more results are merged in groups
    launch.replan()
    made = [WithLag(getattr(kernels, name), lag) for name in ("window_forward", "window_backward")]
    for name, kernel in zip(("window_forward", "window_backward"), made, strict=True):
        monkeypatch.setattr(kernels, name, kernel)
    return made


# ---- The same bits -------------------------------------------------------------------------------------------------


def tensors(layout, residual):
    """x, weight, bias, residual or None, dy."""
    generator = torch.Generator(DEVICE).manual_seed(0)

    def values(*shape, dtype=DTYPE):
        found = torch.randn(shape, generator=generator, device=DEVICE, dtype=dtype)
        return found.contiguous(memory_format=torch.channels_last) if layout == "NHWC" and len(shape) == 4 else found

    shape = SHAPES[layout]
    vectors = (values(shape[1], dtype=torch.float32) for _ in range(2))
    return values(*shape) + 3, *vectors, values(*shape) if residual else None, values(*shape)


def launched(x, weight, bias, residual, dy, running=(None, None)):
    """Forward and backward pass with a ReLU: all that the kernels write, in the order of NAMES."""
    y, mean, rstd, bits = torch.ops.bn.training(x, *running, weight, bias, residual, 0.1, 1e-5, True)
    rest = torch.ops.bn.backward(dy, x, weight, bias, mean, rstd, bits, 1e-5, True, True, residual is not None)
    return y, mean, rstd, bits, *rest


def as_integers(tensor):
    """The same bits as numbers that are equal where these are, what is not a number included."""
    return tensor.view({1: torch.uint8, 2: torch.int16, 4: torch.int32}[tensor.element_size()])


def changed(launches, expected=None):
    """In how many launches each of their results has other bits than in the first one; those that change, by name."""
    launches = iter(launches)
    first = [as_integers(t).clone() for t in (next(launches) if expected is None else expected)]
    counts = torch.zeros(len(first), dtype=torch.int64, device=first[0].device)
    for found in launches:  # counted where they are: to look at each would wait for it
        counts += torch.stack([(as_integers(t) != f).any() for t, f in zip(found, first, strict=True)])
    return {name: n for name, n in zip(NAMES, counts.tolist(), strict=True) if n}


def disturbances():
    """Matrix products of changing size on another stream: they take multiprocessors and L2 from what runs beside."""
    matrix, stream = torch.randn(4096, 4096, device=DEVICE, dtype=torch.bfloat16), torch.cuda.Stream()
    for size in itertools.cycle((4096, 256, 1024, 64, 2048)):
        with torch.cuda.stream(stream):
            part = matrix[:size, :size]
            torch.mm(part, part)
        yield


@pytest.mark.parametrize(("lag", "task"), SCHEDULES)
@pytest.mark.parametrize("layout", list(SHAPES))
@pytest.mark.parametrize("residual", [False, True])
def test_every_launch_gives_the_same_bits(monkeypatch, layout, residual, lag, task):
    forced(monkeypatch, lag, task)
    given = tensors(layout, residual)
    other = disturbances() if CUDA else itertools.repeat(None)
    assert changed(launched(*given) for _ in zip(range(LAUNCHES), other, strict=False)) == {}
    x, weight, bias, beside, _ = given
    want = batch_norm_act(x, None, None, weight, bias, training=True, residual=beside, backend="reference")
    close = {"rtol": 2e-2, "atol": 2e-2} if CUDA else {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(launched(*given)[0], want, **close)


def test_the_schedules_differ(monkeypatch):
    """Or the test above would say less than it seems to."""
    for layout in SHAPES:
        seen = {}
        for lag, task in SCHEDULES:
            with monkeypatch.context() as patch:
                forward, _ = forced(patch, lag, task)
                launched(*tensors(layout, False))
                ((seen[lag, task]),) = forward.seen
        assert len({lag for lag, _ in seen.values()}) >= 3
        assert len({splits for _, splits in seen.values()}) >= 3


def test_a_changed_bit_is_seen():
    results = [[torch.zeros(3) for _ in NAMES] for _ in range(4)]
    results[2][4][1] = -0.0  # equal to 0, and other bits
    results[3][4][1] = float("nan")
    assert changed(results) == {"dx": 2}
    results[0][4][1] = results[2][4][1] = float("nan")
    assert changed(results) == {"dx": 1}


@on_a_gpu
@pytest.mark.parametrize("layout", list(SHAPES))
def test_a_graph_gives_the_same_bits_each_time_it_is_replayed(monkeypatch, layout):
    """Counters are zero again before each launch, and the running statistics move as those of as many launches do."""
    forced(monkeypatch, 1, 4)
    given, channels = tensors(layout, True), SHAPES[layout][1]
    running, twins = ((torch.zeros(channels, device=DEVICE), torch.ones(channels, device=DEVICE)) for _ in range(2))
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # compiles
        expected = launched(*given, [statistic.clone() for statistic in running])
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = launched(*given, running)

    def replayed():
        graph.replay()
        return outputs

    assert changed((replayed() for _ in range(LAUNCHES)), expected) == {}
    for _ in range(LAUNCHES):
        launched(*given, twins)
    assert [torch.equal(statistic, twin) for statistic, twin in zip(running, twins, strict=True)] == [True, True]


# ---- No wait without end -------------------------------------------------------------------------------------------


@triton.jit
def _tickets(tickets, own, out, blocks, SPLITS, LAG):
    """Write down what each program is given: `own` counters by the number of the ticket, else by its own number."""
    number = tl.program_id(0)
    phase, block, split = kernels._ticket(tickets + number * own, blocks, SPLITS, LAG)
    row = out + number * 3
    tl.store(row, phase)
    tl.store(row + 1, block)
    tl.store(row + 2, split)


@pytest.mark.parametrize("blocks", [1, 2, 5])
@pytest.mark.parametrize("splits", [1, 3])
@pytest.mark.parametrize("lag", [0, 1, 2, 5])
def test_no_program_can_wait_for_one_that_comes_later(blocks, splits, lag):
    """A slice is normalised only by a later ticket than all those that reduce its block, and all work is handed out.

    What a ticket stands for is read by its number, wherever and whenever the program that draws it runs.
    """
    lag, programs = min(lag, blocks), 2 * blocks * splits
    out = torch.full((2, programs, 3), -1, dtype=torch.int32, device=DEVICE)
    numbers = torch.arange(programs, dtype=torch.int32, device=DEVICE)
    _tickets[(programs,)](numbers, 1, out[0], blocks, splits, lag)
    _tickets[(programs,)](torch.zeros(1, dtype=torch.int32, device=DEVICE), 0, out[1], blocks, splits, lag)
    by_ticket, by_program = ([tuple(row) for row in rows] for rows in out.tolist())
    assert sorted(by_program) == sorted(by_ticket)  # from one counter each ticket is drawn once
    assert sorted(by_ticket) == [(p, b, s) for p in (0, 1) for b in range(blocks) for s in range(splits)]
    for place, (phase, block, _) in enumerate(by_ticket):
        if phase == 1:
            before = by_ticket[:place]
            assert {(0, block, s) for s in range(splits)} <= set(before)
            assert len({b for p, b, _ in before if p == 0 and b > block}) <= lag  # between the two reads of a block
