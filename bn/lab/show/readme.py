"""What README.md takes from the committed records, between marks that say what stands there.

    <!-- findings en -->                   what was found, in one language, as on the first page of the book
    <!-- claims -->                        the table of claims with their verdicts
    <!-- caption activations figure1 -->   what a figure shows, in a line; the picture itself is drawn, too

Each mark ends with `<!-- /claims -->` and so on. `python -m bn.lab.show.readme` draws and writes all of it again; a
test sees to it that README is never behind.
"""

import re
from collections import Counter

from bn.lab import paths
from bn.lab.judge import verdicts
from bn.lab.judge.verdicts import Verdict
from bn.lab.show import pages, speech, style
from bn.lab.show.style import Drawing
from bn.lab.spec import LANGUAGES
from bn.lab.store import records

README = paths.ROOT / "README.md"
# GitHub shows the picture on a page of either colour and says which to the picture alone.
_PAGE_INK = "svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}"
_OF_A_KIND = {  # what shares a line
    "mathematics": "Mathematics: Algorithms 1 and 2, the six gradient equations, and what follows",
    "arithmetic": "The network of Figure 5, and the paper's arithmetic with its own numbers",
    "as stated": "What the authors say of their own networks and training",
    "open": "Conjectures, and what nothing published can decide",
}
MARK = re.compile(r"<!-- (?P<kind>caption|claims|findings)(?P<of>[ \w]*) -->\n.*?\n<!-- /(?P=kind) -->", re.S)


def filled(readme: str) -> str:
    """The text of README.md with what the records say between its marks."""
    return MARK.sub(
        lambda mark: f"<!-- {mark['kind']}{mark['of']} -->\n{_said(mark)}\n<!-- /{mark['kind']} -->", readme
    )


def pictures(readme: str) -> dict[str, str]:
    """The drawn figures of all captions in README.md: the name of each file in book/_static, and its SVG."""
    chosen = [mark["of"].split() for mark in MARK.finditer(readme) if mark["kind"] == "caption"]
    return {
        f"{name}-{language}.svg": poster(pages.drawing(chapter, name, language), language)
        for chapter, name in chosen
        for language in LANGUAGES
    }


def poster(drawing: Drawing, language: str) -> str:
    """The panels of a drawing side by side, in reading order, as one SVG file."""
    panels = [style.svg(panel, alt) for panel, alt in drawing.panels]
    if language == "ar":
        panels.reverse()
    sizes = [[float(v) for v in re.search(r'viewBox="([^"]+)"', panel)[1].split()[2:]] for panel in panels]
    x, placed = 0.0, ""
    for panel, (width, height) in zip(panels, sizes, strict=True):
        placed += panel.replace("<svg", f'<svg x="{x:g}" width="{width:g}" height="{height:g}"', 1)
        x += width
    height = max(height for _, height in sizes)
    links = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {links} viewBox="0 0 {x:g} {height:g}"><style>{_PAGE_INK}</style>{placed}</svg>\n'


def _said(mark: re.Match) -> str:
    if mark["kind"] == "claims":
        return _table()
    if mark["kind"] == "findings":
        return _findings(mark["of"].strip())
    chapter, name = mark["of"].split()
    drawing = pages.drawing(chapter, name, "en")
    size = speech.size(records.deciding(chapter), "en")
    return f"*{_plain(f'{drawing.title} {size} {drawing.note}')}*"


def _findings(language: str) -> str:
    """A numbered list; in Arabic as HTML, whose isolates keep the numbers in order."""
    said = pages.sentences(language)
    if language == "en":
        return "\n".join(f"{i}. {_plain(sentence)}" for i, sentence in enumerate(said, 1))
    return "\n".join(["<ol>", *(f"<li>{sentence}</li>" for sentence in said), "</ol>"])


def _table() -> str:
    """Every claim about training in full, or a line for its group; of the others a line for each kind."""
    judged = [verdicts.of_the_book(claim) for claim in pages.of_the_paper()]
    lines = ["| Claim | Section | We found | Verdict |", "|---|---|---|---|"]
    lines += [_in_full(v) for v in judged if not _group(v)]
    groups = dict.fromkeys(filter(None, map(_group, judged)))
    for name in (*(group for group in groups if group not in _OF_A_KIND), *_OF_A_KIND):
        lines.append(_together(_OF_A_KIND.get(name, name), [v for v in judged if name == _group(v)]))
    return "\n".join(lines)


def _group(verdict: Verdict) -> str | None:
    """What a claim shares a line with: its kind, its group, or nothing."""
    return verdict.claim.kind if verdict.claim.kind in _OF_A_KIND else verdict.claim.group


def _in_full(verdict: Verdict) -> str:
    found = pages.found_in_book(verdict, "en")
    measured = _plain(f"{'; '.join(found['lines'])} {found['size']}")
    cells = [verdict.claim.claim, verdict.claim.section, measured, _bold(verdict.verdict)]
    return f"| {' | '.join(cells)} |"


def _together(title: str, verdicts: list[Verdict]) -> str:
    sections = sorted({v.claim.section for v in verdicts} - {"A"})
    place = ", ".join([*sections, *["appendix"] * any(v.claim.section == "A" for v in verdicts)])
    counts = Counter(v.verdict for v in verdicts).most_common()
    tally = ", ".join(f"{_bold(name)} {count}" for name, count in counts)
    return f"| {title} | {place} | {len(verdicts)} statements | {tally} |"


def _bold(verdict: str) -> str:
    return f"**{speech.verdict(verdict, 'en')}**"


def _plain(text: str) -> str:
    """Without the isolates, which Markdown has no use for."""
    return re.sub("[\u2066-\u2069]", "", text).strip()


def main() -> None:
    """Draw the pictures and fill README.md."""
    readme = README.read_text(encoding="utf-8")
    for name, svg in pictures(readme).items():
        (paths.ROOT / "book" / "_static" / name).write_text(svg, encoding="utf-8")
    README.write_text(filled(readme), encoding="utf-8")


if __name__ == "__main__":
    main()
