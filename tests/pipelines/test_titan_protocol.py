"""TITAN's protocol, rebuilt: what is held out, how negatives are drawn, and what it flatters."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mmtool.errors import InputError
from mmtool.pipelines.evaluation.titan_methods import METHODS, LabelledPair, knn, prior
from mmtool.pipelines.evaluation.titan_protocol import (
    NEGATIVES,
    SPLITS,
    TitanProtocol,
    capped,
    parted,
    with_negatives,
)
from mmtool.receptors import AMINO_ACIDS

EPITOPES = [f"{a}LAGIGILTV" for a in AMINO_ACIDS[:12]]


def _known(sizes: list[int]) -> list[tuple[str, str]]:
    """Binders of an epitope share a core; 12 epitopes."""
    draw = np.random.default_rng(0)
    out = []
    for number, (epitope, n) in enumerate(zip(EPITOPES, sizes, strict=True)):
        core = AMINO_ACIDS[number] * 3
        for _ in range(n):
            ends = "".join(draw.choice(list(AMINO_ACIDS), 6))
            out.append((f"CASS{ends[:3]}{core}{ends[3:]}EQYF", epitope))
    return out


KNOWN = _known([40, 160] * 6)


def test_the_cap_keeps_sixteen_to_four_hundred() -> None:
    known = _known([15, 16, 500] + [20] * 9)
    count = Counter(e for _, e in capped(known, 0))
    assert EPITOPES[0] not in count
    assert (count[EPITOPES[1]], count[EPITOPES[2]]) == (16, 400)
    assert set(capped(known, 0)) < set(known)
    assert capped(known, 0) != capped(known, 1)


@pytest.mark.parametrize("split", SPLITS)
def test_no_receptor_and_in_strict_folds_no_epitope_is_on_both_sides(split: str) -> None:
    both = [(KNOWN[0][0], e) for e in EPITOPES[1:4]]  # one receptor of four epitopes
    tested = []
    for train, test in parted([*KNOWN, *both], split, 4, 0):
        assert not {s for s, _ in train} & {s for s, _ in test}
        if split == SPLITS[1]:
            assert not {e for _, e in train} & {e for _, e in test}
        tested += test
    assert sorted(tested) == sorted([*KNOWN, *both])


def test_negatives_are_drawn_as_titan_does_or_in_proportion() -> None:
    for negatives, ratio in zip(NEGATIVES, (1, 4), strict=True):
        pairs = with_negatives(KNOWN, [], negatives, 0)
        drawn = Counter(p.epitope for p in pairs if not p.binds)
        few, many = (sum(drawn[e] for e in EPITOPES[i::2]) for i in (0, 1))
        assert many / few == pytest.approx(ratio, rel=0.25)
        assert not {(p.cdr3, p.epitope) for p in pairs if not p.binds} & set(KNOWN)
        assert Counter(p.cdr3 for p in pairs if not p.binds).most_common(1)[0][1] == 1


def test_known_binders_are_no_negatives() -> None:
    known = [(s, e) for s, _ in KNOWN[:5] for e in EPITOPES[:11]]
    pairs = with_negatives([*KNOWN[:5], *KNOWN[-5:]], known, NEGATIVES[0], 0)
    assert not {(p.cdr3, p.epitope) for p in pairs if not p.binds} & set(known)


def test_the_prior_knows_the_epitope_alone() -> None:
    score = prior([LabelledPair("CA", "E", True), LabelledPair("CT", "E", False)] * 2, 0)
    np.testing.assert_array_equal(
        score([LabelledPair("CA", "E", True), LabelledPair("CG", "unknown", False)]), [0.5, 0.5]
    )


def test_a_method_sees_nothing_of_the_labels_it_is_asked_for() -> None:
    train, test = next(parted(KNOWN, SPLITS[0], 5, 0))
    pairs = with_negatives(train, KNOWN, NEGATIVES[1], 0)
    asked = with_negatives(test, KNOWN, NEGATIVES[1], 0)
    turned = [LabelledPair(p.cdr3, p.epitope, not p.binds) for p in asked]
    for method in METHODS.values():
        np.testing.assert_array_equal(method(pairs, 0)(asked), method(pairs, 0)(turned))
    assert len(np.unique(knn(pairs, 0)(asked))) > 2


def test_pooled_auc_is_flattered_by_uniform_negatives(tmp_path: Path) -> None:
    path = tmp_path / "known.tsv"
    rows = [f"{s}\t{e}\tOURS" for s, e in KNOWN] + ["CASSLLLLLEQYF\tELAGIGILTV\tOTHER"] * 20
    path.write_text("\n".join(["cdr3b\tepitope\tsources", *rows]) + "\n")
    report = TitanProtocol(data=path, sources=frozenset(["OURS"]), folds=4).run(lambda line: None)
    found = {tuple(row[:3]): row for row in report.summary()}
    assert len(report.folds) == 4 * 2 * 2 * 4
    flattered = found[SPLITS[0], "uniform", "prior"]
    assert flattered[3] == 4
    assert flattered[4] > 0.6
    assert flattered[6] == 0.5
    assert found[SPLITS[0], "proportional", "prior"][4] == pytest.approx(0.5, abs=0.06)
    assert found[SPLITS[1], "uniform", "kernel-ratio"][4] == 0.5
    seen = found[SPLITS[0], "proportional", "kernel-ratio"]
    assert seen[6] > 0.9
    both = found[SPLITS[0], "uniform", "kernel-ratio and prior"]
    assert both[4] > found[SPLITS[0], "uniform", "kernel-ratio"][4] - 0.01
    report.write(tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "summary.tsv",
        "folds.tsv",
        "summary.json",
    }


def test_too_little_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "known.tsv"
    path.write_text("cdr3b\tepitope\tsources\nCASSLLLLLEQYF\tELAGIGILTV\tHERE\n")
    with pytest.raises(InputError, match="no binder of THERE"):
        TitanProtocol(data=path, sources=frozenset(["THERE"])).run(lambda line: None)
    with pytest.raises(InputError, match="too few epitopes"):
        TitanProtocol(data=path).run(lambda line: None)
