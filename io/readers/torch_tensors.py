"""Tensors in a file of torch.save, read without torch and without unpickling.

Such a file is a zip: raw numbers, and a pickle that tells type, shape and place of each tensor.
The pickle's instructions are interpreted here one by one. Known are those that make tuples,
dictionaries, words and whole numbers, and the call that describes a tensor; anything else ends the
reading, so nothing in the file can run.
"""

from __future__ import annotations

import pickletools
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import InputError, LimitError

_PICKLE_BYTES = 1 << 20
_TYPES = {
    "torch FloatStorage": "f4",
    "torch DoubleStorage": "f8",
    "torch HalfStorage": "f2",
    "torch BFloat16Storage": "u2",
    "torch LongStorage": "i8",
    "torch IntStorage": "i4",
}
_BFLOAT = "torch BFloat16Storage"
_TENSOR, _ORDERED = "torch._utils _rebuild_tensor_v2", "collections OrderedDict"
_KNOWN = frozenset((*_TYPES, _TENSOR, _ORDERED))
_BROKEN = (
    zipfile.BadZipFile,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    EOFError,
    OSError,
    RecursionError,
    RuntimeError,
    zlib.error,
)
_MARK = object()


class _NotKnown(Exception):  # noqa: N818
    """An instruction or a name beyond those of tensors."""


@dataclass(frozen=True)
class _Name:
    """A class or function that the file names; it is only compared."""

    words: str


@dataclass(frozen=True)
class _Storage:
    kind: str
    key: str


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(path: Path, most: int) -> dict[str, NDArray[Any]]:
    """Arrays of a file that holds one tensor (its name is then empty) or a dictionary of them.

    Args:
        path: The file.
        most: Bytes that an array may have.

    Raises:
        InputError: Not of the current format of torch.save, or it holds anything else.
        LimitError: A tensor is too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith("/data.pkl")]
            if len(names) != 1 or archive.getinfo(names[0]).file_size > _PICKLE_BYTES:
                raise ValueError("not one pickle")
            root = names[0].removesuffix("data.pkl")
            found = _interpret(archive.read(names[0]))
            tensors = found if isinstance(found, dict) else {"": found}
            return {
                str(k): _array(archive, root, v, path, most)
                for k, v in tensors.items()
                if isinstance(v, _Tensor)
            }
    except _NotKnown as error:
        raise InputError(
            f"{path}: holds more than tensors ({error})",
            "save the tensor of features alone; nothing else is ever unpickled",
        ) from None
    except _BROKEN as error:
        raise InputError(
            f"{path}: can't be read as tensors ({type(error).__name__})",
            "save it anew with torch.save (torch 1.6 or later), or as .npy",
        ) from None


def _interpret(pickle: bytes) -> Any:
    """What the instructions build, of plain values and our own three kinds."""
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for code, argument, _ in pickletools.genops(pickle):
        name: str = code.name
        if name == "STOP":
            return stack.pop()
        if name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "GLOBAL":
            stack.append(_name(argument))
        elif name in _VALUES:
            stack.append(_VALUES[name](argument))
        elif name in _STEPS:
            _STEPS[name](stack)
        elif name != "PROTO":
            raise _NotKnown(name)
    raise ValueError("no end")


def _name(words: Any) -> _Name:
    if words not in _KNOWN:
        raise _NotKnown(words)
    return _Name(words)


def _since_mark(stack: list[Any]) -> list[Any]:
    at = len(stack) - 1 - stack[::-1].index(_MARK)
    values = stack[at + 1 :]
    del stack[at:]
    return values


def _tuple_of(count: int) -> Callable[[list[Any]], None]:
    def step(stack: list[Any]) -> None:
        values = tuple(stack[len(stack) - count :])
        del stack[len(stack) - count :]
        stack.append(values)

    return step


def _persistent(stack: list[Any]) -> None:
    word, kind, key, _, _ = stack.pop()
    if word != "storage" or not isinstance(kind, _Name) or kind.words not in _TYPES:
        raise ValueError("not a storage")
    stack.append(_Storage(kind.words, str(key)))


def _call(stack: list[Any]) -> None:
    arguments, function = stack.pop(), stack.pop()
    if function == _Name(_ORDERED) and arguments == ():
        stack.append({})
    elif function == _Name(_TENSOR):
        storage, offset, shape, strides = arguments[:4]
        stack.append(_Tensor(storage, offset, shape, strides))
    else:
        raise ValueError("not the description of a tensor")


def _set_item(stack: list[Any]) -> None:
    value, key = stack.pop(), stack.pop()
    stack[-1][key] = value


def _set_items(stack: list[Any]) -> None:
    values = _since_mark(stack)
    stack[-1].update(zip(values[::2], values[1::2], strict=True))


_VALUES: dict[str, Callable[[Any], Any]] = {
    "BINUNICODE": str,
    "SHORT_BINUNICODE": str,
    "BININT": int,
    "BININT1": int,
    "BININT2": int,
    "LONG1": int,
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_TUPLE": lambda _: (),
    "EMPTY_DICT": lambda _: {},
    "MARK": lambda _: _MARK,
}
_STEPS: dict[str, Callable[[list[Any]], None]] = {
    "TUPLE": lambda stack: stack.append(tuple(_since_mark(stack))),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "BINPERSID": _persistent,
    "REDUCE": _call,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
}


def _array(
    archive: zipfile.ZipFile, root: str, tensor: _Tensor, path: Path, most: int
) -> NDArray[Any]:
    """The numbers of a tensor, checked against what the file really holds."""
    member = archive.getinfo(f"{root}data/{tensor.storage.key}")
    order = "little"
    if f"{root}byteorder" in archive.namelist():
        order = archive.read(f"{root}byteorder").decode("ascii")
    dtype = np.dtype(_TYPES[tensor.storage.kind]).newbyteorder("<" if order == "little" else ">")
    numbers = [tensor.offset, *tensor.shape, *tensor.strides]
    if len(tensor.shape) != len(tensor.strides) or any(
        type(n) is not int or n < 0 for n in numbers
    ):
        raise ValueError("not a shape")
    count = 1
    for n in tensor.shape:
        count *= n
    if max(count * dtype.itemsize, member.file_size) > most:
        raise LimitError(
            f"{path}: a tensor of {count:,} numbers in a file of this size",
            "raise MMTOOL_MAX_INFLATED_BYTES if the file is what you expect",
        )
    flat = np.frombuffer(archive.read(member), dtype)
    reach = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    if count and tensor.offset + reach >= len(flat):
        raise ValueError("a tensor reaches beyond its numbers")
    steps = [s * dtype.itemsize for s in tensor.strides]
    view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, steps)
    if tensor.storage.kind == _BFLOAT:  # the upper half of a float32
        wide = view.astype(np.uint32) << np.uint32(16)
        return wide.view(np.float32)
    return view.astype(dtype.newbyteorder("="))
