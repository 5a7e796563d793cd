"""Estimates of section 4.2.3, from the record of notebook 10."""

import math

import numpy as np
from scipy import stats

from bn.lab import paper, quoted
from bn.lab.judge import statistics
from bn.lab.judge.statistics import Estimate

SIGNIFICANT = float(stats.norm.ppf(0.975))  # standard errors


def ensemble(record: dict) -> dict[str, Estimate]:
    """Top-1 points by which six networks err less than their best member, for each seed's six, on many crops."""
    many = record["errors"][str(record["crops"][-1])]
    gains = [min(top1 for top1, _ in seed["members"]) - seed["ensemble"][0] for seed in many]
    return {"ensemble_gain": statistics.mean(gains)}


def over_the_mean(record: dict) -> Estimate:
    """Top-1 points by which six networks err less than their members do on average, on many crops."""
    many = record["errors"][str(record["crops"][-1])]
    return statistics.mean([np.mean([top1 for top1, _ in seed["members"]]) - seed["ensemble"][0] for seed in many])


def multicrop(record: dict) -> dict[str, Estimate]:
    """Top-1 points by which one network errs less on many crops than on one, mean of the six."""
    one, many = (record["errors"][str(count)] for count in record["crops"])
    means = [[np.mean([top1 for top1, _ in seed["members"]]) for seed in part] for part in (one, many)]
    return {"crops_gain": statistics.mean([a - b for a, b in zip(*means, strict=True)])}


def figure_4(record: dict) -> dict[str, Estimate]:
    """Top-5 error in percent of the six on many crops."""
    many = record["errors"][str(record["crops"][-1])]
    return {"ensemble_top5": statistics.mean([seed["ensemble"][1] for seed in many])}


def steps(_record: dict) -> dict[str, Estimate]:
    """What the paper says of the steps of a network of the ensemble, beside BN-x30's; and how many epochs they are."""
    epochs = paper.MEMBER_PEAK * 1e6 * paper.BATCH / paper.TRAINING_IMAGES
    apart = abs(paper.MEMBER_PEAK - paper.PEAK)
    return {"steps_apart": statistics.extremes([apart]), "epochs": statistics.extremes([epochs])}


def one_crop(_record: dict) -> dict[str, Estimate]:
    """The error on one crop in Figure 4 beside what is left of the accuracy in Figure 3, in points."""
    apart = paper.FIGURE_4["single"][0] - (100 - paper.FIGURE_3["bn_x30"][1])
    return {"disagreement": statistics.extremes([round(abs(apart), 6)])}  # both are printed to a tenth


def margin(_record: dict) -> dict[str, Estimate]:
    """The ensemble's lead on the test server: in standard errors, and the correlation from which it is significant."""
    independent, needed = standard_errors(0.0), needed_correlation()
    return {"z": statistics.extremes([independent]), "correlation": statistics.extremes([needed])}


def standard_errors(correlation: float) -> float:
    """The lead in standard errors where the mistakes of the two systems on an image have this correlation."""
    a, b, lead = _server()
    return lead / math.sqrt(a + b - 2 * correlation * math.sqrt(a * b))


def needed_correlation() -> float:
    """The correlation from which the lead is SIGNIFICANT."""
    a, b, lead = _server()
    return (a + b - (lead / SIGNIFICANT) ** 2) / (2 * math.sqrt(a * b))


def _server() -> tuple[float, float, float]:
    """Variances of the two error rates on the test server, as of coins thrown so often, and the lead: shares."""
    ours, theirs = (paper.SERVER[name] / 100 for name in ("ours", "he"))
    return *(p * (1 - p) / paper.TEST_IMAGES for p in (ours, theirs)), theirs - ours


def of_the_abstract(_record: dict) -> dict[str, Estimate]:
    """The abstract's errors of the ensemble beside those of Figure 4 and of the test server, in points."""
    exact = {"validation": paper.FIGURE_4["ensemble"][1], "test": paper.SERVER["ours"]}
    apart = {name: round(abs(said - exact[name]), 6) for name, said in quoted.ABSTRACT.items()}
    return {f"{name}_apart": statistics.extremes([distance]) for name, distance in apart.items()}


def human(_record: dict) -> dict[str, Estimate]:
    """The ensemble's lead over one expert, in points and in standard errors, as of independent mistakes."""
    sizes = ((quoted.HUMAN / 100, quoted.HUMAN_IMAGES), (paper.SERVER["ours"] / 100, paper.TEST_IMAGES))
    lead = sizes[0][0] - sizes[1][0]
    z = lead / math.sqrt(sum(p * (1 - p) / n for p, n in sizes))
    return {"human_lead": statistics.extremes([round(100 * lead, 6)]), "human_z": statistics.extremes([z])}


ESTIMATES = {
    "ensemble-6-mean": ensemble,
    "multicrop": multicrop,
    "ensemble-result": figure_4,
    "ensemble-steps": steps,
    "single-crop": one_crop,
    "healthy-margin": margin,
    "abstract-ensemble": of_the_abstract,
    "exceeds-human": human,
}
