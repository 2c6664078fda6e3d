"""From slides to bags: tiles, cache, and slides that can't be used."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from slides import GLASS, halved, tissue_picture, write_tiled_tiff

from mmtool.errors import InputError
from mmtool.models.encoders import stain_texture
from mmtool.pipelines.slide_bags import block_of, read_bags
from mmtool.pipelines.slide_encoding import Tiling, bags_of, encode_slides

PICTURE = tissue_picture(1100, 1500, nuclei=2000)


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of patient a a slide at 0.5 and one at 0.25 µm; one of glass, a broken and a coarse one."""
    folder = tmp_path_factory.mktemp("slides")
    write_tiled_tiff(folder / "a-1.tiff", [PICTURE, halved(PICTURE)], (0.5, 0.5))
    double = PICTURE.repeat(2, 0).repeat(2, 1)
    write_tiled_tiff(folder / "a-2.tiff", [double, PICTURE], (0.25, 0.25))
    glass = np.full((600, 600, 3), GLASS, np.uint8)
    write_tiled_tiff(folder / "glass.tiff", [glass], (0.5, 0.5))
    write_tiled_tiff(folder / "coarse.tiff", [PICTURE], (2.0, 2.0))
    write_tiled_tiff(folder / "unsaid.tiff", [PICTURE], None)
    (folder / "broken.svs").write_bytes(b"II*\0 no slide")
    return folder


def test_slides_become_bags(slides: Path, tmp_path: Path) -> None:
    done: list[tuple[str, int]] = []
    ids = ["broken", "a", "glass", "coarse", "unsaid", "nobody"]
    bags = encode_slides(slides, ids, cache=tmp_path, progress=lambda *said: done.append(said))
    assert [len(b) > 0 for b in bags.patients] == [False, True, False, False, False, False]
    assert bags.columns == stain_texture.StainTexture.columns
    bag = bags.patients[1]
    assert bag.slides == ("a-1", "a-2")
    one, two = (bag.slide == k for k in (0, 1))
    # the same tissue at twice the resolution: the same tiles, places twice as far
    np.testing.assert_allclose(bag.coords[two], 2 * bag.coords[one], rtol=1e-3)
    np.testing.assert_allclose(bag.features[two], bag.features[one], atol=1e-5)
    centre = bag.coords[one] + 128
    assert (centre[:, 0] < 1000).all()
    assert dict(done) == {"a-1": one.sum(), "a-2": one.sum(), "glass": 0}
    told = "\n".join(bags.notes)
    assert "1 slides hold no tile of tissue: glass" in told
    assert "broken.svs: not a slide" in told
    assert "coarse.tiff: 2 µm a pixel, the encoder needs 0.5" in told
    assert "unsaid.tiff: does not say how many µm a pixel is" in told
    assert block_of(bags).present.tolist() == [False, True, False, False, False, False]


def test_what_was_encoded_is_kept(
    slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiling = Tiling(mpp=0.5, most=3)
    first = encode_slides(slides, ["a-1", "glass"], cache=tmp_path, tiling=tiling)
    assert len(first.patients[0]) == 3
    with monkeypatch.context() as patch:
        patch.setattr(stain_texture.StainTexture, "encode", None)
        again = encode_slides(slides, ["a-1", "glass"], cache=tmp_path, tiling=tiling)
    np.testing.assert_array_equal(again.patients[0].features, first.patients[0].features)
    np.testing.assert_array_equal(again.patients[0].coords, first.patients[0].coords)
    other = encode_slides(slides, ["a-1"], cache=tmp_path, tiling=Tiling(mpp=0.5, most=4))
    assert len(other.patients[0]) == 4


def test_a_slide_that_changed_is_encoded_anew(tmp_path: Path) -> None:
    slides, cache = tmp_path / "slides", tmp_path / "cache"
    slides.mkdir()
    sizes = []
    for seed in (0, 1):
        picture = tissue_picture(600, 900, nuclei=500, seed=seed)
        write_tiled_tiff(slides / "a.tiff", [picture], (0.5, 0.5))
        bags = encode_slides(slides, ["a"], cache=cache)
        sizes.append(bags.patients[0].features)
    assert (sizes[0] != sizes[1]).any()
    assert len(list(cache.rglob("a.h5"))) == 2


def test_the_cache_is_a_folder_of_bags(slides: Path, tmp_path: Path) -> None:
    encoded = encode_slides(slides, ["a-1"], cache=tmp_path)
    read = read_bags(tmp_path, ["a-1"])
    assert read.columns == encoded.columns  # a model of slides knows their features, and vice versa
    np.testing.assert_array_equal(read.patients[0].features, encoded.patients[0].features)
    with h5py.File(next(tmp_path.rglob("a-1.h5"))) as file:
        assert file["features"].attrs["encoder"] == "stain_texture 1"
        assert file["coords"].attrs["patch_size_level0"] == pytest.approx(256, rel=1e-3)


def test_nothing_that_can_be_read_is_an_error(slides: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a slide that can be read"):
        encode_slides(slides, ["broken"], cache=tmp_path)
    with pytest.raises(InputError, match="none of 6 slides belongs to one of 1 patients"):
        encode_slides(slides, ["nobody"], cache=tmp_path)


def test_a_folder_is_of_features_or_of_slides(slides: Path, tmp_path: Path) -> None:
    encoded = bags_of(slides, ["a-1"], cache=tmp_path / "cache", tiling=Tiling(most=5))
    read = bags_of(tmp_path / "cache", ["a-1"], cache=tmp_path / "other")
    np.testing.assert_array_equal(read.patients[0].features, encoded.patients[0].features)
    assert not (tmp_path / "other").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="neither features of slides nor slides"):
        bags_of(tmp_path / "empty", ["a-1"], cache=tmp_path)
