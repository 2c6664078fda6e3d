"""Tokens of a chain, and scores that are sums over them."""

from __future__ import annotations

import pytest
import torch

from mmtool.models.tcr.chain_space import LETTERS, PLACES, codes_of
from mmtool.models.tcr.motif import Motifs, counts_of, summed, token_count, tokens_of
from mmtool.receptors import AMINO_ACIDS, Receptor

RECEPTORS = (
    Receptor("TRAV27", "", "CAGAGSQGNLIF", "TRBV19", "", "CASSIRSSYEQYF"),
    Receptor(v_b="TRBV20-1", cdr3_b="CSARDQTGNGYTF"),
    Receptor(cdr3_b="CASSF"),
    Receptor(v_b="TRBV19"),
    Receptor(),
)


@pytest.mark.parametrize("chain", ["a", "b"])
def test_counts_are_those_of_a_plain_loop(chain: str) -> None:
    counts = counts_of(tokens_of(RECEPTORS, chain))
    assert counts.shape == (len(RECEPTORS), token_count())
    for row, (receptor, codes) in enumerate(
        zip(RECEPTORS, codes_of(RECEPTORS, chain), strict=True)
    ):
        wanted = torch.zeros(token_count())
        for place, code in enumerate(codes):
            if code >= 0:
                wanted[place * len(LETTERS) + code] += 1
        junction = getattr(receptor, f"cdr3_{chain}")
        for number, step in enumerate((1, 2)):
            for first, second in zip(junction, junction[step:], strict=False):
                pair = AMINO_ACIDS.index(first) * 20 + AMINO_ACIDS.index(second)
                wanted[PLACES * len(LETTERS) + number * 400 + pair] += 1
        assert torch.equal(counts[row], wanted)


def test_sums_are_products_with_the_counts_whatever_else_is_asked() -> None:
    table = torch.randn(token_count(), 5, generator=torch.Generator().manual_seed(0))
    tokens = tokens_of(RECEPTORS, "b")
    whole = summed(tokens, table)
    torch.testing.assert_close(whole, counts_of(tokens) @ table, atol=1e-4, rtol=1e-4)
    for row, receptor in enumerate(RECEPTORS):
        alone = summed(tokens_of([receptor], "b"), table)[0]
        torch.testing.assert_close(alone, whole[row], atol=1e-5, rtol=1e-5)
    assert not whole[3:4].isnan().any()
    assert (whole[4] == 0).all()


def test_an_epitope_without_a_motif_has_zeros() -> None:
    motifs = Motifs(
        torch.ones(token_count(), 2),
        torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        torch.tensor([5.0, 6.0]),
        torch.zeros(3, 2),
        {"FLU": 0, "CMV": 1},
    )
    heads, offsets = motifs.chosen(["CMV", "EBV", "FLU"])
    assert heads.tolist() == [[2.0, 0.0, 1.0], [4.0, 0.0, 3.0]]
    assert offsets.tolist() == [6.0, 0.0, 5.0]
