"""Molecules and words: trained, stored, indexed and searched both ways."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mmtool.errors import InputError, ModelError
from mmtool.io.index import IndexReader
from mmtool.io.limits import Limits
from mmtool.models.encoders.molecule_text import load_molecule_text
from mmtool.models.store import resolve_model
from mmtool.pipelines.evaluation.retrieve_molecules import (
    RIDGE_WORDS,
    MoleculeFloors,
    both_ranks,
    chance,
    measures,
)
from mmtool.pipelines.index import IndexRequest, run
from mmtool.pipelines.retrieval_hits import answer
from mmtool.pipelines.retrieval_query import read_query
from mmtool.pipelines.retrieval_search import Searcher
from mmtool.pipelines.retrieve import RetrieveOptions
from mmtool.pipelines.training.molecules import MoleculesTraining, train_molecules
from mmtool.pipelines.training.molecules_fit import MoleculeFit, correlated
from mmtool.retrieval import Answer

KINDS = {
    "fatty acid": [f"{'C' * n}C(=O)O" for n in range(8, 20)],
    "chlorobenzene": [f"{'C' * n}c1ccc(Cl)cc1" for n in range(12)],
    "primary amine": [f"{'C' * n}OCCN" for n in range(1, 13)],
}
TABLE = """smiles,description
CCCCCCCCCCCCCCCCCC(=O)O,A long-chain saturated fatty acid.
NCC(=O)O,The simplest amino acid.
C[C@]12CC[C@H]3[C@H]([C@@H]1CC[C@@H]2O)CCC4=CC(=O)CC[C@]34C,An androgen steroid hormone.
c1ccc2ccccc2c1,
OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O,A hexose sugar.
C1CC,A ring that is never closed.
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [
        {"smiles": smiles, "description": f"The molecule is a {kind} of size {k}."}
        for kind, some in KINDS.items()
        for k, smiles in enumerate(some)
    ]
    rows += [{"smiles": "broken", "description": "x"}, {"smiles": "CC", "description": " "}]
    folder = tmp_path / "data" / "chebi20"
    folder.mkdir(parents=True)
    with gzip.open(folder / "validation.jsonl.gz", "wt") as file:
        file.write("\n".join(json.dumps(row) for row in rows))
    return tmp_path / "data"


def test_training_goes_on_and_learns(data: Path, tmp_path: Path) -> None:
    def trained(epochs: int) -> tuple[Path, list[str]]:
        told: list[str] = []
        options = MoleculesTraining(data, tmp_path / "out", MoleculeFit(epochs, batch=16))
        return train_molecules(options, told.append), told

    folder, told = trained(2)
    assert told[0] == "36 molecules with descriptions, 2 rows unread"
    assert [line.split(":")[0] for line in told[-2:]] == ["epoch 1 of 2", "epoch 2 of 2"]
    weights = load_file(folder / "model.safetensors")
    assert {t.dtype for t in weights.values()} == {torch.float16}
    (folder / "model.safetensors").unlink()
    _, resumed = trained(2)
    assert not any("epoch" in line for line in resumed)  # no pass was left to be made
    for name, tensor in load_file(folder / "model.safetensors").items():
        torch.testing.assert_close(tensor, weights[name], rtol=0, atol=0)
    encoder = load_molecule_text(str(folder))
    words = encoder.encode_texts([f"a {kind}" for kind in KINDS]).vectors
    seen = encoder.encode([some[5] for some in KINDS.values()]).vectors
    assert (words @ seen.T).argmax(1).tolist() == [0, 1, 2]
    assert resolve_model("retrieve", str(folder)).card["metrics"][0]["n"] == 3


def test_no_data_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 molecules with descriptions"):
        train_molecules(MoleculesTraining(tmp_path, tmp_path / "out"), lambda line: None)


def test_correlated_directions_are_the_shared_ones() -> None:
    draw = np.random.default_rng(0)
    shared = draw.normal(size=(400, 2))
    first, second = (
        np.hstack([shared, draw.normal(size=(400, 3))]) @ draw.normal(size=(5, 5)) for _ in range(2)
    )
    views = [(v - v.mean(0)).astype(np.float32) for v in (first, second)]
    one, other = correlated(views[0], views[1], 2, 1e-3)
    for k in range(2):
        found = np.corrcoef(views[0] @ one[:, k], views[1] @ other[:, k])[0, 1]
        assert found > 0.99


