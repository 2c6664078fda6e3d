"""Prompt pools: strength 0 is plain, a pool learns through what was taken from it."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from mmtool.models.retrieval.prompt_pools import PromptPools, PromptSize, Side, plain_vector

SIZE = PromptSize(part_dim=6, dim=10, width=8, pool=12, taken=3, heads=2)


def side(count: int, parts: int, seed: int) -> Side:
    """Vectors and parts that are drawn; the last part of every other item is not there."""
    draw = torch.Generator().manual_seed(seed)
    there = torch.ones(count, parts, dtype=torch.bool)
    there[::2, -1] = False
    return Side(
        functional.normalize(torch.randn(count, 10, generator=draw), dim=-1),
        functional.normalize(torch.randn(count, parts, 6, generator=draw), dim=-1),
        there,
    )


@pytest.fixture
def pools() -> PromptPools:
    torch.manual_seed(0)
    return PromptPools(SIZE).eval()


PICTURE, TEXT = side(4, 9, 1), side(4, 5, 2)
WAYS = [(PICTURE, None), (None, TEXT), (PICTURE, TEXT)]
NAMES = ["picture", "text", "both"]


@pytest.mark.parametrize(("picture", "text"), WAYS, ids=NAMES)
def test_strength_zero_is_plain(
    pools: PromptPools, picture: Side | None, text: Side | None
) -> None:
    assert not torch.allclose(pools(picture, text).vectors, plain_vector(picture, text))
    pools.strength.fill_(0)
    torch.testing.assert_close(pools(picture, text).vectors, plain_vector(picture, text))


def test_the_plain_vector_of_both_sums_cosines() -> None:
    other = side(7, 3, 3).vectors
    both = plain_vector(PICTURE, TEXT, 0.5) @ other.T
    sums = PICTURE.vectors @ other.T + 0.5 * TEXT.vectors @ other.T
    torch.testing.assert_close(both.argsort(1), sums.argsort(1))


@pytest.mark.parametrize(("picture", "text"), WAYS, ids=NAMES)
def test_together_or_one_by_one(
    pools: PromptPools, picture: Side | None, text: Side | None
) -> None:
    together = pools(picture, text)
    for k in range(4):
        own = [None if s is None else Side(*(p[k : k + 1] for p in s)) for s in (picture, text)]
        torch.testing.assert_close(pools(*own).vectors[0], together.vectors[k])


def test_what_is_not_there_does_not_count(pools: PromptPools) -> None:
    changed = TEXT.parts.clone()
    changed[~TEXT.there] = 7.0
    other = TEXT._replace(parts=changed)
    for picture in (PICTURE, None):
        torch.testing.assert_close(pools(picture, other).vectors, pools(picture, TEXT).vectors)


def test_a_pool_learns_where_it_was_taken_from(pools: PromptPools) -> None:
    pools(PICTURE, None).vectors.square().sum(1).sqrt().sum().backward()
    pools.zero_grad()
    (pools(PICTURE, None).vectors * TEXT.vectors).sum().backward()
    learned = pools.sides["text"].pool.grad
    assert learned is not None
    rows = (learned.abs().sum(1) > 0).sum()
    assert SIZE.taken <= rows <= 4 * SIZE.taken
    assert pools.sides["picture"].pool.grad is None  # the picture was there


def test_neither_is_refused(pools: PromptPools) -> None:
    with pytest.raises(ValueError, match="a picture, a text or both"):
        pools(None, None)
