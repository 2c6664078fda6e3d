"""``mmtool segment``: a scan and a text in, a label map and its records out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool import __version__
from mmtool.anatomy import BRAIN, BRAIN_LABELS
from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers import hash_input, read_volume
from mmtool.io.writers.dicom_seg import write_dicom_seg
from mmtool.io.writers.json_file import write_json
from mmtool.io.writers.nifti import write_label_nifti
from mmtool.io.writers.preview import write_preview
from mmtool.io.writers.tables import write_labels_tsv, write_measurements_tsv
from mmtool.models.store import ModelFiles, load_state, resolve_model
from mmtool.pipelines.batch import ItemResult
from mmtool.pipelines.devices import choose_device
from mmtool.pipelines.inference import UNSURE, BrainSegmenter, Segmented
from mmtool.pipelines.requested import Requested, read_request
from mmtool.pipelines.samplesheet import BatchItem
from mmtool.types import AlgorithmId, Label, Measurement, Volume

_OTHER_MODALITIES = ("CT", "PT", "NM", "US", "CR", "DX", "MG", "XA", "RF", "SM", "OT")


@dataclass(frozen=True)
class SegmentOptions:
    """What a user can ask of ``mmtool segment``.

    Attributes:
        model: Name of a shipped model, or a folder.
        device: ``auto``, ``cpu`` or ``cuda[:k]``.
        text: Prompt or report: a file, or the words themselves; None for everything.
        strict_text: A disagreement between text and image counts as a failure.
        series: Which series of a DICOM folder.
        resample_irregular: Accept what can be resampled to a regular box.
        dicom_seg: Write DICOM SEG even if the scan is no DICOM.
        any_modality: Don't refuse scans of a modality that the model was not made for.
    """

    model: str = "brain"
    device: str = "auto"
    text: str | None = None
    strict_text: bool = False
    series: str | None = None
    resample_irregular: bool = False
    dicom_seg: bool = False
    any_modality: bool = False


@dataclass
class SegmentTask:
    """The work of ``mmtool segment`` for the batch runner."""

    options: SegmentOptions
    limits: Limits = field(default_factory=Limits)
    command: str = "segment"
    _files: ModelFiles | None = None
    _segmenter: BrainSegmenter | None = None

    def load(self) -> Mapping[str, Any]:
        """Load the model; say what it is."""
        device = self._loaded().device
        files = self._model()
        return {
            "model": files.name,
            "weights_sha256": files.weights_sha256,
            "use": files.card.get("use", "unknown"),
            "device": str(device),
        }

    def _loaded(self) -> BrainSegmenter:
        if self._segmenter is None:
            device, files = choose_device(self.options.device), self._model()
            state = load_state(files, device=str(device))
            self._segmenter = BrainSegmenter(files.config, state, device)
        return self._segmenter

    def _model(self) -> ModelFiles:
        if self._files is None:
            self._files = resolve_model("segment", self.options.model)
        return self._files

    def fingerprint(self, item: BatchItem) -> str:
        """Hash over the scan, the text, the options and the weights."""
        options = self._of(item)
        known: dict[str, Any] = asdict(options)
        known.pop("device")  # the same result is promised whatever computes it
        known["scan"] = hash_input(item.inputs[0], limits=self.limits, series=options.series)
        if options.text is not None:
            known["text"] = read_request(options.text, self.limits).sha256
        known["weights"] = self._model().weights_sha256
        known["version"] = __version__
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def _of(self, item: BatchItem) -> SegmentOptions:
        """Options of one item: those of the sample sheet's row go first."""
        own = {k: v for k, v in item.params.items() if k in ("text", "series") and v}
        return SegmentOptions(**(asdict(self.options) | own))

    def run_item(self, item: BatchItem, out: Path) -> ItemResult:
        """Segment one scan into the folder ``out``."""
        options = self._of(item)
        request = None if options.text is None else read_request(options.text, self.limits)
        scan = read_volume(
            item.inputs[0],
            limits=self.limits,
            series=options.series,
            resample_irregular=options.resample_irregular,
        )
        _check_modality(scan, options)
        found = self._loaded()(_finite(scan.data), scan.affine)
        if not found.found:
            raise InputError(
                f"no brain was found in {item.inputs[0]}",
                "this model is made for MR scans of the head; look at the scan in a viewer",
            )
        result = _Result(scan, found, request)
        result.write(out, options, self._model())
        return ItemResult(
            summary=result.summary(),
            inputs_sha256={str(item.inputs[0]): scan.source.sha256},
            error=result.disagreement() if options.strict_text else None,
        )


