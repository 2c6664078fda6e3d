"""Tables of receptors: tab-separated, row by row, with the cells of the input as they were."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mmtool.io.atomic import replace_into

_SPECIAL = re.compile('[\t\n\r"]')

WriteRows = Callable[[Iterable[Sequence[str]]], None]


@contextmanager
def open_rows(path: Path) -> Iterator[WriteRows]:
    """Give a function that writes rows; the file appears when the block ends well.

    UTF-8 and line feeds. A cell that holds a tab, a line break or a quote is put in quotes, as
    RFC 4180 has it; no other cell is changed. A name that ends in ``.gz`` is compressed, and the
    same rows give the same bytes.
    """
    with replace_into(path) as temporary, ExitStack() as stack:
        raw = stack.enter_context(temporary.open("wb"))
        sink: Any = raw
        if path.suffix == ".gz":
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=4)
            sink = stack.enter_context(packed)
        text = stack.enter_context(io.TextIOWrapper(sink, encoding="utf-8", newline=""))

        def write(rows: Iterable[Sequence[str]]) -> None:
            text.writelines(map(_line, rows))

        yield write


def _line(cells: Sequence[str]) -> str:
    line = "\t".join(cells)
    if _plain(line, len(cells)):
        return f"{line}\n"
    return "\t".join(map(_quoted, cells)) + "\n"


def _plain(line: str, cells: int) -> bool:
    broken = '"' in line or "\n" in line or "\r" in line
    return not broken and line.count("\t") == cells - 1


def _quoted(cell: str) -> str:
    return '"{}"'.format(cell.replace('"', '""')) if _SPECIAL.search(cell) else cell
