"""The network that a report steers: it starts as the plain one, knows places, and can be moved."""

from __future__ import annotations

import pytest
import torch

from mmtool.models.segmentation.guided_unet import GuidedUNet, GuidedUNetConfig, place_in
from mmtool.models.segmentation.subvoxel_unet import SubvoxelUNetConfig
from mmtool.models.text.encoder import TextEncoderConfig, tokenise


def network(fusion: str) -> GuidedUNet:
    torch.manual_seed(0)
    trunk = SubvoxelUNetConfig(classes=5, widths=(4, 8, 8), head=8, inputs=2, sides=False)
    reader = TextEncoderConfig(structures=3, width=8, layers=1, heads=2, buckets=64)
    return GuidedUNet(GuidedUNetConfig(trunk, reader, fusion)).eval()


def test_places_run_from_face_to_face_of_the_box() -> None:
    inside = torch.zeros(16, 24, 32, dtype=torch.bool)
    inside[4:12, :, 8:32] = True
    places = place_in(inside, 8)
    assert places.shape == (3, 2, 3, 4)
    torch.testing.assert_close(places[0, :, 0, 0], -places[0, :, 0, 0].flip(0))
    assert float(places[2, 0, 0, 0]) == pytest.approx(2 * (3.5 - 8) / 23 - 1)
    assert float(place_in(inside * False, 8).abs().max()) < 1.01


@pytest.mark.parametrize("fusion", ["late", "sequential", "progressive"])
def test_shapes_and_the_way_through_json(fusion: str) -> None:
    net = network(fusion)
    config = GuidedUNetConfig.from_json(net.config.to_json())
    assert config == net.config
    image, inside = torch.randn(1, 2, 16, 24, 16), torch.ones(16, 24, 16, dtype=torch.bool)
    tokens = tokenise(["mass on the left"], config.text)
    assert net(image, place_in(inside, net.multiple), tokens).shape == (1, 5, 16, 24, 16)


def test_no_text_moves_it_before_training() -> None:
    net = network("sequential")
    image, inside = torch.randn(1, 2, 16, 24, 16), torch.ones(16, 24, 16, dtype=torch.bool)
    place = place_in(inside, net.multiple)
    with torch.inference_mode():
        none, left = (net(image, place, tokenise([t], net.config.text)) for t in ("", "left mass"))
        torch.testing.assert_close(none, left)
        net.told.weight.normal_()
        moved = net(image, place, tokenise(["left mass"], net.config.text))
    assert not torch.allclose(none, moved)
