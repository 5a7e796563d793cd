"""How results are shown, in the reader's language: figures, tables and cards in HTML, pages of the book, README.

`cards`, `errors`, `figure`, `forest`, `result`, `table` and `text` are what notebooks call.
"""

from bn.lab.show.forest import forest
from bn.lab.show.html import cards, errors, figure, result, table, text

__all__ = ["cards", "errors", "figure", "forest", "result", "table", "text"]
