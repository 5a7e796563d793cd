"""Estimates of section 4.1, from the record of notebook 03."""

import numpy as np

from bn.lab.judge import curves, statistics
from bn.lab.judge.statistics import Estimate, ratio_bootstrap

TARGET = 0.95  # validation accuracy of "steps to 95%"
LAST = 10  # evaluations in a final accuracy


def final(accuracy: list[float]) -> float:
    """Mean of the last ten evaluations."""
    return float(np.mean(accuracy[-LAST:]))


def steps_to_target(network: dict) -> list[float]:
    """For each seed, the steps to the validation accuracy TARGET."""
    return curves.steps_reaching(network, TARGET)


def fig1a_accuracy(record: dict) -> dict[str, Estimate]:
    """BN ahead on test images at 2%, 10%, 20% and the end of training, and sooner at 95% on validation."""
    plain, bn = record["figure1"]["plain"], record["figure1"]["bn"]
    at = [int(np.searchsorted(plain["steps"], round(part * plain["steps"][-1]))) for part in (0.02, 0.1, 0.2)]
    pairs = list(zip(plain["test"], bn["test"], strict=True))
    ahead = [all(b[k] > p[k] for k in at) and final(b) > final(p) for p, b in pairs]
    # A plain network that never gets there counts with the whole run: the ratio is then too large, never too small.
    to_plain = curves.steps_reaching(plain, TARGET, whole=True)
    return {
        "seeds_ahead": statistics.plain_share(ahead),
        "steps_ratio": ratio_bootstrap(steps_to_target(bn), to_plain),
        "final_gain": statistics.mean([100 * (final(b) - final(p)) for p, b in pairs]),
    }


def fig1bc_stability(record: dict) -> dict[str, Estimate]:
    """How far the median of each unit's input travels, in its own interquartile ranges: BN beside plain."""
    drift = {name: np.median(np.array(net["drift"], float), axis=1) for name, net in record["figure1"].items()}
    return {
        "drift_ratio": ratio_bootstrap(drift["bn"], drift["plain"]),
        "drift_plain": statistics.mean(drift["plain"]),
        "drift_bn": statistics.mean(drift["bn"]),
    }


def baseline_drift(record: dict) -> dict[str, Estimate]:
    """Between 2% of the training and its end: shift of the mean, and growth of the standard deviation."""
    both = {}
    for suffix, name in (("", "plain"), ("_bn", "bn")):
        network = record["figure1"][name]
        for quantity in ("mean_shift", "std_growth"):
            values = np.array(network[quantity], float)  # what is None, because not finite, becomes NaN
            both[quantity + suffix] = statistics.mean(np.median(values, axis=1))
    return both


ESTIMATES = {
    "fig1a-accuracy": fig1a_accuracy,
    "fig1bc-stability": fig1bc_stability,
    "baseline-mean-var-drift": baseline_drift,
}
