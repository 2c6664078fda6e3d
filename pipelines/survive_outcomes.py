"""Which outcomes can be used, and what is done with times that are none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmtool.survival import Outcome


def usable(outcome: Outcome) -> tuple[Outcome, NDArray[np.int64], list[str]]:
    """Outcomes whose time is above zero, those who have one, and notes.

    A time of 0 becomes half the shortest one: the event was that day. A negative one is none.
    """
    time = outcome.time.copy()
    notes = []
    unknown, negative = int(np.isnan(time).sum()), int((time < 0).sum())
    zero = time == 0
    positive = time[time > 0]
    if zero.any() and len(positive):
        time[zero] = positive.min() / 2
        notes.append(f"{int(zero.sum())} times of 0 are taken as half the shortest time")
    if negative:
        notes.append(f"{negative} patients with a negative time are left out")
    if unknown:
        notes.append(f"{unknown} patients without an outcome are left out")
    keep = np.flatnonzero(np.nan_to_num(time, nan=-1.0) > 0)
    return Outcome(time, outcome.event), keep, notes


_DAYS = {"days": 1.0, "months": 30.4375, "years": 365.25}
_FAR = 8.0  # medians of follow-up that are further apart are probably of different units


def in_unit(outcome: Outcome, unit: str, other: Outcome, wanted: str) -> tuple[Outcome, list[str]]:
    """Outcomes in the unit of others, as far as names tell; and notes.

    Args:
        outcome: Known outcomes.
        unit: Of their times, or ``""``.
        other: Outcomes whose unit is wanted.
        wanted: That unit, or ``""``.
    """
    if unit in _DAYS and wanted in _DAYS:
        if unit == wanted:
            return outcome, []
        factor = _DAYS[unit] / _DAYS[wanted]
        return Outcome(outcome.time * factor, outcome.event), [f"{unit} are taken as {wanted}"]
    ratio = float(np.median(outcome.time) / np.median(other.time)) if len(outcome) else 1.0
    if not 1 / _FAR < ratio < _FAR:
        known = f" ({wanted})" if wanted else ""
        return outcome, [
            f"times are {ratio:.2g} times those of the model's training patients{known}: are they "
            "of another unit?"
        ]
    return outcome, []
