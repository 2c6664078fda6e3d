"""``mmtool evaluate report``: texts and answers beside the floors, on images held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers.json_lines import read_json_lines
from mmtool.io.readers.picture import picture_reader
from mmtool.io.writers.json_file import write_json
from mmtool.io.writers.tables import write_tsv
from mmtool.models.report.sentences import image_sentence
from mmtool.pipelines.evaluation.report_floors import histories, nearest_by_words
from mmtool.pipelines.evaluation.report_labels import label_counts
from mmtool.pipelines.evaluation.report_metrics import (
    LABELLER,
    NORMALISATION,
    bleu,
    cider_d,
    exact_match,
    f1,
    finding_counts,
    meteor,
    rouge_l,
    token_f1,
)
from mmtool.pipelines.report import ReportTask
from mmtool.pipelines.report_answers import answer
from mmtool.pipelines.report_findings import findings_of
from mmtool.pipelines.report_gate import Look, gate_of
from mmtool.pipelines.report_heat import METHODS, heat_of
from mmtool.pipelines.report_images import read_study, slices_of
from mmtool.pipelines.report_pairs import ABOUT, Known, ask, by_heads
from mmtool.pipelines.task import input_sha256
from mmtool.pipelines.training.report import encoded
from mmtool.pipelines.training.report_data import DEV, TRAIN, Labelled, labelled_images
from mmtool.retrieval import Picture

COLUMNS = ("method", "metric", "value", "low", "high", "n")
NEAREST = "caption of the nearest training image"
_DRAWS = 500
_CASES = 8
_EVERY = 12  # of the images that are scored one is mapped: a map costs a hundred encodings
_QUESTIONS = Path("vqa_rad") / "vqa_rad.jsonl.gz"
Row = tuple[str, str, float, float, float, int]
Tell = Callable[[str], None]
Figure = Callable[[Sequence[int]], float]  # of the images that are drawn


@dataclass(frozen=True)
class Scores:
    """Figures of all methods.

    Attributes:
        rows: By `COLUMNS`; intervals are of drawing other cases.
        settings: What a reader needs to compare them with others.
    """

    rows: tuple[Row, ...]
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

    Raises:
        InputError: Something of the data is not there or can't be read.
    """
    images = [image for image in labelled_images(data) if image.caption]
    _check_split(data, images)  # all that is read is read before what takes long
    told, questions = histories(data, task.limits), _questions(data, task.limits)
    counts = label_counts(data, task.limits)
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
        "planned sentences": [
            _planned(task, look) for look in _looks(task, [images[i].path for i in held])
        ],
        NEAREST: [images[train[k]].caption for k in nearest],
        "most frequent caption": [frequent] * len(held),
    }
    texts |= _generated(task, [images[i].path for i in held], tell)
    texts |= _with_words(task, [images[i].path for i in held], texts["planned sentences"], tell)
    texts |= _by_history(told, [images[i] for i in held], [images[i] for i in train])
    groups = [images[i].group for i in held]
    rows = [row for name, said in texts.items() for row in _scored(name, said, truth, groups, seed)]
    rows += _better(texts, truth, groups, seed)
    rows += _confused(task, [images[i] for i in held], vectors[held], seed)
    rows += _mapped(task, [images[i] for i in held][::_EVERY], seed)
    rows += _labelled(counts, seed)
    rows += _answered(task, questions, images, seed)
    return Scores(tuple(rows), _settings([images[i] for i in held], seed))


def _settings(held: Sequence[Labelled], seed: int) -> dict[str, Any]:
    return {
        "labeller": LABELLER,
        "averaging": "BLEU over the corpus, finding F1 over all counts (micro), others means",
        "normalisation": NORMALISATION,
        "split": "MedPix-2.0, rows of images.csv whose split is not 'train'",
        "ids": sorted(image.path.name for image in held),
        "seed": seed,
    }


def _generated(task: ReportTask, paths: Sequence[Path], tell: Tell) -> dict[str, list[str]]:
    """What the text generator writes, where there is one, whatever the gate says.

    Beside it the same texts, each of another image: what it gains without looking.
    """
    if task.generator is None:
        return {}
    with picture_reader(task.limits) as reader:
        pictures = [reader.read(path) for path in paths]
    said = task.generator.write(pictures)
    tell(f"{len(set(said))} different texts of the generator")
    name = f"generated by {task.generator.files.name}"
    half = len(said) // 2
    return {name: said, f"{name}, of another image": [*said[half:], *said[:half]]}


