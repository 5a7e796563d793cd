"""The errata page: where the source documents differ from the paper, slips of the paper, and the true tables.

The sentences are in book/errata.yml; the numbers in them are those of bn.lab.judge.errata.
"""

import math
import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import yaml
from IPython.display import HTML
from markupsafe import Markup

from bn.lab import paper, paths, quoted, registry
from bn.lab.judge import errata
from bn.lab.judge.errata import SOURCE_TABLE_1, SOURCE_TABLE_2, Sum
from bn.lab.show import html, numbers
from bn.lab.show.numbers import NONE, left_to_right
from bn.lab.show.words import N_, words

FILE = paths.ROOT / "book" / "errata.yml"
DOCUMENTS = {
    "abstract": N_("abstract"),
    "introduction": N_("introduction"),
    "application": N_("application section"),
    "experiments": N_("experiments section"),
    "conclusion": N_("conclusion"),
}
OF_THE_PAPER = "slips"  # the group that is not of the source documents
NAMES = {
    "inception": "Inception",
    "bn_baseline": "BN-Baseline",
    "bn_x5": "BN-x5",
    "bn_x30": "BN-x30",
    "bn_x5_sigmoid": "BN-x5-Sigmoid",
    "bn_inception": "BN-Inception",
}


@dataclass(frozen=True)
class Point:
    """An entry of book/errata.yml: where it stands, what is said there, what the paper says or what holds, a remark."""

    id: str
    says: str
    paper: str
    remark: str = ""
    documents: tuple[str, ...] = ()
    section: str = ""


@cache
def points() -> dict[str, list[Point]]:
    """The points of each group, in the order of the page."""
    content = yaml.safe_load(FILE.read_text("utf-8"))
    return {group: [Point(**entry) for entry in entries] for group, entries in content.items()}


def sentences() -> Iterator[tuple[str, str]]:
    """Every sentence to translate, and the point whose it is."""
    for point in (point for group in points().values() for point in group):
        yield from ((text, f"errata {point.id}") for text in (point.says, point.paper, point.remark) if text)


def part(language: str, group: str) -> str:
    """The points of a group as cards, each with an anchor; or the `tables` of the source documents beside the paper's.

    Raises KeyError.
    """
    if group == "tables":
        return tables(language)
    _, said = words(language), {**errata.sums(), **errata.values()}
    shown = [(point, _where(point, language), _filled(point, said, language)) for point in points()[group]]
    heads = (_("The document says"), _("The paper says"))
    if group == OF_THE_PAPER:
        heads = (_("The paper says"), _("What holds"))
    return html.render("errata", language, points=shown, heads=heads).data


def _where(point: Point, language: str) -> str:
    _ = words(language)
    if point.section == "A":
        return _("appendix")
    if point.section:
        return _("section {number}").format(number=numbers.number(point.section))
    return _.listed([_(DOCUMENTS[name]) for name in point.documents])


def _filled(point: Point, said: dict, language: str) -> dict[str, str]:
    """The three sentences in a language, with their numbers."""
    _, spoken = words(language), {name: _Spoken(value) for name, value in said.items()}
    texts = {"says": point.says, "paper": point.paper, "remark": point.remark}
    return {name: string.Formatter().vformat(_(text), (), spoken) for name, text in texts.items()}


class _Spoken:
    """A number or a sum in a sentence: `{share:.1%}` as Python formats it, `{fewer_x5}` in full, in an isolate."""

    def __init__(self, value: float | Sum) -> None:
        self.value = value

    def __format__(self, form: str) -> str:
        if isinstance(self.value, Sum):
            added = f" {self.value.sign} ".join(format(term, self.value.term) for term in self.value.terms)
            return left_to_right(f"{added} = {format(self.value.value, self.value.outcome)}")
        return left_to_right(format(self.value, form)) if form else numbers.number(self.value)


# ---- The tables of the source documents beside the paper's -----------------------------------------


def tables(language: str) -> str:
    """Their Table 1 beside Figure 3, their Table 2, and under it Figure 4."""
    return "".join(part.data for part in (_table_1(language), _table_2(language), _figure_4(language)))


def _table_1(language: str) -> HTML:
    """A row for each network, with what follows from its steps, and its rate from section 4.2.2."""
    _, rows = words(language), []
    head = [_("Network"), _("Million\nsteps,\nTable 1"), _("Million\nsteps,\nFigure 3"), _("Times\nfewer,\nFigure 3")]
    head += [_("Accuracy, %,\nTable 1"), _("Accuracy, %,\nFigure 3"), _("Rate")]
    slowest = paper.FIGURE_3["inception"][0]
    for name, (steps, best) in paper.FIGURE_3.items():
        said = SOURCE_TABLE_1.get(name, (None, None))
        fewer = slowest / steps if math.isfinite(steps) else None
        cells = [_marked(said[0], steps), _cell(steps, ".1f"), _cell(fewer, ".2f"), _marked(said[1], best)]
        rate = left_to_right(f"{quoted.RATES.get(name.removesuffix('_sigmoid'), paper.RATE):g}")
        called = Markup('<span class="bn-name">{}</span>').format(numbers.isolated(NAMES[name]))
        rows.append([called, *cells, _cell(best, ".1f"), rate])
    note = _(
        "Marked: the document differs from the paper. ∞: never. A dash: there is no number, or no difference is known. "
        "Times fewer: computed from the printed steps. Rates: section 4.2.2."
    )
    title = _("Table 1 of the document and Figure 3 of the paper")
    return html.render("stacked", language, head=head, rows=rows, title=title, note=note)


def _table_2(language: str) -> HTML:
    _, rows = words(language), []
    for name, row in SOURCE_TABLE_2.items():
        cells = [_cell(value, form) for value, form in zip(row, ("g", ".1f", ".2f"), strict=True)]
        rows.append([numbers.isolated(NAMES[name]), *cells])
    head = [_("Network"), _("Million\nsteps"), _("Top-5 error, %,\nvalidation"), _("Top-5 error, %,\ntest")]
    return html.render("stacked", language, head=head, rows=rows, title=_("Table 2 of the document"), note="")


def _figure_4(language: str) -> HTML:
    _, (head, rows, note) = words(language), registry.figures("ensemble").papers_figure4(language)
    return html.render("stacked", language, head=head, rows=rows, title=_("Figure 4 of the paper"), note=note)


def _marked(said: float | None, true: float) -> str:
    """What the document has, marked where the paper has something else."""
    shown = _cell(said, ".1f")
    return Markup("<mark>{}</mark>").format(shown) if said not in (None, true) else shown


def _cell(value: float | None, form: str) -> str:
    return NONE if value is None else left_to_right(format(value, form).replace("inf", "∞"))
