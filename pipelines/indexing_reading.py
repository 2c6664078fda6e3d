"""Candidates become what can be encoded: pictures, words, molecules, with hash and thumbnail."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mmtool.errors import InputError, MMToolError
from mmtool.io.index import Failure, NewItem, Stamp
from mmtool.io.limits import Limits
from mmtool.io.readers.dicom_files import DicomFile, Series, parse
from mmtool.io.readers.picture import PictureReader, picture_reader
from mmtool.io.readers.picture_dicom import BURNT_IN
from mmtool.io.readers.picture_marks import dhash, thumbnail
from mmtool.io.readers.slide import SlideReader, hash_slide, slide_reader
from mmtool.io.readers.strings import canonical_smiles, clean_protein
from mmtool.io.readers.text import read_text
from mmtool.pipelines.index_spaces import Parts, Vectors
from mmtool.pipelines.indexing_sources import Candidate
from mmtool.pipelines.slide_pictures import MPP, TILE_PIXELS, overview_picture, slide_picture
from mmtool.pipelines.slide_tissue import OVERVIEW_MPP, tile_places, tissue_mask
from mmtool.retrieval import Kind, Picture, Source

_STACKED = ("CT", "MR", "PT", "NM")
_FEWEST_SLICES = 3
_TILE_UM = 1024.0  # along an edge of a region
_TILES = 24  # of a slide, drawn evenly from those with tissue
_TISSUE = 0.5


@dataclass(frozen=True)
class Read:
    """What was read of one item.

    Attributes:
        source: What it came from.
        stamp: How it is known to be unchanged.
        told: Words of its facts.
        picture: For the encoder, or None.
        identity: Canonical SMILES or hash of letters.
        thumbnail: JPEG, or b"".
    """

    source: Source
    stamp: Stamp
    told: str = ""
    picture: Picture | None = None
    identity: str = ""
    thumbnail: bytes = b""

    @property
    def kind(self) -> Kind:
        """Of the source."""
        return self.source.kind

    @property
    def text(self) -> str:
        """Of the source."""
        return self.source.text

    @property
    def content(self) -> str:
        """Of the source."""
        return self.source.content

    def item(self, vectors: Vectors, parts: Parts) -> NewItem:
        """The item for the index."""
        return NewItem(
            self.source,
            self.stamp,
            identity=self.identity,
            told=self.told,
            dhash="" if self.picture is None else dhash(self.picture),
            thumbnail=self.thumbnail,
            vectors=vectors,
            parts=parts,
        )


@contextmanager
def desk(limits: Limits, *, identifiers: bool) -> Iterator[Desk]:
    """A desk with open readers."""
    with picture_reader(limits) as pictures, slide_reader(limits) as slides:
        yield Desk(pictures, slides, limits, identifiers)


@dataclass(frozen=True)
class Desk:
    """Reads one candidate after the other.

    Attributes:
        pictures: Of all kinds.
        slides: Of slides.
        limits: Bounds.
        identifiers: Whether names that are written into pictures may be kept.
    """

    pictures: PictureReader
    slides: SlideReader
    limits: Limits
    identifiers: bool

    def sha256(self, candidate: Candidate) -> str:
        """Hash of the bytes of a candidate of one item.

        Raises:
            InputError: They can't be read.
        """
        if candidate.sha256:
            return candidate.sha256
        try:
            with candidate.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(
                f"{candidate.path}: can't be read ({type(error).__name__})", "check the path"
            ) from error

    def read(self, candidate: Candidate, sha256: str) -> tuple[list[Read], list[Failure]]:
        """Items of a candidate, and what of it can't be read."""
        try:
            if candidate.how == "dicom":
                return self._dicom(candidate)
            if candidate.how == "slide":
                return self._slide(candidate), []
            return [self._one(candidate, sha256)], []
        except MMToolError as error:
            return [], [failure_of(candidate, error)]

    def _one(self, candidate: Candidate, sha256: str) -> Read:
        if candidate.how in ("picture", "volume"):
            return self._picture(
                candidate, candidate.key, sha256, self.pictures.read(candidate.path)
            )
        text, content, identity = candidate.text, candidate.content, ""
        if candidate.how == "file_text":
            if not candidate.stamp.row_sha256:
                text = read_text(candidate.path, self.limits).strip()
            if not text:
                raise InputError(f"{candidate.path}: no words", "an empty report")
        elif candidate.kind == "molecule":
            identity = canonical_smiles(content)
        else:
            content = clean_protein(content)
            identity = hashlib.sha256(content.encode()).hexdigest()
        source = replace(_source(candidate, candidate.key, sha256), text=text, content=content)
        return Read(source, candidate.stamp, candidate.told, identity=identity)

    def _picture(self, candidate: Candidate, key: str, sha256: str, picture: Picture) -> Read:
        kind: Kind = candidate.kind
        if kind in ("image", "volume"):
            kind = "volume" if _is_volume(picture, candidate) else "image"
        facts = {**picture.facts, **candidate.facts}
        source = replace(_source(candidate, key, sha256), kind=kind, facts=facts)
        named = BURNT_IN in picture.notes and not self.identifiers
        small = b"" if named else thumbnail(picture)
        return Read(source, candidate.stamp, candidate.told, picture, thumbnail=small)

    def _dicom(self, candidate: Candidate) -> tuple[list[Read], list[Failure]]:
        found: list[Read] = []
        failed: list[Failure] = []
        series: dict[str, Series] = {}
        for path in candidate.files:
            try:
                dataset = parse(path, self.limits)
            except MMToolError as error:
                failed.append(failure_of(candidate, error, path))
                continue
            if "Rows" in dataset and dataset.get("Modality") not in ("SEG", "RTDOSE", "SM"):
                uid = str(dataset.get("SeriesInstanceUID", ""))
                series.setdefault(uid, Series(uid)).files.append(DicomFile(path, dataset))
        for one in sorted(series.values(), key=lambda s: (s.number(), s.short_id)):
            reads, broken = self._series(candidate, one)
            found += reads
            failed += broken
        if not found and not failed:
            empty = InputError(
                f"{candidate.path}: no DICOM image", "reports and contours have none"
            )
            failed.append(failure_of(candidate, empty))
        return found, failed

    def _series(self, candidate: Candidate, series: Series) -> tuple[list[Read], list[Failure]]:
        """A volume if the images fill a box; else each image by itself."""
        group = str(series.files[0].dataset.get("StudyInstanceUID", ""))
        candidate = replace(candidate, group=hashlib.sha256(group.encode()).hexdigest()[:10])
        if self.identifiers:
            candidate = replace(candidate, extra=_identifiers(series))
        if series.modality in _STACKED and len(series.files) >= _FEWEST_SLICES:
            try:
                picture = self.pictures.read_series(series, candidate.path)
            except InputError:
                pass
            else:
                key = f"{candidate.key}#{series.short_id}"
                sha256 = _hash_files([f.path for f in series.files])
                return [self._picture(candidate, key, sha256, picture)], []
        found, failed = [], []
        for file in sorted(series.files, key=lambda f: str(f.path)):
            own = replace(candidate, path=file.path)
            key = candidate.key
            if len(candidate.files) > 1:
                key = f"{key}/{file.path.name}"
            try:
                picture = self.pictures.read(file.path)
                found.append(self._picture(own, key, _hash_files([file.path]), picture))
            except MMToolError as error:
                failed.append(failure_of(candidate, error, file.path))
        return found, failed

    def _slide(self, candidate: Candidate) -> list[Read]:
        slide = self.slides.open(candidate.path, MPP)
        sha256 = hash_slide(candidate.path)
        overview, scale = slide.overview(OVERVIEW_MPP)
        header = slide.header
        size = header.sizes[0]
        edge = _TILE_UM / header.mpp
        mask = tissue_mask(overview, scale * header.mpp)
        places = tile_places(mask, scale, size, edge, _TISSUE)
        if len(places) > _TILES:
            places = places[np.linspace(0, len(places) - 1, _TILES).round().astype(int)]
        picture = overview_picture(overview)
        found = [self._picture(candidate, f"{candidate.key}#overview", sha256, picture)]
        spots = [(float(x), float(y)) for x, y in places]
        tiles = slide.tiles(spots, edge, TILE_PIXELS) if spots else ()
        for (x, y), tile in zip(spots, tiles, strict=True):
            region = f"{x:.0f},{y:.0f},{edge:.0f},{edge:.0f}"
            own = replace(candidate, extra={**candidate.extra, "region": region})
            picture = slide_picture(tile)
            found.append(self._picture(own, f"{candidate.key}#{region}", sha256, picture))
        return found


