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
VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mgh", ".mgz")  # files of one image
_NUMBERED = re.compile(r"(.+)_([0-9]{4})")  # case and channel in nnU-Net's file names
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".svs", ".ndpi", ".mrxs")
_TABLES = (".csv", ".tsv", ".txt", ".json", ".fasta", ".fa", ".h5", ".pt", ".npy")
_SUFFIXES = frozenset((*_ARCHIVES, *_VOLUMES, *_PICTURES, *_TABLES))
_MAX_SHEET = 64 << 20  # bytes
_MAX_NAME = 80
_MAX_WORDS = 40  # letters of a name that is made of words


@dataclass(frozen=True)
class BatchItem:
    """One unit of work.

    Attributes:
        name: Unique and safe as a folder name; never made from patient data.
        inputs: Files or folders to read; further channels of a case follow the first.
        channels: Names or numbers of those further channels.
        params: Columns of the sample sheet's row, e.g. ``text``; empty cells are left out.
        words: What was given in place of a file, for a command that takes words; "" otherwise.
    """

    name: str
    inputs: tuple[Path, ...]
    params: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    words: str = ""

    @property
    def given(self) -> str:
        """What was given, for people."""
        return self.words or " ".join(str(path) for path in self.inputs)


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


def items_from_paths(
    paths: Sequence[Path], channels: Mapping[str, Path] | None = None
) -> list[BatchItem]:
    """One item a path; of a folder in nnU-Net's naming one item for each of its cases.

    Args:
        paths: As given.
        channels: Further channels of the one case that ``paths`` is.

    Raises:
        UsageError: A path was given twice, or channels of several cases.
        InputError: A case of a folder lacks a channel before its last one.
    """
    further = dict(channels or {})
    twice = [str(p) for p, n in Counter([*paths, *further.values()]).items() if n > 1]
    if twice:
        raise UsageError(f"{twice[0]} was given more than once", "give each input once")
    if further and len(paths) != 1:
        raise UsageError(
            "--channel goes with one scan",
            "for several cases use a sample sheet with a column for each channel, or a folder "
            "with files such as case_0000.nii.gz and case_0001.nii.gz",
        )
    if further:
        path = paths[0]
        return [BatchItem(stem_of(path), (path, *further.values()), channels=tuple(further))]
    items: list[BatchItem] = []
    for path in paths:
        items += numbered_cases(path) or [BatchItem(stem_of(path), (path,))]
    return _unique(items)


def items_from_queries(queries: Sequence[str]) -> list[BatchItem]:
    """One item a query: the path of a file or folder that is there, or else words.

    Raises:
        UsageError: One is empty, or stands twice.
    """
    twice = [query for query, n in Counter(queries).items() if n > 1]
    if twice:
        raise UsageError(f"{twice[0][:60]} was given more than once", "give each query once")
    if not all(query.strip() for query in queries):
        raise UsageError("an empty query", "give words, a file, a SMILES or letters")
    return _unique([_query(query, Path()) for query in queries])


def _query(text: str, folder: Path) -> BatchItem:
    path = existing_path(text, folder)
    if path is not None:
        return BatchItem(stem_of(Path(path)), (Path(path),))
    name = slug(text)
    return BatchItem(name[:_MAX_WORDS].rstrip("._-"), (), words=text)


def numbered_cases(folder: Path) -> list[BatchItem]:
    """Cases of a folder with files such as ``case_0000.nii.gz``; none in any other folder.

    Raises:
        InputError: A case lacks a channel before its last one.
    """
    if not folder.is_dir():
        return []
    cases: dict[str, dict[int, Path]] = {}
    for path in sorted(folder.iterdir()):
        match = _NUMBERED.fullmatch(stem_of(path))
        if match and path.is_file() and path.name.lower().endswith(VOLUME_SUFFIXES):
            cases.setdefault(match[1], {})[int(match[2])] = path
    if not any(0 in files for files in cases.values()):
        return []  # numbers that mean something else
    items = []
    for case, files in cases.items():
        numbers = sorted(files)
        absent = next((n for n, number in enumerate(numbers) if n != number), None)
        if absent is not None:
            raise InputError(
                f"{folder}: case '{case}' has no channel {absent:04d}",
                f"it needs a file {case}_{absent:04d} beside {files[numbers[-1]].name}",
            )
        inputs = tuple(files[n] for n in numbers)
        items.append(BatchItem(slug(case), inputs, channels=tuple(str(n) for n in numbers[1:])))
    return items


