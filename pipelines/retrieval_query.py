"""What was asked: a file of any kind, words, a molecule or a protein."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from mmtool.errors import InputError, UsageError
from mmtool.io.limits import Limits
from mmtool.io.readers.picture import ENDINGS, read_picture
from mmtool.io.readers.picture_marks import dhash, thumbnail
from mmtool.io.readers.slide import SLIDES, hash_slide, slide_reader
from mmtool.io.readers.strings import (
    FASTA_ENDINGS,
    SDF_ENDINGS,
    SMILES_ENDINGS,
    canonical_smiles,
    clean_protein,
    endings,
    read_strings,
)
from mmtool.io.readers.text import read_text
from mmtool.pipelines.retrieval_terms import Terms, read_terms
from mmtool.pipelines.samplesheet import existing_path
from mmtool.pipelines.slide_pictures import MPP, slide_region, whole_slide
from mmtool.retrieval import Box, Kind, Picture

AS = ("text", "molecule", "protein", "image", "substructure")
_SMILES = re.compile(r"[A-Za-z0-9@+\-\[\]()\\/=#$%.:*]+")
_LOOKS = re.compile(r"[\[\]=#]|\(.*\)|[A-Za-z]\d.*[A-Za-z]\d")
_FILE_ENDINGS = (
    *ENDINGS,
    *(".dcm", ".nii", ".nii.gz", ".nrrd", ".mgz", ".mgh", ".txt"),
    *SLIDES,
    *SMILES_ENDINGS,
    *SDF_ENDINGS,
    *FASTA_ENDINGS,
)
_TEXT_ENDINGS = (".txt", ".md", ".report")
_HEAD = 4096
_EXACT = 1024  # pixels of a side: larger pictures may have been averaged by the reader


@dataclass(frozen=True)
class Query:
    """One query, read.

    Attributes:
        shown: As the user gave it.
        kind: What it is.
        path: Of the file, or None.
        sha256: Of the file, or of the words.
        text: Words, or "".
        terms: Of the words.
        content: SMILES or letters, or "".
        pattern: SMARTS that a molecule shall hold, or "".
        picture: Pixels, cut to the region that was asked for, or None.
        dhash: Of the picture, or "".
        thumbnail: Of the picture, or b"".
        whole: Whether it is all of the file, and not a region.
        notes: Plain sentences.
    """

    shown: str
    kind: Kind
    path: Path | None
    sha256: str
    text: str = ""
    terms: Terms | None = None
    content: str = ""
    pattern: str = ""
    picture: Picture | None = None
    dhash: str = ""
    thumbnail: bytes = b""
    whole: bool = True
    notes: tuple[str, ...] = ()


def read_query(
    query: str,
    taken_as: str | None,
    roi: Box | None,
    limits: Limits,
    series: str | None = None,
) -> Query:
    """Read a query.

    Args:
        query: Path of a file, or the words themselves.
        taken_as: One of `AS`, or None to find out.
        roi: x, y, width, height of the part of a picture: shares, or pixels.
        limits: Of the readers.
        series: Which series of a DICOM folder.

    Raises:
        InputError: The file is missing, broken or of no known kind.
        UsageError: A region of what is no picture, or outside it.
    """
    if taken_as == "substructure":
        digest = hashlib.sha256(query.encode()).hexdigest()
        found = Query(query, "molecule", None, digest, pattern=query.strip())
    elif existing_path(query, Path()) is not None:
        found = _of_file(query, taken_as, roi, limits, series)
    else:
        found = _of_string(query, taken_as)
    if roi is not None and found.picture is None:
        raise UsageError("--roi goes with a picture", f"this query is a {found.kind}")
    return found


def with_words(query: Query, words: str) -> Query:
    """A picture together with words.

    Args:
        query: The picture.
        words: As they were given.

    Raises:
        UsageError: The query is no picture, or the words ask for nothing.
    """
    if query.picture is None:
        raise UsageError("--words goes with a picture", f"this query is a {query.kind}")
    return replace(query, text=words.strip(), terms=_asked(words.strip()))


def _asked(text: str) -> Terms:
    terms = read_terms(text)
    if not terms.affirmed:
        raise UsageError(
            f"nothing is asked for in '{text[:60]}'", "say what shall be there, not only what not"
        )
    return terms


def _of_file(
    query: str, taken_as: str | None, roi: Box | None, limits: Limits, series: str | None
) -> Query:
    path = Path(query)
    digest, head = _digest(path)
    ending = endings(path)[0]
    if taken_as in (None, "molecule", "protein") and ending in (
        *SMILES_ENDINGS,
        *SDF_ENDINGS,
        *FASTA_ENDINGS,
    ):
        return _of_strings(path, digest, limits)
    text = ending in _TEXT_ENDINGS or (_is_text(head) and ending not in (".nhdr", ".nrrd"))
    if taken_as == "text" or (taken_as is None and text):
        words = read_text(path, limits).strip()
        if not words:
            raise InputError(f"{path}: no words", "give a report with text")
        if words.startswith(">"):
            return _of_strings(path, digest, limits)
        return Query(query, "text", path, digest, text=words, terms=read_terms(words))
    if taken_as in ("molecule", "protein"):
        raise InputError(f"{path}: no file of a {taken_as}", "SMILES, SDF, MOL or FASTA")
    if ending in SLIDES:
        return _of_slide(query, path, roi, limits)
    picture = read_picture(path, limits, series=series)
    flat = picture.pixels.shape[0] == 1
    if roi is not None:
        picture = _cut(picture, roi)
    return _of_picture(query, "image" if flat else "volume", path, digest, picture, roi)


def _of_slide(query: str, path: Path, roi: Box | None, limits: Limits) -> Query:
    with slide_reader(limits) as reader:
        slide = reader.open(path, MPP)
        picture = whole_slide(slide) if roi is None else slide_region(slide, roi)
    return _of_picture(query, "slide", path, hash_slide(path), picture, roi)


def _of_picture(
    query: str, kind: Kind, path: Path, digest: str, picture: Picture, roi: Box | None
) -> Query:
    return Query(
        query,
        kind,
        path,
        digest,
        picture=picture,
        dhash="" if roi else dhash(picture),
        thumbnail=thumbnail(picture),
        whole=roi is None,
        notes=picture.notes,
    )


def _digest(path: Path) -> tuple[str, bytes]:
    """Hash and first bytes of a file; of a folder, the hash of its names and sizes."""
    if not (path.is_file() or path.is_dir()):
        raise InputError(f"{path}: no file and no folder", "a query is read more than once")
    try:
        if path.is_dir():
            names = sorted(f"{p.name} {p.stat().st_size}" for p in path.iterdir())
            return hashlib.sha256("\n".join(names).encode()).hexdigest(), b"\0"
        with path.open("rb") as file:
            head = file.read(_HEAD)
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest(), head
    except OSError as error:
        raise InputError(f"{path}: can't be read ({type(error).__name__})", "check the file") from (
            error
        )


def _is_text(head: bytes) -> bool:
    if not head or b"\0" in head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # a letter that was cut
    return True


def _of_strings(path: Path, digest: str, limits: Limits) -> Query:
    records = read_strings(path, limits)
    first = next(records, None)
    if first is None:
        raise InputError(f"{path}: no record", "give a molecule or a protein")
    more = next(records, None) is not None
    notes = (f"{path.name} has several records; the first one is asked for",) if more else ()
    protein = endings(path)[0] not in (*SMILES_ENDINGS, *SDF_ENDINGS)
    clean = clean_protein if protein else canonical_smiles
    kind: Kind = "protein" if protein else "molecule"
    return Query(
        str(path), kind, path, digest, content=_told(path, clean, first.content), notes=notes
    )


def _told(path: Path, clean: object, content: str) -> str:
    try:
        return str(clean(content))  # type: ignore[operator]
    except InputError as error:
        raise InputError(f"{path}: {error.message}", error.hint) from error


def _of_string(query: str, taken_as: str | None) -> Query:
    text = query.strip()
    digest = hashlib.sha256(text.encode()).hexdigest()
    if taken_as == "image":
        raise InputError(f"{text[:200]}: no such file", "a picture is given by its path")
    if taken_as == "protein":
        return Query(query, "protein", None, digest, content=clean_protein(text))
    if taken_as == "molecule":
        return Query(query, "molecule", None, digest, content=canonical_smiles(text))
    if taken_as is None and text.lower().endswith(_FILE_ENDINGS) and " " not in text:
        raise InputError(f"{text[:200]}: no such file", "check the path; --as text asks for words")
    smiles = _smiles(text) if taken_as is None else None
    if smiles is not None:
        note = "the query was taken for a molecule; --as text asks for its letters"
        return Query(query, "molecule", None, digest, content=smiles, notes=(note,))
    return Query(query, "text", None, digest, text=text, terms=_asked(text))


def _smiles(text: str) -> str | None:
    """Canonical SMILES of a string that clearly is one."""
    if not _SMILES.fullmatch(text) or not _LOOKS.search(text):
        return None
    try:
        return canonical_smiles(text)
    except InputError:
        return None


def parse_roi(text: str) -> Box:
    """``x,y,w,h``.

    Raises:
        UsageError: Not four numbers, or an empty region.
    """
    try:
        x, y, w, h = (float(part) for part in text.split(","))
    except ValueError:
        x = y = w = h = -1.0
    if not (x >= 0 and y >= 0 and 0 < w < 1e6 and 0 < h < 1e6 and x < 1e6 and y < 1e6):
        raise UsageError(f"--roi {text[:40]}: not a region", "x,y,w,h as shares or pixels")
    return x, y, w, h


def _cut(picture: Picture, roi: Box) -> Picture:
    high, wide = picture.pixels.shape[1:3]
    x, y, w, h = roi
    if max(roi) <= 1:
        x, w, y, h = x * wide, w * wide, y * high, h * high
    elif max(high, wide) >= _EXACT:
        raise UsageError("--roi in pixels of a large picture", "give shares: 0.25,0.25,0.5,0.5")
    left, top, right, bottom = round(x), round(y), round(x + w), round(y + h)
    if right > wide or bottom > high or right - left < 8 or bottom - top < 8:
        raise UsageError(
            f"--roi: not within the picture of {wide} x {high} pixels, or less than 8 of them",
            "x,y,w,h as shares or pixels",
        )
    return replace(picture, pixels=picture.pixels[:, top:bottom, left:right])
