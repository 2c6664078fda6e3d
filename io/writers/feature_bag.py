"""Bags of tile features as HDF5, in the form of TRIDENT: other tools read them too."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmtool.bags import SlideBag
from mmtool.io.atomic import replace_into


def write_bag(path: Path, bag: SlideBag, encoder: str) -> None:
    """Write the bag of a slide.

    Args:
        path: Target ``.h5``.
        bag: With coordinates.
        encoder: Name and version of what made the features.

    Raises:
        ValueError: Coordinates or the size of a tile are not known.
    """
    import h5py

    if bag.coords is None or bag.tile is None:
        raise ValueError("a bag without coordinates")
    with replace_into(path) as temporary, h5py.File(temporary, "w") as file:
        features = file.create_dataset("features", data=bag.features)
        features.attrs["encoder"] = encoder
        coords = file.create_dataset("coords", data=np.rint(bag.coords).astype(np.int64))
        coords.attrs["patch_size_level0"] = bag.tile
