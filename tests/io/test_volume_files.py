"""NIfTI, MGH and NRRD: round trips, odd headers, broken files."""

from __future__ import annotations

import gzip
from itertools import permutations
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.testing import data_path

from mmtool.errors import GeometryError, InputError, LimitError
from mmtool.io.limits import Limits
from mmtool.io.readers import hash_input, read_volume

AFFINE = np.array([[0, -2.0, 0, 10], [1.5, 0, 0, -20], [0, 0, 3, 5], [0, 0, 0, 1]])
DATA = np.random.default_rng(0).integers(0, 900, (7, 8, 9)).astype(np.int16)


def nifti(path: Path, data: np.ndarray = DATA, cls: type = nibabel.Nifti1Image) -> Path:
    nibabel.save(cls(data, AFFINE), path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mgz", "a.mgh", "a.img"])
def test_data_and_affine_come_back(tmp_path: Path, name: str) -> None:
    cls = {"mgz": nibabel.MGHImage, "mgh": nibabel.MGHImage, "img": nibabel.Nifti1Pair}.get(
        name.rsplit(".", 1)[1], nibabel.Nifti1Image
    )
    volume = read_volume(nifti(tmp_path / name, cls=cls))
    np.testing.assert_array_equal(volume.data, DATA)
    assert volume.data.dtype == np.int16
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)
    assert volume.source.kind == ("mgh" if ".mg" in name else "nifti")


@pytest.mark.parametrize("name", ["scan", "scan.dat", "scan.nii"])
def test_the_bytes_decide_not_the_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(nifti(tmp_path / "x.nii").read_bytes()))
    np.testing.assert_array_equal(read_volume(tmp_path / name).data, DATA)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.uint8, np.uint8),
        (np.int16, np.int16),
        (np.uint16, np.uint16),
        (np.int32, np.int32),
        (">i2", np.int16),
        (np.float32, np.float32),
        (np.float64, np.float32),
        (np.int64, np.float32),
    ],
)
def test_types(tmp_path: Path, dtype: object, expected: type) -> None:
    image = nibabel.Nifti1Image((DATA % 120).astype(dtype), AFFINE, dtype=dtype)
    nibabel.save(image, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    assert volume.data.dtype == expected
    np.testing.assert_array_equal(volume.data, DATA % 120)


def test_scaled_integers_become_floats(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(DATA, AFFINE)
    image.header.set_slope_inter(0.5, 10)
    nibabel.save(image, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    assert volume.data.dtype == np.float32
    stored = nibabel.load(tmp_path / "a.nii").get_fdata()
    np.testing.assert_allclose(volume.data, stored, rtol=1e-6)


def test_nifti2_and_one_frame_of_4d(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti2Image(DATA[..., None], AFFINE), tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz").data, DATA)


def test_four_dimensions_are_refused_with_a_way_out(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.stack([DATA] * 3, -1), AFFINE), tmp_path / "a.nii")
    with pytest.raises(GeometryError, match="4-D") as caught:
        read_volume(tmp_path / "a.nii")
    assert "extract" in caught.value.hint


@pytest.mark.parametrize("dtype", [np.complex64, [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_colour_and_complex_are_refused(tmp_path: Path, dtype: object) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), dtype), AFFINE), tmp_path / "a.nii")
    with pytest.raises(InputError, match="no intensities"):
        read_volume(tmp_path / "a.nii")


def test_a_file_without_orientation_says_so(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(DATA, None)
    image.header["sform_code"] = image.header["qform_code"] = 0
    nibabel.save(image, tmp_path / "a.nii")
    assert "no orientation" in read_volume(tmp_path / "a.nii").source.notes[0]


@pytest.mark.parametrize(
    "content", [b"", b"x", b"\x1f\x8b", b"\x1f\x8b\x08\0" + bytes(40), b"NRRD"]
)
def test_fragments_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.nii.gz").write_bytes(content)
    with pytest.raises(InputError):
        read_volume(tmp_path / "a.nii.gz")


def test_missing_and_empty_places(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such"):
        read_volume(tmp_path / "none.nii")
    with pytest.raises(InputError, match="no DICOM images"):
        read_volume(tmp_path)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(InputError):
        read_volume(loop)


def test_cut_nifti(tmp_path: Path) -> None:
    whole = nifti(tmp_path / "a.nii.gz").read_bytes()
    for length in range(1, len(whole) - 8, 97):
        (tmp_path / "b.nii.gz").write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_volume(tmp_path / "b.nii.gz")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 347), st.integers(0, 255)), min_size=1, max_size=8))
