"""What a reader sees of HTML and of drawings."""

import re
from collections import Counter
from html import unescape

from matplotlib.text import Text


def bare(text: str) -> str:
    """The text without its isolates, and with ordinary spaces."""
    return re.sub("[\u2066-\u2069]", "", text).replace("\xa0", " ")


def words(html: str) -> str:
    """Without tags, and without where the numbers come from."""
    return bare(unescape(re.sub("<[^>]*>", " ", re.sub("<details.*?</details>", "", html, flags=re.S))))


def plain(html: str) -> str:
    """All of it in one line, for comparison."""
    text = re.sub("<[^>]*>", "", re.sub("<(td|th|br|small)", r" <\1", html))
    return re.sub(r"\s+", " ", bare(unescape(text))).strip()


def rows(html: str) -> list[str]:
    """The rows of all tables, each in one line, the heads among them."""
    return [plain(row) for row in re.findall("<tr>(.*?)</tr>", html, re.S)]


def numbers(title: str) -> list[str]:
    """The numbers of a sentence in their order, each of which stands in an isolate."""
    return re.findall("\u2066(.*?)\u2069", title)


def labels(drawing) -> str:
    """All text of the panels, their alternatives, the title and the note."""
    texts = [text.get_text() for panel, _ in drawing.panels for text in panel.findobj(Text)]
    return bare(" ".join([*texts, *(alt for _, alt in drawing.panels), drawing.title, drawing.note]))


def has(found: list[str], expected: list[str], language: str) -> bool:
    """Whether these numbers stand in a text in this order; in Arabic in any, among names that are isolated as well."""
    return found == expected if language == "en" else not Counter(expected) - Counter(found)
