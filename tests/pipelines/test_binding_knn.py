"""The nearest-neighbour baseline: its neighbours, its negatives, and what it does not know."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from binding_models import CMV, EBV, FLU, KNOWN, write_knn

from mmtool.errors import InputError, ModelError, UsageError
from mmtool.io.limits import Limits
from mmtool.models.store import resolve_model
from mmtool.pipelines.binding_epitopes import given_epitopes, known_epitopes, standard_allele
from mmtool.pipelines.binding_knn import LevenshteinKnn, shuffled_pairs
from mmtool.pipelines.binding_models import load_binding_model
from mmtool.pipelines.user_binders import read_binders
from mmtool.receptors import Binder, Receptor

CPU = torch.device("cpu")
MODEL = LevenshteinKnn({"k": 3, "few": 3}, KNOWN)


def test_scores_and_neighbours_of_known_binders() -> None:
    receptors = [b.receptor for b in KNOWN] + [Receptor(), Receptor(cdr3_a="CAGAGSQGNLIF")]
    scores = MODEL.score(receptors, [FLU, CMV, "AAAAAAAAA"])
    assert scores.score.shape == (9, 3)
    assert scores.known.tolist() == [3, 2, 0]
    assert scores.nearest[:3, 0].tolist() == [0, 1, 2]
    assert scores.distance[:3, 0].tolist() == [0, 0, 0]
    assert scores.nearest[:, 2].tolist() == [-1] * 9
    assert np.isnan(scores.score[7]).all()
    assert scores.nearest[7].tolist() == [-1, -1, -1]
    assert scores.nearest[8, 0] == 1
    assert scores.score[0, 0] > 0
    np.testing.assert_allclose(scores.probability[:7], 1 / (1 + np.exp(-scores.score[:7])))


def test_a_row_does_not_depend_on_the_others() -> None:
    receptors = [b.receptor for b in KNOWN]
    together = MODEL.score(receptors, [FLU, EBV]).score
    alone = np.concatenate([MODEL.score([r], [FLU, EBV]).score for r in receptors])
    np.testing.assert_array_equal(together, alone)


def test_neighbours_are_padded_and_begin_with_the_nearest() -> None:
    receptors = [b.receptor for b in KNOWN]
    place, distance = MODEL.neighbours(receptors, FLU, 5)
    assert place.shape == (7, 5)
    assert (place[:, 3:] == -1).all()
    assert np.isnan(distance[:, 3:]).all()
    np.testing.assert_array_equal(place[:, 0], MODEL.score(receptors, [FLU]).nearest[:, 0])
    assert (np.diff(distance[:, :3]) >= 0).all()


def test_negatives_follow_the_epitopes_own_frequency() -> None:
    positives = [(f"C{i}F", "A" if i % 4 else "B") for i in range(2000)]
    negatives = shuffled_pairs(positives, 0)
    assert not set(positives) & set(negatives)
    assert negatives == shuffled_pairs(positives, 0)
    assert len(negatives) > 1980  # now and then no draw is another epitope
    assert not shuffled_pairs([("CF", "A"), ("CTF", "A")], 0)
    three = [(f"C{i}F", "AAAAABBBCC"[i % 10]) for i in range(5000)]
    drawn = Counter(e for (_, own), (_, e) in zip(three, shuffled_pairs(three, 1), strict=True))
    assert drawn["A"] < drawn["B"] + drawn["C"]
    assert drawn["B"] > drawn["C"]


def test_one_epitope_alone_gives_no_score() -> None:
    scores = LevenshteinKnn({}, KNOWN[:3]).score([KNOWN[0].receptor], [FLU])
    assert np.isnan(scores.score).all()
    assert scores.nearest.tolist() == [[0]]


def test_a_users_binders_come_after_those_of_the_model(tmp_path: Path) -> None:
    files = resolve_model("tcr-bind", str(write_knn(tmp_path)))
    own = Binder(Receptor(cdr3_b="CASSPPPPEQYF"), "AAAAAAAAA", source="user")
    model = load_binding_model(files, CPU, [own])
    assert list(model.binders) == [*KNOWN, own]
    scores = model.score([own.receptor], ["AAAAAAAAA"])
    assert (scores.nearest[0, 0], scores.known[0]) == (7, 1)
    assert list(load_binding_model(files, CPU).binders) == list(KNOWN)


def test_an_unknown_network_is_refused(tmp_path: Path) -> None:
    files = resolve_model("tcr-bind", str(write_knn(tmp_path, network="none")))
    with pytest.raises(ModelError, match="unknown network 'none'"):
        load_binding_model(files, CPU)


def test_a_table_of_ones_own_binders(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        "cdr3b,vb,epitope,hla,pmid\nCASSIRSSYEQYF,TRBV19,GILGFVFTL,A2,28423320\n"
        "CASS*F,TRBV19,GILGFVFTL,,\nCASSIRSSYEQYF,TRBV19,short,,\n"
    )
    binders, notes = read_binders(path)
    receptor = Receptor(v_b="TRBV19", cdr3_b="CASSIRSSYEQYF")
    assert binders == [Binder(receptor, FLU, "A2", "28423320", "user")]
    assert notes == ["1 known binders from mine.csv", "2 rows of mine.csv hold no usable binder"]
    path.write_text("cdr3b\nCASSIRSSYEQYF\n")
    with pytest.raises(InputError, match="no column of epitopes"):
        read_binders(path)
    path.write_text("cdr3b,epitope\nCASS*F,GILGFVFTL\n")
    with pytest.raises(InputError, match="no usable binder"):
        read_binders(path)


def test_alleles_choose_among_known_epitopes() -> None:
    assert [e.sequence for e in known_epitopes(MODEL, [])] == [FLU, EBV, CMV]
    assert [e.sequence for e in known_epitopes(MODEL, ["B8"])] == [EBV]
    for word in ("A*02:01", "HLA-A2", "A0201", "HLA-A*02:01:01"):
        assert len(known_epitopes(MODEL, [word])) == 3
    assert [e.sequence for e in known_epitopes(MODEL, ["A*02:06"])] == [FLU]  # one is A*02 only
    assert standard_allele("nonsense") == ""
    with pytest.raises(UsageError, match="no human MHC allele"):
        known_epitopes(MODEL, ["nonsense"])
    with pytest.raises(UsageError, match="presented by HLA-B\\*27:05") as error:
        known_epitopes(MODEL, ["B*27:05"])
    assert "HLA-B*08:01" in error.value.hint


def test_epitopes_of_the_command_line_are_taken_once() -> None:
    found = given_epitopes(["gilgfvftl", FLU, CMV], None, Limits())
    assert [e.sequence for e in found] == [FLU, CMV]
    with pytest.raises(UsageError, match="'X' is no amino acid"):
        given_epitopes(["GILX"], None, Limits())
