"""The proteins of an index most like one: found by triples of letters, then aligned."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmtool.errors import InputError, ModelError
from mmtool.io.index import IndexReader
from mmtool.models.encoders import protein
from mmtool.models.report.homology import bits, identity_needed, tells
from mmtool.models.text.protein_names import described
from mmtool.pipelines.index_strings import space_of
from mmtool.pipelines.neighbours import Neighbours
from mmtool.pipelines.retrieval_proteins import Aligned, align
from mmtool.proteins import Relative
from mmtool.retrieval import Item

PROTEIN = "protein"  # the space
_ALIGNED = 24  # candidates of each protein that are aligned: about half a second
_TOGETHER = 64  # proteins whose vectors are compared at a time
_CELLS, _ALL_CELLS = 36_000_000, 200_000_000  # pairs of letters: some 20 seconds at most


class ProteinIndex:
    """The proteins of a folder of ``mmtool index``.

    The index is opened for each search, so that one which grows meanwhile is seen as it is.

    Attributes:
        name: Of the folder.
        encoder: That it was made with.
    """

    def __init__(self, folder: Path) -> None:
        """Open an index.

        Raises:
            InputError: No index, or one without proteins.
            ModelError: Made by another version of the encoder.
        """
        self.name = folder.name
        self.encoder = protein.build()
        self._folder = folder
        with IndexReader(folder) as reader:
            space = reader.spaces().get(PROTEIN)
            empty = space is None or not len(reader.vectors(PROTEIN)[0])
        if space is None or empty:
            raise InputError(
                f"{folder}: no proteins in this index", "mmtool index proteins.fasta -o INDEX.mmidx"
            )
        if not space.same_encoder(space_of(PROTEIN, self.encoder)):
            raise ModelError(
                f"{folder}: its vectors of proteins are of another version of '{space.encoder}'",
                "build the index again: mmtool index --rebuild",
            )

    def state(self) -> str:
        """Hash of what can be found: another one once items came or went."""
        found = hashlib.sha256()
        with IndexReader(self._folder) as reader:
            for mark in reader.marks():
                found.update(f"{mark.id} {mark.sha256} {mark.identity}\n".encode())
        return found.hexdigest()

    def near(self, proteins: Sequence[str], most: int = _ALIGNED) -> Iterator[list[Item]]:
        """Of each protein those with the most alike triples of letters, best first.

        Args:
            proteins: Letters, upper case.
            most: Of each.
        """
        with IndexReader(self._folder) as reader:
            search = Neighbours(reader)
            for start in range(0, len(proteins), _TOGETHER):
                some = proteins[start : start + _TOGETHER]
                ids, _ = search.nearest(PROTEIN, self.encoder.encode(some).vectors, most)
                for row in ids:
                    wanted = [int(i) for i in row if i]
                    items = {item.id: item for item in reader.items(wanted)}
                    yield [items[i] for i in wanted if i in items]


def relatives_of(letters: str, given: str, near: Sequence[Item]) -> tuple[list[Relative], int]:
    """The candidates by their alignment, the most bits first.

    A record of the index with the same letters and the same words is the protein itself: it is no
    evidence of its own.

    Args:
        letters: Of the protein, upper case.
        given: Words of its header.
        near: Candidates.

    Returns:
        Relatives, and how many candidates were too long to be aligned.
    """
    others = [
        item for item in near if (item.source.content, item.source.text.strip()) != (letters, given)
    ]
    sequences = [item.source.content for item in others]
    found = align(letters, sequences, most=_CELLS, all_most=_ALL_CELLS)
    pairs = [(i, a) for i, a in zip(others, found, strict=True) if a is not None]
    pairs.sort(key=lambda pair: (-pair[1].score, pair[0].id))
    return [_relative(item, a) for item, a in pairs], len(others) - len(pairs)


def _relative(item: Item, aligned: Aligned) -> Relative:
    said = described(item.source.text)
    return Relative(
        id=item.source.key,
        text=said.text,
        organism=said.organism or str(item.source.extra.get("organism", "")),
        bits=round(bits(aligned.score), 1),
        identity=round(aligned.equal / aligned.pairs, 4),
        needed=round(identity_needed(aligned.pairs), 4),
        aligned=aligned.pairs,
        coverage=round(aligned.coverage, 4),
        other_coverage=round(aligned.other_coverage, 4),
        counts=tells(aligned.score, aligned.equal, aligned.pairs),
        sha256=item.source.sha256,
    )
