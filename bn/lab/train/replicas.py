"""The training loop of section 4.1: all replicas at once, measured on the way, resumable."""

import copy
import time
from collections.abc import Callable

import numpy as np
import torch

from bn.lab.data.splits import Data, Split
from bn.lab.train import sgd
from bn.lab.train.mlp import MOMENTA, Network, SigmoidMLP
from bn.lab.train.optimizers import TorchStep
from bn.lab.train.settings import Setting

PERCENTILES = tuple(range(1, 100))
POOLED = (15, 50, 85)  # the paper's, of all units together
PROBE = 2_000  # validation images on which the inputs of the sigmoids are watched: a median is off by a point of rank
LOOKS = (0.02, 0.04, *(k / 10 for k in range(1, 11)))  # of the training: when the population's statistics are looked at
COMPILE_FROM = 20_000  # steps from which compiling pays for itself; a shorter training is eager
_CHUNK = 1_000  # images at once in an evaluation: for each replica, 3 MB of floats


Callback = Callable[[], None]


class Trainer:
    """Trains the replicas of one network together, step by step, with everything needed to stop and go on.

    A replica is a (setting, seed); only what `alike` leaves out and the seed may differ among them. Mini-batches are of
    `setting.batch` images; each replica's rate stays what it is (section 4.1). `device` is "cpu" or "cuda".
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
        self.step, self.seconds, self.log = 0, 0.0, {}
        self._epoch, self._order = -1, None
        self._by_hand = self.setting.optimizer == "sgd"
        self._networks = self._views(self.net) if self._by_hand else []
        self._torchs = [] if self._by_hand else self._torch_steps()
        self._looks = _looks(self.setting)
        self.compiled = self._by_hand and self.setting.steps >= COMPILE_FROM and self._compiles()

    @property
    def _apart(self) -> bool:
        """Whether one replica is stepped after the other, as on a CPU, so that none depends on its company."""
        return self.device.type == "cpu"

    def _views(self, net: SigmoidMLP) -> list[Network]:
        """What is stepped at once."""
        return [net.replica(k) for k in range(len(self.seeds))] if self._apart else [net.tensors()]

    def _torch_steps(self) -> list[TorchStep]:
        """The same of one of torch's optimizers."""
        nets = [self.net.alone(k) for k in range(len(self.seeds))] if self._apart else [self.net]
        rates = self.rates.tolist()
        return [TorchStep(self.setting.optimizer, net, rate) for net, rate in zip(nets, rates, strict=False)]

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
        """One step for every replica."""
        if self._by_hand:
            self._step(self._networks, sgd.compiled() if self.compiled else sgd.descents)
        else:
            self._torch_step()
        self.step += 1

    def _torch_step(self) -> None:
        i = self.batch(self.step)
        for step, of_nets in zip(self._torchs, i.split(len(i) // len(self._torchs)), strict=True):
            step(self._images(of_nets), self.train.y[of_nets])

    def _images(self, i: torch.Tensor) -> torch.Tensor:
        """The training images of indices (…, m), (…, m, 784)."""
        return self.train.x.index_select(0, i.flatten()).view(*i.shape, -1)

    def _step(self, networks: list[Network], descents: sgd.Descents) -> None:
        i = self.batch(self.step)
        batches, rates = (i, self.rates) if self._apart else ([i], [self.rates[:, None, None]])
        for net, of_net, rate in zip(networks, batches, rates, strict=True):
            sgd.step(net, self._images(of_net), self.train.y[of_net], rate, descents)

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
        measured = {"steps": np.full(len(self.seeds), self.step)} | self.measure()
        if self.step in self._looks:
            measured |= self.look()
        for name, value in measured.items():
            self.log.setdefault(name, []).append(value)
        after()

    @torch.no_grad()
    def measure(self) -> dict[str, np.ndarray]:
        """Accuracies (R,) by moving averages and, where the network is studied, the last hidden layer's inputs."""
        self.net.eval()
        measured = {
            "validation": self._accuracy(self.validation),
            "test": self._accuracy(self.test),
            "finite": torch.stack([p.isfinite().flatten(1).all(1) for p in self.net.parameters()]).all(0),
        }
        self.net.train()
        if self.setting.studied:
            measured |= self._distributions(self._inputs())
        return {name: value.cpu().numpy() for name, value in measured.items()}

    def _inputs(self) -> torch.Tensor:
        """Inputs (R, n, 100) of the last hidden sigmoids on the probe images, in training mode.

        Section 4.1 studies the network that is trained: with BN the inputs are normalized within mini-batches, always
        the same ones. No moving average moves.
        """
        net, probe = copy.deepcopy(self.net), self.validation.x[:PROBE]
        m = min(self.setting.batch, len(probe))
        whole = probe[: len(probe) // m * m]
        return torch.cat([self._forward(x, net)[1] for x in whole.split(m)], dim=1)

    def _distributions(self, h: torch.Tensor) -> dict[str, torch.Tensor]:
        """Of inputs (R, n, 100): `percentiles` (R, 99, 100), `pooled` (R, 3), `mean` and `std` (R, 100)."""
        q, pooled = (torch.tensor(p, device=self.device, dtype=h.dtype) / 100 for p in (PERCENTILES, POOLED))
        return {
            "percentiles": torch.quantile(h, q, dim=1).transpose(0, 1),
            "pooled": torch.stack([torch.quantile(replica, pooled) for replica in h]),
            "mean": h.mean(1),
            "std": h.std(1, correction=0),
        }

    @torch.no_grad()
    def look(self) -> dict[str, np.ndarray]:
        """Test accuracy by the statistics of the `population` (R,) and by `moving` averages of each momentum (R, K)."""
        self.net.eval()
        moving = [self._accuracy(self.test, average) for average in range(len(MOMENTA))]
        self.net.train()
        return {
            "look_steps": np.full(len(self.seeds), self.step),
            "population": self.population_accuracy(),
            "moving": torch.stack(moving, dim=1).cpu().numpy(),
        }

    def _forward(self, x: torch.Tensor, net: SigmoidMLP) -> tuple[torch.Tensor, torch.Tensor]:
        return net(x.float().expand(len(self.seeds), -1, -1))

    def _accuracy(self, split: Split, average: int = 0) -> torch.Tensor:
        for norm in self.net.norms:
            norm.average = average
        chunks = zip(split.x.split(_CHUNK), split.y.split(_CHUNK), strict=True)
        right = sum((self._forward(x, self.net)[0].argmax(2) == y).sum(1) for x, y in chunks)
        return right / len(split.y)

    @torch.no_grad()
    def population_accuracy(self) -> np.ndarray:
        """Test accuracy (R,) of BN with Algorithm 2's statistics: plain averages over one epoch of mini-batches."""
        trained, self.net = self.net, copy.deepcopy(self.net)
        for k in range(len(self.train.y) // self.setting.batch):
            for norm in self.net.norms:
                norm.momenta.fill_(1 / (k + 1))  # the average of all mini-batches so far
            self.net(self.train.x[self.batch(k)].float())
        self.net.eval()
        accuracy = self._accuracy(self.test).cpu().numpy()
        self.net = trained
        return accuracy

    def finite(self) -> bool:
        """A network that diverged is as good to go on with as any other."""
        return True

    def state(self, k: int) -> dict:
        """Everything that one replica needs to end with the same bytes after a kill (plain SGD has no state)."""
        net = {name: value[k] for name, value in self.net.state_dict().items()}
        log = {name: torch.from_numpy(curve) for name, curve in self.curves(k).items()}
        return {"step": self.step, "seconds": self.seconds, "net": net, "log": log, "optimizer": self._torch_state(k)}

    def _torch_state(self, k: int) -> dict:
        """What one of torch's optimizers keeps of a replica."""
        if self._by_hand:
            return {}
        return self._torchs[k].state(0) if self._apart else self._torchs[0].state(k)

    def restore(self, states: list[dict]) -> None:
        """Go on from a `state` of each replica, wherever they were trained before; all had come to the same step."""
        self.net.load_state_dict({name: torch.stack([s["net"][name] for s in states]) for name in states[0]["net"]})
        curves = {name: np.stack([s["log"][name].numpy() for s in states], axis=1) for name in states[0]["log"]}
        self.log = {name: list(curve) for name, curve in curves.items()}
        self.step, self.seconds = states[0]["step"], max(s["seconds"] for s in states)
        for k, step in enumerate(self._torchs):
            step.restore([s["optimizer"] for s in (states[k : k + 1] if self._apart else states)])

    def curves(self, k: int) -> dict[str, np.ndarray]:
        """All that was measured of one replica on the way, evaluations first: arrays (E,), (E, 99, 100), …"""
        return {name: np.stack([entry[k] for entry in entries]) for name, entries in self.log.items()}

    def results(self, k: int) -> dict[str, np.ndarray]:
        """What is kept of a finished run, evaluations first.

        - `steps` (E,), `validation` and `test` accuracy (E,) in shares; `finite` (E,): whether all weights were.
        - Where it is studied, of the last hidden layer's inputs in training mode: `percentiles` (E, 99, 100), `pooled`
          (E, 3), `mean` and `std` (E, 100).
        - With BN, at each of LOOKS: `look_steps` (L,), test accuracy by Algorithm 2's statistics, `population` (L,),
          and by moving averages of MOMENTA, `moving` (L, K).
        """
        return self.curves(k)

    def about(self, k: int) -> dict:
        """Nothing is kept beside what is kept of every run."""
        return {}


def _looks(setting: Setting) -> set[int]:
    """The steps at which the statistics of the population are looked at: evaluations, none of a plain network."""
    if not setting.studied or setting.network == "plain":
        return set()
    evaluations = (max(1, round(part * setting.steps / setting.every)) for part in LOOKS)
    return {min(setting.steps, setting.every * evaluation) for evaluation in evaluations}


def _shuffled(n: int, seed: int, epoch: int) -> torch.Tensor:
    """A permutation that depends on nothing but its arguments, so that a resumed run needs no generator."""
    entropy = np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0]
    return torch.randperm(n, generator=torch.Generator().manual_seed(int(entropy >> np.uint64(1))))
