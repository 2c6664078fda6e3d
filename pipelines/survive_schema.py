"""What each clinical column of a table of patients is, and the numbers that it becomes.

The schema is inferred from the training table, from the columns alone and never from outcomes, and
is kept in the model: at prediction the same words become the same numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import ModelError
from mmtool.io.readers.patient_table import is_missing
from mmtool.pipelines.clinical_names import word_of_sex
from mmtool.pipelines.survive_orders import ORDERS, order_of, place_in, plain_word

ColumnKind = Literal["numeric", "ordinal", "binary", "categorical", "ignored"]
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*|[0-9]{1,2}[/.][0-9]{1,2}[/.][0-9]{2,4}")
_FEW = 5  # patients: a rarer category is pooled with the other rare ones
_MOST_LEVELS = 15
_LEAST_KNOWN = 0.05
OTHER = "other"


@dataclass(frozen=True)
class Column:
    """One clinical column.

    Attributes:
        name: As in the table.
        kind: What its cells are.
        levels: Of a binary or categorical column, its words; the first of a binary one is 0.
        order: Of an ordinal column, the name of the order.
        reason: Of an ignored column, why.
        known: Share of the training patients with a known cell.
    """

    name: str
    kind: ColumnKind
    levels: tuple[str, ...] = ()
    order: str = ""
    reason: str = ""
    known: float = 0.0

    def names(self) -> tuple[str, ...]:
        """Names of the numbers that the column becomes."""
        if self.kind == "ignored":
            return ()
        if self.kind == "categorical":
            return tuple(f"{self.name}={level}" for level in self.levels)
        return (f"{self.name}={self.levels[1]}",) if self.kind == "binary" else (self.name,)

    def numbers(self, cells: Sequence[str]) -> NDArray[np.float32]:
        """(R, k) float32 of R cells; NaN where a cell is unknown or a word that was never seen."""
        if self.kind == "categorical":
            return self._one_hot(cells)
        if self.kind == "numeric":
            values = [_number(c) for c in cells]
        elif self.kind == "ordinal":
            values = [float("nan") if is_missing(c) else place_in(self.order, c) for c in cells]
        else:
            sexes = {word_of_sex(level) for level in self.levels} == {"male", "female"}
            same: Callable[[str], str] = word_of_sex if sexes else str
            places = {same(level): float(i) for i, level in enumerate(self.levels)}
            values = [places.get(same(_word(c)), float("nan")) for c in cells]
        return np.array(values, np.float32)[:, None]

    def _one_hot(self, cells: Sequence[str]) -> NDArray[np.float32]:
        out = np.full((len(cells), len(self.levels)), np.nan, np.float32)
        places = {level: i for i, level in enumerate(self.levels)}
        for row, cell in enumerate(cells):
            word = _word(cell)
            if not is_missing(cell) and (word in places or OTHER in places):
                out[row] = 0
                out[row, places[word if word in places else OTHER]] = 1
        return out

    def unseen(self, cells: Sequence[str]) -> int:
        """How many cells hold what training never saw."""
        known = [c for c in cells if not is_missing(c) and plain_word(c) is not None]
        if self.kind == "ignored" or (self.kind == "categorical" and OTHER in self.levels):
            return 0
        return int(np.isnan(self.numbers(known)).any(1).sum()) if known else 0

    def says(self) -> str:
        """The column in a line for people."""
        if self.kind == "ignored":
            return f"{self.name}: ignored, {self.reason}"
        detail = {
            "ordinal": f" by {self.order}",
            "binary": f", 1 = {self.levels[1]}" if self.levels else "",
            "categorical": f": {', '.join(self.levels)}",
        }.get(self.kind, "")
        return f"{self.name}: {self.kind}{detail} ({self.known:.0%} known)"


@dataclass(frozen=True)
class Schema:
    """All clinical columns of a training table."""

    columns: tuple[Column, ...]

    def names(self) -> tuple[str, ...]:
        """Names of the numbers, in order."""
        return tuple(name for column in self.columns for name in column.names())

    def encode(self, table: Mapping[str, Sequence[str]], rows: int) -> NDArray[np.float32]:
        """(rows, F) float32 of a table's columns; NaN for columns that it lacks."""
        parts = []
        for column in self.columns:
            if column.kind == "ignored":
                continue
            cells = table.get(column.name)
            empty = np.full((rows, len(column.names())), np.nan, np.float32)
            parts.append(empty if cells is None else column.numbers(cells))
        return np.concatenate(parts, 1) if parts else np.zeros((rows, 0), np.float32)

    def notes(self, table: Mapping[str, Sequence[str]]) -> list[str]:
        """What a table lacks or has beyond the schema, in sentences."""
        used = [c for c in self.columns if c.kind != "ignored"]
        lacking = [c.name for c in used if c.name not in table]
        out = []
        if lacking and len(lacking) < len(used):
            out.append(f"columns that the model knows and the table lacks: {', '.join(lacking)}")
        for column in used:
            many = column.unseen(table[column.name]) if column.name in table else 0
            if many:
                out.append(
                    f"column '{column.name}': {many} cells hold what training never saw; they "
                    "count as unknown"
                )
        return out

    def to_json(self) -> list[dict[str, Any]]:
        """Plain data for the model's config."""
        return [asdict(column) for column in self.columns]

    @classmethod
    def from_json(cls, value: Any, where: str) -> Schema:
        """The schema of a model's config.

        Raises:
            ModelError: It is damaged.
        """
        try:
            columns = tuple(Column(**c | {"levels": tuple(c["levels"])}) for c in value)
        except (TypeError, KeyError) as error:
            raise ModelError(f"{where}: a damaged schema", "train the model again") from error
        if any(c.kind == "ordinal" and c.order not in ORDERS for c in columns):
            raise ModelError(f"{where}: an order that is not known", "it needs a newer mmtool")
        return cls(columns)


