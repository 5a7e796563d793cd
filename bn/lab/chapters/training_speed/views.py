"""What notebook 08 compares with what, how the networks are called, and what their steps amount to in a sentence.

A view is a record, or a part of one that reads like it: a dict whose `networks` hold the reference as `inception`.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from bn.lab.judge import curves
from bn.lab.show.numbers import isolated, number, percent
from bn.lab.show.words import N_, words

FIVE = ("inception", "bn_baseline", "bn_x5", "bn_x30", "bn_x5_sigmoid")
CONTROLS = ("plain_x5", "plain_x30", "sigmoid")
FACTORS = (1, 5, 30)  # of the learning rate, with all else equal
NAMES = {
    "inception": "Inception",
    "bn_baseline": "BN-Baseline",
    "bn_x5": "BN-x5",
    "bn_x30": "BN-x30",
    "bn_x5_sigmoid": "BN-x5-Sigmoid",
    "plain_x5": "Inception ×5",
    "plain_x30": "Inception ×30",
    "sigmoid": N_("Inception, sigmoids"),
}
UNFINISHED = N_("{network} is not trained yet.")
NONE_THERE = N_("These networks are not trained yet.")
NOTHING_TO_COMPARE = N_(
    "Inception itself diverges in a seed before it has learned anything: there is nothing to compare with."
)


def name(network: str, language: str) -> str:
    """What a network of FIVE or CONTROLS is called."""
    return isolated(words(language)(NAMES[network]))


def papers(record: dict) -> dict:
    """The view of the paper's networks and their controls."""
    return _paired(record["networks"])


def equal(record: dict) -> dict:
    """The view of the networks that differ in BN and in the rate alone."""
    return _paired(record["equal"] | {"inception": record["networks"]["inception"]})


def best(record: dict) -> dict:
    """The view of two networks, `inception` and `bn`, each at its own best rate."""
    bn = {"bn": record["best"]["bn"]} if "bn" in record["best"] else {}
    return _paired({"inception": record["best"]["plain"]} | bn)


def _paired(networks: dict) -> dict:
    """The view of some networks at the seeds that all of them have.

    Where not all trainings are finished, a network that lacks Inception's first seed is left out.
    """
    seeds = {name: network.get("seeds", range(len(network["validation"]))) for name, network in networks.items()}
    seeds = {name: known for name, known in seeds.items() if seeds["inception"][0] in known}
    common = set.intersection(*map(set, seeds.values()))
    return {"networks": {name: _at(networks[name], known, common) for name, known in seeds.items()}}


def _at(network: dict, seeds: Sequence[int], wanted: set[int]) -> dict:
    """A network with some of its seeds."""
    kept = [i for i, seed in enumerate(seeds) if seed in wanted]
    return network | {key: [network[key][i] for i in kept] for key in ("validation", "final_test", "diverged")}


def best_names(language: str) -> dict[str, str]:
    """What the two networks of `best` are called."""
    _ = words(language)
    return {"inception": name("inception", language), "bn": _("BN, all changes")}


def there(view: dict, names: Iterable[str]) -> list[str]:
    """Those of the networks that are in a view: of a record that is not complete some are not."""
    return [name for name in names if name in view["networks"]]


def steps(view: dict, network: str) -> list[float]:
    """For each seed the steps to Inception's best accuracy, infinity for never; of Inception those to its own."""
    if network == "inception":
        return curves.steps_to_own_peak(view["networks"][network])
    return curves.steps_reaching(view["networks"][network], curves.target(view))


def target(view: dict, share: float = 1.0) -> str:
    """Inception's best accuracy, or a share of it, as a percentage."""
    return percent(share * curves.target(view))


def reference_lost(view: dict) -> bool:
    """Whether Inception diverged before it had any accuracy that others could be compared with."""
    return not np.isfinite(steps(view, "inception")).all()


def title(view: dict, network: str, language: str, sooner: str, never: str, **numbers: str) -> str:
    """How much sooner than Inception a network gets there, or that it does not in every seed.

    `sooner` and `never` are marked for translation and have the `numbers` as blanks; `sooner` also has `slow` and
    `fast`, the steps of both, and `ours`, how many times fewer.
    """
    _ = words(language)
    if reference_lost(view):
        return _(NOTHING_TO_COMPARE)
    if network not in view["networks"]:
        called = name(network, language) if network in NAMES else best_names(language)[network]
        return _(UNFINISHED).format(network=called)
    slow, fast = (np.mean(steps(view, one)) for one in ("inception", network))
    if math.isinf(fast):
        return _(never).format(**numbers)
    ours = number(curves.speed_up(view, network).value)
    return _(sooner).format(slow=number(round(slow)), fast=number(round(fast)), ours=ours, **numbers)