def failure_of(candidate: Candidate, error: MMToolError, path: Path | None = None) -> Failure:
    """The row of a candidate, or of one of its files, that can't be read."""
    key = candidate.key
    if path is not None and len(candidate.files) > 1:
        key = f"{key}/{path.name}"
    place = str(path or candidate.path)
    reason = error.message.removeprefix(f"{place}: ")
    return Failure(key, place, candidate.kind, reason, error.hint, candidate.stamp)


def _source(candidate: Candidate, key: str, sha256: str) -> Source:
    return Source(
        key=key,
        path=str(candidate.path),
        kind=candidate.kind,
        sha256=sha256,
        facts=candidate.facts,
        group=candidate.group,
        text=candidate.text,
        content=candidate.content,
        extra=candidate.extra,
    )


def _is_volume(picture: Picture, candidate: Candidate) -> bool:
    """A stack of slices, not a video: its frames have places in the patient."""
    deep = picture.pixels.shape[0] >= _FEWEST_SLICES
    return deep and (candidate.how != "picture" and picture.spacing is not None)


def _hash_files(paths: list[Path]) -> str:
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def _identifiers(series: Series) -> dict[str, str]:
    dataset = series.files[0].dataset
    names = ("PatientID", "PatientName", "AccessionNumber", "StudyDate", "StudyInstanceUID")
    found = {name: str(dataset.get(name) or "") for name in (*names, "SeriesInstanceUID")}
    return {name: value for name, value in found.items() if value}
