"""``mmtool segment``: a scan and a text in, a label map and its records out."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmtool import __version__
from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers import hash_input, read_header
from mmtool.io.writers.dicom_rtstruct import check_rtstruct_source
from mmtool.io.writers.niivue_source import niivue_source
from mmtool.models.store import ModelFiles, resolve_model
from mmtool.pipelines.channels import CaseScan, Reading, files_of, read_case
from mmtool.pipelines.devices import choose_device
from mmtool.pipelines.likeness import ranges_of, unlike_training
from mmtool.pipelines.memory import memory_limit, require_memory, resident_bytes
from mmtool.pipelines.places import bids_scan
from mmtool.pipelines.requested import Requested, hash_text, read_request
from mmtool.pipelines.samplesheet import BatchItem
from mmtool.pipelines.segment_result import SegmentResult, Wanted
from mmtool.pipelines.segmenter import Segmented, Segmenter, TextSegmenter
from mmtool.pipelines.segmenters import channels_of, load_segmenter
from mmtool.pipelines.task import ItemResult, model_facts
from mmtool.types import ScanHeader, Volume

_READER_BYTES = 64_000_000  # buffers, and libraries that are imported for a format
_MODALITIES = ("MR", "CT", "PT", "NM", "US", "CR", "DX", "MG", "XA", "RF", "SM", "OT")


@dataclass(frozen=True)
class SegmentOptions(Wanted):
    """What a user can ask of ``mmtool segment``, and which files of it are wanted.

    Attributes:
        model: Name of a shipped model, or a folder.
        device: ``auto``, ``cpu`` or ``cuda[:k]``.
        text: Prompt or report: a file, or the words themselves; None for everything.
        strict_text: A disagreement between text and image counts as a failure.
        series: Which series of a DICOM folder.
        resample_irregular: Accept what can be resampled to a regular box.
        any_modality: Don't refuse scans of a modality that the model was not made for.
        uncertainty: Write how unsure the model is of each voxel.
        bids: Name results as in a BIDS derivative dataset.
    """

    model: str = "brain"
    device: str = "auto"
    text: str | None = None
    strict_text: bool = False
    series: str | None = None
    resample_irregular: bool = False
    any_modality: bool = False
    uncertainty: bool = False
    bids: bool = False


@dataclass
class SegmentTask:
    """The work of ``mmtool segment`` for the batch runner.

    Attributes:
        options: What is asked for.
        limits: Bounds of the readers.
        max_memory: Bytes that the process may hold; None for what the machine has.
    """

    options: SegmentOptions
    limits: Limits = field(default_factory=Limits)
    max_memory: int | None = None
    command: str = "segment"
    _files: ModelFiles | None = None
    _segmenter: Segmenter | None = None
    _device: torch.device | None = None
    _channels: tuple[str, ...] | None = None

    def load(self) -> Mapping[str, Any]:
        """Load the model; say what it is."""
        if self.options.html:
            niivue_source()  # an absent package is told of before any work
        self._loaded()
        return model_facts(self._model(), self._device)

    def _loaded(self) -> Segmenter:
        if self._segmenter is None:
            self._device = choose_device(self.options.device)
            self._segmenter = load_segmenter(self._model(), self._device)
        return self._segmenter

    def _model(self) -> ModelFiles:
        if self._files is None:
            self._files = resolve_model("segment", self.options.model)
        return self._files

    def channels(self) -> tuple[str, ...]:
        """Names of the model's channels; the scan that a user gives is the first."""
        if self._channels is None:
            self._channels = channels_of(self._model())
        return self._channels

    def with_channels(self, items: list[BatchItem]) -> list[BatchItem]:
        """The same items with a file for each channel, in the order of the model.

        Raises:
            InputError: The only item lacks a channel. One of several fails when its turn comes.
        """
        out = []
        for item in items:
            try:
                files = self._files_of(item)
                channels = self.channels()[1 : len(files)]
                out.append(replace(item, inputs=files, channels=channels))
            except InputError:
                if len(items) == 1 and item.inputs[0].exists():
                    raise
                out.append(item)
        return out

    def _files_of(self, item: BatchItem) -> tuple[Path, ...]:
        return files_of(item, self.channels(), self.limits)

    def fingerprint(self, item: BatchItem) -> str:
        """Hash over the scan, the text, the options and the weights."""
        options = self._of(item)
        known: dict[str, Any] = asdict(options)
        known.pop("device")  # the same result is promised whatever computes it
        first, *rest = self._files_of(item)
        known["scan"] = hash_input(first, limits=self.limits, series=options.series)
        if rest:
            known["channels"] = [hash_input(path, limits=self.limits) for path in rest]
        if options.text is not None:
            known["text"] = hash_text(options.text, self.limits)
        known["model_files"] = self._model().card["sha256"]
        known["version"] = __version__
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def _of(self, item: BatchItem) -> SegmentOptions:
        """Options of one item: those of the sample sheet's row go first."""
        own = {k: v for k, v in item.params.items() if k in ("text", "series") and v}
        return SegmentOptions(**(asdict(self.options) | own))

    def run_item(self, item: BatchItem, out: Path) -> ItemResult:
        """Segment one scan into the folder ``out``."""
        options = self._of(item)
        segmenter = self._loaded()
        request = self._request(options, segmenter)
        files = self._files_of(item)
        need = 0

        def fits(header: ScanHeader) -> None:
            nonlocal need
            need = self._needed(segmenter, header, item)

        how = Reading(self.limits, options.series, options.resample_irregular, fits)
        case = read_case(files, self.channels(), how)
        _check_modality(case.scan, segmenter, options)
        if options.rtstruct:
            check_rtstruct_source(case.scan)
        found = self._found(segmenter, case.data, case.scan.affine, request, options)
        result = self._result(case, replace(found, notes=(*case.notes, *found.notes)), request)
        model = self._model()
        if options.bids:
            result.write_bids(out, model, options, bids_scan(item))
        else:
            result.write(out, model, options)
        return ItemResult(
            summary=result.summary(),
            inputs_sha256=case.sha256,
            error=result.disagreement() if options.strict_text else None,
            expected_memory=need,
        )

    def foresee(self, item: BatchItem) -> int:
        """Memory that an item will need, bytes, by its header; refused if it is too much."""
        options = self._of(item)
        files = self._files_of(item)
        header = read_header(
            files[0],
            limits=self.limits,
            series=options.series,
            resample_irregular=options.resample_irregular,
            volumes=len(self.channels()) if len(files) == 1 else 1,
        )
        return self._needed(self._loaded(), header, item)

    def _needed(self, segmenter: Segmenter, header: ScanHeader, item: BatchItem) -> int:
        need = expected_memory(segmenter, header)
        require_memory(need, memory_limit(self.max_memory), str(item.inputs[0]))
        return need

    def _result(self, case: CaseScan, found: Segmented, request: Requested | None) -> SegmentResult:
        """What is written of a case, with how it is unlike the training data."""
        segmenter, model, scan = self._loaded(), self._model(), case.scan
        if not found.found:
            what = segmenter.whole.name if segmenter.whole else "structure that the model knows"
            raise InputError(
                f"no {what} was found in {scan.source.path}",
                f"this model is made for {segmenter.purpose}; look at the scan in a viewer",
            )
        ranges = ranges_of(model.card, model.config)
        first = case.data if case.data.ndim == 3 else case.data[0]
        return SegmentResult(
            scan,
            found,
            found.table or segmenter.labels,
            segmenter.whole,
            request,
            unlike_training(first, scan.affine, ranges) if ranges else None,
            steered=request is not None and isinstance(segmenter, TextSegmenter),
        )

    def _request(self, options: SegmentOptions, segmenter: Segmenter) -> Requested | None:
        """The text as the rules read it."""
        if options.text is None:
            return None
        labels, whole = segmenter.labels, segmenter.whole
        reads = isinstance(segmenter, TextSegmenter)
        return read_request(options.text, self.limits, labels, whole, must_name=not reads)

    def _found(
        self,
        segmenter: Segmenter,
        data: NDArray[Any],
        affine: NDArray[np.float64],
        request: Requested | None,
        options: SegmentOptions,
    ) -> Segmented:
        """Run the model; one that reads gets the text too."""
        if isinstance(segmenter, TextSegmenter):
            text = None if request is None else request.words
            return segmenter(data, affine, uncertainty=options.uncertainty, text=text)
        return segmenter(data, affine, uncertainty=options.uncertainty)


def expected_memory(segmenter: Segmenter, header: ScanHeader) -> int:
    """Peak of this process's memory, bytes, if it segments a scan: stated before it is read."""
    voxels = math.prod(header.shape)
    work = segmenter.memory_bytes(header.shape, header.affine)
    results = 4 * voxels  # label map, organ mask, what is asked for, an array more
    channels = len(segmenter.channels)
    # All channels as float32, and one that is smoothed and resampled to the grid of the first.
    stack = 0 if channels == 1 else 4 * voxels * (channels + 3)
    reading = header.reading_bytes + _READER_BYTES
    return resident_bytes() + stack + max(reading, header.held_bytes + max(work, results))


def _check_modality(scan: Volume, segmenter: Segmenter, options: SegmentOptions) -> None:
    modality, made_for = scan.source.modality, segmenter.modalities
    known = modality in _MODALITIES and made_for
    if known and modality not in made_for and not options.any_modality:
        raise InputError(
            f"the scan is {modality}, and model '{options.model}' was made for "
            f"{' and '.join(made_for)}",
            "--any-modality segments it all the same; check the result by eye",
        )
