"""Approximate search by FAISS: an inverted file of vectors in eight bits a number.

Vectors lie in lists by their nearest centre; of a query only the nearest lists are read
(https://doi.org/10.1109/TPAMI.2010.57). What it finds are candidates: who asks scores them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmtool.models.retrieval.scan import faiss_library, gather

_A_LIST = 40  # vectors for each list, by which its centre is found
_ROUNDS = 8
_TOGETHER = 65_536  # vectors that are added at a time
_MORE, _LEAST = 4, 64  # candidates: so many times k, and so many beyond it


class Inverted:
    """Lists of vectors by the ids of their items.

    Args:
        library: The module of FAISS.
        lists: Its index.
    """

    def __init__(self, library: Any, lists: Any) -> None:
        self._library, self._lists = library, lists

    @property
    def count(self) -> int:
        """Lists there are."""
        return int(self._lists.nlist)

    def save(self, path: Path) -> None:
        """Write the file that `load` reads."""
        self._library.write_index(self._lists, str(path))

    def candidates(
        self,
        query: NDArray[np.float32],
        k: int,
        probes: int,
        allowed: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.int64]:
        """Ids among which the k nearest are likely to be.

        Args:
            query: (1, dim).
            k: How many are wanted in the end.
            probes: Lists that are read.
            allowed: (largest id + 1,) whether an id may be found; all when None.
        """
        settings = self._library.SearchParametersIVF(nprobe=min(probes, self.count))
        if allowed is not None:
            bits = np.packbits(allowed, bitorder="little")
            settings.sel = self._library.IDSelectorBitmap(bits)
        asked = max(_MORE * k, k + _LEAST)
        _, found = self._lists.search(np.ascontiguousarray(query), asked, params=settings)
        ids: NDArray[np.int64] = found[0][found[0] >= 0]
        return ids


def build(
    ids: NDArray[np.int64], blocks: Sequence[NDArray[np.float32]], seed: int = 0
) -> Inverted | None:
    """Lists of all vectors whose id is not 0; None where FAISS is absent.

    Args:
        ids: (n,).
        blocks: (m, dim) each, n rows together.
        seed: Of the choice of vectors from which centres are found.
    """
    library = faiss_library()
    if library is None:
        return None
    alive = np.flatnonzero(ids)
    count = max(1, int(4 * np.sqrt(len(alive))))
    lists = library.index_factory(
        blocks[0].shape[1], f"IVF{count},SQ8", library.METRIC_INNER_PRODUCT
    )
    lists.cp.niter, lists.cp.seed = _ROUNDS, seed + 1
    some = min(len(alive), count * _A_LIST)
    chosen = np.random.default_rng(seed).choice(alive, some, replace=False)
    lists.train(gather(blocks, np.sort(chosen)))
    start = 0
    for block in blocks:
        for first in range(0, len(block), _TOGETHER):
            rows = np.asarray(block[first : first + _TOGETHER])
            own = ids[start + first : start + first + len(rows)]
            lists.add_with_ids(np.ascontiguousarray(rows[own != 0]), own[own != 0])
        start += len(block)
    return Inverted(library, lists)


def load(path: Path, dim: int) -> Inverted | None:
    """Lists from their file, whose bytes the caller has checked; None where FAISS is absent.

    Raises:
        ValueError: It holds something else.
        OSError: It is absent.
    """
    library = faiss_library()
    if library is None:
        return None
    if not path.is_file():
        raise FileNotFoundError(path)
    try:
        lists = library.read_index(str(path), library.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise ValueError("no lists of vectors") from error
    if not isinstance(lists, library.IndexIVFScalarQuantizer) or lists.d != dim:
        raise ValueError("other lists than of these vectors")
    return Inverted(library, lists)
