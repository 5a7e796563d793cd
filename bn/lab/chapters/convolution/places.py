"""How many independent values the places of a feature map are worth in the statistics of a mini-batch."""

import numpy as np
import torch
from torch import Tensor

DRAWS = 2_000  # mini-batches: the variance of a statistic is then known to 3%
STEPS = (1, 2, 4, 7, 14, 28)  # from one place that counts to the next


def of_layers(found: dict[str, tuple[Tensor, Tensor]], batch: int) -> dict[str, np.ndarray]:
    """Of each convolution's output, what `worth` says, by the number of the layer, and the correlation of neighbours.

    Each for the whole grid first, and then for a part of it, every second place and so on, whose places are further
    apart: `mean_k` and `variance_k` (parts,), `places_k` (parts,) how many there are, `neighbours_k`.
    """
    measured = {}
    for k, name in enumerate([name for name in found if name.startswith("conv")], 1):
        maps = found[name][1].double()
        parts = [maps[:, :, step // 2 :: step, step // 2 :: step] for step in STEPS if step <= maps.shape[-1]]
        worths = np.array([worth(part.flatten(2), batch) for part in parts])
        measured |= {
            f"places_{k}": np.array([part[0, 0].numel() for part in parts]),
            f"mean_{k}": worths[:, 0],
            f"variance_{k}": worths[:, 1],
            f"neighbours_{k}": np.array(correlation(maps[..., :-1], maps[..., 1:])),
        }
    return measured


def worth(values: Tensor, batch: int) -> tuple[float, float]:
    """Of feature maps (images, maps, places): how many independent values have as certain a mean, and a variance.

    Mini-batches of `batch` images are drawn with replacement. Independent values, so many of them, would give the mean
    a variance of σ²/m′ and the variance one of (μ₄ - σ⁴)/m′, to first order. The median of the maps.
    """
    values = values - values.mean((0, 2), keepdim=True)
    sigma2, fourth = (values**2).mean((0, 2)), (values**4).mean((0, 2))
    of_images = torch.stack([values.mean(2), (values**2).mean(2)])
    chosen = torch.randint(len(values), (DRAWS, batch))
    mean, square = of_images[:, chosen].mean(2)
    worths = sigma2 / mean.var(0), (fourth - sigma2**2) / (square - mean**2).var(0)
    return tuple(of_maps.median().item() for of_maps in worths)


def correlation(first: Tensor, second: Tensor) -> float:
    """Of two values of a map (images, maps, …) over all images and places; the median of the maps."""
    a, b = (values.transpose(0, 1).flatten(1) for values in (first, second))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    return ((a * b).mean(1) / (a.std(1, correction=0) * b.std(1, correction=0))).median().item()
