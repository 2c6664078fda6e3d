"""Which spaces an index has, by what encoders, and the vectors of a batch of items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mmtool.io.index import Space
from mmtool.models.encoders.histogram_gradients import HistogramGradients
from mmtool.models.encoders.joint import load_joint_encoder
from mmtool.models.encoders.molecule_text import NAME as MOLECULE_TEXT_MODEL
from mmtool.models.encoders.molecule_text import MoleculeText, load_molecule_text
from mmtool.models.encoders.open_clip import OpenClip, is_open_clip
from mmtool.models.encoders.two_towers import TwoTowers, is_two_towers
from mmtool.models.store import list_models
from mmtool.pipelines.devices import choose_device
from mmtool.pipelines.index_strings import (
    MOLECULE_TEXT,
    MOLECULE_WORDS,
    space_of,
    string_encoders,
)
from mmtool.retrieval import Encoded, JointEncoder, Kind, Picture, StringEncoder

PICTURE, TEXT = "picture", "text"  # both by the joint encoder; strings have spaces of their kind
_FEW_PIXELS = 1 << 24  # of pictures that are encoded together
_TEXTS = 64


class Ready(Protocol):
    """What is encoded: a picture, words, letters, or some of them."""

    @property
    def kind(self) -> Kind:
        """What it is."""
        ...

    @property
    def picture(self) -> Picture | None:
        """Pixels, or None."""
        ...

    @property
    def text(self) -> str:
        """Words, or ""."""
        ...

    @property
    def content(self) -> str:
        """SMILES or letters, or ""."""
        ...


@dataclass(frozen=True)
class Encoders:
    """Those of an index.

    Attributes:
        joint: Of pictures and, if it can, words.
        strings: Of molecules and proteins.
        molecules: Of molecules and words in one space, or None.
    """

    joint: JointEncoder
    strings: Mapping[Kind, StringEncoder] = field(default_factory=dict)
    molecules: StringEncoder | None = None

    @property
    def reads_text(self) -> bool:
        """Whether words have vectors."""
        return "text" in self.joint.kinds

    def spaces(self) -> list[Space]:
        """Spaces that these encoders fill."""
        found = [space_of(PICTURE, self.joint)]
        if self.reads_text:
            found.append(space_of(TEXT, self.joint))
        found += [space_of(kind, encoder) for kind, encoder in self.strings.items()]
        if self.molecules is not None:
            found += [space_of(n, self.molecules) for n in (MOLECULE_WORDS, MOLECULE_TEXT)]
        return found


def default_model() -> str:
    """Encoder that is used when none is named."""
    others = {MOLECULE_TEXT_MODEL}
    shipped = [e.name for e in list_models("retrieve") if e.name not in others]
    return shipped[0] if shipped else HistogramGradients.name


def load_encoders(model: str | None, device: str) -> Encoders:
    """Encoders of pictures, words, molecules and proteins.

    Args:
        model: ``hog``, a folder of transformers or open_clip with two towers, or what
            `mmtool.models.encoders.joint.load_joint_encoder` knows.
        device: As in `--device`.

    Raises:
        ModelError: No such encoder, or it is broken.
    """
    name = model or default_model()
    strings, molecules = string_encoders(), molecule_words()
    if name == HistogramGradients.name:
        return Encoders(HistogramGradients(), strings, molecules)
    where = choose_device(device)
    folder = Path(name)
    if folder.is_dir() and is_two_towers(folder):
        return Encoders(TwoTowers(folder, where), strings, molecules)
    if folder.is_dir() and is_open_clip(folder):
        return Encoders(OpenClip(folder, where), strings, molecules)
    return Encoders(load_joint_encoder(name, where), strings, molecules)


def molecule_words(name: str = MOLECULE_TEXT_MODEL) -> MoleculeText | None:
    """The encoder of molecules and words; None where none of that name is there.

    Raises:
        ModelError: It is broken.
    """
    there = any(entry.name == name for entry in list_models("retrieve"))
    return load_molecule_text(name) if there else None


Vectors = dict[str, NDArray[np.float32]]
Parts = dict[str, tuple[NDArray[Any], NDArray[Any]]]


def encode(encoders: Encoders, items: Sequence[Ready]) -> list[tuple[Vectors, Parts]]:
    """Vectors and parts of each item by space, in order."""
    out: list[tuple[Vectors, Parts]] = [({}, {}) for _ in items]
    pictures = [k for k, i in enumerate(items) if i.picture and i.kind in encoders.joint.kinds]
    for some in _by_pixels(items, pictures):
        found = encoders.joint.encode_pictures([p for k in some if (p := items[k].picture)])
        _put(out, some, PICTURE, found)
    if encoders.reads_text:
        worded = [k for k, i in enumerate(items) if i.text.strip()]
        for start in range(0, len(worded), _TEXTS):
            some = worded[start : start + _TEXTS]
            _put(out, some, TEXT, encoders.joint.encode_texts([items[k].text for k in some]))
    for kind, encoder in encoders.strings.items():
        some = [k for k, i in enumerate(items) if i.kind == kind]
        if some:
            _put(out, some, kind, encoder.encode([items[k].content for k in some]))
    _put_molecules(out, encoders.molecules, items)
    return out


def _put_molecules(
    out: list[tuple[Vectors, Parts]], encoder: StringEncoder | None, items: Sequence[Ready]
) -> None:
    """Vectors of molecules, and of the texts that they have, in the space of both."""
    some = [k for k, i in enumerate(items) if i.kind == "molecule"]
    if encoder is None or not some:
        return
    _put(out, some, MOLECULE_WORDS, encoder.encode([items[k].content for k in some]))
    worded = [k for k in some if items[k].text.strip()]
    if worded:
        found = encoder.encode_texts([items[k].text for k in worded])
        _put(out, worded, MOLECULE_TEXT, found)


def _by_pixels(items: Sequence[Ready], chosen: Sequence[int]) -> list[list[int]]:
    groups: list[list[int]] = []
    size = 0
    for k in chosen:
        picture = items[k].picture
        own = 0 if picture is None else picture.pixels.size
        if not groups or size + own > _FEW_PIXELS:
            groups.append([])
            size = 0
        groups[-1].append(k)
        size += own
    return groups


def _put(out: list[tuple[Vectors, Parts]], some: Sequence[int], space: str, found: Encoded) -> None:
    for row, k in enumerate(some):
        out[k][0][space] = found.vectors[row]
        if found.parts and len(found.parts[row]):
            out[k][1][space] = (found.parts[row], found.places[row])
