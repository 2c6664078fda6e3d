"""The page of volumes: each lies as it lay in the patient, it stays small and asks nobody."""

from __future__ import annotations

import base64
import gzip
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from browser import drawn_page, needs_chromium

from mmtool.io.limits import Limits
from mmtool.io.writers import hits_volumes
from mmtool.io.writers.hits_volumes import HitVolume, write_hits_volumes
from mmtool.io.writers.niivue_source import NiivueSource, niivue_source
from mmtool.pipelines.retrieval_volumes import volumes_of
from mmtool.retrieval import Hit, Item, Source

STUB = NiivueSource("const Niivue = 0, NVImage = 0;\nexport{Niivue,NVImage};", "BSD -->", "0")


def scan(path: Path) -> np.ndarray:
    """A box with a mark to the right, in front and above; stored the other way round."""
    data = np.full((30, 34, 26), 100.0, np.float32)
    data[:2] = data[-2:] = 0
    data[3:10, 22:29, 17:24] = 1000
    affine = np.array([[-2.0, 0, 0, 9], [0, 2, 0, -7], [0, 0, 3, 5], [0, 0, 0, 1]])
    nibabel.Nifti1Image(data, affine).to_filename(path)
    return affine


def hit(rank: int, path: Path, thumbnail: bytes = b"x") -> Hit:
    source = Source(str(path), str(path), "volume", "0")
    return Hit(rank, Item(rank, source, thumbnail=thumbnail), 1.0)


def image(page: str, rank: int) -> nibabel.Nifti1Image:
    text = re.search(rf'id="scan-hit-{rank}">([^<]*)<', page)
    assert text
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text[1])))


@pytest.mark.parametrize("most", [2_000_000, 4_000])
def test_a_volume_lies_as_in_the_patient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(hits_volumes, "_VOXELS", most)
    scan(tmp_path / "a.nii.gz")
    volumes, notes = volumes_of([hit(3, tmp_path / "a.nii.gz")], Limits())
    assert notes == []
    write_hits_volumes(tmp_path / "v.html", volumes, STUB)
    page = (tmp_path / "v.html").read_text()
    shown = image(page, 3)
    data = np.asarray(shown.dataobj)
    assert data.size <= most
    assert ("(thinned)" in page) == (most == 4_000)
    mark = np.argwhere(data == data.max()).mean(0)
    place = shown.affine[:3, :3] @ mark + shown.affine[:3, 3]
    # Voxel 6, 25, 20 of a grid whose middle is 14.5, 16.5, 12.5; its first axis runs to the left.
    np.testing.assert_allclose(place, [17, 17, 22.5], atol=2)


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    scan(tmp_path / "a.nii.gz")
    whole = [hit(k, tmp_path / "a.nii.gz") for k in range(1, 9)]
    found, notes = volumes_of([hit(9, tmp_path / "a.nii.gz", b""), *whole], Limits())
    assert [v.rank for v in found] == [1, 2, 3, 4, 5, 6]
    assert notes == ["8 hits are volumes; the first 6 can be paged through"]
    found, notes = volumes_of([hit(1, tmp_path / "gone.nii.gz")], Limits())
    assert (found, len(notes)) == ([], 1)
    assert "hit 1 can't be shown as a volume" in notes[0]


def test_the_page_loads_nothing_and_no_name_breaks_it(tmp_path: Path) -> None:
    nasty = "</script><script>alert(1)</script> $niivue"
    volume = HitVolume(1, nasty, np.zeros((3, 4, 5), np.uint8), (1.0, 1.0, 1.0))
    write_hits_volumes(tmp_path / "v.html", [volume], STUB)
    page = (tmp_path / "v.html").read_text()
    assert "<script>alert" not in page
    assert "default-src 'none'" in page
    assert "connect-src" not in page
    assert not re.search(r'https?:|\ssrc=|fetch\(|url\(|href="(?!hits\.html")', page)


@pytest.mark.slow
@needs_chromium
def test_a_real_browser_draws_it(tmp_path: Path) -> None:
    draw = np.random.default_rng(0).integers(0, 255, (12, 20, 24), np.uint8)
    volumes = [HitVolume(k, f"{k}", draw, (2.0, 1.0, 1.0)) for k in (1, 4)]
    write_hits_volumes(tmp_path / "v.html", volumes, niivue_source())
    page = drawn_page(f"{(tmp_path / 'v.html').as_uri()}#hit-4", tmp_path / "profile")
    assert '<body data-shown="hit-4">' in page
    assert re.search(r'<output id="place">RAS [^<]* mm', page)
