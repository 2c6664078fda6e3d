"""What ``mmtool segment`` writes of one scan: label map, tables, picture, audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool import __version__
from mmtool.errors import InputError
from mmtool.io.bids import BidsScan
from mmtool.io.writers.bids import OTHERS, write_dseg_tsv, write_sidecar
from mmtool.io.writers.dicom_rtstruct import write_rtstruct
from mmtool.io.writers.dicom_seg import write_dicom_seg
from mmtool.io.writers.json_file import write_json
from mmtool.io.writers.nifti import write_class_niftis, write_label_nifti, write_map_nifti
from mmtool.io.writers.niivue_source import niivue_source
from mmtool.io.writers.objects import write_objects
from mmtool.io.writers.preview import write_preview
from mmtool.io.writers.tables import write_labels_tsv, write_measurements_tsv
from mmtool.io.writers.viewer import write_viewer
from mmtool.models.store import ModelFiles
from mmtool.pipelines.objects import SMALLEST_VOXELS, StructureObjects, find_objects
from mmtool.pipelines.requested import Requested
from mmtool.pipelines.segmenter import Segmented
from mmtool.pipelines.structure_statistics import COLUMNS, measure, voxel_counts
from mmtool.types import AlgorithmId, Label, Measurement, Volume

UNSURE = 0.68  # certainty below which the user is told to look closely


@dataclass(frozen=True)
class Wanted:
    """Which files of a scan are wanted besides those that are always written.

    Attributes:
        dicom_seg: DICOM SEG even if the scan is no DICOM.
        rtstruct: DICOM RT Structure Set.
        format: ``labels`` for one label map, ``classes`` for a binary file of each structure, or
            ``both``.
        html: A page to look at, which works offline.
    """

    dicom_seg: bool = False
    rtstruct: bool = False
    format: str = "labels"
    html: bool = False


class SegmentResult:
    """What was found and what of it was asked for."""

    def __init__(
        self,
        scan: Volume,
        found: Segmented,
        known: tuple[Label, ...],
        whole: Label | None,
        request: Requested | None,
        unlike: Sequence[str] | None = None,
        *,
        steered: bool = False,
    ) -> None:
        self.scan = scan
        self.found = found
        self.known = known
        self.whole = whole if found.whole is not None else None
        self.request = request
        self.unlike = unlike  # what of the scan is unlike the training data; None if unknown
        self.ml = abs(float(np.linalg.det(scan.affine[:3, :3]))) / 1000
        counts = voxel_counts(found.labels)
        self.voxels = {label.index: int(counts[label.index]) for label in self.known}
        if self.whole is not None and found.whole is not None:
            self.voxels[self.whole.index] = int(found.whole.sum())
        self.volumes = {index: count * self.ml for index, count in self.voxels.items()}
        self.steered = steered  # the network has read the text: its labels are what was asked for
        self.table = self._table()
        self.labels = self._asked(found.labels)
        self.audit = None if request is None else request.audit(self.volumes)
        if self.audit is not None and found.evidence:
            self.audit["network"] = found.evidence

    def _table(self) -> tuple[Label, ...]:
        if self.request is None or self.request.indices is None:
            return self.known
        asked = self.request.indices
        if self.steered:
            asked = asked | {i for i, n in self.voxels.items() if n}
            return tuple(label for label in self.known if label.index in asked)
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

    def write(self, out: Path, model: ModelFiles, wanted: Wanted) -> None:
        """All files of one scan."""
        if wanted.format != "classes":
            write_label_nifti(self.labels, self.scan, out / "segmentation.nii.gz")
        if wanted.format != "labels":
            write_class_niftis(self.labels, self.scan, out / "classes", self.table)
        if self.whole is not None and self.found.whole is not None:
            name = f"{self.whole.name}_mask.nii.gz"
            write_label_nifti(self.found.whole.astype(np.uint8), self.scan, out / name)
        write_labels_tsv(out / "labels.tsv", self.table)
        write_measurements_tsv(out / "measurements.tsv", self.measurements())
        write_objects(out / "objects.json", self.objects, smallest_voxels=SMALLEST_VOXELS)
        if self.found.uncertainty is not None:
            write_map_nifti(self.found.uncertainty, self.scan, out / "uncertainty.nii.gz")
        write_preview(out / "preview.png", self.scan, self.labels, self.table)
        if self.audit is not None:
            write_json(out / "text_audit.json", self.audit)
        if wanted.html:
            write_viewer(out / "view.html", self.scan, self.labels, self.table, niivue_source())
        self._write_dicom(out, model, wanted)

    def write_bids(self, root: Path, model: ModelFiles, wanted: Wanted, scan: BidsScan) -> None:
        """All files of one scan under the root of a BIDS derivative dataset.

        What BIDS has no name for lies in a folder of its own. The label map is always written.
        """
        others, results = root / OTHERS / scan.stem, root / scan.folder
        for folder in (others, results):
            folder.mkdir(parents=True)
        formats = {"classes": "both"}
        self.write(others, model, replace(wanted, format=formats.get(wanted.format, wanted.format)))
        source = self.scan.source.path
        seg = "".join(c for c in model.name if c.isascii() and c.isalnum()) or "model"
        stem = scan.derivative("dseg", seg=seg)
        (others / "segmentation.nii.gz").replace(results / f"{stem}.nii.gz")
        write_dseg_tsv(results / f"{stem}.tsv", self.table)
        about = {"Description": f"Structures by model {model.name}", "Manual": False}
        write_sidecar(results / f"{stem}.json", scan, source, about=about)
        if self.whole is not None and self.found.whole is not None:
            name = self.whole.name
            stem = scan.derivative("mask", desc="".join(filter(str.isalnum, name)))
            (others / f"{name}_mask.nii.gz").replace(results / f"{stem}.nii.gz")
            about = {
                "Description": f"The whole {name} by model {model.name}",
                "Type": "Brain" if name == "brain" else "ROI",
            }
            write_sidecar(results / f"{stem}.json", scan, source, about=about)

    def _write_dicom(self, out: Path, model: ModelFiles, wanted: Wanted) -> None:
        made_by = AlgorithmId(f"mmtool {model.name}", __version__, model.weights_sha256)
        what = (self.labels, self.scan, self.table)
        if self.scan.source.kind == "dicom" or wanted.dicom_seg:
            write_dicom_seg(*what, out / "segmentation.dcm", algorithm=made_by)
        if wanted.rtstruct:
            write_rtstruct(*what, out / "rtstruct.dcm", algorithm=made_by)

    @cached_property
    def objects(self) -> list[StructureObjects]:
        """Pieces of each structure that was asked for."""
        return find_objects(self.labels, self.scan.affine, self.table)

    def measurements(self) -> list[Measurement]:
        """A row for each structure of the table, and the whole organ first."""
        affine = self.scan.affine
        pieces = {found.label.index: found.pieces for found in self.objects}
        rows = measure(self.labels, self.scan.data, affine, pieces)
        if self.whole is not None and self.found.whole is not None:
            mask = self.found.whole.astype(np.uint8) * np.uint8(self.whole.index)
            rows |= measure(mask, self.scan.data, affine)
        first = () if self.whole is None else (self.whole,)
        out = []
        for label in (*first, *(x for x in self.table if x != self.whole)):
            index = label.index
            confidence = self.found.confidence.get(index)
            extra: dict[str, float | int | str] = {
                "mean_probability": "" if confidence is None else round(confidence, 3)
            }
            if self.found.uncertainty is not None:
                extra["mean_uncertainty"] = self._uncertainty(label)
            if self.unlike is not None:
                extra["unlike_training"] = "yes" if self.unlike else "no"
            extra |= rows.get(index, dict.fromkeys(COLUMNS, ""))
            out.append(Measurement(label, self.voxels[index], self.volumes[index], extra))
        return out

    def _uncertainty(self, label: Label) -> float | str:
        """Mean over a structure; float16 is too narrow for the sum."""
        where = self.found.labels == label.index
        if label == self.whole and self.found.whole is not None:
            where = self.found.whole
        if self.found.uncertainty is None or not where.any():
            return ""
        return round(float(self.found.uncertainty[where].mean(dtype=np.float64)), 4)

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
        if self.unlike is not None:
            out["unlike_training"] = list(self.unlike)
            notes += [f"unlike the training data: {sentence}" for sentence in self.unlike]
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
