"""Mini-batches made within the step, as in a CUDA graph: here on a CPU, the same to the last bit, and no waiting."""

import io
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bn.lab.data.splits import Images, Split
from bn.lab.train import batches, loop, recipes
from bn.lab.train.batches import Batches, Resident
from bn.lab.train.loop import ImageTrainer

SIZE = recipes.ImageSize(steps=20, seeds=1, pixels=8, width=1 / 16, modules=("3c", "5b"))
PLAIN = replace(recipes.inception(SIZE, "digits", learning_rate=0.05), every=7)  # with Dropout and LRN
SEED = 3
pytestmark = pytest.mark.usefixtures("one_thread")


def images(pixels=8, channels=3, photographs=True) -> Images:
    """200 images of noise in ten classes."""
    generator = torch.Generator().manual_seed(0)

    def split(n: int) -> Split:
        x = torch.randint(256, (n, channels, pixels, pixels), dtype=torch.uint8, generator=generator)
        return Split(x, torch.arange(n) % 10)

    return Images("noise", split(200), split(20), split(20), "noise", tuple("0123456789"), photographs)


@pytest.fixture
def within(monkeypatch):
    """Make trainers that make their mini-batches within the step, from tables of so many steps."""

    def trainer(recipe, data, planned):
        monkeypatch.setattr(batches, "PLANNED", planned)
        monkeypatch.setattr(loop, "batches", Resident)
        return ImageTrainer(recipe, SEED, data)

    yield trainer


def count(step=0) -> torch.Tensor:
    return torch.tensor(step)


def assert_same_bytes(first: ImageTrainer, second: ImageTrainer) -> None:
    for name, value in first.results().items():
        assert value.tobytes() == second.results()[name].tobytes(), name


@pytest.mark.parametrize(
    ("recipe", "data", "block"),
    [
        (PLAIN, images(), batches.BLOCK),
        (recipes.bn_x5(PLAIN), images(channels=1, photographs=False), batches.BLOCK),
        (replace(PLAIN, pixels=40, steps=4, every=3), images(pixels=40), 1),
    ],
    ids=["photographs", "digits", "large"],
)
def test_within_the_step_or_before_it_the_same_random_numbers_give_the_same_bytes(recipe, data, block, within):
    before = ImageTrainer(recipe, SEED, data)
    assert type(before.batches) is Batches and before.batches.block == block
    before.run()
    after = within(recipe, data, planned=block)
    after.run()
    assert type(after.batches) is Resident
    assert_same_bytes(after, before)


def test_a_training_that_goes_on_within_a_table_ends_with_the_same_bytes(within):
    undisturbed = within(PLAIN, images(), planned=6)
    undisturbed.run()
    first, saved = within(PLAIN, images(), planned=6), io.BytesIO()
    for _ in range(9):
        first.advance()
    first.log = undisturbed.log[:2]
    torch.save(first.state(), saved)
    second = within(PLAIN, images(), planned=6)
    second.restore([torch.load(io.BytesIO(saved.getvalue()), weights_only=True)])
    second.run()
    assert second.step == 20
    assert_same_bytes(second, undisturbed)


@pytest.mark.parametrize("kind", [Batches, Resident])
def test_any_step_can_be_asked_for_in_any_order(kind, monkeypatch):
    monkeypatch.setattr(batches, "PLANNED", 4)
    asked = kind(PLAIN, SEED, images(), count())
    found = {step: [part.clone() for part in asked(step)] for step in (0, 9, 3, 14)}
    again = kind(PLAIN, SEED, images(), count())
    for step in (14, 3, 9, 0):
        assert all(map(torch.equal, again(step), found[step]))
        assert torch.equal(found[step][1], images().train.y[again.indices(step)])


@pytest.mark.parametrize("kind", [Batches, Resident])
def test_what_a_graph_reads_stays_at_its_place(kind, monkeypatch):
    monkeypatch.setattr(batches, "PLANNED", 4)
    step = count()
    prepared, places = kind(PLAIN, SEED, images(), step), set()
    for k in range(10):
        prepared.prepare(k)
        step.fill_(k)
        assert torch.equal(prepared.current()[1], images().train.y[prepared.indices(k)])
        places.add(tuple(part.data_ptr() for part in prepared._current))
    assert len(places) == 1


class Operations(TorchDispatchMode):
    """The operations of torch that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.overloadpacket.__name__)
        return function(*args, **kwargs or {})


WAITS = {"_local_scalar_dense", "nonzero", "is_nonzero", "masked_select"}  # for the device
FROM_HOST = {"lift_fresh", "lift_fresh_copy", "scalar_tensor"}  # of numbers in Python, from memory that is not pinned
RANDOM = {"rand", "randint", "randperm", "random_", "uniform_"}  # other than Dropout's, which a graph knows


def test_a_step_waits_for_nothing_copies_nothing_and_draws_nothing(within):
    trainer = within(PLAIN, images(), planned=6)
    for _ in range(3):
        trainer.advance()
    with Operations() as seen:
        trainer._eager()
    assert {"index_select", "convolution", "_fused_sgd_"} <= seen.names  # choosing, training and stepping were seen
    assert not seen.names & (WAITS | FROM_HOST | RANDOM)


def test_operations_that_wait_are_seen():
    with Operations() as seen:
        float(torch.ones(2).sum()), torch.ones(2).nonzero(), torch.tensor(0.5), torch.rand(2)
    assert {"_local_scalar_dense", "nonzero", "lift_fresh", "rand"} <= seen.names
