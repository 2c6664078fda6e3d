"""Models of others behind the same interface: SCEPTR and MAMMAL."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from binding_models import CMV, EBV, FLU, KNOWN
from safetensors.torch import save_file

from mmtool.errors import ModelError
from mmtool.models.tcr.domain import whole_beta_domain
from mmtool.pipelines.binding_knn import LevenshteinKnn
from mmtool.pipelines.binding_mammal import MammalBinding, load_mammal, prompt
from mmtool.pipelines.binding_models import load_binding_model
from mmtool.pipelines.binding_outside import resolve_binding_model
from mmtool.pipelines.binding_sceptr import SceptrNearest
from mmtool.receptors import Binder, Receptor

CPU = torch.device("cpu")
PAIR = Receptor("TRAV27", "TRAJ42", "CAGAGSQGNLIF", "TRBV19", "TRBJ2-7", "CASSIRSSYEQYF")
# The example that MAMMAL's own repository gives.
DOMAIN = (
    "GAVVSQHPSWVICKSGTSVKIECRSLDFQATTMFWYRQFPKQSLMLMATSNEGSKATYEQGVEKDKFLINHASLTLSTLTVTSAHPEDSSFYIC"
    "SASEGTSSYEQYFGPGTRLTVT"
)
WHOLE = Receptor(v_b="TRBV20-1", j_b="TRBJ2-7", cdr3_b="CSASEGTSSYEQYF")


@pytest.mark.parametrize(("name", "package"), [("sceptr", "sceptr"), ("mammal", "mammal.model")])
def test_a_missing_extra_is_told(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    word = name if name == "sceptr" else f"mammal:{_folder(tmp_path)}"
    with pytest.raises(ModelError, match="is not installed") as error:
        load_binding_model(resolve_binding_model(word), CPU)
    assert f"mmtool[{name}]" in error.value.hint


def _folder(tmp_path: Path, **config: object) -> Path:
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer/config.yaml").write_text("{}")
    (tmp_path / "config.json").write_text(json.dumps({"t5_config": {}, **config}))
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    return tmp_path


def test_a_folder_of_mammal_is_whole_and_trained(tmp_path: Path) -> None:
    files = resolve_binding_model(f"mammal:{_folder(tmp_path)}")
    assert set(files.card["sha256"]) == {
        "config.json",
        "model.safetensors",
        "tokenizer/config.yaml",
    }
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.ckpt").write_bytes(b"")
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        resolve_binding_model(f"mammal:{tmp_path}")


def test_random_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="random_weights"):
        resolve_binding_model(f"mammal:{_folder(tmp_path, random_weights=True)}")


def test_the_domain_is_germline_around_the_junction() -> None:
    assert whole_beta_domain(WHOLE) == DOMAIN
    alleles = Receptor(v_b="TRBV20-1*01", j_b="TRBJ2-7*01", cdr3_b=WHOLE.cdr3_b)
    assert whole_beta_domain(alleles) == DOMAIN
    for v, j in (("", "TRBJ2-7"), ("TRBV19", ""), ("TRBV19", "TRBJ9-9")):
        assert whole_beta_domain(Receptor(v_b=v, j_b=j, cdr3_b="CAF")) == ""
    assert whole_beta_domain(Receptor(v_b="TRBV19", j_b="TRBJ2-7")) == ""


def test_the_prompt_is_that_of_its_authors() -> None:
    assert prompt("GAV", "FLK") == (
        "<@TOKENIZER-TYPE=AA><BINDING_AFFINITY_CLASS><SENTINEL_ID_0><@TOKENIZER-TYPE=AA>"
        "<MOLECULAR_ENTITY><MOLECULAR_ENTITY_TCR_BETA_VDJ><SEQUENCE_NATURAL_START>GAV"
        "<SEQUENCE_NATURAL_END><@TOKENIZER-TYPE=AA><MOLECULAR_ENTITY><MOLECULAR_ENTITY_EPITOPE>"
        "<SEQUENCE_NATURAL_START>FLK<SEQUENCE_NATURAL_END><EOS>"
    )


class _Tokenizer:
    def get_token_id(self, token: str) -> int:
        return {"<0>": 2, "<1>": 3}[token]

    def __call__(self, sample_dict: dict[str, Any], key_in: str, **keys: str) -> None:
        for key in keys.values():
            sample_dict[key] = [len(sample_dict[key_in])]


class _Network:
    device = CPU

    def __init__(self, steps: int = 2) -> None:
        self.steps = steps

    def generate(self, samples: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
        assert options["max_new_tokens"] == 2
        scores = torch.zeros(1, self.steps, 5)
        scores[0, 0, 3] = 0.9
        scores[0, -1] = torch.tensor([0.1, 0.1, 0.5, 0.2, 0.1])
        return {"model.out.scores": scores}


def _mammal(steps: int = 2) -> MammalBinding:
    return MammalBinding(_Network(steps), _Tokenizer(), LevenshteinKnn({}, KNOWN))


def test_mammals_score_is_of_the_second_place_and_not_against_zero() -> None:
    receptors = [WHOLE, Receptor(v_b="TRBV19", cdr3_b="CASSIRSSYEQYF"), Receptor()]
    found = _mammal().score(receptors, [FLU, CMV])
    np.testing.assert_allclose(found.probability[0], 0.2)
    np.testing.assert_allclose(found.score[0], math.log(0.2 / 0.8), rtol=1e-6)
    assert np.isnan(found.score[1:]).all()  # no J gene, no chain: no whole domain
    assert found.nearest[1, 0] == 0
    assert np.isnan(_mammal(1).score(receptors[:1], [FLU]).score).all()  # it stopped too early


def test_binders_of_the_user_are_evidence_of_mammal() -> None:
    own = Binder(WHOLE, "AAAAAAAAA")
    model = _mammal().with_binders([own])
    assert model.known("AAAAAAAAA") == 1
    assert model.neighbours([WHOLE], "AAAAAAAAA", 1)[0].tolist() == [[len(KNOWN)]]


def _vectors(frame: Any) -> np.ndarray:
    """Two numbers for a receptor: from its beta junction."""
    angle = [len(c or "") + (c or "").count("S") / 9 for c in frame["CDR3B"]]
    return np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)


def test_sceptr_scores_by_the_nearest_binder_of_the_epitope() -> None:
    pytest.importorskip("pandas")
    seen = []

    def represent(frame: Any) -> np.ndarray:
        seen.append(frame)
        return _vectors(frame)

    model = SceptrNearest(SimpleNamespace(calc_vector_representations=represent), KNOWN)
    receptors = [b.receptor for b in KNOWN[:3]] + [Receptor(), Receptor(v_b="TRBV1", cdr3_b="CAF")]
    found = model.score(receptors, [FLU, EBV, "AAAAAAAAA"])
    assert found.nearest[:3, 0].tolist() == [0, 1, 0]  # of equals the earlier
    assert np.isfinite(found.score[:3, 0]).all()
    np.testing.assert_array_equal(found.score, -found.distance)
    assert np.isnan(found.score[3]).all()
    assert np.isnan(found.score[:, 2]).all()
    assert found.known.tolist() == [3, 2, 0]
    table = seen[0]
    assert set(table) == {"TRAV", "CDR3A", "TRAJ", "TRBV", "CDR3B", "TRBJ"}
    assert table["TRBV"].tolist() == ["TRBV19", "TRBV19", "TRBV19", None]  # a pseudogene is none
    place, apart = model.neighbours(receptors, FLU, 5)
    assert place.shape == (5, 5)
    assert (place[:3, 3:] == -1).all()
    assert (np.diff(apart[:3, :3]) >= 0).all()
    more = model.with_binders([Binder(receptors[0], "AAAAAAAAA")])
    assert more.score(receptors[:1], ["AAAAAAAAA"]).distance[0, 0] < 1e-3


@pytest.mark.filterwarnings("ignore")
def test_sceptr_itself() -> None:
    package = pytest.importorskip("sceptr")
    found = SceptrNearest(package, KNOWN).score([PAIR, KNOWN[1].receptor], [FLU, CMV])
    assert found.score[0, 0] > found.score[0, 1]
    assert abs(found.score[1, 0]) < 1e-3


@pytest.mark.filterwarnings("ignore")
def test_mammal_itself_with_drawn_weights(tmp_path: Path) -> None:
    """A tiny network of its own classes answers as the example in its package does."""
    model_room = pytest.importorskip("mammal.model")
    folder = _tiny_mammal(tmp_path, model_room)
    model = load_mammal(folder, CPU, LevenshteinKnn({}, KNOWN))
    from mammal.examples.tcr_epitope_binding.main_infer import task_infer

    told = task_infer(model.network, model.tokenizer, DOMAIN, "FLKEKGGL")["score"]
    found = model.score([WHOLE], ["FLKEKGGL"]).probability[0, 0]
    assert found == pytest.approx(told, rel=1e-4)


def _tiny_mammal(folder: Path, room: Any) -> Path:
    from fuse.data.tokenizers.modular_tokenizer.modular_tokenizer import ModularTokenizer
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import T5Config

    words = "PAD EOS UNK BINDING_AFFINITY_CLASS SENTINEL_ID_0 MOLECULAR_ENTITY 0 1".split()
    words += "MOLECULAR_ENTITY_TCR_BETA_VDJ MOLECULAR_ENTITY_EPITOPE".split()
    special = [f"<{w}>" for w in [*words, "SEQUENCE_NATURAL_START", "SEQUENCE_NATURAL_END"]]
    letters = {w: i for i, w in enumerate([*special, *"ACDEFGHIKLMNPQRSTVWY"])}
    tokenizer = Tokenizer(models.WordLevel(letters, unk_token="<UNK>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "aa.json"))
    about = {"name": "AA", "tokenizer_id": 0, "json_path": str(folder / "aa.json")}
    about |= {"modular_json_path": str(folder / "tokenizer/aa.json"), "max_len": None}
    (folder / "tokenizer").mkdir()
    ModularTokenizer([about], special_tokens_list=special).save(str(folder / "tokenizer"))
    torch.manual_seed(0)
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    ids = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    config = T5Config(vocab_size=64, tie_word_embeddings=False, **sizes, **ids)
    room.Mammal(room.MammalConfig(t5_config=config))._save_pretrained(folder)
    return folder
