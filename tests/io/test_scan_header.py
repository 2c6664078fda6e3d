"""What readers say of a scan before they read its voxels."""

from __future__ import annotations

from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
from dicom_series import write_series

from mmtool.errors import DeviceError
from mmtool.io.readers import read_header, read_volume
from mmtool.types import ScanHeader

SHAPE = (9, 7, 5)


def affine() -> np.ndarray:
    matrix = np.diag([2.0, 3.0, 4.0, 1.0])
    matrix[:3, 3] = (-5, 6, 7)
    return matrix


def write(kind: str, folder: Path) -> Path:
    data = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    path = folder / f"scan.{kind.split('-')[0]}"
    if kind == "dicom":
        write_series(folder / "dicom", data, affine())
        return folder / "dicom"
    if kind == "nrrd":
        header = {
            "space": "right-anterior-superior",
            "space directions": affine()[:3, :3].T,
            "space origin": affine()[:3, 3],
        }
        nrrd.write(str(path), data, header)
        return path
    if kind == "mgz":
        nibabel.save(nibabel.MGHImage(data.astype(np.float32), affine()), path)
        return path
    image = nibabel.Nifti1Image(data, affine())
    if kind.endswith("scaled"):
        image.header.set_slope_inter(0.5, 3)
    nibabel.save(image, path)
    return path


KINDS = ["nii", "nii.gz", "nii-scaled", "mgz", "nrrd", "dicom"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_header_is_true(kind: str, tmp_path: Path) -> None:
    seen: list[ScanHeader] = []
    volume = read_volume(write(kind, tmp_path), on_header=seen.append)
    (header,) = seen
    assert header.shape == volume.shape == SHAPE
    np.testing.assert_allclose(header.affine, volume.affine, atol=1e-6)
    assert volume.data.nbytes <= header.held_bytes <= 2 * volume.data.nbytes
    assert header.held_bytes <= header.reading_bytes <= 16 * volume.data.nbytes


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_comes_through(kind: str, tmp_path: Path) -> None:
    def refuse(header: ScanHeader) -> None:
        raise DeviceError("too large", "")

    with pytest.raises(DeviceError, match="too large"):
        read_volume(write(kind, tmp_path), on_header=refuse)


def test_it_comes_before_the_voxels(tmp_path: Path) -> None:
    """Of a file that is cut short right after its header."""
    path = write("nii", tmp_path)
    path.write_bytes(path.read_bytes()[:352])
    seen: list[ScanHeader] = []
    with pytest.raises(Exception, match="broken"):
        read_volume(path, on_header=seen.append)
    assert len(seen) == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64, ">i2"])
@pytest.mark.parametrize("scaling", [None, (0.37, -12.25), (2.0, 0.0)])
@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_scaled_values_are_those_of_nibabel(tmp_path: Path, dtype, scaling, ending: str) -> None:
    data = (np.arange(np.prod(SHAPE)) % 251).reshape(SHAPE).astype(dtype)
    image = nibabel.Nifti1Image(data, affine())
    image.set_data_dtype(dtype)
    if scaling:
        image.header.set_slope_inter(*scaling)
    nibabel.save(image, tmp_path / f"a.{ending}")
    got = read_volume(tmp_path / f"a.{ending}").data
    want = np.asarray(nibabel.load(tmp_path / f"a.{ending}").dataobj)
    np.testing.assert_array_equal(got, want.astype(got.dtype))
    assert got.dtype.isnative


@pytest.mark.parametrize("kind", KINDS)
def test_the_header_alone_is_the_same(kind: str, tmp_path: Path) -> None:
    path = write(kind, tmp_path)
    seen: list[ScanHeader] = []
    read_volume(path, on_header=seen.append)
    header = read_header(path)
    assert (header.shape, header.held_bytes) == (seen[0].shape, seen[0].held_bytes)
    np.testing.assert_array_equal(header.affine, seen[0].affine)
    if path.suffix == ".nii":  # no voxel is needed for it
        path.write_bytes(path.read_bytes()[:352])
        assert read_header(path).reading_bytes == header.reading_bytes
