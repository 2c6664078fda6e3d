"""``hits.tsv`` and ``hits.json``: what a query found."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from mmtool.io.writers.json_file import write_json
from mmtool.io.writers.tables import write_tsv
from mmtool.retrieval import FACTS, Answer, Hit

SCHEMA = "mmtool-hits"
VERSION = 1
_SCORES = (
    *("cosine_picture", "cosine_text", "cosine_molecule", "cosine_protein"),
    *("cosine_molecule_words", "cosine_molecule_text"),
)
_SHARED = ("bm25", "tanimoto", "alignment", "identity", "late")
COLUMNS = (
    *("rank", "id", "kind", "key", "path", "score", "similarity", "cosine"),
    *_SHARED,
    *FACTS,
    *("group", "copy", "region", "why", "text"),
)
_TEXT = 300  # letters of an item's words in the table


def write_hits_tsv(path: Path, answer: Answer, home: Path) -> None:
    """Write one row a hit.

    ``cosine`` is the largest over the spaces that were searched; ``region`` is x, y, width and
    height as shares of the picture.

    Args:
        path: Target.
        answer: The answer.
        home: Folder that the table will lie in; paths in it count from there.
    """
    write_tsv(path, COLUMNS, [_row(hit, home) for hit in answer.hits])


def _row(hit: Hit, folder: Path) -> list[str | int | float | None]:
    source = hit.item.source
    cosines = [hit.scores[name] for name in _SCORES if name in hit.scores]
    return [
        hit.rank,
        hit.item.id,
        source.kind,
        source.key,
        from_folder(source.path, folder),
        round(hit.score, 6),
        _rounded(hit.similarity),
        _rounded(max(cosines, default=None)),
        *(_rounded(hit.scores.get(name)) for name in _SHARED),
        *(source.facts.get(name, "") for name in FACTS),
        source.group,
        hit.copy,
        "" if hit.region is None else ",".join(f"{x:.4f}" for x in hit.region),
        "; ".join(hit.why),
        source.text[:_TEXT],
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def from_folder(path: str, folder: Path) -> str:
    """A path as it is seen from a folder."""
    return Path(os.path.relpath(os.path.abspath(path), os.path.realpath(folder))).as_posix()


def write_hits_json(path: Path, answer: Answer, home: Path) -> None:
    """Write the whole answer, by ``hits.schema.json``.

    Args:
        path: Target.
        answer: The answer.
        home: Folder that the file will lie in; paths in it count from there.

    Raises:
        ValueError: A number in it is NaN or infinite.
    """
    write_json(path, plain_answer(answer, home))


def plain_answer(answer: Answer, home: Path) -> dict[str, Any]:
    """The answer as dicts, lists, strings, numbers and None."""
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "query": {
            "given": answer.query,
            "kind": answer.kind,
            "sha256": answer.sha256,
            "content": answer.content,
            "asked": list(answer.asked),
            "left_out": list(answer.left_out),
            "facts": dict(answer.facts),
            "filter": answer.condition,
            "notes": list(answer.notes),
        },
        "index": dict(answer.index),
        "searches": list(answer.searches),
        "hits": [_plain_hit(hit, home) for hit in answer.hits],
    }


def _plain_hit(hit: Hit, home: Path) -> dict[str, Any]:
    source = hit.item.source
    return {
        "rank": hit.rank,
        "id": hit.item.id,
        "kind": source.kind,
        "key": source.key,
        "path": from_folder(source.path, home),
        "sha256": source.sha256,
        "score": round(hit.score, 6),
        "similarity": _rounded(hit.similarity),
        "scores": {name: round(value, 6) for name, value in hit.scores.items()},
        "copy": hit.copy,
        "matched": list(hit.matched),
        "region": None if hit.region is None else list(hit.region),
        "why": list(hit.why),
        "facts": dict(source.facts),
        "group": source.group,
        "text": source.text,
        "content": source.content,
        "extra": dict(source.extra),
    }


def schema_text() -> str:
    """The JSON schema, as it is shipped."""
    return (files("mmtool.io") / "writers" / "hits.schema.json").read_text(encoding="utf-8")