def _with_words(
    task: ReportTask, paths: Sequence[Path], planned: Sequence[str], tell: Tell
) -> dict[str, list[str]]:
    """The planned sentences and the words of the most similar case, where there is an index.

    No case may be of the images that are scored, whoever built the index.
    """
    if task.cases is None:
        return {}
    own = {input_sha256(path, "an image of the data") for path in paths}
    texts, counted = [], []
    with picture_reader(task.limits) as reader:
        for path, said in zip(paths, planned, strict=True):
            hits = task.cases.nearest(reader.read(path), _CASES, own)
            words = next((h.item.source.text for h in hits if h.item.source.text), "")
            counted.append(len(hits))
            texts.append(f"{said} {words}".strip())
    tell(f"similar cases that count: {np.mean(counted):.1f} on average")
    return {"planned sentences and the words of the most similar case": texts}


def _by_history(
    told: Mapping[str, str], held: Sequence[Labelled], train: Sequence[Labelled]
) -> dict[str, list[str]]:
    """The caption of the training case whose history reads most alike: a floor without pixels."""
    known = [i for i in train if told.get(i.path.name)]
    if not known:
        return {}
    asked = [told.get(i.path.name, "") for i in held]
    nearest = nearest_by_words(asked, [told[i.path.name] for i in known])
    return {"caption by the history of the case (TF-IDF)": [known[k].caption for k in nearest]}


def _better(
    texts: Mapping[str, Sequence[str]], truth: Sequence[str], groups: Sequence[str], seed: int
) -> list[Row]:
    """By how much each method is better than the caption of the nearest image, case by case."""
    longest = {n: [rouge_l(a, b) for a, b in zip(t, truth, strict=True)] for n, t in texts.items()}
    counts = {n: _counts(said, truth) for n, said in texts.items()}
    rows = []
    for name in texts:
        if name != NEAREST:
            lead = [a - b for a, b in zip(longest[name], longest[NEAREST], strict=True)]
            found = _drawn(_mean_of(lead), groups, seed)
            rows.append((name, "ROUGE-L above the nearest caption", *found, len(truth)))
            more = _above(_f1_of(counts[name]), _f1_of(counts[NEAREST]))
            found = _drawn(more, groups, seed)
            rows.append((name, "finding F1 above the nearest caption", *found, len(truth)))
    return rows


def _above(own: Figure, other: Figure) -> Figure:
    """By how much one figure is above another on the same images."""
    return lambda pick: own(pick) - other(pick)


def _counts(said: Sequence[str], truth: Sequence[str]) -> NDArray[np.int64]:
    """(N, 3) of `finding_counts`."""
    return np.array([finding_counts(a, b) for a, b in zip(said, truth, strict=True)])


def _confused(
    task: ReportTask, held: Sequence[Labelled], vectors: NDArray[np.float32], seed: int
) -> list[Row]:
    """Pairs that look alike: told rightly only if both are, and not the same of both."""
    model, _ = task.loaded()
    blank = Picture(np.zeros((1, 1, 1), np.float32))  # heads look at the vector alone
    known = [Known(blank, v, i.labels, i.group) for i, v in zip(held, vectors, strict=True)]
    rows: list[Row] = []
    for about in ABOUT:
        asked = ask(known, about, by_heads(model))
        figures = {"both right (chance 0.25)": asked.both, "same answer to both": asked.same}
        groups = [held[a].group for a, _ in asked.pairs]
        for name, values in figures.items():
            if values:
                found = _drawn(_mean_of(values), groups, seed)
                rows.append(("pairs that look alike", f"{about}: {name}", *found, len(values)))
    return rows


def _mapped(task: ReportTask, held: Sequence[Labelled], seed: int) -> list[Row]:
    """The deletion test of the maps of the modality, over some images."""
    model, encoder = task.loaded()
    rows = []
    looks = _looks(task, [image.path for image in held if "modality" in image.labels])
    groups = [i.group for i in held if "modality" in i.labels]
    said = [model.told("modality", look.vectors).value for look in looks]
    for method in METHODS:
        found = [
            heat_of(look, "modality", value, model, encoder, method).agreement
            for look, value in zip(looks, said, strict=True)
        ]
        name = f"maps by {method}"
        lead = _drawn(_mean_of(found), groups, seed)
        share = _drawn(_mean_of([float(v > 0) for v in found]), groups, seed)
        rows.append((name, "modality: log odds lost above random (20 %)", *lead, len(found)))
        rows.append((name, "modality: share that is better than random", *share, len(found)))
    return rows


def _labelled(every: Mapping[str, NDArray[np.int64]], seed: int) -> list[Row]:
    """The labeller beside the MeSH headings of chest reports; none where there are none."""
    rows = []
    for name, counts in every.items():
        found = _drawn(_f1_of(counts), [str(i) for i in range(len(counts))], seed)
        indexed = len(counts) if not name else int((counts[:, 0] + counts[:, 2]).sum())
        rows.append(("labeller against MeSH headings", f"F1, {name or 'all'}", *found, indexed))
    return rows


