"""The brain network and its loss."""

from __future__ import annotations

import pytest
import torch

from mmtool.models.losses.sampled_dice_ce import sampled_dice_ce
from mmtool.models.segmentation.intensity import scale_intensity
from mmtool.models.segmentation.subvoxel_unet import (
    SubvoxelUNet,
    SubvoxelUNetConfig,
    fold_blocks,
    unfold_blocks,
)


def small() -> SubvoxelUNet:
    torch.manual_seed(0)
    return SubvoxelUNet(SubvoxelUNetConfig(classes=3, widths=(4, 6, 8), head=8))


def test_folding_is_undone() -> None:
    x = torch.randn(2, 3, 4, 6, 8)
    assert torch.equal(unfold_blocks(fold_blocks(x, 2), 2), x)


def test_folding_keeps_a_block_together() -> None:
    x = torch.arange(64.0).reshape(1, 1, 4, 4, 4)
    assert torch.equal(fold_blocks(x, 2)[0, :, 0, 0, 0], x[0, 0, :2, :2, :2].flatten())


@pytest.mark.parametrize("size", [(16, 8, 8), (16, 8, 24)])
def test_every_voxel_gets_logits(size: tuple[int, int, int]) -> None:
    net = small()
    assert all(n % net.multiple == 0 for n in size)
    assert net(torch.randn(2, 1, *size)).shape == (2, 4, *size)


def test_scans_of_a_batch_do_not_mix() -> None:
    net = small().eval()
    x = torch.randn(2, 1, 16, 8, 8)
    together = net(x)
    torch.testing.assert_close(together[:1], net(x[:1]), rtol=1e-5, atol=1e-6)


def test_config_round_trip() -> None:
    config = SubvoxelUNetConfig(classes=5, widths=(4, 8))
    assert SubvoxelUNetConfig.from_json(config.to_json()) == config


def test_it_learns_a_bright_cube() -> None:
    """A handful of steps must overfit one scan."""
    net = small()
    image = torch.zeros(1, 1, 16, 16, 16)
    image[..., 4:11, 4:11, 4:11] = 1
    target = (image[0, 0] > 0.5).long().flatten()
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(150):
        logits = net(image)[0, :-1].flatten(1)
        loss, dice = sampled_dice_ce(logits, target, torch.ones(target.numel()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(dice[1]) > 0.95


def test_weights_make_a_sample_speak_for_the_whole() -> None:
    """Dropping half of the voxels at random and doubling the rest moves the loss little."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 40_000, generator=generator)
    target = torch.randint(0, 3, (40_000,), generator=generator)
    full, _ = sampled_dice_ce(logits, target, torch.ones(40_000))
    kept = torch.rand(40_000, generator=generator) < 0.5
    part, _ = sampled_dice_ce(logits[:, kept], target[kept], torch.full((int(kept.sum()),), 2.0))
    assert float(part) == pytest.approx(float(full), rel=0.02)


def test_absent_classes_do_not_count() -> None:
    logits = torch.zeros(3, 10)
    _, dice = sampled_dice_ce(logits, torch.ones(10, dtype=torch.long), torch.ones(10))
    assert torch.isnan(dice[2])
    assert not torch.isnan(dice[1])


def test_scaling_ignores_unit_and_offset() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(12, 12, 12, generator=generator)
    torch.testing.assert_close(
        scale_intensity(image), scale_intensity(image * 900 - 70), rtol=1e-4, atol=1e-4
    )


def test_a_constant_image_scales_to_zero() -> None:
    assert not scale_intensity(torch.full((4, 4, 4), 7.0)).any()
