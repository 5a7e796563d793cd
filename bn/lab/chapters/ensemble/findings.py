"""What chapter 10 found, for the first page of the book and for README."""

from bn.lab.chapters.ensemble import figures
from bn.lab.show.words import words


def findings(record: dict, language: str) -> list[str]:
    """What six networks give, and what many crops give."""
    _ = words(language)
    return [_("{found} All of that is on small photographs.").format(found=figures.result(record, language))]
