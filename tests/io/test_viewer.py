"""The page to look at: it holds the scan and its structures, and asks nobody for anything."""

from __future__ import annotations

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from browser import drawn_page, needs_chromium
from dicom_series import grid

from mmtool.anatomy import BRAIN_LABELS
from mmtool.errors import UsageError
from mmtool.io.writers import viewer
from mmtool.io.writers.niivue_source import NiivueSource, niivue_source
from mmtool.io.writers.viewer import write_viewer
from mmtool.types import Label, Volume, VolumeSource

TABLE = [label for label in BRAIN_LABELS if label.index in (16, 17, 53)]
SHAPE = (24, 20, 18)
STUB = NiivueSource("const Niivue = 0, NVImage = 0;\nexport{Niivue,NVImage};", "BSD -->", "0")
_VOID = {"meta", "input"}


class Page(HTMLParser):
    """Text of the scripts by id, the legend, and every attribute that could load something."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.scripts: dict[str, str] = {}
        self.legend: list[str] = []
        self.loads: list[str] = []
        self.policy = ""
        self.open: list[tuple[str, str]] = []
        self.text = path.read_text()
        self.feed(self.text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"] or ""
        self.loads += [f"{k}={v}" for k, v in attrs if k in ("src", "href", "srcset", "action")]
        if tag not in _VOID:
            self.open.append((tag, values.get("id") or values.get("type") or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        tag, name = self.open[-1] if self.open else ("", "")
        if tag == "script":
            self.scripts[name] = self.scripts.get(name, "") + data
        if tag == "span":
            self.legend.append(data)

    def image(self, name: str) -> nibabel.Nifti1Image:
        raw = gzip.decompress(base64.b64decode(self.scripts[name], validate=True))
        return nibabel.Nifti1Image.from_bytes(raw)


def scene(affine: np.ndarray) -> tuple[Volume, np.ndarray]:
    data = np.random.default_rng(0).normal(500, 100, SHAPE).astype(np.float32)
    data[0, 0, 0] = np.nan
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:9, 5:12, 6:11], labels[14:17, 8:12, 6:9] = 17, 53
    source = VolumeSource(Path("/data/Secret_Person.nii.gz"), "nifti", "00")
    return Volume(data, affine, source), labels


def test_the_page_holds_the_very_volumes(tmp_path: Path) -> None:
    affine = grid("LPS", (0.9, 1.1, 3.0), 20.0)
    volume, labels = scene(affine)
    write_viewer(tmp_path / "v.html", volume, labels, TABLE, STUB)
    page = Page(tmp_path / "v.html")
    shown, scan = page.image("label-data"), page.image("scan-data")
    np.testing.assert_array_equal(np.asarray(shown.dataobj), labels)
    np.testing.assert_allclose(shown.affine, affine, atol=1e-4)
    np.testing.assert_allclose(scan.affine, affine, atol=1e-4)
    grey, data = np.asarray(scan.dataobj).astype(float), volume.data
    inside = (grey > 0) & (grey < 255)
    line = np.polyfit(data[inside], grey[inside], 1)
    assert np.abs(np.polyval(line, data[inside]) - grey[inside]).max() < 1
    assert inside.mean() > 0.95
    colours = json.loads(page.scripts["label-colours"])
    assert colours["I"] == [0, 17, 53]
    assert [colours[c][1] for c in "RGB"] == list(TABLE[1].color)
    assert page.legend == colours["labels"][1:] == ["left hippocampus", "right hippocampus"]
    # A click on a name goes to a point in that structure.
    for index, mm in zip((17, 53), re.findall(r'data-mm="(\[[^"]*\])"', page.text), strict=True):
        voxel = np.linalg.solve(affine[:3, :3], np.array(json.loads(mm)) - affine[:3, 3])
        assert labels[tuple(voxel.round().astype(int))] == index


def test_the_page_loads_nothing_and_tells_no_name(tmp_path: Path) -> None:
    volume, labels = scene(np.eye(4))
    write_viewer(tmp_path / "v.html", volume, labels, TABLE, STUB)
    page = Page(tmp_path / "v.html")
    assert page.loads == []
    assert page.policy.startswith("default-src 'none'")
    written = re.sub(r'(?s)<script type="text/plain".*?</script>', "", page.text)
    assert not re.search(r"https?:|//[a-z]|\bimport\b|fetch\(|url\(", written)
    assert "Secret" not in page.text
    assert "connect-src" not in page.policy


def test_niivue_of_the_installed_package() -> None:
    source = niivue_source()
    assert "class Niivue" in source.module or "Niivue=class" in source.module
    assert "</script" not in source.module.lower()
    assert "Redistribution" in source.licence


@pytest.mark.parametrize("case", ["absent", "other"])
def test_a_package_that_is_absent_or_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    if case == "other":
        (tmp_path / "w.js").write_text('var a="nothing of the kind";export{a}')

    def distribution(name: str) -> SimpleNamespace:
        if case == "absent":
            raise metadata.PackageNotFoundError(name)
        return SimpleNamespace(
            version="9", locate_file=lambda _: tmp_path / "w.js", read_text=lambda _: ""
        )

    monkeypatch.setattr(metadata, "distribution", distribution)
    with pytest.raises(UsageError, match="ipyniivue") as caught:
        niivue_source()
    assert "mmtool[html]" in caught.value.hint


def test_names_of_labels_can_not_break_the_page(tmp_path: Path) -> None:
    volume, labels = scene(np.eye(4))
    nasty = "</script><script>alert(1)</script> & \" '$legend ${x}"
    first = TABLE[1]
    label = Label(17, nasty, first.code, None, first.category, first.color)
    write_viewer(tmp_path / "v.html", volume, labels, [label], STUB)
    page = Page(tmp_path / "v.html")
    assert json.loads(page.scripts["label-colours"])["labels"][1] == nasty
    assert "".join(page.legend) == nasty
    assert "alert" not in page.scripts["module"]


def test_large_scans_are_cut_and_thinned_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer, "_MAX_VOXELS", 120)
    monkeypatch.setattr(viewer, "_MARGIN_MM", 2.0)
    affine = grid("PIR", (1.0, 1.0, 2.5), 15.0)
    volume, labels = scene(affine)
    write_viewer(tmp_path / "v.html", volume, labels, TABLE, STUB)
    page = Page(tmp_path / "v.html")
    image = page.image("label-data")
    assert np.prod(image.shape) <= 120
    world = np.argwhere(np.ones(image.shape)) @ image.affine[:3, :3].T + image.affine[:3, 3]
    voxel = np.linalg.solve(affine[:3, :3], (world - affine[:3, 3]).T).T
    np.testing.assert_allclose(voxel, voxel.round(), atol=1e-4)
    there = labels[tuple(voxel.round().astype(int).T)]
    np.testing.assert_array_equal(np.asarray(image.dataobj).ravel(), there)
    assert {17, 53} <= set(there.tolist())
    assert "Cut to what was found and 2 mm around it." in page.text
    assert re.search(r"Only one voxel in \d x \d x \d is shown", page.text)


def test_a_page_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "_MAX_VOXELS", 500)
    volume, labels = scene(np.eye(4))
    write_viewer(tmp_path / "v.html", volume, np.zeros_like(labels), TABLE, STUB)
    page = Page(tmp_path / "v.html")
    assert page.legend == []
    assert np.prod(page.image("scan-data").shape) <= 500


@pytest.mark.slow
@needs_chromium
def test_a_real_browser_draws_it(tmp_path: Path) -> None:
    volume, labels = scene(grid("LPS", (1.0, 1.0, 2.0), 10.0))
    write_viewer(tmp_path / "v.html", volume, labels, TABLE, niivue_source())
    page = drawn_page((tmp_path / "v.html").as_uri(), tmp_path / "profile")
    assert '<body data-ready="yes">' in page
    assert re.search(r'<output id="place">RAS [^<]* mm', page)
