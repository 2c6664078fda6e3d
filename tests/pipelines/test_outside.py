"""Labels of outside models, the way back to the file's grid, and MeshNet folders."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from outside_models import write_meshnet

from mmtool.errors import ModelError
from mmtool.models.store import resolve_model, verify
from mmtool.pipelines.outside.decide import (
    AxisMap,
    choose_class,
    choose_regions,
    decide,
    segmented,
)
from mmtool.pipelines.outside.labels import make_labels, read_colors
from mmtool.pipelines.outside.meshnet import MeshNetSegmenter, _to_lia, _to_ras
from mmtool.pipelines.segmenters import load_segmenter

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("given", "name", "code", "side"),
    [
        ("Left-Thalamus-Proper*", "left thalamus", "119406000", "Left"),
        ("Brain-Stem", "brainstem", "119238007", None),
        ("VentralDC", "ventral diencephalon", "110700", None),
        ("kidney_right", "right kidney", "64033007", "Right"),
        ("LeftKidney", "left kidney", "64033007", "Left"),
        ("left_atrium", "left atrium", "82471001", None),
        ("spleen", "spleen", "78961009", None),
        ("L_Hippocampus", "left hippocampus", "5366008", "Left"),
        ("enhancing tumor", "enhancing tumor", "108369006", None),
        ("vertebrae_L1", "vertebrae l1", "91723000", None),
        ("???", "class 1", "91723000", None),
    ],
)
def test_names_and_codes(given: str, name: str, code: str, side: str | None) -> None:
    (label,) = make_labels({1: given})
    assert (label.name, label.code.value) == (name, code)
    assert (label.laterality.meaning if label.laterality else None) == side


def test_names_are_unique_and_colours_are_kept() -> None:
    labels = make_labels({1: "Spot", 2: "spot", 7: "x" * 500}, {2: (1, 2, 3)})
    assert [x.name for x in labels[:2]] == ["spot", "spot 2"]
    assert len(labels[2].name) <= 64
    assert labels[1].color == (1, 2, 3)
    with pytest.raises(ModelError):
        make_labels(dict.fromkeys(range(1, 300), "x"))
    assert read_colors({"R": [0, 1, 999], "G": [0, 2, 2], "B": [0, 3]}, 4) == {1: (1, 2, 3)}


def grid_of(axes: str, spacing: tuple[float, float, float]) -> tuple[np.ndarray, tuple[int, ...]]:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = 3, -7, 11
    image = nibabel.Nifti1Image(np.zeros((9, 11, 8), np.uint8), affine)
    wanted = nibabel.orientations.axcodes2ornt(tuple(axes))
    turned = image.as_reoriented(
        nibabel.orientations.ornt_transform(nibabel.io_orientation(affine), wanted)
    )
    return turned.affine, turned.shape


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SAL", "PIR"])
def test_the_way_back_to_the_file(axes: str) -> None:
    """World coordinates as maps come back as the world coordinates of the file's voxels."""
    affine, shape = grid_of(axes, (1.3, 0.9, 2.0))
    working = np.diag([1.1, 1.1, 1.1, 1.0])
    working[:3, 3] = -2, -12, 6
    index = np.indices((24, 24, 24)).astype(np.float32)
    world = np.einsum("ab,bxyz->axyz", working[:3, :3], index) + working[:3, 3, None, None, None]
    grid = AxisMap.between((shape[0], shape[1], shape[2]), affine, working)
    parts = [v for _, v in grid.slabs(torch.as_tensor(world.astype(np.float32)), (False,) * 3)]
    back = np.stack([grid.to_file(c) for c in torch.cat(parts, 1).numpy()])
    own = (
        np.einsum("ab,bxyz->axyz", affine[:3, :3], np.indices(shape))
        + affine[:3, 3, None, None, None]
    )
    inside = np.ones(shape, bool)
    for axis in range(3):
        low, high = working[axis, 3], working[axis, 3] + 23 * 1.1
        inside &= (own[axis] >= low) & (own[axis] <= high)
    assert inside.mean() > 0.9
    np.testing.assert_allclose(back[:, inside], own[:, inside], atol=1e-4)


def test_axes_that_cross_are_refused() -> None:
    turn = np.eye(4)
    turn[:2, :2] = [[0.9, -0.43], [0.43, 0.9]]
    with pytest.raises(ValueError, match="along each other"):
        AxisMap.between((9, 9, 9), turn, np.eye(4))


def test_slabs_of_any_thickness_decide_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = torch.rand(3, 9, 8, 7, generator=torch.Generator().manual_seed(2))
    grid = AxisMap.between((13, 10, 9), np.diag([0.7, 0.8, 0.8, 1]), np.eye(4))
    choose = choose_class((0, 4, 9), logits=True)
    whole = decide(maps, grid, choose)
    monkeypatch.setattr("mmtool.pipelines.outside.decide._SLAB_VALUES", 500)
    thin = decide(maps, grid, choose)
    assert torch.equal(whole.labels, thin.labels)
    torch.testing.assert_close(whole.probability, thin.probability)
    torch.testing.assert_close(whole.doubt, thin.doubt)
    assert set(whole.labels.unique().tolist()) <= {0, 4, 9}


