"""Where each part of the paper is in the book: its sections with their verdicts, and its figures and equations.

book/map.yml says what there is. A chapter without a folder has no link, and a claim that no ledger has no verdict.
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache

import yaml

from bn.lab import paths, registry
from bn.lab.judge import verdicts
from bn.lab.judge.verdicts import Verdict
from bn.lab.show import html, numbers
from bn.lab.show.words import words
from bn.lab.store import claims, records

FILE = paths.ROOT / "book" / "map.yml"


@cache
def content() -> dict[str, list[dict]]:
    """`sections` and `parts` of book/map.yml."""
    return yaml.safe_load(FILE.read_text("utf-8"))


def sentences() -> Iterator[tuple[str, str]]:
    """Every sentence to translate, and the section whose it is."""
    for row in content()["sections"]:
        yield row["title"], f"section {row['section']}"
    for row in content()["parts"]:
        yield row["part"], f"section {row['section']}"


def named() -> set[str]:
    """Every chapter that book/map.yml names."""
    chapters = {name for row in content()["sections"] for name in row["chapters"]}
    return chapters | {row["chapter"] for row in content()["parts"]}


def sections(language: str) -> str:
    """The sections of the paper, each with its chapters and how many of its claims have which verdict."""
    judged = [verdicts.of_the_book(claim) for claim in claims.ledger().values() if claim.of_the_paper]
    rows = []
    for row in content()["sections"]:
        here = [verdict for verdict in judged if verdict.claim.section == row["section"]]
        chapters = dict.fromkeys([*row["chapters"], *(verdict.claim.experiment for verdict in here)])
        rows.append((row, [link for link in map(link_of, chapters) if link], counted(here)))
    return html.render("sections", language, rows=rows, section=section).data


def parts(language: str) -> str:
    """The figures, algorithms and equations: where each is looked at, what decides it, what makes it again."""
    return html.render("map", language, rows=list(_parts()), section=section).data


def _parts() -> Iterator[tuple[dict, dict | None, str, str, dict[str, int]]]:
    """Each part with the link to its chapter, the file of the record that decides, its command and its verdicts."""
    for row in content()["parts"]:
        name, known = row["chapter"], claims.ledger()
        judged = [verdicts.of_the_book(known[claim_id]) for claim_id in row["claims"] if claim_id in known]
        link = link_of(name, row.get("anchor", ""))
        record = records.deciding(name)
        decides = f"book/records/{name}/{record['scale']}.json" if record else ""
        yield row, link, decides, command(record, link), counted(judged)


def command(record: dict | None, link: dict | None) -> str:
    """What makes a record again; without one, what runs the notebook."""
    if record:
        return record["provenance"]["command"]
    return f"papermill {link['notebook']} out.ipynb" if link else ""


def link_of(chapter: str, anchor: str = "") -> dict | None:
    """The `number`, page (`href`) and `notebook` of a chapter; None where it has no folder or no notebook."""
    try:
        file = registry.notebook(chapter) if chapter in registry.names() else None
    except LookupError:
        file = None
    if file is None:
        return None
    number, place = file.stem[:2], f"#{anchor}" if anchor else ""
    return {
        "number": numbers.left_to_right(number),
        "href": f"{file.stem}.html{place}",
        "notebook": f"notebooks/{file.name}",
    }


def section(name: str, language: str) -> str:
    """The number of a section, or the word for the appendix."""
    _ = words(language)
    return _("appendix") if name == "A" else numbers.number(name)


def counted(judged: list[Verdict]) -> dict[str, int]:
    """How many have which verdict, in the usual order; none of those that there are not."""
    counts = Counter(verdict.verdict for verdict in judged)
    return {name: counts[name] for name in verdicts.OF_THE_PAPER if counts[name]}
