"""Items of a batch: from the command line, or from a sample sheet; with safe, unique names."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from mmtool.errors import InputError, UsageError

_INPUT_COLUMNS = ("input", "scan", "path", "image")
_ARCHIVES = (".gz", ".bz2", ".tar", ".zip")
_VOLUMES = (".nii", ".mgz", ".mgh", ".nrrd", ".nhdr", ".dcm")
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".svs", ".ndpi", ".mrxs")
_TABLES = (".csv", ".tsv", ".txt", ".json", ".fasta", ".fa", ".h5", ".pt", ".npy")
_SUFFIXES = frozenset((*_ARCHIVES, *_VOLUMES, *_PICTURES, *_TABLES))
_MAX_SHEET = 64 << 20  # bytes
_MAX_NAME = 80


@dataclass(frozen=True)
class BatchItem:
    """One unit of work.

    Attributes:
        name: Unique and safe as a folder name; never made from patient data.
        inputs: Files or folders to read.
        params: Columns of the sample sheet's row, e.g. ``text``; empty cells are left out.
    """

    name: str
    inputs: tuple[Path, ...]
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Shard:
    """Part ``index`` (from 1) of ``count``; items are dealt like cards."""

    index: int
    count: int

    def take(self, items: Sequence[BatchItem]) -> list[BatchItem]:
        """The items of this part."""
        return list(items[self.index - 1 :: self.count])


def stem_of(path: Path) -> str:
    """Name of a file without the suffixes of known formats, made safe for a folder.

    Example:
        >>> stem_of(Path("/data/sub-01 T1w.nii.gz"))
        'sub-01_T1w'
    """
    name = path.name or path.absolute().name
    while Path(name).suffix.lower() in _SUFFIXES and Path(name).stem:
        name = Path(name).stem
    return slug(name)


def slug(name: str) -> str:
    """Letters, digits, dot, dash and underscore only; never empty, hidden or over-long."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-")[:_MAX_NAME]
    return safe or "item"


def items_from_paths(paths: Sequence[Path]) -> list[BatchItem]:
    """One item a path.

    Raises:
        UsageError: A path was given twice.
    """
    twice = [str(p) for p, n in Counter(paths).items() if n > 1]
    if twice:
        raise UsageError(f"{twice[0]} was given more than once", "give each input once")
    return _unique([BatchItem(stem_of(p), (p,)) for p in paths])


def _unique(items: list[BatchItem]) -> list[BatchItem]:
    """Give items of one name a suffix from their path.

    The suffix depends on the path alone, so a name stays the same in every shard and run.
    Names are compared without case: some file systems don't tell ``A`` from ``a``.
    """
    count = Counter(item.name.lower() for item in items)
    out = []
    for item in items:
        if count[item.name.lower()] > 1:
            digest = hashlib.sha256("\0".join(map(str, item.inputs)).encode()).hexdigest()[:8]
            item = replace(item, name=f"{item.name}-{digest}")
        out.append(item)
    if len({item.name.lower() for item in out}) < len(out):
        raise InputError("two inputs would share one output folder", "name them by a column id")
    return out


def items_from_sheet(
    sheet: Path, *, params: Collection[str] = (), path_params: Collection[str] = ()
) -> list[BatchItem]:
    """Items of a sample sheet.

    Args:
        sheet: CSV or TSV with a header. One column ``input`` (or ``scan``, ``path``,
            ``image``), at will ``id``, and the columns named by ``params``. Relative paths count
            from the sheet's folder.
        params: Options of the command that a row may set.
        path_params: Those of them whose value may be a file's path.

    Raises:
        InputError: The sheet cannot be read; the message names the line.
    """
    rows = _rows(sheet)
    header = [cell.strip().lower() for cell in rows[0][1]]
    column = _check_header(header, sheet, params)
    items: list[BatchItem] = []
    ids: dict[str, int] = {}
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise InputError(
                f"{sheet} line {line}: {len(cells)} cells under {len(header)} columns",
                "quote cells that hold the separator",
            )
        row = {key: cell.strip() for key, cell in zip(header, cells, strict=True)}
        items.append(_item(row, column, sheet, line, ids, path_params))
    if not items:
        raise InputError(f"{sheet}: no rows under the header", "add one row for each input")
    named = "id" in header
    if not named and len({item.inputs for item in items}) < len(items):
        raise InputError(f"{sheet}: an input stands in several rows", "add a column id")
    return items if named else _unique(items)


def _rows(sheet: Path) -> list[tuple[int, list[str]]]:
    """Line number and cells of every line that is not blank."""
    try:
        with sheet.open("rb") as file:
            raw = file.read(_MAX_SHEET + 1)
    except OSError as error:
        raise InputError(f"{sheet}: cannot be read", "check the path") from error
    if len(raw) > _MAX_SHEET:
        raise InputError(f"{sheet}: larger than {_MAX_SHEET >> 20} MiB", "split the sheet")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{sheet}: not UTF-8 text", "save it as CSV UTF-8 or TSV") from error
    first = text.lstrip().partition("\n")[0]
    if ";" in first and "," not in first and "\t" not in first:
        raise InputError(f"{sheet}: separated by semicolons", "use commas or tabs")
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter="\t" if "\t" in first else ",", strict=True
    )
    try:
        rows = [(reader.line_num, cells) for cells in reader if any(c.strip() for c in cells)]
    except csv.Error as error:
        raise InputError(f"{sheet} line {reader.line_num}: {error}", "check the quotes") from error
    if not rows:
        raise InputError(f"{sheet}: empty", "a sample sheet has a header and rows")
    return rows


def _check_header(header: list[str], sheet: Path, params: Collection[str]) -> str:
    twice = [name for name, n in Counter(header).items() if n > 1]
    if twice:
        raise InputError(f"{sheet}: column '{twice[0]}' stands twice", "rename one")
    found = [name for name in _INPUT_COLUMNS if name in header]
    if len(found) != 1:
        raise InputError(
            f"{sheet}: {'no' if not found else 'more than one'} input column"
            f" among {', '.join(header)}",
            f"name one column {_INPUT_COLUMNS[0]} (or {', '.join(_INPUT_COLUMNS[1:])})",
        )
    known = [found[0], "id", *params]
    for name in header:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
            raise InputError(f"{sheet}: unknown column '{name}'", hint)
    return found[0]


def _item(
    row: Mapping[str, str],
    column: str,
    sheet: Path,
    line: int,
    ids: dict[str, int],
    path_params: Collection[str],
) -> BatchItem:
    where = f"{sheet} line {line}"
    if not row[column]:
        raise InputError(f"{where}: the column {column} is empty", "every row needs an input")
    path = sheet.parent / row[column]
    name = stem_of(path)
    if "id" in row:
        name = slug(row["id"])
        if not row["id"]:
            raise InputError(f"{where}: the column id is empty", "give each row an id")
        if name.lower() in ids:
            raise InputError(
                f"{where}: the id names the same folder as that of line {ids[name.lower()]}",
                "make the ids unique, also without case and special characters",
            )
        ids[name.lower()] = line
    own = {k: v for k, v in row.items() if v and k not in (column, "id")}
    for key in set(own) & set(path_params):
        own[key] = existing_path(own[key], sheet.parent) or own[key]
    return BatchItem(name, (path,), own)


def existing_path(value: str, folder: Path) -> str | None:
    """The path of a value that names an existing file from ``folder``, else None."""
    try:
        path = folder / value
        return str(path) if path.exists() else None
    except (OSError, ValueError):  # far too long for a path, or a null byte: words, not a path
        return None
