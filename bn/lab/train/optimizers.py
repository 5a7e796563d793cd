"""The optimizers of the networks of section 4.1: a step each, and the state that goes into a checkpoint.

Plain SGD is the hand-written step of `bn.lab.train.sgd`. All others are torch's, with the gradient by autograd.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bn.lab.train.mlp import SigmoidMLP

TORCHS: Mapping[str, Callable] = {
    "momentum": partial(torch.optim.SGD, momentum=0.9, fused=True),
    "adagrad": torch.optim.Adagrad,  # its fused step is for CPUs alone
    "adam": partial(torch.optim.Adam, fused=True),
}
OPTIMIZERS = ("sgd", *TORCHS)


class TorchStep:
    """Steps of one of torch's optimizers for the R replicas of a network, all at one rate.

    Each of them works number by number, so that replicas do not meet.
    """

    def __init__(self, name: str, net: SigmoidMLP, rate: float) -> None:
        self.net = net
        self.optimizer = TORCHS[name](net.parameters(), lr=rate)

    def __call__(self, x: Tensor, y: Tensor) -> None:
        """One step, in place, on images (R, m, 784) and labels (R, m)."""
        logits, _ = self.net(x.to(self.net.weights[0].dtype))
        loss = cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") / y.shape[1]  # of each its own mean
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def state(self, k: int) -> dict:
        """What the optimizer keeps of one replica: by the parameter's number and by name, tensors with R = 1."""
        kept = self.optimizer.state_dict()["state"]
        return {i: {name: t[k : k + 1] if t.dim() else t for name, t in of.items()} for i, of in kept.items()}

    def restore(self, states: list[dict]) -> None:
        """Go on from the `state` of each replica; all had come to the same step."""
        joined = {i: {name: _joined([s[i][name] for s in states]) for name in of} for i, of in states[0].items()}
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": joined})


def _joined(of_replicas: list[Tensor]) -> Tensor:
    """Tensors of replicas as one; a count of steps is the same for all."""
    return torch.cat(of_replicas) if of_replicas[0].dim() else of_replicas[0].clone()
