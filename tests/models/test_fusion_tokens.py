"""Patients as tokens."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.support.fusion_cohorts import SIGNATURES, bag, block, cohort

from mmtool.models.survival.network.tokens import (
    MOST_TILES,
    WIDTH,
    components,
    fit_tokenisers,
    make_parts,
)
from mmtool.survival import Block, Cohort


def _named(made):
    return {t.name: t for t in made}


def test_groups_of_genes_may_share_genes_and_the_rest_is_a_token_too() -> None:
    made = _named(fit_tokenisers(cohort(), SIGNATURES))["rnaseq"]
    genes = {g.name: {made.columns[i] for i in g.places} for g in made.groups}
    assert list(genes) == ["planted", "others", "other"]
    assert genes["planted"] & genes["others"] == {"G3", "G4"}
    assert genes["other"] == {f"G{i}" for i in range(20, 30)}


def test_without_groups_omics_are_runs_of_components_that_fall_in_size() -> None:
    made = fit_tokenisers(cohort(), {})
    part = make_parts(made, cohort())["rnaseq"]
    size = part.x.square().sum(dim=2).mean(dim=0)
    assert part.x.shape[1] == 6
    assert bool((size[:-1] >= size[1:] - 1e-4).all())


def test_image_columns_are_tokens_by_the_first_word_of_their_names() -> None:
    made = _named(fit_tokenisers(cohort(), {}))["hif"]
    assert [g.name for g in made.groups] == ["area", "cell", "density"]
    assert made.shape.tokens == 3


def test_a_clinical_table_is_one_token_and_wide_groups_are_cut_to_their_components() -> None:
    rng = np.random.default_rng(0)
    nobody = np.zeros(60, np.bool_)
    wide = block("rna", "omics", rng.normal(size=(60, 90)), [f"G{i}" for i in range(90)], nobody)
    shared = frozenset(wide.columns)
    made = fit_tokenisers(Cohort(tuple(map(str, range(60))), {"rna": wide}), {"all": shared})
    assert made[0].shape.width == WIDTH
    assert _named(fit_tokenisers(cohort(), {}))["clinical"].shape.tokens == 1


def test_scale_and_components_are_those_of_the_training_patients() -> None:
    whole = cohort()
    made = fit_tokenisers(whole.subset(range(100)), SIGNATURES)
    far = whole.blocks["rnaseq"].values.copy()
    far[100:] += 50
    moved = replace(
        whole, blocks={**whole.blocks, "rnaseq": replace(whole.blocks["rnaseq"], values=far)}
    )
    before, after = (make_parts(made, c)["rnaseq"].x for c in (whole, moved))
    assert torch.equal(before[:100], after[:100])
    alone = make_parts(made, whole.subset([120]))["rnaseq"].x
    assert torch.allclose(before[120], alone[0])


def test_the_absent_are_masked_and_hold_zeros() -> None:
    given = cohort()
    part = make_parts(fit_tokenisers(given, {}), given)["hif"]
    absent = ~torch.from_numpy(given.blocks["hif"].present)
    assert bool((part.present == ~absent).all())
    assert float(part.x[absent].abs().max()) == 0
    nothing = make_parts(fit_tokenisers(given, {}), given.with_blocks(["rnaseq"]))["hif"]
    assert not bool(nothing.present.any())


def test_columns_are_found_by_name_and_lacking_ones_are_average() -> None:
    given = cohort()
    made = fit_tokenisers(given, SIGNATURES)
    source = given.blocks["rnaseq"]
    turned = Block(
        "rnaseq", "omics", source.columns[::-1], source.values[:, ::-1].copy(), source.present
    )
    same = make_parts(made, replace(given, blocks={**given.blocks, "rnaseq": turned}))
    assert torch.allclose(make_parts(made, given)["rnaseq"].x, same["rnaseq"].x, atol=1e-6)


def test_the_order_of_tiles_says_nothing_and_their_number_is_capped() -> None:
    rng = np.random.default_rng(0)
    tiles = [rng.normal(size=(n, 8)) for n in (MOST_TILES + 200, 5, 0)]
    ids = ("a", "b", "c")
    given = Cohort(ids, {"tiles": bag(tiles)})
    made = fit_tokenisers(given, {})
    shuffled = Cohort(ids, {"tiles": bag([rng.permutation(t) for t in tiles])})
    one, other = (make_parts(made, c)["tiles"] for c in (given, shuffled))
    assert torch.equal(one.x, other.x)
    assert one.mask.sum(dim=1).tolist() == [MOST_TILES, 5, 0]


def test_components_are_orthonormal_and_no_more_than_there_are() -> None:
    x = np.random.default_rng(0).normal(size=(20, 4)) @ np.ones((4, 9))
    basis = components(x, 5)
    assert basis.shape == (9, 1)
    assert basis.T @ basis == pytest.approx(np.eye(1))
