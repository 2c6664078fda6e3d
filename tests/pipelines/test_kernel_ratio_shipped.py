"""The shipped model of tcr-bind: what textbooks know, and what its licence lets it carry."""

import math

import pytest
import torch

from mmtool.models.store import resolve_model
from mmtool.pipelines.binding_model import BindingModel
from mmtool.pipelines.binding_models import load_binding_model
from mmtool.receptors import Receptor

FLU, CMV = "GILGFVFTL", "NLVPMVATV"
# Public chains against influenza M1 in HLA-A*02:01 (beta: PMID 28423320, among many).
PUBLIC = Receptor("TRAV27", "TRAJ42", "CAGAGSQGNLIF", "TRBV19", "TRBJ2-7", "CASSIRSSYEQYF")


@pytest.fixture(scope="module")
def model() -> BindingModel:
    return load_binding_model(resolve_model("tcr-bind", "kernel-ratio"), torch.device("cpu"))


@pytest.mark.parametrize(
    "receptor",
    [
        PUBLIC,
        Receptor(v_b=PUBLIC.v_b, cdr3_b=PUBLIC.cdr3_b),
        Receptor(v_a=PUBLIC.v_a, cdr3_a=PUBLIC.cdr3_a),
        Receptor(cdr3_b=PUBLIC.cdr3_b),
        Receptor(v_b="TRBV99", cdr3_b=PUBLIC.cdr3_b),
    ],
    ids=["pair", "beta", "alpha", "junction alone", "unknown gene"],
)
def test_the_public_receptor_of_influenza_is_found(model: BindingModel, receptor: Receptor) -> None:
    found = model.score([receptor], [FLU, CMV])
    assert found.percentile[0, 0] > 98
    assert found.score[0, 0] > 1 > found.score[0, 1]
    assert found.known[0] > 5000


def test_sequences_are_carried_of_the_iedb_alone(model: BindingModel) -> None:
    carried = [b for b in model.binders if b.receptor.usable]
    assert 5000 < len(carried) < len(model.binders) / 2
    assert {b.source for b in carried} == {"IEDB"}
    assert all(b.reference for b in carried)


def test_it_says_nothing_of_what_it_never_saw(model: BindingModel) -> None:
    assert model.unseen_skill is None
    assert math.isnan(model.score([PUBLIC], ["SIINFEKL"]).score[0, 0])
    assert model.known("SIINFEKL") == 0
