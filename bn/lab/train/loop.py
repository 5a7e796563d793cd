"""The training loop of section 4.2: SGD with momentum on images, one loop for every recipe, measured and resumable.

The same loop runs on a CPU, on a GPU, where a step becomes a CUDA graph, and in the processes of torchrun. All that
is random in a step follows from the seed and the number of the step: a run that goes on from a checkpoint needs no
generator's state, and networks with the same seed see the same images in the same order, moved in the same way.
"""

import inspect
import time
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from bn.lab.architectures import FIGURE_5
from bn.lab.data.splits import Images, Split
from bn.lab.train.batches import Resident, batches, entropy
from bn.lab.train.inception import Inception
from bn.lab.train.joined import join
from bn.lab.train.settings import Recipe
from bn.sync import SyncBatchNorm

CHUNK = 500  # images at once in an evaluation or a prediction: at 224 pixels, 0.3 GB of floats beside the activations
_SMALL = 64, 2_500  # on a GPU so many at up to so many pixels, for there a small chunk takes as long as a large one
_FOR_STATISTICS = 10_000  # training images from which the colours' mean and deviation come: each is known to a percent
LOOK = 1_000  # steps between two looks at whether the loss is finite: a diverged network takes at most as many more
WEIGHTS = "net/"  # before the names of weights among the results
TRAIN_LOOKED_AT = 4_000  # training images at most in `final_train`: a share of 0.9 is known to half a point
_EAGER_STEPS = 3  # before a CUDA graph is captured: libraries choose their algorithms in them


class TrainingError(Exception):
    """A network cannot be trained as asked; the message says why and what to change."""


def network(recipe: Recipe, seed: int, channels: int) -> Inception:
    """The recipe's network with first weights drawn from the seed, on the CPU."""
    modules = recipe.modules or [row.name for row in FIGURE_5]
    table = tuple(row for row in FIGURE_5 if row.kind != "inception" or row.name in modules)
    shared = {field.name for field in fields(Recipe)} & inspect.signature(Inception).parameters.keys()
    options = {name: getattr(recipe, name) for name in shared}
    return Inception(size=recipe.pixels, channels=channels, table=table, seed=seed, **options)


Callback = Callable[[], None]


