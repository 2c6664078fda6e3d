"""Volumes of the brain's structures, for the report of an MR volume of the head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mmtool.anatomy import BRAIN, BRAIN_LABELS
from mmtool.models.report.sentences import asymmetry_sentence, volume_sentence
from mmtool.models.store import ModelFiles, resolve_model
from mmtool.pipelines.segmenter import Segmenter
from mmtool.pipelines.segmenters import load_segmenter
from mmtool.pipelines.structure_statistics import voxel_counts
from mmtool.reports import Evidence, Finding, Measurement
from mmtool.types import Label, Volume

_SIDES = ("left", "right")


@dataclass(frozen=True)
class BrainVolumes:
    """What was measured.

    Attributes:
        findings: A sentence for each structure.
        labels: (I, J, K) label map on the grid of the volume.
    """

    findings: tuple[Finding, ...]
    labels: NDArray[np.uint8]


class BrainMeasurer:
    """``segment``'s model of the brain, loaded when it is first needed."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._segmenter: Segmenter | None = None
        self.files: ModelFiles = resolve_model("segment", "brain")

    def __call__(self, volume: Volume, image: int, mask: str, first: int) -> BrainVolumes | None:
        """Measure a volume; None if no brain is found.

        Args:
            volume: MR of a head.
            image: Number of the image in the report.
            mask: Path of the label map beside the report.
            first: Number of the first finding.
        """
        if self._segmenter is None:
            self._segmenter = load_segmenter(self.files, self._device)
        found = self._segmenter(volume.data, volume.affine)
        if not found.found or found.whole is None:
            return None
        ml = abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000
        counts = voxel_counts(found.labels)
        volumes = {x.index: float(counts[x.index]) * ml for x in BRAIN_LABELS}
        whole = float(found.whole.sum()) * ml
        evidence = (Evidence("mask", image, mask),)
        by = f"segment/{self.files.name}"
        findings = list(_findings(volumes, whole, evidence, by, first))
        return BrainVolumes(tuple(findings), found.labels)


def _findings(
    volumes: Mapping[int, float], whole: float, evidence: tuple[Evidence, ...], by: str, first: int
) -> Iterator[Finding]:
    number = first
    size = Measurement("volume", round(whole, 2), "mL")
    yield Finding(
        f"f{number}", "brain", "present", f"Brain: {whole:.0f} mL.", by,
        site=BRAIN.code, measurements=(size,), evidence=evidence,
    )  # fmt: skip
    for name, pair in _pairs(BRAIN_LABELS):
        sizes = [volumes[x.index] for x in pair]
        if not any(sizes):
            continue
        number += 1
        yield _finding(f"f{number}", name, pair, sizes, whole, evidence, by)


def _finding(
    key: str,
    name: str,
    pair: Sequence[Label],
    sizes: Sequence[float],
    whole: float,
    evidence: tuple[Evidence, ...],
    by: str,
) -> Finding:
    """One structure: with both sides, or in the middle."""
    share = 100 * sum(sizes) / whole
    numbers = [Measurement("share of brain", round(share, 3), "%")]
    if len(pair) == 1:
        numbers = [Measurement("volume", round(sizes[0], 3), "mL"), *numbers]
        sentence = volume_sentence(name, sizes[0], share)
    else:
        percent = 200 * (sizes[0] - sizes[1]) / sum(sizes)
        named = zip(_SIDES, sizes, strict=True)
        numbers = [*(Measurement(f"{s} volume", round(v, 3), "mL") for s, v in named), *numbers]
        numbers.append(Measurement("asymmetry", round(percent, 2), "%"))
        sentence = asymmetry_sentence(name, sizes[0], sizes[1], percent)
    return Finding(
        key, name, "present", sentence, by, site=pair[0].code,
        laterality="both" if len(pair) == 2 else "",
        measurements=tuple(numbers), evidence=evidence,
    )  # fmt: skip


def _pairs(table: Sequence[Label]) -> list[tuple[str, tuple[Label, ...]]]:
    """Structures without their side, each with its left and right label."""
    out: dict[str, dict[str, Label]] = {}
    for label in table:
        side, _, rest = label.name.partition(" ")
        if side in _SIDES:
            out.setdefault(rest, {})[side] = label
        else:
            out[label.name] = {"": label}
    return [
        (name, tuple(sides[s] for s in (*_SIDES, "") if s in sides)) for name, sides in out.items()
    ]
