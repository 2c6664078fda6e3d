"""The segmenter that reads: what it keeps of a scan, and what it tells of its reasons."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmtool.anatomy import BRAIN_LABELS
from mmtool.errors import ModelError
from mmtool.models.segmentation.subvoxel_unet import SubvoxelUNetConfig
from mmtool.models.segmentation.text_unet import TextUNet, TextUNetConfig
from mmtool.models.store import resolve_model
from mmtool.models.text.encoder import TextEncoderConfig
from mmtool.pipelines.inference import BrainSegmenter
from mmtool.pipelines.segmenter import Segmented, TextSegmenter
from mmtool.pipelines.text_inference import (
    BrainTextSegmenter,
    Look,
    similarity_points,
    without_strays,
)
from mmtool.pipelines.world_grid import WorldGrid

INDICES = [label.index for label in BRAIN_LABELS]
GRID = WorldGrid((-15.0, -15.0, -15.0), 2.0, (16, 16, 16))


def small() -> tuple[dict[str, object], dict[str, torch.Tensor]]:
    """Config and random weights of a small network with the classes of ``brain``."""
    classes = resolve_model("segment", "brain").config["classes"]
    trunk = SubvoxelUNetConfig(classes=len(classes), widths=(4, 6, 8), head=8)
    reader = TextEncoderConfig(structures=len(INDICES), width=16, layers=1, heads=2, buckets=64)
    config = TextUNetConfig(trunk, reader, width=8, similarity=4, head=8)
    torch.manual_seed(0)
    described = {
        "network": "text_unet",
        "arguments": config.to_json(),
        "structures": INDICES,
        "classes": classes,
        "spacing_mm": 2.0,
    }
    return described, TextUNet(config).state_dict()


def segmenter() -> BrainTextSegmenter:
    return BrainTextSegmenter(*small(), torch.device("cpu"))


def test_it_is_known_to_read() -> None:
    assert isinstance(segmenter(), TextSegmenter)


def test_only_voxels_of_structures_are_kept_and_reasons_are_told() -> None:
    run = segmenter()
    labels = np.zeros(GRID.size, np.uint8)
    labels[4:8, 4:8, 4:8], labels[9:12, 4:8, 4:8] = 17, 53
    found = Segmented(labels, True, {17: 0.9, 53: 0.8}, 0.85, labels > 0)
    image = torch.rand(GRID.size, generator=torch.Generator().manual_seed(0))
    seen = (run._see(image), run._see(image.roll((1, 1, 1), (0, 1, 2))))
    affine = GRID.affine
    result = run.read(Look(found, affine, GRID, seen), "left hippocampus")
    assert set(np.unique(result.labels)) <= {0, 17, 53}
    np.testing.assert_array_equal(result.labels, np.where(result.labels, labels, 0))
    assert set(result.evidence["read"]) == {label.name for label in BRAIN_LABELS}
    assert all(0 <= p <= 1 for p in result.evidence["read"].values())
    assert set(result.confidence) == set(np.unique(result.labels)) - {0}
    again = run.read(Look(found, affine, GRID, seen), "left hippocampus")
    np.testing.assert_array_equal(again.labels, result.labels)


def test_the_passes_of_the_image_network_are_kept_and_change_nothing() -> None:
    run = segmenter()
    image = torch.rand(GRID.size, generator=torch.Generator().manual_seed(1))
    maps = run._predict(image)
    assert len(run._seen) == 2  # the window, and the window moved by a voxel
    torch.testing.assert_close(maps, BrainSegmenter._predict(BrainSegmenter(*trunk_of(run)), image))
    expected = run._see(image.roll((1, 1, 1), (0, 1, 2)))
    torch.testing.assert_close(run._seen[1].fine, expected.fine)


def trunk_of(
    run: BrainTextSegmenter,
) -> tuple[dict[str, object], dict[str, torch.Tensor], torch.device]:
    config, _ = small()
    of_trunk = config | {
        "network": "subvoxel_unet",
        "arguments": run.reader.config.trunk.to_json(),
    }
    return of_trunk, run.net.state_dict(), torch.device("cpu")


def test_what_is_understood_is_what_is_likelier_than_not() -> None:
    run = segmenter()
    labels = np.ones(GRID.size, np.uint8)
    seen = (run._see(torch.zeros(GRID.size)),) * 2
    found = Segmented(labels, True, {}, 0.85, labels > 0)
    texts = ["left hippocampus", "no lesion in the thalami", ""]
    for text, asked in zip(texts, run.understand(texts), strict=True):
        read = run.read(Look(found, GRID.affine, GRID, seen), text).evidence["read"]
        likely = {name for name, chance in read.items() if chance > 0.5}
        assert likely == {label.name for label in BRAIN_LABELS if label.index in asked}


def test_voxels_along_the_border_of_a_neighbour_are_dropped() -> None:
    labels = np.zeros((10, 10, 4), np.uint8)
    labels[:5], labels[5:] = 17, 54
    kept = np.zeros(labels.shape, bool)
    kept[:6, 2:] = True  # most of the one, and a tenth less something of the other
    kept[5, 8:] = False
    chosen = without_strays(labels, kept)
    assert set(np.unique(chosen)) == {0, 17, 54}
    kept[5, 2:6] = False
    chosen = without_strays(labels, kept)
    np.testing.assert_array_equal(chosen, np.where((labels == 17) & kept, 17, 0))


def test_without_a_brain_there_is_nothing_to_read() -> None:
    nothing = Segmented(np.zeros((4, 4, 4), np.uint8), False, {}, 0.0)
    assert segmenter().read(Look(nothing, np.eye(4), None, ()), "thalamus") is nothing


def test_points_are_at_the_peaks_and_apart() -> None:
    similarity = torch.zeros(8, 8, 8)
    similarity[2, 3, 4], similarity[6, 6, 6], similarity[2, 3, 5] = 5.0, 4.5, 4.9
    similarity[0, 0, 0] = -1.0
    points = similarity_points(similarity, GRID)
    near = [p for p in points if p["positive"]]
    assert [p["similarity"] for p in near] == [1.0, round(5.5 / 6, 3)]
    # Middle of block (2, 3, 4): voxels 4-5, 6-7, 8-9 of 2 mm from -15 mm on.
    assert near[0]["ras_mm"] == [-6.0, -2.0, 2.0]
    far = [p for p in points if not p["positive"]]
    assert far[0]["similarity"] == 0.0
    assert 1 < len(far) <= 15
    for group in (near, far):
        places = np.array([p["ras_mm"] for p in group])
        gaps = np.linalg.norm(places[:, None] - places[None], axis=-1)
        assert (gaps + 100 * np.eye(len(places))).min() >= 8.0


def test_weights_of_another_network_are_refused() -> None:
    config, state = small()
    state.pop("target.weight")
    with pytest.raises(ModelError, match="reads text"):
        BrainTextSegmenter(config, state, torch.device("cpu"))