def _unique(items: list[BatchItem]) -> list[BatchItem]:
    """Give items of one name a suffix from their path.

    The suffix depends on the path alone, so a name stays the same in every shard and run.
    Names are compared without case: some file systems don't tell ``A`` from ``a``.
    """
    count = Counter(item.name.lower() for item in items)
    out = []
    for item in items:
        if count[item.name.lower()] > 1:
            what = item.words or "\0".join(map(str, item.inputs))
            digest = hashlib.sha256(what.encode()).hexdigest()[:8]
            item = replace(item, name=f"{item.name}-{digest}")
        out.append(item)
    if len({item.name.lower() for item in out}) < len(out):
        raise InputError("two inputs would share one output folder", "name them by a column id")
    return out


def items_from_sheet(
    sheet: Path,
    *,
    params: Collection[str] = (),
    path_params: Collection[str] = (),
    channels: Sequence[str] = (),
    words: bool = False,
) -> list[BatchItem]:
    """Items of a sample sheet.

    Args:
        sheet: CSV or TSV with a header. One column ``input`` (or ``scan``, ``path``,
            ``image``), at will ``id``, and the columns named by ``params``. Relative paths count
            from the sheet's folder.
        params: Options of the command that a row may set.
        path_params: Those of them whose value may be a file's path.
        channels: Channels of the model. Each but the first may have a column of its own with
            paths; the first is the input, and its column may be named after it.
        words: Whether an input that is no file is taken for words.

    Raises:
        InputError: The sheet cannot be read; the message names the line.
    """
    rows = _rows(sheet)
    header = [cell.strip().lower() for cell in rows[0][1]]
    named = [name.lower() for name in channels]
    column = _check_header(header, sheet, params, named)
    items: list[BatchItem] = []
    ids: dict[str, int] = {}
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise InputError(
                f"{sheet} line {line}: {len(cells)} cells under {len(header)} columns",
                "quote cells that hold the separator",
            )
        row = {key: cell.strip() for key, cell in zip(header, cells, strict=True)}
        item = _item(row, column, sheet, line, ids, path_params)
        if words:
            found = _query(row[column], sheet.parent)
            name = item.name if "id" in row else found.name
            item = replace(item, name=name, inputs=found.inputs, words=found.words)
        items.append(_with_channels(item, named[1:], sheet.parent))
    if not items:
        raise InputError(f"{sheet}: no rows under the header", "add one row for each input")
    identified = "id" in header
    if not identified and len({(item.inputs, item.words) for item in items}) < len(items):
        raise InputError(f"{sheet}: an input stands in several rows", "add a column id")
    return items if identified else _unique(items)


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


def _with_channels(item: BatchItem, channels: Sequence[str], folder: Path) -> BatchItem:
    """An item whose cells under the names of channels have become inputs."""
    own = {k: folder / v for k, v in item.params.items() if k in channels}
    if not own:
        return item
    params = {k: v for k, v in item.params.items() if k not in own}
    return replace(item, inputs=(*item.inputs, *own.values()), params=params, channels=tuple(own))


def _check_header(
    header: list[str], sheet: Path, params: Collection[str], channels: Sequence[str]
) -> str:
    twice = [name for name, n in Counter(header).items() if n > 1]
    if twice:
        raise InputError(f"{sheet}: column '{twice[0]}' stands twice", "rename one")
    inputs = dict.fromkeys((*_INPUT_COLUMNS, *channels[:1]))
    found = [name for name in inputs if name in header]
    if len(found) != 1:
        raise InputError(
            f"{sheet}: {'no' if not found else 'more than one'} input column"
            f" among {', '.join(header)}",
            f"name one column {_INPUT_COLUMNS[0]} (or {', '.join(_INPUT_COLUMNS[1:])})",
        )
    known = [found[0], "id", *params, *channels[1:]]
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
