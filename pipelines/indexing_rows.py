"""Rows of tables as what they say of an item."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from mmtool.io.limits import Limits
from mmtool.io.readers.json_lines import read_json_lines
from mmtool.io.readers.strings import endings
from mmtool.io.readers.table_text import open_table
from mmtool.pipelines.indexing_columns import Columns, fact_of, recognise
from mmtool.retrieval import Kind

_LOOK = 50
_EXTRA = 500  # letters of a further column that are kept
_NO_WORDS = re.compile(r"(licen[cs]e|split|url|doi|dhash|hash|sha|md5|width|height|pmc|cuis?).*")
_PERSON_GROUP = re.compile(r"patient.*", re.I)

Rows = Iterator[tuple[int, Mapping[str, str]]]


@dataclass(frozen=True)
class RowParts:
    """What a row tells.

    Attributes:
        kind: By what it holds: a molecule, a protein, a picture or words.
        file: Its file, or None.
        sha256: Of the whole row.
        facts: As the index spells them.
        group: Case; a patient's number is replaced by a hash of it.
        text: Words, with the names of their columns where there are several.
        content: SMILES or letters.
        extra: Further columns.
        told: Facts and further words as they were written.
    """

    kind: Kind
    file: Path | None
    sha256: str
    facts: Mapping[str, str]
    group: str
    text: str
    content: str
    extra: Mapping[str, str]
    told: str


def open_rows(
    path: Path, told: Mapping[str, str], limits: Limits, identifiers: bool
) -> tuple[Columns, Rows]:
    """Columns by role, and the rows with their numbers.

    Raises:
        InputError: No table, or broken; also while the rows are read.
    """
    if endings(path)[0] in (".jsonl", ".ndjson"):
        rows: Rows = read_json_lines(path, limits)
    else:
        table = open_table(path, limits)
        names = [name.strip() for name in table.columns]
        rows = ((n, dict(zip(names, cells, strict=False))) for n, cells in table.rows())
    head = list(islice(rows, _LOOK))
    looked = [row for _, row in head]
    columns = recognise(looked, path.parent, told, identifiers=identifiers)
    return columns, chain(head, rows)


def row_candidate(row: Mapping[str, str], columns: Columns, *, identifiers: bool) -> RowParts:
    """What a row tells.

    Args:
        row: Cells by column.
        columns: Their roles.
        identifiers: Whether identifiers and whole dates are kept.
    """
    raw = {name: [row.get(c, "") for c in found] for name, found in columns.facts.items()}
    facts = {name: fact_of(name, values) for name, values in raw.items()}
    if not identifiers and facts.get("date"):
        facts["date"] = facts["date"][:4]
    used = {columns.path, columns.smiles, columns.sequence, columns.group, *columns.text}
    extra = {
        name: value[:_EXTRA]
        for name, value in row.items()
        if name not in used and name not in columns.dropped and value.strip() and name
    }
    if not identifiers:  # the year stands among the facts
        extra = {n: v for n, v in extra.items() if n not in columns.facts.get("date", ())}
    content = (row.get(columns.smiles) or row.get(columns.sequence) or "").strip()
    value = row.get(columns.path, "").strip() if columns.path else ""
    kind: Kind = "text"
    if content:
        kind = "molecule" if row.get(columns.smiles) else "protein"
    whole = json.dumps([dict(row), repr(replace(columns, base=Path()))], sort_keys=True)
    return RowParts(
        kind=kind,
        file=columns.base / value if value and not content else None,
        sha256=hashlib.sha256(whole.encode()).hexdigest(),
        facts={name: value for name, value in facts.items() if value},
        group=_group(row.get(columns.group, "").strip(), columns.group, identifiers),
        text=_text(row, columns),
        content=content,
        extra=extra,
        told=_told(extra),
    )


def _group(value: str, column: str, identifiers: bool) -> str:
    if value and not identifiers and _PERSON_GROUP.match(column):
        return hashlib.sha256(f"{column} {value}".encode()).hexdigest()[:10]
    return value


def _text(row: Mapping[str, str], columns: Columns) -> str:
    parts = [(name, " ".join(row.get(name, "").split())) for name in columns.text]
    there = [(name, words) for name, words in parts if words and words.lower() != "null"]
    if len(columns.text) == 1:
        return there[0][1] if there else ""
    return "\n".join(f"{name.replace('_', ' ').capitalize()}: {words}" for name, words in there)


def _told(extra: Mapping[str, str]) -> str:
    words = [
        value
        for name, value in extra.items()
        if not _NO_WORDS.fullmatch(name.lower())
        and any(c.isalpha() for c in value)
        and "://" not in value
    ]
    return "; ".join(words)
