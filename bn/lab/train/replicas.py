"""The training loop of section 4.1: plain SGD, all replicas at once, measured on the way, resumable."""

import copy
import time
from collections.abc import Callable

import numpy as np
import torch

from bn.lab.data.splits import Data, Split
from bn.lab.train import sgd
from bn.lab.train.mlp import Network, SigmoidMLP
from bn.lab.train.settings import Setting

PERCENTILES = (15, 25, 50, 75, 85)
PROBE = 2_000  # validation images on which the inputs of the sigmoids are watched: a median is off by a point of rank
COMPILE_FROM = 20_000  # steps from which compiling pays for itself; a shorter training is eager
_CHUNK = 1_000  # images at once in an evaluation: for each replica, 3 MB of floats


Callback = Callable[[], None]


class Trainer:
    """Trains the replicas of one network together, step by step, with everything needed to stop and go on.

    A replica is a (setting, seed); only the rate, the initial weights and the seed may differ among them. Plain SGD on
    mini-batches of `setting.batch` images, each replica at a rate of its own that stays what it is (section 4.1), on
    the device "cpu" or "cuda".
    """

    def __init__(self, replicas: list[tuple[Setting, int]], data: Data, device: str = "cpu") -> None:
        settings, self.seeds = zip(*replicas, strict=True)
        self.setting, self.device = settings[0], torch.device(device)
        self.train, self.validation, self.test = (
            Split(s.x.to(device), s.y.to(device)) for s in (data.train, data.validation, data.test)
        )
        stds = tuple(setting.weight_std for setting in settings)
        self.net = SigmoidMLP(self.setting.network == "bn", self.seeds, stds).to(device)
        self.rates = torch.tensor([setting.learning_rate for setting in settings], device=self.device)
        self.step, self.seconds, self.log, self._population = 0, 0.0, {}, {}
        self._epoch, self._order = -1, None
        self._networks = self._views(self.net)
        self.compiled = self.setting.steps >= COMPILE_FROM and self._compiles()

    def _views(self, net: SigmoidMLP) -> list[Network]:
        """What is stepped at once: on a CPU one replica after the other, so that none depends on its company."""
        return [net.tensors()] if self.device.type == "cuda" else [net.replica(k) for k in range(len(self.seeds))]

    def _compiles(self) -> bool:
        """Whether torch.compile works here: on a CPU it needs a C++ compiler and Python's headers."""
        try:
            self._step(self._views(copy.deepcopy(self.net)), sgd.compiled())
        except Exception as error:
            print(f"torch.compile does not work here ({type(error).__name__}): training eagerly, slower.")
            return False
        return True

    def batch(self, step: int) -> torch.Tensor:
        """Indices (R, batch) of a step: each seed shuffles each epoch in its own way, whatever its network."""
        per_epoch = len(self.train.y) // self.setting.batch
        epoch, k = divmod(step, per_epoch)
        if epoch != self._epoch:
            orders = {seed: _shuffled(len(self.train.y), seed, epoch) for seed in set(self.seeds)}
            # The order of a whole epoch at once: a copy to a GPU in every step would have to be waited for.
            self._epoch, self._order = epoch, torch.stack([orders[seed] for seed in self.seeds]).to(self.device)
        return self._order[:, k * self.setting.batch : (k + 1) * self.setting.batch]

    def advance(self) -> None:
        """One SGD step for every replica."""
        self._step(self._networks, sgd.compiled() if self.compiled else sgd.descents)
        self.step += 1

    def _step(self, networks: list[Network], descents: sgd.Descents) -> None:
        i = self.batch(self.step)
        together = self.device.type == "cuda"
        batches, rates = ([i], [self.rates[:, None, None]]) if together else (i, self.rates)
        for net, of_net, rate in zip(networks, batches, rates, strict=True):
            x = self.train.x.index_select(0, of_net.flatten()).view(*of_net.shape, -1)
            sgd.step(net, x, self.train.y[of_net], rate, descents)

    def run(self, after_evaluation: Callback = lambda: None, after_step: Callback = lambda: None) -> None:
        """Train to the last step from wherever the trainer stands, calling back after each evaluation or other step."""
        if not self.log:
            self._evaluate(after_evaluation)
        while self.step < self.setting.steps:
            start = time.perf_counter()
            self.advance()
            due = self.step % self.setting.every == 0 or self.step == self.setting.steps
            if due and self.device.type == "cuda":
                torch.cuda.synchronize(self.device)  # what it still has to do is training
            self.seconds += time.perf_counter() - start
            if due:
                self._evaluate(after_evaluation)
            else:  # who goes on from a step at which an evaluation is due would leave it out
                after_step()

    def _evaluate(self, after: Callback) -> None:
        for name, value in ({"steps": np.full(len(self.seeds), self.step)} | self.measure()).items():
            self.log.setdefault(name, []).append(value)
        after()

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
        if not self.net.norms:
            return self.measure()["test"]  # there are no statistics
        trained, self.net = self.net, copy.deepcopy(self.net)
        for k in range(len(self.train.y) // self.setting.batch):
            for norm in self.net.norms:
                norm.momentum = 1 / (k + 1)  # the average of all mini-batches so far
            self.net(self.train.x[self.batch(k)].float())
        self.net.eval()
        accuracy = self._accuracy(self.test).cpu().numpy()
        self.net = trained
        return accuracy

    def finite(self) -> bool:
        """A network that diverged is as good to go on with as any other."""
        return True

    def state(self, k: int) -> dict:
        """Everything that one replica needs to end with the same bytes after a kill (SGD itself has no state)."""
        net = {name: value[k] for name, value in self.net.state_dict().items()}
        log = {name: torch.from_numpy(curve) for name, curve in self.curves(k).items()}
        return {"step": self.step, "seconds": self.seconds, "net": net, "log": log}

    def restore(self, states: list[dict]) -> None:
        """Go on from a `state` of each replica, wherever they were trained before; all had come to the same step."""
        self.net.load_state_dict({name: torch.stack([s["net"][name] for s in states]) for name in states[0]["net"]})
        curves = {name: np.stack([s["log"][name].numpy() for s in states], axis=1) for name in states[0]["log"]}
        self.log = {name: list(curve) for name, curve in curves.items()}
        self.step, self.seconds = states[0]["step"], max(s["seconds"] for s in states)

    def curves(self, k: int) -> dict[str, np.ndarray]:
        """All that was measured of one replica on the way, evaluations first: arrays (E,), (E, 5, 100), …"""
        return {name: np.stack([entry[k] for entry in entries]) for name, entries in self.log.items()}

    def results(self, k: int) -> dict[str, np.ndarray]:
        """What is kept of a finished run, evaluations first.

        - `steps` (E,), `validation` and `test` accuracy (E,) in shares.
        - Of the last layer's inputs: `percentiles` (E, 5, 100), `pooled` (E, 5), `mean` and `std` (E, 100).
        - `finite` (E,): whether all weights were; `population` (): final test accuracy with Algorithm 2's statistics.
        """
        if self.step not in self._population:  # once for all replicas: it is an epoch
            self._population = {self.step: self.population_accuracy()}
        return self.curves(k) | {"population": self._population[self.step][k]}

    def about(self, k: int) -> dict:
        """Nothing is kept beside what is kept of every run."""
        return {}


def _shuffled(n: int, seed: int, epoch: int) -> torch.Tensor:
    """A permutation that depends on nothing but its arguments, so that a resumed run needs no generator."""
    entropy = np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0]
    return torch.randperm(n, generator=torch.Generator().manual_seed(int(entropy >> np.uint64(1))))
