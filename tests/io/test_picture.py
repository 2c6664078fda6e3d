"""Pictures of flat files, DICOM images and volumes, and the marks by which they are known."""

from __future__ import annotations

import io
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dicom_series import grid, write_series
from PIL import Image
from pydicom import dcmread, examples

from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits
from mmtool.io.readers.picture import picture_of_volume, picture_reader, read_picture
from mmtool.io.readers.picture_dicom import BURNT_IN
from mmtool.io.readers.picture_marks import dhash, thumbnail
from mmtool.retrieval import Picture
from mmtool.types import Volume, VolumeSource


def ramp(height: int = 40, width: int = 60) -> np.ndarray:
    """(H, W) uint8 that no mirror or turn leaves alike."""
    y, x = np.mgrid[:height, :width]
    return ((3 * x + y * y / 20) % 256).astype(np.uint8)


@pytest.mark.parametrize("ending", ["png", "bmp", "tif"])
def test_grey_pictures_of_eight_bits_are_what_they_are(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    Image.fromarray(ramp()).save(path)
    picture = read_picture(path)
    np.testing.assert_allclose(picture.pixels[0] * 255, ramp(), atol=1e-4)
    assert picture.pixels.shape == (1, 40, 60)
    assert not picture.colour


def test_modes(tmp_path: Path) -> None:
    """Sixteen bits are windowed; grey in three channels is grey; glass becomes black."""
    wide = (ramp().astype(np.uint16) + 1000) * 4
    Image.fromarray(wide).save(tmp_path / "wide.png")
    Image.fromarray(wide).save(tmp_path / "wide.tif")
    Image.fromarray(np.repeat(ramp()[:, :, None], 3, 2)).save(tmp_path / "grey.png")
    colours = np.stack([ramp(), 255 - ramp(), np.full((40, 60), 9, np.uint8)], 2)
    Image.fromarray(colours).save(tmp_path / "colour.png")
    Image.fromarray(colours).convert("P").save(tmp_path / "palette.png")
    alpha = np.dstack([colours, np.zeros((40, 60), np.uint8)])
    Image.fromarray(alpha).save(tmp_path / "glass.png")
    marked = np.repeat(ramp()[:, :, None], 3, 2)
    marked[:4, :4] = (255, 0, 0)
    Image.fromarray(marked).save(tmp_path / "marked.png")
    with picture_reader() as reader:
        read = {p.stem + p.suffix: reader.read(p) for p in tmp_path.iterdir()}
    for name in ("wide.png", "wide.tif"):
        assert read[name].pixels.min() == 0
        assert read[name].pixels.max() == 1
        assert np.corrcoef(read[name].pixels.ravel(), wide.ravel())[0, 1] > 0.999
    assert not read["grey.png"].colour
    assert not read["marked.png"].colour
    assert read["palette.png"].colour
    np.testing.assert_allclose(read["colour.png"].pixels[0] * 255, colours, atol=1e-4)
    assert read["glass.png"].pixels.max() == 0


def test_large_pictures_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.tile(ramp(), (10, 60))).save(path)
    assert read_picture(path).pixels.shape == (1, 133, 1200)


def test_a_phone_turned_the_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(ramp()).save(tmp_path / "a.png", exif=exif)
    pixels = read_picture(tmp_path / "a.png").pixels[0]
    np.testing.assert_allclose(pixels * 255, np.rot90(ramp(), -1), atol=1e-4)


def test_what_is_no_picture(tmp_path: Path) -> None:
    Image.fromarray(np.tile(ramp(), (8, 8))).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("findings: none\n" * 50)
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "noise.jpg").write_bytes(b"\xff\xd8\xff" + bytes(range(256)) * 8)
    Image.new("L", (4, 4)).save(tmp_path / "dot.png")
    said = {
        "cut.png": "cut short or broken",
        "text.png": "text, not an image",
        "empty.jpg": "the file is empty",
        "noise.jpg": "cut short or broken",
        "dot.png": "only 4 x 4 pixels",
        "absent.png": "can't be read",
    }
    with picture_reader() as reader:
        for name, message in said.items():
            with pytest.raises(InputError, match=message):
                reader.read(tmp_path / name)
        assert reader.read(tmp_path / "whole.png").pixels.shape == (1, 320, 480)


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 12_000)).save(path)
    with pytest.raises(InputError, match="more than a picture may have"):
        read_picture(path)
    with pytest.raises(LimitError, match="more than the limit"):
        read_picture(path, Limits(max_file_bytes=10))


def test_dicom_in_colour_and_moving() -> None:
    video = read_picture(Path(examples.get_path("ybr_color")))
    assert video.pixels.shape == (30, 240, 320, 3)
    assert video.facts["modality"] == "US"
    flat = read_picture(Path(examples.get_path("palette_color")))
    assert flat.colour
    assert BURNT_IN in flat.notes
    one = read_picture(Path(examples.get_path("rgb_color")))
    packed = read_picture(Path(examples.get_path("jpeg2k")))  # the same picture, finer
    small = packed.pixels[0].reshape(240, 2, 320, 2, 3).mean((1, 3))
    assert np.corrcoef(small.ravel(), one.pixels.ravel())[0, 1] > 0.98


