"""Explanations against models whose reasons are known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from survive_cohorts import simulated

from mmtool.errors import UsageError
from mmtool.models.explainers import shap
from mmtool.models.explainers.effects import (
    METHODS,
    Item,
    aligned,
    explain,
    units,
    without,
)
from mmtool.models.explainers.trust import deletions, stability
from mmtool.models.survival.stack import Stack, StackLearner
from mmtool.survival import Block, Cohort, Floats

GROUPS = {
    "clinical": {"age": ["age"], "stage": ["stage"]},
    "rnaseq": {"first": ["G0", "G1"], "next": ["G2", "G1"], "third": ["G3"]},
}


@pytest.fixture(scope="module")
def fitted() -> tuple[Stack, Cohort]:
    cohort, _ = simulated(120, genes=8)
    stack = StackLearner().fit(cohort, 0)
    return stack, aligned(stack, replace(cohort, outcome=None).subset(range(30)))


def linear_alone(stack: Stack) -> Stack:
    """The stack with trees that say nothing."""
    experts = tuple(replace(e, factors=(e.factors[0], 0.0)) for e in stack.experts)
    return replace(stack, experts=experts)


def test_units_part_all_columns_once(fitted: tuple[Stack, Cohort]) -> None:
    stack, cohort = fitted
    items = units(stack, cohort, GROUPS)
    names = ["age", "stage", "other columns", "first", "next", "third", "other columns"]
    assert [i.name for i in items] == names
    for name in stack.modalities:
        places = [p for i in items if i.modality == name for p in i.places or ()]
        assert sorted(places) == list(range(len(stack.columns(name))))


@pytest.mark.parametrize("exact", [True, False])
def test_shap_of_an_additive_model_is_its_sum(
    fitted: tuple[Stack, Cohort], exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, cohort = linear_alone(fitted[0]), fitted[1]
    monkeypatch.setattr(shap, "EXACT", 7 if exact else 0)
    (found,) = explain("shap", stack, cohort, GROUPS, 0)
    everything = np.ones((len(cohort), len(found.items)), np.bool_)
    middle = without(stack, cohort, found.items, everything)
    for k, item in enumerate(found.items):
        own = stack.contributions(cohort, item.modality)[1]
        base = stack.contributions(middle, item.modality)[1]
        places = list(item.places or ())
        assert found.values[:, k] == pytest.approx((own - base)[:, places].sum(axis=1), abs=1e-9)
    assert (found.error is None) == exact
    if found.error is not None:
        assert np.nanmax(found.error) < 1e-9


def test_shap_with_trees_sums_to_the_risk_and_drawn_orders_agree(
    fitted: tuple[Stack, Cohort], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, cohort = fitted
    (drawn,) = explain("shap", stack, cohort, GROUPS, 0)
    monkeypatch.setattr(shap, "EXACT", 7)
    (exact,) = explain("shap", stack, cohort, GROUPS, 0)
    everything = np.ones((len(cohort), len(exact.items)), np.bool_)
    none = stack.risk(without(stack, cohort, exact.items, everything))
    for found in (drawn, exact):
        assert found.values.sum(axis=1) == pytest.approx(stack.risk(cohort) - none)
    assert drawn.error is not None
    far = np.abs(drawn.values - exact.values) / np.maximum(drawn.error, 1e-6)
    assert (far < 3).mean() > 0.9


@dataclass
class Product:
    """A risk that is the product of two columns."""

    modalities = ("m",)

    def columns(self, name: str) -> tuple[str, ...]:
        return ("a", "b", "c")

    def risk(self, cohort: Cohort) -> Floats:
        x = cohort.blocks["m"].values.astype(np.float64)
        return np.asarray(x[:, 0] * x[:, 1], np.float64)

    def middle(self, name: str) -> Floats:
        return np.zeros(3)


def test_a_product_is_shared_evenly() -> None:
    values = np.array([[2.0, 3.0, 5.0]], np.float32)
    block = Block("m", "omics", ("a", "b", "c"), values, np.ones(1, np.bool_))
    cohort = Cohort(("p",), {"m": block})
    groups = {"m": {c: [c] for c in "abc"}}
    (found,) = shap.explain(Product(), cohort, groups, 0)  # type: ignore[arg-type]
    assert found.values[0].tolist() == pytest.approx([3, 3, 0])


def test_gradient_and_finite_change_agree_where_there_are_no_trees(
    fitted: tuple[Stack, Cohort],
) -> None:
    stack, cohort = linear_alone(fitted[0]), fitted[1]
    pairs = zip(
        explain("saliency", stack, cohort, {}, 0),
        explain("sensitivity", stack, cohort, {}, 0),
        strict=True,
    )
    for slope, shift in pairs:
        assert slope.values == pytest.approx(shift.values)
        assert np.abs(slope.values).max() > 0


def test_sensitivity_hears_the_trees(fitted: tuple[Stack, Cohort]) -> None:
    stack, cohort = fitted
    expert = stack.experts[1]
    scaled = expert.scaler(cohort.blocks["rnaseq"].values)
    column = int(expert.parts[1].column[0, 0])  # type: ignore[union-attr]
    up, down = scaled.copy(), scaled.copy()
    up[:, column] += 1
    down[:, column] -= 1
    wanted = (expert.of_scaled(up) - expert.of_scaled(down)) / 2
    assert expert.shifts(cohort.blocks["rnaseq"].values)[:, column] == pytest.approx(
        wanted, abs=1e-6
    )


def test_a_masked_modality_is_missing(fitted: tuple[Stack, Cohort]) -> None:
    stack, cohort = fitted
    whole, groups = explain("masking", stack, cohort, GROUPS, 0)
    left = stack.risk(cohort.with_blocks(["clinical"]))
    assert whole.values[:, 1] == pytest.approx(stack.risk(cohort) - left)
    assert len(groups.items) == 7


def test_who_lacks_a_modality_has_no_effect_of_it(fitted: tuple[Stack, Cohort]) -> None:
    stack, cohort = fitted
    block = cohort.blocks["rnaseq"]
    values, there = block.values.copy(), block.present.copy()
    values[0], there[0] = np.nan, False
    rna = replace(block, values=values, present=there)
    lacking = replace(cohort, blocks={**cohort.blocks, "rnaseq": rna})
    for method in METHODS[:4]:
        for found in explain(method, stack, lacking, GROUPS, 0):
            own = [k for k, i in enumerate(found.items) if i.modality == "rnaseq"]
            assert np.isnan(found.values[0, own]).all()
            assert np.isfinite(found.values[1]).all()


def test_deletion_tells_reasons_from_chance(fitted: tuple[Stack, Cohort]) -> None:
    stack, cohort = fitted
    (true,) = explain("shap", stack, cohort, {"rnaseq": {f"G{i}": [f"G{i}"] for i in range(8)}}, 0)
    falls, rises = deletions(stack, cohort, true, 0)
    assert (falls.way, rises.way) == ("falls", "rises")
    for found in (falls, rises):
        assert found.top > found.random + 2 * found.spread
        assert found.p < 0.05
    rng = np.random.default_rng(1)
    wrong = replace(true, values=rng.normal(size=true.values.shape))
    assert min(d.p for d in deletions(stack, cohort, wrong, 0)) > 0.05


def test_stability_is_of_the_own_fits(fitted: tuple[Stack, Cohort]) -> None:
    stack, cohort = fitted
    found = stability("sensitivity", stack, cohort, {}, 0)[1]
    assert found is not None
    assert found.fits == 5
    assert -1 <= found.low <= found.mean <= found.high <= 1
    assert found.mean > 0.3  # four of eight genes matter


def test_tiles_leave_their_bag() -> None:
    tiles = (np.arange(6, dtype=np.float32).reshape(3, 2), np.ones((1, 2), np.float32))
    there = np.ones(2, np.bool_)
    block = Block("slides", "bag", ("f0", "f1"), np.zeros((2, 2), np.float32), there, tiles)
    cohort = Cohort(("a", "b"), {"slides": block})

    class Bagged(Product):
        def middle(self, name: str) -> None:  # type: ignore[override]
            return None

    items = [Item("slides", str(i), (i,)) for i in range(3)]
    chosen = np.array([[False, True, False], [True, False, False]])
    left = without(Bagged(), cohort, items, chosen).blocks["slides"]  # type: ignore[arg-type]
    assert left.tiles is not None
    assert left.tiles[0].tolist() == [[0, 1], [4, 5]]
    assert left.present.tolist() == [True, False]


def test_no_map_and_no_method(fitted: tuple[Stack, Cohort]) -> None:
    stack, cohort = fitted
    with pytest.raises(UsageError, match="no map"):
        explain("attention", stack, cohort, {}, 0)
    with pytest.raises(UsageError, match="not known"):
        explain("guess", stack, cohort, {}, 0)
