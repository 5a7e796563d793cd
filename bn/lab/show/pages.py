"""What the pages of the book take from the committed records: a chapter's figure, the tally of verdicts, the ledger."""

from collections import Counter

from bn.lab import registry
from bn.lab.judge import verdicts
from bn.lab.judge.verdicts import Verdict
from bn.lab.show import errata, html, numbers, places, speech, undecided
from bn.lab.show.fineprint import small_print
from bn.lab.show.forest import of_the_book
from bn.lab.show.style import Drawing
from bn.lab.store import claims, records
from bn.lab.store.claims import Claim


def part(language: str, name: str, *options: str) -> str:
    """The HTML of a part of a page: one of PARTS, such as `figure CHAPTER NAME` or `errata GROUP`. Raises KeyError."""
    return PARTS[name](language, *options)


def figure(language: str, chapter: str, name: str) -> str:
    """A figure of a chapter from the record that decides; nothing where there is none."""
    record = records.deciding(registry.experiment(chapter).name)
    return html.figure(drawing(chapter, name, language), record, language).data if record else ""


def drawing(chapter: str, name: str, language: str) -> Drawing:
    """The same, drawn and not yet HTML."""
    return getattr(registry.figures(chapter), name)(records.deciding(chapter), language)


def findings(language: str) -> str:
    """What the book found, in plain sentences; nothing of a chapter that no record decides."""
    return html.render("findings", language, sentences=sentences(language)).data


def sentences(language: str) -> list[str]:
    """The findings of the chapters that have some."""
    of_chapters = {name: registry.findings(name) for name in registry.names() if records.deciding(name)}
    return [said for name, find in of_chapters.items() if find for said in find(records.deciding(name), language)]


def tally(language: str) -> str:
    """How many claims of the paper have which verdict; none of those that no claim has."""
    counts = Counter(verdicts.of_the_book(claim).verdict for claim in of_the_paper())
    shown = {name: counts[name] for name in verdicts.OF_THE_PAPER if counts[name]}
    return html.render("tally", language, counts=shown).data


def forest(language: str) -> str:
    """All measured claims against their limits."""
    return of_the_book(language).data


def ledger(language: str) -> str:
    """Every claim of the paper with its verdict, the small print of it, and what an earlier rule had decided."""
    chapters = {claim.experiment for claim in of_the_paper()}
    holm = {name: verdicts.holm(map(verdicts.of_the_book, claims.of_chapter(name))) for name in chapters}
    found = [
        (verdict, found_in_book(verdict, language), small_print(verdict, holm[verdict.claim.experiment], language))
        for verdict in map(verdicts.of_the_book, of_the_paper())
    ]
    return html.render("ledger", language, found=found, numbers=numbers).data


def of_the_paper() -> list[Claim]:
    """The claims in the ledger: all but those of later papers and our own targets."""
    return [claim for claim in claims.ledger().values() if claim.of_the_paper]


def found_in_book(verdict: Verdict, language: str) -> dict:
    """What the record that decides says of a claim; see `speech.found`."""
    return speech.found(verdict, records.deciding(verdict.claim.experiment), language)


PARTS = {
    "figure": figure,
    "findings": findings,
    "tally": tally,
    "forest": forest,
    "ledger": ledger,
    "errata": errata.part,
    "sections": places.sections,
    "map": places.parts,
    "undecided": undecided.table,
}
