"""What whitening costs beside Batch Normalization, where its derivative ends, and a mini-batch beside single examples.

Times are of the processor, so that what else a machine does counts little; they are taken side by side and compared
as ratios, one measurement for each seed.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bn.lab.train import stacks
from bn.layers import BatchNorm1d

SMALLEST = tuple(10.0**-k for k in range(7))  # eigenvalues of the covariance, beside others of about 1
_REPEATS = 7  # of a time, of which the median counts
_SIDE = 8  # of the covariance whose inverse root is moved
_MOVE = 1e-3  # of the eigenvalue, in a central difference: it is off by a millionth


def whiten(x: Tensor) -> Tensor:
    """Cov[x]^(-1/2) (x - E[x]) of x (m, d) by its eigenvectors (section 2)."""
    centred = x - x.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(x))
    return centred @ (vectors / values.sqrt()) @ vectors.T


def whitening_adds(m: int, d: int) -> int:
    """Multiply-adds of `whiten` at least: the covariance, two products with the eigenvectors, and to find these.

    Of the last only that the covariance is made tridiagonal, which comes first (Golub and Van Loan, 2013, 8.3.1).
    """
    return 3 * m * d**2 + 2 * d**3 // 3


def bn_adds(m: int, d: int) -> int:
    """Those of Algorithm 1: its four lines, one for each number."""
    return 4 * m * d


def cost(seeds: Sequence[int], widths: Sequence[int], rows: int) -> dict:
    """By `widths` of an input of so many rows: `seconds` of a forward and a backward pass of whitening and of BN,
    (seeds, widths) each, and `adds`, the multiply-adds of the forward pass, (widths,) each."""
    seconds: dict[str, list[list[float]]] = {"whitening": [], "bn": []}
    for seed in seeds:
        pairs = [_side_by_side(*_passes(seed, d, rows)) for d in widths]
        for name, of_widths in zip(seconds, zip(*pairs, strict=True), strict=True):
            seconds[name].append(list(of_widths))
    counted = {"whitening": whitening_adds, "bn": bn_adds}
    adds = {name: [count(rows, d) for d in widths] for name, count in counted.items()}
    return {"widths": list(widths), "rows": rows, "seconds": seconds, "adds": adds}


def _passes(seed: int, d: int, rows: int) -> list[Callable[[], None]]:
    generator = torch.Generator().manual_seed(seed)
    x, dy = (torch.randn(rows, d, generator=generator) for _ in range(2))
    x.requires_grad_()
    return [lambda layer=layer: layer(x).backward(dy) for layer in (whiten, BatchNorm1d(d))]


def batch(seeds: Sequence[int], m: int) -> dict[str, list[float]]:
    """Seconds of one forward and backward pass of m examples, and of m passes of one, for each seed."""
    found: dict[str, list[float]] = {"together": [], "alone": []}
    for seed in seeds:
        for name, seconds in zip(found, _side_by_side(*_of_examples(seed, m)), strict=True):
            found[name].append(seconds)
    return found


def _of_examples(seed: int, m: int) -> list[Callable[[], None]]:
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(m, stacks.PIXELS**2, generator=generator) < 0.15).float()
    y = torch.randint(10, (m,), generator=generator)
    net = stacks.mlp((stacks.PIXELS**2, 100, 100, 100, 10), activation="sigmoid")

    def passes(size: int) -> None:
        for some, labels in zip(x.split(size), y.split(size), strict=True):
            cross_entropy(net(some), labels).backward()

    return [lambda: passes(m), lambda: passes(1)]


def _side_by_side(*works: Callable[[], None]) -> list[float]:
    """The median processor time of each in seconds, taken in turns."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(_REPEATS):
        for work, found in zip(works, seconds, strict=True):
            begun = time.process_time()
            work()
            found.append(time.process_time() - begun)
    return [float(np.median(found[1:])) for found in seconds]  # the first warms up


def derivative(seeds: Sequence[int]) -> dict[str, list]:
    """Of C^(-1/2), where one eigenvalue of C is one of SMALLEST, in its direction.

    `size`: by central differences, (seeds, eigenvalues). `by_eigenvectors`: whether automatic differentiation through
    the eigenvectors gives a number where two eigenvalues are equal, and `there` the size by differences.
    """
    found: dict[str, list] = {"eigenvalues": list(SMALLEST), "size": [], "by_eigenvectors": [], "there": []}
    for seed in seeds:
        vectors, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(_SIDE, _SIDE)))
        found["size"].append([_size(vectors, value) for value in SMALLEST])
        found["there"].append(_size(np.eye(_SIDE), 1.0))
        found["by_eigenvectors"].append(_through_eigenvectors(torch.eye(_SIDE).double()))
    return found


def _size(vectors: np.ndarray, smallest: float) -> float:
    """The norm of the derivative of C^(-1/2) with respect to the smallest eigenvalue of C."""
    values = np.ones(_SIDE)

    def root(value: float) -> np.ndarray:
        values[0] = value
        return (vectors / np.sqrt(values)) @ vectors.T

    h = _MOVE * smallest
    return float(np.linalg.norm(root(smallest + h) - root(smallest - h)) / (2 * h))


def _through_eigenvectors(covariance: Tensor) -> bool:
    """Whether the gradient of one entry of the inverse root is finite."""
    covariance.requires_grad_()
    values, vectors = torch.linalg.eigh(covariance)
    root = (vectors / values.sqrt()) @ vectors.T
    (gradient,) = torch.autograd.grad(root[0, 1] + root[0, 0], covariance)
    return bool(gradient.isfinite().all())
