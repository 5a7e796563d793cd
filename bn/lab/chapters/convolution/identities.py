"""The mathematical claims of section 3.2 that are this chapter's: β in the place of a bias, and one map for a map.

>>> sorted(bias_subsumed_by_beta(draw(0)))
['added', 'removed', 'shifted', 'undone']
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bn import reference
from bn.lab.chapters.convolution import counts
from bn.lab.chapters.convolution.study import WIDTHS
from bn.lab.judge.identities import Numbers, error, named
from bn.lab.train.stacks import mlp
from bn.layers import BatchNorm1d, BatchNorm2d

_SHIFT = 3, -2  # places, down and to the right


class Case(NamedTuple):
    """Values x of Wu, parameters, a bias b, and images for a convolution with borders that meet."""

    seed: int
    eps: float
    x: np.ndarray  # (m, d)
    gamma: np.ndarray  # (d,)
    beta: np.ndarray  # (d,)
    b: np.ndarray  # (d,)
    images: Tensor  # (m, 2, p, q)


def draw(seed: int, m: int = 20, features: int = 6, eps: float = 1e-5) -> Case:
    """A case from a seed: each feature has a mean and a scale of its own."""
    rng = np.random.default_rng(seed)
    mean, scale = rng.normal(size=features), rng.uniform(0.5, 2, features)
    gamma, beta, b = rng.uniform(0.5, 2, features), rng.normal(size=features), rng.normal(size=features)
    images = torch.tensor(rng.normal(size=(m, 2, 7, 5)))
    return Case(seed, eps, mean + scale * rng.normal(size=(m, features)), gamma, beta, b, images)


def bias_subsumed_by_beta(case: Case) -> Numbers:
    """A bias behind the transform is a larger β; and γ and β can give back any layer Wu + b. Both in long double.

    Beside it, on the network of section 4.1: the biases that fall away, and the numbers γ and β that come.
    """
    x = case.x.astype(np.longdouble)
    centred = x - x.mean(0)
    std = np.sqrt((centred**2).mean(0) + case.eps)
    shifted, _ = reference.batch_norm(case.x, case.gamma, case.beta + case.b, case.eps)
    undone, _ = reference.batch_norm(case.x, np.sqrt(case.x.var(0) + case.eps), case.x.mean(0) + case.b, case.eps)
    with torch.device("meta"):
        plain, normalized = mlp(WIDTHS), mlp(WIDTHS, BatchNorm1d)
    return {
        "shifted": error(shifted, case.gamma * centred / std + case.beta + case.b),
        "undone": error(undone, x + case.b),
        "removed": counts.biases(plain) - counts.biases(normalized),
        "added": sum(p.numel() for norm in counts.norms_of(normalized) for p in norm.parameters()),
    }


def conv_inference_same_map(case: Case) -> Numbers:
    """At inference all places of a map have one slope and one offset, so a moved image gives a moved map.

    `affine` against long double; `moved` for a convolution whose borders meet, and `apart` the same where each place
    has a slope and an offset of its own, as if it were a unit of a fully-connected layer.
    """
    maps, (p, q) = len(case.gamma), case.images.shape[2:]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(case.seed)
        convolution = nn.Conv2d(2, maps, 3, padding=1, padding_mode="circular", bias=False).double()
        shared = _drawn(BatchNorm2d(maps, eps=case.eps))
        own = nn.Sequential(
            nn.Flatten(), _drawn(BatchNorm1d(maps * p * q, eps=case.eps)), nn.Unflatten(1, (maps, p, q))
        )
        x = convolution(case.images)
        return {
            "affine": error(shared(x).numpy(), _affine(x, shared)),
            "moved": _moved_apart(nn.Sequential(convolution, shared), case.images),
            "apart": _moved_apart(nn.Sequential(convolution, own), case.images),
        }


def _drawn(norm: BatchNorm1d | BatchNorm2d) -> BatchNorm1d | BatchNorm2d:
    """With γ, β and population statistics of its own for each feature, at inference."""
    norm.double().eval()
    norm.weight.uniform_(0.5, 2), norm.bias.normal_(), norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2)
    return norm


def _affine(x: Tensor, norm: BatchNorm2d) -> np.ndarray:
    """One slope and one offset for each map, in long double."""
    gamma, beta, mean, var = (
        values.numpy().astype(np.longdouble) for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    slope = gamma / np.sqrt(var + np.longdouble(norm.eps))
    return np.moveaxis(np.moveaxis(x.numpy(), 1, -1) * slope + (beta - slope * mean), -1, 1)


def _moved_apart(net: nn.Module, images: Tensor) -> float:
    """How far what a network makes of moved images is from what it makes of the images, moved."""
    moved = net(torch.roll(images, _SHIFT, (2, 3)))
    return error(moved.numpy(), torch.roll(net(images), _SHIFT, (2, 3)).numpy())


CLAIMS = named(bias_subsumed_by_beta, conv_inference_same_map)
