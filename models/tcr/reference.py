"""Known binders as tensors, so that a model's one file of weights carries its evidence too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mmtool.errors import ModelError
from mmtool.receptors import Binder, Receptor

PREFIX = "reference."
_RECEPTOR = ("v_a", "j_a", "cdr3_a", "v_b", "j_b", "cdr3_b")
_ABOUT = ("epitope", "mhc", "reference", "source")


def pack(binders: Sequence[Binder]) -> dict[str, Tensor]:
    """Two tensors a column, named ``reference.cdr3_b`` and ``reference.cdr3_b.row`` and so on.

    The first holds the UTF-8 bytes of the column's distinct values, a line feed after each; the
    second, (N,) int32 or int16, says which of them each binder has.

    Raises:
        ValueError: A value holds a line feed.
    """
    columns = {name: [getattr(b.receptor, name) for b in binders] for name in _RECEPTOR}
    columns |= {name: [getattr(b, name) for b in binders] for name in _ABOUT}
    out = {}
    for name, values in columns.items():
        place = {value: i for i, value in enumerate(dict.fromkeys(values))}
        kind = torch.int16 if len(place) <= torch.iinfo(torch.int16).max else torch.int32
        out[PREFIX + name] = _packed(list(place))
        out[f"{PREFIX}{name}.row"] = torch.tensor([place[v] for v in values], dtype=kind)
    return out


def _packed(values: Sequence[str]) -> Tensor:
    if any("\n" in value for value in values):
        raise ValueError("a value with a line feed can't be packed")
    raw = "".join(f"{value}\n" for value in values).encode()
    return torch.from_numpy(np.frombuffer(raw, np.uint8).copy())


def unpack(tensors: Mapping[str, Tensor]) -> list[Binder]:
    """The binders that :func:`pack` made tensors of; other tensors are passed over.

    Raises:
        ModelError: A column is missing, is no text, or is not as long as the others.
    """
    columns = [_unpacked(tensors, name) for name in (*_RECEPTOR, *_ABOUT)]
    if len({len(column) for column in columns}) != 1:
        raise ModelError("the columns of the reference differ in length", "the model is damaged")
    n = len(_RECEPTOR)
    return [Binder(Receptor(*row[:n]), *row[n:]) for row in zip(*columns, strict=True)]


def _unpacked(tensors: Mapping[str, Tensor], name: str) -> list[str]:
    tensor, rows = tensors.get(PREFIX + name), tensors.get(f"{PREFIX}{name}.row")
    if tensor is None or tensor.dtype != torch.uint8 or tensor.ndim != 1 or rows is None:
        raise ModelError(f"the model has no column {PREFIX}{name}", "the model is damaged")
    try:
        lines = tensor.cpu().numpy().tobytes().decode().split("\n")
    except UnicodeDecodeError as error:
        raise ModelError(f"{PREFIX}{name} is no text", "the model is damaged") from error
    if lines.pop():
        raise ModelError(f"{PREFIX}{name} ends within a value", "the model is damaged")
    places = rows.tolist()
    if places and not 0 <= min(places) <= max(places) < len(lines):
        raise ModelError(f"{PREFIX}{name} points at no value", "the model is damaged")
    return [lines[place] for place in places]
