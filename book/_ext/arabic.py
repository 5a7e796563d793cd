"""What neither Sphinx nor its theme has for Arabic: right to left, and a search that knows the script."""

import re
from pathlib import Path

from sphinx.search import SearchLanguage, languages

# ---- Right to left -------------------------------------------------------------------------------
# The theme's style sheets say left and right. Said as start and end, they hold in both directions, and
# code, which stays left to right inside an Arabic page, keeps its own start.
PROPERTY = r"(?<=[{;])(\s*)"
LOGICAL = [
    (PROPERTY + r"(margin|padding)-left\s*:", r"\1\2-inline-start:"),
    (PROPERTY + r"(margin|padding)-right\s*:", r"\1\2-inline-end:"),
    (PROPERTY + r"border-left(-\w+)?\s*:", r"\1border-inline-start\2:"),
    (PROPERTY + r"border-right(-\w+)?\s*:", r"\1border-inline-end\2:"),
    (PROPERTY + r"border-top-left-radius\s*:", r"\1border-start-start-radius:"),
    (PROPERTY + r"border-top-right-radius\s*:", r"\1border-start-end-radius:"),
    (PROPERTY + r"border-bottom-left-radius\s*:", r"\1border-end-start-radius:"),
    (PROPERTY + r"border-bottom-right-radius\s*:", r"\1border-end-end-radius:"),
    (PROPERTY + r"left\s*:", r"\1inset-inline-start:"),
    (PROPERTY + r"right\s*:", r"\1inset-inline-end:"),
    (PROPERTY + r"(text-align|justify-content)\s*:\s*left", r"\1\2:start"),
    (PROPERTY + r"(text-align|justify-content)\s*:\s*right", r"\1\2:end"),
    (PROPERTY + r"(float|clear)\s*:\s*left", r"\1\2:inline-start"),
    (PROPERTY + r"(float|clear)\s*:\s*right", r"\1\2:inline-end"),
    (r"inset (max\([^)]*\)) 0", r"inset calc(-1*\1) 0"),  # the mark at the side of the current page
    # Four sides in one value have no logical form: mirror them.
    (
        PROPERTY + r"(margin|padding|border-width)\s*:\s*([^\s;}()]+) ([^\s;}()]+) ([^\s;}()]+) ([^\s;}()]+)",
        r"\1\2:\3 \6 \5 \4",
    ),
]
SHIFT = r"translate(X?)\((-?)(?=[\d.])"  # nor has a shift along the line: change its sign


def logical(css: str) -> str:
    """A style sheet in terms of start and end instead of left and right."""
    for pattern, replacement in LOGICAL:
        css = re.sub(pattern, replacement, css)
    return re.sub(SHIFT, lambda m: f"translate{m[1]}({'' if m[2] else '-'}", css)


# Words that the theme's templates and scripts hold in English with no way to translate them.
FIXED = {
    "Toggle primary sidebar": "الشريط الجانبي",
    "Toggle secondary sidebar": "محتويات الصفحة",
    'aria-label="Main"': 'aria-label="فصول الكتاب"',
    'aria-label="Page"': 'aria-label="محتويات الصفحة"',
    "'Copy'": "'انسخ'",
    "'Copy to clipboard'": "'انسخ'",
    "'Copied!'": "'نُسخت'",
    "'Failed to copy'": "'تعذّر النسخ'",
}


def turn(app, exception):
    """Turn the finished pages and the theme's style sheets right to left."""
    if exception or app.config.language != "ar" or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    for page in [*Path(app.outdir).rglob("*.html"), static / "copybutton.js"]:
        html = page.read_text(encoding="utf-8").replace("<html ", '<html dir="rtl" ', 1)
        for english, arabic in FIXED.items():
            html = html.replace(english, arabic)
        page.write_text(html, encoding="utf-8")
    for sheet in static.rglob("*.css"):
        if sheet.name != "book.css":
            sheet.write_text(logical(sheet.read_text(encoding="utf-8")), encoding="utf-8")


# ---- Search --------------------------------------------------------------------------------------
# A light stemmer (after Larkey's "light10"): letters that are written in two ways become one, then
# the article and the commonest endings go. The same patterns run in Python, for the index, and in the
# browser, for the query.
MARKS = "[\\u064b-\\u065f\\u0670\\u0640]"  # vowel marks and the stretching line
STEPS = [
    (MARKS, ""),
    ("[أإآٱ]", "ا"),
    ("ى", "ي"),
    ("ة", "ه"),
    ("^(?:وال|بال|كال|فال|ولل|ال|لل|و)(?=.{3})", ""),
    ("(?<=.{3})(?:ها|هم|ان|ات|ون|ين|يه)$", ""),
    ("(?<=.{3})[هي]$", ""),
]


class ArabicSearch(SearchLanguage):
    """Index Arabic words by their stem."""

    lang = "ar"
    language_name = "Arabic"
    js_splitter_code = f"""
var splitQuery = (query) => query.replace(/{MARKS}/gu, "").split(/[^\\p{{Letter}}\\p{{Number}}_]+/gu)
  .filter((word) => word);
"""
    js_stemmer_code = f"""
var Stemmer = function () {{
  const steps = [{", ".join(f'[/{pattern}/gu, "{to}"]' for pattern, to in STEPS)}];
  this.stemWord = (word) => steps.reduce((stem, [pattern, to]) => stem.replace(pattern, to), word);
}};
"""

    def split(self, text: str) -> list[str]:
        return super().split(re.sub(MARKS, "", text))

    def stem(self, word: str) -> str:
        for pattern, to in STEPS:
            word = re.sub(pattern, to, word)
        return word


def setup(app):
    languages["ar"] = ArabicSearch
    app.connect("build-finished", turn)
    return {"parallel_read_safe": True}
