"""Which images a step of section 4.2 sees, and what is done to them: all follows from the seed and the step's number.

A step asks `current()` for its mini-batch, after `prepare(step)`. On a CPU the images were made in `prepare`, those of
several steps at once. On a GPU that holds all images they are chosen and changed in `current`, which is then a part of
the step's CUDA graph: beforehand only the order and the random numbers of many steps were drawn.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor

from bn.lab.data import augment
from bn.lab.data.augment import Changes
from bn.lab.data.splits import Images
from bn.lab.train.settings import Recipe

BLOCK = 8  # steps whose images are read and changed together: at few pixels that costs as much as those of one step,
SMALL = 32  # pixels of a side; larger images are changed step by step, for eight times the memory would be felt
PLANNED = 256  # steps for which a GPU that holds the images is told beforehand what to choose: 1 MB at batch 128


def batches(recipe: Recipe, seed: int, images: Images, count: Tensor, rank: int = 0, ranks: int = 1) -> "Batches":
    """The mini-batches of a training, on the device where `count` lies, () int64: the number of the step that is taken.

    On a GPU the images lie in its memory if they take at most half of what is free.
    """
    device = count.device
    fit = device.type == "cuda" and images.train.x.nbytes <= torch.cuda.mem_get_info(device)[0] // 2
    return (Resident if fit else Batches)(recipe, seed, images, count, rank, ranks)


class Batches:
    """The mini-batch of any step: `batches(step)` is (m, channels, size, size) uint8 and (m,) int64.

    A block of them is made at once, for a GPU by a thread that reads the next block while the current one is trained
    on. Each process of a group gets its part. `current()` gives the mini-batch of the last `prepare(step)`, always at
    the same place in memory.
    """

    def __init__(self, recipe: Recipe, seed: int, images: Images, count: Tensor, rank: int = 0, ranks: int = 1) -> None:
        self.recipe, self.seed, self.rank, self.ranks = recipe, seed, rank, ranks
        self.device, self.count = count.device, count
        self.x, self.y = images.train.x, images.train.y
        self.photographs = images.photographs
        dealt = partial(augment.shards, len(self.y), recipe.batch, recipe.shards, seed=seed, within=recipe.shuffled)
        self._epoch = lru_cache(maxsize=1)(dealt)
        self.per_epoch = len(self._epoch(0))
        self._generator = torch.Generator(self.device)
        self._reader = ThreadPoolExecutor(1) if self.device.type == "cuda" else None
        self._next = -1, None
        self.block, self._block = BLOCK if recipe.pixels <= SMALL else 1, (-1,)
        self._current = None

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Images and labels of a step."""
        block, k = divmod(step, self.block)
        if block != self._block[0]:
            x, y = self._read(block) if self._reader is None else self._read_ahead(block)
            self._block = block, augment.changed(x, self.changes(block)).chunk(self.block), y.chunk(self.block)
        _, x, y = self._block
        return x[k], y[k]

    def prepare(self, step: int) -> None:
        """Make ready what a step needs; nothing on the device is waited for."""
        self._current = _kept(self._current, self(step))

    def current(self) -> tuple[Tensor, Tensor]:
        """Images and labels of the step that is being taken."""
        return self._current

    def indices(self, step: int) -> Tensor:
        """Which training images this process sees in a step, (batch / ranks,) int64."""
        epoch, k = divmod(step, self.per_epoch)
        return self._epoch(epoch)[k][self.rank :: self.ranks]

    def order(self, block: int) -> Tensor:
        """The same of a block of steps, (block, batch / ranks)."""
        return torch.stack([self.indices(step) for step in range(self.block * block, self.block * (block + 1))])

    def changes(self, block: int) -> Changes:
        """What is done to the images of a block: photographs are also mirrored (digits would no longer be digits)."""
        generator = self._generator.manual_seed(entropy(self.seed, block, self.rank, 0))
        m = self.block * self.recipe.batch // self.ranks
        return augment.drawn(m, augment.room(self.x), generator, self.recipe.distortion, self.photographs)

    def _read(self, block: int) -> tuple[Tensor, Tensor]:
        i = self.order(block).flatten()
        return self._sent(self.x[i]), self._sent(self.y[i])

    def _read_ahead(self, block: int) -> tuple[Tensor, Tensor]:
        ahead, future = self._next
        batch = future.result() if ahead == block else self._reader.submit(self._read, block).result()
        self._next = block + 1, self._reader.submit(self._read, block + 1)
        return batch

    def _sent(self, x: Tensor) -> Tensor:
        """A copy on the device, which from pinned memory nobody waits for."""
        return x.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else x


class Resident(Batches):
    """The same, made within the step from images that lie on its device, by a count of the steps that lies there too.

    What a block's steps choose and do is drawn at once, in tables that each step reads its own row of.
    """

    def __init__(self, recipe: Recipe, seed: int, images: Images, count: Tensor, rank: int = 0, ranks: int = 1) -> None:
        super().__init__(recipe, seed, images, count, rank, ranks)
        self.x, self.y = (part.to(self.device) for part in images.train)
        self.block, self._reader, self._planned = PLANNED, None, -1

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Images and labels of a step."""
        self.prepare(step)
        return self._made(torch.tensor([step % self.block], device=self.device))

    def prepare(self, step: int) -> None:
        """Draw the tables of the step's block, if it is not that of the last one."""
        if (block := step // self.block) != self._planned:
            rows = (t.view(self.block, -1) for t in self.changes(block))
            self._current = _kept(self._current, (self._sent(self.order(block)), *rows))
            self._planned = block

    def current(self) -> tuple[Tensor, Tensor]:
        """Images and labels of step `count`, by that number on the device alone."""
        return self._made((self.count % self.block).view(1))

    def _made(self, row: Tensor) -> tuple[Tensor, Tensor]:
        i, *changes = (table.index_select(0, row)[0] for table in self._current)
        return augment.changed(self.x.index_select(0, i), Changes(*changes)), self.y.index_select(0, i)


def _kept(places: tuple[Tensor, ...] | None, values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The values, at the places where a CUDA graph reads them; the first ones make the places."""
    if places is None:
        return tuple(value.clone() for value in values)
    for place, value in zip(places, values, strict=True):
        place.copy_(value)
    return places


def entropy(*numbers: int) -> int:
    """A seed that depends on nothing but its arguments."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
