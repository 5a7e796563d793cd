"""How a unit's values are distributed over the images, their mean and deviation aside, and how sparse they are."""

import numpy as np
from torch import Tensor

RANKS = (np.arange(49) + 1) / 50  # of the percentiles that are kept
BINS = np.linspace(-4, 6, 51)  # deviations from the mean
NEAR = 1e-3  # deviations of a unit from 0 within which it counts as none
_FOLLOWING = (2, 3)  # hidden layers whose input u is the output of a nonlinearity


def of_layers(found: dict[str, tuple[Tensor, Tensor]]) -> dict[str, np.ndarray]:
    """Of the second and the third hidden layer, of u and of Wu: `moments` by name, (2 layers, …, units) each."""
    measured = {}
    for kind, side in (("u", 0), ("wu", 1)):
        layers = [moments(found[f"linear{k}"][side]) for k in _FOLLOWING]
        measured |= {f"{kind}_{name}": np.stack([layer[name] for layer in layers]) for name in layers[0]}
    return measured


def moments(values: Tensor) -> dict[str, np.ndarray]:
    """Of values (n, units): `skewness` and excess `kurtosis` (units,), `percentiles` (RANKS, units) in deviations.

    All are of the values less their mean over their deviation. A unit that never changes has none, and NaN. `typical`
    is the unit whose |skewness| is nearest to the median of all, and `density` (BINS - 1,) how often its values occur.
    """
    centred = values.double().numpy() - values.double().numpy().mean(0)
    with np.errstate(all="ignore"):
        z = centred / centred.std(0)
    skewness, kurtosis = (z**3).mean(0), (z**4).mean(0) - 3
    typical = nearest_to_median(abs(skewness))
    return {
        "skewness": skewness.astype(np.float32),
        "kurtosis": kurtosis.astype(np.float32),
        "percentiles": np.quantile(z, RANKS, axis=0).astype(np.float32),
        "typical": np.array(typical),
        "density": np.histogram(z[:, typical], BINS)[0] / len(z) / np.diff(BINS),
    }


def nearest_to_median(values: np.ndarray) -> int:
    """The index of the value (units,) that is typical by a rule; what is no number is none."""
    if not np.isfinite(values).any():
        return 0
    return int(np.nan_to_num(abs(values - np.nanmedian(values)), nan=np.inf).argmin())


def sparsity(found: dict[str, tuple[Tensor, Tensor]], kind: str) -> dict[str, np.ndarray]:
    """Of each hidden layer (layers,), whose W is called `kind`, three shares of its values.

    `input_near`: inputs of the nonlinearity within NEAR deviations of 0; `output_zero`: its outputs that are 0;
    `given_near`: what the next W is given, after a norm if there is one, within NEAR deviations of 0.
    """
    names = [name for name in found if name.startswith("act")]
    following = [name for name in found if name.startswith(kind)][1:]
    given = [found[name][0] for name in following] + [found["softmax"][0]]
    return {
        "input_near": np.array([near_zero(found[name][0]) for name in names]),
        "output_zero": np.array([(found[name][1] == 0).double().mean().item() for name in names]),
        "given_near": np.array([near_zero(values) for values in given]),
    }


def near_zero(values: Tensor) -> float:
    """Share of values (n, units, …) within NEAR deviations of their unit, or of their feature map, of 0."""
    of_unit = values.double().transpose(0, 1).flatten(1)
    std = of_unit.std(1, correction=0, keepdim=True)
    return (of_unit.abs() <= NEAR * std).double().mean().item()


def distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Wasserstein-1 distance (…) of two distributions by their percentiles (RANKS, …), in deviations."""
    return np.abs(first - second).mean(0)
