"""Tables of text of any size: gzip or zip, encoding, separator, quotes, and bounds on all of them.

A table is read twice as a stream: once to look at every byte (:func:`open_table`), then row by row
(:meth:`TextTable.rows`). Neither holds more than a block.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits

_BLOCK = 1 << 20
_INFLATION_FLOOR = 64 << 20  # below this many bytes the ratio is not looked at
_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"
_OTHER_FORMATS = {
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x89HDF": "an HDF5 file (.h5, .h5ad)",
    b"PAR1": "a Parquet file",
    b"BZh": "a bzip2 file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"\xfd7zXZ": "an xz file",
    b"%PDF": "a PDF",
}
# The first of the IEDB's two lines of header: what the names of the second are about.
_GROUPS = frozenset({"Receptor", "Reference", "Epitope", "Assay", "Chain 1", "Chain 2"})
_AS_TEXT = "save it as CSV or TSV, plain or .gz"


@dataclass(frozen=True)
class TextTable:
    """A table whose bytes were looked at.

    Attributes:
        path: The file.
        columns: Header as it stands, without the byte order mark; of two lines, both joined.
        header: Its lines.
        delimiter: Tab, comma or semicolon.
        encoding: ``utf-8-sig``, ``utf-16`` or ``latin-1``.
        limits: Bounds.
    """

    path: Path
    columns: tuple[str, ...]
    header: int
    delimiter: str
    encoding: str
    limits: Limits

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and cells of each row; blank lines are left out, short rows stay short.

        Raises:
            InputError: A row has more cells than the header, or quotes that don't end.
            LimitError: A line is too long, or the file inflates without end.
        """
        width = len(self.columns)
        records = _records(self.path, self.encoding, self.delimiter, self.limits)
        for number, cells in islice(records, self.header, None):
            if len(cells) > width and not any(cells[width:]):
                del cells[width:]
            if len(cells) > width:
                raise InputError(
                    f"{self.path} line {number}: {len(cells)} cells under {width} columns",
                    "quote cells that hold the separator",
                )
            yield number, cells


def open_table(path: Path, limits: Limits) -> TextTable:
    """Look at a file and its header.

    Raises:
        InputError: No file, empty, binary, another format, or no header.
        LimitError: It is larger, or has longer lines, than the limits allow.
    """
    encoding = _encoding(path, limits)
    with _text(path, encoding, limits) as text:
        first = next(_lines(text, path, limits), "")
    if not first.strip():
        raise InputError(f"{path}: the first line is empty", "the first line names the columns")
    delimiter = _delimiter(first)
    heads = [cells for _, cells in islice(_records(path, encoding, delimiter, limits), 2)]
    grouped = len(heads) == 2 and set(heads[0]) <= _GROUPS and len(heads[0]) == len(heads[1])
    if grouped:
        columns = [f"{group} - {name}" for group, name in zip(*heads, strict=True)]
    else:
        columns = heads[0]
    return TextTable(path, tuple(columns), 1 + grouped, delimiter, encoding, limits)


def _encoding(path: Path, limits: Limits) -> str:
    """Encoding of a file, by all of its bytes."""
    head = _head(path, limits)
    for magic, name in _OTHER_FORMATS.items():
        if head.startswith(magic):
            raise InputError(f"{path}: {name}, no table of text", _AS_TEXT)
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    decoder: codecs.IncrementalDecoder = codecs.getincrementaldecoder("utf-8")()
    encoding = "utf-8-sig"
    with _bytes(path, limits) as file:
        while block := file.read(_BLOCK):
            if b"\0" in block:
                raise _binary(path)
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                encoding = "latin-1"
                decoder = codecs.getincrementaldecoder("latin-1")()
    return encoding


def _head(path: Path, limits: Limits) -> bytes:
    if path.is_dir():
        raise InputError(f"{path}: a folder, no table", "give the file itself")
    if not path.exists():
        raise InputError(f"{path}: no such file", "check the path")
    if path.stat().st_size > limits.max_file_bytes:
        raise LimitError(
            f"{path}: {path.stat().st_size:,} bytes are more than the limit",
            "raise MMTOOL_MAX_FILE_BYTES if the file is what you expect",
        )
    with _bytes(path, limits) as file:
        head = file.read(_BLOCK)
    if not head:
        raise InputError(f"{path}: the file is empty", "copy it again from its source")
    return head