def infer_schema(table: Mapping[str, Sequence[str]], ignored: Mapping[str, str]) -> Schema:
    """Tell what each column is.

    Args:
        table: Name -> cells of R training patients.
        ignored: Columns that must not be used -> why.
    """
    columns = []
    for name, cells in table.items():
        if name in ignored:
            columns.append(Column(name, "ignored", reason=ignored[name]))
        else:
            columns.append(_inferred(name, cells))
    return Schema(tuple(columns))


def _inferred(name: str, cells: Sequence[str]) -> Column:
    known = [c for c in cells if not is_missing(c) and plain_word(c) is not None]
    share = len(known) / max(1, len(cells))
    counts = Counter(_word(c) for c in known)
    reason = _useless(counts, share, known)
    if reason:
        return Column(name, "ignored", reason=reason, known=share)
    numeric = not any(np.isnan(_number(c)) for c in known)
    if numeric and len(counts) > 2:
        if _numbers_rows(known, len(cells)):
            return Column(name, "ignored", reason="it numbers the rows", known=share)
        return Column(name, "numeric", known=share)
    order = None if numeric else order_of(counts)
    if order is not None and (len(counts) > 2 or "<" not in order):
        return Column(name, "ordinal", order=order, known=share)
    if len(counts) == 2:
        return Column(name, "binary", _two(list(counts)), known=share)
    levels = [word for word, n in sorted(counts.items()) if n >= _FEW]
    if len(levels) > _MOST_LEVELS or not levels:
        reason = f"{len(counts)} different words"
        return Column(name, "ignored", reason=reason, known=share)
    if len(levels) < len(counts):
        levels = [*(w for w in levels if w != OTHER), OTHER]
    return Column(name, "categorical", tuple(levels), known=share)


def _useless(counts: Counter[str], share: float, known: Sequence[str]) -> str:
    if not counts:
        return "empty"
    if len(counts) == 1:
        return "the same for all"
    if share < _LEAST_KNOWN:
        return f"known of {share:.1%} only"
    if all(_DATE.fullmatch(c) for c in known):
        return "dates"
    return ""


def _numbers_rows(known: Sequence[str], rows: int) -> bool:
    """Whether cells are whole numbers, each once, in the order of the rows."""
    values = np.array([_number(c) for c in known])
    steps = np.diff(values)
    return len(known) == rows > 10 and bool((steps == 1).all())


def _two(words: list[str]) -> tuple[str, str]:
    """Both words of a column, the negative one first."""
    numbers = [_number(w) for w in words]
    if not np.isnan(numbers).any():
        words = [w for _, w in sorted(zip(numbers, words, strict=True))]
        return words[0], words[1]
    first, second = sorted(words)
    positive = ("yes", "true", "positive", "present", "y", "t")
    return (second, first) if first in positive else (first, second)


def _word(cell: str) -> str:
    """A cell as a level: lower case, single blanks, 1.0 as 1."""
    word = " ".join(cell.lower().split())
    number = _number(word)
    return word if np.isnan(number) else f"{number:g}"


def _number(cell: str) -> float:
    if is_missing(cell):
        return float("nan")
    try:
        value = float(cell)
    except ValueError:
        return float("nan")
    return value if np.isfinite(value) else float("nan")
