"""The training loop of small networks on handwritten digits, of any kind: a chapter builds them and measures them.

A chapter subclasses `Small` with the fields that it needs and names in `study` a module of its own, which has

    network(setting) -> nn.Module                   images (m, 784), 0 or 1 in float32, to logits (m, 10)
    measure(trainer) -> dict[str, np.ndarray]       optional: what is measured at each evaluation beside accuracies

Both draw from torch's generator as they like: it is seeded before. A run is valid for the code of that module too.
"""

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bn.lab.data.splits import Data, Split

_CHUNK = 1_000  # images at once in an evaluation
_BUILD, _STEP, _MEASURE = range(3)  # what is drawn: none of them depends on how much another draws

Callback = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Small:
    """What one small network is trained with: plain SGD with momentum, at one rate; with a seed it is a run.

    - `network`: its name; what it is, the `study` decides.
    - `every`: steps between two evaluations; `steps` 0 trains nothing and measures the first weights.
    - `weight_decay`: λ of λ/2 ‖w‖², over weights and not over biases, γ and β.
    - `examples`: how many of the training images it sees, spread evenly over them, 0 for all.
    - `watched`: of how many validation and test images the accuracies are, 0 for all.
    """

    study: str
    network: str
    dataset: str
    steps: int
    every: int
    batch: int
    learning_rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    examples: int = 0
    watched: int = 0

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.study.split('.')[-2]}-{self.network}"


class Trainer:
    """Trains one network, step by step, with everything needed to stop and go on. `device` is "cpu" or "cuda"."""

    compiled = False

    def __init__(self, setting: Small, seed: int, data: Data, device: str = "cpu") -> None:
        self.setting, self.seed, self.device = setting, seed, torch.device(device)
        self.train = _on(data.train.spread(setting.examples), device)
        self.validation, self.test = (_on(s.spread(setting.watched), device) for s in (data.validation, data.test))
        self.study: ModuleType = importlib.import_module(setting.study)
        with self._drawing(_BUILD, 0):
            self.net: nn.Module = self.study.network(setting).to(device)
        weights = [p for p in self.net.parameters() if p.dim() > 1]
        others = [p for p in self.net.parameters() if p.dim() <= 1]
        groups = [{"params": weights, "weight_decay": setting.weight_decay}, {"params": others}]
        self.optimizer = torch.optim.SGD(groups, lr=setting.learning_rate, momentum=setting.momentum)
        self.step, self.seconds, self.log = 0, 0.0, {}
        self._epoch, self._order = -1, None

    def _drawing(self, purpose: int, step: int):
        """Torch's generator, seeded by what is drawn and when: a resumed run needs no state of it, and no other run."""
        return _seeded(_mixed(self.seed, purpose, step), self.device)

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (m, 784) float32 and labels (m,) of a step: each seed shuffles each epoch, whatever its network."""
        m = min(self.setting.batch, len(self.train.y))
        epoch, k = divmod(step, len(self.train.y) // m)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(_mixed(self.seed, epoch))
            self._epoch = epoch
            self._order = torch.randperm(len(self.train.y), generator=generator).to(self.device)
        i = self._order[k * m : (k + 1) * m]
        return self.train.x[i].float(), self.train.y[i]

    def advance(self) -> None:
        """One step."""
        x, y = self.batch(self.step)
        with self._drawing(_STEP, self.step):
            loss = cross_entropy(self.net(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        self.step += 1

    def run(self, after_evaluation: Callback = lambda: None, after_step: Callback = lambda: None) -> None:
        """Train to the last step from wherever it stands, calling back after each evaluation or other step.

        A network that diverged is not trained on: no step brings it back. It is evaluated as it is.
        """
        if not self.log:
            self._evaluate(after_evaluation)
        lost = not self.finite()
        while self.step < self.setting.steps:
            begun = time.perf_counter()
            if lost:
                self.step += 1
            else:
                self.advance()
            self.seconds += time.perf_counter() - begun
            if self.step % self.setting.every == 0 or self.step == self.setting.steps:
                lost = lost or not self.finite()
                self._evaluate(after_evaluation)
            else:
                after_step()

    def _evaluate(self, after: Callback) -> None:
        measured = {"steps": self.step, "finite": self.finite()}
        for name in ("validation", "test"):
            measured[name], measured[f"{name}_loss"] = self.accuracy(getattr(self, name))
        if hasattr(self.study, "measure"):
            with self._drawing(_MEASURE, self.step):
                measured |= self.study.measure(self)
        self.net.train()
        for name, value in measured.items():
            self.log.setdefault(name, []).append(np.asarray(value))
        after()

    @torch.no_grad()
    def accuracy(self, split: Split) -> tuple[float, float]:
        """Accuracy in shares and mean loss in nats on a part of the data, by moving averages; leaves training mode."""
        self.net.eval()
        logits = torch.cat([self.net(x.float()) for x in split.x.split(_CHUNK)])
        right = (logits.argmax(1) == split.y).float().mean()
        return right.item(), cross_entropy(logits, split.y).item()

    def finite(self) -> bool:
        """Whether all weights are."""
        return all(p.isfinite().all() for p in self.net.parameters())

    def state(self, k: int = 0) -> dict:
        """Everything that a killed run needs to end with the same bytes."""
        log = {name: torch.from_numpy(curve) for name, curve in self.curves().items()}
        kept = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), "log": log}
        return {"step": self.step, "seconds": self.seconds, **kept}

    def restore(self, states: list[dict]) -> None:
        """Go on from its state."""
        (state,) = states
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.log = {name: list(curve.numpy()) for name, curve in state["log"].items()}
        self.step, self.seconds = state["step"], state["seconds"]

    def curves(self) -> dict[str, np.ndarray]:
        """All that was measured on the way, evaluations first."""
        return {name: np.stack(values) for name, values in self.log.items()}

    def results(self, k: int = 0) -> dict[str, np.ndarray]:
        """What is kept of a finished run, evaluations first.

        `steps` (E,), `finite` (E,), accuracies `validation` and `test` (E,) in shares, `validation_loss` and
        `test_loss` (E,) in nats, and what the study measures.
        """
        return self.curves()

    def about(self, k: int = 0) -> dict:
        """Nothing is kept beside what is kept of every run."""
        return {}


class _seeded:
    """Torch's generators seeded for a while, and then as they were."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.seed, self.device = seed, device

    def __enter__(self) -> None:
        devices = [self.device] if self.device.type == "cuda" else []
        self.fork = torch.random.fork_rng(devices)
        self.fork.__enter__()
        torch.manual_seed(self.seed)

    def __exit__(self, *of_error: object) -> None:
        self.fork.__exit__(*of_error)


def _mixed(*numbers: int) -> int:
    """A seed for torch from several numbers, none of whose sequences overlap."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _on(split: Split, device: str) -> Split:
    return Split(split.x.to(device), split.y.to(device))
