"""What there is to be indexed: files, folders and tables become candidates, one after the other."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from mmtool.errors import InputError, MMToolError
from mmtool.io.index import Stamp, is_index
from mmtool.io.index.layout import ENDING, stored_path
from mmtool.io.limits import Limits
from mmtool.io.readers import picture, slide, strings
from mmtool.io.readers.dicom_files import is_dicom
from mmtool.pipelines.indexing_columns import Columns
from mmtool.pipelines.indexing_rows import open_rows, row_candidate
from mmtool.retrieval import Kind

How = Literal["picture", "volume", "dicom", "slide", "file_text", "string"]
_VOLUMES = (".nii", ".mgh", ".mgz", ".nrrd", ".nhdr")
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
_TEXTS = (".txt", ".md")
_PROTEINS = (*strings.FASTA_ENDINGS, *strings.SWISSPROT_ENDINGS)
_STRINGS = (*strings.SMILES_ENDINGS, *strings.SDF_ENDINGS, *strings.FASTA_ENDINGS)
_DICOM = (".dcm", ".dicom", ".ima", "")
_ABOUT = ("readme", "license", "licence", "changelog", "contributing")
_LOOK = 50


@dataclass(frozen=True)
class Candidate:
    """Something that may become an item, or several.

    Attributes:
        key: See `mmtool.retrieval.Source`.
        path: File or folder.
        how: How it is read.
        kind: What it is; of ``dicom`` and ``slide`` each item has its own.
        stamp: How it is known to be unchanged.
        files: Of a DICOM folder.
        sha256: Of a string or the words of a row; "" where bytes of a file are hashed.
        facts: As of a `Source`, like the rest.
        group: As there.
        text: As there.
        content: As there.
        extra: As there.
        told: Words of the facts as they were written.
    """

    key: str
    path: Path
    how: How
    kind: Kind
    stamp: Stamp
    files: tuple[Path, ...] = ()
    sha256: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    text: str = ""
    content: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    told: str = ""

    @property
    def several(self) -> bool:
        """Whether it becomes items of their own keys."""
        return self.how in ("dicom", "slide")


@dataclass
class Search:
    """Finds the candidates of the sources, tables first: their rows know more than the files.

    Attributes:
        sources: Files and folders as a user named them.
        index: Folder of the index; it is passed over.
        limits: Bounds.
        tables: Tables that are read even if their columns tell nothing.
        columns: Roles of columns that a user gave.
        identifiers: Whether identifiers are kept.
        origins: Tables and files of records whose rows were all seen, as stored paths.
        passed: Endings of files that were passed over, with their number.
        broken: Tables that can't be read.
    """

    sources: Sequence[Path]
    index: Path
    limits: Limits
    tables: Sequence[Path] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    identifiers: bool = False
    origins: set[str] = field(default_factory=set)
    passed: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[Path, MMToolError]] = field(default_factory=list)
    _claimed: set[str] = field(default_factory=set)

    def candidates(self) -> Iterator[Candidate]:
        """All of them; reading goes on while they are found.

        Raises:
            InputError: A source is absent.
        """
        for source in (*self.tables, *self.sources):
            if not source.exists():
                raise InputError(f"{source}: no such file or folder", "check the path")
        for table in self.tables:
            yield from self._table(table, table.parent, named=True)
        for source in self.sources:
            for path, root in _walk(source):
                if endings_of(path) in _TABLES:
                    yield from self._table(path, root, named=path == source)
        for source in self.sources:
            yield from self._files(source)

    def _files(self, source: Path) -> Iterator[Candidate]:
        folder: Path | None = None
        scans: list[Path] = []
        root = source
        for path, root in _walk(source):
            if path.parent != folder and scans:
                yield self._dicom(scans, root)
                scans = []
            folder = path.parent
            if endings_of(path) in _TABLES or stored_path(str(path), self.index) in self._claimed:
                continue
            if _is_scan(path):
                scans.append(path)
            else:
                yield from self._file(path, root, named=path == source)
        if scans:
            yield self._dicom(scans, root)

    def _file(self, path: Path, root: Path, *, named: bool) -> Iterator[Candidate]:
        ending = endings_of(path)
        found = _how(ending)
        if found is None and strings.is_swissprot(path, self.limits):
            found = "string", "protein"
        about = path.stem.lower().startswith(_ABOUT) and not named
        if found is None or about or self._inside_index(path):
            self.passed[ending or path.name[:20]] += 1
        elif found[0] == "string":
            yield from self._strings(path, root)
        else:
            how, kind = found
            facts = {"source": source_of(path, root)}
            origin = str(path) if how == "slide" else ""
            stamp = Stamp(origin, file_stamp([path]))
            yield Candidate(self.key(path), path, how, kind, stamp, facts=facts)

    def _inside_index(self, path: Path) -> bool:
        return any(p.suffix == ENDING and is_index(p) for p in path.parents)

    def key(self, path: Path) -> str:
        """Key of a file."""
        return stored_path(str(path), self.index)

    def _dicom(self, scans: Sequence[Path], root: Path) -> Candidate:
        place = scans[0] if len(scans) == 1 else scans[0].parent
        facts = {"source": source_of(scans[0], root)}
        stamp = Stamp(str(place), file_stamp(scans))
        return Candidate(self.key(place), place, "dicom", "image", stamp, tuple(scans), facts=facts)

    def _strings(self, path: Path, root: Path) -> Iterator[Candidate]:
        kind: Kind = "protein" if endings_of(path) in _PROTEINS else "molecule"
        try:
            for record in strings.read_strings(path, self.limits):
                words = {"smiles" if kind == "molecule" else "sequence": record.content}
                columns = Columns(text=("text",), smiles="smiles", sequence="sequence", id="name")
                row = {**words, "text": record.text, "name": record.name, **record.extra}
                yield self._row(row, record.place, columns, path, root)
        except InputError as error:
            self.broken.append((path, error))
        else:
            self.origins.add(self.key(path))

    def _table(self, path: Path, root: Path, *, named: bool) -> Iterator[Candidate]:
        if self._inside_index(path):
            return
        try:
            columns, rows = open_rows(path, self.columns, self.limits, self.identifiers)
            if not columns.useful:
                if named:
                    raise InputError(
                        f"{path}: no column of paths, words, SMILES or sequences is recognised",
                        "name them, for example --columns caption=text",
                    )
                self.passed[endings_of(path)] += 1
                return
            for number, row in rows:
                found = self._row(row, number, columns, path, root)
                if found.path != path or found.text or found.content:
                    yield found
                else:
                    self.passed["rows without words"] += 1
        except InputError as error:
            self.broken.append((path, error))
        else:
            self.origins.add(self.key(path))

    def _row(
        self, row: Mapping[str, str], number: int, columns: Columns, table: Path, root: Path
    ) -> Candidate:
        parts = row_candidate(row, columns, identifiers=self.identifiers)
        facts = {"source": source_of(table, root), **parts.facts}
        stamp = Stamp(str(table), "", parts.sha256)
        name = (row.get(columns.id, "") if columns.id else "").strip()[:200] or str(number)
        how: How = "string" if parts.content else "file_text"
        key, path, sha256 = f"{self.key(table)}#{name}", table, parts.sha256
        kind: Kind = parts.kind
        if parts.file is not None:
            found = _how(endings_of(parts.file)) or ("picture", "image")
            (how, kind), path, sha256 = found, parts.file, ""
            key = self.key(path)
            if key in self._claimed:
                key = f"{key}#{name}"
            self._claimed.add(self.key(path))
            stamp = Stamp(str(table), file_stamp([path]), parts.sha256)
        return Candidate(
            key,
            path,
            how,
            kind,
            stamp,
            sha256=sha256,
            facts=facts,
            group=parts.group,
            text=parts.text,
            content=parts.content,
            extra=parts.extra,
            told=parts.told,
        )


def endings_of(path: Path) -> str:
    """Ending in lower case; that before ``.gz`` if there is one."""
    return strings.endings(path)[0]


def _how(ending: str) -> tuple[How, Kind] | None:
    """How a file is read by its ending, and its kind."""
    if ending in slide.SLIDES:
        return "slide", "slide"
    if ending in picture.ENDINGS:
        return "picture", "image"
    if ending in _VOLUMES:
        return "volume", "volume"
    if ending in _TEXTS:
        return "file_text", "text"
    if ending in _STRINGS:
        return "string", "molecule"
    return None


def _is_scan(path: Path) -> bool:
    ending = endings_of(path)
    if ending not in _DICOM and not ending[1:].isdigit():
        return False
    try:
        with path.open("rb") as file:
            return is_dicom(file.read(132))
    except OSError:
        return False


def _walk(source: Path) -> Iterator[tuple[Path, Path]]:
    """Files at and below a source with their root, by name; folder by folder, none hidden."""
    if not source.is_dir():
        yield source, source.parent
        return
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                path = Path(folder, name)
                if path.is_file():
                    yield path, source


def source_of(path: Path, root: Path) -> str:
    """Name of the collection: the folder below the root that holds the file, or the root."""
    parts = path.relative_to(root).parts if path.is_relative_to(root) else ()
    return parts[0] if len(parts) > 1 else Path(os.path.abspath(root)).name


def file_stamp(files: Sequence[Path]) -> str:
    """Number, sizes and latest time of files; equal means that none was changed."""
    try:
        states = [f.stat() for f in files]
    except OSError:
        return ""
    latest = max(s.st_mtime_ns for s in states)
    return f"{len(states)}:{sum(s.st_size for s in states)}:{latest}"


def batches(candidates: Iterator[Candidate], size: int) -> Iterator[list[Candidate]]:
    """So many at a time."""
    while batch := list(islice(candidates, size)):
        yield batch
