"""The picture at the head of README.md: Figure 1 from the committed record, for light and dark pages.

`python -m bn.lab.poster` draws it again, in both languages.
"""

import re
from pathlib import Path

from bn.lab import figures, paths, records, show
from bn.lab.figures import Drawing

PICTURES = {language: paths.ROOT / "book" / "_static" / f"figure1-{language}.svg" for language in ("en", "ar")}
# GitHub shows the picture on a page of either colour and says which to the picture alone.
_INK = "svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}"


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


def main() -> None:
    """Write the picture of each language."""
    record = records.committed("activations/paper")
    for language, path in PICTURES.items():
        Path(path).write_text(poster(figures.figure1(record, language), language), encoding="utf-8")
        print(path.relative_to(paths.ROOT))


if __name__ == "__main__":
    main()