def test_windows_and_inverted_films(tmp_path: Path) -> None:
    ds = examples.ct
    ds.WindowCenter, ds.WindowWidth = 40, 400
    ds.save_as(tmp_path / "windowed.dcm")
    hu = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    expected = ((hu - 39.5) / 399 + 0.5).clip(0, 1)
    picture = read_picture(tmp_path / "windowed.dcm")
    np.testing.assert_allclose(picture.pixels[0], expected, atol=1e-5)
    assert picture.spacing == pytest.approx((5, 0.661468, 0.661468))
    assert picture.facts["plane"] == "axial"
    ds.PhotometricInterpretation = "MONOCHROME1"
    ds.save_as(tmp_path / "inverted.dcm")
    inverted = read_picture(tmp_path / "inverted.dcm").pixels
    np.testing.assert_allclose(inverted, 1 - picture.pixels, atol=1e-6)
    ds.WindowCenter = 30_000
    ds.save_as(tmp_path / "hidden.dcm")
    hidden = read_picture(tmp_path / "hidden.dcm")
    assert hidden.pixels.std() > 0.1
    assert "window" in hidden.notes[0]


def test_facts_hold_no_one(tmp_path: Path) -> None:
    ds = dcmread(examples.get_path("ct"))
    ds.PatientName, ds.PatientID, ds.PatientAge, ds.PatientSex = "A^B", "77", "094Y", "F"
    ds.StudyDate, ds.BodyPartExamined = "20190430", "CSPINE"
    ds.save_as(tmp_path / "a.dcm")
    facts = read_picture(tmp_path / "a.dcm").facts
    assert facts == {
        "modality": "CT",
        "plane": "axial",
        "anatomy": "cervical spine",
        "sex": "female",
        "age": "90",
        "date": "2019",
    }


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR", "SAL"])
def test_volumes_are_seen_from_the_feet(codes: str) -> None:
    """However they are stored, the corner at right, anterior, inferior comes first."""
    canonical = np.zeros((6, 5, 4), np.int16)  # D, H, W
    canonical += np.arange(6)[:, None, None] * 100 + np.arange(5)[:, None] * 10 + np.arange(4)
    as_ras = nibabel.Nifti1Image(canonical.transpose(2, 1, 0)[::-1, ::-1], np.diag([2, 3, 4, 1]))
    ornt = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(as_ras.affine), nibabel.orientations.axcodes2ornt(tuple(codes))
    )
    turned = as_ras.as_reoriented(ornt)
    source = VolumeSource(Path("a.nii"), "nifti", "")
    volume = Volume(np.asarray(turned.dataobj), turned.affine, source)
    picture = picture_of_volume(volume)
    assert picture.spacing == pytest.approx((4, 3, 2))
    assert picture.pixels.shape == (6, 5, 4)
    order = picture.pixels.ravel().argsort(kind="stable")
    assert (order == canonical.ravel().argsort(kind="stable")).all()


def test_a_ct_volume_is_windowed_to_soft_tissue() -> None:
    data = np.full((8, 8, 8), -1000, np.int16)
    data[2:6, 2:6, 2:6] = 40
    picture = picture_of_volume(Volume(data, np.eye(4), VolumeSource(Path("a"), "nifti", "")))
    assert sorted(np.unique(picture.pixels)) == [0, 0.5]
    assert picture.facts == {"modality": "CT"}


def test_a_series_is_a_volume_and_two_slices_are_their_middle(tmp_path: Path) -> None:
    data = np.arange(20 * 18 * 6, dtype=np.int16).reshape(20, 18, 6)
    files = write_series(tmp_path / "six", data, grid("LPS", (1, 1, 2)))
    assert read_picture(tmp_path / "six").pixels.shape == (6, 18, 20)
    assert read_picture(files[0]).pixels.shape == (1, 18, 20)
    write_series(tmp_path / "two", data[:, :, :2], grid("LPS", (1, 1, 2)))
    two = read_picture(tmp_path / "two")
    assert two.pixels.shape == (1, 18, 20)
    assert "its middle image stands for it" in two.notes[-1]


def test_a_hash_lasts_through_size_and_quality(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 255, (12, 12), np.uint8))
    whole = coarse.resize((300, 300), Image.Resampling.BICUBIC)
    whole.save(tmp_path / "a.png")
    whole.resize((180, 180)).save(tmp_path / "b.jpg", quality=40)
    one, other = (dhash(read_picture(tmp_path / n)) for n in ("a.png", "b.jpg"))
    assert (int(one, 16) ^ int(other, 16)).bit_count() <= 4
    assert dhash(Picture(np.zeros((1, 50, 50), np.float32))) == ""


def test_thumbnails_are_small_and_square_in_mm() -> None:
    wide = Picture(np.random.default_rng(0).random((9, 50, 200), np.float32), (1, 4.0, 1.0))
    image = Image.open(io.BytesIO(thumbnail(wide)))
    assert image.size == (160, 160)
    assert not image.getexif()
    tiny = Image.open(io.BytesIO(thumbnail(Picture(np.zeros((1, 20, 30), np.float32)))))
    assert tiny.size == (30, 20)
