"""Similar cases from a folder of ``mmtool index``."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import InputError, ModelError
from mmtool.io.index import IndexReader, Space
from mmtool.pipelines.index_spaces import PICTURE
from mmtool.pipelines.index_strings import space_of
from mmtool.pipelines.neighbours import Neighbours
from mmtool.pipelines.report_cases import enough
from mmtool.pipelines.report_encoder import load_encoder
from mmtool.retrieval import Hit, Item, JointEncoder, Picture

_MORE = 8  # hits that are looked through for each case: a case may have many pictures
_SAMPLE = 4_096  # vectors that tell how alike any two pictures are


class IndexCases:
    """The pictures of an index, as similar cases; see `mmtool.pipelines.report_cases.CaseSearch`.

    The index is opened for each search, so that one which grows meanwhile is seen as it is.

    Attributes:
        name: Of the folder.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Open an index and load its encoder.

        Args:
            folder: The index.
            device: Where the encoder computes.

        Raises:
            InputError: No index, or one without pictures.
            ModelError: Its encoder is not here, or here it gives other vectors.
        """
        self.name = folder.name
        self._folder = folder
        with IndexReader(folder) as reader:
            space = reader.spaces().get(PICTURE)
        if space is None:
            raise InputError(f"{folder}: no pictures in this index", "index some images")
        self._encoder = _encoder_of(folder, space, device)

    def state(self) -> str:
        """Hash of what can be found: another one once items came or went."""
        found = hashlib.sha256()
        with IndexReader(self._folder) as reader:
            for mark in reader.marks():
                found.update(f"{mark.id} {mark.sha256} {mark.identity}\n".encode())
        return found.hexdigest()

    def nearest(self, picture: Picture, most: int, apart: Collection[str] = ()) -> list[Hit]:
        """The pictures most like one, best first: the best one of each case, and only as many as
        are about as alike as the first.

        Args:
            picture: What is compared.
            most: Cases at most.
            apart: SHA-256 of files that may not be found, such as the picture's own.
        """
        query = self._encoder.encode_pictures([picture]).vectors
        with IndexReader(self._folder) as reader:
            ids, blocks = reader.vectors(PICTURE)
            if not len(ids):
                return []
            found = Neighbours(reader).nearest(PICTURE, query, _MORE * most + len(apart))
            hits = _cases(reader, found, apart)
        return enough(hits, most, usual=_usual(query[0], blocks))


def _encoder_of(folder: Path, space: Space, device: str) -> JointEncoder:
    """The encoder that an index was made with.

    Raises:
        ModelError: It is not here, or has other weights or another preprocessing here.
    """
    hint = f"build the index again: mmtool index --rebuild --model {space.encoder}"
    encoder = load_encoder(space.encoder, device)
    if not space.same_encoder(space_of(PICTURE, encoder)):
        raise ModelError(
            f"{folder}: made with another '{space.encoder}' than the one here; "
            "their vectors can't be compared",
            hint,
        )
    return encoder


def _cases(
    reader: IndexReader,
    found: tuple[NDArray[np.int64], NDArray[np.float32]],
    apart: Collection[str],
) -> list[Hit]:
    """Hits without what must be apart, one of each case."""
    scores = {int(i): float(s) for i, s in zip(found[0][0], found[1][0], strict=True) if i}
    hits: list[Hit] = []
    cases: set[str] = set()
    for item in reader.items(list(scores)):
        if item.source.sha256 in apart or _case_of(item) in cases:
            continue
        cases.add(_case_of(item))
        hits.append(Hit(len(hits) + 1, item, scores[item.id]))
    return hits


def _case_of(item: Item) -> str:
    return item.source.group or item.source.sha256


def _usual(query: NDArray[np.float32], blocks: Sequence[NDArray[np.float32]]) -> float:
    """Mean likeness of a query to the pictures of an index, by some of them."""
    step = max(1, sum(map(len, blocks)) // _SAMPLE)
    some = np.concatenate([np.asarray(block[::step]) for block in blocks])
    likeness = some @ query
    return float(likeness[np.isfinite(likeness)].mean())
