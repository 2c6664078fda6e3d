"""Which of two label maps of a scan is better, and what is doubtful in one.

The answer is antisymmetric by construction: each map is scored by the same rules on the same
region, and only the weighted difference of the scores decides. So there is no order to confirm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import GeometryError, UsageError
from mmtool.io.limits import Limits
from mmtool.io.readers import read_volume
from mmtool.pipelines.critic_reference import MARGIN, STRUCTURES, WEIGHTS
from mmtool.pipelines.critic_rules import (
    RULES,
    Reference,
    Shape,
    estimate_centre,
    expected,
    intensity_scores,
    measure_shapes,
    score_shapes,
    wrong_sides,
    z_of_place,
    z_of_size,
)
from mmtool.pipelines.evaluation.label_maps import (
    LabelMap,
    on_grid_of,
    read_label_map,
    read_names,
    same_grid,
)

SCHEMA = 1
AUTO, NONE = "auto", "none"
_FAR = 3.0  # standard deviations from which on a size or a place is told
_LOOSE = 0.05  # share of voxels outside the largest piece that is told
_BORDER = 0.02
_GAPS = 0.03
# Without reference cases these rules know nothing and count for nothing.
_NEED_REFERENCE = ("size", "side", "place")


@dataclass(frozen=True)
class Opinion:
    """Of one label map.

    Attributes:
        scores: Rule -> 0 to 1, higher is better.
        total: Mean of the scores by the weights of the rules.
        doubts: Plain sentences.
    """

    scores: dict[str, float]
    total: float
    doubts: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """Of one or two label maps.

    Attributes:
        better: ``A``, ``B`` or ``unsure``; empty for a single map.
        probability_a: That A is better, by the fit on corrupted label maps; None for a single map.
        opinions: Of A, and of B.
        weights: Rule -> weight.
        structures: Reference that was used.
    """

    better: str
    probability_a: float | None
    opinions: tuple[Opinion, ...]
    weights: dict[str, float]
    structures: str

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        named = dict(zip("AB", self.opinions, strict=False))
        out: dict[str, Any] = {"schema": SCHEMA, "structures": self.structures}
        if self.probability_a is not None:
            out |= {"better": self.better, "probability_a": round(self.probability_a, 4)}
        out["rules"] = {
            rule: {
                "weight": self.weights[rule],
                **{n: round(o.scores[rule], 4) for n, o in named.items()},
            }
            for rule in RULES
        }
        out["total"] = {n: round(o.total, 4) for n, o in named.items()}
        out["doubts"] = {n: list(o.doubts) for n, o in named.items()}
        return out


def judge(
    data: NDArray[Any],
    affine: NDArray[np.float64],
    masks: Sequence[NDArray[np.integer]],
    *,
    structures: str = NONE,
    asked: Iterable[int] | None = None,
    names: Mapping[int, str] | None = None,
) -> Verdict:
    """Judge one label map, or two of the same scan.

    Args:
        data: (I, J, K) intensities.
        affine: (4, 4) voxel to RAS+ mm.
        masks: One or two label maps on that grid.
        structures: Key of ``STRUCTURES``, or ``none``.
        asked: Label indices that the maps could hold; by default all that two maps hold, or, of
            one map, all that the reference knows.
        names: Label index -> name, for the doubts.

    Example:
        >>> scan = np.zeros((9, 9, 9)); scan[3:6, 3:6, 3:6] = 1
        >>> good, bad = (scan > 0).astype(np.uint8), np.zeros((9, 9, 9), np.uint8)
        >>> judge(scan, np.eye(4), [bad, good]).better
        'B'
    """
    reference = STRUCTURES.get(structures, {})
    shapes = [measure_shapes(m, affine) for m in masks]
    if asked is None:
        held = {i for s in shapes for i in s}
        asked = held if len(masks) > 1 else held | set(reference)
    due = sorted(asked)
    weights = {r: 0.0 if r in _NEED_REFERENCE and not reference else WEIGHTS[r] for r in RULES}
    finite = np.nan_to_num(data, nan=0.0, posinf=0.0, neginf=0.0)
    fits = intensity_scores(finite, masks)
    known = {i: r.name for i, r in reference.items()} | dict(names or {})
    opinions = []
    for found, fit in zip(shapes, fits, strict=True):
        scores = score_shapes(found, reference, due, data.shape, affine) | {"intensity": fit}
        total = sum(weights[r] * scores[r] for r in RULES) / sum(weights.values())
        centre = estimate_centre(found, reference)
        absent = set(expected(due, reference, centre, found, data.shape, affine)) - found.keys()
        doubts = _doubts(found, reference, centre, sorted(absent), known)
        opinions.append(Opinion(scores, total, tuple(doubts)))
    if len(opinions) < 2:
        return Verdict("", None, tuple(opinions), weights, structures)
    one, two = (o.scores for o in opinions)
    lead = sum(weights[r] * (one[r] - two[r]) for r in RULES)
    better = "unsure" if abs(lead) < MARGIN else "A" if lead > 0 else "B"
    return Verdict(better, 1 / (1 + math.exp(-lead)), tuple(opinions), weights, structures)


def _doubts(
    shapes: Mapping[int, Shape],
    reference: Mapping[int, Reference],
    centre: NDArray[np.float64] | None,
    absent: Sequence[int],
    names: Mapping[int, str],
) -> list[str]:
    def name(index: int) -> str:
        return names.get(index, f"label {index}")

    out = [f"{name(i)} is not there, though its place lies in the view" for i in absent]
    out += [f"left and right {pair} are swapped" for pair in wrong_sides(shapes, reference)[0]]
    for index, shape in shapes.items():
        known = reference.get(index)
        if known and abs(z_of_size(shape, known)) > _FAR:
            usual = math.exp(known.log_ml[0])
            out.append(f"{name(index)} has {shape.ml:.3g} mL, usual are about {usual:.3g}")
        if known and centre is not None and z_of_place(shape, known, centre) > _FAR:
            out.append(f"{name(index)} lies off its usual place among the others")
        if shape.loose > _LOOSE + (known.loose if known else 0.0):
            share = f"{100 * shape.loose:.0f} %"
            out.append(f"{name(index)} lies in {shape.pieces} pieces, {share} outside the largest")
        if shape.border > _BORDER:
            out.append(f"{name(index)} is cut by the edge of the scan")
        if shape.gaps > _GAPS:
            out.append(f"{name(index)} has a gap between its slices")
    return out


def judge_files(
    scan: Path,
    masks: Sequence[Path],
    *,
    structures: str = AUTO,
    resample: bool = False,
    limits: Limits | None = None,
) -> Verdict:
    """Judge label maps on disk.

    Args:
        scan: The scan.
        masks: One or two label maps; a ``labels.tsv`` beside them says what they could hold.
        structures: ``auto``, ``none``, or a key of ``STRUCTURES``.
        resample: Bring label maps on another grid to that of the scan.
        limits: Of the readers.

    Raises:
        UsageError: Not one or two maps, or unknown structures.
        InputError: Unreadable, no label map, or on another grid.
    """
    if not 1 <= len(masks) <= 2:
        raise UsageError(f"{len(masks)} masks", "give --mask once or twice")
    if structures not in (AUTO, NONE, *STRUCTURES):
        raise UsageError(
            f"no reference for '{structures}'", f"there are: {', '.join((AUTO, NONE, *STRUCTURES))}"
        )
    volume = read_volume(scan, limits=limits)
    grid = LabelMap(np.zeros(volume.shape, np.uint16), volume.affine, scan)
    read = [read_label_map(p, limits) for p in masks]
    for mask in read:
        if not same_grid(grid, mask) and not resample:
            raise GeometryError(
                f"{mask.path}: not on the grid of the scan", "--resample brings it there"
            )
    labels = [on_grid_of(grid, m, resample=resample) for m in read]
    names: dict[int, str] = {}
    for path in masks:
        table = path.parent / "labels.tsv"
        names |= read_names(table) if table.is_file() else {}
    held = {int(i) for m in labels for i in np.unique(m)} - {0}
    chosen = _choose(held, names) if structures == AUTO else structures
    return judge(
        volume.data,
        volume.affine,
        labels,
        structures=chosen,
        asked=held | names.keys() if names else None,
        names=names,
    )


def _choose(held: set[int], names: Mapping[int, str]) -> str:
    """Reference whose labels these are: by their names, or three or more by their indices."""
    for key, reference in STRUCTURES.items():
        if names and all(reference.get(i) and reference[i].name == n for i, n in names.items()):
            return key
    brain = STRUCTURES["brain"].keys()
    return "brain" if not names and len(held) >= 3 and held <= brain else NONE
