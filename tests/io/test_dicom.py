"""DICOM series with known geometry: what is accepted, where it lies, what is refused and why."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_series import grid, write_series

from mmtool.errors import GeometryError, InputError, LimitError
from mmtool.io.limits import Limits
from mmtool.io.readers import hash_input, list_series, read_volume

RNG = np.random.default_rng(0)
DATA = RNG.integers(-500, 1500, (12, 10, 7)).astype(np.int16)
CASES = [
    ("RAS", 0.0),
    ("LPS", 0.0),
    ("LAS", 0.0),
    ("ASR", 0.0),
    ("PIL", 0.0),
    ("RSP", 0.0),
    ("LPS", 23.0),
    ("ASR", -14.0),
    ("IRA", 160.0),
]


def in_world(data: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """(n, 4) rows of world position and value, in a canonical order."""
    index = np.argwhere(np.ones(data.shape, bool))
    world = index @ affine[:3, :3].T + affine[:3, 3]
    rows = np.column_stack([world.round(4), data.ravel()])
    return rows[np.lexsort(rows.T)]


@pytest.mark.parametrize(("codes", "turn"), CASES)
def test_every_voxel_lies_where_it_was(tmp_path: Path, codes: str, turn: float) -> None:
    affine = grid(codes, (0.9, 1.3, 2.5), turn)
    write_series(tmp_path / "s", DATA, affine)
    volume = read_volume(tmp_path / "s")
    np.testing.assert_allclose(
        in_world(volume.data, volume.affine), in_world(DATA, affine), atol=2e-4
    )
    assert volume.data.dtype == np.int16
    assert volume.source.modality == "MR"


@pytest.mark.parametrize(("codes", "turn"), CASES)
def test_simpleitk_sees_the_same(tmp_path: Path, codes: str, turn: float) -> None:
    affine = grid(codes, (0.9, 1.3, 2.5), turn)
    write_series(tmp_path, DATA, affine)
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    image = SimpleITK.ReadImage(names)
    volume = read_volume(tmp_path)
    array = SimpleITK.GetArrayFromImage(image)
    for index in ((0, 0, 0), (3, 7, 2), (11, 9, 6)):
        world = volume.affine[:3, :3] @ index + volume.affine[:3, 3]
        there = image.TransformPhysicalPointToContinuousIndex((world * [-1, -1, 1]).tolist())
        i, j, k = (round(v) for v in there)
        np.testing.assert_allclose(there, (i, j, k), atol=1e-3)
        assert array[k, j, i] == volume.data[index]


def test_zip_and_folder_are_the_same(tmp_path: Path) -> None:
    files = write_series(tmp_path / "s", DATA, grid("LPS", (1, 1, 2)))
    (tmp_path / "s" / "README.txt").write_text("not DICOM")
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for file in files[::-1]:
            archive.write(file, f"deep/{file.name}")
    folder, packed = read_volume(tmp_path / "s"), read_volume(tmp_path / "s.zip")
    np.testing.assert_array_equal(folder.data, packed.data)
    np.testing.assert_array_equal(folder.affine, packed.affine)
    assert folder.source.sha256 == packed.source.sha256 == hash_input(tmp_path / "s.zip")


def test_rescale_gives_hounsfield_units(tmp_path: Path) -> None:
    write_series(tmp_path, DATA, grid("LPS", (1, 1, 2)), RescaleSlope=2, RescaleIntercept=-1024)
    volume = read_volume(tmp_path)
    assert volume.data.dtype == np.int16
    np.testing.assert_array_equal(np.sort(volume.data.ravel()), np.sort(DATA.ravel() * 2 - 1024))
    write_series(tmp_path, DATA, grid("LPS", (1, 1, 2)), RescaleSlope="0.5")
    assert read_volume(tmp_path).data.dtype == np.float32


def test_slices_may_have_slopes_of_their_own(tmp_path: Path) -> None:
    files = write_series(tmp_path, np.full_like(DATA, 100), grid("LPS", (1, 1, 2)))
    for number, file in enumerate(files):
        d = pydicom.dcmread(file)
        d.RescaleSlope, d.RescaleIntercept = str(1 + number / 10), "0"
        d.save_as(file)
    values = sorted(set(np.round(read_volume(tmp_path).data.ravel(), 3).tolist()))
    assert values == pytest.approx([100, 110, 120, 130, 140, 150, 160])


def test_several_series_are_listed(tmp_path: Path) -> None:
    write_series(tmp_path / "a", DATA, grid("LPS", (1, 1, 2)), number=4)
    write_series(tmp_path / "b", DATA[:, :, :5], grid("LPS", (1, 1, 2)), number=2)
    with pytest.raises(InputError, match="2 series") as caught:
        read_volume(tmp_path)
    first, second = list_series(tmp_path)
    assert (first.images, second.images) == (5, 7)
    assert first.short_id in caught.value.hint
    assert "Secret" not in caught.value.hint
    for name in ("1", first.short_id):
        assert read_volume(tmp_path, series=name).shape[2] == 5
    uid = read_volume(tmp_path, series="2").source.series_uid
    assert read_volume(tmp_path, series=uid).shape[2] == 7
    with pytest.raises(InputError, match="no series '3'"):
        read_volume(tmp_path, series="3")


def test_a_missing_slice_is_named(tmp_path: Path) -> None:
    files = write_series(tmp_path, DATA, grid("LPS", (1, 1, 2.5)))
    files[3].unlink()
    with pytest.raises(GeometryError, match=r"slices are missing.*2\.500 mm") as caught:
        read_volume(tmp_path)
    assert "--resample-irregular" in caught.value.hint
    volume = read_volume(tmp_path, resample_irregular=True)
    assert volume.shape == DATA.shape
    assert "resampled" in volume.source.notes[0]
    order = np.linalg.norm(volume.affine[:3, 2])
    assert order == pytest.approx(2.5)
    kept = [k for k in range(7) if k != 3]
    np.testing.assert_allclose(volume.data[:, :, kept], DATA[:, :, kept], atol=1e-3)
    middle = (DATA[:, :, 2].astype(float) + DATA[:, :, 4]) / 2
    np.testing.assert_allclose(volume.data[:, :, 3], middle, atol=1e-3)


def test_gantry_tilt_is_straightened(tmp_path: Path) -> None:
    """A ball in a tilted stack is a ball again after resampling."""
    affine = grid("LPS", (1.0, 1.0, 2.0))
    affine[:3, 2] += affine[:3, 1] * 0.3
    index = np.stack(np.meshgrid(*(np.arange(n) for n in (40, 50, 20)), indexing="ij"), -1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    centre = affine[:3, :3] @ (20, 22, 10) + affine[:3, 3]
    ball = (np.linalg.norm(world - centre, axis=-1) < 12).astype(np.int16) * 1000
    write_series(tmp_path, ball, affine)
    with pytest.raises(GeometryError, match=r"gantry tilt of 8\.5 degrees"):
        read_volume(tmp_path)
    volume = read_volume(tmp_path, resample_irregular=True)
    spots = np.argwhere(volume.data > 500) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    np.testing.assert_allclose(spots.mean(0), centre, atol=0.1)
    np.testing.assert_allclose(np.ptp(spots, axis=0), 23, atol=3.1)
    assert int((volume.data > 500).sum()) == pytest.approx((ball > 0).sum(), rel=0.03)
    assert volume.shape[1] == 50 + 6  # 19 slices x 0.3 voxels wider


def test_changed_headers_are_refused(tmp_path: Path) -> None:
    affine = grid("LPS", (1, 1, 2))
    changes = {
        "PixelSpacing": ([1.1, 1.1], "pixel spacing changes"),
        "ImageOrientationPatient": ([1, 0, 0, 0, 0, -1], "oriented otherwise"),
        "Rows": (5, "different size"),
        "ImagePositionPatient": (None, "absent"),
    }
    for number, (name, (value, message)) in enumerate(changes.items()):
        folder = tmp_path / str(number)
        file = write_series(folder, DATA, affine)[2]
        d = pydicom.dcmread(file)
        setattr(d, name, value)
        d.save_as(file)
        with pytest.raises(InputError, match=message):
            read_volume(folder)


def test_two_images_at_one_place_are_refused(tmp_path: Path) -> None:
    affine = grid("LPS", (1, 1, 2))
    write_series(tmp_path / "a", DATA, affine, uid="1.2.3")
    write_series(tmp_path / "b", DATA, affine, uid="1.2.3")
    with pytest.raises(GeometryError, match="7 position"):
        read_volume(tmp_path)


def test_copies_of_a_file_are_passed_over(tmp_path: Path) -> None:
    file = write_series(tmp_path, DATA, grid("LPS", (1, 1, 2)))[0]
    (tmp_path / "copy.dcm").write_bytes(file.read_bytes())
    volume = read_volume(tmp_path)
    assert volume.shape == DATA.shape
    assert "copies" in volume.source.notes[0]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localiser"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "mosaic"),
        ({"BitsAllocated": 12}, "not supported"),
        ({"PixelData": b"\0\0"}, "bytes of pixels"),
        ({"RescaleSlope": "0"}, "slope"),
        ({"PixelSpacing": [0.0, 1.0]}, "impossible"),
    ],
)
def test_what_is_no_volume(tmp_path: Path, attributes: dict, message: str) -> None:
    write_series(tmp_path, DATA, grid("LPS", (1, 1, 2)), **attributes)
    with pytest.raises(InputError, match=message):
        read_volume(tmp_path)


def test_high_bits_are_cleared(tmp_path: Path) -> None:
    stored = (DATA & 0x0FFF) | 0x5000
    write_series(
        tmp_path,
        stored.astype(np.int16),
        grid("LPS", (1, 1, 2)),
        BitsStored=12,
        HighBit=11,
        PixelRepresentation=0,
    )
    assert read_volume(tmp_path).data.max() < 4096


def test_limits_come_before_pixels(tmp_path: Path) -> None:
    write_series(tmp_path, DATA, grid("LPS", (1, 1, 2)))
    with pytest.raises(LimitError, match="voxels"):
        read_volume(tmp_path, limits=Limits(max_voxels=100))
    with pytest.raises(LimitError, match="files"):
        read_volume(tmp_path, limits=Limits(max_frames=3))


@pytest.mark.parametrize("name", ["../x.dcm", "/abs.dcm", "a/../../x.dcm", "C:\\x.dcm"])
def test_names_that_leave_the_archive(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(InputError, match="lead out"):
        read_volume(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.zip"]


def test_an_archive_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", bytes(100 << 20))
    with pytest.raises(LimitError, match="unpack to"):
        read_volume(path)


def test_the_name_of_the_patient_stays_inside(tmp_path: Path) -> None:
    files = write_series(tmp_path, DATA, grid("LPS", (1, 1, 2)))
    files[1].write_bytes(files[1].read_bytes()[:900])
    with pytest.raises(InputError) as caught:
        read_volume(tmp_path)
    assert "Secret" not in f"{caught.value.message}{caught.value.hint}"
