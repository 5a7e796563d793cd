"""The training loop of section 4.1: plain SGD, all replicas at once, measured on the way, resumable."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from bn.lab.data.datasets import Data, Split
from bn.lab.train.mlp import SigmoidMLP

PERCENTILES = (15, 25, 50, 75, 85)
PROBE = 2_000  # validation images on which the inputs of the sigmoids are watched: a median is off by a point of rank
COMPILE_FROM = 20_000  # steps from which compiling pays for itself; a shorter training is eager
_CHUNK = 1_000  # images at once in an evaluation: for each replica, 3 MB of floats


@dataclass(frozen=True)
class Setting:
    """What one network is trained with; a run is a setting and a seed."""

    network: str  # "plain" or "bn"
    dataset: str
    steps: int
    every: int  # steps between two evaluations
    batch: int
    learning_rate: float
    weight_std: float


Pair = tuple[Setting, int]


class Trainer:
    """Trains the replicas of one network together, step by step, with everything needed to stop and go on.

    A replica is a (setting, seed); only the rate, the initial weights and the seed may differ among them. Plain SGD on
    mini-batches of `setting.batch` images, each replica at a rate of its own that stays what it is (section 4.1), on
    the device "cpu" or "cuda".
    """

    def __init__(self, replicas: list[Pair], data: Data, device: str = "cpu") -> None:
        settings, self.seeds = zip(*replicas, strict=True)
        self.setting, self.device = settings[0], device
        self.train, self.validation, self.test = (
            Split(s.x.to(device), s.y.to(device)) for s in (data.train, data.validation, data.test)
        )
        stds = tuple(setting.weight_std for setting in settings)
        self.net = SigmoidMLP(self.setting.network == "bn", self.seeds, stds).to(device)
        self.rates = torch.tensor([setting.learning_rate for setting in settings], device=device)
        # The rate is a factor of each replica's loss, so one optimizer with rate 1 serves them all.
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=1.0)
        self.step, self.seconds, self.log = 0, 0.0, []
        self._epoch, self._order = -1, None
        self.compiled = self.setting.steps >= COMPILE_FROM and self._compiles()
        self._loss = torch.compile(self._scaled_loss) if self.compiled else self._scaled_loss

    def _compiles(self) -> bool:
        """Whether torch.compile works here: on a CPU it needs a C++ compiler and Python's headers."""
        before = copy.deepcopy(self.net.state_dict())
        try:
            i = self.batch(0)
            torch.compile(self._scaled_loss)(self.train.x[i], self.train.y[i]).backward()
        except Exception as error:
            print(f"torch.compile does not work here ({type(error).__name__}): training eagerly, slower.")
            return False
        self.net.load_state_dict(before)
        return True

    def _scaled_loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        logits, _ = self.net(x.float())
        losses = cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(y.shape).mean(1)
        return (self.rates * losses).sum()

    def batch(self, step: int) -> torch.Tensor:
        """Indices (R, batch) of a step: each seed shuffles each epoch in its own way, whatever its network."""
        per_epoch = len(self.train.y) // self.setting.batch
        epoch, k = divmod(step, per_epoch)
        if epoch != self._epoch:
            orders = {seed: _shuffled(len(self.train.y), seed, epoch) for seed in set(self.seeds)}
            self._epoch, self._order = epoch, torch.stack([orders[seed] for seed in self.seeds])
        return self._order[:, k * self.setting.batch : (k + 1) * self.setting.batch].to(self.device)

    def advance(self) -> None:
        """One SGD step for every replica."""
        i = self.batch(self.step)
        x = self.train.x.index_select(0, i.flatten()).view(*i.shape, -1)
        self.optimizer.zero_grad()
        self._loss(x, self.train.y[i]).backward()
        self.optimizer.step()
        self.step += 1

    def run(self, after_evaluation: Callable[["Trainer"], None]) -> None:
        """Train to the last step from wherever the trainer stands, calling back after each evaluation."""
        if not self.log:
            self._evaluate(after_evaluation)
        while self.step < self.setting.steps:
            start = time.perf_counter()
            self.advance()
            self.seconds += time.perf_counter() - start
            if self.step % self.setting.every == 0 or self.step == self.setting.steps:
                self._evaluate(after_evaluation)

    def _evaluate(self, after: Callable[["Trainer"], None]) -> None:
        self.log.append({"steps": np.full(len(self.seeds), self.step)} | self.measure())
        after(self)

    @torch.no_grad()
    def measure(self) -> dict[str, np.ndarray]:
        """Accuracies (R,) and, on the probe images, statistics of each last-layer sigmoid's input (R, …, 100)."""
        self.net.eval()
        _, h = self._forward(self.validation.x[:PROBE])
        q = (torch.tensor(PERCENTILES, device=self.device) / 100).to(h.dtype)
        measured = {
            "validation": self._accuracy(self.validation),
            "test": self._accuracy(self.test),
            "percentiles": torch.quantile(h, q, dim=1).transpose(0, 1),
            "pooled": torch.stack([torch.quantile(replica, q) for replica in h]),
            "mean": h.mean(1),
            "std": h.std(1, correction=0),
            "finite": torch.stack([p.isfinite().flatten(1).all(1) for p in self.net.parameters()]).all(0),
        }
        self.net.train()
        return {name: value.cpu().numpy() for name, value in measured.items()}

    def _forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.net(x.float().expand(len(self.seeds), -1, -1))

    def _accuracy(self, split: Split) -> torch.Tensor:
        chunks = zip(split.x.split(_CHUNK), split.y.split(_CHUNK), strict=True)
        right = sum((self._forward(x)[0].argmax(2) == y).sum(1) for x, y in chunks)
        return right / len(split.y)

    @torch.no_grad()
    def population_accuracy(self) -> np.ndarray:
        """Test accuracy (R,) with Algorithm 2's statistics: plain averages over one epoch of mini-batches."""
        trained, self.net = self.net, copy.deepcopy(self.net)
        for k in range(len(self.train.y) // self.setting.batch):
            for norm in self.net.norms:
                norm.momentum = 1 / (k + 1)  # the average of all mini-batches so far
            self.net(self.train.x[self.batch(k)].float())
        self.net.eval()
        accuracy = self._accuracy(self.test).cpu().numpy()
        self.net = trained
        return accuracy

    def state(self) -> dict:
        """Everything that a killed run needs to end with the same bytes (SGD itself has no state)."""
        return {"step": self.step, "seconds": self.seconds, "net": self.net.state_dict(), "log": self.log}

    def restore(self, state: dict) -> None:
        """Go on from `state()` of an earlier trainer of the same group."""
        self.net.load_state_dict(state["net"])
        self.step, self.seconds, self.log = state["step"], state["seconds"], state["log"]

    def curves(self, replica: int) -> dict[str, np.ndarray]:
        """All that was measured of one replica on the way, evaluations first: arrays (E,), (E, 5, 100), …"""
        return {name: np.stack([entry[name][replica] for entry in self.log]) for name in self.log[0]}


def _shuffled(n: int, seed: int, epoch: int) -> torch.Tensor:
    """A permutation that depends on nothing but its arguments, so that a resumed run needs no generator."""
    entropy = np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0]
    return torch.randperm(n, generator=torch.Generator().manual_seed(int(entropy >> np.uint64(1))))
