"""Words in the reader's language: English stands where it is used, Arabic in book/locale/ar, found by gettext.

>>> _ = words("en")
>>> _("the {name} network").format(name="plain")
'the plain network'
>>> _.ngettext("{n} seed", "{n} seeds", 1).format(n=1)
'1 seed'

A function that shows something begins with `_ = words(language)`. `N_` marks a sentence that stands in a table of
sentences and is looked up later. `snakemake catalogues` extracts all of them; where one was edited, its Arabic turns
fuzzy, is not used any more, and a test fails. In a catalogue <bdi>…</bdi> keeps a number or a name left to right, as
in those of the pages; here it becomes a Unicode isolate, which serves pages and figures alike.
"""

import gettext
import io
from functools import cache

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from bn.lab import paths

CATALOGUES = ("lab", "claims")  # what programs print, and the ledger with its claims
_LRI, _PDI = "\u2066", "\u2069"
_ARABIC = {",": "،", ";": "؛"}


def N_(message: str) -> str:
    """The message itself, marked for translation."""
    return message


class Words:
    """The translations of one language: call it with an English sentence."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._found = gettext.NullTranslations()
        for name in () if language == "en" else reversed(CATALOGUES):
            catalogue = _compiled(language, name)
            catalogue.add_fallback(self._found)
            self._found = catalogue

    def __call__(self, message: str) -> str:
        """The sentence in this language; in English where there is no translation."""
        return _isolated(self._found.gettext(message)) if message else ""  # gettext's own answer is the header

    def ngettext(self, one: str, many: str, n: int) -> str:
        """The sentence for a count of `n`, which agrees with it: Arabic has six forms."""
        return _isolated(self._found.ngettext(one, many, n))

    def listed(self, items: list[str], sign: str = ",") -> str:
        """Items in a row, with the comma or the semicolon of the language."""
        return f"{_ARABIC[sign] if self.language == 'ar' else sign} ".join(items)


@cache
def words(language: str) -> Words:
    """The translations of a language, read once."""
    return Words(language)


def _compiled(language: str, name: str) -> gettext.GNUTranslations:
    """A catalogue as gettext reads it; what is fuzzy is left out."""
    binary, path = io.BytesIO(), paths.LOCALE / language / "LC_MESSAGES" / f"{name}.po"
    if not path.exists():
        raise FileNotFoundError(f"the words of language {language!r} are in {path}, which is not there")
    with path.open("rb") as file:
        write_mo(binary, read_po(file, locale=language))
    binary.seek(0)
    return gettext.GNUTranslations(binary)


def _isolated(message: str) -> str:
    return message.replace("<bdi>", _LRI).replace("</bdi>", _PDI)
