"""The arithmetic behind the errata: sums on what the paper prints, and on what the source documents say instead.

book/errata.yml has the sentences, with the names of `sums` and `values` where a number belongs.
"""

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np

from bn import reference
from bn.lab import paper, quoted, registry
from bn.lab.architectures import FIGURE_5
from bn.lab.store import records

SIGNS = {"/": operator.truediv, "×": operator.mul, "+": operator.add, "−": operator.sub}

# The source documents' Table 1, as the paper's Figure 3: None where no difference from the paper is on record.
SOURCE_TABLE_1 = {
    "inception": (31.0, 72.2),
    "bn_baseline": (2.1, 73.0),
    "bn_x5": (2.1, 73.0),
    "bn_x30": (1.1, None),
}
# Their Table 2: million steps, and top-5 errors in percent on validation and on test images.
SOURCE_TABLE_2 = {"inception": (100.0, None, 4.82), "bn_inception": (6.0, 4.9, 4.82)}
SOURCE_L2 = (0.001, 0.0002)  # its weight before and after

_SCALE, _SMALL, _EPS = 5.0, 0.01, 1e-5  # of the toys: a larger weight, a small one, and a usual ε
_NARROW = 96  # channels of the pool's projection with which 4c and 4d add up


@dataclass(frozen=True)
class Sum:
    """Terms with a sign of SIGNS between them, and what comes out; how a term and the outcome are written."""

    sign: str
    terms: tuple[float, ...]
    term: str = ".1f"
    outcome: str = ".2f"

    @property
    def value(self) -> float:
        """What comes out."""
        return reduce(SIGNS[self.sign], self.terms)


def sums() -> dict[str, Sum]:
    """Every sum of the errata by its name."""
    return {**_steps(), **_source(), **_rates(), **_channels(), **_parameters()}


def _steps() -> dict[str, Sum]:
    """Steps to the accuracy of Inception, of Figure 3 and of section 4.2.2."""
    inception, baseline, x5, x30 = (paper.FIGURE_3[name][0] for name in SOURCE_TABLE_1)
    return {
        "fewer_baseline": Sum("/", (inception, baseline)),
        "fewer_x5": Sum("/", (inception, x5)),
        "fewer_x30": Sum("/", (inception, x30)),
        "fewer_peak": Sum("/", (inception, paper.PEAK), "g"),
        "share_baseline": Sum("/", (baseline, inception), outcome=".1%"),
        "share_x5": Sum("/", (x5, inception), outcome=".1%"),
        "share_x30": Sum("/", (x30, inception), outcome=".1%"),
        "from_baseline": Sum("/", (baseline, x5), outcome=".1f"),
        "margin": Sum("−", (paper.SERVER["he"], paper.SERVER["ours"]), ".2f"),
    }


def _source() -> dict[str, Sum]:
    """What follows from the numbers of the source documents."""
    inception, baseline, x5, x30 = (steps for steps, _ in SOURCE_TABLE_1.values())
    return {
        "source_fewer_baseline": Sum("/", (inception, baseline)),
        "source_fewer_x30": Sum("/", (inception, x30), outcome=".1f"),
        "source_share_x30": Sum("/", (x30, inception), outcome=".1%"),
        "source_reduction": Sum("−", (baseline, x5), outcome=".1f"),
        "source_l2": Sum("/", SOURCE_L2, "g", "g"),
    }


def _rates() -> dict[str, Sum]:
    """Learning rates of section 4.2.2."""
    return {
        f"rate_{name}": Sum("×", (paper.RATE, factor), "g", "g")
        for name, factor in (("x5", quoted.FACTORS["bn_x5"]), ("x30", quoted.FACTORS["bn_x30"]))
    }


def _channels() -> dict[str, Sum]:
    """Branches of the modules of Figure 5 whose sum is another than the one printed."""
    rows = {row.name: row for row in FIGURE_5}
    found = {}
    for name in ("4c", "4d"):
        row = rows[name]
        branches = (row.one, row.three, row.double)
        found[f"channels_{name}"] = Sum("+", (*branches, row.proj), "d", "d")
        found[f"narrow_{name}"] = Sum("+", (*branches, _NARROW), "d", "d")
    last, before = rows["4e"], rows["4d"]  # its pool hands on what comes in
    return found | {"channels_4e": Sum("+", (last.three, last.double, before.channels), "d", "d")}


def _parameters() -> dict[str, Sum]:
    """Millions of parameters that the counted network lacks."""
    nearest = max(_counted().values()) / 1e6
    return {"missing": Sum("−", (paper.INCEPTION_PARAMETERS / 1e6, nearest), ".2f")}


def _counted() -> dict[str, int]:
    """Parameters of each reading of Figure 5, from the record of the chapter that counts them."""
    totals = records.deciding("inception")["totals"]
    return {name: totals[name]["parameters"] for name in ("narrowed", "figure 5", "figure 5 bn", "figure 5 separable")}


