"""``mmtool evaluate segment`` on folders: read, match, score, sum up, compare, write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmtool.errors import InputError, UsageError
from mmtool.io.limits import Limits
from mmtool.io.readers.text import read_text
from mmtool.io.writers.json_file import write_json
from mmtool.io.writers.tables import Cell, write_tsv
from mmtool.models.store import resolve_model
from mmtool.pipelines.channels import Reading, files_of, read_case
from mmtool.pipelines.evaluation.image_cases import find_image_cases
from mmtool.pipelines.evaluation.label_maps import (
    LabelMap,
    find_cases,
    names_beside,
    on_grid_of,
    read_label_map,
    read_names,
)
from mmtool.pipelines.evaluation.scoring import (
    MEASURES,
    CaseRow,
    Difference,
    StructureSummary,
    compare,
    mean_rows,
    score_case,
    score_regions,
    summarise,
)
from mmtool.pipelines.samplesheet import BatchItem
from mmtool.pipelines.segmenter import TextSegmenter
from mmtool.pipelines.segmenters import load_segmenter
from mmtool.pipelines.world_grid import turned_axes

Report = Callable[[str], None]
Regions = Mapping[str, frozenset[int]]  # name -> labels that make up the region
Source = Callable[[str, LabelMap], LabelMap]  # name and reference of a case -> prediction


@dataclass(frozen=True)
class Evaluation:
    """Scores of one or more sources of label maps on the same cases.

    Attributes:
        scores: Source (a model or a folder) -> rows of all cases; the first is the reference of
            comparisons.
        notes: Plain sentences for the user.
        seed: Of the resampling.
    """

    scores: dict[str, list[CaseRow]]
    notes: tuple[str, ...] = ()
    seed: int = 0

    def summaries(self) -> dict[str, list[StructureSummary]]:
        """Source -> mean over structures, then each structure."""
        return {name: summarise(rows, seed=self.seed) for name, rows in self.scores.items()}

    def comparisons(self) -> dict[str, list[Difference]]:
        """Every source but the first -> paired differences with the first."""
        (_, reference), *others = self.scores.items()
        return {name: compare(reference, rows, seed=self.seed) for name, rows in others}

    def summary_table(self) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
        """Columns and rows of ``summary.tsv``."""
        columns = ["source", "index", "structure", "cases"]
        for measure in MEASURES:
            columns += [measure, f"{measure}_low", f"{measure}_high", f"{measure}_sd"]
        rows = []
        for source, summaries in self.summaries().items():
            for s in summaries:
                row: list[Cell] = [source, s.index or "", s.name, s.cases]
                for measure in MEASURES:
                    i = s.measures[measure]
                    row += [round(v, 4) for v in (i.mean, i.low, i.high, i.sd)]
                rows.append((*row, s.hd95_missing, s.worst_case, round(s.worst_dice, 4)))
        return (*columns, "hd95_missing", "worst_case", "worst_dice"), rows

    def comparison_table(self) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
        """Columns and rows of ``comparison.tsv``."""
        first = next(iter(self.scores))
        columns = (
            *("index", "structure", "measure", "reference", "other", "cases"),
            *("reference_mean", "other_mean", "difference", "low", "high", "other_better"),
        )
        rows: list[tuple[Cell, ...]] = []
        for source, differences in self.comparisons().items():
            for d in differences:
                numbers = (d.reference, d.other, d.difference.mean, d.difference.low)
                rounded = [round(v, 4) for v in (*numbers, d.difference.high)]
                where = (d.index or "", d.name, d.measure, first, source, d.difference.n)
                rows.append((*where, *rounded, d.better))
        return columns, rows

    def to_json(self) -> dict[str, Any]:
        """Plain data: ``summary``, ``comparison``, ``notes``."""
        return {
            "schema": 1,
            "summary": {k: [s.to_json() for s in v] for k, v in self.summaries().items()},
            "comparison": {k: [d.to_json() for d in v] for k, v in self.comparisons().items()},
            "notes": list(self.notes),
        }

    def write(self, out: Path) -> None:
        """Write ``cases.tsv``, ``summary.tsv``, ``summary.json``; ``comparison.tsv`` if several."""
        out.mkdir(parents=True, exist_ok=True)
        names = [f.name if f.name != "name" else "structure" for f in fields(CaseRow)]
        cases = [
            (source, *(round(v, 4) if isinstance(v, float) else v for v in astuple(row)))
            for source, rows in self.scores.items()
            for row in rows
        ]
        write_tsv(out / "cases.tsv", ("source", *names), cases)
        write_tsv(out / "summary.tsv", *self.summary_table())
        if len(self.scores) > 1:
            write_tsv(out / "comparison.tsv", *self.comparison_table())
        write_json(out / "summary.json", self.to_json())


@dataclass
class FolderEvaluation:
    """Compare folders of label maps, or single files.

    Attributes:
        truth: Folder (or file) of reference labels.
        predicted: Folders (or files) of predictions; the first is the reference of comparisons.
        names: ``labels.tsv`` with the names of labels; found beside the label maps if None.
        resample: Bring predictions on another grid to that of the reference.
        missing_as_empty: A case without prediction scores as an empty one; else it's an error.
        seed: Of the resampling of cases.
        regions: See :func:`score_sources`.
    """

    truth: Path
    predicted: Sequence[Path]
    names: Path | None = None
    resample: bool = False
    missing_as_empty: bool = False
    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    regions: Regions = field(default_factory=dict)

    def run(self, report: Report | None = None) -> Evaluation:
        """Score all cases.

        Raises:
            InputError: Something is missing, unreadable, or on another grid.
        """
        _check_distinct([str(p) for p in self.predicted])
        truths = find_cases(self.truth)
        sources: dict[str, Source] = {}
        notes: list[str] = []
        names: dict[int, str] = {}
        for folder in self.predicted:
            found = find_cases(folder)
            if self.truth.is_file() and folder.is_file():
                found = dict(zip(truths, found.values(), strict=True))
            absent = sorted(truths.keys() - found.keys())
            if absent and not self.missing_as_empty:
                raise InputError(
                    f"{folder}: no label map for {_some(absent)}",
                    "--missing-as-empty scores them as empty; names must match up to endings "
                    "such as _label",
                )
            notes += [f"{folder}: {_some(absent)} scored as empty"] if absent else []
            extra = sorted(found.keys() - truths.keys())
            notes += [f"{folder}: no reference for {_some(extra)}, left out"] if extra else []
            sources[str(folder)] = self._source(found)
            names = names_beside(folder, found) | names
        names = read_names(self.names) if self.names else names | names_beside(self.truth, truths)
        return score_sources(
            truths,
            sources,
            names,
            limits=self.limits,
            notes=notes,
            seed=self.seed,
            report=report,
            regions=self.regions,
        )

    def _source(self, found: Mapping[str, Path]) -> Source:
        def predict(case: str, truth: LabelMap) -> LabelMap:
            if case not in found:
                return LabelMap(np.zeros_like(truth.labels), truth.affine, truth.path)
            read = read_label_map(found[case], self.limits)
            return LabelMap(
                on_grid_of(truth, read, resample=self.resample), truth.affine, read.path
            )

        return predict


@dataclass
class ModelEvaluation:
    """Run models on images and score what they give.

    Attributes:
        images: Folder (or file) of scans.
        labels: Folder (or file) of their reference labels.
        models: Names or folders; the first is the reference of comparisons.
        holdout: Score every ``holdout``-th case of the sorted names only, as trainers hold them
            out (case i when ``i % holdout == holdout - 1``); None for all.
        device: Where to work.
        names: ``labels.tsv``; None takes the names that the models give.
        resample: Accept labels on another grid than their image.
        seed: Of the resampling of cases.
        axes: Where the axes of the scans' arrays really point, if their affines lie; else empty.
        regions: See :func:`score_sources`.
        texts: Folder with a report for each case (``case.txt``), for models that read.
    """

    images: Path
    labels: Path
    models: Sequence[str]
    holdout: int | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    names: Path | None = None
    resample: bool = False
    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    axes: str = ""
    regions: Regions = field(default_factory=dict)
    texts: Path | None = None

    def run(self, report: Report | None = None) -> Evaluation:
        """Segment and score all cases.

        Raises:
            InputError: A scan or its labels are missing, unreadable or on different grids.
            ModelError: A model is absent.
        """
        _check_distinct(self.models)
        truths = find_cases(self.labels)
        notes: list[str] = []
        if self.holdout:
            step = self.holdout
            truths = {c: p for i, (c, p) in enumerate(truths.items()) if i % step == step - 1}
            if not truths:
                raise InputError(f"{self.labels}: fewer cases than --holdout {step}", "score all")
        names: dict[int, str] = {}
        sources: dict[str, Source] = {}
        for model in self.models:
            sources[model], own = self._source(model, truths, notes)
            names = own | names
        names |= read_names(self.names) if self.names else {}
        return score_sources(
            truths,
            sources,
            names,
            limits=self.limits,
            notes=list(dict.fromkeys(notes)),
            seed=self.seed,
            report=report,
            regions=self.regions,
        )

    def _images(
        self, channels: Sequence[str], truths: Mapping[str, Path], notes: list[str]
    ) -> dict[str, BatchItem]:
        """Scans of the cases; notes what has no labels."""
        images = find_image_cases(self.images, channels)
        if self.images.is_file() and self.labels.is_file():
            return dict(zip(truths, images.values(), strict=True))
        absent = sorted(truths.keys() - images.keys())
        if absent:
            raise InputError(
                f"{self.images}: no scan for {_some(absent)}",
                "names of scans and labels must match up to endings such as _image, _label",
            )
        extra = sorted(images.keys() - truths.keys())
        if extra and not self.holdout:
            notes.append(f"{self.images}: no labels for {_some(extra)}, left out")
        return images

    def _source(
        self, model: str, truths: Mapping[str, Path], notes: list[str]
    ) -> tuple[Source, dict[int, str]]:
        segmenter = load_segmenter(resolve_model("segment", model), self.device)
        images = self._images(segmenter.channels, truths, notes)

        def predict(case: str, truth: LabelMap) -> LabelMap:
            files = files_of(images[case], segmenter.channels, self.limits)
            read = read_case(files, segmenter.channels, Reading(self.limits))
            scan, text = read.scan, self._text(case)
            affine = scan.affine @ turned_axes(self.axes, scan.shape)
            if text is not None and isinstance(segmenter, TextSegmenter):
                result = segmenter(read.data, affine, text=text)
            else:
                result = segmenter(read.data, affine)
            if not result.found:
                notes.append(f"{model} found nothing in {case}; scored as empty")
            found = LabelMap(result.labels.astype(np.uint16), scan.affine, files[0])
            return LabelMap(
                on_grid_of(truth, found, resample=self.resample), truth.affine, found.path
            )

        return predict, {label.index: label.name for label in segmenter.labels}

    def _text(self, case: str) -> str | None:
        if self.texts is None:
            return None
        path = self.texts / f"{case}.txt"
        if not path.is_file():
            raise InputError(f"{path}: no such text", "--texts needs a file for each case")
        return read_text(path, self.limits)


def score_sources(
    truths: Mapping[str, Path],
    sources: Mapping[str, Source],
    names: Mapping[int, str],
    *,
    limits: Limits,
    notes: Iterable[str] = (),
    seed: int = 0,
    report: Report | None = None,
    regions: Regions | None = None,
) -> Evaluation:
    """Score every source on every case.

    The structures are those that occur in any of the references. What only a prediction holds is
    no error of that prediction (the reference may not know it), and is told in a note. ``regions``
    are scored in place of them: name -> labels that make up a region; regions may overlap.
    """
    known = sorted({i for path in truths.values() for i in _present(read_label_map(path, limits))})
    if not known:
        raise InputError("the reference label maps are all empty", "check that they are labels")
    labels = {i: names.get(i, f"label {i}") for i in known}
    scores: dict[str, list[CaseRow]] = {name: [] for name in sources}
    foreign: set[int] = set()
    for number, (case, path) in enumerate(truths.items(), start=1):
        truth = read_label_map(path, limits)
        for source, predict in sources.items():
            predicted = predict(case, truth)
            if regions:
                rows = score_regions(truth.labels, predicted.labels, truth.affine, regions, case)
            else:
                rows = score_case(truth.labels, predicted.labels, truth.affine, labels, case)
                foreign |= _present(predicted) - labels.keys()
            scores[source] += rows
            if report:
                mean = mean_rows(rows)[0].dice
                report(f"[{number}/{len(truths)}] {case} {source}: Dice {mean:.3f}")
    told = _some([names.get(i, str(i)) for i in sorted(foreign)])
    more = [f"in no reference, so not scored: {told}"] if foreign else []
    return Evaluation(scores, (*notes, *more), seed)


def _present(labelled: LabelMap) -> set[int]:
    return set(np.unique(labelled.labels).tolist()) - {0}


def _check_distinct(names: Sequence[str]) -> None:
    twice = sorted({n for n in names if list(names).count(n) > 1})
    if twice:
        raise UsageError(f"{twice[0]} is compared with itself", "name each model or folder once")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
