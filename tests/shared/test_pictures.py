"""Pictures of real files, and of files that mean harm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmtool.errors import InputError
from mmtool.io.readers.picture import PictureReader, picture_reader, read_picture
from mmtool.retrieval import Picture

DICOM = "data/io_fixtures/dicom"


def test_chest_films(shared: Path) -> None:
    folder = shared / "data/vision_language/fixtures"
    film = next(folder.glob("*.dcm"))
    picture = read_picture(film)
    assert picture.pixels.shape == (1, 1024, 1024)
    assert picture.facts["modality"] == "XR"
    assert picture.facts["plane"] == "frontal"
    lungs = picture.pixels[0, 400:600, 250:350].mean()
    assert lungs < picture.pixels[0, 400:600, 480:540].mean()


def test_one_image_in_nine_encodings(shared: Path) -> None:
    """Explicit, implicit, big-endian, run lengths, JPEG lossless, JPEG-LS, JPEG 2000."""
    files = sorted((shared / DICOM / "dcm_qa_ts/In").glob("*.dcm"))
    with picture_reader() as reader:
        first, *others = (reader.read(f).pixels for f in files)
    assert len(others) == 8
    for pixels in others:
        assert np.abs(pixels - first).max() < 0.01


def test_an_inverted_film_is_turned(shared: Path) -> None:
    picture = read_picture(shared / DICOM / "highdicom/data/test_files/dx_image.dcm")
    assert picture.pixels[0, :8, :8].mean() < 0.3  # air around is dark
    assert picture.facts["anatomy"] == "thorax"


def test_series_that_fill_no_box_still_have_a_picture(shared: Path) -> None:
    tests = shared / DICOM / "dicom2nifti/tests/data"
    tilted = read_picture(tests / "failing/gantrytilting/001")
    assert tilted.pixels.shape[0] > 1
    assert "gantry tilt" in tilted.notes[0]
    few = read_picture(tests / "failing/slicecount/001")
    assert few.pixels.shape[0] == 1
    stack = read_picture(tests / "philips_enhanced/anatomical/001/IM-0001-0170-0001.dcm")
    assert min(stack.pixels.shape) == 8


def test_hostile_files_are_refused_and_the_reader_goes_on(shared: Path) -> None:
    """Of the crash files a few hold a picture after all."""
    folder = shared / "data/io_fixtures/hostile"
    made = "ifd_loop.tif nested_sq_5000.dcm huge_dims_rle.dcm huge_dims_native.dcm mz_preamble.dcm"
    bad = [folder / "made" / name for name in f"{made} huge_dims.nii zip_slip.zip".split()]
    bad += sorted((folder / "openjpeg-data").glob("*.jp2"))[:4]
    with picture_reader() as reader:
        for path in bad:
            with pytest.raises(InputError) as caught:
                reader.read(path)
            assert "\n" not in caught.value.message
        crashes = [_read(reader, path) for path in sorted((folder / "pillow").iterdir())]
        good = reader.read(shared / "data/vision_language/fixtures/00000001_000.png")
    assert sum(c is None for c in crashes) >= 9
    assert good.pixels.shape == (1, 512, 512)


def _read(reader: PictureReader, path: Path) -> Picture | None:
    try:
        return reader.read(path)
    except InputError:
        return None
