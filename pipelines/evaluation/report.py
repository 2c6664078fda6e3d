"""``mmtool evaluate report``: texts and answers beside the floors, on images held out."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmtool.io.writers.json_file import write_json
from mmtool.io.writers.tables import write_tsv
from mmtool.models.report.sentences import image_sentence
from mmtool.pipelines.evaluation.report_metrics import (
    LABELLER,
    NORMALISATION,
    bleu,
    cider_d,
    exact_match,
    f1,
    finding_counts,
    rouge_l,
    token_f1,
)
from mmtool.pipelines.report import ReportTask
from mmtool.pipelines.report_answers import answer
from mmtool.pipelines.report_findings import findings_of
from mmtool.pipelines.report_gate import Look, gate_of
from mmtool.pipelines.report_images import read_study, slices_of
from mmtool.pipelines.training.report import encoded
from mmtool.pipelines.training.report_data import DEV, TRAIN, Labelled, labelled_images

COLUMNS = ("method", "metric", "value", "low", "high", "n")
_DRAWS = 500
_QUESTIONS = Path("vqa_rad") / "vqa_rad.jsonl.gz"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Scores:
    """Figures of all methods.

    Attributes:
        rows: By `COLUMNS`; intervals are of drawing other cases.
        settings: What a reader needs to compare them with others.
    """

    rows: tuple[tuple[str, str, float, float, float, int], ...]
    settings: dict[str, Any]

    def write(self, folder: Path) -> None:
        """``metrics.tsv`` and ``metrics.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        write_tsv(folder / "metrics.tsv", COLUMNS, self.rows)
        write_json(folder / "metrics.json", self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return self.settings | {"rows": [dict(zip(COLUMNS, r, strict=True)) for r in self.rows]}


def evaluate_report(task: ReportTask, data: Path, cache: Path, *, seed: int, tell: Tell) -> Scores:
    """Score the texts of the development images, and the answers to questions about them.

    Args:
        task: With the model.
        data: Folder with ``medpix2`` and, if there, ``vqa_rad``.
        cache: Where vectors are kept.
        seed: Of the draws.
        tell: Progress.
    """
    images = [image for image in labelled_images(data) if image.caption]
    model, encoder = task.loaded()
    known = encoded(images, encoder, task.limits, cache, tell)
    vectors = model.projected(known.vectors)
    train = [i for i, image in enumerate(images) if image.split == TRAIN]
    held = [i for i, image in enumerate(images) if image.split == DEV]
    truth = [images[i].caption for i in held]
    tell(f"{len(held)} images with captions are scored")
    nearest = (vectors[held] @ vectors[train].T).argmax(1)
    frequent = Counter(images[i].caption for i in train).most_common(1)[0][0]
    texts = {
        "planned sentences": [_planned(task, images[i].path) for i in held],
        "caption of the nearest training image": [images[train[k]].caption for k in nearest],
        "most frequent caption": [frequent] * len(held),
    }
    groups = [images[i].group for i in held]
    rows = [row for name, said in texts.items() for row in _scored(name, said, truth, groups, seed)]
    rows += _answered(task, data, images, seed)
    settings = {
        "labeller": LABELLER,
        "averaging": "BLEU over the corpus, finding F1 over all counts (micro), others means",
        "normalisation": NORMALISATION,
        "split": "MedPix-2.0, rows of images.csv whose split is not 'train'",
        "ids": sorted(images[i].path.name for i in held),
        "seed": seed,
    }
    return Scores(tuple(rows), settings)


def _planned(task: ReportTask, path: Path) -> str:
    """What the report would say of one image, the reasons of silence left out."""
    look = _look(task, path)
    model, encoder = task.loaded()
    gate = gate_of(look, model)
    if not gate.known:
        return ""
    found, _ = findings_of(look, gate, model, encoder, first=1, votes={}, support={})
    return " ".join((image_sentence(gate, 1, False), *(f.sentence for f in found)))


def _look(task: ReportTask, path: Path) -> Look:
    model, encoder = task.loaded()
    (seen,) = read_study([path], task.limits)
    slices = slices_of(seen)
    return Look(
        seen, slices, model.projected(encoder.encode_pictures([p for _, p in slices]).vectors)
    )


def _scored(
    name: str, said: Sequence[str], truth: Sequence[str], groups: Sequence[str], seed: int
) -> list[tuple[str, str, float, float, float, int]]:
    """All metrics of one method."""
    longest = [rouge_l(a, b) for a, b in zip(said, truth, strict=True)]
    cider = cider_d(said, truth)
    counts = np.array([finding_counts(a, b) for a, b in zip(said, truth, strict=True)])
    figures: dict[str, Callable[[Sequence[int]], float]] = {
        "ROUGE-L": lambda pick: float(np.mean([longest[i] for i in pick])),
        "CIDEr-D": lambda pick: float(np.mean([cider[i] for i in pick])),
        "finding F1": lambda pick: f1(*(int(n) for n in counts[list(pick)].sum(0))),
    }
    for n in range(4):
        figures[f"BLEU-{n + 1}"] = lambda pick, n=n: bleu(  # type: ignore[misc]
            [said[i] for i in pick], [truth[i] for i in pick]
        )[n]
    return [(name, metric, *_drawn(f, groups, seed), len(said)) for metric, f in figures.items()]


def _drawn(
    figure: Callable[[Sequence[int]], float], groups: Sequence[str], seed: int
) -> tuple[float, float, float]:
    """A figure with the 95 % interval of drawing other cases."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        rows.setdefault(group, []).append(i)
    names = sorted(rows)
    value = figure(range(len(groups)))
    draws = [
        figure([i for k in rng.integers(0, len(names), len(names)) for i in rows[names[k]]])
        for _ in range(_DRAWS)
    ]
    low, high = np.quantile(draws, (0.025, 0.975))
    return round(value, 4), round(float(low), 4), round(float(high), 4)


def _answered(
    task: ReportTask, data: Path, images: Sequence[Labelled], seed: int
) -> list[tuple[str, str, float, float, float, int]]:
    """Questions on images that are here and were not trained on; none where there are none."""
    path = data / _QUESTIONS
    if not path.is_file():
        return []
    held = {i.path.name: i.path for i in images if i.split == DEV}
    every = {i.path.name: i.path for i in images}
    model, _ = task.loaded()
    asked: list[dict[str, Any]] = []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row.get("local_image") and Path(row["local_image"]).name in every:
                asked.append(row)
    if not asked:
        return []
    gates = {}
    for name in {Path(row["local_image"]).name for row in asked}:
        gates[name] = gate_of(_look(task, every[name]), model)
    marks = []
    for row in asked:
        name = Path(row["local_image"]).name
        found = answer(str(row["question"]), [gates[name]], [], model.cuts)
        said = found.answer if found.told else ""
        marks.append((name, name in held, found.told, exact_match(said, str(row["answer"])),
                      token_f1(said, str(row["answer"]))))  # fmt: skip
    groups = [m[0] for m in marks]
    told = [float(m[2]) for m in marks]
    right, tokens = [float(m[3]) for m in marks], [m[4] for m in marks]
    yes = [float(exact_match("yes", str(row["answer"]))) for row in asked]
    where = f"VQA-RAD, {len(set(groups))} local images ({sum(m[1] for m in marks)} questions "
    where += "on images held out)"

    def mean(values: Sequence[float]) -> Callable[[Sequence[int]], float]:
        return lambda pick: float(np.mean([values[i] for i in pick]))

    return [
        (where, "share answered", *_drawn(mean(told), groups, seed), len(marks)),
        (where, "exact match", *_drawn(mean(right), groups, seed), len(marks)),
        (where, "token F1", *_drawn(mean(tokens), groups, seed), len(marks)),
        (where, "exact match of always 'yes'", *_drawn(mean(yes), groups, seed), len(marks)),
    ]
