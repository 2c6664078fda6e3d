"""Predicted against observed probability of the event by one time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmtool.io.writers.figure import COLORS, GREY, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
_SIZE = (5.2, 6.1)  # inches
_LEFT, _SIDE, _FOOT, _LOW, _GAP = 0.75, 4.3, 0.5, 0.6, 0.12  # of the square and what lies beneath
_BINS = 40


@dataclass(frozen=True)
class ObservedGroup:
    """Patients of like prediction.

    Attributes:
        patients: How many.
        predicted: Mean predicted probability of the event.
        observed: What was seen; NaN if nobody was followed for so long.
        low: Lower end of its interval.
        high: Upper end.
    """

    patients: int
    predicted: float
    observed: float
    low: float
    high: float


def write_calibration(
    path: Path,
    groups: Sequence[ObservedGroup],
    predicted: Floats,
    *,
    title: str,
    caption: str,
) -> None:
    """Draw the groups with their intervals, the diagonal, and where the predictions lie.

    Args:
        path: Target PNG.
        groups: In any order; those without an observation are left out.
        predicted: (N,) probability of each patient.
        title: Above the plot.
        caption: Beneath the title, e.g. how many patients.
    """
    seen = [g for g in groups if np.isfinite(g.observed)]
    top = max([g.high for g in seen] + [float(v) for v in predicted], default=1.0)
    end = min(1.0, max(0.1, np.ceil(top * 10.5) / 10))

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        wide, high = _SIZE
        bottom = _FOOT + _LOW + _GAP
        left, width = _LEFT / wide, _SIDE / wide
        above = figure.add_axes((left, bottom / high, width, _SIDE / high))
        below = figure.add_axes((left, _FOOT / high, width, _LOW / high), sharex=above)
        figure.text(left, 1 - 0.28 / high, title, fontsize=11)
        figure.text(left, 1 - 0.48 / high, caption, color=GREY, fontsize=8)
        above.plot([0, end], [0, end], color=GREY, linestyle=(0, (4, 3)), lw=1)
        _points(above, seen)
        above.set_xlim(-0.02 * end, 1.02 * end)
        above.set_ylim(-0.02 * end, 1.02 * end)
        above.set_ylabel("observed probability of the event (Kaplan-Meier)")
        above.tick_params(labelbottom=False)
        below.hist(predicted, bins=_BINS, range=(0, end), color=COLORS[0], alpha=0.6)
        below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        below.set_ylabel("patients")
        below.set_xlabel("predicted probability of the event")

    write_figure(path, _SIZE, draw)


def _points(axes: Axes, groups: Sequence[ObservedGroup]) -> None:
    if not groups:
        words = "nobody was followed for so long"
        axes.text(0.65, 0.1, words, transform=axes.transAxes, ha="center", color=GREY)
        return
    x, y, low, high = (
        np.array([getattr(g, name) for g in groups])
        for name in ("predicted", "observed", "low", "high")
    )
    axes.errorbar(x, y, yerr=(y - low, high - y), fmt="o", color=COLORS[0], ms=5, lw=1.2, capsize=2)
