"""How well ``brain`` labels synthetic scans of label maps that it never saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmtool.pipelines.evaluation.overlap import Interval, bootstrap_mean, dice_per_label
from mmtool.pipelines.inference import BrainSegmenter
from mmtool.pipelines.training.brain import SIZE, load_codes
from mmtool.pipelines.training.brain_labels import CLASSES, build_lookup, sided_table
from mmtool.pipelines.training.brain_options import split_maps
from mmtool.pipelines.training.synthesis import Sample, SynthesisOptions, synthesise

CONTRASTS = {
    "T1-like": SynthesisOptions(t1_like=1.0, inverted=0.0, crop=0.0),
    "random": SynthesisOptions(t1_like=0.0, inverted=0.0, crop=0.0),
}
_AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


@dataclass(frozen=True)
class BrainScore:
    """Scores of one kind of contrast.

    Attributes:
        contrast: Key of ``CONTRASTS``.
        model: Mean Dice over all structures with sides.
        atlas: The same for the atlas baseline.
        structures: Structure -> mean Dice of the model.
        swapped_sides: Share of sided voxels that were given the right class on the wrong side.
    """

    contrast: str
    model: Interval
    atlas: Interval
    structures: dict[str, float]
    swapped_sides: float

    def to_json(self) -> dict[str, Any]:
        """Plain dict."""
        return asdict(self)


def evaluate_brain(
    segmenter: BrainSegmenter,
    maps: Path,
    *,
    holdout: int = 4,
    scans: int = 5,
    seed: int = 1,
    report: Callable[[str], None] | None = None,
) -> list[BrainScore]:
    """Score on held-out maps, beside an atlas that is told where the brain lies.

    Args:
        segmenter: The loaded model.
        maps: Folder of label maps as for training.
        holdout: As in training: every ``holdout``-th map is scored, the others make the atlas.
        scans: Scans drawn from each held-out map and contrast.
        seed: Of the drawn scans; training uses other ones.
        report: Called with a line for each map.

    Returns:
        One score for each contrast.
    """
    kept, held = split_maps(maps, holdout)
    atlas = build_atlas([load_codes(p) for p in kept])
    scores = []
    for kind, options in CONTRASTS.items():
        model, base, swaps = [], [], []
        for number, path in enumerate(held):
            codes = load_codes(path)
            rows, atlas_rows = [], []
            for scan in range(scans):
                rng = np.random.default_rng([seed, 7, number, scan])
                sample = synthesise(codes, SIZE, options, rng)[0]
                truth = sided_labels(sample)
                found = segmenter(sample.image.numpy(), _AFFINE).labels
                rows.append(_row(truth, found))
                atlas_rows.append(_row(truth, fit_atlas(atlas, truth)))
                swaps.append(_swapped(truth, found))
            model.append(rows)
            base.append(atlas_rows)
            if report:
                report(f"{kind} {path.name}: Dice {np.nanmean(rows):.3f}")
        table = np.array(model)  # (maps, scans, structures)
        scores.append(
            BrainScore(
                kind,
                bootstrap_mean([list(np.nanmean(m, -1)) for m in table]),
                bootstrap_mean([list(np.nanmean(m, -1)) for m in np.array(base)]),
                dict(zip(_names(), np.nanmean(table, (0, 1)).round(4).tolist(), strict=True)),
                float(np.mean(swaps)),
            )
        )
    return scores


def sided_labels(sample: Sample) -> NDArray[np.uint8]:
    """(I, J, K) label indices of a synthetic scan."""
    sided: NDArray[np.uint8] = sided_table()[
        sample.classes.numpy(), (sample.side.numpy() != 0).astype(int)
    ]
    return sided


def build_atlas(maps: list[NDArray[np.int16]]) -> NDArray[np.uint8]:
    """Majority label over maps whose brain boxes were laid over each other."""
    lookup = build_lookup()
    votes: dict[int, NDArray[np.float32]] = {}
    for codes in maps:
        side = lookup.side[codes]
        sample_labels = np.zeros(codes.shape, np.uint8)
        for index, (left, right) in enumerate(list(CLASSES.values())[1:], start=1):
            here = lookup.of_class[codes] == index
            sample_labels[here] = left[0]
            if right:
                sample_labels[here & (side == 0)] = right[0]
        boxed = _to_box(sample_labels, _brain_box(sample_labels))
        for label in np.unique(boxed):
            vote = votes.setdefault(int(label), np.zeros(boxed.shape, np.float32))
            vote += boxed == label
    keys = sorted(votes)
    winner: NDArray[np.uint8] = np.array(keys, np.uint8)[
        np.stack([votes[k] for k in keys]).argmax(0)
    ]
    return winner


def fit_atlas(atlas: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stretch the atlas into the true brain box (an oracle that the model doesn't have)."""
    box = _brain_box(truth)
    size = [s.stop - s.start for s in box]
    zoomed = ndimage.zoom(atlas, np.array(size) / atlas.shape, order=0, mode="nearest")
    out = np.zeros_like(truth)
    out[box] = zoomed[: size[0], : size[1], : size[2]]
    return out


def _brain_box(labels: NDArray[np.uint8]) -> tuple[slice, ...]:
    spots = np.argwhere((labels > 0) & (labels != CLASSES["cerebrospinal fluid"][0][0]))
    return tuple(slice(a, b + 1) for a, b in zip(spots.min(0), spots.max(0), strict=True))


def _to_box(labels: NDArray[np.uint8], box: tuple[slice, ...]) -> NDArray[np.uint8]:
    cut = labels[box]
    size = np.array((72, 88, 72))
    out: NDArray[np.uint8] = ndimage.zoom(cut, size / cut.shape, order=0, mode="nearest")
    return out


def _structures() -> list[tuple[str, int]]:
    out = []
    for name, (left, right) in list(CLASSES.items())[1:]:
        if right:
            out += [(f"left {name}", left[0]), (f"right {name}", right[0])]
        else:
            out.append((name, left[0]))
    return out


def _names() -> list[str]:
    return [name for name, _ in _structures()]


def _row(truth: NDArray[np.uint8], found: NDArray[np.uint8]) -> list[float]:
    labels = [index for _, index in _structures()]
    return list(dice_per_label(truth, found, labels).values())


def _swapped(truth: NDArray[np.uint8], found: NDArray[np.uint8]) -> float:
    other = np.zeros(256, np.uint8)
    for left, right in CLASSES.values():
        if right:
            other[left[0]], other[right[0]] = right[0], left[0]
    sided = other[truth] > 0
    return float(((other[truth] == found) & sided).sum() / max(1, sided.sum()))
