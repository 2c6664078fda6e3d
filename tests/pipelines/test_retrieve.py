"""From a query to hits: what is searched, how orders are fused, what is told, what is written."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmtool.errors import ModelError, UsageError
from mmtool.io.index import IndexReader, IndexWriter, NewItem, Space
from mmtool.io.limits import Limits
from mmtool.io.readers.picture import read_picture
from mmtool.io.readers.picture_marks import dhash, thumbnail
from mmtool.io.writers.hits import schema_text, write_hits_json, write_hits_tsv
from mmtool.io.writers.hits_html import write_hits_html
from mmtool.models.retrieval.regulators import Regulators, RegulatorSize
from mmtool.pipelines import index_spaces
from mmtool.pipelines.index import IndexRequest, run
from mmtool.pipelines.index_spaces import Encoders
from mmtool.pipelines.retrieval_fusion import fused_ids
from mmtool.pipelines.retrieval_hits import answer
from mmtool.pipelines.retrieval_query import read_query, with_words
from mmtool.pipelines.retrieval_search import Ranking, Searcher
from mmtool.pipelines.retrieve import RetrieveOptions
from mmtool.retrieval import Answer, Encoded, Hit, Item, Kind, Picture, Source

WORDS = ("lung", "brain", "knee", "liver")


def unit(vector: Sequence[float]) -> np.ndarray:
    """Of length 1."""
    rows = np.asarray(vector, np.float32)
    return np.asarray(rows / np.linalg.norm(rows), np.float32)


class Toy:
    """A joint encoder of four topics: a picture's is its grey, a text's are its words."""

    name, sha256, dim = "toy", "1" * 64, 4
    preprocessing: Mapping[str, object] = {}
    kinds: frozenset[Kind] = frozenset({"image", "text"})

    def encode_pictures(self, pictures: Sequence[Picture]) -> Encoded:
        rows = [self.topic(float(p.pixels.mean())) for p in pictures]
        parts = tuple(np.stack([r, self.topic(0.9)]) for r in rows)
        places = np.array([[0, 0, 0.5, 1], [0.5, 0, 0.5, 1]], np.float32)
        return Encoded(np.stack(rows), parts, (places,) * len(rows))

    def encode_texts(self, texts: Sequence[str]) -> Encoded:
        rows = [unit([1e-3 + (w in t.lower()) for w in WORDS]) for t in texts]
        return Encoded(np.stack(rows), tuple(r[None] for r in rows))

    def likelihood(self, similarity: float) -> float:
        return similarity / 2

    @staticmethod
    def topic(grey: float) -> np.ndarray:
        vector = np.full(4, 0.1)
        vector[min(3, int(grey * 4))] = 1
        return unit(vector)


def film(path: Path, grey: float, seed: int = 0) -> Path:
    """A PNG whose mean tells its topic."""
    noise = np.random.default_rng(seed).normal(grey, 0.12, (9, 9)).clip(0, 1)
    small = Image.fromarray((noise * 255).astype(np.uint8))
    small.resize((64, 64), Image.Resampling.BICUBIC).save(path)
    return path


def new(k: int, path: Path, text: str = "", **facts: str) -> NewItem:
    """An item as `mmtool index` makes it."""
    toy = Toy()
    picture = read_picture(path, Limits()) if path.suffix == ".png" else None
    words = toy.encode_texts([text])
    vectors, parts = ({"text": words.vectors[0]}, {}) if text else ({}, {})
    if text:
        parts["text"] = (words.parts[0], np.zeros((1, 4), np.float32))
    if picture is not None:
        seen = toy.encode_pictures([picture])
        vectors["picture"] = seen.vectors[0]
        parts["picture"] = (seen.parts[0], seen.places[0])
    sha256 = read_query(str(path), None, None, Limits()).sha256 if picture else f"{k:064x}"
    source = Source(
        key=path.name,
        path=str(path),
        kind="image" if picture else "text",
        sha256=sha256,
        facts=facts,
        group=f"case{k // 2}",
        text=text,
    )
    return NewItem(
        source,
        told=" ".join(facts.values()),
        dhash=dhash(picture) if picture else "",
        thumbnail=thumbnail(picture) if picture else b"",
        vectors=vectors,
        parts=parts,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An index of four pictures and two texts."""
    shown = [
        new(0, film(tmp_path / "lung.png", 0.1, 1), "Lung with a nodule.", modality="CT"),
        new(1, film(tmp_path / "lung2.png", 0.12, 2), "Lung without a nodule.", modality="XR"),
        new(2, film(tmp_path / "brain.png", 0.35, 3), "", modality="MR", plane="axial"),
        new(3, film(tmp_path / "knee.png", 0.6, 4), "Knee, effusion.", modality="MR"),
        new(4, tmp_path / "a.txt", "The liver is large. No effusion."),
        new(5, tmp_path / "b.txt", "Brain: ring-enhancing lesion <script>alert(1)</script>"),
    ]
    with IndexWriter(tmp_path / "x.mmidx") as writer:
        for name in ("picture", "text"):
            writer.use_space(Space(name, Toy.name, Toy.sha256, {}, Toy.dim))
        writer.add(shown)
        writer.commit()
    return tmp_path / "x.mmidx"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_spaces, "load_encoders", lambda model, device: Encoders(Toy()))