class _Bounded(io.RawIOBase):
    """Bytes of an inflating file, counted."""

    def __init__(self, file: Any, stored: int, path: Path, limits: Limits) -> None:
        self.file = file
        self.path = path
        ratio = max(_INFLATION_FLOOR, limits.max_inflation * stored)
        self.left = min(limits.max_inflated_bytes, ratio)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self.file.read(len(buffer))
        self.left -= len(block)
        if self.left < 0:
            raise LimitError(
                f"{self.path}: inflates to more than the limit",
                "raise MMTOOL_MAX_INFLATION or MMTOOL_MAX_INFLATED_BYTES if the file is yours",
            )
        buffer[: len(block)] = block
        return len(block)


@contextmanager
def _bytes(path: Path, limits: Limits) -> Iterator[IO[bytes]]:
    """The bytes of a file, inflated if it is gzip or a zip archive of one file."""
    try:
        with path.open("rb") as raw:
            magic = raw.read(4)
            raw.seek(0)
            if magic == _ZIP:
                packed: Any = _only_member(raw, path)
            elif magic.startswith(_GZIP):
                packed = gzip.GzipFile(fileobj=raw)
            else:
                yield raw
                return
            with packed as inflated:
                bounded = _Bounded(inflated, path.stat().st_size, path, limits)
                yield io.BufferedReader(bounded, _BLOCK)
    except zipfile.BadZipFile as error:
        raise InputError(
            f"{path}: can't be read as a zip archive or an Excel workbook", _AS_TEXT
        ) from error
    except (OSError, EOFError, zlib.error, NotImplementedError) as error:
        raise InputError(
            f"{path}: can't be read ({type(error).__name__})", "copy it again from its source"
        ) from error


def _only_member(raw: IO[bytes], path: Path) -> IO[bytes]:
    """The one file in a zip archive, as a stream."""
    archive = zipfile.ZipFile(raw)
    members = [m for m in archive.infolist() if not m.is_dir()]
    members = [m for m in members if not m.filename.startswith("__MACOSX/")]
    if any(m.filename == "[Content_Types].xml" for m in members):
        raise InputError(f"{path}: an Excel workbook, no table of text", _AS_TEXT)
    if len(members) != 1:
        raise InputError(f"{path}: an archive of {len(members)} files", "pack the one table alone")
    if members[0].flag_bits & 1:
        raise InputError(f"{path}: an encrypted archive", "unpack it yourself")
    return archive.open(members[0])


def _binary(path: Path) -> InputError:
    return InputError(f"{path}: binary data, no table of text", _AS_TEXT)


@contextmanager
def _text(path: Path, encoding: str, limits: Limits) -> Iterator[io.TextIOWrapper]:
    with _bytes(path, limits) as raw:
        text = io.TextIOWrapper(raw, encoding=encoding, newline="")
        try:
            yield text
        except UnicodeError as error:
            raise InputError(f"{path}: broken {encoding} text", "save it as UTF-8") from error
        finally:
            text.detach()


def _lines(text: io.TextIOWrapper, path: Path, limits: Limits) -> Iterator[str]:
    """Physical lines, each within the limit."""
    number = 0
    most = limits.max_line_chars
    while line := text.readline(most + 1):
        number += 1
        if len(line) > most:
            raise LimitError(
                f"{path} line {number}: more than {most:,} characters",
                "raise MMTOOL_MAX_LINE_CHARS if the file is what you expect",
            )
        if "\0" in line:
            raise _binary(path)
        yield line


def _records(
    path: Path, encoding: str, delimiter: str, limits: Limits
) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each record, the header among them."""
    csv.field_size_limit(limits.max_line_chars)
    with _text(path, encoding, limits) as text:
        reader = csv.reader(_lines(text, path, limits), delimiter=delimiter, strict=True)
        number = 0
        try:
            for cells in reader:
                number = reader.line_num
                if cells:
                    yield number, cells
        except csv.Error as error:
            raise InputError(
                f"{path} line {number + 1}: {error}",
                "a cell that begins with a quote must end with one; double a quote inside",
            ) from error


def _delimiter(line: str) -> str:
    """The separator that makes most columns of a header."""
    return max("\t,;", key=lambda mark: len(next(csv.reader([line], delimiter=mark))))
