"""Regulated cross attention: no step is the plain one; texts and pictures do not disturb others."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mmtool.models.retrieval.regulators import (
    Regulators,
    RegulatorSize,
    hardest_hinge,
    plain_similarity,
)


@pytest.fixture
def parts() -> tuple[Tensor, Tensor, Tensor]:
    """Five texts of one to seven words, and four pictures of nine patches."""
    torch.manual_seed(0)
    words = functional.normalize(torch.randn(5, 7, 6), dim=-1)
    there = torch.arange(7) < torch.tensor([7, 3, 1, 5, 6])[:, None]
    return words, there, functional.normalize(torch.randn(4, 9, 6), dim=-1)


def trained(looks: int = 2, weighings: int = 2) -> Regulators:
    """Regulators whose weights are drawn."""
    torch.manual_seed(1)
    net = Regulators(RegulatorSize(6, 6, 5, looks, weighings))
    for weights in net.parameters():
        torch.nn.init.normal_(weights, std=0.5)
    return net.eval()


def test_no_step_is_plain(parts: tuple[Tensor, Tensor, Tensor]) -> None:
    words, there, patches = parts
    net = trained(0, 0)
    seen, read = (
        functional.normalize(f(x), dim=-1)
        for f, x in zip((net.picture, net.word), (patches, words), strict=True)
    )
    plain = plain_similarity(read, there, seen, net.heat.exp().item())
    torch.testing.assert_close(net(words, there, patches).similarity, plain)
    assert not torch.allclose(trained()(words, there, patches).similarity, plain)


def test_untrained_regulators_are_plain(parts: tuple[Tensor, Tensor, Tensor]) -> None:
    words, there, patches = parts
    found = Regulators(RegulatorSize(6, 6, 5, 2, 3))(words, there, patches).similarity
    torch.testing.assert_close(found, plain_similarity(words, there, patches))


def test_one_patch_is_the_mean_cosine(parts: tuple[Tensor, Tensor, Tensor]) -> None:
    words, there, patches = parts
    found = plain_similarity(words, there, patches[:, :1])
    own = torch.stack([(w[t] @ patches[:, 0].T).mean(0) for w, t in zip(words, there, strict=True)])
    torch.testing.assert_close(found, own)


def test_together_or_one_by_one(parts: tuple[Tensor, Tensor, Tensor]) -> None:
    words, there, patches = parts
    net = trained()
    together = net.similarities(words, there, patches)
    for t in range(len(words)):
        own = words[t : t + 1, : int(there[t].sum())]
        for i in range(len(patches)):
            one = net(own, there[t : t + 1, : own.shape[1]], patches[i : i + 1])
            torch.testing.assert_close(one.similarity[0, 0], together[t, i])


def test_order_of_words_and_patches_does_not_matter(parts: tuple[Tensor, Tensor, Tensor]) -> None:
    words, there, patches = parts
    net = trained()
    order, places = torch.randperm(7), torch.randperm(9)
    found = net(words[:, order], there[:, order], patches[:, places]).similarity
    torch.testing.assert_close(found, net(words, there, patches).similarity)


def test_words_that_are_not_there_get_no_gradient(parts: tuple[Tensor, Tensor, Tensor]) -> None:
    words, there, patches = parts
    words.requires_grad_()
    trained()(words, there, patches).similarity.sum().backward()
    assert words.grad is not None
    assert words.grad[~there].abs().max() == 0
    assert (words.grad[there].abs().sum(-1) > 0).all()


def test_shares_of_words_sum_to_one(parts: tuple[Tensor, Tensor, Tensor]) -> None:
    words, there, patches = parts
    found = trained()(words, there, patches)
    for row in found.weights:
        sums = torch.zeros(5).index_add(0, there.nonzero()[:, 0], row)
        torch.testing.assert_close(sums, torch.ones(5))


def test_hinge_takes_the_hardest_and_spares_the_same() -> None:
    similarity = torch.tensor([[0.5, 0.6, 0.4], [0.1, 0.5, 0.0], [0.0, 0.0, 0.5]])
    same = torch.eye(3, dtype=torch.bool)
    rows, columns = [0.3, 0.0, 0.0], [0.0, 0.3, 0.1]
    expected = (sum(rows) + sum(columns)) / 3
    assert hardest_hinge(similarity, same, 0.2).item() == pytest.approx(expected)
    same[0, 1] = same[1, 0] = True
    assert hardest_hinge(similarity, same, 0.2).item() == pytest.approx((0.1 + 0.1) / 3)
    assert math.isfinite(hardest_hinge(similarity, torch.ones_like(same), 0.2, False).item())
