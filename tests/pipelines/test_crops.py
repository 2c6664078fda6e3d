"""Training on crops, and running such models on crops and on whole heads."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from mmtool.errors import InputError, ModelError
from mmtool.models.store import load_state, resolve_model
from mmtool.pipelines.crop_inference import CropSegmenter
from mmtool.pipelines.segmenter import Segmented
from mmtool.pipelines.training import crops
from mmtool.pipelines.training.augment import Augmentation, augment
from mmtool.pipelines.training.crop_recipes import HIPPOCAMPUS
from mmtool.pipelines.training.crops import (
    CropTraining,
    find_pairs,
    load_case,
    split_pairs,
    train_crops,
)
from mmtool.pipelines.world_grid import turned_axes

SMALL = dataclasses.replace(
    HIPPOCAMPUS, name="small", window=(16, 24, 16), widths=(8, 12), depth=1, head=24
)


def scan(seed: int, shape: tuple[int, int, int] = (16, 22, 14)) -> tuple[Any, Any]:
    """A bright bar in noise: its front half is one class, its back half the other."""
    rng = np.random.default_rng(seed)
    classes = np.zeros(shape, np.uint8)
    low = rng.integers(3, 6, 3)
    classes[low[0] : low[0] + 6, low[1] : low[1] + 6, low[2] : low[2] + 5] = 2
    classes[low[0] : low[0] + 6, low[1] + 6 : low[1] + 12, low[2] : low[2] + 5] = 1
    image = rng.normal(20, 4, shape) + 60 * (classes > 0)
    return image.astype(np.float32), classes


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crops")
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for case in range(6):
        image, classes = scan(case)
        for kind, array in (("images", image), ("labels", classes)):
            nibabel.Nifti1Image(array, np.eye(4)).to_filename(folder / kind / f"c{case}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(crops.RECIPES, "small", SMALL)
        out = tmp_path_factory.mktemp("run")
        options = CropTraining(data=data, out=out, recipe="small", iterations=300, rate=4e-3)
        return train_crops(options)


def segmenter(folder: Path, locator: Any = None) -> CropSegmenter:
    files = resolve_model("segment", str(folder))
    return CropSegmenter(files.config, load_state(files), torch.device("cpu"), locator)


def dice(a: Any, b: Any) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def test_pairs_and_folds(data: Path, tmp_path: Path) -> None:
    kept, held = split_pairs(data, 4)
    assert [p.name for p, _ in held] == ["c4.nii.gz"]
    assert len(kept) == 5
    assert len(split_pairs(data, -1)[1]) == 0
    with pytest.raises(InputError, match="no scans"):
        find_pairs(tmp_path)
    for case in range(5):
        (tmp_path / f"{case}_image.nii.gz").touch()
    (tmp_path / "1_label.nii.gz").touch()
    with pytest.raises(InputError, match=r"0_image\.nii\.gz: has no label map"):
        find_pairs(tmp_path)
    for case in range(5):
        (tmp_path / f"{case}_label.nii.gz").touch()
    assert [(i.name, m.name) for i, m in find_pairs(tmp_path)] == [
        (f"{case}_image.nii.gz", f"{case}_label.nii.gz") for case in range(5)
    ]
    (tmp_path / "4_image.nii.gz").unlink()
    with pytest.raises(InputError, match="4 images"):
        find_pairs(tmp_path)


def test_labels_of_another_grid_or_kind_are_refused(data: Path, tmp_path: Path) -> None:
    image = data / "images/c0.nii.gz"
    other = nibabel.Nifti1Image(np.zeros((16, 22, 14), np.uint8), np.diag([2.0, 1, 1, 1]))
    other.to_filename(tmp_path / "grid.nii.gz")
    with pytest.raises(InputError, match="not on the grid"):
        load_case(image, tmp_path / "grid.nii.gz", SMALL)
    seven = nibabel.Nifti1Image(np.full((16, 22, 14), 7, np.uint8), np.eye(4))
    seven.to_filename(tmp_path / "seven.nii.gz")
    with pytest.raises(InputError, match="holds the value 7"):
        load_case(image, tmp_path / "seven.nii.gz", SMALL)


def test_axes_that_lie_are_turned(data: Path) -> None:
    pair = data / "images/c1.nii.gz", data / "labels/c1.nii.gz"
    plain = load_case(*pair, SMALL)
    turned = load_case(*pair, dataclasses.replace(SMALL, axes="LPS"))
    assert torch.equal(turned.classes, plain.classes.flip(0, 1))
    torch.testing.assert_close(turned.image, plain.image.flip(0, 1))
    affine = np.diag([1.25, 1.25, 2.0, 1.0]) @ turned_axes("LPS", (5, 6, 7))
    np.testing.assert_allclose(affine @ [0, 0, 0, 1], [5.0, 6.25, 0, 1])
    np.testing.assert_array_equal(turned_axes("", (5, 6, 7)), np.eye(4))


def test_augmentation_is_repeatable_and_keeps_image_and_labels_together() -> None:
    image, classes = (torch.from_numpy(a) for a in scan(0))
    scaled = image / 80
    settings = Augmentation(spoil=0.0)
    for seed in range(8):
        one, two = (
            augment(scaled, classes, (16, 24, 16), settings, np.random.default_rng(seed))
            for _ in range(2)
        )
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1], two[1])
        assert set(one[1].unique().tolist()) <= {0, 1, 2}
        inside = one[1] > 0
        assert one[0][inside].mean() > one[0][~inside].mean() + 0.4


def test_a_trained_model_finds_new_cases(model: Path) -> None:
    image, classes = scan(100)
    found = segmenter(model)(image, np.eye(4), uncertainty=True)
    assert [label.name for label in found.table or ()] == [
        "anterior hippocampus",
        "posterior hippocampus",
    ]
    for index in (1, 2):
        assert dice(found.labels == index, classes == index) > 0.8
        assert 0.5 < found.confidence[index] <= 1
    assert found.uncertainty is not None
    edge = found.uncertainty[classes > 0].mean() > found.uncertainty[0].mean()
    assert edge


def test_storage_order_does_not_matter(model: Path) -> None:
    image, _ = scan(101)
    run = segmenter(model)
    plain = run(image, np.eye(4)).labels
    for codes in ("LPS", "ASR", "PIL"):
        wanted = nibabel.orientations.axcodes2ornt(codes)
        stored = nibabel.Nifti1Image(image, np.eye(4)).as_reoriented(wanted)
        labels = run(np.asarray(stored.dataobj), stored.affine).labels
        back = nibabel.as_closest_canonical(nibabel.Nifti1Image(labels, stored.affine))
        assert dice(np.asarray(back.dataobj) > 0, plain > 0) > 0.99


def test_what_is_larger_than_the_window_is_seen_in_windows(model: Path) -> None:
    image, classes = scan(102, (30, 40, 30))
    found = segmenter(model)(image, np.eye(4)).labels
    assert dice(found > 0, classes > 0) > 0.7


def test_both_places_of_a_head_are_put_back_with_their_sides(model: Path) -> None:
    """A locator that knows where two bars lie; the left one lies at lower R."""
    rng = np.random.default_rng(0)
    head = rng.normal(20, 4, (100, 96, 90)).astype(np.float32)
    truth = np.zeros(head.shape, np.uint8)
    places = np.zeros(head.shape, np.uint8)
    for index, corner in ((17, (20, 40, 40)), (53, (60, 42, 38))):
        image, classes = scan(index)
        spot = tuple(slice(c, c + n) for c, n in zip(corner, classes.shape, strict=True))
        head[spot], truth[spot] = image, classes
        places[spot][classes > 0] = index

    class Locator:
        def __call__(self, data: Any, affine: Any) -> Segmented:
            del data, affine
            return Segmented(places, True, {}, 1.0)

    found = segmenter(model, Locator())(head, np.eye(4))
    names = {label.name: label.index for label in found.table or ()}
    assert list(names) == [
        f"{side} {part} hippocampus"
        for side in ("left", "right")
        for part in ("anterior", "posterior")
    ]
    left = np.arange(100)[:, None, None] < 50
    for side, here in (("left", left), ("right", ~left)):
        for part, index in (("anterior", 1), ("posterior", 2)):
            mask = found.labels == names[f"{side} {part} hippocampus"]
            assert not (mask & ~here).any()
            assert dice(mask, (truth == index) & here) > 0.6
    assert "model 'brain'" in found.notes[0]


def test_a_card_tells_the_command_and_what_was_seen(model: Path) -> None:
    card = resolve_model("segment", str(model)).card
    assert "--recipe small" in card["training"]["command"]
    assert card["data"][0]["n"] == 5
    assert card["training_ranges"]["scans"] == 5
    assert card["training_ranges"]["finest_mm"][0] < 1 < card["training_ranges"]["finest_mm"][1]


def test_weights_of_another_network_are_refused(model: Path) -> None:
    files = resolve_model("segment", str(model))
    state = load_state(files)
    state.pop(next(iter(state)))
    with pytest.raises(ModelError, match="do not describe"):
        CropSegmenter(files.config, state, torch.device("cpu"))
