"""The figure of section 3: why the normalized input of a sigmoid is scaled and shifted again."""

import numpy as np
from scipy import stats

from bn.lab.show.numbers import number, percent
from bn.lab.show.style import COLOURS, INK, LINES, Drawing, legend, panel, styled
from bn.lab.show.words import words

_STDS = {"r2_unit": 1, "r2_wide": 5}  # of the sigmoid's input, by the name of R² in the record


def sigmoid_regime(record: dict, language: str) -> Drawing:
    """A sigmoid and its best line under an input of variance 1 and of variance 25 (section 3)."""
    _, x, panels = words(language), np.linspace(-12, 12, 481), []
    g = 1 / (1 + np.exp(-x))
    with styled():
        for std in _STDS.values():
            density = stats.norm.pdf(x, scale=std)
            slope = (density * x * g).sum() / (density * x * x).sum()
            title = _("input with variance {variance}").format(variance=number(std**2))
            axes = panel(title, language)
            axes.fill_between(x, density / density.max() * 0.35, color=COLOURS["bn"], alpha=0.25, linewidth=0)
            axes.plot(x, 0.5 + slope * x, color=COLOURS["bn"], linestyle=LINES["plain"], label=_("best line"))
            axes.plot(x, g, color=INK, label=_("sigmoid"))
            axes.set(ylim=(-0.05, 1.05), xlabel=_("input x"))
            legend(axes, language, "upper left")
            panels.append((axes.figure, f"{title}: " + _.listed([_("sigmoid"), _("best line")])))
    note = _("Shaded: how often each input occurs. The numbers are R² of the best line.")
    return Drawing(tuple(panels), _title(record, language), note, trained=False)


def _title(record: dict, language: str) -> str:
    _, measured = words(language), record["measured"]["sigmoid-linear-regime"]
    unit, wide = (percent(measured[name][0]) for name in _STDS)
    one, many = (number(std**2) for std in _STDS.values())
    sentence = _(
        "A straight line explains {unit} of a sigmoid whose input has variance {one}, and {wide} at variance {many}."
    )
    return sentence.format(unit=unit, wide=wide, one=one, many=many)
