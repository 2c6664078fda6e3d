"""TITAN as a model: its training, its answers, and what it tells of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from binding_models import CMV, FLU, KNOWN

from mmtool.errors import ModelError
from mmtool.models.tcr.reference import pack
from mmtool.models.tcr.titan import Titan
from mmtool.pipelines.binding_model import AttendingModel
from mmtool.pipelines.binding_titan import TitanBinding, load_titan, titan_tensors
from mmtool.pipelines.training.titan import train_titan, uncalibrated
from mmtool.pipelines.training.titan_pairs import TitanOptions, beta_only, pair_set
from mmtool.receptors import AMINO_ACIDS, Binder, Receptor

SMALL = TitanOptions(
    spelling="letters", form="junction", filters=8, attention=8, dense=(16,), epochs=6, batch=32
)
RECEPTORS = [b.receptor for b in KNOWN]


def _planted(n: int, seed: int) -> list[Binder]:
    """Binders whose junction holds a motif of their epitope."""
    draw = np.random.default_rng(seed)
    out = []
    for motif, epitope in (("RSR", FLU), ("DWD", CMV)):
        for _ in range(n):
            before, after = ("".join(draw.choice(list(AMINO_ACIDS), 4)) for _ in range(2))
            out.append(Binder(Receptor(cdr3_b=f"CA{before}{motif}{after}F"), epitope))
    return out


@pytest.fixture(scope="module")
def trained() -> Titan:
    return train_titan(_planted(200, 0), SMALL)


def _model(network: Titan, options: TitanOptions = SMALL) -> TitanBinding:
    plain = uncalibrated(network, options, {FLU: 200, CMV: 150})
    config = dict(plain.config) | {"calibration": [0.5, 1.0], "quantiled": [FLU]}
    quantiles = torch.linspace(-4, 4, 101)[None]
    return replace(plain, config=config, controls=quantiles, binders=KNOWN)


def _smiles_model() -> TitanBinding:
    options = replace(SMALL, spelling="smiles", form="domain")
    torch.manual_seed(1)
    network = Titan(options.size)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            assert module.running_var is not None
            torch.nn.init.uniform_(module.running_var, 0.01, 0.1)
    return _model(network.eval(), options)


def test_training_finds_a_planted_motif(trained: Titan) -> None:
    asked = _planted(50, 1)
    raw = _model(trained).raw_scores([b.receptor for b in asked], [FLU, CMV])
    own = np.array([b.epitope == FLU for b in asked])
    assert (raw[own, 0] > raw[own, 1]).mean() > 0.9
    assert (raw[~own, 1] > raw[~own, 0]).mean() > 0.9


def test_a_stopped_run_ends_as_the_whole_one(tmp_path: Path, trained: Titan) -> None:
    class StoppedError(Exception):
        pass

    def stop(epoch: int, network: Titan) -> None:
        if epoch == 3:
            raise StoppedError

    known, file = _planted(200, 0), tmp_path / "checkpoint.pt"
    with pytest.raises(StoppedError):
        train_titan(known, SMALL, checkpoint=file, after_epoch=stop)
    lines: list[str] = []
    again = train_titan(known, SMALL, checkpoint=file, tell=lines.append)
    assert len(lines) == 3
    for name, tensor in trained.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor)
    train_titan(known, replace(SMALL, epochs=1), checkpoint=file, tell=lines.append)
    assert len(lines) == 4  # a checkpoint of other options is not taken


def test_semi_frozen_training_leaves_the_epitope_side_alone(trained: Titan) -> None:
    tunable = len(list(trained.dense.parameters()))
    tuned = train_titan(_planted(64, 2), replace(SMALL, epochs=1, tunable=tunable), start=trained)
    before = dict(trained.named_parameters())
    changed = {
        name.split(".")[0]
        for name, tensor in tuned.named_parameters()
        if not torch.equal(tensor, before[name])
    }
    assert changed == {"dense"}


def test_pairs_are_of_beta_chains_and_bounded() -> None:
    known = [
        *_planted(20, 0),
        Binder(Receptor(cdr3_a="CAVF"), FLU),
        Binder(RECEPTORS[0], "AAAAAAA"),
    ]
    kept = beta_only(known, replace(SMALL, most=10, least=5))
    assert len(kept) == 20
    assert {b.epitope for b in kept} == {FLU, CMV}
    both = [Binder(RECEPTORS[0], FLU), Binder(RECEPTORS[0], CMV)]
    assert pair_set(both, SMALL).bound == [frozenset({0, 1})] * 2


def test_given_negatives_are_learned_from() -> None:
    known = _planted(100, 0)
    swapped = [Binder(b.receptor, CMV if b.epitope == FLU else FLU) for b in known]
    data = pair_set(known, SMALL, swapped)
    assert data.binds.tolist() == [True] * 200 + [False] * 200
    network = train_titan(known, replace(SMALL, negatives=0, epochs=8), negatives=swapped)
    raw = _model(network).raw_scores([b.receptor for b in known], [FLU, CMV])
    own = np.array([b.epitope == FLU for b in known])
    assert ((raw[:, 0] > raw[:, 1]) == own).mean() > 0.9


def test_answers_of_rows_stand_alone(trained: Titan) -> None:
    model = _model(trained)
    asked = [*RECEPTORS, Receptor(), Receptor(cdr3_a="CAGAGSQGNLIF")]
    scores = model.score(asked, [FLU, CMV, "AAAAAAA"])
    assert scores.known.tolist() == [200, 150, 0]
    assert np.isnan(scores.score[7:]).all()
    assert np.isfinite(scores.score[:7]).all()
    assert "alpha chain alone" in scores.notes[1]
    alone = np.concatenate([model.score([r], [FLU, CMV, "AAAAAAA"]).score for r in RECEPTORS])
    np.testing.assert_allclose(alone, scores.score[:7], rtol=1e-4, atol=1e-5)
    assert np.isnan(scores.percentile[:, 1:]).all()
    assert ((scores.percentile[:7, 0] >= 0) & (scores.percentile[:7, 0] <= 100)).all()
    assert scores.nearest[0, 0] == 0
    assert scores.distance[0, 0] == 0


def test_a_users_binders_are_evidence_and_change_no_score(trained: Titan) -> None:
    model = _model(trained)
    mine = Binder(Receptor(cdr3_b="CASSIRSSYEQF"), FLU, reference="mine")
    more = model.with_binders([mine])
    np.testing.assert_array_equal(
        more.score(RECEPTORS, [FLU]).score, model.score(RECEPTORS, [FLU]).score
    )
    place, _ = more.neighbours([mine.receptor], FLU, 1)
    assert more.binders[int(place[0, 0])] == mine


def test_attention_tells_residues_and_atoms() -> None:
    from rdkit import Chem

    model = _smiles_model()
    assert isinstance(model, AttendingModel)
    found = model.attention([RECEPTORS[1], Receptor(cdr3_a="CAVF")], FLU)
    assert found[1] is None
    told = found[0]
    assert told is not None
    assert "".join(x for name, x in told.regions if name == "CDR3") == RECEPTORS[1].cdr3_b
    assert len(told.receptor) == len(told.regions)
    assert 0.5 < told.receptor.sum() < 1
    assert 0.5 < told.epitope.sum() < 1
    atoms = [a for a in told.atom if a >= 0]
    assert atoms == list(range(Chem.MolFromSmiles(told.smiles).GetNumAtoms()))


def test_spread_is_the_same_for_each_row_alone() -> None:
    model = _smiles_model()
    some = RECEPTORS[:3]
    spread = model.spread(some, [FLU, CMV])
    assert (spread.dropout > 0).all()
    assert (spread.spelling > 0).all()
    alone = model.spread(some[1:2], [FLU, CMV])
    np.testing.assert_allclose(alone.dropout[0], spread.dropout[1], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(alone.spelling[0], spread.spelling[1], rtol=1e-3, atol=1e-5)


def test_tensors_are_read_as_they_were_written(trained: Titan) -> None:
    model = _model(trained)
    tensors = titan_tensors(model) | pack(KNOWN)
    again = load_titan(model.config, tensors, "here")
    np.testing.assert_allclose(
        again.score(RECEPTORS, [FLU]).score, model.score(RECEPTORS, [FLU]).score, atol=0.02
    )
    del tensors["network.letters.weight"]
    with pytest.raises(ModelError, match="not a whole TITAN model"):
        load_titan(model.config, tensors, "here")
