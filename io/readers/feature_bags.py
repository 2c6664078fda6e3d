"""Bags of tile features, one file a slide: HDF5 of CLAM and TRIDENT, tensors of torch, NumPy."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.bags import SlideBag
from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits
from mmtool.io.readers.decoding_child import Arrays, DecodingChild
from mmtool.io.readers.torch_tensors import read_tensors

# By what a file may know: HDF5 has coordinates. CLAM writes each slide as both .h5 and .pt.
ENDINGS = (".h5", ".hdf5", ".pt", ".npy")
_CHILD = "mmtool.io.readers.h5_decode"
_ONE_ENCODER = "use the features of one encoder for all slides"
_FLOOR = 64 << 20  # bytes below which the ratio of numbers to file is not looked at
_BROKEN = (ValueError, TypeError, OSError, EOFError, SyntaxError, OverflowError, TokenError)
_HEADS = {".pt": b"PK\x03\x04", ".npy": b"\x93NUMPY", ".h5": b"\x89HDF", ".hdf5": b"\x89HDF"}


def find_bags(folder: Path, limits: Limits | None = None) -> list[Path]:
    """Files of bags in a folder and below, sorted; one for each slide.

    Raises:
        InputError: No folder, or none in it.
        LimitError: Too many.
    """
    limits = limits or Limits()
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", "give the folder of the slides' features")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in ENDINGS or path.name.startswith(".") or not path.is_file():
            continue
        other = found.get(path.stem)
        if other is None or _rank(path) < _rank(other):
            found[path.stem] = path
        if len(found) > limits.max_frames:
            raise LimitError(
                f"{folder}: more than {limits.max_frames:,} files of features",
                "raise MMTOOL_MAX_FRAMES if the folder is what you expect",
            )
    return [found[name] for name in sorted(found)]


def _rank(path: Path) -> int:
    return ENDINGS.index(path.suffix.lower())


@contextmanager
def bag_reader(limits: Limits | None = None) -> Iterator[BagReader]:
    """A reader for many files: HDF5 is read in one child process for all of them."""
    limits = limits or Limits()
    with DecodingChild(_CHILD, limits) as child:
        yield BagReader(child, limits)


class BagReader:
    """Reads one file after the other."""

    def __init__(self, child: DecodingChild, limits: Limits) -> None:
        self._child, self._limits = child, limits

    def read(self, path: Path) -> SlideBag:
        """Read the bag of a slide.

        Args:
            path: HDF5 with ``features`` (N, D) and, if known, ``coords`` (N, 2); a tensor (N, D)
                or a dictionary with these names; an array (N, D). (D,) is one tile, (1, N, D) is
                (N, D).

        Raises:
            InputError: Missing, broken, no table of finite numbers.
            LimitError: Too many tiles or features, or too many bytes.
        """
        most = self._most(path)
        ending = path.suffix.lower()
        with path.open("rb") as file:
            head = file.read(8)
        if not head.startswith(_HEADS[ending]):
            raise InputError(
                f"{path}: the content is not what the name says", f"is it a {ending} file?"
            )
        answer: dict[str, Any] = {}
        arrays: Arrays
        if ending == ".pt":
            arrays = _of_tensors(path, most)
        elif ending == ".npy":
            arrays = (_of_numpy(path, most),)
        else:
            words = {"path": str(path.resolve()), "most": most}
            answer, arrays = self._child.ask(words, str(path))
        features = _table(arrays[0], path, self._limits)
        coords = _places(arrays[1], len(features), path) if len(arrays) > 1 else None
        tile = answer.get("tile")
        edge = float(tile) if tile else None
        return SlideBag(path.stem, features, coords, edge, answer.get("encoder"))

    def _most(self, path: Path) -> int:
        """Bytes of numbers that this file may hold."""
        try:
            size = path.stat().st_size
        except OSError as error:
            raise InputError(f"{path}: can't be read", "check the path") from error
        if size > self._limits.max_file_bytes:
            raise LimitError(
                f"{path}: {size:,} bytes are more than the limit",
                "raise MMTOOL_MAX_FILE_BYTES if the file is what you expect",
            )
        return min(self._limits.max_inflated_bytes, max(_FLOOR, self._limits.max_inflation * size))


def _of_tensors(path: Path, most: int) -> Arrays:
    tensors = read_tensors(path, most)
    names = [n for n in ("", "features", "feats") if n in tensors]
    if not names:
        raise InputError(
            f"{path}: holds no tensor of features", "save the tensor alone, or as 'features'"
        )
    coords = [tensors["coords"]] if "coords" in tensors else []
    return (tensors[names[0]], *coords)


def _of_numpy(path: Path, most: int) -> NDArray[Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        if mapped.nbytes > most:
            raise LimitError(f"{path}: {mapped.nbytes:,} bytes of numbers", "is this the file?")
        return np.array(mapped)
    except _BROKEN as error:
        raise InputError(
            f"{path}: can't be read as an array of numbers ({type(error).__name__})",
            "save it anew with numpy.save",
        ) from None


def _table(values: NDArray[Any], path: Path, limits: Limits) -> NDArray[np.float32]:
    """(N, D) finite float32."""
    if values.ndim == 3 and values.shape[0] == 1:
        values = values[0]
    if values.ndim == 1:
        values = values[None, :]
    if values.ndim != 2 or not values.shape[1] or values.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: features of shape {values.shape} and type {values.dtype}",
            "a table of numbers is needed, a row for each tile",
        )
    for many, most, what, name in (
        (values.shape[0], limits.max_tiles, "tiles", "MAX_TILES"),
        (values.shape[1], limits.max_features, "features", "MAX_FEATURES"),
    ):
        if many > most:
            raise LimitError(f"{path}: {many:,} {what}", f"raise MMTOOL_{name} if that is right")
    with np.errstate(over="ignore"):
        table = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(table).all():
        raise InputError(
            f"{path}: {int((~np.isfinite(table)).any(1).sum()):,} tiles have features that are "
            "no finite numbers",
            "extract the features of this slide anew",
        )
    return table


def _places(values: NDArray[Any], count: int, path: Path) -> NDArray[np.float32]:
    if values.ndim == 3 and values.shape[0] == 1:
        values = values[0]
    if values.shape != (count, 2) or values.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: coordinates of shape {values.shape} for {count} tiles",
            "'coords' needs two numbers for each tile",
        )
    return np.ascontiguousarray(values, np.float32)


def same_width(bags: Sequence[SlideBag], folder: Path) -> int:
    """How many features all the bags have.

    Raises:
        InputError: They differ, or the files name different encoders.
    """
    widths: dict[int, str] = {}
    for bag in bags:
        widths.setdefault(bag.features.shape[1], bag.name)
    if len(widths) > 1:
        (a, first), (b, second) = list(widths.items())[:2]
        raise InputError(
            f"{folder}: '{first}' has {a} features a tile and '{second}' {b}",
            _ONE_ENCODER,
        )
    made = sorted({bag.encoder for bag in bags if bag.encoder})
    if len(made) > 1:
        raise InputError(f"{folder}: features of {made[0]!r} and of {made[1]!r}", _ONE_ENCODER)
    return next(iter(widths), 0)