def ask(folder: Path, query: str, **options: object) -> Answer:
    """The answer of a query by options as on the command line."""
    chosen = RetrieveOptions(folder, **options).checked()  # type: ignore[arg-type]
    roi = (0.0, 0.0, 0.5, 0.5) if chosen.roi else None
    with IndexReader(folder) as reader:
        read = read_query(query, chosen.taken_as, roi, Limits())
        if chosen.words is not None:
            read = with_words(read, chosen.words)
        return answer(Searcher(reader), read, chosen.asking())


def names(found: Answer) -> list[str]:
    return [hit.item.source.key for hit in found.hits]


@pytest.mark.usefixtures("toy")
def test_a_picture_finds_itself_first_and_then_what_is_like_it(folder: Path) -> None:
    found = ask(folder, str(folder.parent / "lung2.png"))
    assert names(found)[:2] == ["lung2.png", "lung.png"]
    assert found.hits[0].copy == "same bytes"
    assert found.hits[1].copy == ""
    assert found.hits[1].similarity == pytest.approx(found.hits[1].scores["cosine_picture"] / 2)
    assert found.searches == ("cosine_picture",)
    assert {hit.item.source.kind for hit in found.hits} == {"image"}


@pytest.mark.usefixtures("toy")
def test_without_copies_one_hit_a_case(folder: Path) -> None:
    copy = folder.parent / "again.jpg"
    Image.open(folder.parent / "lung2.png").save(copy, quality=100)
    assert ask(folder, str(copy)).hits[0].copy == "alike"
    found = ask(folder, str(copy), without_copies=True)
    assert names(found)[0] == "lung.png"
    groups = [hit.item.source.group for hit in found.hits]
    assert len(groups) == len(set(groups))


@pytest.mark.usefixtures("toy")
def test_words_reach_pictures_and_texts(folder: Path) -> None:
    found = ask(folder, "brain lesion")
    assert found.searches == ("bm25", "cosine_picture", "cosine_text")
    assert names(found)[0] == "b.txt"
    assert "brain.png" in names(found)[:3]  # it has no words: only its vector tells
    assert found.hits[0].matched == ("brain", "lesion")
    assert "brain.png" in names(ask(folder, "brain lesion", to="image"))[:2]
    only = ask(folder, "brain", to="text")
    assert all(hit.item.source.text for hit in only.hits)


@pytest.mark.usefixtures("toy")
def test_what_is_left_out_comes_last(folder: Path) -> None:
    found = ask(folder, "effusion of the knee or the liver")
    assert names(found)[0] == "knee.png"
    turned = ask(folder, "large liver, no effusion")
    assert turned.left_out == ("effusion",)
    last = turned.hits[-1]
    assert last.item.source.key == "knee.png"
    assert "its words say there is effusion, to be left out" in last.why


@pytest.mark.usefixtures("toy")
def test_a_hit_that_denies_what_is_asked_for_sinks(folder: Path) -> None:
    found = ask(folder, "lung nodule", to="text")
    assert names(found)[:2] == ["lung.png", "lung2.png"]
    assert "its words deny nodule" in found.hits[names(found).index("lung2.png")].why


@pytest.mark.usefixtures("toy")
def test_facts_that_words_name_tip_the_scale(folder: Path) -> None:
    found = ask(folder, "CT of the lung")
    assert found.facts == {"modality": "CT"}
    assert names(found)[0] == "lung.png"
    assert "modality CT, as asked" in found.hits[0].why
    other = ask(folder, "x-ray of the lung")
    assert names(other)[0] == "lung2.png"