def _mean_of(values: Sequence[float]) -> Figure:
    return lambda pick: float(np.mean([values[i] for i in pick]))


def _f1_of(counts: NDArray[np.int64]) -> Figure:
    return lambda pick: f1(*(int(n) for n in counts[list(pick)].sum(0)))


def _planned(task: ReportTask, look: Look) -> str:
    """What the report would say of one image, the reasons of silence left out."""
    model, encoder = task.loaded()
    gate = gate_of(look, model)
    if not gate.known:
        return ""
    found, _ = findings_of(look, gate, model, encoder, first=1, votes={}, support={})
    return " ".join((image_sentence(gate, 1, False), *(f.sentence for f in found)))


def _looks(task: ReportTask, paths: Sequence[Path]) -> list[Look]:
    """Images with their vectors; they are read together, as each reader takes a second to start."""
    model, encoder = task.loaded()
    looks = []
    for seen in read_study(paths, task.limits):
        slices = slices_of(seen)
        vectors = encoder.encode_pictures([p for _, p in slices]).vectors
        looks.append(Look(seen, slices, model.projected(vectors)))
    return looks


def _scored(
    name: str, said: Sequence[str], truth: Sequence[str], groups: Sequence[str], seed: int
) -> list[Row]:
    """All metrics of one method."""
    longest = [rouge_l(a, b) for a, b in zip(said, truth, strict=True)]
    meteors = [meteor(a, b) for a, b in zip(said, truth, strict=True)]
    cider = cider_d(said, truth)
    counts = _counts(said, truth)
    figures: dict[str, Figure] = {
        "ROUGE-L": _mean_of(longest),
        "METEOR": _mean_of(meteors),
        "CIDEr-D": _mean_of(cider),
        "finding F1": _f1_of(counts),
    }
    for n in range(4):
        figures[f"BLEU-{n + 1}"] = lambda pick, n=n: bleu(  # type: ignore[misc]
            [said[i] for i in pick], [truth[i] for i in pick]
        )[n]
    return [(name, metric, *_drawn(f, groups, seed), len(said)) for metric, f in figures.items()]


def _drawn(figure: Figure, groups: Sequence[str], seed: int) -> tuple[float, float, float]:
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


def _check_split(data: Path, images: Sequence[Labelled]) -> None:
    for split, name in ((TRAIN, "training"), (DEV, "development")):
        if not any(image.split == split for image in images):
            raise InputError(
                f"{data}: no {name} image with a caption in it",
                "the column 'split' says 'train' of training images",
            )


def _questions(data: Path, limits: Limits) -> list[dict[str, str]]:
    """Questions about local images; none where there are none."""
    path = data / _QUESTIONS
    rows = [row for _, row in read_json_lines(path, limits)] if path.is_file() else []
    return [row for row in rows if row.get("local_image") and {"question", "answer"} <= row.keys()]


def _answered(
    task: ReportTask, questions: Sequence[Mapping[str, str]], images: Sequence[Labelled], seed: int
) -> list[Row]:
    """Questions on images that are here and were not trained on; none where there are none."""
    held = {i.path.name: i.path for i in images if i.split == DEV}
    every = {i.path.name: i.path for i in images}
    model, _ = task.loaded()
    asked = [row for row in questions if Path(row["local_image"]).name in every]
    if not asked:
        return []
    names = sorted({Path(row["local_image"]).name for row in asked})
    looks = _looks(task, [every[name] for name in names])
    gates = {name: gate_of(look, model) for name, look in zip(names, looks, strict=True)}
    marks = []
    for row in asked:
        name = Path(row["local_image"]).name
        found = answer(row["question"], [gates[name]], [], model.cuts)
        said = found.answer if found.told else ""
        marks.append((name, name in held, found.told, exact_match(said, row["answer"]),
                      token_f1(said, row["answer"])))  # fmt: skip
    groups = [m[0] for m in marks]
    told = [float(m[2]) for m in marks]
    right, tokens = [float(m[3]) for m in marks], [m[4] for m in marks]
    yes = [float(exact_match("yes", row["answer"])) for row in asked]
    where = f"VQA-RAD, {len(set(groups))} local images ({sum(m[1] for m in marks)} questions "
    where += "on images held out)"

    return [
        (where, "share answered", *_drawn(_mean_of(told), groups, seed), len(marks)),
        (where, "exact match", *_drawn(_mean_of(right), groups, seed), len(marks)),
        (where, "token F1", *_drawn(_mean_of(tokens), groups, seed), len(marks)),
        (where, "exact match of always 'yes'", *_drawn(_mean_of(yes), groups, seed), len(marks)),
    ]
