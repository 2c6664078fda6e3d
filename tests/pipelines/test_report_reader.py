"""Outside models that write of an image: what is told of their words, which folders are read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from outside_readers import tiny_blip
from PIL import Image
from pydicom.data import get_testdata_file

from mmtool.errors import ModelError
from mmtool.io.limits import Limits
from mmtool.pipelines.report import ReportOptions, ReportTask
from mmtool.pipelines.report_images import read_study
from mmtool.pipelines.report_reader import PROMPT, findings_of_words, load_reader
from mmtool.retrieval import Picture
from mmtool.studies import Gate, Said

CT = get_testdata_file("CT_small.dcm")
HEAD = Gate(Said("CT"), Said("axial"), Said("head"), known=True)
WORDS = "There is a large mass. No hemorrhage. Pleural effusion. A mass again. Possible infarct."


class Talker:
    """Always says the same."""

    name, sha256, keep = "talker", "0" * 64, None

    def read(self, picture: Picture, question: str = PROMPT) -> str:
        assert picture.pixels.shape[0] == 1
        return WORDS


def test_what_it_sees_is_uncertain_and_what_it_denies_is_not_told() -> None:
    found = findings_of_words(WORDS, HEAD, Talker(), 2, 5)
    assert [(f.id, f.text, f.presence) for f in found] == [
        ("f5", "mass", "uncertain"), ("f6", "infarct", "uncertain"),
    ]  # fmt: skip
    assert "There is a large mass." in found[0].sentence
    assert "not validated" in found[0].by
    assert found[0].probability is None


def test_a_report_names_the_model_and_nothing_is_asked_of_what_the_gate_refuses(
    tmp_path: Path,
) -> None:
    task = ReportTask(ReportOptions(volumes=False), reader=Talker())
    report, _ = task.report([Path(CT)], task.options)
    assert report.provenance.models[-1].name == "talker"
    assert any("neither trained nor measured" in s for s in report.provenance.statements)
    look = task._look(read_study([Path(CT)], Limits())[0])
    told = task.outside_findings(look, HEAD, 1)
    assert [f.text for f in told] == ["mass", "infarct"]
    assert task.outside_findings(look, replace(HEAD, known=False), 1) == []
    blank = tmp_path / "blank.png"
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(blank)
    assert task.report([blank], task.options)[0].findings == ()


def test_folders_that_ask_for_trust_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_reader(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "blip"}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelError, match=r"no \*\.safetensors"):
        load_reader(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"auto_map": {"AutoTokenizer": "x"}})
    )
    with pytest.raises(ModelError, match="run code of the folder"):
        load_reader(tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_a_folder_of_transformers_is_read_and_answers_alike_each_time(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    tiny_blip(tmp_path)
    reader = load_reader(tmp_path)
    picture = Picture(np.random.default_rng(0).random((1, 40, 48)).astype(np.float32))
    said = reader.read(picture)
    assert said == reader.read(picture)
    assert "[SEP]" not in said
    assert load_reader(tmp_path).sha256 == reader.sha256
    assert len(reader.sha256) == 64
