"""Queries by a picture and words together: do they find the case better than either alone?

The words are the history of a case, or the first half of the picture's caption. Wanted are the
other pictures of the case, or its diagnosis in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmtool.io.readers.captioned_images import read_records
from mmtool.pipelines.evaluation.retrieve_probes import Floats, Row, copies, recall_rows
from mmtool.pipelines.training.retrieve_data import Shown

ASKED = ("history", "half of the caption")
WANTED = ("other images of the case", "diagnosis")
_FEWEST = 4  # words that a half of a caption has
_K = 60  # of reciprocal ranks, as in the search


@dataclass(frozen=True)
class CaseWords:
    """Words of a case, each "" where there are none."""

    history: str = ""
    diagnosis: str = ""


@dataclass(frozen=True)
class BothTasks:
    """Queries of a picture with words, and what they shall find.

    Attributes:
        held: Pictures that are asked with; the first of the gallery.
        gallery: Pictures that may be found.
        words: (held) of each query, by names of `ASKED`; "" where there are none.
        diagnoses: (cases) that may be found, each once.
        right: (held, cases) bool: which diagnosis is the picture's.
    """

    held: Sequence[Shown]
    gallery: Sequence[Shown]
    words: Mapping[str, Sequence[str]]
    diagnoses: Sequence[str]
    right: NDArray[np.bool_]


def case_words(data: Path) -> dict[str, CaseWords]:
    """Words of the cases of MedPix, by the name that `Shown` has."""
    return {
        f"medpix2/{record['case_id']}": CaseWords(
            _line(record.get("history")), _line(record.get("case_diagnosis"))
        )
        for record in read_records(data / "medpix2" / "cases.jsonl")
    }


def _line(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def first_half(caption: str) -> str:
    """The first half of a caption; "" of a short one."""
    words = caption.split()
    return " ".join(words[: len(words) // 2]) if len(words) >= 2 * _FEWEST else ""


def both_tasks(held: Sequence[Shown], others: Sequence[Shown], data: Path) -> BothTasks:
    """The tasks of some pictures, others being there to be found wrongly."""
    known = case_words(data)
    gallery = [*held, *others]
    own = [known.get(i.case, CaseWords()) for i in gallery]
    diagnoses = sorted({w.diagnosis for w in own} - {""})
    right = np.array([[o.diagnosis == d for d in diagnoses] for o in own[: len(held)]])
    words = {
        ASKED[0]: [o.history for o in own[: len(held)]],
        ASKED[1]: [first_half(i.caption) for i in held],
    }
    return BothTasks(held, gallery, words, diagnoses, right)


def both_rows(
    tasks: BothTasks, asked: str, scores: Mapping[str, Floats], name: str, seed: int | None
) -> list[Row]:
    """Recall at 1, 5 and 10 of one way to ask.

    Args:
        tasks: See there.
        asked: One of `ASKED`; queries without these words are left out.
        scores: By names of `WANTED`: (held, gallery) and (held, diagnoses).
        name: Of the way.
        seed: Of the bootstrap over cases; None for no interval.
    """
    has = np.array([bool(w) for w in tasks.words[asked]])
    cases = np.array([i.case for i in tasks.gallery])
    own = cases[: len(has)]
    copied = copies(tasks.held, tasks.gallery)
    right = {WANTED[0]: (own[:, None] == cases) & ~copied, WANTED[1]: tasks.right}
    rows = []
    for wanted in WANTED:
        shown = scores[wanted].copy()
        if wanted == WANTED[0]:
            shown[copied] = -np.inf
        kept = right[wanted] & has[:, None]
        rows += recall_rows(shown, kept, list(own), f"{wanted}, by {asked}, {name}", seed)
    return rows


def by_ranks(*scores: Floats) -> Floats:
    """Sum of reciprocal ranks along the last axis (doi 10.1145/1571941.1572114)."""
    total: Floats = np.sum([1 / (_K + 1 + _places(s)) for s in scores], axis=0)
    return total


def _places(scores: Floats) -> NDArray[np.int64]:
    return np.argsort(np.argsort(-scores, axis=-1, kind="stable"), axis=-1, kind="stable")


def plain_ways(
    tasks: BothTasks,
    pictures: Floats,
    read: Callable[[Sequence[str]], Floats],
    shares: Sequence[float] = (1.0,),
) -> dict[str, dict[str, dict[str, Floats]]]:
    """Scores of each side alone and of plain sums, by way, by name of `ASKED` and of `WANTED`.

    Args:
        tasks: See there.
        pictures: (gallery, dim) of length 1.
        read: Gives (N, dim) of texts.
        shares: How much the words' cosines weigh against 1 of the picture's.
    """
    there = {WANTED[0]: pictures, WANTED[1]: read(tasks.diagnoses)}
    ways: dict[str, dict[str, dict[str, Floats]]] = {}
    for asked, words in tasks.words.items():
        for wanted, vectors in there.items():
            seen = pictures[: len(words)] @ vectors.T
            said = read(words) @ vectors.T
            found = {"picture alone": seen, "words alone": said, "by ranks": by_ranks(seen, said)}
            found |= {f"sum, words x {share:g}": seen + share * said for share in shares}
            for way, scores in found.items():
                ways.setdefault(way, {}).setdefault(asked, {})[wanted] = scores
    return ways
