"""The text generator: each of its pieces does what it is there for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mmtool.models.report.uar import Aligner, Refiner, Uar, UarSize, triplet_loss
from mmtool.models.report.uar_sight import fit_codebook, patch_features
from mmtool.models.report.uar_words import END, OTHER, PAD, SPECIAL, START, Vocabulary
from mmtool.models.report.uar_writer import generate

SIZE = UarSize(words=20, codes=12, patches=4, most=8, dim=16, heads=2, shared=1, written=2, basis=6)
CAPTIONS = ("Axial CT of the head. A mass, left.", "Axial CT of the chest. A mass.", "Odd words")


@pytest.fixture
def net() -> Uar:
    torch.manual_seed(0)
    return Uar(SIZE, refined=True).eval()


def pairs(count: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    codes = torch.randint(SIZE.codes, (count, SIZE.patches, 2), generator=draw)
    return codes, torch.randint(SPECIAL, SIZE.words, (count, 6), generator=draw)


def test_words_come_back_in_their_usual_spelling() -> None:
    vocabulary = Vocabulary.of(CAPTIONS)
    assert set(vocabulary.words) == {".", "axial", "CT", "of", "the", "a", "mass"}
    numbers = vocabulary.numbers("AXIAL ct of the Head.", 8)
    assert (numbers[0], numbers[-1]) == (START, END)
    assert numbers.count(OTHER) == 1  # one caption has "head", which is too few
    assert vocabulary.text(numbers[1:]) == "Axial CT of the."
    assert len(vocabulary.numbers("CT " * 50, 8)) == 10


def test_codes_tell_patches_apart_and_two_levels_are_nearer_than_one() -> None:
    squares = torch.rand(6, 64, 64, generator=torch.Generator().manual_seed(0))
    squares[:, :32] = 0.2
    features = patch_features(squares)
    assert features.shape[:2] == (6, 16)
    book = fit_codebook(features, levels=2, codes=5, axes=4, seed=0)
    numbers = book.numbers(features)
    assert numbers.shape == (6, 16, 2)
    assert numbers[..., 0].max() < 5 <= numbers[..., 1].min()
    upper, lower = numbers[:, 0, 0], numbers[:, 12, 0]
    assert not set(upper.tolist()) & set(lower.tolist())
    rows = (features - book.mean) @ book.axes
    one = book.codes[0][numbers[..., 0]]
    two = one + book.codes[1][numbers[..., 1] - 5]
    assert ((rows - two) ** 2).sum() < ((rows - one) ** 2).sum()
    assert torch.equal(fit_codebook(features, levels=2, codes=5, axes=4, seed=0).codes, book.codes)


def test_the_basis_starts_orthonormal_and_the_penalty_brings_it_back() -> None:
    aligner = Aligner(SIZE)
    assert aligner.penalty().item() < 1e-9
    with torch.no_grad():
        aligner.basis += 0.1 * torch.randn_like(aligner.basis)
    far = aligner.penalty().item()
    optimizer = torch.optim.SGD(aligner.parameters(), 0.02)
    for _ in range(200):
        optimizer.zero_grad()
        aligner.penalty().backward()
        optimizer.step()
    assert aligner.penalty().item() < 1e-3 * far


def test_each_gate_changes_the_features() -> None:
    torch.manual_seed(0)
    aligner, features = Aligner(SIZE), torch.randn(1, 3, SIZE.dim)
    weight, bias = aligner.gates.weight, aligner.gates.bias
    with torch.no_grad():
        weight.zero_()
        bias.fill_(-50.0)
    shut = aligner(features)
    assert torch.allclose(shut, features)
    with torch.no_grad():
        bias[SIZE.dim :] = 50.0  # what is kept
    assert torch.allclose(aligner(features), 2 * features)
    with torch.no_grad():
        bias[: SIZE.dim], bias[SIZE.dim :] = 50.0, -50.0  # what is let in of the basis
    added = aligner(features) - features
    assert (added.abs() <= 1).all()
    assert (added.abs() > 1e-4).any()


def test_the_mask_shuts_out_a_patch_and_its_penalty_counts_what_is_shut_out(net: Uar) -> None:
    refiner = Refiner(SIZE)
    open_ = refiner.penalty().item()
    with torch.no_grad():
        refiner.mask[:, 0] = -9.0
    assert refiner.penalty().item() == pytest.approx(0.75 * open_ + 0.25, abs=1e-3)
    with torch.no_grad():
        net.refiner.mask[:, 0] = -9.0
    codes, words = pairs(1)
    image = net.see(codes)
    other = image.clone()
    other[:, 0] += torch.randn(SIZE.dim, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(net.write(image, words)[0], net.write(other, words)[0], atol=1e-6)
    net.refined = False
    assert not torch.allclose(net.write(image, words)[0], net.write(other, words)[0], atol=1e-3)


def test_later_words_change_nothing_before_them_but_the_image_does(net: Uar) -> None:
    codes, words = pairs(2)
    later = words.clone()
    later[:, 4:] = (words[:, 4:] + 1).clamp(max=SIZE.words - 1)
    one, two = net(codes, words).logits, net(codes, later).logits
    assert torch.allclose(one[:, :4], two[:, :4], atol=1e-5)
    assert not torch.allclose(one[:, 4:], two[:, 4:], atol=1e-3)
    swapped = net(codes.flip(0), words).logits
    assert not torch.allclose(one, swapped, atol=1e-3)


def test_together_and_one_by_one_are_the_same_whatever_is_padded(net: Uar) -> None:
    codes, words = pairs(3)
    words[1, 4:] = PAD
    together = net(codes, words)
    for k, count in enumerate((6, 4, 6)):
        alone = net(codes[k : k + 1], words[k : k + 1, :count])
        assert torch.allclose(alone.logits[0], together.logits[k, :count], atol=1e-5)
        assert torch.allclose(alone.text[0], together.text[k], atol=1e-5)
        assert torch.allclose(alone.image[0], together.image[k], atol=1e-5)


def test_the_triplet_loss_takes_the_hardest_that_is_a_stranger() -> None:
    image = torch.eye(3)
    assert float(triplet_loss(image, image, torch.arange(3))) == 0.0
    text = torch.stack([image[0], image[0], image[2]])
    assert float(triplet_loss(image, text, torch.arange(3))) > 0.5
    # Image 1 is far from its own text, that of image 0; in one group they are no strangers.
    together = triplet_loss(image, text, torch.tensor([0, 0, 1]))
    assert float(together) == pytest.approx(0.4 / 3)


def test_beams_are_no_less_likely_than_greedy_and_never_say_what_is_no_word(net: Uar) -> None:
    codes, _ = pairs(4)
    for one in codes:
        greedy = generate(net, one, 1)
        assert generate(net, one, 1) == greedy
        assert len(greedy) < SIZE.most
        assert not {PAD, START, END, OTHER} & {*greedy, *generate(net, one, 3)}
