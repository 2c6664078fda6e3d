"""What the readers, the encoders, the index and the search of ``index`` and ``retrieve`` share.

Nothing here imports numpy or torch at run time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["image", "volume", "slide", "text", "molecule", "protein"]
KINDS: tuple[Kind, ...] = ("image", "volume", "slide", "text", "molecule", "protein")

Box = tuple[float, float, float, float]  # x, y, width, height

# Columns of the index that a filter may name, beside the kind.
FACTS = ("modality", "plane", "anatomy", "sex", "age", "date", "source")


@dataclass(frozen=True)
class Picture:
    """An image, a volume or a part of a slide, as an encoder takes it.

    Attributes:
        pixels: (D, H, W) float32 in 0..1, or (D, H, W, 3) where it is in colour; D is 1 for an
            image. Of a volume, D runs from inferior to superior, H from anterior to posterior and
            W from the patient's right to the left (a radiologist's axial view). Dark is air:
            MONOCHROME1 is inverted, CT is windowed.
        spacing: mm along D, H and W, or None where nobody knows.
        facts: What the header says, by names of `FACTS`; never who the patient is.
        notes: Plain sentences on what the reader had to do.
    """

    pixels: NDArray[np.float32]
    spacing: tuple[float, float, float] | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def colour(self) -> bool:
        """Whether the last axis is red, green and blue."""
        return self.pixels.ndim == 4


@dataclass(frozen=True)
class Encoded:
    """What an encoder makes of N items.

    Attributes:
        vectors: (N, dim) float32, each of length 1.
        parts: For a re-ranker: of each item (T, part_dim) float32 rows of length 1, the patches of
            a picture or the words of a text; empty where the encoder has none.
        places: Of each item (T, 4) float32: x, y, width and height of a patch as shares of the
            image, or first and last letter of a word in the first two columns.
    """

    vectors: NDArray[np.float32]
    parts: tuple[NDArray[np.float32], ...] = ()
    places: tuple[NDArray[np.float32], ...] = ()


class JointEncoder(Protocol):
    """Pictures and words in one space.

    Attributes:
        name: Of the model, as its card says.
        sha256: Hash of its weights.
        preprocessing: Plain data; two encoders with the same hash and the same preprocessing give
            the same vectors.
        dim: Length of a vector.
        kinds: What it takes.
    """

    name: str
    sha256: str
    preprocessing: Mapping[str, object]
    dim: int
    kinds: frozenset[Kind]

    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        """Vectors of pictures; one by one or together they are the same (to 1e-5)."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Encoded:
        """Vectors of texts in the same space."""
        ...


@runtime_checkable
class BothEncoder(Protocol):
    """A `JointEncoder` that makes one vector of a picture and words together."""

    def encode_both(self, pictures: Sequence[Picture], texts: Sequence[str]) -> Encoded:
        """Vectors of pictures, each with a text, in the same space."""
        ...


class StringEncoder(Protocol):
    """Molecules by SMILES, or proteins by their letters, in a space of their own.

    Attributes:
        name: Of the method or the model.
        sha256: Hash of its weights, or of its settings.
        preprocessing: As of a `JointEncoder`.
        dim: Length of a vector.
        kind: What it takes.
        reads_text: Whether words can be encoded into the space too.
    """

    name: str
    sha256: str
    preprocessing: Mapping[str, object]
    dim: int
    kind: Kind
    reads_text: bool

    def encode(self, items: Sequence[str]) -> Encoded:
        """Vectors of molecules or proteins.

        Raises:
            InputError: One of them can't be read; readers check them before.
        """
        ...

    def encode_texts(self, texts: Sequence[str]) -> Encoded:
        """Vectors of words in the same space.

        Raises:
            UsageError: It reads no text.
        """
        ...


@dataclass(frozen=True)
class Source:
    """One thing to be indexed.

    Attributes:
        key: Names it within the index and stays the same from run to run: the path as given, and
            behind ``#`` the row, the series or the frame.
        path: The file or folder.
        kind: What it is.
        sha256: Of the bytes that it comes from.
        facts: By names of `FACTS`, from the table or the header.
        group: Case that it belongs to, where the table says so; "" otherwise.
        text: Words that belong to it: the caption, the report, the description.
        content: SMILES or letters of a molecule or protein; "" for all else.
        extra: Further columns of the table, passed through.
    """

    key: str
    path: str
    kind: Kind
    sha256: str
    facts: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    text: str = ""
    content: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """One thing that lies in an index.

    Attributes:
        id: Number within the index, > 0, never used again.
        source: What it came from.
        dhash: 64 bits of a difference hash of a picture as 16 hexadecimal digits, or "".
        thumbnail: Small JPEG of a picture, or b"".
    """

    id: int
    source: Source
    dhash: str = ""
    thumbnail: bytes = b""


@dataclass(frozen=True)
class Hit:
    """One row of the answer.

    Attributes:
        rank: From 1.
        item: What was found.
        score: Fused score; comparable within one answer only.
        similarity: Calibrated: share of pairs of this score that belong together in the data that
            the encoder was calibrated on; None where no calibration holds.
        scores: Each search's own score, by its name: ``cosine_picture``, ``bm25``, ...
        why: Plain sentences: matched words, region, duplicate.
        region: x, y, width, height as shares of the picture where it matches best, or None.
        matched: Words of the query that the item holds.
        copy: ``same bytes`` or ``alike`` where the item is a copy of the query, else "".
    """

    rank: int
    item: Item
    score: float
    similarity: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    why: tuple[str, ...] = ()
    region: Box | None = None
    matched: tuple[str, ...] = ()
    copy: str = ""


@dataclass(frozen=True)
class Answer:
    """What a query found, and all that is told beside it.

    Attributes:
        query: As given: words, or the name of a file without where it lies.
        kind: Of the query.
        sha256: Of the file or of the words.
        hits: Best first.
        searches: Names of the searches that were made.
        asked: Words that were looked for.
        left_out: Words that the query wants left out.
        facts: Facts that the words name.
        condition: The filter as given, or "".
        content: SMILES or letters of a molecule or protein, or "".
        thumbnail: Of a picture, or b"".
        notes: Plain sentences.
        index: What the manifest says in short: name, items, encoders by space.
    """

    query: str
    kind: Kind
    sha256: str
    hits: tuple[Hit, ...]
    searches: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    condition: str = ""
    content: str = ""
    thumbnail: bytes = b""
    notes: tuple[str, ...] = ()
    index: Mapping[str, object] = field(default_factory=dict)
