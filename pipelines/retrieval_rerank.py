"""Late interaction: every part of the query looks for its best part of an item.

FILIP (Yao et al. 2022, 10.48550/arXiv.2111.07783): the mean over the query's words (or patches) of
the largest cosine with a patch (or word) of the item. It is dearer than one product of vectors, so
only the foremost hits are ranked by it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import UsageError
from mmtool.io.index import IndexReader
from mmtool.pipelines.retrieval_search import COSINE, Ranking
from mmtool.retrieval import Box, Encoded

RERANKERS = ("filip",)
LATE = "late"
_MOST = 100  # hits that are ranked again


def late_interaction(
    reader: IndexReader, encoded: Encoded | None, rankings: list[Ranking], order: list[int]
) -> tuple[Ranking, Mapping[int, Box]]:
    """Rank the foremost hits by their parts.

    Args:
        reader: The index.
        encoded: The query, with its parts.
        rankings: Of the searches; they say in which space an item was found.
        order: Ids, best first.

    Returns:
        The ranking, and by id of a picture the place that the query's parts meet best.

    Raises:
        UsageError: The encoder of the index has no parts.
    """
    if encoded is None or not encoded.parts or not len(encoded.parts[0]):
        raise UsageError(
            "--rerank filip: the encoder of this index has no parts of pictures or words",
            "leave it out, or build the index with another encoder (mmtool index --model)",
        )
    query = np.asarray(encoded.parts[0], np.float32)
    scores: dict[int, float] = {}
    regions: dict[int, Box] = {}
    for space in ("picture", "text"):
        if not any(r.name == COSINE + space for r in rankings):
            continue
        wanted = [i for i in order[:_MOST] if i not in scores]
        for number, (rows, places) in reader.parts(space, wanted).items():
            products = query @ np.asarray(rows, np.float32).T
            scores[number] = float(products.max(axis=1).mean())
            if space == "picture":
                regions[number] = best_place(products, np.asarray(places, np.float32))
    best = dict(sorted(scores.items(), key=lambda pair: (-pair[1], pair[0])))
    return Ranking(LATE, best), regions


def best_place(products: NDArray[np.float32], places: NDArray[np.float32]) -> Box:
    """Place of the patch that is the best of most parts of the query, weighed by how good it is."""
    votes = np.zeros(products.shape[1])
    best = products.argmax(axis=1)
    np.add.at(votes, best, np.maximum(products[np.arange(len(best)), best], 0))
    x, y, w, h = places[int(votes.argmax())].astype(float).round(4).tolist()
    return x, y, w, h