def test_ranks_and_floors() -> None:
    scores = np.array([[0.9, 0.1, 0.2], [0.8, 0.3, 0.1], [0.4, 0.4, 0.4]])
    ranks = both_ranks(scores, np.arange(3))
    np.testing.assert_array_equal(ranks, [[1, 2, 2], [1, 2, 1]])
    assert both_ranks(scores, np.array([0, 0, 1]))[0].tolist() == [1, 1, 2]
    assert measures(ranks[0])["MRR"] == pytest.approx(100 * 2 / 3)
    assert chance(3) == pytest.approx(
        {"MRR": 100 * 11 / 18, "Hits@1": 100 / 3, "Hits@10": 100, "mean rank": 2}
    )
    smiles = [s for some in KINDS.values() for s in some]
    texts = [f"a {kind} {k}" for kind, some in KINDS.items() for k in range(len(some))]
    test = np.arange(0, 36, 3)
    train = np.setdiff1d(np.arange(36), test)
    floors = MoleculeFloors(smiles, texts)
    found = floors.scores(train, (train[::2], train[1::2]), test)[RIDGE_WORDS]
    kinds = test // 12
    assert (kinds[found.argmax(1)] == kinds).all()


def ask(folder: Path, query: str, **options: object) -> Answer:
    asked = replace(RetrieveOptions(folder), **options)  # type: ignore[arg-type]
    with IndexReader(folder) as reader:
        return answer(Searcher(reader), read_query(query, None, None, Limits()), asked.asking())


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of molecules, some with words, by the shipped encoder."""
    folder = tmp_path_factory.mktemp("molecules")
    (folder / "in").mkdir()
    (folder / "in/drugs.csv").write_text(TABLE)
    request = IndexRequest((folder / "in",), folder / "x.mmidx", model="hog", device="cpu")
    result = run(request)
    assert result.added == {"molecule": 5}
    assert [f.reason for f in result.failures] == ["a SMILES that can't be read"]
    return folder / "x.mmidx"


def test_molecules_are_found_by_words(index: Path) -> None:
    with IndexReader(index) as reader:
        spaces = reader.manifest["spaces"]
        assert spaces["molecule_words"]["encoder"] == "molecule-text"
        assert spaces["molecule_words"]["sha256"] == spaces["molecule_text"]["sha256"]
        assert len(reader.vectors("molecule_words")[0]) == 5
        assert len(reader.vectors("molecule_text")[0]) == 4
    for words, smiles in (
        ("a polycyclic aromatic hydrocarbon, naphthalenes", "c1ccc2ccccc2c1"),
        ("a 3-oxo Delta(4)-steroid and a 17beta-hydroxy steroid", "C[C@]12CC"),
        ("an octadecanoic acid, straight-chain saturated fatty acid", "CCCCCCCC"),
    ):
        for to in ("molecule", None):
            found = ask(index, words, to=to)
            scores = {
                h.item.source.content: h.scores.get("cosine_molecule_words", -1.0)
                for h in found.hits
            }
            assert max(scores, key=lambda s: scores[s]).startswith(smiles)


def test_texts_are_found_by_a_molecule(index: Path) -> None:
    found = ask(index, "CCCCCCCCCCCCCCCC(=O)O", to="text")
    assert "cosine_molecule_text" in found.searches
    best = max(found.hits, key=lambda hit: hit.scores.get("cosine_molecule_text", -1.0))
    assert best.item.source.text == "A long-chain saturated fatty acid."
    assert found.hits[0].item.source.text == "A long-chain saturated fatty acid."
    assert ask(index, "NCCC(=O)O").hits[0].item.source.content == "NCC(=O)O"  # as before


def test_an_index_of_before_works_on(index: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.mmidx"
    shutil.copytree(index, old)
    with sqlite3.connect(old / "items.sqlite") as link:
        link.execute("DELETE FROM segments WHERE space LIKE 'molecule_%'")
        link.execute("DELETE FROM spaces WHERE name LIKE 'molecule_%'")
    link.close()
    assert ask(old, "steroid", to="molecule").searches == ("bm25",)
    assert ask(old, "NCCC(=O)O").hits[0].item.source.content == "NCC(=O)O"


def test_another_encoder_is_refused(index: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.mmidx"
    shutil.copytree(index, other)
    with sqlite3.connect(other / "items.sqlite") as link:
        link.execute("UPDATE spaces SET sha256 = '0' WHERE name = 'molecule_words'")
    link.close()
    with pytest.raises(ModelError, match="molecule_words"):
        ask(other, "steroid", to="molecule")
    request = IndexRequest((index.parent / "in",), other, model="hog", device="cpu")
    with pytest.raises(ModelError, match="of other weights or settings"):
        run(request)
