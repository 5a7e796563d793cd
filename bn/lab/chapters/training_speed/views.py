"""What notebook 08 compares with what, how the networks are called, and what their steps amount to in a sentence.

A view is a record, or a part of one that reads like it: a dict whose `networks` hold the reference as `inception`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bn.lab import paper
from bn.lab.judge import curves
from bn.lab.show import speech
from bn.lab.show.numbers import isolated, number, percent, ratio, times, with_interval
from bn.lab.show.words import N_, words

FIVE = ("inception", "bn_baseline", "bn_x5", "bn_x30", "bn_x5_sigmoid")
WITHOUT_BN = ("plain_x5", "plain_x30", "sigmoid")
SLOW = ("bn_x5_slow", "bn_x30_slow")  # their rate decays as that of Inception
CONTROLS = WITHOUT_BN + SLOW
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
    "bn_x5_slow": N_("BN-x5, slow decay"),
    "bn_x30_slow": N_("BN-x30, slow decay"),
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
    return _compared(record["networks"])


def equal(record: dict) -> dict:
    """The view of the networks that differ in BN and in the rate alone."""
    return _compared(record["equal"] | {"inception": record["networks"]["inception"]})


def best(record: dict) -> dict:
    """The view of two networks, `inception` and `bn`, each at its own best rate."""
    bn = {"bn": record["best"]["bn"]} if "bn" in record["best"] else {}
    return _compared({"inception": record["best"]["plain"]} | bn)


def _compared(networks: dict) -> dict:
    """The view of those networks that have a seed of Inception's: where trainings are missing, some have none."""
    whole = {"networks": networks}
    return {"networks": {name: networks[name] for name in networks if _seeds(whole, name)}}


def only(view: dict, names: Iterable[str]) -> dict:
    """The view of some of its networks."""
    return {"networks": {name: view["networks"][name] for name in there(view, names)}}


def beside(view: dict, network: str) -> dict:
    """A network and Inception at the seeds that both have, by which the rules compare them."""
    return {"networks": curves.common({name: view["networks"][name] for name in ("inception", network)})}


def _seeds(view: dict, network: str) -> int:
    """How many seeds it shares with Inception."""
    return len(beside(view, network)["networks"][network]["validation"])


def names(language: str) -> dict[str, str]:
    """What the networks of FIVE and CONTROLS are called."""
    return {network: name(network, language) for network in NAMES}


def equal_names(language: str) -> dict[str, str]:
    """What the networks of `equal` are called."""
    _ = words(language)
    kinds = {"plain": _("without BN, rate {factor}"), "bn": _("with BN, rate {factor}")}
    called = {f"{kind}_x{f}": label.format(factor=times(f)) for kind, label in kinds.items() for f in FACTORS}
    return {"inception": name("inception", language)} | called


def best_names(language: str) -> dict[str, str]:
    """What the two networks of `best` are called."""
    _ = words(language)
    return {"inception": name("inception", language), "bn": _("BN, all changes")}


def there(view: dict, names: Iterable[str]) -> list[str]:
    """Those of the networks that are in a view: of a record that is not complete some are not."""
    return [name for name in names if name in view["networks"]]


def steps(view: dict, network: str, share: float = 1.0) -> list[float]:
    """For each seed the steps to a share of Inception's best accuracy, infinity for never.

    At the seeds that both have; of Inception itself, those to its own best in each seed.
    """
    pair = beside(view, network)
    if network == "inception" and share == 1:
        return curves.steps_to_own_peak(pair["networks"][network])
    return curves.steps_reaching(pair["networks"][network], share * curves.target(pair))


def target(view: dict, share: float = 1.0) -> str:
    """Inception's best accuracy, or a share of it, as a percentage."""
    return percent(share * curves.target(view))


def reference_lost(view: dict) -> bool:
    """Whether Inception diverged before it had any accuracy that others could be compared with."""
    return not np.isfinite(steps(view, "inception")).all()


def title(view: dict, network: str, language: str, sooner: str, never: str, **numbers: str) -> str:
    """How much sooner than Inception a network gets there, or that it does not in every seed.

    `sooner` and `never` are marked for translation and have as blanks the `numbers` and `target`, Inception's best
    accuracy; `sooner` also has `slow` and `fast`, the steps of both, and `ours`, how many times fewer.
    """
    _ = words(language)
    if reference_lost(view):
        return _(NOTHING_TO_COMPARE)
    if network not in view["networks"]:
        called = name(network, language) if network in NAMES else best_names(language)[network]
        return _(UNFINISHED).format(network=called)
    pair = beside(view, network)
    numbers |= {"target": target(pair)}
    slow, fast = (np.mean(steps(pair, one)) for one in ("inception", network))
    if math.isinf(fast):
        return _(never).format(**numbers)
    ours = number(curves.speed_up(pair, network).value)
    return _(sooner).format(slow=number(round(slow)), fast=number(round(fast)), ours=ours, **numbers)


def pace(view: dict, network: str, language: str) -> str:
    """How many times fewer steps than Inception a network needs to its best accuracy, or how many seeds get there."""
    _, called = words(language), name(network, language)
    if network not in view["networks"]:
        return _(UNFINISHED).format(network=called)
    there = np.isfinite(steps(view, network))
    if not there.all():
        part = _(
            "{network} comes to Inception's best accuracy in {seeds} of the seeds; in the paper, in {papers} times "
            "fewer steps."
        )
        seeds = ratio(there.sum(), there.size)
        return part.format(network=called, seeds=seeds, papers=papers_factor(network, language))
    whole = _("{network} comes to Inception's best accuracy in {factor} times fewer steps; in the paper, {papers}.")
    factor = with_interval(curves.speed_up(beside(view, network), network), 2)
    return whole.format(network=called, factor=factor, papers=papers_factor(network, language))


def papers_factor(network: str, language: str) -> str:
    """How many times fewer steps than Inception's, from the steps that the paper prints."""
    _, fewer = words(language), paper.FIGURE_3["inception"][0] / paper.FIGURE_3[network][0]
    return number(f"{fewer:.2f}" if network != "inception" else 1) if fewer else _("never")


def seeds_note(view: dict, called: Mapping[str, str], asked: Sequence[int], language: str) -> str:
    """How many seeds the networks have, by the names that they are `called`, if not all have those asked for."""
    _, groups = words(language), {}
    for network, found in view["networks"].items():
        groups.setdefault(len(found["validation"]), []).append(called[network])
    others = max(groups, key=lambda n: (len(groups[n]), n))
    if len(groups) == 1:
        said = _("Each network has {seeds}.").format(seeds=speech.seeds(others, language))
        return said if others != len(asked) else ""
    part = _("{n} of {names}")
    parts = [part.format(n=number(n), names=_.listed(groups[n])) for n in sorted(groups, reverse=True) if n != others]
    parts.append(_("{n} of each of the others").format(n=number(others)))
    return _("Seeds: {groups}.").format(groups=_.listed(parts, ";"))
