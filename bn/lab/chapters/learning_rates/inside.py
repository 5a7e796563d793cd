"""The figures of what goes on inside: small changes, singular values of Jacobians, and gradients of a deep network."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from bn.lab.chapters.learning_rates.estimates import MOMENTS, amplification, explosion, looked, singular_values
from bn.lab.chapters.learning_rates.figures import NAMES, by_depth, within
from bn.lab.chapters.learning_rates.record import NEAR
from bn.lab.judge import statistics
from bn.lab.show import numbers, speech
from bn.lab.show.numbers import number, percent
from bn.lab.show.style import COLOURS, INK, LINES, QUIET, Drawing, legend, legend_below, panel, short, styled
from bn.lab.show.words import N_, words

WHEN = {"first": N_("before the training"), "last": N_("after it")}
CHANGES = {"activations": N_("Activations"), "gradients": N_("Gradients")}
YANG = math.sqrt(math.pi / (math.pi - 1))  # by layer, of ReLUs (Yang et al., 2019)
_SMALLEST = 0.02  # singular value that is drawn: those of ReLUs that are off are 0


def activations(record: dict, language: str) -> Drawing:
    """How many times larger than itself a small change of the first weights arrives in the last layer, by depth."""
    _, found = words(language), amplification(record)
    sentence = _(
        "At {depth} hidden layers a small change of the first weights arrives {bn_first} times as large with BN and "
        "{plain_first} times without before the training, {bn_last} and {plain_last} times after it."
    )
    note = _(
        "The first weights are changed at random by a thousandth of their norm: relative change of the inputs of the "
        "last hidden nonlinearities, over the thousandth."
    )
    return _changes(record, language, "activations", sentence, found, note)


def gradients(record: dict, language: str) -> Drawing:
    """How many times as much as the first weights the gradient with respect to all weights changes, by depth."""
    _, found = words(language), amplification(record)
    sentence = _(
        "At {depth} hidden layers the gradient changes {bn_first} times as much as the first weights with BN and "
        "{plain_first} times without before the training, {bn_last} and {plain_last} times after it."
    )
    note = _("Relative change of the gradient with respect to all weights, over the thousandth of the first weights.")
    return _changes(record, language, "gradients", sentence, found, note)


def _changes(record: dict, language: str, name: str, sentence: str, found: dict, note: str) -> Drawing:
    _, depths, panels = words(language), record["looked"]["depths"], []
    values = {(n, moment): looked(record, n, moment, name) for n in NAMES for moment in MOMENTS}
    with styled():
        for moment in MOMENTS:
            title = _.listed([_(CHANGES[name]), _(WHEN[moment])])
            axes = panel(title, language)
            axes.axhline(1, color=QUIET, linewidth=0.8)
            for network in NAMES:
                by_depth(axes, depths, values[network, moment], network, _(NAMES[network]))
            within(axes, *values.values())
            axes.set(xlabel=_("hidden layers"), ylabel=_("relative change, times"))
            _plain_ticks(axes)
            legend(axes, language, "best")
            panels.append((axes.figure, title))
    said = {f"{n}_{moment}": number(found[f"{name}_{moment}_{n}"].value) for n, moment in values}
    title = sentence.format(depth=number(depths[-1]), **said)
    return Drawing(tuple(panels), title, f"{note} {_how(record, language)}", part="looked")


def _how(record: dict, language: str) -> str:
    _, table = words(language), record["looked"]
    sentence = _(
        "Below {one} a change has become smaller. Geometric mean over seeds with its 95% interval. Trained for "
        "{steps}, at these rates by depth: plain {plain}, with BN {bn}."
    )
    rates = {name: _.listed([number(float(rate)) for rate in table[name]["rates"]]) for name in NAMES}
    return sentence.format(one=number(1), steps=speech.steps(table["steps"], language), **rates)


def _plain_ticks(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(short))
    axes.yaxis.set_minor_formatter(NullFormatter())


def spectra(record: dict, language: str) -> Drawing:
    """Singular values of the Jacobians from layer to layer, in order, before the training and after it."""
    _, table, panels = words(language), record["looked"], []
    kinds = {"linear": (_("mean Jacobian"), 1.9), "singular": (_("single examples"), 1.0)}
    with styled():
        for moment in MOMENTS:
            title = _("Singular values {when}").format(when=_(WHEN[moment]))
            axes = panel(title, language)
            axes.axhspan(1 / NEAR, NEAR, color=QUIET, alpha=0.15, linewidth=0)
            axes.axhline(1, color=INK, linewidth=0.8)
            for kind, (said, width) in kinds.items():
                for network in ("plain", "bn"):
                    below = np.array(table[network][moment][kind]["below"][-1], float)
                    style = {"color": COLOURS[network], "linestyle": LINES[network], "linewidth": width}
                    label = _.listed([_(NAMES[network]), said])
                    axes.plot(table["shares"], np.where(below > 0, below, np.nan), label=label, **style)
            axes.set(yscale="log", xlim=(0, 1), ylim=(_SMALLEST, 10))
            axes.set(xlabel=_("share of the singular values below"), ylabel=_("singular value"))
            _plain_ticks(axes)
            legend_below(axes, language)
            panels.append((axes.figure, title))
    return Drawing(tuple(panels), _spectra_title(record, language), _spectra_note(record, language), part="looked")


def _spectra_title(record: dict, language: str) -> str:
    _, found = words(language), singular_values(record)
    sentence = _(
        "Near {one} are {bn_first} of the singular values with BN and {plain_first} without before the training, "
        "{bn_last} and {plain_last} after it."
    )
    values = {f"{n}_{m}": percent(found[f"linear_near_{n}_{m}"].value, 0) for m in MOMENTS for n in ("bn", "plain")}
    return sentence.format(one=number(1), **values)


def _spectra_note(record: dict, language: str) -> str:
    _ = words(language)
    sentence = _(
        "From each of {depth} hidden layers to the next, between vectors normalized over a mini-batch, all layers "
        "together, mean over seeds. Shaded: from {low} to {high}, which is called near {one}. The title is of the mean "
        "Jacobians. About half of the singular values of a single example are {zero} and not drawn: its ReLUs are off."
    )
    ends = {"low": number(1 / NEAR), "high": number(NEAR), "one": number(1), "zero": number(0)}
    return sentence.format(depth=number(record["looked"]["depths"][-1]), **ends)


def deepest(record: dict, language: str) -> Drawing:
    """The gradient with respect to each layer's inputs over that of the last, in a deep network that is not trained."""
    _, table = words(language), record["deepest"]
    layers, title = np.arange(1, table["depth"] + 1), _("Gradient before any training")
    norms = {name: np.array(table[name]["gradient"], float) for name in NAMES}
    ratios = {name: norm / norm[:, -1:] for name, norm in norms.items()}
    with styled():
        axes = panel(title, language)
        theirs = YANG ** (table["depth"] - layers)
        axes.plot(layers, theirs, color=QUIET, linewidth=1.0, label=_("infinitely wide, with BN"))
        for name, ratio in ratios.items():
            mean, low, high = np.exp(statistics.mean_curve(np.log(ratio)))
            axes.plot(layers, mean, color=COLOURS[name], linestyle=LINES[name], label=_(NAMES[name]))
            axes.fill_between(layers, low, high, color=COLOURS[name], alpha=0.2, linewidth=0)
        within(axes, theirs, *ratios.values())
        axes.set(xlim=(1, table["depth"]), xlabel=_("hidden layer"), ylabel=_("over that of the last"))
        _plain_ticks(axes)
        legend_below(axes, language)
    found = explosion(record)
    sentence = _("On its way back the gradient grows {bn} times by layer with BN and {plain} times without.")
    values = {name: numbers.with_interval(found[f"layer_{name}"], 3) for name in ("bn", "plain")}
    note = _(
        "Norm of the gradient of the loss with respect to the inputs of each layer's nonlinearities, over that of the "
        "last layer, geometric mean over seeds with its 95% interval; first weights by He et al. Infinitely wide: the "
        "factor {factor} by layer of Yang et al. (2019)."
    ).format(factor=number(YANG))
    return Drawing(((axes.figure, title),), sentence.format(**values), note, trained=False)