def values() -> dict[str, float]:
    """Every other number of the errata by its name; what is in percent as a share."""
    return {**_printed(), **_said(), **_of_the_network(), **_of_the_margin(), **_toys()}


def _printed() -> dict[str, float]:
    """What the paper prints: million steps, and accuracies and errors as shares."""
    steps = {name: million for name, (million, _) in paper.FIGURE_3.items() if math.isfinite(million)}
    accuracies = {f"acc_{name}": best / 100 for name, (_, best) in paper.FIGURE_3.items()}
    errors = {
        f"{name}_top{k}": error / 100
        for name, both in paper.FIGURE_4.items()
        for k, error in zip((1, 5), both, strict=True)
    }
    earlier = {
        "googlenet_top5": paper.PRIOR["googlenet"][1] / 100,
        "deep_image": paper.PRIOR["deep image ensemble"][1] / 100,
    }
    others = {"double_at_most": quoted.DOUBLE_AT_MOST, "l2_factor": quoted.L2_FACTOR, "peak": paper.PEAK}
    return steps | accuracies | errors | earlier | others | {"server": paper.SERVER["ours"] / 100}


def _said() -> dict[str, float]:
    """What the source documents say."""
    rows = {name: row for name, row in SOURCE_TABLE_1.items() if name != "inception"}
    found = {f"source_{name}": million for name, (million, _) in rows.items()}
    found["source_acc_bn_baseline"] = rows["bn_baseline"][1] / 100
    (found["source_steps_2"], _, test), (found["source_members"], validation, _) = SOURCE_TABLE_2.values()
    found |= {"source_test": test / 100, "source_validation": validation / 100}
    return found | dict(zip(("source_l2_before", "source_l2_after"), SOURCE_L2, strict=True))


def _of_the_network() -> dict[str, float]:
    counted, totals = _counted(), records.deciding("inception")["totals"]
    return {
        "printed_channels": {row.name: row.channels for row in FIGURE_5}["4c"],
        "widest": max(row.double for row in FIGURE_5),
        "printed_parameters": paper.INCEPTION_PARAMETERS / 1e6,
        "fewest_parameters": min(counted.values()) / 1e6,
        "most_parameters": max(counted.values()) / 1e6,
        "googlenet_parameters": totals["googlenet"]["parameters"] / 1e6,
        "printed_growth": paper.GROWTH["parameters"] / 100,
        **_growths(totals),
    }


def _growths(totals: Mapping) -> dict[str, float]:
    """How many more parameters the double 3×3 bring to GoogLeNet, and Figure 5 has than GoogLeNet: shares."""
    before = totals["googlenet"]["parameters"]
    pairs = {"growth_same": "googlenet double", "growth_whole": "figure 5"}
    return {name: totals[other]["parameters"] / before - 1 for name, other in pairs.items()}


def _of_the_margin() -> dict[str, float]:
    """The lead on the test server by the chapter's own estimator; standard errors of it and of a human's error."""
    lead = registry.experiment("ensemble").estimates["healthy-margin"]({})
    return {
        "standard_error": 100 * _binomial(paper.SERVER["ours"] / 100, paper.TEST_IMAGES),
        "z": lead["z"].value,
        "correlation": lead["correlation"].value,
        "human": quoted.HUMAN / 100,
        "human_images": quoted.HUMAN_IMAGES,
        "human_error": 100 * _binomial(quoted.HUMAN / 100, quoted.HUMAN_IMAGES),
    }


def _binomial(share: float, n: int) -> float:
    """Standard error of a share of n."""
    return math.sqrt(share * (1 - share) / n)


def _toys() -> dict[str, float]:
    """Algorithm 1 on one feature: what a scale of its input changes, and what ε does."""
    return {
        "scale": _SCALE,
        "jacobian_ratio": _jacobian(_SCALE) / _jacobian(1.0),
        "small": _SMALL,
        "eps": _EPS,
        "small_deviation": 1 - _first(_SMALL, _EPS) / _first(1.0, _EPS),
        "identity_error": 1 - _first(1.0, _EPS),
    }


def _first(scale: float, eps: float) -> float:
    """The first output for a mini-batch of two with variance 1, times a scale; 1 where neither scale nor ε counts."""
    x = scale * np.array([[1.0], [-1.0]])
    return float(reference.batch_norm(x, np.ones(1), np.zeros(1), eps)[0][0, 0])


def _jacobian(scale: float) -> float:
    """How the first output follows the first input of a mini-batch of three, times a scale, without ε."""
    _, cache = reference.batch_norm(scale * np.array([[0.0], [1.0], [5.0]]), np.ones(1), np.zeros(1), 0.0)
    return float(reference.batch_norm_gradients(np.array([[1.0], [0.0], [0.0]]), cache).dx[0, 0])
