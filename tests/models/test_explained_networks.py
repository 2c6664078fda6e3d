"""Explanations of fusion networks: gradients, attention, tiles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.support.fusion_cohorts import SIGNATURES, bag, cohort

from mmtool.errors import UsageError
from mmtool.models.explainers.effects import aligned, explain
from mmtool.models.explainers.trust import deletions, stability
from mmtool.models.survival.network.learner import NetworkLearner
from mmtool.models.survival.network.model import NetworkModel
from mmtool.models.survival.network.training import Recipe
from mmtool.survival import Cohort

_QUICK = Recipe(members=2, dim=16, epochs=6, rate=5e-3)


def fit(method: str, given: Cohort) -> tuple[NetworkModel, Cohort]:
    model = NetworkLearner(method, SIGNATURES, _QUICK).fit(given.subset(range(90)), 0)
    return model, aligned(model, replace(given, outcome=None).subset(range(90, 110)))


def with_tiles() -> Cohort:
    given = cohort(110)
    rng = np.random.default_rng(0)
    tiles = [rng.normal(size=(int(n), 4)) for n in rng.integers(0, 7, 110)]
    return replace(given, blocks={**given.blocks, "tiles": bag(tiles)})


def test_gradients_agree_with_small_changes_and_shap_sums() -> None:
    model, some = fit("concat", cohort(110))
    slopes = model.slopes(some, "rnaseq")
    assert slopes is not None
    block = some.blocks["rnaseq"]
    scaler = model.tokenisers[1].scaler
    moved = block.values.copy()
    moved[:, 2] += 1e-2 * scaler.scale[2] * scaler.spread[2]
    risen = replace(some, blocks={**some.blocks, "rnaseq": replace(block, values=moved)})
    change = (model.risk(risen) - model.risk(some)) / 1e-2
    assert np.median(np.abs(change - slopes[:, 2])) < 0.02
    (found,) = explain("shap", model, some, {"rnaseq": {"planted": [f"G{i}" for i in range(5)]}}, 0)
    assert [i.name for i in found.items] == ["clinical", "planted", "other columns", "hif"]
    lacking = ~some.blocks["hif"].present
    assert np.isnan(found.values[lacking, 3]).all()


@pytest.mark.parametrize("method", ["mcat", "motcat", "cmta"])
def test_maps_have_the_names_of_their_tokens(method: str) -> None:
    model, some = fit(method, cohort(110))
    tokens, pairs = explain("attention", model, some, {}, 0)
    there = some.blocks["hif"].present
    assert [i.name for i in tokens.items] == ["area", "cell", "density"]
    assert np.nansum(tokens.values[there], axis=1) == pytest.approx(1, abs=1e-5)
    assert np.isnan(tokens.values[~there]).all()
    assert "rnaseq planted looks at cell" in [i.name for i in pairs.items] or method == "cmta"
    found = deletions(model, some, tokens, 0)
    assert [d.way for d in found] == ["moves"]
    assert stability("attention", model, some, {}, 0)[0] is not None


def test_attention_over_tiles_and_their_effects() -> None:
    model, some = fit("abmil", with_tiles())
    found = explain("attention", model, some, {}, 0)
    tiles = next(e for e in found if e.level == "tile")
    counts = [len(t) for t in some.blocks["tiles"].tiles or ()]
    assert (~np.isnan(tiles.values)).sum(axis=1).tolist() == counts
    assert model.slopes(some, "tiles") is None
    effects = model.tile_effects(some, "tiles")
    assert effects is not None
    assert [len(e) for e in effects] == counts
    total = model.contributions(some, "tiles")[1][:, 0]
    assert [e.sum() for e in effects] == pytest.approx(total, abs=1e-5)
    assert model.tile_effects(some, "hif") is None
    assert deletions(model, some, tiles, 0)[0].taken == 2


def test_a_network_without_a_map_says_so() -> None:
    model, some = fit("concat", cohort(110))
    with pytest.raises(UsageError, match="no map"):
        explain("attention", model, some, {}, 0)
