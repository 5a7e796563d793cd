"""Translation catalogues: every English sentence of the pages, the programs and the claims, merged into book/locale/ar.

python book/_ext/catalogues.py --out build

A new sentence comes out untranslated, an edited one fuzzy, and one that is nowhere any more goes. `lab.po` has what
bn.lab prints, `claims.po` the ledger's page, all claims, the errata and the map, the others a page each.
"""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from assemble import BOOK, NOTEBOOKS, assemble, jupyter_book
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from bn.lab.judge import replaced
from bn.lab.show import errata, places
from bn.lab.store import claims

LAB = BOOK.parent / "bn" / "lab"
ARABIC = BOOK / "locale" / "ar" / "LC_MESSAGES"
KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2)}
EPOCH = datetime.fromtimestamp(0, UTC)
METHODS = [("**/templates/**.html", "jinja2"), ("**.py", "python")]


def of_programs() -> Catalog:
    """What bn.lab says: gettext's calls in its modules and templates, each with its file."""
    found = Catalog(charset="utf-8", creation_date=EPOCH)  # so that only a new sentence changes a catalogue
    for file, _, message, _, _ in sorted(extract_from_dir(LAB, METHODS, keywords=KEYWORDS), key=lambda row: row[:2]):
        found.add(message, locations=[((LAB / file).relative_to(BOOK.parent).as_posix(), 1)])
    return found


def of_claims() -> Iterator[tuple[str, str]]:
    """Every sentence of the claims files, and of the verdicts by rules that were replaced; and whose it is."""
    for claim in claims.ledger().values():
        earlier = [old.verdict.claim for old in replaced.of(claim)]
        reasons = [old.why for old in replaced.of(claim)]
        for said in (claim, *earlier):
            words = (said.claim, said.paper, said.measure, said.found, *(line.label for line in said.rule))
            yield from ((text, claim.id) for text in words if text)
        yield from ((why, claim.id) for why in reasons)


def templates(out: Path) -> Path:
    """Extract every sentence to translate: one .pot a catalogue, in the folder that is returned."""
    tree = assemble("en", NOTEBOOKS, out / "book" / "gettext")
    jupyter_book(tree, "--builder", "custom", "--custom-builder", "gettext")
    folder = tree / "_build" / "gettext"
    ledger = _read(folder / "claims.pot")
    for text, whose in chain(of_claims(), errata.sentences(), places.sentences()):
        ledger.add(text, auto_comments=[whose])
    _write(folder / "claims.pot", ledger)
    _write(folder / "lab.pot", of_programs())
    return folder


def merge(pots: Path, folder: Path = ARABIC) -> None:
    """Merge new and changed sentences into the catalogues of a folder, where a translator finds them."""
    for template in sorted(pots.glob("*.pot")):
        path = folder / f"{template.stem}.po"
        catalogue = _read(path, "ar") if path.exists() else _empty()
        catalogue.update(_read(template))
        catalogue.obsolete.clear()
        _tidy(catalogue)
        _write(path, catalogue)


def _empty() -> Catalog:
    """A catalogue of one header, that of lab.po: Babel's own has the plurals of Arabic in another order."""
    catalogue = _read(ARABIC / "lab.po", "ar")
    for message in [message for message in catalogue if message.id]:
        catalogue.delete(message.id)
    return catalogue


def _tidy(catalogue: Catalog) -> None:
    """Replace the template header, and Babel's guesses at format strings, by what is true."""
    catalogue.header_comment = "# Arabic edition of Batch Normalization, reproduced."
    catalogue.project, catalogue.last_translator, catalogue.language_team = "bn", "", ""
    catalogue.fuzzy = False
    for message in catalogue:
        message.flags -= {"python-brace-format", "python-format"}


def _read(path: Path, locale: str | None = None) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=locale, charset="utf-8")


def _write(path: Path, catalogue: Catalog) -> None:
    with path.open("wb") as file:
        write_po(file, catalogue, width=110, include_lineno=False)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build"))
    merge(templates(parser.parse_args().out))


if __name__ == "__main__":
    main()