@pytest.mark.usefixtures("toy")
def test_a_filter_is_decided_before_the_search(folder: Path) -> None:
    found = ask(folder, str(folder.parent / "lung.png"), condition="modality=MR", k=2)
    assert set(names(found)) == {"brain.png", "knee.png"}
    assert ask(folder, "lung", condition="modality=PT").hits == ()
    with pytest.raises(UsageError, match="nothing in the index is named"):
        ask(folder, "lung", condition="colour=red")


@pytest.mark.usefixtures("toy")
def test_late_interaction_gives_a_region(folder: Path) -> None:
    found = ask(folder, "liver", rerank="filip", to="image")
    assert "late" in found.hits[0].scores
    assert found.hits[0].region == (0.5, 0.0, 0.5, 1.0)  # the toy's second patch is of the liver
    assert ask(folder, "liver", to="image").hits[0].region is None


@pytest.mark.usefixtures("toy")
def test_regulators_are_asked_of_the_encoder(folder: Path) -> None:
    with pytest.raises(ModelError, match="'toy' has no regulators"):
        ask(folder, "liver", rerank="rcar", to="image")


@pytest.mark.usefixtures("toy")
def test_regulators_compare_words_with_pictures(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    regulators = Regulators(RegulatorSize(4, 4, 4, 0, 0))
    monkeypatch.setattr(Toy, "regulators", regulators, raising=False)
    found = ask(folder, "liver", rerank="rcar", to="image")
    assert found.hits[0].region == (0.5, 0.0, 0.5, 1.0)
    assert all(0 < hit.scores["late"] <= 1.0001 for hit in found.hits)
    film = str(folder.parent / "brain.png")
    asked = ask(folder, film, rerank="rcar", to="text")
    assert any("late" in hit.scores for hit in asked.hits)
    assert all(hit.region is None for hit in asked.hits)
    with pytest.raises(UsageError, match="it compares words with pictures"):
        ask(folder, film, rerank="rcar")


@pytest.mark.usefixtures("toy")
def test_a_picture_with_words(folder: Path) -> None:
    film = str(folder.parent / "lung.png")
    alone = {h.item.id: h.scores["cosine_picture"] for h in ask(folder, film).hits}
    both = ask(folder, film, words="brain")
    assert both.kind == "image"
    assert both.asked == ("brain",)
    assert both.searches == ("bm25", "cosine_picture")
    assert both.hits[0].copy == "same bytes"
    assert all(hit.similarity is None for hit in both.hits)  # calibrated on pictures alone
    said = {h.item.id: h.scores["cosine_picture"] for h in both.hits}
    gains = {i: said[i] - alone[i] for i in said}
    names_of = {h.item.id: h.item.source.key for h in both.hits}
    assert names_of[max(gains, key=lambda i: gains[i])] == "brain.png"


@pytest.mark.usefixtures("toy")
def test_words_go_with_a_picture(folder: Path) -> None:
    with pytest.raises(UsageError, match="--words goes with a picture"):
        ask(folder, "lung", words="brain")
    with pytest.raises(UsageError, match="nothing is asked for"):
        ask(folder, str(folder.parent / "lung.png"), words="no effusion")


@pytest.mark.usefixtures("toy")
def test_a_picture_can_ask_for_words(folder: Path) -> None:
    found = ask(folder, str(folder.parent / "brain.png"), to="text")
    assert "b.txt" in names(found)[:2]  # beside the picture with words that looks most like it
    assert found.searches == ("cosine_picture", "cosine_text")


@pytest.mark.usefixtures("toy")
def test_what_no_search_leads_to(folder: Path) -> None:
    with pytest.raises(UsageError, match="no search leads from a molecule to image"):
        ask(folder, "CCO", taken_as="molecule", to="image")


def test_another_encoder_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Toy()
    other.sha256 = "2" * 64
    monkeypatch.setattr(index_spaces, "load_encoders", lambda model, device: Encoders(other))
    with pytest.raises(ModelError, match="not by toy 222222222222"):
        ask(folder, str(folder.parent / "lung.png"))


@given(st.lists(st.lists(st.integers(1, 30), unique=True, max_size=12), max_size=4))
def test_fusion_keeps_what_all_searches_agree_on(orders: list[list[int]]) -> None:
    rankings = [
        Ranking(str(n), {i: -float(k) for k, i in enumerate(o)}) for n, o in enumerate(orders)
    ]
    fused = fused_ids(rankings)
    assert set(fused) == {i for order in orders for i in order}
    assert list(fused.values()) == sorted(fused.values(), reverse=True)
    if orders and orders[0] and all(o[:1] == orders[0][:1] for o in orders):
        assert next(iter(fused)) == orders[0][0]
    assert fused == fused_ids(rankings[::-1])


@pytest.mark.usefixtures("toy")
def test_files_of_an_answer(folder: Path, tmp_path: Path) -> None:
    found = ask(folder, "brain, no <b>oedema</b>", rerank="filip")
    home = tmp_path / "far" / "away"
    write_hits_tsv(tmp_path / "hits.tsv", found, home)
    write_hits_json(tmp_path / "hits.json", found, home)
    write_hits_html(tmp_path / "hits.html", found, home)
    table = (tmp_path / "hits.tsv").read_text().splitlines()
    rows = list(csv.DictReader(table, delimiter="\t"))
    plain = json.loads((tmp_path / "hits.json").read_text())
    jsonschema.validate(plain, json.loads(schema_text()))
    assert [row["key"] for row in rows] == [hit["key"] for hit in plain["hits"]]
    path = home / plain["hits"][0]["path"]
    assert path.resolve() == (tmp_path / plain["hits"][0]["key"]).resolve()
    page = (tmp_path / "hits.html").read_text()
    assert "<script>alert" not in page
    assert "<b>" not in page
    assert "<mark>Brain</mark>" in page
    assert "default-src 'none'" in page
    assert 'class="region"' in page


@pytest.fixture
def strings(tmp_path: Path) -> Path:
    """An index of molecules and proteins."""
    (tmp_path / "drugs.smi").write_text("CCO a\nCCCO b\nc1ccccc1C(=O)O c\nCOC(=O)c1ccccc1 d\n")
    (tmp_path / "p.fasta").write_text(">p1\nMKTAYIAKQRQISFVKSHFSRQ\n>p2\nGSHMGGGSGGGSGGGSWWWWW\n")
    sources = (tmp_path / "drugs.smi", tmp_path / "p.fasta")
    run(IndexRequest(sources, tmp_path / "s.mmidx", model="hog", device="cpu"))
    return tmp_path / "s.mmidx"


def test_molecules_by_their_fragments(strings: Path) -> None:
    found = ask(strings, "CCO", taken_as="molecule")
    assert [hit.item.source.content for hit in found.hits[:2]] == ["CCO", "CCCO"]
    assert found.hits[0].scores["tanimoto"] == 1.0
    assert found.hits[0].copy == "same bytes"
    tanimoto = [hit.scores["tanimoto"] for hit in found.hits]
    assert tanimoto == sorted(tanimoto, reverse=True)


def test_molecules_by_a_substructure(strings: Path) -> None:
    found = ask(strings, "C(=O)O", taken_as="substructure")
    assert {hit.item.source.content for hit in found.hits} == {"c1ccccc1C(=O)O", "COC(=O)c1ccccc1"}
    assert found.hits[0].why == ("holds the pattern",)
    assert ask(strings, "[Pt]", taken_as="substructure").hits == ()
    with pytest.raises(UsageError):
        ask(strings, "C(=O", taken_as="substructure")


def test_proteins_by_alignment(strings: Path) -> None:
    found = ask(strings, "AYIAKQRQISFVK", taken_as="protein")
    assert found.hits[0].item.source.content.startswith("MKTAY")
    assert found.hits[0].scores["identity"] == 1.0
    assert "100% of the aligned letters are equal" in found.hits[0].why


def test_a_gallery_of_molecules_and_hostile_names(tmp_path: Path) -> None:
    def item(k: int, content: str, key: str) -> Item:
        source = Source(key, f"/d/{key}", "molecule", "0" * 64, content=content)
        return Item(k, source)

    hits = (
        Hit(1, item(1, "CCO", 'a".smi#1'), 0.5, why=("Tanimoto 1.00",)),
        Hit(2, item(2, "not a molecule", "<i>.smi#2"), 0.4),
        Hit(3, item(3, "C" * 5000, "long.smi#3"), 0.3),
    )
    found = Answer("CCO", "molecule", "0" * 64, hits, content="CCO")
    write_hits_html(tmp_path / "hits.html", found, tmp_path)
    page = (tmp_path / "hits.html").read_text()
    assert page.count("data:image/svg+xml;base64,") == 2  # the query and the first hit
    assert "<i>" not in page
    assert "Tanimoto 1.00" in page
    write_hits_html(tmp_path / "none.html", replace(found, hits=()), tmp_path)
    assert "Nothing was found" in (tmp_path / "none.html").read_text()
