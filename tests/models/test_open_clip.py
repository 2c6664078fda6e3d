"""Folders of open_clip: the same vectors as transformers computes, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mmtool.errors import ModelError
from mmtool.io.index import IndexReader
from mmtool.io.limits import Limits
from mmtool.models.encoders.open_clip import OpenClip, is_open_clip
from mmtool.models.encoders.open_clip_pictures import open_clip_preparation, open_clip_prepared
from mmtool.pipelines.index import IndexRequest, run
from mmtool.pipelines.retrieval_hits import Asking, answer
from mmtool.pipelines.retrieval_query import read_query
from mmtool.pipelines.retrieval_search import Searcher
from mmtool.retrieval import Picture

pytest.importorskip("transformers")
from open_clip_folders import HOW, WORDS, write_biomed, write_plain

TEXTS = ("Lung nodule", "brain " * 30, "of the knee, unheard")
# As the tokenizer of the tests numbers them, cut to twelve with both marks.
NUMBERED = {word: k + 2 for k, word in enumerate(WORDS)}


def picture(high: int = 50, wide: int = 71, deep: int = 1) -> Picture:
    draw = np.random.default_rng(0)
    return Picture((draw.integers(0, 256, (deep, high, wide)) / 255).astype(np.float32))


def numbers(text: str) -> torch.Tensor:
    words = text.lower().replace(",", " ,").split()[:10]
    return torch.tensor([[8, *(NUMBERED.get(word, 1) for word in words), 9]])


def unit(rows: Any) -> np.ndarray:
    rows = rows if isinstance(rows, torch.Tensor) else rows.pooler_output
    return (rows / rows.norm(dim=-1, keepdim=True)).detach().numpy()


@pytest.mark.parametrize(("quick", "custom"), [(True, False), (False, True)])
def test_plain_clip_is_that_of_transformers(tmp_path: Path, quick: bool, custom: bool) -> None:
    model = write_plain(tmp_path / "clip", quick=quick, custom=custom)
    encoder = OpenClip(tmp_path / "clip")
    pixels = open_clip_prepared(picture(), encoder._how)
    np.testing.assert_allclose(
        encoder.encode_pictures([picture()]).vectors,
        unit(model.get_image_features(pixel_values=pixels)),
        atol=1e-5,
    )
    theirs = [unit(model.get_text_features(input_ids=numbers(text)))[0] for text in TEXTS]
    ours = encoder.encode_texts(TEXTS).vectors
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.abs(ours[0] - ours[1]).max() > 0.05
    assert (encoder.dim, ours.dtype) == (8, np.float32)


def test_vit_and_bert_are_those_of_transformers(tmp_path: Path) -> None:
    vit, bert, heads = write_biomed(tmp_path / "biomed")
    encoder = OpenClip(tmp_path / "biomed")
    pixels = open_clip_prepared(picture(), encoder._how)
    first = vit(pixel_values=pixels).last_hidden_state[:, 0]
    np.testing.assert_allclose(
        encoder.encode_pictures([picture()]).vectors,
        unit(first @ heads["visual.head.proj.weight"].T),
        atol=1e-5,
    )
    for text, ours in zip(TEXTS, encoder.encode_texts(TEXTS).vectors, strict=True):
        found = bert(input_ids=numbers(text)).last_hidden_state[:, 0]
        inner = torch.nn.functional.gelu(found @ heads["text.proj.0.weight"].T)
        np.testing.assert_allclose(ours, unit(inner @ heads["text.proj.2.weight"].T)[0], atol=1e-5)


def test_a_tokenizer_in_the_form_of_clip(tmp_path: Path) -> None:
    model = write_plain(tmp_path / "clip")
    (tmp_path / "clip/tokenizer.json").unlink()
    pieces = ["l", "g</w>", "u", "n", "un", "lun", "lung</w>", "!", "<|startoftext|>"]
    words = {piece: k for k, piece in enumerate([*pieces, "<|endoftext|>"])}
    (tmp_path / "clip/vocab.json").write_text(json.dumps(words))
    merges = "#version: 0.2\nu n\nl un\nlun g</w>\n"
    (tmp_path / "clip/merges.txt").write_text(merges)
    ours = OpenClip(tmp_path / "clip").encode_texts(["Lung  lung"]).vectors
    theirs = model.get_text_features(input_ids=torch.tensor([[8, 6, 6, 9]]))
    np.testing.assert_allclose(ours, unit(theirs), atol=1e-5)


def test_pictures_are_prepared_as_the_folder_says() -> None:
    grey = Picture(np.full((1, 20, 40), 0.5, np.float32))
    mean, std = {"mean": (0.5, 0.5, 0.5)}, {"std": (0.25, 0.25, 0.25)}
    for mode in ("shortest", "squash", "longest"):
        how = open_clip_preparation({"resize_mode": mode, **mean, **std}, 10, "x")
        pixels = open_clip_prepared(grey, how)[0, 0]
        assert pixels.shape == (10, 10)
        filled = (pixels < -1).any(1).tolist()
        assert filled == (
            [i < 2 or i > 6 for i in range(10)] if mode == "longest" else [False] * 10
        )
    ramp = Picture(np.tile(np.linspace(0, 1, 23, dtype=np.float32), (1, 10, 1)))
    how = open_clip_preparation({"interpolation": "bilinear"}, 10, "x")
    row = open_clip_prepared(ramp, how)[0, 0, 0] * how.std[0] + how.mean[0]
    np.testing.assert_allclose(row, ramp.pixels[0, 0, 6:16], atol=0.003)  # 6.5 goes to the even 6


def test_they_are_the_pixels_of_transformers_where_no_half_is_left() -> None:
    name = "transformers.models.clip.image_processing_pil_clip"
    processors = pytest.importorskip(name)
    processor = processors.CLIPImageProcessorPil(
        size={"shortest_edge": 32},
        crop_size={"height": 32, "width": 32},
        image_mean=HOW["mean"],
        image_std=HOW["std"],
    )
    own = picture(50, 75)  # 48 wide, of which 8 are cut on both sides
    image = Image.fromarray((own.pixels[0] * 255).round().astype(np.uint8)).convert("RGB")
    theirs = np.asarray(processor(images=[image], return_tensors="np")["pixel_values"])
    ours = open_clip_prepared(own, open_clip_preparation(HOW, 32, "x")).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_an_index_by_it(tmp_path: Path) -> None:
    write_plain(tmp_path / "clip")
    write_plain(tmp_path / "other", seed=1)
    (tmp_path / "in").mkdir()
    for k in range(3):
        noise = np.random.default_rng(k).integers(0, 255, (9, 9), np.uint8)
        Image.fromarray(noise).resize((40, 40)).save(tmp_path / f"in/{k}.png")
    (tmp_path / "in/a.txt").write_text("lung nodule")
    request = IndexRequest(
        (tmp_path / "in",), tmp_path / "x.mmidx", model=str(tmp_path / "clip"), device="cpu"
    )
    assert run(request).written == 4
    with IndexReader(tmp_path / "x.mmidx") as reader:
        kept = reader.spaces()["picture"].preprocessing
        assert (kept["size"], kept["resize_mode"], kept["letters"]) == ([32, 32], "shortest", 12)
        query = read_query(str(tmp_path / "in/1.png"), None, None, Limits())
        found = answer(Searcher(reader, str(tmp_path / "clip")), query, Asking())
        assert found.hits[0].item.source.key.endswith("1.png")
        with pytest.raises(ModelError, match="not by other"):
            answer(Searcher(reader, str(tmp_path / "other")), query, Asking())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_plain(tmp_path / "clip")
    return tmp_path / "clip"


@pytest.mark.parametrize(
    ("part", "key", "value", "said"),
    [
        ("model_cfg", "multimodal_cfg", {"width": 4}, "multimodal_cfg"),
        ("model_cfg", "new_thing", 1, "model_cfg.new_thing"),
        ("vision_cfg", "timm_model_name", "convnext_base", "timm_model_name convnext_base"),
        ("vision_cfg", "attentional_pool", True, "vision_cfg.attentional_pool"),
        ("vision_cfg", "layers", [3, 4, 6, 3], "convolutions"),
        ("text_cfg", "hf_model_name", "roberta-base", "hf_model_name roberta-base"),
        ("text_cfg", "hf_pooler_type", "cls_pooler", "hf_pooler_type cls_pooler"),
        ("text_cfg", "no_causal_mask", True, "no_causal_mask"),
        ("text_cfg", "width", 24, "tower of words"),
        ("text_cfg", "vocab_size", 11, "does not end a text"),
        ("vision_cfg", "layers", 3, "tower of pictures"),
        ("preprocess_cfg", "resize_mode", "crop", "resize_mode crop"),
        ("preprocess_cfg", "interpolation", "random", "interpolation random"),
        ("preprocess_cfg", "size", 64, "size"),
        ("preprocess_cfg", "blur", 3, "blur"),
    ],
)
def test_what_is_not_known_is_refused_by_name(
    folder: Path, part: str, key: str, value: Any, said: str
) -> None:
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    places = {"model_cfg": config["model_cfg"], "preprocess_cfg": config["preprocess_cfg"]}
    places.get(part, config["model_cfg"].get(part, {}))[key] = value
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=said):
        OpenClip(folder)


def test_broken_folders(folder: Path, tmp_path: Path) -> None:
    assert is_open_clip(folder)
    assert not is_open_clip(tmp_path)
    weights = folder / "open_clip_model.safetensors"
    for damage, said in ((b"none", "can't be read"), (None, "0 files open_clip")):
        whole = weights.read_bytes()
        weights.unlink() if damage is None else weights.write_bytes(damage)
        with pytest.raises(ModelError, match=said):
            OpenClip(folder)
        weights.write_bytes(whole)
    shutil.move(weights, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(ModelError, match="a pickle, which is not loaded") as caught:
        OpenClip(folder)
    assert "safetensors" in caught.value.hint
    shutil.move(folder / "open_clip_pytorch_model.bin", weights)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="no tokenizer that can be read"):
        OpenClip(folder)
    (folder / "open_clip_config.json").write_text('{"model_cfg": 3}')
    with pytest.raises(ModelError, match="not a configuration of open_clip"):
        OpenClip(folder)
