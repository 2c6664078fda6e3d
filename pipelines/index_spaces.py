"""Which spaces an index has, by what encoders, and the vectors of a batch of items."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import ModelError
from mmtool.io.index import Space
from mmtool.models.encoders.histogram_gradients import HistogramGradients
from mmtool.models.store import list_models
from mmtool.pipelines.devices import choose_device
from mmtool.retrieval import Encoded, JointEncoder, Kind, Picture, StringEncoder

PICTURE, TEXT = "picture", "text"  # both by the joint encoder; strings have spaces of their kind
_JOINT = "mmtool.models.encoders.joint"
_STRINGS: Mapping[Kind, str] = {
    "molecule": "mmtool.models.encoders.molecule",
    "protein": "mmtool.models.encoders.protein",
}
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
    """

    joint: JointEncoder
    strings: Mapping[Kind, StringEncoder] = field(default_factory=dict)

    @property
    def reads_text(self) -> bool:
        """Whether words have vectors."""
        return "text" in self.joint.kinds

    def spaces(self) -> list[Space]:
        """Spaces that these encoders fill."""
        found = [space_of(PICTURE, self.joint)]
        if self.reads_text:
            found.append(space_of(TEXT, self.joint))
        return found + [space_of(kind, encoder) for kind, encoder in self.strings.items()]


def default_model() -> str:
    """Encoder that is used when none is named."""
    shipped = [entry.name for entry in list_models("retrieve")]
    return shipped[0] if shipped else HistogramGradients.name


def load_encoders(model: str | None, device: str) -> Encoders:
    """Encoders of pictures, words, molecules and proteins.

    Args:
        model: ``hog``, or what `mmtool.models.encoders.joint.load_joint_encoder` knows.
        device: As in `--device`.

    Raises:
        ModelError: No such encoder, or it is broken.
    """
    name = model or default_model()
    strings: dict[Kind, StringEncoder] = {}
    for kind, module in _STRINGS.items():
        if importlib.util.find_spec(module):
            strings[kind] = importlib.import_module(module).build()
    if name == HistogramGradients.name:
        return Encoders(HistogramGradients(), strings)
    if not importlib.util.find_spec(_JOINT):
        raise ModelError(f"no encoder is named '{name}'", f"there is {HistogramGradients.name}")
    where = choose_device(device)
    joint: JointEncoder = importlib.import_module(_JOINT).load_joint_encoder(name, where)
    return Encoders(joint, strings)


def space_of(name: str, encoder: JointEncoder | StringEncoder) -> Space:
    """The space that an encoder fills, under a name."""
    return Space(name, encoder.name, encoder.sha256, encoder.preprocessing, encoder.dim)


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
    return out


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
