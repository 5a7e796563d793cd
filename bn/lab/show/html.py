"""HTML for notebooks and pages by the templates in this folder: figures, cards, tables, provenance.

Templates escape whatever is put into them; what is HTML already is `Markup`. The class names are dressed by the book's
style sheet; without it, in a notebook, the HTML stands on its own.
"""

from collections.abc import Iterable

from IPython.display import HTML
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bn.lab.judge import verdicts
from bn.lab.judge.parts import sized
from bn.lab.show import numbers, speech, style
from bn.lab.show.style import Drawing
from bn.lab.show.words import words

_TEMPLATES = Environment(
    loader=PackageLoader("bn.lab.show"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, language: str, **values) -> HTML:
    """A template in the language asked for, in a block that has its direction."""
    _ = words(language)
    text = _TEMPLATES.get_template(f"{template}.html").render(_=_, language=language, speech=speech, **values)
    return HTML(text.strip())


def figure(drawing: Drawing, record: dict, language: str) -> HTML:
    """A drawing with its title, the size of the run, a note, and the provenance strip."""
    panels = [Markup(style.svg(panel, alt)) for panel, alt in drawing.panels]
    size = speech.size(sized(record, drawing.part), language) if drawing.trained else ""
    return render("figure", language, panels=panels, drawing=drawing, size=size, **_strip(record, language))


def cards(record: dict, claim_ids: list[str], language: str) -> HTML:
    """For each claim two cards: what the paper says, what this record found."""
    judged = [verdicts.judge(claim_id, record) for claim_id in claim_ids]
    found = [(verdict, speech.found(verdict, record, language)) for verdict in judged]
    return render("cards", language, found=found)


def result(sentence: str, record: dict, language: str) -> HTML:
    """What a chapter found, in a sentence, and behind it smaller of which run that is: the one that decides, or this.

    A chapter of which the book has no record falls back to the run of its notebook.
    """
    small = f"{speech.whose(record, language)} {speech.size(record, language)}"
    return render("text", language, body=Markup("<strong>{}</strong>").format(sentence), small=small)


def errors(record: dict, claim_ids: list[str], language: str) -> HTML:
    """A table of claims: the statement, what was measured, its rule, and the verdict."""
    judged = [verdicts.judge(claim_id, record) for claim_id in claim_ids]
    return render("errors", language, judged=judged, numbers=numbers, **_strip(record, language))


def table(
    head: list[str], rows: Iterable[list], record: dict | None, language: str, title: str = "", note: str = ""
) -> HTML:
    """A table of cells, which may be Markup, with the provenance strip of its record under it, if it has one.

    `title` says what is seen; `note` stands below. A line break in a head is kept.
    """
    return render("table", language, head=head, rows=list(rows), title=title, note=note, **_strip(record, language))


def text(body: str, language: str, small: str = "") -> HTML:
    """A paragraph in the direction of its language, and behind it smaller what is said by the way."""
    return render("text", language, body=body, small=small)


def _strip(record: dict | None, language: str) -> dict:
    """The values of the provenance strip: in one line who, where and when; unfolded, everything."""
    return {"provenance": speech.provenance(record, language) if record else None}
