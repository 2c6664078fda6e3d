"""Latents in the frequency domain and their merge."""

import pytest
import torch
from tests.support.fusion_cohorts import LAYOUT, parts

from mmtool.models.survival.network.hazard_net import build
from mmtool.models.survival.network.lego_block import LegoHead, merge_heads, merge_latents, slerp


def test_slerp_begins_at_one_and_ends_at_the_other_whatever_their_lengths() -> None:
    a, b = torch.randn(5, 8), 3 * torch.randn(5, 8)
    assert slerp(a, b, 0.0).numpy() == pytest.approx(a.numpy(), abs=1e-5)
    assert slerp(a, b, 1.0).numpy() == pytest.approx(b.numpy(), abs=1e-5)


def test_slerp_keeps_unit_length_and_halves_the_angle() -> None:
    a, b = (torch.nn.functional.normalize(torch.randn(6, 8), dim=1) for _ in range(2))
    middle = slerp(a, b, 0.5)
    assert middle.norm(dim=1).numpy() == pytest.approx(1.0, abs=1e-5)
    assert (middle * a).sum(1).numpy() == pytest.approx((middle * b).sum(1).numpy(), abs=1e-5)


def test_slerp_of_parallel_opposite_and_empty_directions_is_finite() -> None:
    a = torch.tensor([[1.0, 0], [1.0, 0], [0.0, 0]])
    b = torch.tensor([[2.0, 0], [-1.0, 0], [0.0, 0]])
    found = slerp(a, b, 0.5)
    assert bool(torch.isfinite(found).all())
    assert found[0].tolist() == pytest.approx([1.5, 0])


def test_merging_one_is_the_identity_and_equal_ones_give_themselves() -> None:
    z = torch.fft.fft(torch.randn(2, 4, 3), dim=1)
    assert merge_latents([z]) is z
    assert torch.allclose(merge_latents([z, z, z]), z, atol=1e-5)


def test_merged_size_is_the_harmonic_mean_and_order_says_nothing() -> None:
    angle = torch.full((1, 1, 1), 0.3)
    two = [torch.polar(torch.full((1, 1, 1), size), angle) for size in (1.0, 3.0)]
    assert float(merge_latents(two).abs()) == pytest.approx(1.5)
    many = [torch.fft.fft(torch.randn(2, 4, 3), dim=1) for _ in range(3)]
    assert torch.allclose(merge_latents(many), merge_latents(many[::-1]), atol=1e-5)


def test_all_heads_take_part_in_a_merge() -> None:
    heads = [LegoHead(6, 4) for _ in range(3)]
    first, _ = merge_heads(heads)
    with torch.no_grad():
        heads[2].linear.weight += 1
    assert not torch.allclose(first, merge_heads(heads)[0])
    assert torch.equal(merge_heads(heads[:1])[0], heads[0].linear.weight)


def test_a_patient_with_one_modality_gets_that_blocks_own_prediction() -> None:
    network = build("lego-merge", LAYOUT, 4, dim=16).eval()
    given = parts()
    everyone = torch.ones(6, dtype=torch.bool)
    lone = {n: p if n == "keys" else p.without(everyone) for n, p in given.items()}
    said = network(lone)
    has = lone["keys"].present
    assert torch.allclose(said.logits[has], said.trace["alone"][has, 2], atol=1e-6)


def test_the_chain_starts_as_the_merge_of_the_heads() -> None:
    network = build("lego-fuse", LAYOUT, 4, dim=16)
    network.begin("blocks")
    network.begin("chain")
    weight, bias = merge_heads(network.own_heads())  # type: ignore[operator]
    assert torch.equal(network.head.weight, weight)
    assert torch.equal(network.head.bias, bias)
