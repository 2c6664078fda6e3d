"""The text encoder, the fusions, and the network that a text steers."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from mmtool.models.attention.cross import CrossAttention, to_map, to_tokens
from mmtool.models.segmentation.subvoxel_unet import SubvoxelUNet, SubvoxelUNetConfig, fold_blocks
from mmtool.models.segmentation.text_unet import FUSIONS, TextUNet, TextUNetConfig, build_fusion
from mmtool.models.text.encoder import TextEncoder, TextEncoderConfig, tokenise

READER = TextEncoderConfig(structures=5, width=16, layers=1, heads=2, buckets=256, words=12)
TRUNK = SubvoxelUNetConfig(classes=3, widths=(4, 6, 8), head=8)
TEXTS = ["left hippocampus", "", "both thalami, but not the brainstem. Nothing else, please!"]


def net(fusion: str) -> TextUNet:
    torch.manual_seed(0)
    return TextUNet(TextUNetConfig(TRUNK, READER, fusion, width=8, similarity=6, head=12)).eval()


def test_words_alike_share_buckets_and_case_does_not_matter() -> None:
    one, two = (tokenise([t], READER).grams[1] for t in ("hippocampus", "hippocampi"))
    other = tokenise(["brainstem"], READER).grams[1]
    shared = set(one.tolist()) & set(two.tolist()) - {0}
    assert len(shared) > 10 > len(set(one.tolist()) & set(other.tolist()) - {0})
    assert torch.equal(tokenise(["LEFT"], READER).grams, tokenise(["left"], READER).grams)


def test_a_long_text_is_cut_and_an_empty_one_has_no_words() -> None:
    tokens = tokenise(["", "word " * 50], READER)
    assert tokens.index.shape == (2, READER.words)
    assert not tokens.index[0].any()
    encoded = TextEncoder(READER).eval()(tokens)
    assert encoded.mask.sum(1).tolist() == [1, 1 + READER.words]


def test_texts_of_a_batch_do_not_mix() -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(READER).eval()
    together = encoder(tokenise(TEXTS, READER))
    for row, text in enumerate(TEXTS):
        alone = encoder(tokenise([text], READER))
        torch.testing.assert_close(alone.asked[0], together.asked[row], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(alone.pooled[0], together.pooled[row], rtol=1e-4, atol=1e-5)


def test_training_hides_letters_and_place_and_use_hides_nothing() -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(READER)
    tokens = tokenise(["left hippocampus"], READER)
    assert not torch.equal(encoder(tokens).words, encoder(tokens).words)
    encoder.eval()
    torch.testing.assert_close(encoder(tokens).words, encoder(tokens).words, rtol=0, atol=0)


def test_signs_of_word_processors_are_plain_ones() -> None:
    plain, typeset = (
        tokenise([t], READER) for t in ("ammon's horn - x", "ammon\u2019s horn \u2013 x")
    )
    assert torch.equal(plain.grams, typeset.grams)


def test_masked_tokens_are_not_asked() -> None:
    torch.manual_seed(0)
    attention = CrossAttention(8, 6, heads=2)
    query, asked = torch.randn(1, 3, 8), torch.randn(1, 4, 6)
    mask = torch.tensor([[True, True, False, False]])
    plain = attention(query, asked[:, :2])
    torch.testing.assert_close(attention(query, asked, mask), plain)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(attention(query, asked), plain)


def test_tokens_are_the_map_again() -> None:
    x = torch.randn(2, 3, 4, 5, 6)
    assert torch.equal(to_map(to_tokens(x), x.shape[2:]), x)


@pytest.mark.parametrize("name", FUSIONS)
def test_a_closed_gate_leaves_the_image_as_it_is(name: str) -> None:
    """As initialised: the fusion equals the plain image network."""
    torch.manual_seed(0)
    fusion = build_fusion(name, 16, 16, 8).eval()
    image, words = torch.randn(2, 16, 2, 3, 2), torch.randn(2, 5, 16)
    fused = fusion(image, words, torch.ones(2, 5, dtype=torch.bool), torch.randn(2, 16))
    assert torch.equal(fused.image, image)
    if name != "late":
        torch.nn.init.ones_(fusion.gate)
        opened = fusion(image, words, torch.ones(2, 5, dtype=torch.bool), torch.randn(2, 16))
        assert not torch.allclose(opened.image, image)
    assert (fused.dense is None) == (name != "progressive")


def test_an_unknown_fusion_is_refused() -> None:
    with pytest.raises(ValueError, match="no fusion is named 'early'"):
        build_fusion("early", 8, 8, 8)


@pytest.mark.parametrize("name", FUSIONS)
def test_the_image_network_is_not_changed_by_text(name: str) -> None:
    model = net(name)
    image = torch.randn(1, 1, 16, 8, 16)
    classes, asked = model(image, tokenise(TEXTS, READER))
    assert asked.shape == (3, 16, 8, 16)
    torch.testing.assert_close(classes, model.trunk(image)[0])
    assert not torch.allclose(asked[0], asked[2])


@pytest.mark.parametrize("name", FUSIONS)
def test_prompts_together_and_one_by_one_are_the_same(name: str) -> None:
    model = net(name)
    image = torch.randn(1, 1, 16, 16, 8)
    _, together = model(image, tokenise(TEXTS, READER))
    for row, text in enumerate(TEXTS):
        _, alone = model(image, tokenise([text], READER))
        torch.testing.assert_close(alone[0], together[row], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", FUSIONS)
def test_some_blocks_get_the_logits_that_they_get_among_all(name: str) -> None:
    """Training computes a sample of the blocks."""
    model = net(name)
    image, tokens = torch.randn(1, 1, 16, 8, 8), tokenise(TEXTS, READER)
    _, whole = model(image, tokens)
    seen = model.see(image)
    steered = model.steer(seen, model.text(tokens))
    chosen = torch.tensor([3, 17, 100])
    some = model.asked(seen, steered, chosen).logits
    blocks = fold_blocks(whole[:, None], 2).flatten(2)[..., chosen].transpose(1, 2)
    torch.testing.assert_close(some, blocks, rtol=1e-4, atol=1e-5)


def test_similarity_is_that_of_the_vectors_of_voxel_and_text() -> None:
    run = net("late")
    torch.manual_seed(1)
    hidden, target = torch.randn(2, 5, 12), torch.randn(2, 6)
    likely = torch.rand(5, 8, 4)  # blocks of 8 cells, two classes on either side
    voxels = run.voxel(hidden).reshape(2, 5, 8, 6) + run.classes(likely)
    expected = torch.einsum("pncs,ps->pnc", voxels, target)
    torch.testing.assert_close(run._similarity(hidden, likely, target), expected)


def test_it_starts_as_a_selection_of_what_the_image_network_holds_likely() -> None:
    """Two classes with sides: left and right of the first, the second as a midline structure."""
    model = net("late")
    model.start_as_selection([(0,), (2,), (1, 3), (), ()])
    seen = model.see(torch.randn(1, 1, 16, 16, 8))
    text = model.text(tokenise(["a", "b"], READER))
    asked = torch.tensor([[9.0, -9, -9, 0, 0], [-9, -9, 9, 0, 0]])
    steered = model.steer(seen, dataclasses.replace(text, asked=asked))
    logits = torch.full_like(seen.logits, -9.0)
    # Every voxel of the first block is the first class on the left, of the others the second.
    cells = logits.reshape(4, 8, -1)
    cells[1, :, 0], cells[2, :, 1:], cells[3, :, 0] = 9.0, 9.0, 9.0
    seen = dataclasses.replace(seen, logits=cells.reshape(seen.logits.shape))
    found = model.asked(seen, steered, torch.arange(4)).logits
    assert (found[0, 0] > 1).all()
    assert (found[0, 1:] < -1).all()
    assert (found[1, 0] < -1).all()
    assert (found[1, 1:] > 1).all()


def test_only_the_reading_part_learns() -> None:
    model = net("progressive")
    learned = {n.split(".")[0] for n, p in model.named_parameters() if p.requires_grad}
    assert "trunk" not in learned
    text = {n for n, p in model.text.named_parameters() if p.requires_grad}
    assert text == {"pool.weight", "pool.bias"}
    assert {"fusion", "head", "correct", "voxel", "classes"} <= learned


def test_config_round_trip() -> None:
    config = TextUNetConfig(TRUNK, READER, "sequential")
    assert TextUNetConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_a_network_of_more_inputs_and_depth() -> None:
    config = SubvoxelUNetConfig(classes=4, widths=(4, 8), inputs=2, depth=2, sides=False)
    model = SubvoxelUNet(config)
    assert model(torch.randn(1, 2, 8, 8, 4)).shape == (1, 4, 8, 8, 4)
