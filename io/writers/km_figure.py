"""Kaplan-Meier curves of groups, with intervals and numbers at risk."""

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
_WIDTH, _PLOT, _ROW = 7.0, 4.2, 0.2  # inches: of the figure, of the plot, of a line of numbers
_TICKS = 200  # of the censored that are drawn in full colour
_LEFT, _RIGHT, _TITLE, _FOOT = 1.3, 0.25, 0.45, 0.55


@dataclass(frozen=True)
class CurveOfGroup:
    """One group.

    Attributes:
        name: E.g. ``low risk``.
        times: (U,) ascending, > 0, at which the curve may step.
        survival: (U,) from each time on.
        low: (U,) lower end of the interval.
        high: (U,) upper end.
        patient_times: (N,) of all patients of the group.
        censored: (C,) those of the censored.
    """

    name: str
    times: Floats
    survival: Floats
    low: Floats
    high: Floats
    patient_times: Floats
    censored: Floats


def write_km(
    path: Path, groups: Sequence[CurveOfGroup], *, title: str, unit: str, caption: str
) -> None:
    """Draw the curves, ticks where patients were censored, intervals and numbers at risk.

    Args:
        path: Target PNG.
        groups: At most four.
        title: Above the plot.
        unit: Of time, e.g. ``months``; may be empty.
        caption: Beside it, e.g. the p of the log-rank test.
    """
    below = _FOOT + _ROW * (len(groups) + 1.5)
    above = _TITLE + _ROW * ((len(groups) + 1) // 2)
    height = above + _PLOT + below

    def draw(figure: Figure) -> None:
        wide = (_WIDTH - _LEFT - _RIGHT) / _WIDTH
        axes = figure.add_axes((_LEFT / _WIDTH, below / height, wide, _PLOT / height))
        for k, group in enumerate(groups):
            _curve(axes, group, k)
        last = max((float(g.patient_times.max()) for g in groups), default=1.0)
        axes.set_xlim(0, last * 1.02)
        axes.set_ylim(0, 1.02)
        axes.set_ylabel("probability without the event")
        axes.set_xlabel(f"time ({unit})" if unit else "time")
        # above the plot, where no curve can be
        if groups:
            axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.99), ncols=2, handlelength=1.5)
        top = 1 - 0.28 / height
        figure.text(_LEFT / _WIDTH, top, title, fontsize=11)
        figure.text(1 - _RIGHT / _WIDTH, top, caption, color=GREY, ha="right")
        _numbers(axes, groups)

    write_figure(path, (_WIDTH, height), draw)


def _curve(axes: Axes, group: CurveOfGroup, number: int) -> None:
    last = float(group.patient_times.max())
    x = np.concatenate([[0.0], group.times, [last]])
    survival, low, high = (
        np.concatenate([[1.0], y, y[-1:]]) for y in (group.survival, group.low, group.high)
    )
    color = COLORS[number]
    died = len(group.patient_times) - len(group.censored)
    label = f"{group.name}: {died:,} / {len(group.patient_times):,} events"
    axes.fill_between(x, low, high, step="post", color=color, alpha=0.13, linewidth=0)
    axes.step(x, survival, where="post", color=color, lw=1.5, label=label)
    place = np.searchsorted(x[:-1], group.censored, "right") - 1
    faint = min(1.0, max(0.15, _TICKS / max(1, len(group.censored))))  # many would hide the curve
    axes.plot(
        group.censored,
        survival[place],
        "|",
        color=color,
        alpha=faint,
        markersize=5,
        markeredgewidth=0.7,
    )


def _numbers(axes: Axes, groups: Sequence[CurveOfGroup]) -> None:
    """Numbers at risk beneath the ticks of time."""
    from matplotlib.transforms import ScaledTranslation, blended_transform_factory

    figure = axes.figure
    ticks = [t for t in axes.get_xticks() if 0 <= t <= axes.get_xlim()[1]]
    axes.set_xticks(ticks)
    under = blended_transform_factory(axes.transData, axes.transAxes)
    edge = blended_transform_factory(axes.transAxes, axes.transAxes)
    for row in range(len(groups) + 1):
        down = ScaledTranslation(0, -_FOOT - _ROW * row, figure.dpi_scale_trans)
        if not row:
            axes.text(0, 0, "patients at risk", transform=edge + down, color=GREY, va="center")
            continue
        group = groups[row - 1]
        name = ScaledTranslation(-0.32, 0, figure.dpi_scale_trans)
        axes.text(0, 0, group.name, transform=edge + down + name, ha="right", va="center")
        for tick in ticks:
            left = int((group.patient_times >= tick).sum())
            axes.text(tick, 0, f"{left:,}", transform=under + down, ha="center", va="center")
