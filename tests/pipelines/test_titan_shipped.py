"""The shipped TITAN of tcr-bind: whose sequences it carries, and what it says of a public one."""

import pytest
import torch

from mmtool.models.store import resolve_model
from mmtool.pipelines.binding_models import load_binding_model
from mmtool.pipelines.binding_titan import TitanBinding
from mmtool.receptors import Receptor

FLU, CMV = "GILGFVFTL", "NLVPMVATV"


@pytest.fixture(scope="module")
def model() -> TitanBinding:
    loaded = load_binding_model(resolve_model("tcr-bind", "titan"), torch.device("cpu"))
    assert isinstance(loaded, TitanBinding)
    return loaded


def test_it_carries_the_iedb_alone(model: TitanBinding) -> None:
    assert len(model.binders) > 5000
    assert {b.source for b in model.binders} == {"IEDB"}
    assert all(b.receptor.cdr3_b and b.reference for b in model.binders)
    assert min(model.config["known"].values()) >= 5


def test_a_public_receptor_of_flu_is_told_from_one_of_cmv(model: TitanBinding) -> None:
    asked = [Receptor(cdr3_b="CASSIRSSYEQYF"), Receptor(cdr3_b="CASSLAPGATNEKLFF")]
    found = model.score(asked, [FLU, CMV])
    assert found.score[0, 0] > found.score[1, 0]
    assert found.percentile[0, 0] > 90
    assert found.distance[0, 0] < 0.1
    assert model.unseen_skill is None
    attention = model.attention(asked[:1], FLU)[0]
    assert attention is not None
    assert len(attention.receptor) == 13
