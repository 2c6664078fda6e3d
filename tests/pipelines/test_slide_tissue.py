"""Tissue on an overview, and the tiles that cover it."""

from __future__ import annotations

import numpy as np
import pytest
from slides import EOSIN, GLASS, tissue_picture

from mmtool.pipelines.slide_tissue import otsu, tile_places, tissue_mask

MPP = 8.0


def plain(color: tuple[int, int, int], noise: float = 2.0) -> np.ndarray:
    """(120, 160, 3) of one colour with noise."""
    draw = np.random.default_rng(0)
    out = np.array(color, float) + draw.normal(0, noise, (120, 160, 3))
    return out.clip(0, 255).astype(np.uint8)


def test_tissue_is_what_is_coloured() -> None:
    picture = tissue_picture(240, 320, nuclei=40)
    truth = picture.astype(int).max(2) - picture.astype(int).min(2) > 30
    found = tissue_mask(picture, MPP)
    assert (found & truth).sum() / (found | truth).sum() > 0.95


@pytest.mark.parametrize(
    "color", [GLASS, (255, 255, 255), (128, 128, 128), (0, 0, 0), (20, 200, 60)]
)
def test_glass_black_and_green_ink_are_no_tissue(color: tuple[int, int, int]) -> None:
    assert not tissue_mask(plain(color), MPP).any()


def test_a_slide_full_of_tissue_is_not_cut_in_two() -> None:
    pale_and_dark = plain(EOSIN, 15)
    pale_and_dark[:, 80:] = plain((150, 90, 160), 15)[:, 80:]
    assert tissue_mask(pale_and_dark, MPP).all()


def test_dust_goes_and_small_holes_are_filled() -> None:
    picture = plain(GLASS)
    picture[30:100, 30:120] = EOSIN
    picture[60:64, 60:64] = GLASS  # a vessel
    picture[5:9, 5:9] = EOSIN  # dust
    found = tissue_mask(picture, MPP)
    assert found[62, 62]
    assert not found[7, 7]


def test_one_pixel() -> None:
    assert tissue_mask(np.full((1, 1, 3), 255, np.uint8), MPP).tolist() == [[False]]


def test_otsu_parts_two_heaps() -> None:
    draw = np.random.default_rng(0)
    values = np.concatenate([draw.normal(0.2, 0.03, 500), draw.normal(0.7, 0.05, 300)])
    assert 0.3 < otsu(values) < 0.6
    assert 0 <= otsu(np.full(10, 0.4)) <= 1


def test_tiles_cover_the_tissue_and_stay_on_the_slide() -> None:
    mask = np.zeros((100, 150), bool)
    mask[20:60, 30:90] = True
    places = tile_places(mask, 16.0, (2405, 1610), 160.0, 0.5)
    assert len(places) == 24
    assert places.min(0).tolist() == [480, 320]
    assert places.max(0).tolist() == [1280, 800]
    everywhere = tile_places(np.ones_like(mask), 16.0, (2405, 1610), 161.5, 0.5)
    assert len(everywhere) == 14 * 9
    assert (everywhere + 161.5 <= (2405, 1610)).all()


def test_share_of_tissue_is_exact_between_pixels_of_the_overview() -> None:
    mask = np.zeros((10, 10), bool)
    mask[:, :5] = True
    for edge, share in ((80.0, 1.0), (100.0, 0.8), (150.0, 80 / 150)):
        assert len(tile_places(mask, 16.0, (160, 160), edge, share - 0.01)) >= 1
        assert not len(tile_places(mask[:, ::-1], 16.0, (79, 160), 79.0, 0.01))
        found = tile_places(mask, 16.0, (int(edge), 160), edge, share + 0.01)
        assert not len(found)


def test_no_tissue_or_a_slide_that_is_smaller_than_a_tile_has_no_tiles() -> None:
    assert tile_places(np.zeros((9, 9), bool), 16.0, (144, 144), 32.0, 0.5).shape == (0, 2)
    assert tile_places(np.ones((9, 9), bool), 16.0, (144, 144), 256.0, 0.5).shape == (0, 2)
