"""Child process that reads bags from HDF5: ``python -m mmtool.io.readers.h5_decode MEMORY``.

The library is native code that has crashed on broken files, and a file may point to other files;
only plain data sets of numbers that lie in the file itself are read.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mmtool.io.readers.decoding_child import Refusal, serve

_FEATURES = ("features", "feats")
_LONGEST = 80  # letters of an encoder's name
_TILE = ("patch_size_level0", "patch_size")  # attributes of the coordinates, TRIDENT's and CLAM's


def _dataset(file: h5py.File, name: str) -> h5py.Dataset | None:
    """A plain data set of that name in the file."""
    if name not in file:
        return None
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise Refusal(f"'{name}' is a link to elsewhere", "write the features into the file")
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        return None
    if found.is_virtual or found.external:
        raise Refusal(f"'{name}' lies in another file", "write the features into the file")
    if found.dtype.kind not in "fiu":
        raise Refusal(f"'{name}' holds no numbers", "")
    return found


def read(request: dict[str, Any]) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """Features, and coordinates where there are some.

    Args:
        request: ``path``, and ``most``: how many bytes a data set may have.
    """
    with h5py.File(request["path"], "r") as file:
        sets = (_dataset(file, name) for name in _FEATURES)
        features = next((s for s in sets if s is not None), None)
        if features is None:
            raise Refusal(
                "no data set 'features'", "CLAM and TRIDENT write 'features' and 'coords'"
            )
        coords = _dataset(file, "coords")
        made = features.attrs.get("encoder")
        arrays, tile = [_whole(features, request["most"])], None
        if coords is not None:
            arrays.append(_whole(coords, request["most"]))
            tile = _tile(coords)
    return {"tile": tile, "encoder": made[:_LONGEST] if isinstance(made, str) else None}, arrays


def _whole(data: h5py.Dataset, most: int) -> NDArray[Any]:
    size = int(np.prod(data.shape, dtype=object)) * data.dtype.itemsize
    if size > most:
        raise Refusal(
            f"{size:,} bytes of numbers in a file of this size",
            "raise MMTOOL_MAX_INFLATION if the file is what you expect",
        )
    return np.asarray(data[()])


def _tile(coords: h5py.Dataset) -> float | None:
    """Edge of a tile in pixels of the finest level, where the file says it."""
    if _TILE[0] not in coords.attrs and int(coords.attrs.get("patch_level", 0)) != 0:
        return None
    values = (np.asarray(coords.attrs[name]) for name in _TILE if name in coords.attrs)
    value = next(values, None)
    if value is None or value.dtype.kind not in "fiu" or value.size != 1:
        return None
    return float(value.reshape(-1)[0])


if __name__ == "__main__":
    serve(read)
