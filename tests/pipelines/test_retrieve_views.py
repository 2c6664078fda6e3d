from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from mmtool.errors import InputError
from mmtool.models.encoders.joint_input import InputSettings
from mmtool.pipelines.training.retrieve_views import planes, view, volume_slabs
from mmtool.retrieval import Picture


def test_volumes_are_cut_along_three_planes_with_the_head_up() -> None:
    pixels = np.zeros((4, 5, 6), np.float32)
    pixels[3, 0, 1] = 1  # top, front, near the right
    axial, coronal, sagittal = planes(Picture(pixels, (3.0, 2.0, 1.0)))
    assert axial.pixels.shape == (4, 5, 6)
    assert coronal.pixels.shape == (5, 4, 6)
    assert coronal.spacing == (2.0, 3.0, 1.0)
    assert coronal.pixels[0, 0, 1] == 1
    assert sagittal.pixels.shape == (6, 4, 5)
    assert sagittal.spacing == (1.0, 3.0, 2.0)
    assert sagittal.pixels[1, 0, 0] == 1


def test_views_stay_in_range_and_copies_stay_copies() -> None:
    draw = torch.Generator().manual_seed(0)
    flat = torch.rand(8, 1, 64, 64)
    found = view(flat, 32, (0.1, 0.4), draw)
    assert found.shape == (8, 1, 32, 32)
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    again = view(flat, 32, (0.1, 0.4), torch.Generator().manual_seed(0))
    assert torch.equal(found, again)


def test_a_crop_of_all_shows_all() -> None:
    """The middle of an even square stays where it is whatever is drawn of angle and brightness."""
    pixels = torch.zeros(16, 1, 64, 64)
    pixels[:, :, 24:40, 24:40] = 0.8
    found = view(pixels, 64, (1.0, 1.0), torch.Generator().manual_seed(0))
    assert (found[:, :, 30:34, 30:34].mean((1, 2, 3)) > 0.3).all()
    assert (found[:, :, :4, :4].mean((1, 2, 3)) < 0.1).all()


def test_slabs_of_volumes_without_masks(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for name in ("a.nii.gz", "b_label.nii.gz", "sub/c.nii"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        data = draw.random((8, 9, 10)).astype(np.float32)
        nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / name)
    cache = tmp_path / "cache.npy"
    found = volume_slabs([tmp_path], InputSettings(size=32), cache)
    assert found.shape == (2, 6, 3, 32, 32)
    assert found.std((2, 3, 4)).min() > 0
    assert np.array_equal(np.load(cache), found)


def test_a_folder_without_volumes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no NIfTI volumes"):
        volume_slabs([tmp_path], InputSettings(), tmp_path / "cache.npy")
