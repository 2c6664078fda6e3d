"""Conditions on items, and the SQL that they become; values are always bound, never pasted."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from mmtool.errors import UsageError
from mmtool.facts import spelled
from mmtool.retrieval import FACTS, KINDS

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "~"]
OPERATORS: tuple[Operator, ...] = ("=", "!=", "<", "<=", ">", ">=", "~")
NAMES = (*FACTS, "kind", "group", "text", "path", "content")
Bound = tuple[str, list[str | float]]


@dataclass(frozen=True)
class Compare:
    """One condition: ``~`` is "contains", in any case; dates compare as far as they are told.

    Attributes:
        name: One of `NAMES`, or a column of the tables that were indexed.
        operator: One of `OPERATORS`.
        value: As a user writes it; facts are spelled as in the index (``MRI`` finds ``MR``).
    """

    name: str
    operator: Operator
    value: str


@dataclass(frozen=True)
class OneOf:
    """The value is one of several."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Not:
    """What the part does not hold for; unknown values among it."""

    part: Filter


@dataclass(frozen=True)
class AllOf:
    """Every part holds; so it does with no parts."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Filter, ...]


Filter = Compare | OneOf | Not | AllOf | AnyOf


def where(condition: Filter, columns: Collection[str]) -> Bound:
    """SQL of a condition on the table ``items``, and the values to bind.

    Args:
        condition: What shall hold.
        columns: Names of further columns in the index.

    Raises:
        UsageError: No such name, or an age that is no number.
    """
    if isinstance(condition, Compare):
        return _compare(condition.name, condition.operator, condition.value, columns)
    if isinstance(condition, OneOf):
        parts = [_compare(condition.name, "=", value, columns) for value in condition.values]
        return _several(" OR ", parts, "0")
    if isinstance(condition, Not):
        text, values = where(condition.part, columns)
        return f"NOT coalesce({text}, 0)", values
    parts = [where(part, columns) for part in condition.parts]
    return (
        _several(" AND ", parts, "1")
        if isinstance(condition, AllOf)
        else (_several(" OR ", parts, "0"))
    )


def _several(word: str, parts: list[Bound], empty: str) -> Bound:
    if not parts:
        return empty, []
    return f"({word.join(text for text, _ in parts)})", [v for _, values in parts for v in values]


def _compare(name: str, operator: Operator, value: str, columns: Collection[str]) -> Bound:
    if operator not in OPERATORS:
        raise UsageError(f"'{operator}' is no comparison", f"one of {' '.join(OPERATORS)}")
    place, bound = _place(name, columns)
    if name == "kind" and operator in ("=", "!=") and value not in KINDS:
        raise UsageError(f"no kind '{value}'", f"one of {', '.join(KINDS)}")
    wanted = spelled(name, value) if name in FACTS else value
    if operator == "~":
        return f"instr(lower({place}), lower(?)) > 0", [*bound, value]
    if name == "age":
        return f"coalesce({place} {operator} ?, {int(operator == '!=')})", [_years(value, wanted)]
    if name == "date":
        told = f"{place} != '' AND " if operator != "!=" else ""
        return f"({told}substr({place}, 1, length(?)) {operator} ?)", [wanted, wanted]
    number = _number(wanted)
    if number is not None and operator[0] in "<>" and name not in FACTS:
        return f"({place} != '' AND CAST({place} AS REAL) {operator} ?)", [*bound, *bound, number]
    return f"{place} {operator} ? COLLATE NOCASE", [*bound, wanted]


def _place(name: str, columns: Collection[str]) -> tuple[str, list[str | float]]:
    if name in NAMES:
        return f'items."{name}"', []
    if name in columns:
        return "coalesce(json_extract(items.extra, ?), '')", [f"$.{json.dumps(name)}"]
    known = ", ".join((*FACTS, "kind", "group", "text", "path", *sorted(columns)[:20]))
    raise UsageError(f"nothing in the index is named '{name[:60]}'", f"there is {known}")


def _years(value: str, wanted: str) -> float:
    try:
        return float(wanted)
    except ValueError:
        raise UsageError(f"'{value[:40]}' is no age", "write years, for example age>=60") from None


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