def _check_modality(scan: Volume, options: SegmentOptions) -> None:
    modality = scan.source.modality
    if modality in _OTHER_MODALITIES and not options.any_modality:
        raise InputError(
            f"the scan is {modality}, and model '{options.model}' was made for MR",
            "--any-modality segments it all the same; check the result by eye",
        )


def _finite(data: NDArray[Any]) -> NDArray[Any]:
    """NaN and infinities are air to the network."""
    if np.issubdtype(data.dtype, np.floating) and not np.isfinite(data).all():
        return np.asarray(np.nan_to_num(data, nan=0.0, posinf=0.0, neginf=0.0))
    return data


class _Result:
    """What was found and what of it was asked for."""

    def __init__(self, scan: Volume, found: Segmented, request: Requested | None) -> None:
        self.scan = scan
        self.found = found
        self.request = request
        self.ml = abs(float(np.linalg.det(scan.affine[:3, :3]))) / 1000
        counts = np.bincount(found.labels.ravel(), minlength=256)
        self.voxels = {label.index: int(counts[label.index]) for label in BRAIN_LABELS}
        self.voxels[BRAIN.index] = int(found.brain.sum())
        self.volumes = {index: count * self.ml for index, count in self.voxels.items()}
        self.table = self._table()
        self.labels = self._asked(found.labels)
        self.audit = None if request is None else request.audit(self.volumes)

    def _table(self) -> tuple[Label, ...]:
        if self.request is None or self.request.indices is None:
            return BRAIN_LABELS
        asked = self.request.indices
        return tuple(label for label in (BRAIN, *BRAIN_LABELS) if label.index in asked)

    def _asked(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Label map of what was asked for; the whole brain fills what is left of it."""
        keep = np.zeros(256, np.uint8)
        for label in self.table:
            keep[label.index] = label.index
        keep[BRAIN.index] = 0
        chosen = keep[labels]
        if BRAIN in self.table:
            excluded = () if self.request is None else self.request.request.excluded
            rest = (chosen == 0) & self.found.brain & ~np.isin(labels, tuple(excluded))
            chosen[rest] = BRAIN.index
        return chosen

    def write(self, out: Path, options: SegmentOptions, model: ModelFiles) -> None:
        """All files of one scan."""
        write_label_nifti(self.labels, self.scan, out / "segmentation.nii.gz")
        brain = self.found.brain.astype(np.uint8)
        write_label_nifti(brain, self.scan, out / "brain_mask.nii.gz")
        write_labels_tsv(out / "labels.tsv", self.table)
        write_measurements_tsv(out / "measurements.tsv", self.measurements())
        write_preview(out / "preview.png", self.scan, self.labels, self.table)
        if self.audit is not None:
            write_json(out / "text_audit.json", self.audit)
        if self.scan.source.kind == "dicom" or options.dicom_seg:
            made_by = AlgorithmId(f"mmtool {model.name}", __version__, model.weights_sha256)
            write_dicom_seg(
                self.labels, self.scan, self.table, out / "segmentation.dcm", algorithm=made_by
            )

    def measurements(self) -> list[Measurement]:
        """A row for each structure of the table, and the whole brain first."""
        rows = []
        for label in (BRAIN, *(x for x in self.table if x != BRAIN)):
            where = self.found.brain if label == BRAIN else self.found.labels == label.index
            extra: dict[str, float | int | str] = dict(self._centre(where))
            confidence = self.found.confidence.get(label.index)
            extra["mean_probability"] = "" if confidence is None else round(confidence, 3)
            index = label.index
            rows.append(Measurement(label, self.voxels[index], self.volumes[index], extra))
        return rows

    def _centre(self, where: NDArray[np.bool_]) -> dict[str, float | str]:
        names = ("centroid_r_mm", "centroid_a_mm", "centroid_s_mm")
        if not where.any():
            return dict.fromkeys(names, "")
        sums = [where.sum(axis=tuple({0, 1, 2} - {a})) for a in range(3)]
        voxel = [float((s * np.arange(len(s))).sum() / s.sum()) for s in sums]
        world = self.scan.affine[:3, :3] @ voxel + self.scan.affine[:3, 3]
        return dict(zip(names, (round(float(x), 2) for x in world), strict=True))

    def summary(self) -> dict[str, Any]:
        """For run.json and for the terminal."""
        found = [label.name for label in self.table if self.voxels[label.index]]
        notes = list(self.scan.source.notes)
        if self.found.certainty < UNSURE:
            notes.append("the model is unsure of this scan; look at the result with care")
        out: dict[str, Any] = {
            "structures": found,
            "brain_ml": round(self.volumes[BRAIN.index], 1),
            "mean_probability": round(self.found.certainty, 3),
            "notes": notes,
        }
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
