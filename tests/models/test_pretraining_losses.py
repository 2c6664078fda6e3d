import numpy as np
import pytest
import torch
from torch.nn import functional

from mmtool.models.encoders.masked_patches import (
    PATCH,
    PatchDecoder,
    drawn_rows,
    masked_patches,
    normalised,
)
from mmtool.models.encoders.picture_net import PictureNet, PictureSize, firsts, oriented
from mmtool.models.losses.coding_rate import balance, coding_rate, self_distillation

SIZE = PictureSize(channels=(8, 8, 16), dim=16, part_dim=8, coarse=8, edge=64)


def unit(count: int, dim: int, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, dim, generator=draw), dim=-1)


@pytest.fixture
def net() -> PictureNet:
    torch.manual_seed(0)
    return PictureNet(SIZE).eval()


@pytest.mark.parametrize(("count", "dim"), [(40, 6), (6, 40)])
def test_coding_rate_is_that_of_the_second_moments(count: int, dim: int) -> None:
    vectors = unit(count, dim).double().numpy()
    values = np.linalg.eigvalsh(vectors.T @ vectors / count)
    wanted = np.log1p(dim / 0.25 * np.maximum(values, 0)).sum() / 2
    assert float(coding_rate(unit(count, dim))) == pytest.approx(wanted, rel=1e-4)


def test_coding_rate_is_least_where_all_vectors_are_one() -> None:
    same = unit(1, 8).expand(32, -1)
    alone = 0.5 * np.log1p(8 / 0.25)
    assert float(coding_rate(same)) == pytest.approx(alone, rel=1e-4)
    assert float(coding_rate(unit(32, 8))) > 3 * alone


@pytest.mark.parametrize(("count", "dim"), [(64, 128), (64, 16), (16, 16)])
def test_the_rate_pulls_no_harder_than_the_distance_may(count: int, dim: int) -> None:
    vectors = unit(count, dim).requires_grad_()
    (balance(count, dim) * coding_rate(vectors)).backward()
    assert vectors.grad is not None
    assert float(vectors.grad.norm()) <= 2 / count**0.5 + 1e-6


def test_distillation_prefers_agreement_and_gives_the_teacher_no_gradient() -> None:
    target = unit(32, 16).requires_grad_()
    near = functional.normalize(target.detach() + 0.1 * unit(32, 16, 1), dim=-1).requires_grad_()
    far = unit(32, 16, 2)
    good = self_distillation([near], target)
    assert good < self_distillation([far], target)
    good.backward()
    assert target.grad is None
    assert near.grad is not None


def test_what_is_hidden_is_not_seen(net: PictureNet) -> None:
    """But through the means over a cell's neighbours, so a middle far from all that is shown."""
    slabs = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    changed = slabs.clone()
    changed[:, :, 40:, 40:] = 0.3
    rows = torch.tensor([[0, 1, 4], [0, 4, 5]])  # the upper left of 4 x 4 patches
    shown = torch.zeros(2, 16).scatter(1, rows, 1.0).view(2, 1, 4, 4)
    cells = shown.repeat_interleave(4, 2).repeat_interleave(4, 3)
    seen = [net.patches(net.first(s, cells)[0], cells)[:, [0, 1, 4, 5]] for s in (slabs, changed)]
    torch.testing.assert_close(*seen, rtol=0, atol=0)
    full = [net.patches(net.first(s)[0])[:, -1] for s in (slabs, changed)]
    assert (full[0] - full[1]).abs().max() > 0.01


def test_all_cells_shown_is_the_plain_network(net: PictureNet) -> None:
    slabs = torch.rand(2, 3, 64, 64)
    plain = net.patches(net.first(slabs)[0])
    shown = torch.ones(2, 1, 16, 16)
    torch.testing.assert_close(net.patches(net.first(slabs, shown)[0], shown), plain)


def test_slabs_of_copies_and_real_ones_in_one_batch(net: PictureNet) -> None:
    flat = torch.rand(2, 1, 64, 64).expand(-1, 3, -1, -1)
    deep = torch.rand(3, 3, 64, 64)
    joined = net.first(torch.cat([flat, deep]))
    for found, wanted in zip(firsts(net, [flat, deep]), joined, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_smaller_picture_has_fewer_patches(net: PictureNet) -> None:
    seen = net.see(torch.rand(2, 3, 32, 32))
    assert seen.parts.shape == (2, 4, 8)
    assert seen.pooled.shape == (2, net.pooled)


def test_patches_are_normalised_each_for_itself() -> None:
    slabs = torch.rand(2, 3, 64, 64)
    rows = normalised(slabs)
    assert rows.shape == (2, 16, 3 * PATCH * PATCH)
    torch.testing.assert_close(rows.mean(-1), torch.zeros(2, 16), atol=1e-5, rtol=0)
    first = slabs[0, :, :16, 16:32].reshape(-1)
    torch.testing.assert_close(
        rows[0, 1] * (first.var() + 1e-3).sqrt() + first.mean(), first, atol=1e-5, rtol=0
    )


def test_the_decoder_learns_to_draw_hidden_patches(net: PictureNet) -> None:
    """Vertical bars can be drawn from any patch; noise can't."""
    net.train()
    torch.manual_seed(0)
    decoder = PatchDecoder(SIZE)
    draw = torch.Generator().manual_seed(0)
    bars = (torch.arange(64) // 4 % 2).float().expand(16, 1, 64, 64).expand(-1, 3, -1, -1)
    optimiser = torch.optim.AdamW([*net.parameters(), *decoder.parameters()], 3e-3)
    losses = []
    for _ in range(40):
        loss = masked_patches(net, decoder, [bars], drawn_rows(16, 16, 0.75, draw))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]


def test_each_slab_shows_the_same_number_of_different_patches() -> None:
    rows = drawn_rows(50, 64, 0.75, torch.Generator().manual_seed(0))
    assert rows.shape == (50, 16)
    assert all(len(set(row.tolist())) == 16 for row in rows)
    assert len({tuple(sorted(row.tolist())) for row in rows}) > 40


def test_orientations_are_shared_between_the_two_nearest() -> None:
    """A slope at an angle of its own: all its strength lies in the two steps around that angle."""
    down, across = np.mgrid[:64, :64] / 200
    angle = np.pi / 8 * 1.25
    slope = torch.from_numpy(across * np.cos(angle) + down * np.sin(angle)).float()[None]
    maps = oriented(slope)[0, 16:, 4:-4, 4:-4].square()
    shares = (maps / maps.sum(0)).mean((1, 2))
    np.testing.assert_allclose(shares[1:3], [0.75, 0.25], atol=1e-3)
    np.testing.assert_allclose(shares[[0, 3, 4, 5, 6, 7]], 0, atol=1e-3)
