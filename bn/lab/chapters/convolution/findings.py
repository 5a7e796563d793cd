"""What chapter 04 found, for the first page of the book and for README."""

from bn.lab.chapters.convolution import figures


def findings(record: dict, language: str) -> list[str]:
    """What the places of a feature map are worth, and where BN stands."""
    return [figures.result(record, language)]