def test_what_was_cropped_away_is_background() -> None:
    maps = torch.stack([torch.zeros(4, 4, 4), torch.ones(4, 4, 4)])
    working = np.eye(4)
    working[:3, 3] = 3
    grid = AxisMap.between((10, 10, 10), np.eye(4), working)
    choose = choose_class((0, 1), logits=True)
    assert int(decide(maps, grid, choose).labels.sum()) == 1000
    kept = grid.inside((4, 4, 4))
    assert int(decide(maps, grid, choose, kept=kept).labels.sum()) == 64


def test_probability_is_that_of_the_chosen_class() -> None:
    values = torch.tensor([[[2.0, 0.0]], [[0.0, 1.0]]])
    chosen = choose_class((0, 5), logits=True)(values)
    assert chosen.labels.tolist() == [[0, 5]]
    torch.testing.assert_close(chosen.probability[0], values.softmax(0).amax(0)[0])
    region = choose_regions((3,), logits=False, threshold=0.6)(torch.tensor([[0.55, 0.7]]))
    assert region.labels.tolist() == [0, 3]
    torch.testing.assert_close(region.probability, torch.tensor([0.45, 0.7]))


def test_a_model_that_finds_nothing_says_so() -> None:
    empty = segmented(np.zeros((2, 2, 2), np.uint8), np.ones((2, 2, 2), np.float32), None)
    assert empty.found
    assert empty.confidence == {}
    assert "found none" in empty.notes[0]


def test_lia_is_left_inferior_anterior() -> None:
    image = torch.arange(60.0).reshape(3, 4, 5)  # R, A, S
    lia = _to_lia(image)
    assert lia.shape == (3, 5, 4)
    assert float(lia[0, 0, 0]) == float(image[2, 0, 4])
    assert torch.equal(_to_ras(lia), image)


@pytest.fixture
def small_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmtool.pipelines.outside.meshnet.SIZE", 48)


@pytest.mark.usefixtures("small_box")
def test_a_meshnet_sees_the_same_however_a_scan_is_stored(tmp_path: Path) -> None:
    folder = write_meshnet(tmp_path / "mesh")
    segmenter = load_segmenter(resolve_model("segment", str(folder)), CPU)
    assert isinstance(segmenter, MeshNetSegmenter)
    data = np.random.default_rng(0).integers(0, 900, (40, 36, 44)).astype(np.int16)
    image = nibabel.Nifti1Image(data, np.diag([1.0, 1.0, 1.0, 1.0]))
    found = []
    for axes in ("RAS", "LPS", "IAR"):
        wanted = nibabel.orientations.axcodes2ornt(tuple(axes))
        turned = image.as_reoriented(
            nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), wanted)
        )
        labels = segmenter(np.asarray(turned.dataobj), turned.affine).labels
        back = nibabel.as_closest_canonical(nibabel.Nifti1Image(labels, turned.affine))
        found.append(np.asarray(back.dataobj))
    # Of noise, some voxels lie as near to two classes as rounding allows.
    assert (found[0] == found[1]).mean() > 0.9999
    assert (found[0] == found[2]).mean() > 0.9999
    assert len(np.unique(found[0])) > 1


@pytest.mark.usefixtures("small_box")
def test_a_meshnet_tells_of_what_it_does_not_see(tmp_path: Path) -> None:
    folder = write_meshnet(tmp_path / "mesh", dilations=(1,))
    segmenter = load_segmenter(resolve_model("segment", str(folder)), CPU)
    data = np.random.default_rng(0).integers(0, 900, (60, 10, 10)).astype(np.int16)
    found = segmenter(data, np.eye(4), uncertainty=True)
    assert "48 mm around the middle" in found.notes[0]
    assert not found.labels[:5].any()
    assert found.uncertainty is not None
    assert found.uncertainty.shape == data.shape


def test_a_folder_says_of_itself_what_is_known(tmp_path: Path) -> None:
    folder = write_meshnet(tmp_path / "mesh net")
    (folder / "LICENSE").write_text("MIT License\n\nCopyright nobody\n")
    files = resolve_model("segment", str(folder))
    assert (files.name, files.format, files.verified) == ("mesh-net", "meshnet", False)
    assert files.card["licence"] == "MIT License (LICENSE)"
    assert files.weights_sha256 == files.card["sha256"]["model.safetensors"]
    assert files.card["use"] == "unknown"
    with pytest.raises(ModelError, match="no card to compare with"):
        verify(folder)


def test_a_folder_that_is_none_of_these(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(ModelError) as caught:
        resolve_model("segment", str(tmp_path / "x"))
    assert "configs/inference.json (MONAI bundle)" in caught.value.hint
