"""Estimates of section 4.2.3, from the record of notebook 10."""

import numpy as np

from bn.lab.judge import statistics
from bn.lab.judge.statistics import Estimate


def ensemble(record: dict) -> dict[str, Estimate]:
    """Top-1 points by which six networks err less than their best member, for each seed's six, on many crops."""
    many = record["errors"][str(record["crops"][-1])]
    gains = [min(top1 for top1, _ in seed["members"]) - seed["ensemble"][0] for seed in many]
    return {"ensemble_gain": statistics.mean(gains)}


def multicrop(record: dict) -> dict[str, Estimate]:
    """Top-1 points by which one network errs less on many crops than on one, mean of the six."""
    one, many = (record["errors"][str(count)] for count in record["crops"])
    means = [[np.mean([top1 for top1, _ in seed["members"]]) for seed in part] for part in (one, many)]
    return {"crops_gain": statistics.mean([a - b for a, b in zip(*means, strict=True)])}


def figure_4(record: dict) -> dict[str, Estimate]:
    """Top-5 error in percent of the six on many crops."""
    many = record["errors"][str(record["crops"][-1])]
    return {"ensemble_top5": statistics.mean([seed["ensemble"][1] for seed in many])}


ESTIMATES = {"ensemble-6-mean": ensemble, "multicrop": multicrop, "ensemble-result": figure_4}
