"""The shipped nearest neighbours of tcr-bind: whose sequences they are, and that they answer."""

import numpy as np
import pytest
import torch

from mmtool.models.store import resolve_model
from mmtool.pipelines.binding_knn import LevenshteinKnn
from mmtool.pipelines.binding_model import BindingModel
from mmtool.pipelines.binding_models import load_binding_model
from mmtool.receptors import Receptor

FLU, CMV = "GILGFVFTL", "NLVPMVATV"


@pytest.fixture(scope="module")
def model() -> BindingModel:
    return load_binding_model(resolve_model("tcr-bind", "knn"), torch.device("cpu"))


def test_it_carries_the_iedb_alone(model: BindingModel) -> None:
    assert isinstance(model, LevenshteinKnn)
    assert len(model.binders) > 5000
    assert {b.source for b in model.binders} == {"IEDB"}
    assert all(b.receptor.usable and b.reference for b in model.binders)


def test_a_public_receptor_is_found(model: BindingModel) -> None:
    found = model.score([Receptor(cdr3_b="CASSIRSSYEQYF")], [FLU, CMV])
    assert found.score[0, 0] > 1 > found.score[0, 1]
    assert found.distance[0, 0] < 0.1
    assert np.isnan(found.percentile).all()
    assert model.unseen_skill is None
