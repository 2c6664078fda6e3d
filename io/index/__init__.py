"""The index on disk: a folder that is extended in place and survives being killed.

``items.sqlite`` is the truth: what is indexed, its facts, its words, and which files of vectors
count. Vectors lie in immutable files, each written whole and synced before the transaction that
names it together with its items. So whatever ends a writer, what was committed is there, and what
was not is swept by the next one. ``manifest.json`` repeats for people what the database says.
"""

from __future__ import annotations

from mmtool.io.index.filters import AllOf, AnyOf, Compare, Filter, Not, OneOf
from mmtool.io.index.layout import Failure, NewItem, Space, Stamp, is_index
from mmtool.io.index.reader import IndexReader
from mmtool.io.index.writer import IndexWriter

__all__ = [
    "AllOf",
    "AnyOf",
    "Compare",
    "Failure",
    "Filter",
    "IndexReader",
    "IndexWriter",
    "NewItem",
    "Not",
    "OneOf",
    "Space",
    "Stamp",
    "is_index",
]
