"""What chapter 09 found, in a sentence for the first page of the book and for README."""

from bn.lab.chapters.ablations.figures import clearly
from bn.lab.show.numbers import number
from bn.lab.show.words import words


def findings(record: dict, language: str) -> list[str]:
    """Which of the seven changes matter."""
    _, used = words(language), record["training_images"]["used"]
    sentence = _(
        "Of the seven changes that make BN-x5, these clearly raise its final accuracy on a set of {images} images, in "
        "percentage points: {up}. These clearly lower it: {down}."
    )
    said = {"up": clearly(record, 1, language), "down": clearly(record, -1, language)}
    return [sentence.format(images=number(used), **said)]
