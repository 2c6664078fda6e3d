import pytest
import torch
from torch.nn.functional import normalize

from mmtool.models.losses.prototype_alignment import PrototypeAlignment, codes
from mmtool.models.losses.soft_alignment import shared_targets, soft_alignment
from mmtool.models.losses.token_alignment import token_alignment


def unit(*shape: int) -> torch.Tensor:
    return normalize(torch.randn(*shape), dim=-1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_targets_of_a_row_sum_to_one() -> None:
    same = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    targets = shared_targets(same)
    assert torch.equal(targets.sum(1), torch.ones(3))
    assert targets[0].tolist() == [0.5, 0.5, 0.0]


def test_with_one_partner_each_it_is_the_usual_cross_entropy() -> None:
    first, second = unit(5, 8), unit(5, 8)
    logits, aim = first @ second.T / 0.07, torch.arange(5)
    entropy = torch.nn.functional.cross_entropy
    usual = (entropy(logits, aim) + entropy(logits.T, aim)) / 2
    own = soft_alignment(first, second, torch.eye(5, dtype=torch.bool), 1 / 0.07)
    torch.testing.assert_close(own, usual)


def test_a_shared_caption_is_no_mistake() -> None:
    images = unit(2, 8)
    text = images[:1].expand(2, -1)
    alone = soft_alignment(images[[0, 0]], text, torch.eye(2, dtype=torch.bool), 10.0)
    shared = soft_alignment(images[[0, 0]], text, torch.ones(2, 2, dtype=torch.bool), 10.0)
    assert float(shared) == pytest.approx(float(alone))  # log 2 both: copies can't be told apart
    apart = soft_alignment(images, images, torch.ones(2, 2, dtype=torch.bool), 10.0)
    assert float(apart) > float(shared)


def test_codes_are_shares_without_gradient_and_all_prototypes_are_used() -> None:
    scores = (unit(64, 8) @ unit(16, 8).T).requires_grad_()
    found = codes(scores)
    assert not found.requires_grad
    torch.testing.assert_close(found.sum(1), torch.ones(64))
    unbalanced = (scores / 0.05).softmax(1).sum(0)
    assert found.sum(0).std() < unbalanced.std()


def test_pairs_that_agree_lose_less_than_swapped_ones() -> None:
    loss = PrototypeAlignment(8, prototypes=16)
    images = unit(12, 8)
    agreeing = loss(images, images)
    agreeing.backward()
    assert loss.prototypes.grad is not None
    assert loss.prototypes.grad.abs().sum() > 0
    assert agreeing.item() < loss(images, images.roll(1, 0)).item()


def test_word_order_changes_nothing() -> None:
    patches, words = unit(3, 9, 8), unit(3, 6, 8)
    there = torch.tensor([[True] * 6, [True] * 4 + [False] * 2, [True] + [False] * 5])
    weights = torch.rand(3, 6).masked_fill(~there, 0)
    order = torch.randperm(6)
    before = token_alignment(patches, words, there, weights)
    after = token_alignment(patches, words[:, order], there[:, order], weights[:, order])
    torch.testing.assert_close(before, after)


def test_missing_words_count_for_nothing() -> None:
    patches, words = unit(2, 9, 8), unit(2, 6, 8)
    there = torch.tensor([[True] * 4 + [False] * 2] * 2)
    weights = torch.rand(2, 6).masked_fill(~there, 0)
    before = token_alignment(patches, words, there, weights)
    words = words.clone()
    words[:, 4:] = unit(2, 2, 8)
    torch.testing.assert_close(before, token_alignment(patches, words, there, weights))
