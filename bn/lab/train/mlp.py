"""The networks of section 4.1, with a leading replica axis: many seeds train as one.

`Network` holds the tensors of one of them, or of all: what is written here works with the leading axis and without.
"""

import copy
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

FEATURES, CLASSES, HIDDEN = 784, 10, (100, 100, 100)  # section 4.1: 28×28 pixels, ten digits, three hidden layers
EPS = 1e-5
MOMENTA = (0.1, 0.01)  # of the moving averages, kept side by side; accuracies are measured by the first


class Norm(NamedTuple):
    """The tensors of a batch normalization: γ and β (…, 1, d), moving averages (…, K, d), their momenta (…, K, 1)."""

    gamma: Tensor
    beta: Tensor
    running_mean: Tensor
    running_var: Tensor
    momenta: Tensor


class Network(NamedTuple):
    """The tensors of a network: weights (…, out, in), biases (…, 1, out); without BN there are no `norms`."""

    weights: list[Tensor]
    biases: list[Tensor]
    norms: list[Norm]


def normalize(norm: Norm, x: Tensor, eps: float = EPS) -> tuple[Tensor, Tensor, Tensor]:
    """Algorithm 1 over a mini-batch (…, m, d), a line for each equation; moves the moving averages.

    The output, and what its gradient needs: x̂, and 1 / √(σ²_B + ε).
    """
    m = x.shape[-2]
    mu_B = x.mean(-2, keepdim=True)
    sigma2_B = (x - mu_B).square().mean(-2, keepdim=True)
    scale = torch.rsqrt(sigma2_B + eps)
    x_hat = (x - mu_B) * scale
    norm.running_mean.lerp_(mu_B.detach(), norm.momenta)
    norm.running_var.lerp_(sigma2_B.detach() * (m / (m - 1)), norm.momenta)  # unbiased, section 3.1
    return norm.gamma * x_hat + norm.beta, x_hat, scale


class ReplicatedBatchNorm(nn.Module):
    """R independent batch normalizations over inputs of shape (R, m, d).

    It equals R layers `bn.BatchNorm1d(d)` side by side. In evaluation mode it uses moving averages, as section 3.1
    does to track accuracy: those of momentum MOMENTA[`average`].
    """

    def __init__(self, replicas: int, features: int, eps: float = EPS) -> None:
        super().__init__()
        R, K, d = replicas, len(MOMENTA), features
        self.eps, self.average = eps, 0
        self.gamma = nn.Parameter(torch.ones(R, 1, d))
        self.beta = nn.Parameter(torch.zeros(R, 1, d))
        self.register_buffer("running_mean", torch.zeros(R, K, d))
        self.register_buffer("running_var", torch.ones(R, K, d))
        self.register_buffer("momenta", torch.tensor(MOMENTA)[:, None].repeat(R, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (R, m, d) to outputs of the same shape."""
        if self.training:
            return normalize(self, x, self.eps)[0]
        mean, var = (t[:, self.average, None] for t in (self.running_mean, self.running_var))
        x_hat = (x - mean) * torch.rsqrt(var + self.eps)
        return self.gamma * x_hat + self.beta


class SigmoidMLP(nn.Module):
    """The network of section 4.1: 784 → 100 → 100 → 100 → 10, sigmoids, one copy for each seed.

    `weight_stds` and `seeds` have one entry a replica. A seed draws the same Gaussian weights, up to their
    standard deviation, with and without batch normalization. With it, the hidden layers have no bias, which
    β replaces (section 3.2).
    """

    def __init__(self, batch_norm: bool, seeds: tuple[int, ...], weight_stds: tuple[float, ...]) -> None:
        super().__init__()
        R, widths = len(seeds), (FEATURES, *HIDDEN, CLASSES)
        draws = [_gaussian_weights(widths, seed, std) for seed, std in zip(seeds, weight_stds, strict=True)]
        self.weights = nn.ParameterList(torch.stack(layer) for layer in zip(*draws, strict=True))
        biased = widths[-1:] if batch_norm else widths[1:]
        self.biases = nn.ParameterList(torch.zeros(R, 1, d) for d in biased)
        self.norms = nn.ModuleList(ReplicatedBatchNorm(R, d) for d in HIDDEN if batch_norm)

    def hidden_input(self, layer: int, u: Tensor) -> Tensor:
        """The input of the sigmoids of one hidden layer: BN(W u), or W u + b in the plain network."""
        if self.norms:
            return self.norms[layer](u @ self.weights[layer].mT)
        return torch.baddbmm(self.biases[layer], u, self.weights[layer].mT)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (R, m, 784) to the logits (R, m, 10) and the input (R, m, 100) of the last hidden sigmoids."""
        for layer in range(len(HIDDEN)):
            last_input = self.hidden_input(layer, x)
            x = torch.sigmoid(last_input)
        return torch.baddbmm(self.biases[-1], x, self.weights[-1].mT), last_input

    def tensors(self) -> Network:
        """Those of all replicas, the very same memory."""
        norms = [Norm(*(getattr(norm, name).detach() for name in Norm._fields)) for norm in self.norms]
        return Network([w.detach() for w in self.weights], [b.detach() for b in self.biases], norms)

    def replica(self, k: int) -> Network:
        """Those of one replica, without the leading axis, the very same memory."""
        weights, biases, norms = self.tensors()
        return Network([w[k] for w in weights], [b[k] for b in biases], [Norm(*(t[k] for t in norm)) for norm in norms])

    def alone(self, k: int) -> "SigmoidMLP":
        """One replica as a network of its own (R = 1), the very same memory."""
        net = copy.deepcopy(self)
        for own, shared in zip((*net.parameters(), *net.buffers()), (*self.parameters(), *self.buffers()), strict=True):
            own.data = shared.data[k : k + 1]
        return net


def _gaussian_weights(widths: tuple[int, ...], seed: int, std: float) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [(std * torch.randn(shape, generator=generator)).mT.contiguous() for shape in pairwise(widths)]
