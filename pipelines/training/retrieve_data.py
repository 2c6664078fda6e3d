"""What the joint encoder learns from: images with captions and labels, and pairs of texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmtool.errors import InputError
from mmtool.io.readers.captioned_images import (
    CaptionedImage,
    read_captioned,
    read_grey,
    read_records,
)
from mmtool.models.encoders.fixed_side import FEATURES, features
from mmtool.models.encoders.joint_input import InputSettings, slabs
from mmtool.pipelines.picture_words import plane_of
from mmtool.pipelines.training.leaked import LEAKED

FOLDERS = ("medpix2", "covid_cxr")
_NO_SLICE = re.compile(
    r"montage|drawing|photograph|gross|3d recon|colonoscopy|spectroscopy", re.IGNORECASE
)
LABELS = ("type", "modality", "plane", "location", "region", "sequence")


@dataclass(frozen=True)
class Shown:
    """One image with what is known of it.

    Attributes:
        row: Of the table.
        case: That it belongs to.
        caption: Words of it; "" where there are none that describe the picture.
        labels: By names of `LABELS`; "" where unknown.
    """

    row: CaptionedImage
    case: str
    caption: str
    labels: dict[str, str]

    @property
    def full_text(self) -> str:
        """Modality, plane, location and caption in one line."""
        known = (self.labels["modality"], self.row["plane"], self.row["location"], self.caption)
        return " ".join(part for part in known if part)


def shown_images(data: Path, split: str) -> list[Shown]:
    """The images of a part of the data, without drawings, photographs and montages.

    Args:
        data: Folder with ``medpix2`` and, if it is there, ``covid_cxr``.
        split: ``train`` or ``dev``.

    Raises:
        InputError: No image of this part.
    """
    found = [
        _shown(row, folder)
        for folder in FOLDERS
        if (data / folder / "images.csv").is_file()
        for row in read_captioned(data / folder)
        if row.split == split and row.path.name not in LEAKED and not _no_slice(row)
    ]
    if not found:
        raise InputError(f"{data}: no images of the part '{split}'", f"in {' or '.join(FOLDERS)}")
    return found


def _no_slice(row: CaptionedImage) -> bool:
    return bool(_NO_SLICE.search(f"{row['plane']} {row['modality']}"))


def _shown(row: CaptionedImage, folder: str) -> Shown:
    film = folder == "covid_cxr"
    modality = "X-ray" if film else row["modality"]
    labels = {
        "type": "XR" if film else row["type"],
        "modality": modality,
        "plane": plane_of(row["view"] if film else row["plane"]),
        "location": "Chest, Pulmonary" if film else row["location"],
        "region": "Thorax" if film else row["location_category"],
        "sequence": modality,
    }
    caption = "" if film else row["caption"]
    return Shown(row, f"{folder}/{row.case}", caption, labels)


@dataclass(frozen=True)
class Pixels:
    """N images as the encoder takes them.

    Attributes:
        grey: (N, size, size) uint8: squares.
        counted: (N, FEATURES) float32: what is counted in them.
    """

    grey: NDArray[np.uint8]
    counted: NDArray[np.float32]

    def __getitem__(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Pixels:
        return Pixels(self.grey[which], self.counted[which])


def read_pixels(images: Sequence[Shown], settings: InputSettings, cache: Path) -> Pixels:
    """Read images, or what is kept of them in a file.

    Args:
        images: Which.
        settings: How.
        cache: ``.npz`` file that is read if it fits, else written.
    """
    if cache.is_file():
        with np.load(cache) as file:
            kept = Pixels(file["grey"], file["counted"])
        if kept.grey.shape == (len(images), settings.size, settings.size):
            return kept
    out = Pixels(
        np.empty((len(images), settings.size, settings.size), np.uint8),
        np.empty((len(images), FEATURES), np.float32),
    )
    for k, image in enumerate(images):
        picture = read_grey(image.row.path)
        cut = slabs(picture, settings)
        out.grey[k] = _square(cut)
        out.counted[k] = features(picture, cut, settings).numpy()
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez(cache, grey=out.grey, counted=out.counted)
    return out


def squares(images: Sequence[Shown], settings: InputSettings) -> NDArray[np.uint8]:
    """(N, size, size) uint8: images as the network takes them."""
    return np.stack([_square(slabs(read_grey(i.row.path), settings)) for i in images])


def _square(cut: Tensor) -> NDArray[np.uint8]:
    square: NDArray[np.uint8] = (cut[0, 1] * 255).round().byte().numpy()
    return square


def text_pairs(data: Path) -> list[tuple[str, str]]:
    """Pairs of texts that mean the same case: findings and impression, findings and diagnosis.

    Only parts for training of each set; captions of figures are cut in two.
    """
    pairs = []
    for record in read_records(data / "openi_reports" / "reports.jsonl.gz"):
        if record.get("r2gen_split") in ("train", None):
            pairs.append((_words(record, "findings"), _words(record, "impression")))
    for record in read_records(data / "medpix2" / "cases.jsonl"):
        if record.get("split") == "train":
            pairs.append((_words(record, "findings"), _words(record, "title")))
            pairs.append((_words(record, "title"), _words(record, "topic_title")))
    for record in read_records(data / "roco_captions" / "captions_validation.jsonl.gz"):
        words = _words(record, "caption").split()
        if len(words) >= 10:
            half = len(words) // 2
            pairs.append((" ".join(words[:half]), " ".join(words[half:])))
    return [pair for pair in pairs if all(len(part) > 3 for part in pair)]


def _words(record: dict[str, object], key: str) -> str:
    value = record.get(key)
    return value.replace("XXXX", " ").strip() if isinstance(value, str) else ""


def label_codes(images: Sequence[Shown]) -> tuple[Tensor, dict[str, list[str]]]:
    """(N, labels) numbers of each label, -1 where unknown, and the values' names."""
    names: dict[str, list[str]] = {}
    codes = torch.full((len(images), len(LABELS)), -1)
    for column, label in enumerate(LABELS):
        names[label] = sorted({i.labels[label] for i in images} - {""})
        number = {value: k for k, value in enumerate(names[label])}
        codes[:, column] = torch.tensor([number.get(i.labels[label], -1) for i in images])
    return codes, names


def numbered(values: Iterable[str]) -> list[int]:
    """The same number for the same value."""
    known: dict[str, int] = {}
    return [known.setdefault(value, len(known)) for value in values]
