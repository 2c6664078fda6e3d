"""What every fusion network must do, and what single ones promise."""

import math

import pytest
import torch
from tests.support.fusion_cohorts import LAYOUT, parts

from mmtool.errors import UsageError
from mmtool.models.survival.fusion.itcfn import sdm
from mmtool.models.survival.fusion.motcat import MICRO
from mmtool.models.survival.network.hazard_net import (
    HazardNet,
    build,
    methods,
    network_class,
    sides,
)
from mmtool.models.survival.network.iemf import InverseEffectiveness, factor
from mmtool.models.survival.network.layers import Attention, masked_softmax
from mmtool.models.survival.network.tokens import Part, Parts, Shape
from mmtool.models.survival.network.training import take_away

_LABEL = torch.tensor([0, 1, 2, 3, 0, 1])
_EVENT = torch.tensor([True, False, True, True, False, True])


def _network(method: str) -> HazardNet:
    torch.manual_seed(0)
    layout = tuple(s for s in LAYOUT if network_class(method).uses(s))
    return build(method, layout, 4, dim=16).eval()


def _rows(given: Parts, where: list[int]) -> Parts:
    return {name: part.rows(torch.tensor(where)) for name, part in given.items()}


def test_the_methods_are_there() -> None:
    wanted = "abmil cmta concat itcfn late lego-fuse lego-merge mcat motcat multimodn snn"
    assert methods() == tuple(wanted.split())
    with pytest.raises(UsageError, match="no network"):
        build("magic", LAYOUT, 4)


@pytest.mark.parametrize("method", methods())
def test_together_is_one_by_one(method: str) -> None:
    network, given = _network(method), parts()
    together = network(given).logits
    for i in range(6):
        one = _rows(given, [i])
        kept = max(int(one["tiles"].mask.sum()), 1)
        one["tiles"] = Part(one["tiles"].x[:, :kept], one["tiles"].mask[:, :kept])
        assert torch.allclose(network(one).logits[0], together[i], atol=1e-5)


@pytest.mark.parametrize("method", methods())
def test_the_order_of_tiles_changes_nothing(method: str) -> None:
    network, given = _network(method), parts()
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    turned = given | {"tiles": Part(given["tiles"].x[:, order], given["tiles"].mask[:, order])}
    assert torch.allclose(network(given).logits, network(turned).logits, atol=1e-5)


@pytest.mark.parametrize("method", methods())
def test_what_is_masked_is_not_seen(method: str) -> None:
    network, given = _network(method), parts()
    spoilt = {n: Part(torch.where(p.mask[..., None], p.x, 0), p.mask) for n, p in given.items()}
    assert torch.equal(network(given).logits, network(spoilt).logits)
    longer = torch.cat([given["tiles"].mask, torch.zeros(6, 2, dtype=torch.bool)], dim=1)
    x = torch.cat([given["tiles"].x, torch.zeros(6, 2, 5)], dim=1)
    padded = given | {"tiles": Part(x, longer)}
    assert torch.allclose(network(given).logits, network(padded).logits, atol=1e-5)


@pytest.mark.parametrize("method", methods())
def test_any_set_of_modalities_gives_finite_hazards_and_gradients(method: str) -> None:
    network = _network(method)
    for stage in network.stages:
        network.begin(stage)
        network.train()
        for kind in range(16):
            gone = torch.ones(6, dtype=torch.bool)
            kept = [shape.name for m, shape in enumerate(LAYOUT) if kind >> m & 1]
            given = {n: p if n in kept else p.without(gone) for n, p in parts().items()}
            fused = network(given)
            loss = network.loss(fused, _LABEL, _EVENT)
            assert loss.shape == (6,)
            loss.mean().backward()
            assert bool(torch.isfinite(fused.logits).all())
    grads = [p.grad for p in network.parameters() if p.grad is not None]
    assert grads
    assert all(bool(torch.isfinite(g).all()) for g in grads)


@pytest.mark.parametrize("method", methods())
def test_every_weight_that_predicts_is_trained(method: str) -> None:
    network = _network(method)
    for stage in network.stages:
        network.begin(stage)
        network.train()
        network.loss(network(parts()), _LABEL, _EVENT).mean().backward()
    lazy = [name for name, p in network.named_parameters() if p.grad is None]
    assert not [name for name in lazy if not name.startswith("make.")]  # maps onto themselves


def test_without_a_modality_the_state_stays_to_the_bit() -> None:
    network, given = _network("multimodn"), parts()
    states = network(given).trace["states"]
    for m in range(4):  # patient m lacks modality m
        assert torch.equal(states[m, m + 1], states[m, m])
        assert not torch.equal(states[5, m + 1], states[5, m])


