"""Encoders by folder: they compute as transformers does, and prepare as the folder says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmtool.errors import ModelError
from mmtool.io.index import IndexReader
from mmtool.io.limits import Limits
from mmtool.models.encoders.two_towers import TwoTowers, is_two_towers, preparation, prepared
from mmtool.pipelines.index import IndexRequest, run
from mmtool.pipelines.retrieval_hits import Asking, answer
from mmtool.pipelines.retrieval_query import read_query
from mmtool.pipelines.retrieval_search import Searcher
from mmtool.retrieval import Picture

transformers = pytest.importorskip("transformers")
from two_towers import write_clip  # noqa: E402


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"))


def picture(high: int = 50, wide: int = 70, deep: int = 1) -> Picture:
    draw = np.random.default_rng(0)
    return Picture((draw.integers(0, 256, (deep, high, wide)) / 255).astype(np.float32))


def test_vectors_are_those_of_transformers(clip: Path) -> None:
    import torch

    encoder = TwoTowers(clip)
    assert encoder.dim == 8
    model = transformers.CLIPModel.from_pretrained(clip).eval()
    with torch.inference_mode():
        pixels = prepared(picture(), preparation(clip))
        raw = model.get_image_features(pixel_values=pixels)
        raw = raw if isinstance(raw, torch.Tensor) else raw.pooler_output
    expected = (raw / raw.norm(dim=-1, keepdim=True)).numpy()
    assert encoder.encode_pictures([picture()]).vectors == pytest.approx(expected, abs=1e-6)
    texts = encoder.encode_texts(["lung nodule", "the brain of the knee " * 9]).vectors
    assert np.linalg.norm(texts, axis=1) == pytest.approx(1, abs=1e-5)
    both = encoder.encode_pictures([picture(), picture(30, 20)]).vectors
    assert both[0] == pytest.approx(expected[0], abs=1e-6)


def test_pictures_are_prepared_as_transformers_does(clip: Path) -> None:
    processors = pytest.importorskip("transformers.models.clip.image_processing_pil_clip")
    processor = processors.CLIPImageProcessorPil.from_pretrained(clip)
    grey = (picture().pixels[0] * 255).round().astype(np.uint8)
    image = Image.fromarray(grey).convert("RGB")
    theirs = np.asarray(processor(images=[image], return_tensors="np")["pixel_values"])
    ours = prepared(picture(), preparation(clip)).numpy()
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-5


def test_a_volume_is_the_mean_of_its_slices(clip: Path) -> None:
    encoder = TwoTowers(clip)
    one = picture()
    twice = Picture(np.repeat(one.pixels, 3, axis=0))
    assert encoder.encode_pictures([twice]).vectors == pytest.approx(
        encoder.encode_pictures([one]).vectors, abs=1e-6
    )


def test_an_index_by_it_refuses_another(clip: Path, tmp_path: Path) -> None:
    for k in range(3):
        noise = np.random.default_rng(k).integers(0, 255, (9, 9), np.uint8)
        Image.fromarray(noise).resize((40, 40)).save(tmp_path / f"{k}.png")
    (tmp_path / "a.txt").write_text("lung nodule")
    request = IndexRequest((tmp_path,), tmp_path / "x.mmidx", model=str(clip), device="cpu")
    assert run(request).written == 4
    with IndexReader(tmp_path / "x.mmidx") as reader:
        space = reader.spaces()["picture"]
        assert space.preprocessing["shortest"] == 32
        query = read_query(str(tmp_path / "1.png"), None, None, Limits())
        found = answer(Searcher(reader, str(clip)), query, Asking())
        assert found.hits[0].item.source.key.endswith("1.png")
        words = answer(
            Searcher(reader, str(clip)), read_query("lung", "text", None, Limits()), Asking()
        )
        assert words.searches == ("bm25", "cosine_picture", "cosine_text")
        with pytest.raises(ModelError, match="is not found here"):
            answer(Searcher(reader), query, Asking())
        other = write_clip(tmp_path / "other", seed=1)
        with pytest.raises(ModelError, match="not by other"):
            answer(Searcher(reader, str(other)), query, Asking())


def test_bad_folders(clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(clip, broken)
    (broken / "preprocessor_config.json").unlink()
    assert is_two_towers(broken)
    with pytest.raises(ModelError, match="does not say how pictures are prepared"):
        TwoTowers(broken)
    (broken / "preprocessor_config.json").write_text(json.dumps({"size": "large"}))
    with pytest.raises(ModelError, match="in a way that is not known"):
        TwoTowers(broken)
    shutil.copy(clip / "preprocessor_config.json", broken)
    (broken / "model.safetensors").rename(broken / "pytorch_model.bin")
    with pytest.raises(ModelError, match="can't be loaded"):
        TwoTowers(broken)
    assert not is_two_towers(tmp_path)
