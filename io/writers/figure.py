"""Figures as PNG: the same bytes for the same data, whatever the user's own settings."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmtool.io.atomic import replace_into

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of Okabe and Ito: told apart by all kinds of colour vision, and by their lightness in print.
COLORS = ("#0072B2", "#E69F00", "#D55E00", "#000000")
GREY = "#666666"
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "legend.frameon": False,
    "text.parse_math": False,  # names of groups and units are words, not formulas
}
_DPI = 150


def write_figure(path: Path, inches: tuple[float, float], draw: Callable[[Figure], None]) -> None:
    """Draw on an empty figure and save it.

    Neither pyplot nor a display is used, and what matplotlib changes while drawing is put back.

    Args:
        path: Target PNG.
        inches: Width and height, at 150 pixels an inch.
        draw: Fills the figure.
    """
    # Where HOME can't be written, matplotlib keeps its list of fonts in a temporary folder and
    # says so in its log: nothing that a user of ours could act on.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=inches, dpi=_DPI)
        FigureCanvasAgg(figure)
        draw(figure)
        with replace_into(path) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})