class ImageTrainer:
    """Trains one network, step by step, with everything needed to stop and go on.

    `recipe.batch` images a step, joined over the processes of a group where there is one; with `synchronized`, so
    are the statistics of BN. Without `graph` a GPU is given one operation after the other. Raises TrainingError where
    images, recipe and group do not fit together.
    """

    def __init__(
        self,
        recipe: Recipe,
        seed: int,
        images: Images,
        device: str = "cpu",
        synchronized: bool = False,
        graph: bool = True,
    ) -> None:
        self.recipe, self.seed = recipe, seed
        # With its number: "cuda" would mean the machine's first GPU to the thread that reads ahead.
        self.device = torch.empty(0, device=device).device
        grouped = dist.is_available() and dist.is_initialized()
        self.rank, self.ranks = (dist.get_rank(), dist.get_world_size()) if grouped else (0, 1)
        images = replace(images, train=images.train.spread(recipe.examples))
        _check(recipe, images, self.ranks)
        self._count = torch.zeros((), dtype=torch.int64, device=self.device)  # the step, where a CUDA graph reads it
        self.batches = batches(recipe, seed, images, self._count, self.rank, self.ranks)
        self.watched = self._near(images.validation.spread(recipe.watched))
        self.last_looks = {"test": images.test, "train": images.train.spread(TRAIN_LOOKED_AT)}
        self.colours = tuple(c.to(self.device) for c in _colours(images.train.x))
        net = join(network(recipe, seed, images.train.x.shape[1]))
        if synchronized:
            net = SyncBatchNorm.convert_sync_batchnorm(net)
        self.net = net.to(self.device, memory_format=torch.channels_last)
        self._model = DistributedDataParallel(self.net) if self.ranks > 1 else self.net
        self.rate = torch.tensor(recipe.learning_rate, device=self.device)  # a tensor: a CUDA graph reads it each step
        weights = _decayed(self.net, recipe.l2)
        self.optimizer = torch.optim.SGD(weights, lr=self.rate, momentum=recipe.momentum, fused=True)
        self.step, self.seconds, self.log, self.diverged, self.compiled = 0, 0.0, [], -1, False
        self.finals = {}
        self.loss = torch.zeros((), device=self.device)  # of the last step
        self._bad = torch.full((), -1, device=self.device)  # first step whose loss was not finite
        self._graph = _Graph(self._eager) if graph and self.device.type == "cuda" and self.ranks == 1 else None

    def advance(self) -> None:
        """One step of SGD with momentum; the rate is that of the exponential decay, rate · 2^(−step/halflife)."""
        self.batches.prepare(self.step)
        self.rate.fill_(self.recipe.learning_rate * 2 ** (-self.step / self.recipe.halflife))
        if self.recipe.dropout:
            _generator(self.device).manual_seed(entropy(self.seed, self.step, self.rank, 1))
        (self._graph or self._eager)()
        self.step += 1

    def _eager(self) -> None:
        x, y = self.batches.current()
        self.optimizer.zero_grad()
        with self._precision():
            loss = cross_entropy(self._model(self.normalized(x)), y)
        loss.backward()
        self.optimizer.step()
        self.loss.copy_(loss.detach())
        # Without a wait for the device: the number of the first step whose loss is infinite or NaN is kept there.
        self._bad.copy_(torch.where((self._bad < 0) & ~self.loss.isfinite(), self._count, self._bad))
        self._count += 1

    def run(self, after_evaluation: Callback = lambda: None, after_step: Callback = lambda: None) -> None:
        """Train to the last step, or to divergence, from wherever the trainer stands, and look at all test images."""
        try:
            if not self.log:
                self._evaluate(after_evaluation)
            while self.step < self.recipe.steps and self.diverged < 0:
                self._stretch(after_step)
                self._evaluate(after_evaluation)
            self.finals = {f"final_{name}": self._accuracy(split) for name, split in self.last_looks.items()}
        except RuntimeError as error:
            raise _out_of_memory(error, self.recipe) or error from None

    def _stretch(self, after_step: Callback) -> None:
        """The steps up to the next evaluation, or to where a divergence is noticed."""
        every = self.recipe.every
        end = min(self.step - self.step % every + every, self.recipe.steps)
        start = time.perf_counter() - self.seconds
        while self.step < end and self.diverged < 0:
            for _ in range(min(LOOK - self.step % LOOK, end - self.step)):  # the same looks after a resumption
                self.advance()
                self.seconds = time.perf_counter() - start
                if self.step < end:  # who goes on from a step at which an evaluation is due would leave it out
                    after_step()
            self.diverged = self._divergence()
        self.seconds = time.perf_counter() - start  # with what the device still had to do

    def finite(self) -> bool:
        """Whether the loss has been so in all steps of this process; waits for the device."""
        return int(self._bad) < 0

    def _divergence(self) -> int:
        """The first step whose loss was not finite in any process, or -1; waits for the device."""
        if self.ranks > 1:
            never = torch.iinfo(torch.int64).max
            first = torch.where(self._bad < 0, never, self._bad)
            dist.all_reduce(first, dist.ReduceOp.MIN)
            self._bad.copy_(torch.where(first == never, -1, first))
        return int(self._bad)

    def _evaluate(self, after: Callback) -> None:
        self.log.append({"steps": self.step, "validation": self._accuracy(self.watched)})
        after()

    def _accuracy(self, split: Split) -> float:
        """A network that diverged has none."""
        return self.accuracy(split) if self.diverged < 0 else float("nan")

    def infinite(self) -> bool:
        """Whether the loss was once infinite or NaN, or a parameter is; waits for the device."""
        return self.diverged >= 0 or not all(bool(p.isfinite().all()) for p in self.net.parameters())

    def accuracy(self, split: Split) -> float:
        """The share of the images whose class comes first, on one crop each."""
        chunk = _SMALL[1] if self.device.type == "cuda" and self.recipe.pixels <= _SMALL[0] else CHUNK
        pairs = zip(split.x.split(chunk), split.y.split(chunk), strict=True)
        right = sum((self.probabilities(x).argmax(1) == y.to(self.device)).sum() for x, y in pairs)
        return int(right) / len(split.y)

    def _near(self, split: Split) -> Split:
        """Images that are looked at often: on a GPU that holds the training images they lie there too."""
        return Split(*(part.to(self.device) for part in split)) if isinstance(self.batches, Resident) else split

    @torch.no_grad()
    def probabilities(self, x: Tensor) -> Tensor:
        """Of images (m, channels, h, w) uint8 the class probabilities (m, classes) float32, by moving averages."""
        self.net.eval()
        with self._precision():
            logits = self.net(self.normalized(x.to(self.device)))
        self.net.train()
        return logits.float().softmax(1)

    def normalized(self, x: Tensor) -> Tensor:
        """Images of bytes with mean 0 and standard deviation 1 in each channel over the training images."""
        mean, std = self.colours
        return ((x.float() - mean) / std).to(memory_format=torch.channels_last)

    def _precision(self) -> torch.autocast:
        enabled = self.recipe.precision == "bfloat16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)

    def state(self, k: int = 0) -> dict:
        """Everything that a killed run needs to end with the same bytes."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "log": self.log,
            "diverged": self.diverged,
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, states: list[dict]) -> None:
        """Go on from the one `state()` of an earlier trainer of the same recipe and seed."""
        (state,) = states
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate  # loading made a copy
        self.step, self.seconds, self.log = state["step"], state["seconds"], list(state["log"])
        self.diverged = state["diverged"]
        self._count.fill_(self.step)

    def results(self, k: int = 0) -> dict[str, np.ndarray]:
        """What is kept of a finished run, evaluations first.

        - `steps` (E,), `validation` accuracy (E,) in shares, NaN where the network had diverged.
        - `final_test`, `final_train` (): accuracy at the end on all test images, and on training images as they are.
        - `diverged` (): the step at which the loss was first not finite, or -1.
        - `infinite` (): whether it was, or a parameter is at the end.
        - `net/<name>`: the weights and buffers, as in the network's state_dict.
        """
        curves = {name: np.array([entry[name] for entry in self.log]) for name in self.log[0]}
        weights = {f"{WEIGHTS}{name}": value.cpu().numpy() for name, value in self.net.state_dict().items()}
        ends = self.finals | {"diverged": self.diverged, "infinite": self.infinite()}
        return curves | {name: np.array(value) for name, value in ends.items()} | weights

    def load_weights(self, results: dict[str, np.ndarray]) -> None:
        """Take the weights of a finished run of the same recipe. Raises TrainingError where it has none."""
        weights = {name.removeprefix(WEIGHTS): value for name, value in results.items() if name.startswith(WEIGHTS)}
        if not weights:
            raise TrainingError("a run has come from another machine without its weights: delete it from runs/")
        self.net.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})

    def about(self, k: int = 0) -> dict:
        """What is kept beside it: how many parameters."""
        return {"parameters": sum(p.numel() for p in self.net.parameters())}


class _Graph:
    """A step as a CUDA graph: launched as a whole, which pays where the mini-batch is small.

    Nothing is handed to the step. All that differs between two steps lies at fixed places in the device's memory.
    """

    def __init__(self, step: Callable[[], None]) -> None:
        self.step, self.graph, self.eager = step, None, _EAGER_STEPS

    def __call__(self) -> None:
        if self.eager > 0:
            self.eager -= 1
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                self.step()
            torch.cuda.current_stream().wait_stream(stream)
            return
        if self.graph is None:
            self.graph = torch.cuda.CUDAGraph()
            # Records the step and does not take it. The thread that reads ahead may go on meanwhile.
            with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
                self.step()
        self.graph.replay()


def _check(recipe: Recipe, images: Images, ranks: int) -> None:
    if len(images.classes) != recipe.classes:
        raise TrainingError(
            f"{images.name} has {len(images.classes):,} classes here, but the network has {recipe.classes:,}: "
            "complete the folder, or ask for a network with as many classes"
        )
    if recipe.batch % ranks:
        raise TrainingError(f"batch must be a multiple of the {ranks} processes, but it is {recipe.batch}")
    needed = recipe.shards * recipe.batch
    if len(images.train.y) < needed:
        raise TrainingError(
            f"{images.name} has {len(images.train.y):,} training images, fewer than {recipe.shards} shards of one "
            f"mini-batch of {recipe.batch}: lower batch to {max(1, len(images.train.y) // recipe.shards)} or less"
        )


def _out_of_memory(error: Exception, recipe: Recipe) -> TrainingError | None:
    if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
        return None
    return TrainingError(
        f"The memory does not suffice for batch {recipe.batch}, width {recipe.width:g} and {recipe.pixels} pixels: "
        "lower batch, or else width or pixels."
    )


def _decayed(net: nn.Module, l2: float) -> list[dict]:
    """Weights of convolutions and of the softmax layer with the L2 loss; biases, γ and β without."""
    weights = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() <= 1]
    return [{"params": weights, "weight_decay": l2}, {"params": others, "weight_decay": 0.0}]


def _colours(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over training images, (channels, 1, 1) each."""
    some = x[:: max(1, len(x) // _FOR_STATISTICS)].double()
    std, mean = torch.std_mean(some, dim=(0, 2, 3), correction=0)
    return mean.float()[:, None, None], std.float().clamp_min(1.0)[:, None, None]


def _generator(device: torch.device) -> torch.Generator:
    """What Dropout draws from there; torch.manual_seed would seed those of all devices, which takes longer."""
    return torch.cuda.default_generators[device.index] if device.type == "cuda" else torch.default_generator
