"""Objects of label maps: counts, points and boxes that agree with the mask."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mmtool.anatomy import BRAIN, BRAIN_LABELS
from mmtool.io.writers.objects import write_objects
from mmtool.pipelines.objects import SMALLEST_VOXELS, FoundObject, StructureObjects, find_objects
from mmtool.types import Label

TABLE = tuple(
    Label(i, f"part {i}", BRAIN.code, None, BRAIN.category, BRAIN.color) for i in (1, 2, 3)
)
OBLIQUE = np.array([[0.0, -0.8, 0.6, 5], [0.0, 1.2, 0.4, -7], [3.0, 0, 0, 2], [0, 0, 0, 1]])
SCHEMA = json.loads((Path(__file__).parents[2] / "docs/objects.schema.json").read_text())


def test_two_boxes_and_a_speck() -> None:
    labels = np.zeros((12, 10, 8), np.uint8)
    labels[1:6, 1:6, 1:6] = 1
    labels[7:10, 7:10, 2:5] = 1
    labels[11, 0, 7] = 1
    one, two, three = find_objects(labels, np.diag([1.0, 1, 1, 1]), TABLE)
    assert [o.voxels for o in one.objects] == [125, 27]
    assert (one.specks, one.speck_voxels) == (1, 1)
    large = one.objects[0]
    assert large.point_voxel == (3, 3, 3)
    assert (large.low_voxel, large.high_voxel) == ((1, 1, 1), (5, 5, 5))
    assert (large.low_mm, large.high_mm) == ((0.5, 0.5, 0.5), (5.5, 5.5, 5.5))
    assert large.volume_ml == pytest.approx(0.125)
    assert two.objects == three.objects == ()


def test_pieces_that_touch_by_a_corner_are_one() -> None:
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[1:3, 1:3, 1:3] = labels[3:5, 3:5, 3:5] = 2
    assert len(find_objects(labels, np.eye(4), TABLE)[1].objects) == 1


def test_the_depth_is_in_mm() -> None:
    """Slices of 5 mm: a mask of 3 slices is deepest in the middle of its plane, not of K."""
    labels = np.zeros((11, 11, 5), np.uint8)
    labels[1:10, 1:10, 1:4] = 1
    affine = np.diag([1.0, 1.0, 5.0, 1.0])
    assert find_objects(labels, affine, TABLE)[0].objects[0].point_voxel == (5, 5, 1)


def test_the_point_of_a_large_piece_lies_deep_in_it() -> None:
    places = (
        np.stack(np.mgrid[:160, :150, :140]) - np.array([70.3, 80.1, 65.7])[:, None, None, None]
    )
    ball = ((places / np.array([60, 50, 55])[:, None, None, None]) ** 2).sum(0) < 1
    found = find_objects(ball.astype(np.uint8), np.diag([1.0, 1.0, 1.2, 1.0]), TABLE)
    point = np.array(found[0].objects[0].point_voxel)
    assert np.linalg.norm(point - [70.3, 80.1, 65.7]) < 5


def test_a_lone_voxel_and_a_mask_that_fills_the_scan() -> None:
    labels = np.full((4, 4, 4), 2, np.uint8)
    labels[0, 0, 0] = 1
    one, two, _ = find_objects(labels, OBLIQUE, TABLE)
    assert (len(one.objects), one.specks) == (1, 0)
    assert one.objects[0].point_voxel == (0, 0, 0)
    assert two.objects[0].point_voxel not in ((0, 0, 0), (3, 3, 3))


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.uint8, (7, 6, 5), elements=st.integers(0, 3)))
def test_everything_agrees_with_the_mask(tmp_path_factory, labels: np.ndarray) -> None:
    found = find_objects(labels, OBLIQUE, TABLE)
    path = tmp_path_factory.mktemp("objects") / "objects.json"
    write_objects(path, found, smallest_voxels=SMALLEST_VOXELS)
    stored = json.loads(path.read_text())
    jsonschema.validate(stored, SCHEMA)
    for structure in stored["structures"]:
        here = labels == structure["index"]
        pieces = structure["objects"]
        assert structure["count"] == len(pieces)
        voxels = [p["voxels"] for p in pieces]
        assert sum(voxels) + structure["specks"]["voxels"] == here.sum()
        assert voxels == sorted(voxels, reverse=True)
        assert min(voxels[1:], default=SMALLEST_VOXELS) >= SMALLEST_VOXELS
        for piece in pieces:
            point = piece["point"]["voxel"]
            assert here[tuple(point)]
            np.testing.assert_allclose(
                piece["point"]["mm"], OBLIQUE[:3, :3] @ point + OBLIQUE[:3, 3], atol=1e-3
            )
            box = piece["box"]
            for corner in (box["low_voxel"], box["high_voxel"]):
                place = OBLIQUE[:3, :3] @ corner + OBLIQUE[:3, 3]
                assert (place >= np.array(box["low_mm"]) - 1e-3).all()
                assert (place <= np.array(box["high_mm"]) + 1e-3).all()


def test_the_writer_refuses_a_point_outside_its_box(tmp_path: Path) -> None:
    wrong = FoundObject((9, 0, 0), (9, 0, 0), (0, 0, 0), (1, 1, 1), (0, 0, 0), (1, 1, 1), 8, 0.008)
    path = tmp_path / "objects.json"
    with pytest.raises(ValueError, match="outside its box"):
        write_objects(path, [StructureObjects(TABLE[0], (wrong,), 0, 0)], smallest_voxels=5)
    assert not path.exists()


def test_every_structure_of_the_brain_is_listed() -> None:
    found = find_objects(np.zeros((4, 4, 4), np.uint8), np.eye(4), BRAIN_LABELS)
    assert len(found) == 32
