"""Late interaction: the parts of the query are compared with the parts of an item.

``filip`` (Yao et al. 2022, 10.48550/arXiv.2111.07783): the mean over the query's words (or patches)
of the largest cosine with a patch (or word) of the item. ``rcar`` (Diao et al. 2023,
10.1109/TIP.2023.3266887): words attend to patches, and trained regulators adjust how. Either is
dearer than one product of vectors, so only the foremost hits are ranked by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmtool.errors import ModelError, UsageError
from mmtool.io.index import IndexReader
from mmtool.pipelines.retrieval_search import COSINE, Ranking, Searcher
from mmtool.retrieval import Box, Encoded, Kind

if TYPE_CHECKING:
    from mmtool.models.retrieval.regulators import Regulators

RERANKERS = ("filip", "rcar")
LATE = "late"
_MOST = 100  # hits that are ranked again

Rows = NDArray[np.float32]
Compare = Callable[[str, Rows, Rows], tuple[float, Rows]]


def late_interaction(
    searcher: Searcher,
    name: str,
    kind: Kind,
    encoded: Encoded | None,
    rankings: list[Ranking],
    order: list[int],
) -> tuple[Ranking, Mapping[int, Box]]:
    """Rank the foremost hits by their parts.

    Args:
        searcher: The index with its encoder.
        name: One of `RERANKERS`.
        kind: Of the query.
        encoded: The query, with its parts.
        rankings: Of the searches; they say in which space an item was found.
        order: Ids, best first.

    Returns:
        The ranking, and by id of a picture the place that the query's parts meet best.

    Raises:
        UsageError: The encoder of the index has no parts, or the search is not between words and
            pictures where a re-ranker compares these alone.
        ModelError: The encoder of the index has no regulators.
    """
    if encoded is None or not encoded.parts or not len(encoded.parts[0]):
        raise UsageError(
            f"--rerank {name}: the encoder of this index has no parts of pictures or words",
            "leave it out, or build the index with another encoder (mmtool index --model)",
        )
    query = np.asarray(encoded.parts[0], np.float32)
    compare = best_parts if name == "filip" else _regulated(searcher, kind == "text", rankings)
    scores: dict[int, float] = {}
    regions: dict[int, Box] = {}
    across = ("picture",) if kind == "text" else ("text",)  # words with pictures alone
    spaces = ("picture", "text") if name == "filip" else across
    for space, number, rows, places in _found(searcher.reader, spaces, rankings, order):
        scores[number], votes = compare(space, query, np.asarray(rows, np.float32))
        if space == "picture":
            regions[number] = best_place(votes, np.asarray(places, np.float32))
    best = dict(sorted(scores.items(), key=lambda pair: (-pair[1], pair[0])))
    return Ranking(LATE, best), regions


def _found(
    reader: IndexReader, spaces: tuple[str, ...], rankings: list[Ranking], order: list[int]
) -> Iterator[tuple[str, int, Any, Any]]:
    """Space, id, parts and places of the foremost hits, each once."""
    done: set[int] = set()
    for space in spaces:
        if not any(r.name == COSINE + space for r in rankings):
            continue
        wanted = [i for i in order[:_MOST] if i not in done]
        for number, (rows, places) in reader.parts(space, wanted).items():
            done.add(number)
            yield space, number, rows, places


def best_parts(space: str, query: Rows, rows: Rows) -> tuple[float, Rows]:
    """FILIP's score of an item, and (T,) how much each of its T parts is met.

    Args:
        space: Of the item; it does not matter.
        query: (Q, D) of length 1.
        rows: (T, D) of length 1: of the item.
    """
    del space
    products = query @ rows.T
    votes = np.zeros(products.shape[1], np.float32)
    best = products.argmax(axis=1)
    np.add.at(votes, best, np.maximum(products[np.arange(len(best)), best], 0))
    return float(products.max(axis=1).mean()), votes


def _regulated(searcher: Searcher, worded: bool, rankings: list[Ranking]) -> Compare:
    """RCAR's score of an item, and how much each patch of the pair is attended to.

    Args:
        searcher: Whose encoder has the regulators.
        worded: Whether the query is words, or else a picture.
        rankings: One of them is to be of the other kind.
    """
    regulators: Regulators | None = getattr(searcher.joint, "regulators", None)
    if regulators is None:
        raise ModelError(
            f"--rerank rcar: the index's encoder '{searcher.joint.name}' has no regulators",
            "train them (mmtool train retrieve --recipe rcar) and index with that model",
        )
    if not any(r.name == COSINE + ("picture" if worded else "text") for r in rankings):
        raise UsageError(
            "--rerank rcar: it compares words with pictures",
            "ask by words with --to image, or by a picture with --to text",
        )
    import torch

    @torch.inference_mode()
    def compare(space: str, query: Rows, rows: Rows) -> tuple[float, Rows]:
        del space
        words, patches = (query, rows) if worded else (rows, query)
        device = regulators.heat.device
        there = torch.ones(1, len(words), dtype=torch.bool, device=device)
        asked = (torch.from_numpy(words)[None].to(device), there)
        found = regulators(*asked, torch.from_numpy(patches)[None].to(device))
        votes = (found.weights[..., None] * found.attention).sum(1)[0]
        return float(found.similarity), np.asarray(votes.cpu().numpy(), np.float32)

    return compare


def best_place(votes: Rows, places: Rows) -> Box:
    """Place of the part with the most votes."""
    x, y, w, h = places[int(votes.argmax())].astype(float).round(4).tolist()
    return x, y, w, h
