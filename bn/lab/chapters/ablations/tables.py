"""The tables of notebook 09: what each change gives in numbers, and whether shuffling needs BN."""

import math

import numpy as np
from IPython.display import HTML
from markupsafe import Markup

from bn.lab.chapters.ablations import estimates
from bn.lab.chapters.ablations.figures import NAMES, PARTS, how, more_overfitting, with_sign
from bn.lab.judge import curves, statistics
from bn.lab.show import html, numbers, seeds, speech
from bn.lab.show.numbers import NONE, isolated, percent
from bn.lab.show.words import words
from bn.lab.train.recipes import CHANGES


def changes(record: dict, language: str) -> HTML:
    """For each change, alone and left out, what it gives: in accuracy, in steps to Inception's best, in overfitting."""
    _, networks = words(language), record["networks"]
    head = [_("Change"), _("Alone:\ngain, points"), _("Alone:\ntimes fewer steps"), _("Left out:\ngain, points")]
    head += [_("Left out:\ntimes fewer steps"), _("Left out:\ngap wider, points")]
    rows = []
    for change in CHANGES:
        name = _small(_(NAMES[change]), how(record, change, language))
        given = [cell for part in PARTS for cell in _given(record, part, change, language)]
        rows.append([name, *given, with_sign(more_overfitting(record, "left_out", change))])
    note = _(
        "Gain: in final test accuracy. Times fewer: the steps to Inception's best validation accuracy, {target}, "
        "without the change over those with it; a seed that never gets there counts its whole training. Gap: between "
        "training and test images. All with 95% intervals over the seeds; below them the accuracies, and how many of "
        "the seeds get there, without the change and with it. For comparison: {compared}."
    ).format(
        target=percent(curves.target(record)),
        compared=_.listed(
            [
                f"{isolated(name)} {_accuracy(networks[network], language)}"
                for name, network in (("Inception", "inception"), ("BN-Baseline", "bn_baseline"), ("BN-x5", "bn_x5"))
            ],
            ";",
        ),
    )
    said = (speech.size(record, language), note, speech.own_best(networks["inception"], language))
    return html.table(head, rows, record, language, note=" ".join(filter(None, said)))


def shuffling(record: dict, language: str) -> HTML:
    """Without BN and with it, in the same mini-batches and in new ones: does shuffling need BN?"""
    _, found = words(language), estimates.shuffling(record)
    plain, networks = record["plain"], record["networks"]
    gains = {"bn": statistics.mean(estimates.gains(record, "alone", "shuffling")), "plain": found["plain_gain"]}
    gains |= {"more": found["more_than_plain"], "bn_x5": found["change_gain"]}
    said = {name: with_sign(gain) for name, gain in gains.items()}
    pairs = {
        "plain": (_("Without BN: Inception"), plain["inception"], plain["shuffling"]),
        "bn": (_("With BN: BN-Baseline"), networks["bn_baseline"], record["alone"]["shuffling"]),
    }
    rows = [[name, *(_accuracy(net, language) for net in pair), said[key]] for key, (name, *pair) in pairs.items()]
    rows.append([_("With BN less without"), NONE, NONE, said["more"]])
    head = [_("Network"), _("The same\nmini-batches, %"), _("Shuffled, %"), _("Gain, points")]
    title = _("Shuffling adds {bn} points with BN and {plain} without; the difference is {more}.").format(**said)
    note = _(
        "Final test accuracy after as many steps and with all else equal: mean over seeds with its 95% interval. To "
        "BN-x5, after all other changes, shuffling adds {bn_x5}. In the paper, about one point with BN."
    ).format(**said)
    return html.table(head, rows, record, language, title=title, note=f"{speech.size(record, language)} {note}")


def _given(record: dict, part: str, change: str, language: str) -> list[Markup]:
    """What a change gives in accuracy, and in steps; in small print of whom, without the change and with it."""
    _, (after, before) = words(language), estimates.compared(record, part, change)
    arrow = _("{before} → {after}")
    gain, fewer = statistics.mean(estimates.gains(record, part, change)), curves.times_fewer(record, before, after)
    level = curves.target(record)
    there = [np.isfinite(curves.steps_reaching(network, level)) for network in (before, after)]
    times = numbers.with_interval(fewer, 2) if np.any(there) and math.isfinite(fewer.value) else NONE
    ends, counts = (_end(before, language), _end(after, language)), [numbers.ratio(t.sum(), t.size) for t in there]
    shown = zip((with_sign(gain), times), (ends, counts), strict=True)
    return [_small(text, arrow.format(before=below[0], after=below[1])) for text, below in shown]


def _end(network: dict, language: str) -> str:
    """Mean final test accuracy, or in how many of the seeds the network diverged."""
    ends = 100 * statistics.mean(curves.finals(network)).value
    return seeds.diverged(curves.diverged(network), language) or numbers.left_to_right(f"{ends:.1f}%")


def _accuracy(network: dict, language: str) -> str:
    """Final test accuracy in percent with its interval."""
    return seeds.mean([100 * share for share in curves.finals(network)], language, 1)


def _small(text: str, below: str) -> Markup:
    return Markup("{}<br><small>{}</small>").format(text, below)
