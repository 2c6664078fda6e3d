"""``mmtool evaluate tcr-bind``: pairs, leaks, scores by themselves, and the tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from binding_models import CMV, EBV, FLU, KNOWN

from mmtool.errors import InputError, UsageError
from mmtool.models.tcr.chain_space import CHAINS
from mmtool.pipelines.binding_knn import LevenshteinKnn
from mmtool.pipelines.binding_model import BindingModel
from mmtool.pipelines.evaluation.binding import FREQUENCY, PRIOR, evaluate, score_pairs
from mmtool.pipelines.evaluation.binding_leaks import find_leaks
from mmtool.pipelines.evaluation.binding_pairs import (
    Pair,
    PairTable,
    read_pairs,
    with_controls,
    with_swaps,
)
from mmtool.pipelines.training.tcr_data import Controls
from mmtool.pipelines.training.tcr_fit import FitOptions, Settings, fit
from mmtool.pipelines.training.tcr_tuning import START
from mmtool.receptors import AMINO_ACIDS, Binder, Receptor

UNSEEN = "LLWNGPMAV"


def drawn(count: int, seed: int) -> list[Receptor]:
    """Receptors with junctions of random letters."""
    draw = np.random.default_rng(seed)
    words = ["".join(draw.choice(list(AMINO_ACIDS), 8)) for _ in range(2 * count)]
    both = zip(words[::2], words[1::2], strict=True)
    return [Receptor("TRAV27", "", f"CA{a}F", "TRBV19", "", f"CAS{b}F") for a, b in both]


@pytest.fixture(scope="module")
def ratio() -> BindingModel:
    """The default model's arithmetic with tcrdist's weights."""
    binders = [*KNOWN, *(Binder(r, CMV) for r in drawn(20, 1))]
    settings = dict.fromkeys(CHAINS, START)
    general = drawn(200, 2)
    return fit(
        binders,
        Controls(tuple(general), ("",) * 200),
        Settings(settings),
        FitOptions(dimensions=16),
    )


@pytest.mark.parametrize("kind", ["ratio", "knn"])
def test_scores_never_use_the_other_rows(kind: str, ratio: BindingModel) -> None:
    model = ratio if kind == "ratio" else LevenshteinKnn({"k": 3}, KNOWN)
    receptors = [b.receptor for b in KNOWN] + drawn(30, 3) + [Receptor(cdr3_a="CAGAGSQGNLIF")]
    draw = np.random.default_rng(0)
    pairs = [Pair(1, r, e, bool(draw.integers(2))) for r in receptors for e in (FLU, CMV, UNSEEN)]
    whole = score_pairs(model, pairs).scores
    assert len(np.unique(whole)) > 3
    order = draw.permutation(len(pairs))
    shuffled = score_pairs(model, [pairs[i] for i in order]).scores
    np.testing.assert_allclose(shuffled, whole[order], atol=1e-5)
    for some in ([0], [3, 50], order[:20]):
        alone = score_pairs(model, [pairs[i] for i in some]).scores
        np.testing.assert_allclose(alone, whole[some], atol=1e-5)
    flipped = [replace(p, binds=not p.binds) for p in pairs]
    np.testing.assert_array_equal(score_pairs(model, flipped).scores, whole)


def test_a_swap_tells_neither_by_epitope_nor_by_receptor() -> None:
    epitopes = [FLU] * 60 + [CMV] * 50 + [EBV] * 15
    receptors = drawn(125, 4)
    both = zip(receptors, epitopes, strict=True)
    table = PairTable([Pair(0, r, e, True) for r, e in both])
    swapped = with_swaps(table, seed=0)
    made = [p for p in swapped.pairs if not p.binds]
    assert Counter(p.epitope for p in made) == Counter(epitopes)
    assert Counter(p.receptor for p in made) == Counter(receptors)
    known = {(p.receptor, p.epitope) for p in table.pairs}
    assert not known & {(p.receptor, p.epitope) for p in made}
    assert {p.seen for p in swapped.pairs} == {1}


def test_a_swap_needs_two_epitopes_and_no_negatives() -> None:
    one = PairTable([Pair(1, r, FLU, True) for r in drawn(3, 5)])
    with pytest.raises(UsageError, match="one epitope"):
        with_swaps(one, 0)
    with pytest.raises(UsageError, match="has negatives"):
        with_swaps(PairTable([*one.pairs, Pair(4, drawn(1, 6)[0], CMV, False)]), 0)


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("yes", "no"), [("1", "0"), ("1", "-1"), ("true", "False"), ("Yes", "no"), ("1.0", "0.0")]
)
def test_labels_are_read_as_people_write_them(yes: str, no: str, tmp_path: Path) -> None:
    path = written(
        tmp_path / "t.tsv",
        "cdr3b\tepitope\tLabel\tpmid",
        f"CASSIRSSYEQYF\t{FLU}\t{yes}\tPMID:1",
        f"CASSIRSAYEQYF\t{CMV}\t{no}\t",
        f"CASSIRSAYEQYF\t{CMV}\t\t",
        f"CAS*\t{CMV}\t1\t",
        "CASSIRSAYEQYF\t\t1\t",
    )
    table = read_pairs(path, None)
    assert [(p.row, p.epitope, p.binds) for p in table.pairs] == [(1, FLU, True), (2, CMV, False)]
    assert table.pairs[0].reference == "PMID:1"
    left_out = next(n for n in table.notes if n.startswith("rows left out"))
    assert "1 no label" in left_out
    assert "1 no epitope" in left_out


def test_bad_labels_and_columns_are_told(tmp_path: Path) -> None:
    path = written(tmp_path / "t.tsv", "cdr3b\tepitope\tlabel\tx", f"CASSIRSSYEQYF\t{FLU}\t3\t1")
    with pytest.raises(InputError, match="row 1: label '3'"):
        read_pairs(path, None)
    assert read_pairs(path, "x").pairs[0].binds
    with pytest.raises(InputError, match="'y' is not there"):
        read_pairs(path, "y")
    two = written(tmp_path / "u.tsv", "cdr3b\tepitope\tlabel\tbinder", f"CASSF\t{FLU}\t1\t1")
    with pytest.raises(InputError, match="several columns"):
        read_pairs(two, None)
    none = written(tmp_path / "v.tsv", "cdr3b\tlabel", "CASSIRSSYEQYF\t1")
    with pytest.raises(InputError, match="no column of epitopes"):
        read_pairs(none, None)


def test_controls_are_negatives_of_every_epitope_but_never_known_binders(tmp_path: Path) -> None:
    path = written(tmp_path / "c.tsv", "cdr3b", "CASSIRSSYEQYF", "CASSLAPGATNEKLFF")
    binder = Receptor(cdr3_b="CASSIRSSYEQYF")
    other = Pair(2, Receptor(cdr3_b="CASSQDRGTEAFF"), CMV, True)
    table = with_controls(PairTable([Pair(1, binder, FLU, True), other]), path)
    made = [(p.receptor.cdr3_b, p.epitope) for p in table.pairs if not p.binds]
    assert sorted(made) == [("CASSLAPGATNEKLFF", FLU), ("CASSLAPGATNEKLFF", CMV)]


def test_leaks_are_found_by_chain_edit_and_gene() -> None:
    paired = KNOWN[1].receptor
    cases = {
        "same": (paired, FLU, "same_receptor"),
        "beta of it": (Receptor(v_b="TRBV19*01", cdr3_b="CASSIRSAYEQYF"), FLU, "same_receptor"),
        "one edit": (replace(paired, cdr3_a="CAGAGSQGNLF"), FLU, "near"),
        "an edit a chain": (
            replace(paired, cdr3_a="CAGAGSQGNLF", cdr3_b="CASSIRSVYEQYF"), FLU, "near"
        ),
        "two edits": (replace(paired, v_b="TRBV2", cdr3_b="CASSIRTTTEQYF"), FLU, None),
        "other gene": (Receptor(v_b="TRBV2", cdr3_b="CASSIRSAYEQYF"), FLU, None),
        "other epitope": (paired, CMV, "other_epitope"),
        "alpha alone": (Receptor(cdr3_a="CAEDNNARLMF"), EBV, "same_receptor"),
        "stranger": (drawn(1, 7)[0], FLU, None),
    }  # fmt: skip
    pairs = [Pair(i, r, e, True) for i, (r, e, _) in enumerate(cases.values())]
    leaks = find_leaks(pairs, KNOWN)
    for row, (name, (_, _, expected)) in enumerate(cases.items()):
        hit = [check for check, found in leaks.found.items() if found[row]]
        assert hit == ([expected] if expected else []), name
        assert (leaks.closest[row] >= 0) == bool(expected), name


def test_what_cannot_be_checked_is_told() -> None:
    hidden = [replace(KNOWN[0], receptor=Receptor()), *KNOWN[1:]]
    pairs = [Pair(1, KNOWN[0].receptor, FLU, False), Pair(2, KNOWN[4].receptor, CMV, True)]
    told = " ".join(find_leaks(pairs, hidden).sentences(pairs))
    assert "1 of 7 binders of the model carry no sequence" in told
    assert "give no references" in told.replace("gives", "give")
    told = " ".join(find_leaks(pairs, KNOWN).sentences(pairs))
    assert "1 negatives are known binders" in told
    with_study = [replace(p, reference="PMID:2") for p in pairs]
    assert find_leaks(with_study, KNOWN).found["same_study"].tolist() == [False, True]


def test_the_report_parts_epitopes_and_compares_on_the_same_rows(ratio: BindingModel) -> None:
    near = [Receptor(v_b="TRBV19", cdr3_b=f"CASSIRS{x}YEQYF") for x in "GTVI"]
    pairs = [Pair(0, r, e, e == FLU) for r in near for e in (FLU, CMV, UNSEEN)]
    far = [replace(r, v_a="", cdr3_a="") for r in drawn(4, 8)]
    pairs += [Pair(0, r, e, e != FLU) for r in far for e in (FLU, CMV, UNSEEN)]
    report = evaluate(PairTable(pairs), {"one": ratio, "two": ratio}, times=50)
    assert report.groups == {FLU: "few", CMV: "seen", UNSEEN: "unseen"}
    lines = {(x.source, x.group): x for x in report.summary()}
    assert lines["one", "few"].measures["auc"].value == 1
    assert lines["one", "unseen"].measures["auc"].value == 0.5
    assert lines["one", "all"].epitope == "mean of 3"
    assert lines["two - one", "all"].measures["auc"].low == 0
    assert lines["two - one", "all"].measures["auc"].high == 0
    assert lines[PRIOR, "pooled"].measures["auc"].value == 0.5
    assert (FREQUENCY, "all") in lines
    # Its positives are an edit from known binders: without them the epitope can't be scored.
    assert lines["one", "no leaks"].epitope == "mean of 2"
    assert any(note.startswith("one: no answer for 8 pairs") for note in report.notes)


def test_a_known_binder_shows_by_its_distance_without_its_sequence(ratio: BindingModel) -> None:
    known = [b.receptor for b in ratio.binders if b.epitope == CMV][-5:]
    pairs = [Pair(0, r, CMV, True) for r in known] + [Pair(0, r, CMV, False) for r in drawn(5, 11)]
    hidden = [b if i % 3 else replace(b, receptor=Receptor()) for i, b in enumerate(ratio.binders)]
    ratio = replace(ratio, binders=hidden)
    found = evaluate(PairTable(pairs), {"one": ratio}, times=20).leaks["one"].found
    assert found["no_distance"].tolist() == [True] * 5 + [False] * 5
    assert not found["same_receptor"].all()


@pytest.mark.parametrize(("often", "told"), [((1, 4), True), ((4, 1), True), ((2, 2), False)])
def test_a_table_that_gives_itself_away_is_told(often: tuple[int, int], told: bool) -> None:
    pairs = [Pair(0, r, FLU, True, seen=often[0]) for r in drawn(5, 9)]
    pairs += [Pair(0, r, FLU, False, seen=often[1]) for r in drawn(5, 10)]
    report = evaluate(PairTable(pairs), {"knn": LevenshteinKnn({}, KNOWN)}, times=20)
    assert any("gives its labels away" in note for note in report.notes) == told