def test_to_have_a_modality_tells_nothing_on_average() -> None:
    network, given = _network("multimodn"), _rows(parts(40), list(range(4, 40)))
    label = torch.arange(36) % 4
    network.finish(given, label, label > 0)
    fused = network(given)
    average = fused.logits.mean(dim=0)
    assert torch.allclose(average, fused.trace["steps"][:, 0].mean(dim=0), atol=1e-5)
    assert "centre" in network.state_dict()


def test_co_attention_shares_one_whole_among_the_tiles() -> None:
    attention = Attention(8, heads=2)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    with torch.no_grad():
        out, weights = attention(torch.randn(2, 4, 8), torch.randn(2, 3, 8), mask)
    assert torch.allclose(weights[0].sum(-1), torch.ones(2, 4))
    assert float(weights[0, :, :, 2].abs().max()) == 0
    assert float(out[1].abs().max()) == 0
    assert float(masked_softmax(torch.randn(2, 3), mask)[1].abs().max()) == 0


@pytest.mark.parametrize("method", ["mcat", "motcat", "cmta"])
def test_the_map_is_over_the_tokens_that_are_there(method: str) -> None:
    network, given = _network(method), parts()
    weights = network(given).trace["map"].detach()
    asking, asked = sides(LAYOUT)
    assert (asking, asked) == (["clinical", "rna.v2"], ["keys", "tiles"])
    assert weights.shape == (6, 1, 5, 10)
    mask = torch.cat([given[n].mask for n in asked], dim=1)
    assert float((weights * ~mask[:, None, None, :]).abs().max()) == 0


def test_micro_batches_cover_every_tile_once() -> None:
    network = _network("motcat")
    count = MICRO + 44
    x = torch.randn(2, count, 5)
    mask = torch.ones(2, count, dtype=torch.bool)
    mask[1, 20:] = False  # one micro-batch is enough for the second patient
    given = _rows(parts(), [4, 5]) | {"tiles": Part(x * mask[..., None], mask)}
    together = network(given)
    plan = together.trace["map"][0, 0]
    assert bool((plan.sum(dim=0) > 0).all())
    second = _rows(given, [1])
    second["tiles"] = Part(second["tiles"].x[:, :20], second["tiles"].mask[:, :20])
    assert torch.allclose(network(second).logits[0], together.logits[1], atol=1e-5)


def test_sides_without_images() -> None:
    tables = (Shape("rna", "omics", 6, 4), Shape("cnv", "omics", 6, 4))
    assert sides(tables) == (["cnv"], ["rna"])
    assert sides(tables[:1]) == (["rna"], ["rna"])


def test_an_absent_embedding_is_what_the_others_make_of_it() -> None:
    network, given = _network("itcfn"), parts()
    fused = network(given)
    assert torch.equal(fused.parts["clinical"][0], fused.trace["made"][0, 0])
    assert torch.equal(fused.parts["clinical"][5], fused.trace["known"][5, 0])


def test_matching_is_least_where_classes_are_apart() -> None:
    kinds = torch.tensor([0, 0, 1, 1])
    apart = torch.tensor([[1.0, 0], [1.0, 0], [-1.0, 0], [-1.0, 0]])
    mixed = apart[[0, 2, 1, 3]]
    assert float(sdm(apart, apart, kinds).mean()) < float(sdm(mixed, mixed, kinds).mean())


def test_inverse_effectiveness_scales_the_gradient_of_the_fused_head_alone() -> None:
    assert factor(1.0, 1.0) == pytest.approx(1.0)
    assert factor(0.0, 1.0) == pytest.approx(1 + math.tanh(1))
    assert factor(3.0, 1.0) < 1
    network, given = _network("concat"), parts()
    fused = network(given)
    rule = InverseEffectiveness(network, fused)
    total = network.loss(fused, _LABEL, _EVENT).mean() + rule.loss(fused, _LABEL, _EVENT).mean()
    total.backward()
    before = {n: p.grad.clone() for n, p in network.named_parameters()}
    rule.after_backward(network)
    for name, p in network.named_parameters():
        wanted = before[name] * (rule._factor if name.startswith("head.") else 1)
        assert torch.allclose(p.grad, wanted)
    with pytest.raises(UsageError, match="no parts"):
        InverseEffectiveness(_network("snn"), _network("snn")(given))


def test_nobody_is_left_with_nothing() -> None:
    torch.manual_seed(0)
    given = parts(50)
    left = take_away(given, 0.7)
    there = torch.stack([p.present for p in left.values()], 1)
    before = torch.stack([p.present for p in given.values()], 1)
    assert bool(there.any(dim=1).all())
    assert int(there.sum()) < int(before.sum())
    assert not bool((there & ~before).any())
