"""``mmtool evaluate retrieve``: an encoder beside what it must beat, on one part of the data.

The floors are fitted on the training part in the same run. Intervals are 95 % of a bootstrap over
cases.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mmtool.io.readers.captioned_images import read_grey, read_records
from mmtool.models.encoders.joint import load_joint_encoder
from mmtool.models.encoders.joint_input import InputSettings
from mmtool.pipelines.evaluation.retrieve_floors import (
    Components,
    Counted,
    bridged,
    gradient_features,
)
from mmtool.pipelines.evaluation.retrieve_probes import (
    Floats,
    Row,
    described,
    neighbours,
    probes,
    ranked,
    same_case,
    zero_shot,
)
from mmtool.pipelines.evaluation.retrieve_stress import stress
from mmtool.pipelines.training.retrieve_data import Shown, shown_images, squares
from mmtool.retrieval import JointEncoder

log = logging.getLogger(__name__)
COLUMNS = ("measure", "value", "low", "high", "n", "floor", "floor_value", "chance")
_REPORTS = 400  # pairs of findings and impression


@dataclass(frozen=True)
class RetrieveEvaluation:
    """Measures of one encoder.

    Attributes:
        model: Name of it.
        sha256: Of its weights.
        split: Part of the data.
        seed: Of the bootstrap.
        rows: See `Row`.
        stressed: Rows of kind, severity, accuracy or recall, as plain data.
    """

    model: str
    sha256: str
    split: str
    seed: int
    rows: tuple[Row, ...]
    stressed: tuple[dict[str, float | str], ...]

    def to_json(self) -> dict[str, object]:
        """All of it as plain data."""
        about = {"model": self.model, "sha256": self.sha256, "split": self.split}
        rows = [row.to_json() for row in self.rows]
        return about | {"seed": self.seed, "rows": rows, "stress": list(self.stressed)}

    def write(self, folder: Path) -> None:
        """``metrics.json`` in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_json(), indent=1)
        (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")


@dataclass(frozen=True)
class _Views:
    """Vectors of images and of three kinds of text, of one method."""

    train: Floats
    held: Floats
    joint: Floats
    read: Callable[[Sequence[str]], Floats]


def evaluate_retrieve(
    data: Path,
    model: str = "joint",
    *,
    split: str = "dev",
    device: torch.device | str = "cpu",
    seed: int = 0,
    with_stress: bool = True,
    tell: Callable[[str], None] = log.info,
) -> RetrieveEvaluation:
    """Measure an encoder on slices with captions and on reports.

    Args:
        data: As for training.
        model: Name or folder of the encoder.
        split: Part that is measured; floors and probes are fitted on ``train``.
        device: Where the encoder works.
        seed: Of the bootstrap.
        with_stress: Also change images and texts.
        tell: Called with a line now and then.
    """
    encoder = load_joint_encoder(model, device)
    train, held = _slices(data, "train"), _slices(data, split)
    tell(f"{len(train)} images to fit on, {len(held)} to measure")
    own = _own_views(encoder, train, held)
    floor = _floor_views(train, held)
    tell("measuring")
    rows: list[Row] = []
    found, probed = probes(train, held, own.train, own.held, seed)
    base, _ = probes(train, held, floor.train, floor.held, seed)
    rows += _beside(found, base, "gradients, PCA, logistic")
    asked = "gradients, ridge, LSA"
    rows += _beside(
        zero_shot(held, own.joint, own.read, seed),
        zero_shot(held, floor.joint, floor.read, seed),
        asked,
    )
    for words, kind in ((_full, "facts and caption"), (_caption, "caption alone")):
        texts = [words(i) for i in held]
        mine = ranked(held, own.joint, own.read(texts), kind, seed)
        rows += _beside(mine, ranked(held, floor.joint, floor.read(texts), kind, seed), asked)
    views = [(np.concatenate([v.held, v.train]), v) for v in (own, floor)]
    gallery = [*held, *train]
    near = [same_case(held, gallery, every, seed) for every, _ in views]
    near = [n + neighbours(held, gallery, v[0], seed) for n, v in zip(near, views, strict=True)]
    rows += _beside(near[0], near[1], "gradients, PCA")
    rows += _reports(data, own.read, seed)
    stressed: tuple[dict[str, float | str], ...] = ()
    if with_stress:
        tell("changing images and texts")
        stressed = stress(encoder, held, [_full(i) for i in held], probed, own.joint)
    return RetrieveEvaluation(encoder.name, encoder.sha256, split, seed, tuple(rows), stressed)


def _slices(data: Path, split: str) -> list[Shown]:
    """CT and MR slices with a caption: films have none of their own."""
    return [i for i in shown_images(data, split) if i.caption]


def _full(image: Shown) -> str:
    return image.full_text


def _caption(image: Shown) -> str:
    return image.caption


def _own_views(encoder: JointEncoder, train: Sequence[Shown], held: Sequence[Shown]) -> _Views:
    def seen(images: Sequence[Shown]) -> Floats:
        parts = [
            encoder.encode_pictures([read_grey(i.row.path) for i in images[k : k + 64]]).vectors
            for k in range(0, len(images), 64)
        ]
        return np.concatenate(parts).astype(np.float64)

    def read(texts: Sequence[str]) -> Floats:
        return encoder.encode_texts(texts).vectors.astype(np.float64)

    vectors = seen(held)
    return _Views(seen(train), vectors, vectors, read)


def _floor_views(train: Sequence[Shown], held: Sequence[Shown]) -> _Views:
    raw = [gradient_features(squares(images, InputSettings())) for images in (train, held)]
    reduce = Components.of(raw[0])
    first, second = reduce(raw[0]), reduce(raw[1])
    words = [_full(i) for i in train]
    counted = Counted([*words, *described()])
    return _Views(first, second, bridged(first, counted(words), second), counted)


def _beside(rows: Sequence[Row], floors: Sequence[Row], name: str) -> list[Row]:
    return [row.beside(name, low.value) for row, low in zip(rows, floors, strict=True)]


def _reports(data: Path, read: Callable[[Sequence[str]], Floats], seed: int) -> list[Row]:
    """Findings of a report to its impression, on the validation part of R2Gen's split."""
    pairs = [
        (str(r["findings"]).replace("XXXX", " "), str(r["impression"]).replace("XXXX", " "))
        for r in read_records(data / "openi_reports" / "reports.jsonl.gz")
        if r.get("r2gen_split") == "val"
        and r.get("findings")
        and r.get("impression")
        and r.get("mesh_major") != ["normal"]
    ][:_REPORTS]
    if len(pairs) < 2:
        return []
    findings, impressions = [p[0] for p in pairs], [p[1] for p in pairs]
    name = "findings to impression"
    counted = Counted([*findings, *impressions], None)
    same = np.array([[a == b for b in impressions] for a in impressions])
    mine = _text_rows(read(findings) @ read(impressions).T, same, name, seed)
    base = _text_rows(counted(findings) @ counted(impressions).T, same, name, seed)
    return _beside(mine, base, "TF-IDF")


def _text_rows(scores: Floats, same: NDArray[np.bool_], name: str, seed: int) -> list[Row]:
    from mmtool.pipelines.evaluation.retrieve_probes import recall_rows

    return recall_rows(scores, same, [str(k) for k in range(len(scores))], name, seed)
