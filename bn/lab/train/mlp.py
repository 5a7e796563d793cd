"""The networks of section 4.1, with a leading replica axis: many seeds train as one."""

from itertools import pairwise

import torch
from torch import Tensor, nn

FEATURES, CLASSES, HIDDEN = 784, 10, (100, 100, 100)  # section 4.1: 28×28 pixels, ten digits, three hidden layers


class ReplicatedBatchNorm(nn.Module):
    """R independent batch normalizations over inputs of shape (R, m, d): Algorithm 1, one line for each equation.

    It equals R layers `bn.BatchNorm1d(d)` side by side; written along the replica axis, torch.compile fuses it
    with its neighbours. In evaluation mode it uses moving averages, as section 3.1 does to track accuracy.
    """

    def __init__(self, replicas: int, features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        shape = (replicas, 1, features)
        self.eps, self.momentum = eps, momentum
        self.gamma = nn.Parameter(torch.ones(shape))
        self.beta = nn.Parameter(torch.zeros(shape))
        self.register_buffer("running_mean", torch.zeros(shape))
        self.register_buffer("running_var", torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (R, m, d) to outputs of the same shape."""
        if not self.training:
            x_hat = (x - self.running_mean) * torch.rsqrt(self.running_var + self.eps)
            return self.gamma * x_hat + self.beta
        m = x.shape[1]
        mu_B = x.mean(1, keepdim=True)
        sigma2_B = (x - mu_B).square().mean(1, keepdim=True)
        x_hat = (x - mu_B) * torch.rsqrt(sigma2_B + self.eps)
        with torch.no_grad():
            self.running_mean.lerp_(mu_B, self.momentum)
            self.running_var.lerp_(sigma2_B * (m / (m - 1)), self.momentum)  # unbiased, section 3.1
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
            return self.norms[layer](torch.bmm(u, self.weights[layer]))
        return torch.baddbmm(self.biases[layer], u, self.weights[layer])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (R, m, 784) to the logits (R, m, 10) and the input (R, m, 100) of the last hidden sigmoids."""
        for layer in range(len(HIDDEN)):
            last_input = self.hidden_input(layer, x)
            x = torch.sigmoid(last_input)
        return torch.baddbmm(self.biases[-1], x, self.weights[-1]), last_input


def _gaussian_weights(widths: tuple[int, ...], seed: int, std: float) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [std * torch.randn(shape, generator=generator) for shape in pairwise(widths)]