def test_mutated_nifti_headers(tmp_path_factory: pytest.TempPathFactory, changes: list) -> None:
    folder = tmp_path_factory.mktemp("m")
    whole = bytearray(nifti(folder / "a.nii").read_bytes())
    for at, value in changes:
        whole[at] = value
    (folder / "b.nii").write_bytes(whole)
    try:
        volume = read_volume(folder / "b.nii", limits=Limits(max_voxels=10**7))
    except InputError:
        pass  # refused; that its message is one line is the error's own business
    else:
        assert volume.data.ndim == 3
        assert np.isfinite(volume.affine).all()


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
@pytest.mark.parametrize("space", ["left-posterior-superior", "right-anterior-superior"])
def test_nrrd(tmp_path: Path, encoding: str, space: str) -> None:
    flip = np.diag([-1, -1, 1, 1]) if space[0] == "l" else np.eye(4)
    stored = flip @ AFFINE
    header = {
        "space": space,
        "space directions": stored[:3, :3].T,
        "space origin": stored[:3, 3],
        "encoding": encoding,
    }
    nrrd.write(str(tmp_path / "a.nrrd"), DATA, header)
    volume = read_volume(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.data, DATA)
    np.testing.assert_allclose(volume.affine, AFFINE)
    nrrd.write(str(tmp_path / "b.nhdr"), DATA, header)
    np.testing.assert_array_equal(read_volume(tmp_path / "b.nhdr").data, DATA)


def test_nrrd_without_a_space_is_refused(tmp_path: Path) -> None:
    nrrd.write(str(tmp_path / "a.nrrd"), DATA)
    with pytest.raises(GeometryError, match="left and right are unknown"):
        read_volume(tmp_path / "a.nrrd")


def test_nrrd_data_must_lie_beside_its_header(tmp_path: Path) -> None:
    nrrd.write(str(tmp_path / "a.nhdr"), DATA, {"space": "RAS", "space directions": np.eye(3)})
    text = (tmp_path / "a.nhdr").read_text().replace("a.raw.gz", "/etc/passwd")
    (tmp_path / "a.nhdr").write_text(text)
    with pytest.raises(InputError, match="beside the header"):
        read_volume(tmp_path / "a.nhdr")


def test_limits(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii.gz")
    for limits in (Limits(max_voxels=10), Limits(max_file_bytes=10), Limits(max_inflated_bytes=9)):
        with pytest.raises(LimitError):
            read_volume(path, limits=limits)


def test_hash_is_that_of_the_file(tmp_path: Path) -> None:
    import hashlib

    path = nifti(tmp_path / "a.nii.gz")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert hash_input(path) == read_volume(path).source.sha256 == digest


def test_files_of_nibabel() -> None:
    """Real small files that a dependency ships."""
    assert read_volume(Path(data_path) / "anatomical.nii").shape == (33, 41, 25)
    with pytest.raises(GeometryError, match="4-D"):
        read_volume(Path(data_path) / "functional.nii")


def test_axis_permutations_keep_world_positions(tmp_path: Path) -> None:
    for number, order in enumerate(permutations(range(3))):
        affine = AFFINE[:, [*order, 3]]
        nibabel.save(nibabel.Nifti1Image(DATA.transpose(order), affine), tmp_path / f"{number}.nii")
        volume = read_volume(tmp_path / f"{number}.nii")
        back = volume.data.transpose(np.argsort(order))
        np.testing.assert_array_equal(back, DATA)
