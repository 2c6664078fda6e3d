"""The density-ratio model: rows on their own, missing chains, more binders, file and back."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mmtool.errors import InputError
from mmtool.models.store import resolve_model
from mmtool.models.tcr.chain_space import PARTS
from mmtool.pipelines.binding_knn import LevenshteinKnn
from mmtool.pipelines.binding_model import BindingModel
from mmtool.pipelines.binding_models import load_binding_model
from mmtool.pipelines.binding_ratio import KernelRatio
from mmtool.pipelines.binding_titan import TitanBinding
from mmtool.pipelines.training.tcr_card import BindingTraining
from mmtool.pipelines.training.tcr_data import Controls, hold_out, random_splits, two_halves
from mmtool.pipelines.training.tcr_fit import (
    NO_MOTIF,
    Calibration,
    FitOptions,
    Settings,
    choose_motif,
    fit,
    seen_by,
)
from mmtool.pipelines.training.tcr_knn import NEIGHBOURS
from mmtool.pipelines.training.tcr_motif import (
    MotifSettings,
    MotifSize,
    Regressions,
    fit_motifs,
    regressions,
)
from mmtool.pipelines.training.tcr_recipes import RECIPES
from mmtool.pipelines.training.tcr_tuning import START, areas
from mmtool.pipelines.training.titan_pairs import TitanOptions
from mmtool.receptors import AMINO_ACIDS, Binder, Receptor

V_A, V_B = ("TRAV27", "TRAV12-2", "TRAV38-2/DV8"), ("TRBV19", "TRBV7-9", "TRBV20-1")
EPITOPES = ("GILGFVFTL", "NLVPMVATV")


def _junction(draw: np.random.Generator, core: str = "") -> str:
    letters = "".join(draw.choice(list(AMINO_ACIDS), 7 - len(core)))
    return f"CAS{letters[:2]}{core}{letters[2:]}YEQYF"


def _receptor(draw: np.random.Generator, core: str = "", v: int | None = None) -> Receptor:
    pick = v if v is not None else int(draw.integers(3))
    return Receptor(
        V_A[pick], "TRAJ42", _junction(draw, core), V_B[pick], "TRBJ2-7", _junction(draw, core)
    )


def _world(n: int = 30, seed: int = 0) -> tuple[list[Binder], Controls]:
    """Binders of two motifs from several publications, and controls of four donors."""
    draw = np.random.default_rng(seed)
    known = [
        Binder(_receptor(draw, core, v), epitope, "HLA-A*02:01", f"PMID:{i % 5}", "IEDB;VDJdb")
        for v, (epitope, core) in enumerate(zip(EPITOPES, ("RSS", "WWN"), strict=True))
        for i in range(n)
    ]
    general = tuple(_receptor(draw) for _ in range(200))
    return known, Controls(general, tuple(f"d{i % 4}" for i in range(200)))


CHAINS = {"a": START, "b": START}
MOTIFS = MotifSettings(weight=0.5, penalty=1e-3)


@pytest.fixture(scope="module", params=[NO_MOTIF, MOTIFS], ids=["densities", "motifs"])
def model(request: pytest.FixtureRequest) -> KernelRatio:
    known, controls = _world()
    return fit(known, controls, Settings(CHAINS, request.param), FitOptions(dimensions=48))


def test_new_binders_score_higher_than_new_controls(model: KernelRatio) -> None:
    draw = np.random.default_rng(9)
    binders = [_receptor(draw, "RSS", 0) for _ in range(30)]
    others = [_receptor(draw) for _ in range(60)]
    for view in ("ab", "a", "b"):
        rows = [seen_by(r, view) for r in binders + others]
        score = model.score(rows, EPITOPES).score[:, 0]
        assert areas(score, np.arange(90) < 30)[0] > 0.9
    found = model.score(binders, EPITOPES)
    assert np.median(found.percentile[:, 0]) > 95
    assert (found.probability[:, 0] > found.probability[:, 1]).mean() > 0.9


def test_rows_do_not_know_of_each_other(model: KernelRatio) -> None:
    draw = np.random.default_rng(3)
    rows = [_receptor(draw) for _ in range(9)]
    rows += [seen_by(rows[0], "a"), seen_by(rows[1], "b"), Receptor(v_b="TRBV19")]
    together = model.score(rows, EPITOPES)
    for name in ("score", "percentile", "probability", "nearest", "distance"):
        whole = getattr(together, name)
        apart = [getattr(model.score([r], [e]), name)[0, 0] for r in rows for e in EPITOPES]
        assert np.allclose(whole.ravel(), apart, atol=1e-4, equal_nan=True), name
    assert np.isnan(together.score[-1]).all()
    assert (together.nearest[-1] == -1).all()


def test_an_unknown_epitope_has_no_score(model: KernelRatio) -> None:
    found = model.score([_receptor(np.random.default_rng(1))], ["AAAAAAAAA"])
    assert np.isnan(found.score).all()
    assert found.known[0] == 0


def test_a_known_binder_is_its_own_nearest(model: KernelRatio) -> None:
    places = [0, 31, 40]
    found = model.score([model.binders[p].receptor for p in places], EPITOPES)
    assert [int(found.nearest[i, min(i, 1)]) for i in range(3)] == places
    place, distance = model.neighbours([model.binders[0].receptor], EPITOPES[0], 4)
    assert place[0, 0] == 0
    assert distance[0, 0] == pytest.approx(0, abs=1e-3)
    assert (np.diff(distance[0]) >= 0).all()
    assert np.isnan(model.neighbours([Receptor()], EPITOPES[0], 2)[1]).all()


def test_more_binders_are_the_same_as_a_fit_with_them(model: KernelRatio) -> None:
    draw = np.random.default_rng(5)
    extra = [Binder(_receptor(draw, "QQQ", 2), "ELAGIGILTV", source="user") for _ in range(8)]
    extra.append(Binder(seen_by(_receptor(draw, "RSS", 0), "b"), EPITOPES[0], source="user"))
    more = model.with_binders(extra)
    asked = [_receptor(draw, "QQQ", 2), seen_by(_receptor(draw, "QQQ", 2), "b")]
    known, controls = _world()
    whole = fit([*known, *extra], controls, Settings(CHAINS), FitOptions(dimensions=48))
    whole = KernelRatio(model.config, whole.chains, whole.binders, motifs=model.motifs)
    epitopes = (*EPITOPES, "ELAGIGILTV")
    assert np.allclose(
        more.score(asked, epitopes).score, whole.score(asked, epitopes).score, atol=1e-4
    )
    assert more.score(asked, epitopes).known.tolist() == [31, 30, 8]


def test_an_epitope_of_beta_chains_alone_says_nothing_of_an_alpha_chain(
    model: KernelRatio,
) -> None:
    draw = np.random.default_rng(6)
    extra = [Binder(seen_by(_receptor(draw), "b"), "ELAGIGILTV") for _ in range(3)]
    found = model.with_binders(extra).score([seen_by(_receptor(draw), "a")], ["ELAGIGILTV"])
    assert np.isnan(found.score).all()


def test_motifs_are_what_their_regressions_are_if_no_axis_is_left_out() -> None:
    known, controls = _world()
    draw = np.random.default_rng(4)
    rows = [_receptor(draw, "RSS", 0), _receptor(draw), seen_by(_receptor(draw), "b")]
    size = MotifSize(rank=2)
    motifs = fit_motifs(known, controls.receptors, MOTIFS, size, seed=0)
    for chain in "ab":
        plain = regressions(known, controls.receptors, chain, MOTIFS.penalty, size, seed=0)
        assert plain.epitopes == tuple(motifs[chain].epitopes) == EPITOPES
        heads, offsets = motifs[chain].chosen(EPITOPES)
        points = motifs[chain].points(rows, chain)
        assert np.allclose(points @ heads + offsets, plain.odds(rows, chain), atol=1e-3)
        controls_too = motifs[chain].points(controls.receptors, chain)
        assert np.allclose(controls_too, motifs[chain].controls, atol=1e-4)


def test_a_receptor_without_its_gene_is_scored_by_the_densities_alone() -> None:
    known, controls = _world()
    model = fit(known, controls, Settings(CHAINS, MOTIFS), FitOptions(dimensions=48))
    densities = KernelRatio(model.config, model.chains, model.binders)
    draw = np.random.default_rng(7)
    whole = [_receptor(draw) for _ in range(4)]
    bare = [replace(r, v_b="") for r in whole[:2]] + [replace(r, v_a="TRAV99") for r in whole[2:]]
    for name in ("score", "percentile"):
        with_motifs, without = (getattr(m.score(bare, EPITOPES), name) for m in (model, densities))
        assert np.allclose(with_motifs, without, atol=1e-4), name
    assert not np.allclose(
        model.score(whole, EPITOPES).score, densities.score(whole, EPITOPES).score, atol=1e-2
    )


def test_an_epitope_of_few_binders_has_no_motif_and_the_plain_calibration() -> None:
    known, controls = _world()
    known = [b for i, b in enumerate(known) if b.epitope == EPITOPES[0] or i % 3 == 0]
    calibration = Calibration(
        {v: [1.0, 0.0] for v in ("ab", "a", "b")}, {v: [2.0, 1.0] for v in ("ab", "a", "b")}
    )
    settings = Settings(CHAINS, MOTIFS)
    model = fit(known, controls, settings, FitOptions(dimensions=48), calibration)
    assert set(model.motifs["b"].epitopes) == {EPITOPES[0]}
    rows = [_receptor(np.random.default_rng(8)) for _ in range(3)]
    score = model.score(rows, EPITOPES).score
    for column, (slope, intercept) in enumerate(((2.0, 1.0), (1.0, 0.0))):
        raw = model.raw_scores(rows, EPITOPES[column])
        assert np.allclose(score[:, column], slope * raw + intercept, atol=1e-4)


def test_motifs_that_do_not_help_get_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    known, controls = _world(60)
    split = hold_out(known, frozenset({"PMID:1"}))
    asked = [split], controls, CHAINS, FitOptions(dimensions=48)
    assert choose_motif(*asked).weight >= 0
    wrong = Regressions.odds
    monkeypatch.setattr(Regressions, "odds", lambda self, rows, chain: -wrong(self, rows, chain))
    assert choose_motif(*asked).weight == 0


def test_a_held_out_receptor_is_in_no_training_row() -> None:
    known, _ = _world()
    held = next(b for b in known if b.reference == "PMID:1")
    copies = [
        replace(held, reference="PMID:77"),
        replace(held, receptor=seen_by(held.receptor, "b"), reference="PMID:78"),
    ]
    split = hold_out([*known, *copies], frozenset({"PMID:1"}))
    assert held in split.test
    assert not any(b.reference in ("PMID:77", "PMID:78") for b in split.train)
    assert set(split.epitopes) == set(EPITOPES)


def _table(path: Path, known: list[Binder]) -> Path:
    fields = ("cdr3_b", "v_b", "j_b", "cdr3_a", "v_a", "j_a")
    names = "cdr3b v_b j_b cdr3a v_a j_a epitope reference sources is_10x".split()
    rows = [
        [*(getattr(b.receptor, f) for f in fields), b.epitope, b.reference, b.source, "0"]
        for b in known
    ]
    path.write_text("\n".join("\t".join(r) for r in [names, *rows]) + "\n")
    return path


def _options(tmp_path: Path, carry: str) -> BindingTraining:
    known, controls = _world(40)
    draw = np.random.default_rng(1)
    for number, epitope in enumerate(
        f"{'ACDEFGHIKL'[i % 10]}LAGIGIL{'TV'[i // 10]}" for i in range(20)
    ):
        core = "".join(draw.choice(list(AMINO_ACIDS), 3))
        known += [
            Binder(_receptor(draw, core, number % 3), epitope, "", f"PMID:{i % 5}", "VDJdb")
            for i in range(40)
        ]
    data = _table(tmp_path / "known.tsv", known)
    control = tmp_path / "controls.tsv"
    rows = [
        (r.cdr3_b, r.v_b, r.cdr3_a, r.v_a, d)
        for r, d in zip(controls.receptors, controls.donors, strict=True)
    ]
    head = ("cdr3b", "v_b", "cdr3a", "v_a", "donor")
    control.write_text("\n".join("\t".join(r) for r in [head, *rows]) + "\n")
    return BindingTraining(
        data=data, controls=control, out=tmp_path / "run", carry=(carry,), splits=1
    )


def _trained(tmp_path: Path, recipe: str) -> BindingModel:
    folder = RECIPES[recipe](_options(tmp_path, "IEDB"), lambda line: None)
    return load_binding_model(resolve_model("tcr-bind", str(folder)), torch.device("cpu"))


@pytest.mark.slow
def test_a_trained_model_comes_back_from_its_folder(tmp_path: Path) -> None:
    model = _trained(tmp_path, "kernel-ratio")
    assert isinstance(model, KernelRatio)
    carried = [b for b in model.binders if b.receptor.usable]
    assert {b.epitope for b in carried} == set(EPITOPES)
    assert {b.source for b in carried} == {"IEDB"}
    assert all(b.reference for b in model.binders)
    assert set(model.config["weights"]["b"]) == set(PARTS)
    draw = np.random.default_rng(9)
    rows = [_receptor(draw, "RSS", 0) for _ in range(10)] + [_receptor(draw) for _ in range(30)]
    score = model.score(rows, EPITOPES).score[:, 0]
    assert areas(score, np.arange(40) < 10)[0] > 0.9


@pytest.mark.slow
def test_trained_neighbours_are_those_that_may_be_carried(tmp_path: Path) -> None:
    model = _trained(tmp_path, "knn")
    assert isinstance(model, LevenshteinKnn)
    assert model.k in NEIGHBOURS
    assert {b.source for b in model.binders} == {"IEDB"}
    assert set(model.epitopes) == set(EPITOPES)
    assert all(b.receptor.usable and b.reference for b in model.binders)
    card = json.loads((tmp_path / "run/model/card.json").read_text())
    assert {m["baseline"]["name"] for m in card["metrics"]} == {"nearest binder"}
    assert "--recipe knn" in card["training"]["command"]


@pytest.mark.slow
def test_a_trained_titan_comes_back_from_its_folder(tmp_path: Path) -> None:
    how = TitanOptions(spelling="letters", filters=4, attention=4, dense=(8,), epochs=2, batch=32)
    options = replace(_options(tmp_path, "IEDB"), titan=how)
    folder = RECIPES["titan"](options, lambda line: None)
    model = load_binding_model(resolve_model("tcr-bind", str(folder)), torch.device("cpu"))
    assert isinstance(model, TitanBinding)
    assert set(model.epitopes) > set(EPITOPES)
    assert {b.source for b in model.binders} == {"IEDB"}
    draw = np.random.default_rng(9)
    scores = model.score([_receptor(draw) for _ in range(20)], EPITOPES)
    assert np.isfinite(scores.score).all()
    assert np.isfinite(scores.percentile).all()
    tuned = replace(
        options, out=tmp_path / "tuned", start=str(folder), titan=replace(how, tunable=6, epochs=1)
    )
    again = load_binding_model(
        resolve_model("tcr-bind", str(RECIPES["titan"](tuned, lambda line: None))),
        torch.device("cpu"),
    )
    assert isinstance(again, TitanBinding)
    for name, tensor in model.network.epitope.named_parameters():
        assert torch.equal(tensor, again.network.epitope.get_parameter(name))


def test_neighbours_need_a_collection_that_may_be_carried(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no binder of NOWHERE") as error:
        RECIPES["knn"](_options(tmp_path, "NOWHERE"), lambda line: None)
    assert "--carry" in error.value.hint


def test_no_publication_is_held_out_in_both_halves() -> None:
    known, _ = _world(50)
    first, second = two_halves(known, 0)
    assert sorted(first + second) == [f"PMID:{i}" for i in range(5)]
    assert two_halves(known, 0) == (first, second)
    held = {b.reference for s in random_splits(known, first, 3, 0, 2) for b in s.test}
    assert held <= set(first)
    with pytest.raises(InputError, match="parted by publication"):
        list(random_splits(known, first, 1, 0, 3))
