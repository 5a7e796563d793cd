"""The figures of section 4.1, from made-up records."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from bn.lab.show import figures


def luminance(colour) -> float:
    """Relative luminance of WCAG 2.2."""
    c = np.array(to_rgb(colour))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("language", ["en", "ar"])
def test_every_number_of_the_grid_can_be_read(language):
    """At 102 accuracies: contrast of 4.5 to the cell, where a network has an accuracy."""
    accuracies = [[k / 100, k / 100] for k in range(101)] + [[None, None]]
    table = {"rates": list(range(1, 18)), "weight_stds": list(range(1, 7)), "steps": 10, "seeds": [0, 1]}
    drawing = figures.grid({"grid": table | {"plain": accuracies, "bn": accuracies}}, language)
    for panel, _ in drawing.panels:
        axes = panel.axes[0]
        cells = {tuple(path.get_extents().p0): colour for path, colour in _cells(axes)}
        assert len(axes.texts) == 101 and len(cells) == 102
        for text in axes.texts:
            x, y = text.get_position()
            light, dark = sorted(map(luminance, (cells[int(x), int(y)][:3], text.get_color())), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, text.get_text()


def _cells(axes):
    """The corner of each cell and its colour."""
    (mesh,) = axes.collections
    return zip(mesh.get_paths(), mesh.get_facecolors(), strict=True)
