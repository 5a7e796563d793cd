"""The figure of section 3.4 on the loss that the noise of mini-batches adds, beside the law for small noise."""

import numpy as np
from matplotlib.ticker import FuncFormatter

from bn.lab.chapters.regularization import estimates
from bn.lab.chapters.regularization.figures import points, sizes_axis
from bn.lab.judge import statistics
from bn.lab.show import numbers
from bn.lab.show.numbers import number
from bn.lab.show.style import COLOURS, QUIET, Drawing, legend, panel, styled
from bn.lab.show.words import words

LAW = -1  # the power of the size by which the added loss falls where the noise is small (Luo et al., 2018)


def penalty(record: dict, language: str) -> Drawing:
    """By how much the statistics of mini-batches raise the loss of a trained network, by their size."""
    _ = words(language)
    title, found = _("Loss by the noise"), record["noise"]
    sizes, by_seed = np.array(found["sizes"]), np.array(found["penalty"], float)
    positive = (by_seed > 0).all(0)
    left_out = zip(sizes[~positive], by_seed[:, ~positive].T, strict=True)
    sizes, by_seed = sizes[positive], by_seed[:, positive]
    at = estimates.PENALTY_SIZES
    with styled():
        axes = panel(title, language)
        mean, low, high = np.exp(statistics.mean_curve(np.log(by_seed)))
        axes.plot(sizes, mean, color=COLOURS["bn"], marker="o", markersize=4)
        axes.fill_between(sizes, low, high, color=COLOURS["bn"], alpha=0.2, linewidth=0)
        if at[1] in sizes:
            line = mean[sizes == at[1]] * at[1] / sizes
            axes.plot(sizes, line, color=QUIET, linewidth=1, label=numbers.left_to_right("1 / m"))
            legend(axes, language, "upper right")
        sizes_axis(axes, sizes, language)
        axes.set(yscale="log", ylabel=_("added loss, nats"))
        axes.yaxis.set_major_formatter(FuncFormatter(_power_of_ten))
    note = _(
        "Mean loss on the training images by the statistics of random mini-batches, less that at inference, of the "
        "network with BN and without Dropout: geometric mean over seeds with its 95% interval. The power is that "
        "between {least} and {most} examples. Grey: inversely proportional to the size."
    ).format(least=number(at[0]), most=number(at[-1]))
    left_out = [_left_out(size, added, language) for size, added in left_out]
    note = " ".join([note, *_against_the_law(record, language), *left_out])
    drawn = ((axes.figure, f"{title}: " + _("added loss, nats")),)
    return Drawing(drawn, _penalty_title(record, language), note)


def _left_out(size: int, added: np.ndarray, language: str) -> str:
    """A size at which the noise lowers the loss of some seed, for which a logarithmic axis has no place."""
    _ = words(language)
    sentence = _(
        "Left out, since a logarithmic axis has no place for a loss that the noise lowers: {size} examples, where it is"
        " lower in {lower} of {all} seeds, by {least} to {most} nats."
    )
    lower = -added[~(added > 0)]
    return sentence.format(
        size=number(int(size)),
        lower=number(len(lower)),
        all=number(len(added)),
        least=numbers.scientific(lower.min()),
        most=numbers.scientific(lower.max()),
    )


def _against_the_law(record: dict, language: str) -> list[str]:
    """Whether the power of the law for small noise lies in the interval of the one measured; nothing without one."""
    _, exponent = words(language), estimates.penalty(record)["exponent"]
    if not np.isfinite(exponent.low):
        return []
    if exponent.low <= LAW <= exponent.high:
        said = _("The interval of the power contains {law}, the law of Luo et al. for small noise.")
    else:
        said = _("The interval of the power leaves out {law}, the law of Luo et al. for small noise.")
    return [said.format(law=number(LAW))]


def _power_of_ten(value: float, _position: int) -> str:
    return f"10{numbers.superscript(round(np.log10(value)))}"


def _penalty_title(record: dict, language: str) -> str:
    _, exponent = words(language), estimates.penalty(record)["exponent"]
    if not np.isfinite(exponent.value):
        return _("Large mini-batches add no loss that can be told from none.")
    said = _("The loss that the noise adds falls as the size of the mini-batch to the power {exponent}.")
    return said.format(exponent=points(exponent))
