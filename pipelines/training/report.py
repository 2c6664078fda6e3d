"""``mmtool train report``: heads over the vectors of an encoder that stays as it is."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save_file

from mmtool.errors import InputError
from mmtool.io.limits import Limits
from mmtool.io.readers.picture import picture_reader
from mmtool.io.writers.json_file import write_json
from mmtool.models.card import CARD, CONFIG, WEIGHTS
from mmtool.models.files import hash_file
from mmtool.models.report.model import (
    INSIDE,
    KNOWN,
    Projection,
    ReportModel,
    config_of,
    state_of,
)
from mmtool.pipelines.report_encoder import encoder_facts
from mmtool.pipelines.report_strangers import STRANGERS, stranger
from mmtool.pipelines.training.report_card import ReportTraining, card_of
from mmtool.pipelines.training.report_data import DEV, TRAIN, Labelled, labelled_images
from mmtool.pipelines.training.report_fit import Rows, fit_report_model
from mmtool.pipelines.training.report_measure import Measured, measure
from mmtool.retrieval import JointEncoder, Picture

_BATCH = 32
_MOST_NUMBERS = 128  # of a vector that is kept of each training image
_CHANCE = 0.5
_STRANGERS = 24  # made images of each kind, in training
_HELD_BACK = ("stripes", "scene")  # kinds that training doesn't see, for the measure
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Encodings:
    """Images with their vectors."""

    images: tuple[Labelled, ...]
    vectors: NDArray[np.float32]


def train_report(
    options: ReportTraining, encoder: JointEncoder, limits: Limits, tell: Tell
) -> Path:
    """Train, measure on the development images, and write a model folder.

    Args:
        options: Data, place and seed.
        encoder: Gives the vectors; it is not trained.
        limits: Of the readers.
        tell: Progress.

    Returns:
        The model folder.
    """
    started = time.monotonic()
    images = labelled_images(options.data)
    known = encoded(images, encoder, limits, options.out, tell)
    made = _strangers(encoder, options.seed, [k for k in STRANGERS if k not in _HELD_BACK])
    test = _strangers(encoder, options.seed + 1_000, list(STRANGERS))
    project = _projection(known)
    if project is not None:
        known = replace(known, vectors=project(known.vectors))
        made, test = project(made), project(test)
    rows = rows_of(known, made, TRAIN)
    fitted = fit_report_model(rows, encoder_facts(encoder), seed=options.seed, tell=tell)
    fitted = replace(fitted, model=replace(fitted.model, projection=project))
    found = measure(fitted.model, rows_of(known, test, DEV), seed=options.seed)
    fitted = replace(fitted, model=_confirmed(fitted.model, found))
    seconds = time.monotonic() - started
    return _write(options, fitted.model, found, card_of(options, fitted, found, rows, seconds))


def encoded(
    images: Sequence[Labelled], encoder: JointEncoder, limits: Limits, cache: Path, tell: Tell
) -> Encodings:
    """Vectors of all images; kept in ``cache`` for the next run with the same encoder.

    Raises:
        InputError: An image can't be read.
    """
    cache.mkdir(parents=True, exist_ok=True)
    facts = json.dumps([encoder_facts(encoder), [str(i.path) for i in images]], default=str)
    path = cache / f"vectors-{hashlib.sha256(facts.encode()).hexdigest()[:16]}.npy"
    if path.is_file():
        return Encodings(tuple(images), np.load(path, allow_pickle=False))
    out = np.empty((len(images), encoder.dim), np.float32)
    with picture_reader(limits) as reader:
        for start in range(0, len(images), _BATCH):
            some = images[start : start + _BATCH]
            pictures = [reader.read(image.path) for image in some]
            out[start : start + len(some)] = encoder.encode_pictures(pictures).vectors
            if start // _BATCH % 10 == 0:
                tell(f"encoded {start + len(some)} of {len(images)} images")
    np.save(path, out)
    return Encodings(tuple(images), out)


def _projection(known: Encodings) -> Projection | None:
    """Axes of the training images; None where the vectors are short enough."""
    if known.vectors.shape[1] <= _MOST_NUMBERS:
        return None
    inside = [
        i for i, x in enumerate(known.images) if x.split == TRAIN and x.labels.get(INSIDE) == KNOWN
    ]
    return Projection.of(known.vectors[inside], _MOST_NUMBERS)


def _strangers(encoder: JointEncoder, seed: int, kinds: Sequence[str]) -> NDArray[np.float32]:
    """Vectors of made images, some of each kind."""
    pictures: list[Picture] = [
        stranger(kind, 100 * seed + i) for kind in kinds for i in range(_STRANGERS)
    ]
    parts = [
        encoder.encode_pictures(pictures[i : i + _BATCH]).vectors
        for i in range(0, len(pictures), _BATCH)
    ]
    return np.concatenate(parts)


def rows_of(known: Encodings, strangers: NDArray[np.float32], split: str) -> Rows:
    """The images of one split, and made ones beside them, as arrays."""
    keep = [i for i, image in enumerate(known.images) if image.split == split and image.labels]
    if not keep:
        raise InputError(f"no images of the split '{split}'", "see docs/report.md")
    questions = sorted({q for i in keep for q in known.images[i].labels})
    blank = [""] * len(strangers)
    labels = {
        q: np.array([known.images[i].labels.get(q, "") for i in keep] + blank) for q in questions
    }
    labels[INSIDE][len(keep) :] = "other"
    names: dict[str, int] = {}
    groups = [names.setdefault(known.images[i].group, len(names)) for i in keep]
    alone = range(len(names), len(names) + len(strangers))
    return Rows(
        np.concatenate([known.vectors[keep], strangers]),
        np.array([*groups, *alone], np.int64),
        labels,
    )


def _confirmed(model: ReportModel, found: Measured) -> ReportModel:
    """The model without findings that are no better than chance on the development images.

    They were chosen on training folds; this only takes away.
    """
    low = {m.name.partition(":")[0]: m.low for m in found.measures if ": AUC" in m.name}
    dropped = {name for name in model.cuts if low[name] <= _CHANCE}
    heads = {name: head for name, head in model.heads.items() if name not in dropped}
    cuts = {name: cut for name, cut in model.cuts.items() if name not in dropped}
    classes = {n: c for n, c in model.reference.classes.items() if n not in dropped}
    reference = replace(model.reference, classes=classes)
    return replace(model, heads=heads, cuts=cuts, reference=reference)


def _write(
    options: ReportTraining, model: ReportModel, found: Measured, card: dict[str, object]
) -> Path:
    folder = options.out / "model"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state_of(model), folder / WEIGHTS)
    write_json(folder / CONFIG, config_of(model))
    hashes = {name: hash_file(folder / name) for name in (WEIGHTS, CONFIG)}
    write_json(folder / CARD, card | {"sha256": hashes})
    write_json(options.out / "measures.json", found.to_json())
    return folder
