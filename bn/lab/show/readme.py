"""What README.md takes from the committed records: the picture at its head and the table of claims.

`python -m bn.lab.show.readme` draws and writes both again; a test sees to it that they are never behind.
"""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from bn.lab.judge import claims
from bn.lab.show import figures
from bn.lab import paths
from bn.lab.store import records
from bn.lab.show import html as show
from bn.lab.show.figures import Drawing
from bn.lab.show.text import VERDICTS

README = paths.ROOT / "README.md"
PICTURES = {language: paths.ROOT / "book" / "_static" / f"figure1-{language}.svg" for language in ("en", "ar")}
# GitHub shows the picture on a page of either colour and says which to the picture alone.
_INK = "svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}"

_IN_FULL = ("algorithm", "activations", "training_speed")
_TOGETHER: tuple[tuple[str, str, Callable[[dict], bool]], ...] = (
    (
        "The seven changes of the training, each alone, and six networks together",
        "4.2.1, 4.2.3",
        lambda claim: claim["kind"] == "empirical" and claim["experiment"] in ("ablations", "ensemble"),
    ),
    (
        "Algorithms 1 and 2, the six gradient equations and what follows from them",
        "3",
        lambda claim: claim["kind"] == "exact" and claim["experiment"] == "algorithm",
    ),
    (
        "The network of Figure 5, and the paper's arithmetic with its own numbers",
        "1, 4.2, appendix",
        lambda claim: claim["kind"] == "exact" and claim["experiment"] != "algorithm",
    ),
)


def poster(drawing: Drawing, language: str) -> str:
    """The panels of a drawing side by side, in reading order, as one SVG file."""
    panels = [show.svg(panel, alt) for panel, alt in drawing.panels]
    if language == "ar":
        panels.reverse()
    sizes = [[float(v) for v in re.search(r'viewBox="([^"]+)"', panel)[1].split()[2:]] for panel in panels]
    x, placed = 0.0, ""
    for panel, (width, height) in zip(panels, sizes, strict=True):
        placed += panel.replace("<svg", f'<svg x="{x:g}" width="{width:g}" height="{height:g}"', 1)
        x += width
    height = max(height for _, height in sizes)
    links = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {links} viewBox="0 0 {x:g} {height:g}"><style>{_INK}</style>{placed}</svg>\n'


def caption() -> str:
    """What the picture shows, in one line of Markdown."""
    record = records.committed("activations/paper")
    return f"*Figure 1, trained again. {_plain(show.caption(figures.figure1(record, 'en'), record, 'en'))}*"


def table() -> str:
    """The claims about Figures 1 to 3, as Markdown; others in one row for what they have in common."""
    verdicts = [show.judged(claim_id) for claim_id in claims.ledger()]
    lines = ["| Claim | Section | We found | Verdict |", "|---|---|---|---|"]
    for verdict in verdicts:
        if verdict.claim["kind"] == "empirical" and verdict.claim["experiment"] in _IN_FULL:
            found, label = show.found(verdict.claim["id"], "en"), VERDICTS[verdict.verdict][0]
            cells = [verdict.claim["claim"]["en"], verdict.claim["section"], _plain(found), f"**{label}**"]
            lines.append(f"| {' | '.join(cells)} |")
    for what, section, chosen in _TOGETHER:
        group = [verdict for verdict in verdicts if chosen(verdict.claim)]
        counts = Counter(VERDICTS[verdict.verdict][0] for verdict in group)
        tally = ", ".join(f"**{name}** {count}" for name, count in counts.most_common())
        lines.append(f"| {what} | {section} | {len(group)} statements | {tally} |")
    return "\n".join(lines)


def tuned() -> str:
    """The control: each network at the best setting of its own grid."""
    return _plain(figures.tuned(records.committed("activations/paper"), "en").title)


def filled(readme: str) -> str:
    """The text of README.md with what the records say between its marks."""
    for name, content in (("caption", caption()), ("claims", table()), ("tuned", tuned())):
        marks = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, rest = readme.split(marks[0])
        readme = f"{before}{marks[0]}\n{content}\n{marks[1]}{rest.split(marks[1])[1]}"
    return readme


def _plain(html: str) -> str:
    return re.sub(r"<[^>]+>", "", html.replace("<br>", "; ")).strip()


def main() -> None:
    """Draw the picture of each language and fill README.md."""
    record = records.committed("activations/paper")
    for language, path in PICTURES.items():
        Path(path).write_text(poster(figures.figure1(record, language), language), encoding="utf-8")
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
