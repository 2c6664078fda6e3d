"""What ``mmtool segment`` writes of one scan: label map, tables, picture, audit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool import __version__
from mmtool.errors import InputError
from mmtool.io.label_profiles import label_profiles
from mmtool.io.writers.dicom_seg import write_dicom_seg
from mmtool.io.writers.json_file import write_json
from mmtool.io.writers.nifti import write_label_nifti
from mmtool.io.writers.preview import write_preview
from mmtool.io.writers.tables import write_labels_tsv, write_measurements_tsv
from mmtool.models.store import ModelFiles
from mmtool.pipelines.requested import Requested
from mmtool.pipelines.segmenter import Segmented
from mmtool.types import AlgorithmId, Label, Measurement, Volume

UNSURE = 0.68  # certainty below which the user is told to look closely


class SegmentResult:
    """What was found and what of it was asked for."""

    def __init__(
        self,
        scan: Volume,
        found: Segmented,
        known: tuple[Label, ...],
        whole: Label | None,
        request: Requested | None,
    ) -> None:
        self.scan = scan
        self.found = found
        self.known = known
        self.whole = whole if found.whole is not None else None
        self.request = request
        self.ml = abs(float(np.linalg.det(scan.affine[:3, :3]))) / 1000
        self.profiles = label_profiles(found.labels)
        counts = self.profiles.counts
        self.voxels = {label.index: int(counts[label.index]) for label in self.known}
        if self.whole is not None and found.whole is not None:
            self.voxels[self.whole.index] = int(found.whole.sum())
        self.volumes = {index: count * self.ml for index, count in self.voxels.items()}
        self.table = self._table()
        self.labels = self._asked(found.labels)
        self.audit = None if request is None else request.audit(self.volumes)

    def _table(self) -> tuple[Label, ...]:
        if self.request is None or self.request.indices is None:
            return self.known
        asked = self.request.indices
        return tuple(label for label in self._all() if label.index in asked)

    def _all(self) -> tuple[Label, ...]:
        return self.known if self.whole is None else (self.whole, *self.known)

    def _asked(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Label map of what was asked for; the whole organ fills what is left of it."""
        keep = np.zeros(256, np.uint8)
        for label in self.table:
            if label != self.whole:
                keep[label.index] = label.index
        fill = self.whole is not None and self.whole in self.table
        if not fill and all(keep[label.index] for label in self.known):
            return labels
        excluded = () if self.request is None else tuple(self.request.request.excluded)
        organ = self.found.whole if fill else None
        chosen = np.empty_like(labels)
        for k in range(labels.shape[2]):  # an index of a whole volume would be copied as int64
            plane = keep[labels[:, :, k]]
            if organ is not None and self.whole is not None:
                rest = (plane == 0) & organ[:, :, k] & ~np.isin(labels[:, :, k], excluded)
                plane[rest] = self.whole.index
            chosen[:, :, k] = plane
        return chosen

    def write(self, out: Path, model: ModelFiles, *, dicom_seg: bool) -> None:
        """All files of one scan."""
        write_label_nifti(self.labels, self.scan, out / "segmentation.nii.gz")
        if self.whole is not None and self.found.whole is not None:
            name = f"{self.whole.name}_mask.nii.gz"
            write_label_nifti(self.found.whole.astype(np.uint8), self.scan, out / name)
        write_labels_tsv(out / "labels.tsv", self.table)
        write_measurements_tsv(out / "measurements.tsv", self.measurements())
        write_preview(out / "preview.png", self.scan, self.labels, self.table)
        if self.audit is not None:
            write_json(out / "text_audit.json", self.audit)
        if self.scan.source.kind == "dicom" or dicom_seg:
            made_by = AlgorithmId(f"mmtool {model.name}", __version__, model.weights_sha256)
            write_dicom_seg(
                self.labels, self.scan, self.table, out / "segmentation.dcm", algorithm=made_by
            )

    def measurements(self) -> list[Measurement]:
        """A row for each structure of the table, and the whole organ first."""
        rows = []
        first = () if self.whole is None else (self.whole,)
        for label in (*first, *(x for x in self.table if x != self.whole)):
            centre = self.profiles.centre(label.index)
            if label == self.whole and self.found.whole is not None:
                centre = label_profiles(self.found.whole, 2).centre(1)
            extra: dict[str, float | int | str] = dict(self._centre(centre))
            confidence = self.found.confidence.get(label.index)
            extra["mean_probability"] = "" if confidence is None else round(confidence, 3)
            index = label.index
            rows.append(Measurement(label, self.voxels[index], self.volumes[index], extra))
        return rows

    def _centre(self, voxel: NDArray[np.float64] | None) -> dict[str, float | str]:
        names = ("centroid_r_mm", "centroid_a_mm", "centroid_s_mm")
        if voxel is None:
            return dict.fromkeys(names, "")
        world = self.scan.affine[:3, :3] @ voxel + self.scan.affine[:3, 3]
        return dict(zip(names, (round(float(x), 2) for x in world), strict=True))

    def summary(self) -> dict[str, Any]:
        """For run.json and for the terminal."""
        found = [label.name for label in self.table if self.voxels[label.index]]
        notes = [*self.scan.source.notes, *self.found.notes]
        if self.found.certainty < UNSURE:
            notes.append("the model is unsure of this scan; look at the result with care")
        out: dict[str, Any] = {
            "structures": found,
            "mean_probability": round(self.found.certainty, 3),
            "notes": notes,
        }
        if self.whole is not None:
            out[f"{self.whole.name}_ml"] = round(self.volumes[self.whole.index], 1)
        if self.audit is not None:
            out["disagreements"] = self._disagreements()
            out["unknown"] = [] if self.request is None else list(self.request.unknown)
        return out

    def _disagreements(self) -> Sequence[str]:
        return [] if self.audit is None else [d["message"] for d in self.audit["disagreements"]]

    def disagreement(self) -> InputError | None:
        """The first disagreement of text and image, as an error."""
        messages = self._disagreements()
        if not messages:
            return None
        more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
        return InputError(
            f"text and image disagree: {messages[0]}{more}",
            "text_audit.json says why; the outputs were kept",
        )
