"""Slides: levels, overview and tiles of files of our own; what is broken ends in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from slides import halved, tissue_picture, write_tiled_tiff

from mmtool.errors import InputError, LimitError
from mmtool.io.limits import Limits
from mmtool.io.readers.slide import SlideReader, find_slides, hash_slide, slide_reader

PICTURE = tissue_picture(700, 900)


@pytest.fixture(scope="module")
def reader() -> Iterator[SlideReader]:
    with slide_reader() as found:
        yield found


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    levels = [PICTURE, halved(PICTURE), halved(halved(PICTURE))]
    return write_tiled_tiff(tmp_path_factory.mktemp("slide") / "s.tiff", levels, (0.5, 0.5))


def test_header(reader: SlideReader, pyramid: Path) -> None:
    head = reader.open(pyramid).header
    assert head.sizes == ((900, 700), (450, 350), (225, 175))
    assert head.downsamples == pytest.approx((1, 2, 4))
    assert head.mpp == pytest.approx(0.5, rel=1e-3)


def test_tiles_are_the_pixels_of_their_place(reader: SlideReader, pyramid: Path) -> None:
    tiles = reader.open(pyramid).tiles([(0, 0), (300, 128)], 128, 128)
    np.testing.assert_array_equal(tiles[0], PICTURE[:128, :128])
    np.testing.assert_array_equal(tiles[1], PICTURE[128:256, 300:428])


def test_tiles_are_read_from_the_coarsest_level_that_is_fine_enough(
    reader: SlideReader, pyramid: Path
) -> None:
    slide = reader.open(pyramid)
    (tile,) = slide.tiles([(256, 128)], 256, 128)
    np.testing.assert_array_equal(tile, halved(PICTURE)[64:192, 128:256])
    (tile,) = slide.tiles([(256, 128)], 192, 128)  # between levels: made smaller from the finest
    wanted = Image.fromarray(PICTURE[128:320, 256:448]).resize((128, 128), Image.BICUBIC)
    np.testing.assert_array_equal(tile, np.asarray(wanted))


def test_overview_is_the_mean_of_what_it_shows(reader: SlideReader, pyramid: Path) -> None:
    pixels, scale = reader.open(pyramid).overview(8.0)
    assert scale == pytest.approx(16)
    wanted = PICTURE[:688, :896].reshape(43, 16, 56, 16, 3).mean((1, 3))
    assert pixels.shape == wanted.shape
    np.testing.assert_allclose(pixels, wanted, atol=1.5)


def test_a_level_is_never_held_whole(reader: SlideReader, tmp_path: Path) -> None:
    """One level of 5,000 pixels is read in blocks; a seam would show."""
    picture = np.zeros((300, 5000, 3), np.uint8)
    picture[:] = (np.arange(5000) // 20)[None, :, None]
    path = write_tiled_tiff(tmp_path / "wide.tiff", [picture], (0.5, 0.5))
    pixels, scale = reader.open(path).overview(10.0)
    assert scale == 20
    np.testing.assert_array_equal(pixels[3, :, 0], np.arange(250))


def test_beyond_the_slide_there_is_glass(reader: SlideReader, pyramid: Path) -> None:
    (tile,) = reader.open(pyramid).tiles([(800, 600)], 256, 256)
    np.testing.assert_array_equal(tile[:100, :100], PICTURE[600:, 800:])
    assert (tile[120:, 120:] == 255).all()


def test_flat_pictures(reader: SlideReader, tmp_path: Path) -> None:
    for name in ("a.png", "a.tif"):
        Image.fromarray(PICTURE).save(tmp_path / name)
        slide = reader.open(tmp_path / name, mpp=0.25)
        np.testing.assert_array_equal(slide.tiles([(5, 9)], 64, 64)[0], PICTURE[9:73, 5:69])
    Image.fromarray(PICTURE[..., 0]).save(tmp_path / "grey.png")
    with pytest.raises(InputError, match="a picture of kind L"):
        reader.open(tmp_path / "grey.png", mpp=0.5)


@pytest.mark.parametrize(
    ("mpp", "match"),
    [
        (None, "does not say how many µm a pixel is"),
        ((352.8, 352.8), r"it says 352\.8, which no scanner has"),
        ((0.5, 0.25), "pixels are not square"),
    ],
)
def test_microns_a_pixel_are_said_or_asked_for(
    reader: SlideReader, tmp_path: Path, mpp: tuple[float, float] | None, match: str
) -> None:
    path = write_tiled_tiff(tmp_path / "s.tiff", [PICTURE], mpp)
    with pytest.raises(InputError, match=match) as caught:
        reader.open(path)
    if mpp is None or mpp[0] > 100:
        assert "--mpp" in caught.value.hint
        assert reader.open(path, mpp=0.25).header.mpp == 0.25


def test_what_a_slide_says_goes_before(reader: SlideReader, pyramid: Path) -> None:
    assert reader.open(pyramid, mpp=0.25).header.mpp == pytest.approx(0.5, rel=1e-3)


def test_flipped_and_cut_files_end_in_one_line(pyramid: Path, tmp_path: Path) -> None:
    small = write_tiled_tiff(tmp_path / "small.tiff", [PICTURE[:200, :200]], (0.5, 0.5))
    whole = small.read_bytes()
    head = np.frombuffer(whole, np.uint8)
    draw = np.random.default_rng(0)
    refused = 0
    with slide_reader(Limits(decode_seconds=20)) as reader:
        for turn in range(40):
            bad = head.copy()
            if turn % 2:
                bad[draw.integers(len(bad) - 250, len(bad), 4)] = draw.integers(0, 256, 4)
            else:
                bad = bad[: draw.integers(0, len(bad))]
            path = tmp_path / f"{turn}.tiff"
            path.write_bytes(bad.tobytes())
            with suppress(InputError):
                refused += 1
                slide = reader.open(path, mpp=0.5)
                slide.overview(8.0)
                slide.tiles([(0, 0)], 64, 64)
                refused -= 1
        assert refused > 20
        assert reader.open(pyramid).header.sizes[0] == (900, 700)


def test_no_slide(reader: SlideReader, tmp_path: Path) -> None:
    (tmp_path / "text.svs").write_text("no slide")
    with pytest.raises(InputError, match="not a slide that can be read"):
        reader.open(tmp_path / "text.svs", mpp=0.5)
    with pytest.raises(InputError, match="no such file"):
        reader.open(tmp_path / "absent.svs")
    with slide_reader(Limits(max_file_bytes=4)) as small, pytest.raises(LimitError):
        small.open(tmp_path / "text.svs")


def test_more_pixels_than_any_slide_has(pyramid: Path) -> None:
    with (
        slide_reader(Limits(max_slide_pixels=600_000)) as small,
        pytest.raises(LimitError, match="900 x 700 pixels"),
    ):
        small.open(pyramid)


def test_slides_are_found_and_known_by_content(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.svs", "sub/a.ndpi", "b.png", "notes.txt", ".hidden.svs"):
        (tmp_path / name).write_text(name)
    found = find_slides(tmp_path)
    assert [p.name for p in found] == ["a.ndpi", "b.svs"]
    assert hash_slide(found[0]) != hash_slide(found[1])
    (tmp_path / "sub" / "b.tif").touch()
    with pytest.raises(InputError, match="another slide has this name too"):
        find_slides(tmp_path)
    with pytest.raises(LimitError):
        find_slides(tmp_path / "sub", Limits(max_frames=1))


def test_the_folder_of_a_mrxs_counts_for_its_hash(tmp_path: Path) -> None:
    (tmp_path / "a.mrxs").write_text("a")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Data0.dat").write_text("1")
    before = hash_slide(tmp_path / "a.mrxs")
    (tmp_path / "a" / "Data0.dat").write_text("2")
    assert hash_slide(tmp_path / "a.mrxs") != before
