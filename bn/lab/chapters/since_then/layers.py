"""Normalizations that came after the paper, and Batch Normalization with noise after it or with separate groups."""

import torch
from torch import Tensor, nn

import bn

# Of the noise of Santurkar et al. (2018): bounds of its mean and of its scale in each step for each unit, and how far
# those of an example lie from them.
MEAN, SCALE, SPREAD = 0.5, 1.25, 0.1
R_MAX, D_MAX = 3.0, 5.0  # of Batch Renormalization, after its warm-up
WARM_UP = 3  # times as many steps as the moving averages remember


class NoisyBatchNorm1d(bn.BatchNorm1d):
    """Batch Normalization (m, C), then noise in training whose mean and scale for each unit change at every step.

    At inference the scale is its mean over the steps.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalized, scaled by γ and β, then disturbed."""
        y = super().forward(x)
        if not self.training:
            return (1 + SCALE) / 2 * y
        mean = MEAN * (2 * torch.rand(y.shape[1]) - 1) + SPREAD * (2 * torch.rand(y.shape) - 1)
        scale = 1 + (SCALE - 1) * torch.rand(y.shape[1]) + SPREAD * torch.randn(y.shape)
        return scale * y + mean


class BatchRenorm1d(nn.Module):
    """Batch Renormalization (Ioffe, 2017) of (m, C).

    x̂ = (x − μ_B)/σ_B · r + d with r = σ_B/σ and d = (μ_B − μ)/σ, both constants for the gradient and clipped: r to
    1/R_MAX … R_MAX and d to ±D_MAX, limits that open from Batch Normalization's 1 and 0 while the averages warm up.
    """

    def __init__(self, features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        """By the moving averages at inference, by the mini-batch corrected towards them in training."""
        if not self.training:
            return self.weight * (x - self.mean) / self.std + self.bias
        mean, std = x.mean(0), (x.var(0, correction=0) + self.eps).sqrt()
        r, d = self._correction(mean.detach(), std.detach())
        return self.weight * ((x - mean) / std * r + d) + self.bias

    def _correction(self, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """The constants r and d of this step; the averages follow its statistics."""
        opened = min(1.0, self.steps.item() * self.momentum / WARM_UP)
        r_max, d_max = 1 + (R_MAX - 1) * opened, D_MAX * opened
        r = (std / self.std).clamp(1 / r_max, r_max)
        d = ((mean - self.mean) / self.std).clamp(-d_max, d_max)
        self.mean.lerp_(mean, self.momentum)
        self.std.lerp_(std, self.momentum)
        self.steps += 1
        return r, d


class _Separate:
    """Batch Normalization (m, C, …) in which each `group` of so many examples has its own statistics in training.

    As on devices that do not exchange them; the moving averages follow the means over the groups.
    """

    def __init__(self, features: int, group: int, momentum: float = 0.1) -> None:
        super().__init__(features, momentum=momentum)
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """The mini-batch, m a multiple of the group."""
        if not self.training:
            return super().forward(x)
        groups = x.unflatten(0, (-1, self.group))
        over = (1, *range(3, groups.dim()))  # the examples of a group and the places of a map
        mean, var = groups.mean(over, keepdim=True), groups.var(over, correction=0, keepdim=True)
        with torch.no_grad():
            n = groups[0].numel() // self.num_features
            self.running_mean.lerp_(mean.mean(0).flatten(), self.momentum)
            self.running_var.lerp_(var.mean(0).flatten() * n / (n - 1), self.momentum)
        gamma, beta = (p.reshape(-1, *(1,) * (x.dim() - 2)) for p in (self.weight, self.bias))
        return gamma * ((groups - mean) / (var + self.eps).sqrt()).flatten(0, 1) + beta


class SeparateBatchNorm1d(_Separate, bn.BatchNorm1d):
    """Of single numbers, (m, C)."""


class SeparateBatchNorm2d(_Separate, bn.BatchNorm2d):
    """Of maps, (m, C, p, q)."""


class Scaled(nn.Module):
    """A constant factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """The factor times x."""
        return self.factor * x
