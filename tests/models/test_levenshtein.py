"""The pruned search for neighbours gives what a full one gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from mmtool.models.tcr.levenshtein import PairIndex, shares, smallest

_WORD = st.text("CASG", min_size=1, max_size=6)
_PAIRS = st.lists(st.tuples(_WORD, _WORD, st.integers(0, 1)), min_size=1, max_size=25)


@given(_PAIRS, st.lists(_WORD, min_size=1, max_size=4), _WORD, st.integers(1, 30))
def test_share_of_positives_as_by_a_full_search(
    pairs: list[tuple[str, str, int]], queries: list[str], epitope: str, k: int
) -> None:
    index = PairIndex.of([p[0] for p in pairs], [p[1] for p in pairs], [p[2] for p in pairs])
    found = shares(index.neighbours(queries, k).of(epitope), k)
    apart = {e: Levenshtein.distance(epitope, e) for e in index.epitopes}
    for query, share in zip(queries, found, strict=True):
        ranked = sorted(
            (
                apart[e] * len(query) + Levenshtein.distance(query, s) * len(epitope),
                apart[e],
                index.epitopes.index(e),
                place,
                label,
            )
            for place, (e, s, label) in enumerate(pairs)
        )[:k]
        assert np.isclose(share, np.mean([r[-1] for r in ranked]))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 40))
def test_smallest_keeps_the_order_of_equals(values: list[int], k: int) -> None:
    row = np.array([values], np.uint16)
    found, places = smallest(row, k)
    order = np.argsort(row[0], kind="stable")[:k]
    np.testing.assert_array_equal(places[0], order)
    np.testing.assert_array_equal(found[0], row[0][order])
